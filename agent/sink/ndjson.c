// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Every event of a trace as a JSON object a line, by the table of what is stored (trace/fields.h),
 * so that a new field needs nothing here. Unknown is null.
 */
#include <inttypes.h>
#include <string.h>

#include "model/model.h"
#include "sink/export.h"
#include "trace/fields.h"
#include "util/xalloc.h"

struct ndjson {
	struct sink sink;
	struct export_out out;
};

/* Words for the values of an ENUM; `kind` 0: of every kind that has such a field. */
static const struct {
	const char *field;
	enum event_kind kind;
	const char *words[8];
} enums[] = {
	{"reason", EV_TARGET_END, {"exited", "execed", "detached"}},
	{"flavor", EV_RUNTIME, {NULL, "multi-thread", "current-thread", "local"}},
	{"kind", EV_SITE, {"task", "blocking", "worker"}},
	{"name_from", EV_SITE, {"symbol", "dwarf", "drop_glue", "callee", "none", "told"}},
	{"state", EV_THREAD, {"searching", "parked", "polling", "blocked", "preempted"}},
	{"what", EV_LOST, {"events", "stacks", "stacks_limited"}},
	{"severity", EV_NOTE, {"info", "warning"}},
};

/* Where 0 means that it is not known, or that there is none. */
static const char *const zero_is_none[] = {"task_id", "id", "size", "line", "column", "start"};

static const char *word_of(enum event_kind kind, const char *field, uint64_t value)
{
	if (kind == EV_STACK && !strcmp(field, "kind"))
		return stack_kind_name((enum stack_kind)value);
	if (kind == EV_STACK && !strcmp(field, "end"))
		return stack_end_name((enum stack_end)value);
	if (kind == EV_STACK && !strcmp(field, "origin"))
		return frame_origin_name((enum frame_origin)value);
	if (kind == EV_STACK && !strcmp(field, "from"))
		return frame_from_name((enum frame_from)value);
	for (size_t i = 0; i < sizeof(enums) / sizeof(enums[0]); i++)
		if (enums[i].kind == kind && !strcmp(enums[i].field, field) && value < 8)
			return enums[i].words[value];
	return NULL;
}

static bool unknown_zero(const char *field)
{
	for (size_t i = 0; i < sizeof(zero_is_none) / sizeof(zero_is_none[0]); i++)
		if (!strcmp(zero_is_none[i], field))
			return true;
	return false;
}

static void put_uint(struct export_out *out, uint64_t value)
{
	export_textf(out, "%" PRIu64, value);
}

static const void *pointer_at(const void *base, const struct trace_field *f)
{
	const void *value;

	memcpy(&value, (const char *)base + f->offset, sizeof(value));
	return value;
}

static void put_scalar(struct export_out *out, enum event_kind kind, const struct trace_field *f,
		       const void *base)
{
	uint64_t value = field_load(f, base);
	bool none = f->type == FIELD_ID	  ? (uint32_t)value == ID_NONE :
		    f->type == FIELD_TIME ? value == 0 :
		    f->type == FIELD_INT  ? (int64_t)value == -1 :
		    f->type == FIELD_ENUM ? !word_of(kind, f->name, value) :
					    value == 0 && unknown_zero(f->name);

	if (none)
		export_text(out, "null");
	else if (f->type == FIELD_ENUM)
		export_json(out, word_of(kind, f->name, value));
	else if (f->type == FIELD_BOOL)
		export_text(out, value ? "true" : "false");
	else if (f->type == FIELD_INT)
		export_textf(out, "%" PRId64, (int64_t)value);
	else
		put_uint(out, value);
}

/* Buckets that are not empty: its lower edge, and how many. */
static void put_hist(struct export_out *out, const uint64_t *hist, uint32_t buckets)
{
	bool first = true;

	if (!hist) {
		export_text(out, "null");
		return;
	}
	export_text(out, "[");
	for (uint32_t i = 0; i < buckets; i++) {
		uint64_t low, high;

		if (!hist[i])
			continue;
		hist_edges(i, &low, &high);
		export_textf(out, "%s[%" PRIu64 ",%" PRIu64 "]", first ? "" : ",", low, hist[i]);
		first = false;
	}
	export_text(out, "]");
}

static void put_poll(struct export_out *out, const struct brief_poll *p)
{
	export_textf(out, "{\"tid\":%" PRIu32 ",\"start_ns\":%" PRIu64 ",\"length_ns\":%" PRIu64,
		     p->tid, p->start_ns, p->length_ns);
	if (p->site == ID_NONE)
		export_text(out, ",\"site\":null");
	else
		export_textf(out, ",\"site\":%" PRIu32, p->site);
	if (p->task_id)
		export_textf(out, ",\"task_id\":%" PRIu64 "}", p->task_id);
	else
		export_text(out, ",\"task_id\":null}");
}

static void put_frame(struct export_out *out, const struct frame *frame)
{
	for (size_t i = 0; i < trace_frame_fields_count; i++) {
		const struct trace_field *f = &trace_frame_fields[i];

		export_textf(out, "%c\"%s\":", i ? ',' : '{', f->name);
		if (f->type == FIELD_STRING)
			export_json(out, pointer_at(frame, f));
		else
			put_scalar(out, EV_STACK, f, frame);
	}
	export_text(out, "}");
}

static void put_element(struct export_out *out, const struct trace_field *f, const void *array,
			uint32_t i)
{
	if (f->type == FIELD_WORDS)
		put_uint(out, ((const uint32_t *)array)[i]);
	else if (f->type == FIELD_FRAMES)
		put_frame(out, &((const struct frame *)array)[i]);
	else
		put_poll(out, &((const struct brief_poll *)array)[i]);
}

static void put_array(struct export_out *out, const struct trace_field *f,
		      const struct event *event)
{
	const void *array = pointer_at(event, f);
	uint32_t count;

	memcpy(&count, (const char *)event + f->count, sizeof(count));
	export_text(out, "[");
	for (uint32_t i = 0; array && i < count; i++) {
		if (i)
			export_text(out, ",");
		put_element(out, f, array, i);
	}
	export_text(out, "]");
}

static void put_field(struct export_out *out, const struct trace_field *f,
		      const struct event *event)
{
	switch (f->type) {
	case FIELD_STRING: export_json(out, pointer_at(event, f)); break;
	case FIELD_HIST: put_hist(out, pointer_at(event, f), f->limit); break;
	case FIELD_WORDS:
	case FIELD_FRAMES:
	case FIELD_POLLS: put_array(out, f, event); break;
	default: put_scalar(out, event->kind, f, event); break;
	}
}

static int ndjson_event(struct sink *sink, const struct event *event)
{
	struct ndjson *n = (struct ndjson *)sink;
	const struct trace_kind *kind = trace_kind(event->kind);

	export_textf(&n->out, "{\"type\":\"%s\",\"time_ns\":%" PRIu64, event_kind_name(event->kind),
		     event->time_ns);
	if (event->target == ID_NONE)
		export_text(&n->out, ",\"target\":null");
	else
		export_textf(&n->out, ",\"target\":%" PRIu32, event->target);
	for (uint8_t i = 0; kind && event->kind != EV_TICK && i < kind->count; i++) {
		export_textf(&n->out, ",\"%s\":", kind->fields[i].name);
		put_field(&n->out, &kind->fields[i], event);
	}
	export_text(&n->out, "}\n");
	return export_flush(&n->out, false);
}

static int ndjson_finish(struct sink *sink, const struct snapshot *snap)
{
	(void)snap;
	return export_flush(&((struct ndjson *)sink)->out, true);
}

static void ndjson_close(struct sink *sink)
{
	if (!sink)
		return;
	bytes_free(&((struct ndjson *)sink)->out.b);
	free(sink);
}

static const struct sink_ops ndjson_ops = {
	.event = ndjson_event,
	.finish = ndjson_finish,
	.close = ndjson_close,
};

struct sink *ndjson_sink_new(FILE *out)
{
	struct ndjson *n = xcalloc(1, sizeof(*n));

	n->sink.ops = &ndjson_ops;
	n->out.out = out;
	return &n->sink;
}

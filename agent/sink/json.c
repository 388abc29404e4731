// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * NDJSON: decides what is written and when; json_object.c builds the objects. A finding is written
 * at once when it opens or gets a worse severity; other changes at most once a second, so that one
 * that opens and closes with each poll does not flood the reader.
 */
#include "sink/sinks.h"

#include <stdlib.h>
#include <string.h>

#include "sink/json_object.h"
#include "sink/overhead_out.h"
#include "sink/out.h"
#include "sink/progress.h"
#include "sink/view.h"
#include "util/xalloc.h"

#define CHANGE_EVERY UINT64_C(1000000000)
#define NOTES 16 /* kept by the model */

/* A finding as it was last written. */
struct written {
	const struct finding *f;
	uint64_t first_ns, last_ns, worst_ns, count, revision;
	uint64_t time_ns; /* when it was written */
	enum severity severity;
	bool open;
	struct finding copy;
};

/* What was last said about a target. */
struct known {
	uint32_t binaries;
	int64_t workers;
	uint64_t begin_ns;
	bool ended;
};

struct json_sink {
	struct sink sink;
	FILE *out;
	struct json_sink_opts opts;
	struct progress progress;
	bool header;
	struct written *written; /* sorted by address; of the findings there were */
	size_t written_count;
	struct known *known; /* index = target id */
	uint32_t known_count;
	uint32_t notes;
	uint64_t lost, lost_ns, evicted;
};

/* Takes the object. */
static int emit(struct json_sink *s, cJSON *object)
{
	char *text = cJSON_PrintUnformatted(object);
	char *line;
	int rc;

	cJSON_Delete(object);
	if (!text)
		abort();
	line = xasprintf("%s\n", text);
	cJSON_free(text);
	rc = out_write(s->out, line, strlen(line));
	free(line);
	return rc;
}

static struct known known_of(const struct model *m, const struct target *t)
{
	struct known known = {.ended = t->ended, .begin_ns = t->begin_ns};

	for (uint32_t i = 0; i < m->binaries_count; i++) {
		int64_t workers;

		if (m->binaries[i].id == ID_NONE || m->binaries[i].target != t->id)
			continue;
		known.binaries++;
		workers = binary_workers(m, m->binaries[i].id);
		known.workers += workers < 0 ? 0 : workers + 1;
	}
	return known;
}

static void remember_targets(struct json_sink *s, const struct model *m)
{
	s->known = xreallocarray(s->known, m->targets_count, sizeof(*s->known));
	for (uint32_t i = 0; i < m->targets_count; i++)
		s->known[i] = known_of(m, &m->targets[i]);
	s->known_count = m->targets_count;
}

/* The process began anew within one tick: the end of what it ran before was never to be seen. */
static int emit_exec(struct json_sink *s, const struct target *t)
{
	struct target before = *t;

	before.end_reason = TARGET_EXECED;
	before.end_ns = t->begin_ns;
	return emit(s, json_target_end(&before));
}

/* Targets that came, are known better, or ended since the last call. */
static int emit_targets(struct json_sink *s, const struct model *m)
{
	int rc = 0;

	for (uint32_t i = 0; i < m->targets_count && !rc; i++) {
		const struct target *t = &m->targets[i];
		struct known now = known_of(m, t);
		struct known old = {0};
		bool met = i < s->known_count;

		if (t->id == ID_NONE)
			continue;
		if (met)
			old = s->known[i];
		if (met && !old.ended && now.begin_ns != old.begin_ns)
			rc = emit_exec(s, t);
		if (!rc && (!met || now.binaries != old.binaries || now.workers != old.workers ||
			    now.begin_ns != old.begin_ns))
			rc = emit(s, json_target_event(m, t));
		if (!rc && now.ended && !old.ended)
			rc = emit(s, json_target_end(t));
	}
	remember_targets(s, m);
	return rc;
}

static int emit_notes(struct json_sink *s, const struct model *m)
{
	uint32_t from = s->notes;
	int rc = 0;

	if (m->notes_count > NOTES && from < m->notes_count - NOTES)
		from = m->notes_count - NOTES;
	for (; from < m->notes_count && !rc; from++)
		rc = emit(s, json_note(&m->notes[from % NOTES]));
	s->notes = m->notes_count;
	return rc;
}

static int emit_lost(struct json_sink *s, const struct model *m, bool last)
{
	uint64_t count = m->lost - s->lost;

	if (!count || (!last && s->lost && m->now_ns - s->lost_ns < CHANGE_EVERY))
		return 0;
	s->lost = m->lost;
	s->lost_ns = m->now_ns;
	return emit(s, json_lost(m, count));
}

static int json_open(struct sink *sink, const struct snapshot *snap)
{
	struct json_sink *s = (struct json_sink *)sink;

	if (s->header)
		return 0;
	s->header = true;
	remember_targets(s, snap->model);
	/* The header does not tell that one has ended already. */
	for (uint32_t i = 0; i < s->known_count; i++)
		s->known[i].ended = false;
	return emit(s, json_header(snap, s->opts.version));
}

static int written_compare(const void *a, const void *b)
{
	uintptr_t fa = (uintptr_t)((const struct written *)a)->f;
	uintptr_t fb = (uintptr_t)((const struct written *)b)->f;

	return fa < fb ? -1 : fa > fb;
}

/* The revision alone may lag: the rules let it grow once a second. */
static bool is_changed(const struct written *a, const struct written *b)
{
	return a->revision != b->revision || a->open != b->open || a->count != b->count ||
	       a->last_ns != b->last_ns || a->worst_ns != b->worst_ns;
}

/* Fills `now` with what counts as written after this call; true: the finding is to be written. */
static bool is_due(const struct json_sink *s, struct written *now, const struct finding *f,
		   uint64_t now_ns, bool last)
{
	const struct written *old = NULL;

	*now = (struct written){
		.f = f,
		.first_ns = f->first_ns,
		.last_ns = f->last_ns,
		.worst_ns = f->worst_ns,
		.count = f->count,
		.revision = f->revision,
		.time_ns = now_ns,
		.severity = f->severity,
		.open = f->open,
		.copy = *f,
	};
	if (s->written_count)
		old = bsearch(now, s->written, s->written_count, sizeof(*now), written_compare);
	if (!old || old->first_ns != f->first_ns)
		return true;
	if (f->severity > old->severity || (f->open && !old->open))
		return true;
	if (is_changed(old, now) && (last || now_ns - old->time_ns >= CHANGE_EVERY))
		return true;
	*now = *old;
	return false;
}

/*
 * What was written and is no more has its last line too: it was dropped to make room, or withdrawn,
 * because its only poll, still open, has become the case of another rule. Then its count is 0.
 */
static int emit_gone(struct json_sink *s, const struct snapshot *snap, const struct written *next,
		     size_t count)
{
	uint64_t evicted = snap->rules ? rules_evicted(snap->rules) : 0;
	int rc = 0;

	for (size_t i = 0; i < s->written_count && !rc; i++) {
		struct finding *f = &s->written[i].copy;
		const struct written *now = NULL;

		if (count)
			now = bsearch(&s->written[i], next, count, sizeof(*next), written_compare);
		if (now && now->first_ns == s->written[i].first_ns)
			continue;
		f->open = false;
		if (evicted == s->evicted)
			f->count = 0;
		rc = emit(s, json_finding(snap->model, f));
	}
	s->evicted = evicted;
	return rc;
}

static int emit_changes(struct json_sink *s, const struct snapshot *snap, bool last)
{
	const struct finding **all = NULL;
	size_t count = snap->rules ? rules_findings(snap->rules, &all) : 0;
	struct written *next = xcalloc(count, sizeof(*next));
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		if (is_due(s, &next[i], all[i], snap->model->now_ns, last))
			rc = emit(s, json_finding(snap->model, all[i]));
	qsort(next, count, sizeof(*next), written_compare);
	if (!rc)
		rc = emit_gone(s, snap, next, count);
	free(s->written);
	s->written = next;
	s->written_count = count;
	return rc;
}

static int emit_sorted_findings(struct json_sink *s, const struct snapshot *snap)
{
	const struct finding **all;
	size_t count = findings_sorted(snap->rules, &all);
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		rc = emit(s, json_finding(snap->model, all[i]));
	free(all);
	return rc;
}

static int emit_workers(struct json_sink *s, const struct model *m)
{
	const struct worker **list;
	size_t count = workers_sorted(m, false, &list);
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		rc = emit(s, json_worker(m, list[i]));
	free(list);
	return rc;
}

static int emit_sites(struct json_sink *s, const struct model *m)
{
	const struct site **list;
	size_t count = sites_sorted(m, &list);
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		rc = emit(s, json_site(m, list[i]));
	free(list);
	return rc;
}

static int emit_tasks(struct json_sink *s, const struct model *m)
{
	struct task_view *list;
	size_t count = tasks_sorted(m, &list);
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		rc = emit(s, json_task(m, &list[i]));
	free(list);
	return rc;
}

static int emit_dump(struct json_sink *s, const struct model *m)
{
	int rc = 0;

	for (uint32_t i = 0; i < m->runtimes_count && !rc; i++)
		if (m->runtimes[i].id != ID_NONE)
			rc = emit(s, json_runtime(m, &m->runtimes[i]));
	if (!rc)
		rc = emit_workers(s, m);
	if (!rc)
		rc = emit_sites(s, m);
	if (!rc)
		rc = emit_tasks(s, m);
	return rc;
}

static int emit_overhead(struct json_sink *s, const struct model *m)
{
	int rc = 0;

	for (uint32_t i = 0; i < m->targets_count && !rc; i++)
		if (m->targets[i].id != ID_NONE && m->targets[i].overhead_seen)
			rc = emit(s, json_overhead(&m->targets[i]));
	return rc;
}

static bool is_live(const struct snapshot *snap)
{
	static const char *const live[] = {"top", "record", "replay"};

	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++)
		if (!strcmp(snap->command, live[i]))
			return true;
	return false;
}

static int emit_pending(struct json_sink *s, const struct snapshot *snap, bool last)
{
	int rc = emit_targets(s, snap->model);

	if (!rc)
		rc = emit_notes(s, snap->model);
	if (!rc)
		rc = emit_lost(s, snap->model, last);
	return rc;
}

static int json_snapshot(struct sink *sink, const struct snapshot *snap)
{
	struct json_sink *s = (struct json_sink *)sink;
	int rc = json_open(sink, snap);

	if (!is_live(snap))
		progress_update(&s->progress, snap);
	if (!rc)
		rc = emit_pending(s, snap, false);
	if (!rc && is_live(snap))
		rc = emit_changes(s, snap, false);
	return rc;
}

static int json_finish(struct sink *sink, const struct snapshot *snap)
{
	struct json_sink *s = (struct json_sink *)sink;
	int rc = json_open(sink, snap);

	progress_clear(&s->progress);
	if (!rc)
		rc = emit_pending(s, snap, true);
	if (!rc && !strcmp(snap->command, "dump"))
		rc = emit_dump(s, snap->model);
	if (!rc && is_live(snap))
		rc = emit_changes(s, snap, true);
	else if (!rc)
		rc = emit_sorted_findings(s, snap);
	if (!rc)
		rc = emit_overhead(s, snap->model);
	if (!rc)
		rc = emit(s, json_footer(snap, &s->opts.outcome));
	return rc;
}

static void json_close(struct sink *sink)
{
	struct json_sink *s = (struct json_sink *)sink;

	if (!s)
		return;
	progress_clear(&s->progress);
	free(s->written);
	free(s->known);
	free(s);
}

static const struct sink_ops json_ops = {
	.open = json_open,
	.snapshot = json_snapshot,
	.finish = json_finish,
	.close = json_close,
};

struct sink *json_sink_new(FILE *out, const struct json_sink_opts *o)
{
	struct json_sink *s = xcalloc(1, sizeof(*s));

	s->sink.ops = &json_ops;
	s->out = out;
	s->opts = *o;
	s->progress.opts = o->progress;
	return &s->sink;
}

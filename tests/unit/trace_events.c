// SPDX-License-Identifier: LGPL-2.1-or-later
#include "trace_events.h"

static const char *const texts[] = {
	NULL, "", "a", "my_crate::handler", "caf\xc3\xa9", "/usr/bin/app", "fd 7: pipe", "same",
};

uint64_t random_number(uint64_t *seed, uint64_t below)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	x ^= x >> 31;
	if (below)
		return x % below;
	return x >> (x & 63);
}

static void fill_scalars(struct random_event *r, const struct trace_field *f, void *base)
{
	uint64_t value = random_number(&r->seed, 0);
	const char *text;

	switch (f->type) {
	case FIELD_STRING:
		text = texts[random_number(&r->seed, sizeof(texts) / sizeof(texts[0]))];
		memcpy((char *)base + f->offset, &text, sizeof(text));
		return;
	case FIELD_ENUM: value %= f->limit + 1; break;
	case FIELD_BOOL: value &= 1; break;
	case FIELD_TIME: value >>= 1; break; /* below 2^63, as times are */
	case FIELD_ID:
	case FIELD_INT: value = random_number(&r->seed, 4) ? value : UINT64_MAX; break;
	default: break;
	}
	field_store(f, base, value);
}

static const void *fill_array(struct random_event *r, const struct trace_field *f, uint32_t count)
{
	uint64_t *hist;

	if (f->type == FIELD_HIST) {
		hist = r->hists[r->hists_used++];
		for (uint32_t i = 0; i < HIST_BUCKETS; i++)
			hist[i] = random_number(&r->seed, 3) ? 0 : random_number(&r->seed, 0);
		return random_number(&r->seed, 4) ? hist : NULL;
	}
	for (uint32_t i = 0; i < count && f->type == FIELD_WORDS; i++)
		r->words[i] = (uint32_t)random_number(&r->seed, 0);
	for (uint32_t i = 0; i < count && f->type == FIELD_FRAMES; i++)
		for (size_t j = 0; j < trace_frame_fields_count; j++)
			fill_scalars(r, &trace_frame_fields[j], &r->frames[i]);
	for (uint32_t i = 0; i < count && f->type == FIELD_POLLS; i++)
		r->polls[i] = (struct brief_poll){
			.start_ns = random_number(&r->seed, 0),
			.length_ns = random_number(&r->seed, 0),
			.task_id = random_number(&r->seed, 0),
			.tid = (uint32_t)random_number(&r->seed, 0),
			.site = (uint32_t)random_number(&r->seed, 0),
		};
	if (!count)
		return NULL;
	return f->type == FIELD_WORDS  ? (const void *)r->words :
	       f->type == FIELD_FRAMES ? (const void *)r->frames :
					 (const void *)r->polls;
}

void random_fill(struct random_event *r, uint32_t kind)
{
	const struct trace_kind *k = trace_kind(kind);

	memset(&r->event, 0, sizeof(r->event));
	memset(r->frames, 0, sizeof(r->frames));
	r->hists_used = 0;
	r->event.kind = kind;
	r->event.target = random_number(&r->seed, 3) ? (uint32_t)random_number(&r->seed, 64) :
						       ID_NONE;
	r->event.time_ns = random_number(&r->seed, 0) >> 1;
	for (uint32_t i = 0; i < k->count; i++) {
		const struct trace_field *f = &k->fields[i];
		uint32_t count = 0;
		const void *list;

		if (f->type < FIELD_HIST) {
			fill_scalars(r, f, &r->event);
			continue;
		}
		if (f->type != FIELD_HIST) {
			count = (uint32_t)random_number(&r->seed, f->limit / 8);
			count = random_number(&r->seed, 16) ? count : f->limit;
			memcpy((char *)&r->event + f->count, &count, sizeof(count));
		}
		list = fill_array(r, f, count);
		memcpy((char *)&r->event + f->offset, &list, sizeof(list));
	}
}

static void same_scalar(const struct trace_field *f, const void *want, const void *got)
{
	const char *a, *b;

	if (f->type != FIELD_STRING) {
		if (field_load(f, want) != field_load(f, got))
			fail_msg("%s: %llu became %llu", f->name,
				 (unsigned long long)field_load(f, want),
				 (unsigned long long)field_load(f, got));
		return;
	}
	memcpy(&a, (const char *)want + f->offset, sizeof(a));
	memcpy(&b, (const char *)got + f->offset, sizeof(b));
	if (!a != !b || (a && strcmp(a, b) != 0))
		fail_msg("%s: \"%s\" became \"%s\"", f->name, a ? a : "NULL", b ? b : "NULL");
}

static void same_array(const struct trace_field *f, const struct event *want,
		       const struct event *got)
{
	const void *a, *b;
	uint32_t count = 0;

	memcpy(&a, (const char *)want + f->offset, sizeof(a));
	memcpy(&b, (const char *)got + f->offset, sizeof(b));
	assert_int_equal(!a, !b);
	if (f->type != FIELD_HIST)
		memcpy(&count, (const char *)want + f->count, sizeof(count));
	if (f->type == FIELD_HIST && a)
		assert_memory_equal(a, b, HIST_BUCKETS * sizeof(uint64_t));
	if (f->type == FIELD_WORDS && count)
		assert_memory_equal(a, b, count * sizeof(uint32_t));
	if (f->type == FIELD_POLLS && count)
		assert_memory_equal(a, b, count * sizeof(struct brief_poll));
	for (uint32_t i = 0; i < count && f->type == FIELD_FRAMES; i++)
		for (size_t j = 0; j < trace_frame_fields_count; j++)
			same_scalar(&trace_frame_fields[j], (const struct frame *)a + i,
				    (const struct frame *)b + i);
}

void same_event(const struct event *want, const struct event *got)
{
	const struct trace_kind *k = trace_kind(want->kind);

	assert_int_equal(want->kind, got->kind);
	assert_int_equal(want->target, got->target);
	assert_int_equal(want->time_ns, got->time_ns);
	for (uint32_t i = 0; i < k->count; i++) {
		if (k->fields[i].type < FIELD_HIST)
			same_scalar(&k->fields[i], want, got);
		else
			same_array(&k->fields[i], want, got);
	}
}

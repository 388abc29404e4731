// SPDX-License-Identifier: LGPL-2.1-or-later
/* The Perfetto export as a viewer reads it: what is nested in what, and where flows lead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "sink/fold.h"
#include "sink/perfetto_write.h"
#include "sink_fixture.h"

#define MS UINT64_C(1000000)
#define AT(ms) (FIXTURE_BEGIN + (ms)*MS)
#define TID 4243
#define EVENTS_MAX 256
#define OPEN UINT64_MAX /* the length of a slice without an end */

/* A packet's event, and what the viewer makes of it. */
struct shown {
	uint64_t type, track, time_ns, category, flow, flow_end;
	uint64_t length_ns;
	const struct shown *parent; /* NULL: none */
};

struct world {
	struct fixture f;
	struct fold fold;
	struct shown shown[EVENTS_MAX];
	size_t count;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	fixture_open(&w->f, "export", "shop");
	fold_init(&w->fold, FOLD_BY_LINE);
	w->f.sink = perfetto_sink_new(w->f.out, w->f.model, 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	w->f.sink->ops->close(w->f.sink);
	fold_free(&w->fold);
	fixture_close(&w->f);
	free(w);
	return 0;
}

/* --- a reader ------------------------------------------------------------------------------ */

/* The number, or where the bytes are. */
static uint32_t field(struct cursor *c, uint64_t *value, struct cursor *bytes)
{
	uint64_t tag = cursor_varint(c), size;
	const uint8_t *at;

	switch (tag & 7) {
	case 0: *value = cursor_varint(c); break;
	case 1:
		at = cursor_bytes(c, sizeof(*value));
		assert_non_null(at);
		memcpy(value, at, sizeof(*value));
		break;
	default:
		assert_int_equal(tag & 7, 2);
		size = cursor_varint(c);
		at = cursor_bytes(c, size);
		assert_non_null(at);
		*bytes = (struct cursor){.at = at, .end = at + size};
	}
	assert_false(c->bad);
	return (uint32_t)(tag >> 3);
}

static void read_event(struct cursor c, struct shown *out)
{
	struct cursor bytes;
	uint64_t value;

	while (cursor_left(&c)) {
		switch (field(&c, &value, &bytes)) {
		case 3: out->category = value; break;
		case 9: out->type = value; break;
		case 11: out->track = value; break;
		case 47: out->flow = value; break;
		case 48: out->flow_end = value; break;
		default: break;
		}
	}
}

/* By time; of the same time in the order of the file. */
static void insert(struct world *w, const struct shown *event)
{
	size_t at = w->count++;

	assert_in_range(w->count, 1, EVENTS_MAX);
	for (; at && w->shown[at - 1].time_ns > event->time_ns; at--)
		w->shown[at] = w->shown[at - 1];
	w->shown[at] = *event;
}

static struct shown *open_on(struct world *w, size_t before, uint64_t track)
{
	while (before--)
		if (w->shown[before].type == PF_BEGIN && w->shown[before].track == track &&
		    w->shown[before].length_ns == OPEN)
			return &w->shown[before];
	return NULL;
}

/* An end is of the slice that was begun last on its track. */
static void nest(struct world *w)
{
	for (size_t i = 0; i < w->count; i++) {
		struct shown *s = &w->shown[i], *top = open_on(w, i, s->track);

		s->parent = top;
		s->length_ns = OPEN;
		if (s->type != PF_END)
			continue;
		assert_non_null(top);
		top->length_ns = s->time_ns - top->time_ns;
	}
}

/* The trace has ended, and is read. */
static void finish(struct world *w)
{
	struct cursor c, packet, event;
	uint64_t value;

	assert_int_equal(w->f.sink->ops->finish(w->f.sink, &w->f.snap), 0);
	fixture_text(&w->f);
	c = (struct cursor){.at = (uint8_t *)w->f.text, .end = (uint8_t *)w->f.text + w->f.size};
	while (cursor_left(&c)) {
		struct shown shown = {0};

		assert_int_equal(field(&c, &value, &packet), 1);
		while (cursor_left(&packet)) {
			switch (field(&packet, &value, &event)) {
			case 8: shown.time_ns = value; break;
			case 11: read_event(event, &shown); break;
			default: break;
			}
		}
		if (shown.type)
			insert(w, &shown);
	}
	nest(w);
}

/* The nth of its category; NULL: there are not that many. */
static const struct shown *shown(const struct world *w, enum pf_category category, unsigned int nth)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->shown[i].category == category && !nth--)
			return &w->shown[i];
	return NULL;
}

static void is_slice(const struct shown *s, uint64_t start_ns, uint64_t length_ns)
{
	assert_non_null(s);
	assert_int_equal(s->type, PF_BEGIN);
	assert_int_equal(s->time_ns, start_ns);
	assert_int_equal(s->length_ns, length_ns);
}

/* --- a trace ------------------------------------------------------------------------------- */

static void apply(struct world *w, uint64_t time_ns, struct event event)
{
	w->f.now = event.time_ns = time_ns;
	fold_add(&w->fold, w->f.model, &event);
	fixture_apply(&w->f, event);
}

static void poll(struct world *w, enum event_kind kind, uint64_t start_ms, uint64_t ms)
{
	apply(w, AT(start_ms + ms),
	      (struct event){.kind = kind,
			     .as_poll = {.tid = TID,
					 .runtime = 0,
					 .site = FIXTURE_CART,
					 .task_id = 7,
					 .start_ns = AT(start_ms),
					 .length_ns = ms * MS,
					 .syscall = -1}});
}

/* It ended before the records were read. */
static void brief(struct world *w, uint64_t start_ms, uint64_t ms)
{
	const struct brief_poll list = {.start_ns = AT(start_ms),
					.length_ns = ms * MS,
					.task_id = 7,
					.tid = TID,
					.site = FIXTURE_CART};

	apply(w, AT(start_ms + ms),
	      (struct event){.kind = EV_POLLS, .as_polls = {.count = 1, .list = &list}});
}

static void block(struct world *w, uint64_t poll_ms, uint64_t begin_ms, uint64_t ms, bool open)
{
	apply(w, w->f.now,
	      (struct event){.kind = EV_STACK,
			     .as_stack = {.tid = TID,
					  .runtime = 0,
					  .site = FIXTURE_CART,
					  .kind = STACK_OFF_CPU,
					  .poll_start_ns = AT(poll_ms),
					  .begin_ns = AT(begin_ms),
					  .span_ns = ms * MS,
					  .open = open,
					  .syscall = -1}});
}

static uint64_t folded_ns(const struct world *w)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->fold.rows_count; i++)
		sum += w->fold.rows[i].weight;
	return sum;
}

/* --- tests --------------------------------------------------------------------------------- */

/* An open one that was awake already, and had no CPU, seemed longer than it was. */
static void shorter_at_its_end(void **state)
{
	struct world *w = *state;

	block(w, 10, 11, 22, true);
	poll(w, EV_POLL, 10, 30);
	block(w, 10, 11, 15, false);
	finish(w);
	is_slice(shown(w, PF_POLL, 0), AT(10), 30 * MS);
	is_slice(shown(w, PF_BLOCK, 0), AT(11), 15 * MS);
	assert_ptr_equal(shown(w, PF_BLOCK, 0)->parent, shown(w, PF_POLL, 0));
	assert_null(shown(w, PF_BLOCK, 1));
	assert_int_equal(folded_ns(w), 15 * MS);
	assert_int_equal(w->fold.rows[0].stacks, 1);
}

/* Two that began at different times are two, whatever their lengths. */
static void siblings(void **state)
{
	struct world *w = *state;

	block(w, 10, 11, 4, true);
	block(w, 10, 20, 5, false);
	poll(w, EV_POLL, 10, 30);
	finish(w);
	is_slice(shown(w, PF_BLOCK, 0), AT(11), 4 * MS);
	is_slice(shown(w, PF_BLOCK, 1), AT(20), 5 * MS);
	for (unsigned int i = 0; i < 2; i++)
		assert_ptr_equal(shown(w, PF_BLOCK, i)->parent, shown(w, PF_POLL, 0));
	assert_int_equal(folded_ns(w), 9 * MS);
}

/* What is told of an open one may be too much; its poll and the next block know better. */
static void never_beyond(void **state)
{
	struct world *w = *state;

	block(w, 10, 11, 14, true);
	block(w, 10, 20, 25, true);
	poll(w, EV_POLL, 10, 30);
	poll(w, EV_POLL, 50, 10);
	block(w, 50, 55, 9, true);
	finish(w);
	is_slice(shown(w, PF_POLL, 0), AT(10), 30 * MS);
	is_slice(shown(w, PF_BLOCK, 0), AT(11), 9 * MS);
	is_slice(shown(w, PF_BLOCK, 1), AT(20), 20 * MS);
	is_slice(shown(w, PF_BLOCK, 2), AT(55), 5 * MS);
	for (unsigned int i = 0; i < 3; i++)
		assert_ptr_equal(shown(w, PF_BLOCK, i)->parent, shown(w, PF_POLL, i / 2));
}

/* The same with --polls, where polls come in short, and those in full wait to be joined. */
static void never_beyond_any_poll(void **state)
{
	struct world *w = *state;

	brief(w, 10, 30);
	block(w, 10, 20, 25, true);
	block(w, 50, 55, 25, true);
	brief(w, 50, 10);
	poll(w, EV_POLL, 70, 10);
	block(w, 70, 71, 12, true);
	block(w, 90, 91, 2, false);
	finish(w);
	is_slice(shown(w, PF_POLL, 0), AT(10), 30 * MS);
	is_slice(shown(w, PF_POLL, 1), AT(50), 10 * MS);
	is_slice(shown(w, PF_POLL, 2), AT(70), 10 * MS);
	is_slice(shown(w, PF_BLOCK, 0), AT(20), 20 * MS);
	is_slice(shown(w, PF_BLOCK, 1), AT(55), 5 * MS);
	is_slice(shown(w, PF_BLOCK, 2), AT(71), 9 * MS);
}

/* All that is known of both is one moment, and the poll is not over. */
static void in_a_poll_without_an_end(void **state)
{
	struct world *w = *state;

	poll(w, EV_POLL_OPEN, 10, 20);
	block(w, 10, 10, 20, true);
	finish(w);
	is_slice(shown(w, PF_POLL, 0), AT(10), OPEN);
	is_slice(shown(w, PF_BLOCK, 0), AT(10), 20 * MS);
	assert_ptr_equal(shown(w, PF_BLOCK, 0)->parent, shown(w, PF_POLL, 0));
	assert_null(shown(w, PF_POLL, 0)->parent);
}

/* A short block may have a stack; its poll, below the threshold, is not told. */
static void without_a_poll(void **state)
{
	struct world *w = *state;

	poll(w, EV_POLL, 10, 5);
	block(w, 20, 21, 3, false);
	block(w, 30, 30, 3, false);
	poll(w, EV_POLL, 40, 5);
	finish(w);
	for (unsigned int i = 0; i < 2; i++) {
		is_slice(shown(w, PF_BLOCK, i), i ? AT(30) : AT(21), 3 * MS);
		assert_null(shown(w, PF_BLOCK, i)->parent);
		assert_null(shown(w, PF_POLL, i)->parent);
	}
	assert_int_equal(folded_ns(w), 6 * MS);
}

static void ready(struct world *w, uint64_t seen_ms, uint64_t waited_ms)
{
	apply(w, AT(seen_ms),
	      (struct event){.kind = EV_READY,
			     .as_ready = {.runtime = 0,
					  .site = FIXTURE_CART,
					  .task_id = 7,
					  .ready = 1,
					  .waited_ns = waited_ms * MS}});
}

static void flows(const struct shown *from, uint64_t time_ns, const struct shown *to)
{
	assert_non_null(from);
	assert_int_equal(from->time_ns, time_ns);
	assert_int_not_equal(from->flow, 0);
	assert_int_equal(from->flow, to->flow_end);
}

static void waits_lead_to_polls(void **state)
{
	struct world *w = *state;

	brief(w, 10, 2);
	ready(w, 30, 10);
	ready(w, 35, 15); /* again */
	brief(w, 40, 2);
	brief(w, 50, 2);
	finish(w);
	flows(shown(w, PF_READY, 0), AT(20), shown(w, PF_TASK, 1));
	assert_null(shown(w, PF_READY, 1));
	assert_int_equal(shown(w, PF_TASK, 0)->flow_end, 0);
	assert_int_equal(shown(w, PF_TASK, 2)->flow_end, 0);
}

/* What was polled since did not wait since; what was polled after it was seen, and told before, has no flow. */
static void waits_that_polls_deny(void **state)
{
	struct world *w = *state;

	brief(w, 10, 2);
	brief(w, 20, 2);
	ready(w, 30, 25);
	brief(w, 40, 2);
	brief(w, 60, 2);
	ready(w, 50, 5);
	brief(w, 70, 2);
	finish(w);
	flows(shown(w, PF_READY, 0), AT(30), shown(w, PF_TASK, 2));
	assert_null(shown(w, PF_READY, 1));
	assert_int_equal(shown(w, PF_TASK, 4)->flow_end, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shorter_at_its_end, setup, teardown),
		cmocka_unit_test_setup_teardown(siblings, setup, teardown),
		cmocka_unit_test_setup_teardown(never_beyond, setup, teardown),
		cmocka_unit_test_setup_teardown(never_beyond_any_poll, setup, teardown),
		cmocka_unit_test_setup_teardown(in_a_poll_without_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_poll, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_lead_to_polls, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_that_polls_deny, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

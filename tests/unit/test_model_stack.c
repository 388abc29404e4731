// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stacks of sites: whom they blame, which of them are one row, what makes room. */
#include "model_events.h"

#include <stdio.h>

#define POLL_START 0x1000
#define POLL_BODY 0x1800

#define USER(name)                                                                                 \
	{                                                                                          \
		.function = (name), .file = "src/a.rs", .line = 7, .origin = FRAME_USER            \
	}
#define STD(name)                                                                                  \
	{                                                                                          \
		.function = (name), .origin = FRAME_STD                                            \
	}
#define LIBRARY(name)                                                                              \
	{                                                                                          \
		.function = (name), .origin = FRAME_LIBRARY                                        \
	}
#define SYSTEM(name)                                                                               \
	{                                                                                          \
		.function = (name), .binary = "/libc", .origin = FRAME_SYSTEM                      \
	}
#define BOUNDARY                                                                                   \
	{                                                                                          \
		.function = "tokio::runtime::task::raw::poll", .origin = FRAME_BOUNDARY            \
	}
#define NAMELESS(at)                                                                               \
	{                                                                                          \
		.binary = "/app", .offset = (at), .start = (at)-8                                  \
	}
#define BODY                                                                                       \
	{                                                                                          \
		.binary = "/app", .offset = POLL_BODY + 9, .start = POLL_BODY                      \
	}
#define POLL                                                                                       \
	{                                                                                          \
		.binary = "/app", .offset = POLL_START + 9, .start = POLL_START                    \
	}
#define RUNTIME                                                                                    \
	{                                                                                          \
		.function = "tokio::runtime::run", .origin = FRAME_RUNTIME                         \
	}

#define FRAMES(...) ((const struct frame[]){__VA_ARGS__})
#define COUNT(...) (sizeof(FRAMES(__VA_ARGS__)) / sizeof(struct frame))

static struct model *watched_poll(void)
{
	struct model *m = watched();

	APPLY(m, EV_SITE, T0, 0,
	      .as_site = {
		      .site = 0, .name = "app::handler", .offset = POLL_START, .body = POLL_BODY});
	return m;
}

static struct ev_stack stack_of(const struct frame *frames, uint32_t count, uint64_t span)
{
	return (struct ev_stack){
		.tid = 11,
		.runtime = ID_NONE,
		.poll_start_ns = T0,
		.kind = STACK_OFF_CPU,
		.span_ns = span,
		.syscall = 230,
		.frames = frames,
		.frames_count = count,
	};
}

#define SEND(m, time_, stack_) APPLY(m, EV_STACK, time_, 0, .as_stack = (stack_))

static const struct site_stack *row_of(const struct model *m, enum stack_kind kind)
{
	return model_stack(model_site(m, 0), kind, NULL);
}

static void blames(const struct frame *frames, uint32_t count, int32_t culprit)
{
	struct model *m = watched_poll();
	const struct site_stack *row;

	SEND(m, T0, stack_of(frames, count, MS));
	row = row_of(m, STACK_OFF_CPU);
	assert_int_equal(row->culprit, culprit);
	assert_int_equal(row->call, culprit < 0 ? -1 : culprit - 1);
	assert_int_equal(row->frames_count, count);
	model_free(m);
}

#define BLAMES(culprit, ...) blames(FRAMES(__VA_ARGS__), COUNT(__VA_ARGS__), culprit)

static void culprits(void **state)
{
	(void)state;
	/* The first user frame, not the handler further out. */
	BLAMES(2, SYSTEM("nanosleep"), STD("std::thread::sleep"), USER("app::load"),
	       USER("app::handler"), BOUNDARY, RUNTIME);
	/* A user frame outside the poll is main: not the task's. */
	BLAMES(1, STD("std::thread::sleep"), BOUNDARY, USER("app::main"));
	/* Nothing of the user's: what a library does for it. */
	BLAMES(1, SYSTEM("read"), LIBRARY("rusqlite::step"), LIBRARY("pool::get"), BOUNDARY);
	/* It waits itself. */
	BLAMES(0, USER("app::spin"), BOUNDARY);
	BLAMES(0, BOUNDARY, USER("app::main"));
	/* Where the stack is cut before the poll, only the program's own code is certain. */
	BLAMES(1, SYSTEM("read"), USER("app::load"), STD("core::x"));
	BLAMES(-1, SYSTEM("read"), LIBRARY("rusqlite::step"), STD("core::x"));
	BLAMES(-1, SYSTEM("read"), NAMELESS(0x500));
}

static void culprits_without_names(void **state)
{
	(void)state;
	BLAMES(2, SYSTEM("nanosleep"), NAMELESS(0x100), NAMELESS(0x200), POLL, NAMELESS(0x300));
	/* Poll is but a jump: the function behind it is where the task begins. */
	BLAMES(1, SYSTEM("nanosleep"), NAMELESS(0x200), BODY, NAMELESS(0x300));
	/* All of the task is inlined into its poll function. */
	BLAMES(1, SYSTEM("nanosleep"), POLL, NAMELESS(0x300));
	/* A name beats a place. */
	BLAMES(1, NAMELESS(0x100), USER("app::load"), NAMELESS(0x200), POLL);
}

/* What is inlined into the poll function has its start, and is the task's. */
static void inlined_into_poll(void **state)
{
	const struct frame frames[] = {
		SYSTEM("nanosleep"),
		{.function = "app::load",
		 .binary = "/app",
		 .start = POLL_START,
		 .inlined = true,
		 .origin = FRAME_USER},
		POLL,
		RUNTIME,
	};

	(void)state;
	blames(frames, 4, 1);
}

/* The same start in another binary is another function. */
static void poll_of_another_binary(void **state)
{
	const struct frame frames[] = {
		SYSTEM("nanosleep"),
		{.binary = "/lib/other.so", .start = POLL_START},
		USER("app::load"),
		POLL,
	};

	(void)state;
	blames(frames, 4, 2);
}

static void empty_stack(void **state)
{
	(void)state;
	blames(NULL, 0, -1);
}

static void rows(void **state)
{
	const struct frame slow[] = {STD("sleep"), USER("app::slow"), BOUNDARY};
	const struct frame slow_longer[] = {SYSTEM("nanosleep"), STD("sleep"), USER("app::slow"),
					    BOUNDARY};
	const struct frame other[] = {STD("read"), USER("app::slow"), BOUNDARY};
	struct model *m = watched_poll();
	const struct site_stack *row;
	struct ev_stack ev;
	double share;

	(void)state;
	SEND(m, T0, stack_of(slow, 3, 10 * MS));
	SEND(m, T0 + 1, stack_of(slow_longer, 4, 30 * MS));
	SEND(m, T0 + 2, stack_of(slow, 3, 20 * MS));
	SEND(m, T0 + 3, stack_of(other, 3, 20 * MS));
	ev = stack_of(slow, 3, 500 * MS);
	ev.kind = STACK_ON_CPU;
	SEND(m, T0 + 4, ev);
	assert_int_equal(model_site(m, 0)->stacks->count, 3);
	assert_int_equal(model_site(m, 0)->stacks->taken[STACK_OFF_CPU], 4);
	assert_int_equal(model_site(m, 0)->stacks->taken[STACK_ON_CPU], 1);
	row = model_stack(model_site(m, 0), STACK_OFF_CPU, &share);
	assert_int_equal(row->count, 3);
	assert_int_equal(row->total_ns, 60 * MS);
	assert_int_equal(row->worst_ns, 30 * MS);
	assert_int_equal(row->first_ns, T0);
	assert_int_equal(row->last_ns, T0 + 2);
	assert_int_equal(row->frames_count, 4);
	assert_string_equal(row->frames[row->culprit].function, "app::slow");
	assert_string_equal(row->frames[row->call].function, "sleep");
	assert_true(share > 0.74 && share < 0.76);
	assert_null(model_stack(model_site(m, 1), STACK_OFF_CPU, &share));
	model_free(m);
}

/* A block that is told while it lasts is one block. */
static void open_then_closed(void **state)
{
	const struct frame frames[] = {STD("sleep"), USER("app::slow"), BOUNDARY};
	struct ev_stack ev = stack_of(frames, 3, 100 * MS);
	struct model *m = watched_poll();
	const struct site_stack *row;

	(void)state;
	ev.open = true;
	SEND(m, T0, ev);
	ev.span_ns = 200 * MS;
	SEND(m, T0 + 1, ev);
	ev.open = false;
	ev.span_ns = 250 * MS;
	SEND(m, T0 + 2, ev);
	row = row_of(m, STACK_OFF_CPU);
	assert_int_equal(row->count, 1);
	assert_int_equal(row->total_ns, 250 * MS);
	assert_int_equal(row->worst_ns, 250 * MS);
	/* The next block of the same poll is another. */
	SEND(m, T0 + 3, ev);
	assert_int_equal(row->count, 2);
	assert_int_equal(row->total_ns, 500 * MS);
	/* Samples of a poll that lasts are many. */
	ev.kind = STACK_ON_CPU;
	ev.open = true;
	SEND(m, T0 + 4, ev);
	SEND(m, T0 + 5, ev);
	assert_int_equal(row_of(m, STACK_ON_CPU)->count, 2);
	model_free(m);
}

/* A block is known by its begin: its end counts, also when it seemed longer before. */
static void known_by_its_begin(void **state)
{
	const struct frame frames[] = {STD("sleep"), USER("app::slow"), BOUNDARY};
	struct ev_stack ev = stack_of(frames, 3, 22 * MS);
	struct model *m = watched_poll();

	(void)state;
	ev.open = true;
	ev.begin_ns = T0;
	SEND(m, T0 + 22 * MS, ev);
	ev.open = false;
	ev.span_ns = 15 * MS;
	SEND(m, T0 + 23 * MS, ev);
	assert_int_equal(row_of(m, STACK_OFF_CPU)->count, 1);
	assert_int_equal(row_of(m, STACK_OFF_CPU)->total_ns, 15 * MS);
	/* Two that began at different times are two, whatever their lengths. */
	ev.open = true;
	ev.begin_ns = T0 + 30 * MS;
	SEND(m, T0 + 45 * MS, ev);
	ev.open = false;
	ev.begin_ns = T0 + 50 * MS;
	ev.span_ns = 20 * MS;
	SEND(m, T0 + 70 * MS, ev);
	assert_int_equal(row_of(m, STACK_OFF_CPU)->count, 3);
	assert_int_equal(row_of(m, STACK_OFF_CPU)->total_ns, 50 * MS);
	model_free(m);
}

static void lightest_makes_room(void **state)
{
	struct model *m = watched_poll();
	const struct site_stacks *stacks;
	char name[32];

	(void)state;
	for (uint64_t i = 0; i < SITE_STACKS + 3; i++) {
		const struct frame frames[] = {USER(name), BOUNDARY};

		snprintf(name, sizeof(name), "app::f%u", (unsigned int)i);
		SEND(m, T0 + i, stack_of(frames, 2, (i + 1) * MS));
	}
	stacks = model_site(m, 0)->stacks;
	assert_int_equal(stacks->count, SITE_STACKS);
	assert_int_equal(stacks->evicted, 3);
	for (uint32_t i = 0; i < stacks->count; i++)
		assert_true(stacks->list[i].total_ns > 3 * MS);
	/* A sample does not compete with blocks while these have more rows: it takes one of theirs. */
	for (uint32_t i = 0; i < 2; i++) {
		struct ev_stack ev = stack_of(FRAMES(BOUNDARY), 1, MS);

		ev.kind = STACK_ON_CPU;
		SEND(m, T0 + 20, ev);
	}
	assert_int_equal(row_of(m, STACK_ON_CPU)->count, 2);
	assert_int_equal(stacks->evicted, 4);
	model_free(m);
}

/* Strings of any length are cut; with all room gone stacks are counted, not kept. */
static void bounded_memory(void **state)
{
	static char text[20000];
	struct frame frames[FRAMES_MAX];
	struct model *m = watched_poll();
	struct ev_stack ev = stack_of(frames, FRAMES_MAX, MS);

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memset(frames, 0, sizeof(frames));
	for (uint32_t i = 0; i < FRAMES_MAX; i++)
		frames[i] = (struct frame){.function = text, .file = text};
	SEND(m, T0, ev);
	assert_int_equal(strlen(row_of(m, STACK_OFF_CPU)->frames[3].file), 4096);
	for (uint32_t i = 10; i < 20; i++)
		APPLY(m, EV_SITE, T0, 0, .as_site = {.site = i, .name = "app::many"});
	for (uint32_t i = 0; i < 80; i++) {
		ev.site = 10 + i / SITE_STACKS;
		frames[0].origin = FRAME_USER;
		frames[0].line = i;
		SEND(m, T0 + i, ev);
	}
	assert_true(m->stacks_dropped > 0);
	assert_int_equal(model_site(m, 19)->stacks->count, 0);
	assert_int_equal(model_site(m, 19)->stacks->taken[STACK_OFF_CPU], SITE_STACKS);
	assert_null(model_stack(model_site(m, 19), STACK_OFF_CPU, NULL));
	model_free(m);
}

static void refused(void **state)
{
	struct frame frame = USER("app::load");
	struct model *m = watched_poll();
	struct ev_stack ev = stack_of(&frame, 1, MS), bad;

	(void)state;
#define BAD(member, value)                                                                         \
	bad = ev;                                                                                  \
	bad.member = (value);                                                                      \
	REFUSED(m, EV_STACK, T0, 0, .as_stack = bad)
	BAD(frames_count, FRAMES_MAX + 1);
	BAD(frames, NULL);
	BAD(kind, STACK_KINDS);
	BAD(end, STACK_FAILED + 1);
	BAD(site, 2); /* of the other target */
	BAD(site, 77);
	BAD(runtime, 77);
	REFUSED(m, EV_STACK, T0, 9, .as_stack = ev);
	frame.origin = FRAME_SYSTEM + 1;
	REFUSED(m, EV_STACK, T0, 0, .as_stack = ev);
	frame.origin = FRAME_USER;
	frame.from = FRAME_FROM_PLACE + 1;
	REFUSED(m, EV_STACK, T0, 0, .as_stack = ev);
	frame.from = FRAME_FROM_LINE;
	ev.site = ID_NONE;
	SEND(m, T0, ev);
	assert_null(model_site(m, 0)->stacks);
	model_free(m);
}

/* Who spawns: the first user frame within the poll that does it, else a library's, else nobody. */
static void blames_the_spawner(void **state)
{
	static const struct {
		struct frame frames[6];
		uint32_t count;
		int32_t culprit;
	} cases[] = {
		{{RUNTIME, RUNTIME, USER("app::accept"), USER("app::run"), BOUNDARY}, 5, 2},
		{{RUNTIME, LIBRARY("hyper::serve"), USER("app::run"), BOUNDARY}, 4, 2},
		{{RUNTIME, LIBRARY("hyper::serve"), BOUNDARY, RUNTIME, USER("app::main")}, 5, 1},
		{{RUNTIME, BOUNDARY, RUNTIME, USER("app::main")}, 4, -1},
		{{RUNTIME, STD("std::thread::with"), USER("app::main"), STD("main")}, 4, 2},
		{{NAMELESS(0x10), NAMELESS(0x20)}, 2, -1},
	};
	struct model *m;
	double share = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ev_stack ev = stack_of(cases[i].frames, cases[i].count, 0);

		m = watched_poll();
		ev.kind = STACK_SPAWN;
		SEND(m, T0 + i, ev);
		assert_int_equal(model_stack(model_site(m, 0), STACK_SPAWN, NULL)->culprit,
				 cases[i].culprit);
		assert_null(model_stack(model_site(m, 0), STACK_OFF_CPU, NULL));
		model_free(m);
	}
	m = watched_poll();
	/* By number, not by time. */
	for (int i = 0; i < 4; i++) {
		struct ev_stack ev = stack_of(cases[i ? 0 : 4].frames, cases[i ? 0 : 4].count, 0);

		ev.kind = STACK_SPAWN;
		SEND(m, T0 + 10 + i, ev);
	}
	assert_int_equal(model_site(m, 0)->stacks->count, 2);
	assert_string_equal(model_stack(model_site(m, 0), STACK_SPAWN, &share)->frames[2].function,
			    "app::accept");
	assert_true(share == 0.75);
	model_free(m);
}

/* The poll that spawns tells its task type, also where its code is inlined into the runtime's. */
static void names_the_poll_that_spawns(void **state)
{
	static const struct {
		struct frame frames[4];
		uint32_t count, spawner;
		int32_t culprit;
	} cases[] = {
		{{RUNTIME, RUNTIME, POLL, RUNTIME}, 4, 0, -1},
		{{RUNTIME, NAMELESS(0x40), BODY, NAMELESS(0x90)}, 4, 0, -1},
		{{RUNTIME, USER("app::accept"), POLL}, 3, 0, 1},
		{{RUNTIME, BOUNDARY, RUNTIME, POLL}, 4, ID_NONE, -1},
		{{RUNTIME, USER("app::main")}, 2, ID_NONE, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ev_stack ev = stack_of(cases[i].frames, cases[i].count, 0);
		struct model *m = watched_poll();

		ev.kind = STACK_SPAWN;
		SEND(m, T0, ev);
		assert_int_equal(row_of(m, STACK_SPAWN)->spawner, cases[i].spawner);
		assert_int_equal(row_of(m, STACK_SPAWN)->culprit, cases[i].culprit);
		/* Another type with the same function: nobody knows which. */
		APPLY(m, EV_SITE, T0, 0,
		      .as_site = {.site = 1, .name = "app::twin", .offset = POLL_START});
		SEND(m, T0 + 1, ev);
		SEND(m, T0 + 2, ev);
		if (cases[i].spawner != ID_NONE && cases[i].frames[2].start == POLL_START)
			assert_int_equal(row_of(m, STACK_SPAWN)->spawner, ID_NONE);
		model_free(m);
	}
}

static void keeps_the_kernel_of_the_longest(void **state)
{
	static const char *const asleep[] = {"schedule", "do_nanosleep"};
	const struct frame frames[] = {STD("std::thread::sleep"), USER("app::load"), BOUNDARY};
	struct ev_stack ev = stack_of(frames, 3, 20);
	struct model *m = watched_poll();
	const struct site_stack *row;

	(void)state;
	ev.kernel = "futex_do_wait __futex_wait futex_wait do_futex";
	SEND(m, T0, ev);
	row = model_stack(model_site(m, 0), STACK_OFF_CPU, NULL);
	assert_int_equal(row->kernel_count, 4);
	assert_string_equal(row->kernel[row->kernel_main], "futex_wait");
	assert_false(row->kernel_fault);
	ev.kernel = "folio_wait_bit_common filemap_fault __do_fault exc_page_fault";
	ev.span_ns = 10;
	SEND(m, T0 + 1, ev);
	assert_string_equal(row->kernel[row->kernel_main], "futex_wait");
	ev.span_ns = 30;
	SEND(m, T0 + 2, ev);
	assert_string_equal(row->kernel[row->kernel_main], "filemap_fault");
	assert_true(row->kernel_fault);
	ev.kernel = NULL;
	SEND(m, T0 + 3, ev);
	assert_null(row->kernel);
	assert_int_equal(row->kernel_main, -1);
	assert_int_equal(kernel_main(asleep, 2), -1);
	model_free(m);
}

static void forgotten_after_exec(void **state)
{
	const struct frame frames[] = {USER("app::load"), BOUNDARY};
	struct model *m = watched_poll();

	(void)state;
	SEND(m, T0, stack_of(frames, 2, MS));
	APPLY(m, EV_TARGET_END, T0 + 1, 0, .as_target_end = {.reason = TARGET_EXECED});
	assert_non_null(row_of(m, STACK_OFF_CPU));
	APPLY(m, EV_TARGET, T0 + 2, 0, .as_target = {.pid = 100, .comm = "app"});
	assert_null(row_of(m, STACK_OFF_CPU));
	model_free(m);
}

/* The stack of what a thread does now is its latest, and goes when it does something else. */
static void stack_of_a_worker(void **state)
{
	struct model *m = watched_poll();
	struct ev_stack now = stack_of(FRAMES(STD("read"), USER("a::f")), 2, MS);
	const struct worker *w;

	(void)state;
	now.open = true;
	SEND(m, T0, now); /* of a thread that nobody has heard of */
	APPLY(m, EV_THREAD, T0 + MS, 0,
	      .as_thread = {.tid = 11,
			    .worker = true,
			    .runtime = ID_NONE,
			    .site = 0,
			    .state = THREAD_BLOCKED,
			    .poll_start_ns = T0,
			    .first_ns = T0});
	w = model_worker(m, 0, 11);
	assert_null(worker_stack(w));
	now.open = false;
	SEND(m, T0 + MS, now); /* of a block that is over */
	assert_null(worker_stack(w));
	now.open = now.now_only = true;
	SEND(m, T0 + MS, now);
	assert_non_null(worker_stack(w));
	assert_int_equal(worker_stack(w)->culprit, 1);
	/* It counts for nothing else: the row of the site has what came before. */
	assert_int_equal(row_of(m, STACK_OFF_CPU)->count, 1);
	APPLY(m, EV_THREAD, T0 + 2 * MS, 0,
	      .as_thread = {.tid = 11,
			    .worker = true,
			    .runtime = ID_NONE,
			    .site = ID_NONE,
			    .state = THREAD_PARKED,
			    .first_ns = T0});
	assert_null(worker_stack(w));
	now.site = ID_NONE;
	now.poll_start_ns = 0;
	SEND(m, T0 + 2 * MS, now);
	assert_int_equal(worker_stack(w)->culprit, -1);
	APPLY(m, EV_THREAD_END, T0 + 3 * MS, 0, .as_thread_end = {11});
	assert_null(worker_stack(w));
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(culprits),
		cmocka_unit_test(culprits_without_names),
		cmocka_unit_test(inlined_into_poll),
		cmocka_unit_test(poll_of_another_binary),
		cmocka_unit_test(empty_stack),
		cmocka_unit_test(rows),
		cmocka_unit_test(open_then_closed),
		cmocka_unit_test(known_by_its_begin),
		cmocka_unit_test(lightest_makes_room),
		cmocka_unit_test(bounded_memory),
		cmocka_unit_test(blames_the_spawner),
		cmocka_unit_test(names_the_poll_that_spawns),
		cmocka_unit_test(keeps_the_kernel_of_the_longest),
		cmocka_unit_test(refused),
		cmocka_unit_test(forgotten_after_exec),
		cmocka_unit_test(stack_of_a_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Executors within a poll, and several kinds of runtime in one process. */
#include "rules_world.h"

#include "rules/stack.h"

static const struct frame sleeping[] = {
	{.function = "clock_nanosleep", .origin = FRAME_SYSTEM},
	{.function = "std::thread::sleep", .origin = FRAME_STD},
	{.function = "shop::load_user", .origin = FRAME_USER},
	{.function = "tokio::runtime::task::raw::poll", .origin = FRAME_BOUNDARY},
};

static const struct frame executor[] = {
	{.function = "syscall", .origin = FRAME_SYSTEM},
	{.function = "shop::ask_rate", .origin = FRAME_USER},
	{.function = "futures_executor::local_pool::block_on::<shop::F>", .origin = FRAME_RUNTIME},
	{.function = "shop::handler", .origin = FRAME_USER},
	{.function = "tokio::runtime::task::raw::poll", .origin = FRAME_BOUNDARY},
	{.function = "async_io::driver::block_on", .origin = FRAME_RUNTIME},
};

static bool nested(const struct frame *frames, uint32_t count, enum stack_kind kind)
{
	struct ev_stack stack = world_stack(frames, count);
	struct world w;
	bool found;

	world_open(&w);
	stack.kind = kind;
	world_send(&w, world_stack(sleeping, LEN(sleeping)));
	world_tick(&w, 100 * MS);
	assert_null(world_find(&w, "nested-runtime", SITE_HANDLER));
	world_send(&w, stack);
	world_tick(&w, 100 * MS);
	found = world_find(&w, "nested-runtime", SITE_HANDLER);
	world_close(&w);
	return found;
}

/* Wherever it is in the poll; what is further out is the worker's own loop, and no fault. */
static void test_nested_runtime(void **state)
{
	struct frame frames[LEN(executor)];

	(void)state;
	assert_true(nested(executor, LEN(executor), STACK_OFF_CPU));
	assert_true(nested(executor, LEN(executor), STACK_ON_CPU));
	assert_false(nested(executor, LEN(executor), STACK_SPAWN));
	memcpy(frames, executor, sizeof(frames));
	frames[2].function = "shop::block_on";
	assert_false(nested(frames, LEN(frames), STACK_OFF_CPU));
	frames[2].function = "tokio::runtime::context::runtime::enter_runtime";
	assert_true(nested(frames, LEN(frames), STACK_OFF_CPU));
	/* Below block_in_place, whether the closure has a frame of its own or not. */
	frames[3].function = "tokio::task::blocking::block_in_place::<shop::F, ()>";
	assert_false(nested(frames, LEN(frames), STACK_OFF_CPU));
	frames[1].origin = FRAME_RUNTIME;
	frames[3].origin = FRAME_RUNTIME;
	frames[4].origin = FRAME_USER;
	assert_false(nested(frames, LEN(frames), STACK_OFF_CPU));
}

/*
 * smol::block_on has no frame of its own where the compiler inlined it: what only it does in a poll has.
 * A channel or lock that blocks parks by the same crate, and runs nothing.
 */
static void test_nested_runtime_inlined(void **state)
{
	struct frame frames[LEN(executor)];

	(void)state;
	memcpy(frames, executor, sizeof(frames));
	frames[1] = (struct frame){.function = "parking::Inner::park", .origin = FRAME_RUNTIME};
	frames[2].function = "std::thread::local::LocalKey<T>::with";
	assert_true(nested(frames, LEN(frames), STACK_OFF_CPU));
	frames[1].function = "async_io::reactor::ReactorLock::react";
	assert_true(nested(frames, LEN(frames), STACK_OFF_CPU));
	frames[1].function = "parking::Inner::park";
	frames[2].function = "event_listener::InnerListener<T, B>::wait_with_parker";
	assert_false(nested(frames, LEN(frames), STACK_OFF_CPU));
	frames[2].function =
		"<event_listener::EventListener<T> as event_listener::Listener<T>>::wait";
	assert_false(nested(frames, LEN(frames), STACK_OFF_CPU));
	frames[2].function = "event_listener::EventListener::wait_internal";
	assert_false(nested(frames, LEN(frames), STACK_OFF_CPU));
}

/* The stack that is shown is one with the call in it, were another ten times as heavy. */
static void test_nested_runtime_shows_its_stack(void **state)
{
	struct ev_stack heavy = world_stack(sleeping, LEN(sleeping));
	const struct finding *f;
	char advice[4096];
	struct world w;

	(void)state;
	world_open(&w);
	heavy.span_ns = 200 * MS;
	world_send(&w, heavy);
	world_send(&w, world_stack(executor, LEN(executor)));
	world_tick(&w, 100 * MS);
	f = world_find(&w, "nested-runtime", SITE_HANDLER);
	assert_non_null(f);
	assert_int_equal(finding_stack(w.m, f, NULL)->frames_count, LEN(executor));
	finding_advice(w.m, f, advice, sizeof(advice));
	assert_ptr_equal(strstr(advice, "In place of futures_executor::local_pool::block_on: "),
			 advice);
	world_close(&w);
}

static void second_runtime(struct world *w, const char *name, int32_t workers)
{
	APPLY(w->m, EV_BINARY, w->now, 0,
	      .as_binary = {.binary = 1, .path = "/shop", .runtime = name});
	APPLY(w->m, EV_RUNTIME, w->now, 0,
	      .as_runtime = {.runtime = 1, .binary = 1, .workers = workers});
	world_tick(w, 100 * MS);
}

static void second_polls(struct world *w)
{
	APPLY(w->m, EV_THREAD, w->now, 0,
	      .as_thread = {.tid = 99, .comm = "smol-1", .runtime = 1, .worker = true});
	world_tick(w, 100 * MS);
}

/* Another kind of runtime that polls; two of one kind, or one that only is there, are nothing. */
static void test_mixed_runtimes(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	second_runtime(&w, "smol", 2);
	assert_null(world_find(&w, "mixed-runtimes", ID_NONE));
	second_polls(&w);
	f = world_find(&w, "mixed-runtimes", ID_NONE);
	assert_non_null(f);
	assert_int_equal(f->severity, SEVERITY_INFO);
	assert_string_equal(f->message, "tokio (2 workers) and smol (2 workers) poll tasks in shop "
					"(pid 4711): 4 workers for 2 CPUs");
	world_close(&w);
	world_open(&w);
	second_runtime(&w, "smol", 3);
	second_polls(&w);
	f = world_find(&w, "mixed-runtimes", ID_NONE);
	assert_int_equal(f->severity, SEVERITY_WARNING);
	world_close(&w);
	world_open(&w);
	second_runtime(&w, "tokio", 30);
	second_polls(&w);
	assert_null(world_find(&w, "mixed-runtimes", ID_NONE));
	world_close(&w);
}

static enum severity mixed_with(const char *function)
{
	struct frame frames[LEN(executor)];
	const struct finding *f;
	enum severity severity;
	struct world w;

	memcpy(frames, executor, sizeof(frames));
	frames[2].function = function;
	world_open(&w);
	second_runtime(&w, "smol", 2);
	second_polls(&w);
	world_send(&w, world_stack(frames, LEN(frames)));
	world_tick(&w, 100 * MS);
	f = world_find(&w, "mixed-runtimes", ID_NONE);
	assert_non_null(f);
	severity = f->severity;
	world_close(&w);
	return severity;
}

/* The task is Tokio's: its own executor, and one that belongs to no runtime, are another matter. */
static void test_mixed_runtimes_wait(void **state)
{
	(void)state;
	assert_int_equal(mixed_with("async_io::driver::block_on"), SEVERITY_WARNING);
	assert_int_equal(mixed_with("async_std::task::builder::Builder::blocking"),
			 SEVERITY_WARNING);
	/* What is left of smol's block_on where it is inlined; parking alone may be anybody's. */
	assert_int_equal(mixed_with("async_io::reactor::ReactorLock::react"), SEVERITY_WARNING);
	assert_int_equal(mixed_with("parking::Inner::park"), SEVERITY_INFO);
	assert_int_equal(mixed_with("tokio::runtime::context::runtime::enter_runtime"),
			 SEVERITY_INFO);
	assert_int_equal(mixed_with("futures_executor::local_pool::block_on"), SEVERITY_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nested_runtime),
		cmocka_unit_test(test_nested_runtime_inlined),
		cmocka_unit_test(test_nested_runtime_shows_its_stack),
		cmocka_unit_test(test_mixed_runtimes),
		cmocka_unit_test(test_mixed_runtimes_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

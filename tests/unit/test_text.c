// SPDX-License-Identifier: LGPL-2.1-or-later
/* The text sink: whole blocks as they are read, hostile names, unknown values, a closed pipe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sink/sinks.h"
#include "sink_fixture.h"

#define MS UINT64_C(1000000)

static struct sink *text_new(struct fixture *f, bool color, unsigned int verbose)
{
	struct text_sink_opts opts = {
		.color = color, .verbose = verbose, .outcome = {.fail_on = SEVERITY_CRITICAL}};

	return text_sink_new(f->out, &opts);
}

/* The first worker is in a poll that blocks. */
static void blocked_worker(struct fixture *f, uint64_t poll_ms, uint64_t off_ms, int32_t syscall)
{
	struct ev_thread t = {.tid = 4243,
			      .comm = "tokio-worker",
			      .runtime = 0,
			      .state = THREAD_BLOCKED,
			      .worker = true,
			      .since_ns = f->now - off_ms * MS,
			      .site = FIXTURE_CHECKOUT,
			      .task_id = FIXTURE_BIG,
			      .poll_start_ns = f->now - poll_ms * MS,
			      .syscall = syscall,
			      .first_ns = FIXTURE_BEGIN,
			      .polls = 10,
			      .busy_ns = 1000 * MS,
			      .blocked_ns = 1000 * MS};

	fixture_apply(f, (struct event){.kind = EV_THREAD, .as_thread = t});
}

static void test_live_block(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "top", "shop");
	f.snap.wall_offset_ns = UINT64_C(1790000000) * 1000 * MS;
	s = text_new(&f, false, 0);
	fixture_run(&f, 2);
	blocked_worker(&f, 90, 88, 230);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	/* Once a second, however often it is asked. */
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	assert_string_equal(
		fixture_text(&f),
		"--- 2026-09-21T14:13:27Z after 2.00 s: healthy, no finding now ---\n"
		"shop (pid 4242) /srv/shop: tokio 1.54.1, 2 workers, 3 task types\n"
		"runtime 0 multi-thread: queues n/a (not read yet)\n"
		"WORKER         TID    BUSY  BLOCKED  PREEMPTED  SEARCHING  PARKED  POLLS/S  NOW          "
		"FOR  IN                           TASK  POLLING\n"
		"tokio-worker  4243  50.0 %    0.0 %      0.0 %     50.0 %   0.0 %    1.00k  blocked  90.0 "
		"ms  clock_nanosleep  9007199254740995  shop::checkout (async fn)\n"
		"tokio-worker  4244   0.0 %    0.0 %      0.0 %      0.0 %   100 %        0  parked    250 "
		"ms  -                               -  -\n"
		"POLLS/S  POLLS     P50     P99     MAX  IN POLLS  BLOCKED  LIVE  TASK TYPE\n"
		"  1.00k  2.00k  500 us  500 us  500 us    1.00 s     0 ns   n/a  "
		"shop::cart::Löschen<日本>\n"
		"cost: n/a of the target's CPU time; stalltop itself: n/a of a core\n"
		"\n");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_first_second_is_silent(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "top", "shop");
	s = text_new(&f, false, 0);
	fixture_tick(&f);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	assert_string_equal(fixture_text(&f), "");
	f.now += 1000 * MS;
	fixture_tick(&f);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	fixture_has(&f, "no poll seen yet");
	fixture_has(&f, "no worker has polled a task yet\n");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_finding_report(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	s = text_new(&f, false, 0);
	fixture_run(&f, 1);
	fixture_block(&f, FIXTURE_CHECKOUT, FIXTURE_BIG, 250);
	fixture_run(&f, 1);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	assert_string_equal(fixture_text(&f), "");
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	assert_string_equal(
		fixture_text(&f),
		"CRITICAL blocking-call: shop::checkout (async fn) blocks its worker\n"
		"  where:    shop::checkout (async fn)\n"
		"  seen:     1 time, first 750 ms and last 1.00 s into the watch\n"
		"  lasted:   worst 250 ms, in all 250 ms\n"
		"  values:   poll.blocked 250 ms\n"
		"  evidence: traced, in clock_nanosleep, last on tokio-worker (tid 4243)\n"
		"  tasks:    9007199254740995\n"
		"  advice:   Move the call to a thread of its own, away from the workers, so that no other "
		"task has to wait\n"
		"            for it; this line is long enough to be wrapped.\n"
		"\n"
		"shop (pid 4242) /srv/shop: tokio 1.54.1, 2 workers, 3 task types\n"
		"watched for 2.00 s: 2.00k polls of 7 tasks of 1 type on 2 workers\n"
		"findings: 1 critical\n"
		"cost: n/a of the target's CPU time; stalltop itself: n/a of a core\n"
		"failed: 1 finding at or above critical\n");
	s->ops->close(s);
	fixture_close(&f);
}

static void report_of_stack(struct fixture *f, bool full)
{
	struct text_sink_opts opts = {.full_stack = full};
	struct sink *s;

	fixture_open(f, "check", "shop");
	s = text_sink_new(f->out, &opts);
	fixture_run(f, 1);
	fixture_block(f, FIXTURE_CHECKOUT, FIXTURE_BIG, 250);
	fixture_stack(f, FIXTURE_CHECKOUT, 250);
	fixture_run(f, 1);
	assert_int_equal(s->ops->finish(s, &f->snap), 0);
	s->ops->close(s);
}

static void test_finding_stack(void **state)
{
	struct fixture f;

	(void)state;
	report_of_stack(&f, false);
	fixture_has(&f,
		    "  culprit:  src/db.rs:42 in shop::load_user, calling std::thread::sleep "
		    "(100 % of the blocked time in this type's stacks)\n"
		    "  about:    fd 7: pipe\\x1b\n"
		    "  kernel:   futex_wait\n"
		    "  stack:    ... 1 frame of the system\n"
		    "            std::thread::sleep  shop+0x1000 (symbol)\n"
		    "           >shop::load_user  src/db.rs:42:9 (inlined)\n"
		    "            ... 1 frame of the runtime\n"
		    "            (ends here: no unwind information covers the next frame)\n"
		    "  advice:   In place of std::thread::sleep: sleep().await. Move the call ");
	fixture_close(&f);
	report_of_stack(&f, true);
	fixture_has(&f, "  kernel:   futex_do_wait\n           >futex_wait\n  stack:");
	fixture_has(&f, "  stack:    libc.so.6+0x20000000000003 (no name)\n");
	fixture_has(&f, "            tokio::runtime::task::raw::poll  shop+0x2000 (dwarf)\n");
	fixture_close(&f);
}

static void test_clean_report(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	s = text_new(&f, false, 0);
	fixture_run(&f, 3);
	fixture_apply(&f,
		      (struct event){.kind = EV_TARGET_END, .as_target_end = {TARGET_EXITED, 0}});
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	assert_string_equal(fixture_text(&f),
			    "shop (pid 4242) /srv/shop: tokio 1.54.1, 2 workers, 3 task types\n"
			    "shop (pid 4242) exited with status 0 after 3.00 s\n"
			    "watched for 3.00 s: 3.00k polls of 7 tasks of 1 type on 2 workers\n"
			    "no findings\n"
			    "cost: n/a of the target's CPU time; stalltop itself: n/a of a core\n"
			    "passed: no finding at or above critical\n");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_overhead(void **state)
{
	static const char few[] =
		"2 rounds of windows; at least 4 are needed: give it longer, or a larger --overhead";
	struct event event = {.kind = EV_OVERHEAD, .as_overhead.rounds = 2};
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	s = text_new(&f, false, 0);
	fixture_overhead(&f);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(
		&f,
		"overhead check of process 4242: 12 rounds, 4.80 s with probes and 4.80 s without, "
		"in turns; 95 % intervals\n"
		"  CPU time           0.982 cores without probes,  0.988 cores with: x 1.006 (0.98 to "
		"1.031), not distinguishable\n"
		"  context switches           n/a without probes,          n/a with: ratio n/a (threads "
		"ended meanwhile, or the kernel does not count)\n"
		"  run-queue takes        11.3M/s without probes,      1.25M/s with: x 0.1111 (0.109 "
		"to 0.1135)\n"
		"  CPU time a take          87 ns without probes,       790 ns with: ratio n/a (nearly "
		"nothing of it without probes)\n"
		"  polls             n/a without probes: only these count them; with: 1.25M/s, 790 ns "
		"of CPU time each\n");
	for (int i = 0; i < OVERHEAD_MEASURES; i++)
		event.as_overhead.by[i] = (struct ev_compared){OVERHEAD_FEW, -1, -1, -1, -1, -1};
	event.as_overhead.reason = "no \x1b[31mroom";
	fixture_apply(&f, event);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, few);
	fixture_has(&f, "given up: no \\x1b[31mroom\n");
	fixture_has(&f, "only these count them; with: none\n");
	event.as_overhead.by[0].known = OVERHEAD_UNSEEN + 1;
	assert_int_equal(model_apply(f.model, &event), -EINVAL);
	s->ops->close(s);
	fixture_close(&f);
}

/* A warning does not fail a check for critical ones; too much loss does. */
static void test_exit_codes(void **state)
{
	struct text_sink_opts opts = {.outcome = {SEVERITY_CRITICAL, true, 9}};
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	fixture_run(&f, 1);
	fixture_block(&f, FIXTURE_CHECKOUT, 1, 20);
	fixture_run(&f, 1);
	s = text_sink_new(f.out, &opts);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "WARNING blocking-call");
	fixture_has(&f, "findings: 1 warning\n");
	fixture_has(&f, "passed: no finding at or above critical\n");
	fixture_apply(&f, (struct event){.kind = EV_LOST, .as_lost = {"ring", 10}});
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "loss: 10 events were lost");
	fixture_has(&f, "failed: more events were lost than --max-loss 9\n");
	s->ops->close(s);
	opts.outcome = (struct outcome_opts){SEVERITY_WARNING, true, 10};
	s = text_sink_new(f.out, &opts);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "failed: 1 finding at or above warning\n");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_idle_program(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	s = text_new(&f, false, 0);
	f.now += 30 * 1000 * MS;
	fixture_tick(&f);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "no poll was seen");
	fixture_has_not(&f, "of 0 tasks");
	s->ops->close(s);
	fixture_close(&f);
}

static void dump_tasks(struct fixture *f)
{
	struct ev_task idle = {.key = 1,
			       .id = 5,
			       .site = FIXTURE_CART,
			       .runtime = 0,
			       .last_ns = f->now - 900 * MS,
			       .polls = 3,
			       .busy_ns = 2 * MS,
			       .last_tid = 4244,
			       .state_valid = true};
	struct ev_task ready = idle, polled = idle, unknown = idle;

	ready.key = 2;
	ready.id = 6;
	ready.ready = true;
	ready.last_ns = f->now - 40 * MS;
	polled.key = 3;
	polled.id = FIXTURE_BIG;
	polled.site = FIXTURE_CHECKOUT;
	unknown.key = 4;
	unknown.id = 7;
	unknown.site = FIXTURE_HOSTILE;
	unknown.state_valid = false;
	unknown.last_ns = 0;
	unknown.last_tid = 0;
	fixture_apply(f, (struct event){.kind = EV_TASK, .as_task = idle});
	fixture_apply(f, (struct event){.kind = EV_TASK, .as_task = unknown});
	fixture_apply(f, (struct event){.kind = EV_TASK, .as_task = ready});
	fixture_apply(f, (struct event){.kind = EV_TASK, .as_task = polled});
	fixture_apply(f, (struct event){.kind = EV_TASK_SCAN, .as_task_scan = {4, false}});
}

static void test_dump(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "dump", "shop");
	s = text_new(&f, false, 0);
	fixture_run(&f, 1);
	fixture_apply(&f, (struct event){.kind = EV_QUEUES,
					 .as_queues = {.runtime = 0,
						       .inject = 3,
						       .local = 12345,
						       .alive = -1,
						       .blocking_queue = -1,
						       .blocking_threads = 1,
						       .blocking_idle = 0,
						       .reason = "no table for 1.54"}});
	blocked_worker(&f, 90, 88, 999);
	dump_tasks(&f);
	fixture_tick(&f);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "queued 3 shared, 12.3k local; tasks alive n/a; blocking pool: queued n/a, "
			"threads 1, idle 0 (n/a: no table for 1.54)\n");
	fixture_has(&f, "blocked  90.0 ms  syscall 999  9007199254740995  shop::checkout");
	fixture_has(
		&f,
		"            TASK  STATE          FOR  POLLS  IN POLLS  WORKER  TASK TYPE\n"
		"9007199254740995  in a poll  90.0 ms      3   2.00 ms    4243  shop::checkout (async "
		"fn)\n"
		"               6  ready      40.0 ms      3   2.00 ms    4244  "
		"shop::cart::Löschen<日本>\n"
		"               7  n/a            n/a      3   2.00 ms     n/a  bad\\x1b[2J\\xff "
		"name\\x0a\n"
		"               5  idle        900 ms      3   2.00 ms    4244  "
		"shop::cart::Löschen<日本>\n");
	fixture_has(&f, "no findings\n");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_many_tasks(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "dump", "shop");
	s = text_new(&f, false, 0);
	fixture_run(&f, 1);
	for (uint64_t i = 1; i <= 1005; i++)
		fixture_apply(&f, (struct event){.kind = EV_TASK,
						 .as_task = {.key = i,
							     .id = i,
							     .runtime = 0,
							     .last_ns = f.now - i,
							     .state_valid = true}});
	fixture_apply(&f, (struct event){.kind = EV_TASK_SCAN, .as_task_scan = {1005, true}});
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "and 5 more tasks\n");
	fixture_has(&f, "the task table was full: more tasks live than are listed\n");
	s->ops->close(s);
	fixture_close(&f);
}

/* Nothing of the target reaches the terminal raw, and colour is ours alone. */
static void test_hostile_names(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "top", "sh\033]0;x\007op\n");
	s = text_new(&f, false, 1);
	fixture_run(&f, 1);
	fixture_block(&f, FIXTURE_HOSTILE, 1, 250);
	fixture_apply(&f, (struct event){.kind = EV_NOTE, .as_note = {NOTE_INFO, "a\033[mb"}});
	fixture_run(&f, 1);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "sh\\x1b]0;x\\x07op\\x0a (pid 4242)");
	fixture_has(&f, "bad\\x1b[2J\\xff name\\x0a");
	fixture_has_not(&f, "\033");
	fixture_has_not(&f, "\007");
	fixture_has_not(&f, "\xff");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_color(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	s = text_new(&f, true, 0);
	fixture_run(&f, 1);
	fixture_block(&f, FIXTURE_CHECKOUT, 1, 250);
	fixture_run(&f, 1);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "\033[1;31mCRITICAL\033[0m blocking-call");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_live_finding(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "top", "shop");
	s = text_new(&f, false, 0);
	fixture_run(&f, 1);
	fixture_block(&f, FIXTURE_CHECKOUT, 1, 250);
	fixture_run(&f, 1);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	fixture_has(&f, "after 2.00 s: 1 critical ---\n");
	fixture_has(
		&f,
		"CRITICAL blocking-call, last seen 1.00 s ago: shop::checkout (async fn) blocks its "
		"worker\n");
	fixture_run(&f, 10);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	fixture_has(&f, "after 12.0 s: healthy, no finding now, 1 earlier ---\n");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_progress(void **state)
{
	char *text = NULL;
	size_t size;
	struct text_sink_opts opts = {.progress = {.duration_ns = 30 * 1000 * MS}};
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	opts.progress.out = open_memstream(&text, &size);
	s = text_sink_new(f.out, &opts);
	for (int i = 0; i < 21; i++) {
		fixture_run(&f, 1);
		s->ops->snapshot(s, &f.snap);
	}
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	s->ops->close(s);
	assert_string_equal(text, "watching: 10 s of 30 s, 10.0k polls, 0 findings\n"
				  "watching: 20 s of 30 s, 20.0k polls, 0 findings\n");
	fixture_has_not(&f, "watching:");
	fclose(opts.progress.out);
	free(text);
	fixture_close(&f);
}

static void test_progress_terminal(void **state)
{
	char *text = NULL;
	size_t size;
	struct text_sink_opts opts = {.progress = {.terminal = true}};
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	opts.progress.out = open_memstream(&text, &size);
	s = text_sink_new(f.out, &opts);
	for (int i = 0; i < 2; i++) {
		fixture_run(&f, 1);
		s->ops->snapshot(s, &f.snap);
		s->ops->snapshot(s, &f.snap);
	}
	s->ops->close(s);
	assert_string_equal(text, "\rwatching: 1 s, 1.00k polls, 0 findings\033[K"
				  "\rwatching: 2 s, 2.00k polls, 0 findings\033[K\r\033[K");
	fclose(opts.progress.out);
	free(text);
	fixture_close(&f);
}

static void test_closed_pipe(void **state)
{
	struct text_sink_opts opts = {0};
	struct fixture f;
	struct sink *s;
	FILE *out;
	int fds[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	out = fdopen(fds[1], "w");
	fixture_open(&f, "top", "shop");
	s = text_sink_new(out, &opts);
	fixture_run(&f, 2);
	assert_int_equal(s->ops->snapshot(s, &f.snap), -EPIPE);
	assert_int_equal(s->ops->finish(s, &f.snap), -EPIPE);
	s->ops->close(s);
	fclose(out);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_block),
		cmocka_unit_test(test_first_second_is_silent),
		cmocka_unit_test(test_finding_report),
		cmocka_unit_test(test_finding_stack),
		cmocka_unit_test(test_clean_report),
		cmocka_unit_test(test_overhead),
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_idle_program),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_many_tasks),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_color),
		cmocka_unit_test(test_live_finding),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_progress_terminal),
		cmocka_unit_test(test_closed_pipe),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}

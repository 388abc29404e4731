// SPDX-License-Identifier: LGPL-2.1-or-later
/* The model's worker threads, and their polls. */
#include "model_events.h"

#define THREAD(m, time_, tid_, state_, ...)                                                        \
	APPLY(m, EV_THREAD, time_, 0,                                                              \
	      .as_thread = {.tid = (tid_), .state = (state_), .worker = true, __VA_ARGS__})
#define POLL(m, kind_, time_, tid_, start_, ...)                                                   \
	APPLY(m, kind_, time_, 0, .as_poll = {.tid = (tid_), .start_ns = (start_), __VA_ARGS__})

static void held_workers(void **state)
{
	struct model *m = watched();
	const struct runtime *r = model_runtime(m, 0);

	(void)state;
	THREAD(m, T0, 11, THREAD_POLLING);
	THREAD(m, T0, 12, THREAD_BLOCKED);
	THREAD(m, T0, 13, THREAD_PREEMPTED);
	THREAD(m, T0, 14, THREAD_PARKED);
	THREAD(m, T0, 15, THREAD_SEARCHING);
	THREAD(m, T0, 16, THREAD_POLLING, .runtime = ID_NONE);
	APPLY(m, EV_THREAD, T0, 0, .as_thread = {.tid = 17, .state = THREAD_BLOCKED});
	assert_int_equal(r->held, 3);
	assert_int_equal(r->workers_seen, 5);
	THREAD(m, T0 + 1, 11, THREAD_BLOCKED);
	THREAD(m, T0 + 1, 12, THREAD_PARKED);
	assert_int_equal(r->held, 2);
	assert_int_equal(r->workers_seen, 5);
	APPLY(m, EV_THREAD_END, T0 + 2, 0, .as_thread_end = {.tid = 13});
	assert_int_equal(r->held, 1);
	assert_true(model_worker(m, 0, 13)->ended);
	APPLY(m, EV_THREAD_END, T0 + 2, 0, .as_thread_end = {.tid = 13});
	assert_int_equal(r->held, 1);
	APPLY(m, EV_TARGET_END, T0 + 3, 0, .as_target_end = {.reason = TARGET_EXITED, .status = 9});
	assert_int_equal(r->held, 0);
	assert_true(model_target(m, 0)->ended);
	assert_int_equal(model_target(m, 0)->end_status, 9);
	assert_int_equal(model_target(m, 0)->end_ns, T0 + 3);
	model_free(m);
}

static void open_polls(void **state)
{
	struct model *m = watched();
	const struct worker *w;

	(void)state;
	THREAD(m, T0, 11, THREAD_POLLING, .poll_start_ns = T0 - 50);
	w = model_worker(m, 0, 11);
	assert_false(w->open);
	POLL(m, EV_POLL_OPEN, T0 + 1, 11, T0 - 50, .length_ns = 51, .task_id = 8);
	assert_true(w->open);
	assert_int_equal(w->poll.task_id, 8);
	assert_int_equal(w->poll_seen_ns, T0 + 1);
	/* Seen again, by both kinds of event: still the same. */
	POLL(m, EV_POLL_OPEN, T0 + 2, 11, T0 - 50, .length_ns = 52, .task_id = 8);
	THREAD(m, T0 + 2, 11, THREAD_BLOCKED, .poll_start_ns = T0 - 50);
	assert_true(w->open);
	assert_int_equal(w->poll.length_ns, 52);
	/* The end of another poll of the thread does not close it, its own does. */
	POLL(m, EV_POLL, T0 + 3, 11, T0 - 20, .length_ns = 5);
	assert_true(w->open);
	POLL(m, EV_POLL, T0 + 4, 11, T0 - 50, .length_ns = 54);
	assert_false(w->open);
	/* A look at the thread that was taken before comes late. */
	POLL(m, EV_POLL_OPEN, T0 + 4, 11, T0 - 50, .length_ns = 53);
	assert_false(w->open);
	/* The thread is in another poll, then in none. */
	POLL(m, EV_POLL_OPEN, T0 + 10, 11, T0 + 6);
	THREAD(m, T0 + 11, 11, THREAD_POLLING, .poll_start_ns = T0 + 9);
	assert_false(w->open);
	POLL(m, EV_POLL_OPEN, T0 + 12, 11, T0 + 9);
	THREAD(m, T0 + 13, 11, THREAD_PARKED);
	assert_false(w->open);
	POLL(m, EV_POLL_OPEN, T0 + 14, 11, T0 + 13);
	APPLY(m, EV_TARGET_END, T0 + 15, 0, .as_target_end = {.reason = TARGET_EXECED});
	assert_false(w->open);
	POLL(m, EV_POLL_OPEN, T0 + 14, 11, T0 + 13);
	assert_false(w->open);
	model_free(m);
}

/* A long poll can be told of before the first look at its thread. */
static void open_poll_comes_first(void **state)
{
	struct model *m = watched();
	const struct worker *w;
	struct worker_shares shares;

	(void)state;
	POLL(m, EV_POLL_OPEN, T0 + 5, 11, T0, .off_cpu = true, .task_id = 3);
	w = model_worker(m, 0, 11);
	assert_true(w->open);
	assert_false(w->announced);
	assert_int_equal(w->now.state, THREAD_BLOCKED);
	assert_string_equal(w->now.comm, "");
	assert_int_equal(model_runtime(m, 0)->held, 1);
	TICK(m, T0 + 1 * SEC);
	assert_false(worker_shares(w, 1, &shares));
	POLL(m, EV_POLL, T0 + SEC, 11, T0, .length_ns = SEC);
	assert_int_equal(model_runtime(m, 0)->held, 0);
	assert_int_equal(w->now.state, THREAD_SEARCHING);
	/* What the counters hold from before has no place in the first second. */
	THREAD(m, T0 + 2 * SEC, 11, THREAD_PARKED, .busy_ns = 900 * SEC, .polls = 5000,
	       .first_ns = 1 * SEC);
	TICK(m, T0 + 2 * SEC);
	THREAD(m, T0 + 3 * SEC, 11, THREAD_PARKED, .busy_ns = 900 * SEC, .parked_ns = SEC,
	       .polls = 5002, .first_ns = 1 * SEC);
	TICK(m, T0 + 3 * SEC);
	assert_true(worker_shares(w, 10, &shares));
	close_to(shares.busy, 0);
	close_to(shares.parked, 1);
	close_to(shares.polls_per_second, 2);
	model_free(m);
}

static void poll_ring(void **state)
{
	struct model *m = watched();
	const struct long_poll *p;

	(void)state;
	for (uint64_t i = 0; i < MODEL_POLLS + 3; i++)
		POLL(m, EV_POLL, T0 + i, 11, T0 + i, .task_id = i, .length_ns = 20 * MS,
		     .blocked_ns = 19 * MS, .syscall = 230, .site = 1);
	assert_int_equal(m->polls_seq, MODEL_POLLS + 3);
	p = &m->polls[(m->polls_seq - 1) % MODEL_POLLS];
	assert_int_equal(p->seq, MODEL_POLLS + 2);
	assert_int_equal(p->poll.task_id, MODEL_POLLS + 2);
	assert_int_equal(p->poll.syscall, 230);
	assert_int_equal(p->end_ns, T0 + MODEL_POLLS + 2 + 20 * MS);
	assert_int_equal(m->polls[3].seq, 3);
	assert_int_equal(m->polls[2].seq, MODEL_POLLS + 2);
	/* No thread was announced, none is made up. */
	assert_int_equal(m->workers_count, 0);
	model_free(m);
}

static void worker_time(void **state)
{
	struct model *m = watched();
	const struct worker *w;
	struct worker_shares s;

	(void)state;
	THREAD(m, T0 + 500 * MS, 11, THREAD_PARKED, .first_ns = T0, .busy_ns = 100 * MS,
	       .blocked_ns = 50 * MS, .parked_ns = 250 * MS, .searching_ns = 100 * MS, .polls = 10);
	w = model_worker(m, 0, 11);
	/* The first second: since counting began. */
	assert_true(worker_shares(w, 1, &s));
	close_to(s.busy, 0.2);
	close_to(s.blocked, 0.1);
	close_to(s.preempted, 0);
	close_to(s.parked, 0.5);
	close_to(s.searching, 0.2);
	close_to(s.polls_per_second, 20);
	TICK(m, T0 + 1 * SEC);
	THREAD(m, T0 + 2 * SEC, 11, THREAD_PARKED, .first_ns = T0, .busy_ns = 900 * MS,
	       .blocked_ns = 50 * MS, .parked_ns = 250 * MS, .searching_ns = 100 * MS,
	       .preempted_ns = 100 * MS, .polls = 510);
	TICK(m, T0 + 2 * SEC);
	/* Read 100 ms early: shares of the 900 ms that the counters cover, not of the second. */
	assert_true(worker_shares(w, 1, &s));
	close_to(s.busy, 8.0 / 9);
	close_to(s.preempted, 1.0 / 9);
	close_to(s.parked, 0);
	close_to(s.searching, 0);
	close_to(s.polls_per_second, 500 / 0.9);
	/* Two seconds in all states, read a moment late: shares stay shares. */
	THREAD(m, T0 + 3 * SEC, 11, THREAD_PARKED, .first_ns = T0, .busy_ns = 900 * MS,
	       .blocked_ns = 1650 * MS, .parked_ns = 650 * MS, .searching_ns = 100 * MS,
	       .preempted_ns = 100 * MS);
	TICK(m, T0 + 3 * SEC);
	assert_true(worker_shares(w, 1, &s));
	close_to(s.blocked, 0.8);
	close_to(s.parked, 0.2);
	close_to(s.searching, 0);
	THREAD(m, T0 + 4 * SEC, 11, THREAD_PARKED, .first_ns = T0, .busy_ns = 900 * MS,
	       .blocked_ns = 2050 * MS, .parked_ns = 650 * MS, .searching_ns = 100 * MS,
	       .preempted_ns = 100 * MS);
	TICK(m, T0 + 4 * SEC);
	/* Time in no counter is searching. */
	assert_true(worker_shares(w, 1, &s));
	close_to(s.blocked, 0.4);
	close_to(s.searching, 0.6);
	/* A thread that ended keeps its last seconds; one that is silent has none to tell. */
	APPLY(m, EV_THREAD_END, T0 + 4 * SEC, 0, .as_thread_end = {.tid = 11});
	TICK(m, T0 + 9 * SEC);
	assert_true(worker_shares(w, 1, &s));
	close_to(s.blocked, 0.4);
	THREAD(m, T0 + 9 * SEC, 12, THREAD_PARKED, .parked_ns = 9 * SEC);
	TICK(m, T0 + 10 * SEC);
	TICK(m, T0 + 11 * SEC);
	assert_false(worker_shares(model_worker(m, 0, 12), 1, &s));
	model_free(m);
}

/* While some of its polls are not seen, nothing is known of a thread's time; then it begins anew. */
static void unaccounted(void **state)
{
	struct model *m = watched();
	const struct worker *w;
	struct worker_shares s;

	(void)state;
	THREAD(m, T0, 11, THREAD_POLLING, .first_ns = T0, .busy_ns = SEC, .parked_ns = SEC);
	TICK(m, T0);
	THREAD(m, T0 + SEC, 11, THREAD_POLLING, .first_ns = T0, .busy_ns = 2 * SEC,
	       .parked_ns = SEC);
	TICK(m, T0 + SEC);
	w = model_worker(m, 0, 11);
	assert_true(worker_shares(w, 1, &s));
	for (int i = 2; i < 5; i++) {
		THREAD(m, T0 + i * SEC, 11, THREAD_SEARCHING, .first_ns = T0, .busy_ns = 2 * SEC,
		       .parked_ns = SEC, .searching_ns = i * SEC, .unaccounted = true);
		TICK(m, T0 + i * SEC);
		assert_false(worker_shares(w, 1, &s));
	}
	THREAD(m, T0 + 5 * SEC, 11, THREAD_POLLING, .first_ns = T0, .busy_ns = 2 * SEC,
	       .parked_ns = SEC, .searching_ns = 5 * SEC);
	TICK(m, T0 + 5 * SEC);
	assert_false(worker_shares(w, 1, &s));
	THREAD(m, T0 + 6 * SEC, 11, THREAD_POLLING, .first_ns = T0, .busy_ns = 2 * SEC + SEC / 2,
	       .parked_ns = SEC + SEC / 2, .searching_ns = 5 * SEC);
	TICK(m, T0 + 6 * SEC);
	assert_true(worker_shares(w, 1, &s));
	close_to(s.busy, 0.5);
	close_to(s.searching, 0);
	model_free(m);
}

/* After an exec the target is announced again under its id; after an exit it stays ended. */
static void exec_and_exit(void **state)
{
	struct model *m = watched();
	const struct target *t = model_target(m, 0);

	(void)state;
	THREAD(m, T0, 11, THREAD_POLLING);
	THREAD(m, T0, 12, THREAD_POLLING);
	TASK(m, T0, 1, 1);
	SCAN(m, T0);
	APPLY(m, EV_TARGET_END, T0 + 5, 0,
	      .as_target_end = {.reason = TARGET_EXECED, .status = -1});
	assert_true(t->ended);
	APPLY(m, EV_TARGET, T0 + 6, 0, .as_target = {.pid = 100, .comm = "other"});
	assert_false(t->ended);
	assert_int_equal(t->begin_ns, T0 + 6);
	assert_int_equal(t->end_ns, 0);
	assert_string_equal(t->comm, "other");
	assert_int_equal(m->tasks_count, 0);
	assert_int_equal(model_runtime(m, 0)->held, 0);
	assert_true(model_worker(m, 0, 11)->ended);
	/* The thread that called exec lives on under the same number and the same count. */
	THREAD(m, T0 + 7, 11, THREAD_BLOCKED);
	assert_false(model_worker(m, 0, 11)->ended);
	assert_true(model_worker(m, 0, 12)->ended);
	assert_int_equal(model_runtime(m, 0)->held, 1);
	APPLY(m, EV_TARGET_END, T0 + 8, 0, .as_target_end = {.reason = TARGET_EXITED});
	APPLY(m, EV_TARGET, T0 + 9, 0, .as_target = {.pid = 100, .comm = "ghost"});
	assert_true(t->ended);
	assert_string_equal(t->comm, "other");
	assert_int_equal(model_runtime(m, 0)->held, 0);
	model_free(m);
}

/* Counting can begin anew for a living thread: old and new numbers do not mix. */
static void counting_restarts(void **state)
{
	struct model *m = watched();
	struct worker_shares s;

	(void)state;
	for (uint64_t i = 1; i <= 3; i++) {
		THREAD(m, T0 + i * SEC, 11, THREAD_PARKED, .first_ns = T0, .busy_ns = i * SEC,
		       .polls = 1000 * i);
		TICK(m, T0 + i * SEC);
	}
	THREAD(m, T0 + 4 * SEC, 11, THREAD_PARKED, .first_ns = T0 + 3 * SEC, .parked_ns = SEC,
	       .polls = 7);
	TICK(m, T0 + 4 * SEC);
	assert_true(worker_shares(model_worker(m, 0, 11), 10, &s));
	close_to(s.busy, 0);
	close_to(s.parked, 1);
	close_to(s.polls_per_second, 7);
	model_free(m);
}

/* The kernel gives the number of a thread that ended to another one. */
static void tid_reuse(void **state)
{
	struct model *m = watched();
	const struct worker *w;

	(void)state;
	THREAD(m, T0, 11, THREAD_POLLING, .polls = 100, .first_ns = T0);
	APPLY(m, EV_THREAD_END, T0 + 1, 0, .as_thread_end = {.tid = 11});
	/* Read before the end and told after it: the thread stays ended. */
	THREAD(m, T0 + 1, 11, THREAD_POLLING, .polls = 101, .first_ns = T0);
	w = model_worker(m, 0, 11);
	assert_true(w->ended);
	assert_int_equal(w->now.polls, 100);
	THREAD(m, T0 + SEC, 11, THREAD_POLLING, .polls = 3, .first_ns = T0 + SEC, .comm = "b");
	w = model_worker(m, 0, 11);
	assert_false(w->ended);
	assert_int_equal(w->now.polls, 3);
	assert_string_equal(w->now.comm, "b");
	assert_int_equal(m->workers_count, 1);
	assert_int_equal(model_runtime(m, 0)->held, 1);
	assert_null(model_worker(m, 1, 11));
	model_free(m);
}

static void workers_over_the_ceiling(void **state)
{
	struct model *m = watched();

	(void)state;
	for (uint32_t tid = 1; tid <= MODEL_MAX_WORKERS + 5; tid++)
		THREAD(m, T0, tid, THREAD_PARKED);
	assert_int_equal(m->workers_count, MODEL_MAX_WORKERS);
	assert_int_equal(m->workers_dropped, 5);
	assert_null(model_worker(m, 0, MODEL_MAX_WORKERS + 1));
	/* Rows of threads that ended make room. */
	APPLY(m, EV_THREAD_END, T0, 0, .as_thread_end = {.tid = 700});
	THREAD(m, T0, 9999, THREAD_BLOCKED);
	assert_int_equal(model_worker(m, 0, 9999)->now.state, THREAD_BLOCKED);
	assert_null(model_worker(m, 0, 700));
	assert_int_equal(m->workers_count, MODEL_MAX_WORKERS);
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(held_workers),
		cmocka_unit_test(open_polls),
		cmocka_unit_test(open_poll_comes_first),
		cmocka_unit_test(poll_ring),
		cmocka_unit_test(worker_time),
		cmocka_unit_test(counting_restarts),
		cmocka_unit_test(unaccounted),
		cmocka_unit_test(exec_and_exit),
		cmocka_unit_test(tid_reuse),
		cmocka_unit_test(workers_over_the_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

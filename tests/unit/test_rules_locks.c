// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who waits for whose lock: circles, as the locks themselves tell, and as stacks let guess. */
#include "rules_world.h"

#include "rules/locks.h"

enum { SYS_FUTEX = 202, WATCHED = 4 };

static const struct frame frames[] = {
	{.function = "pthread_mutex_lock", .origin = FRAME_SYSTEM},
	{.function = "shop::move_money", .origin = FRAME_USER},
};

/* A worker of four, in a futex since the beginning, in one poll. */
static void waits(struct world *w, uint32_t tid, struct ev_stack lock)
{
	struct ev_poll poll = world_poll(w, tid, SITE_HANDLER, w->now - T0, w->now - T0);

	poll.syscall = SYS_FUTEX;
	APPLY(w->m, EV_THREAD, w->now, 0,
	      .as_thread = {.tid = tid,
			    .comm = "w",
			    .state = THREAD_BLOCKED,
			    .since_ns = T0,
			    .worker = true,
			    .site = SITE_HANDLER,
			    .syscall = SYS_FUTEX,
			    .parked_syscall = -1,
			    .first_ns = T0,
			    .poll_start_ns = T0});
	APPLY(w->m, EV_POLL_OPEN, w->now, 0, .as_poll = poll);
	lock.tid = tid;
	lock.kind = STACK_OFF_CPU;
	lock.open = true;
	lock.poll_start_ns = T0;
	lock.span_ns = w->now - T0;
	lock.syscall = SYS_FUTEX;
	lock.frames = frames;
	lock.frames_count = LEN(frames);
	world_send(w, lock);
}

static struct ev_stack owned(uint32_t owner)
{
	return (struct ev_stack){.lock_kind = LOCK_PTHREAD, .lock_owner = owner, .lock_addr = 64};
}

static struct ev_stack seen(uint32_t tid)
{
	return (struct ev_stack){.lock_kind = LOCK_STD, .lock_seen = tid, .lock_addr = 64};
}

static void open_four(struct world *w)
{
	*w = (struct world){.m = NULL};
	world_open(w);
	APPLY(w->m, EV_RUNTIME, T0, 0,
	      .as_runtime = {.flavor = FLAVOR_MULTI_THREAD, .workers = WATCHED});
	w->now += 5000 * MS;
}

/* The state of all lasts for another two seconds. */
static void judge(struct world *w)
{
	for (uint64_t end = w->now + 2000 * MS; w->now <= end; w->now += 100 * MS) {
		TICK(w->m, w->now);
		rules_eval(w->rules, w->m);
	}
}

static const char *said(const struct world *w)
{
	static char out[400];

	locks_text(w->m, 0, 0, out, sizeof(out));
	return out;
}

static void test_circle(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	open_four(&w);
	assert_string_equal(said(&w), "");
	waits(&w, 21, owned(22));
	waits(&w, 22, owned(23));
	judge(&w);
	assert_null(world_find(&w, "deadlock", ID_NONE));
	assert_string_equal(said(&w), "thread 21 waits for a pthread mutex that thread 22 holds");
	waits(&w, 23, owned(21));
	/* A look alone is not enough: an owner may have let go since it was read. */
	TICK(w.m, w.now);
	rules_eval(w.rules, w.m);
	assert_null(world_find(&w, "deadlock", ID_NONE));
	judge(&w);
	f = world_find(&w, "deadlock", ID_NONE);
	assert_non_null(f);
	assert_true(finding_value_of(f, "worker.lock_cycle_for") >= 7000.0 * MS);
	assert_non_null(strstr(f->message, "thread 21 waits for a pthread mutex that thread 22 "
					   "holds, and that for one that thread 23 holds, and that "
					   "for one that thread 21 holds"));
	world_close(&w);
}

static void test_itself(void **state)
{
	struct world w;

	(void)state;
	open_four(&w);
	waits(&w, 21, owned(21));
	judge(&w);
	assert_non_null(world_find(&w, "deadlock", ID_NONE));
	assert_string_equal(said(&w), "thread 21 waits for a pthread mutex that it holds itself");
	world_close(&w);
}

/* What stacks let guess is told, and is no finding by itself. */
static void test_guess(void **state)
{
	struct world w;

	(void)state;
	open_four(&w);
	waits(&w, 21, seen(0));
	assert_string_equal(said(&w), "who has the locks is n/a: a std Mutex keeps no owner");
	waits(&w, 21, seen(22));
	waits(&w, 22, seen(21));
	judge(&w);
	assert_null(world_find(&w, "deadlock", ID_NONE));
	assert_string_equal(said(&w), "thread 21 waits for a std Mutex that thread 22 probably "
				      "holds, and that for one that thread 21 probably holds (by "
				      "where its address lies: the lock keeps no owner)");
	/* One owner of two is not enough either. */
	waits(&w, 22, owned(21));
	judge(&w);
	assert_null(world_find(&w, "deadlock", ID_NONE));
	world_close(&w);
}

static struct ev_stack held_by(enum lock_found found, uint64_t begin_ns)
{
	return (struct ev_stack){
		.lock_kind = LOCK_STD,
		.lock_addr = 64,
		.lock_found = found,
		.lock_site = SITE_OTHER,
		.begin_ns = begin_ns,
	};
}

/* What nobody else has is waited for in vain, but only as long as it is that wait. */
static void test_nobody(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	open_four(&w);
	waits(&w, 21, held_by(LOCK_NOWHERE, T0));
	judge(&w);
	f = world_find(&w, "deadlock", ID_NONE);
	assert_non_null(f);
	assert_int_equal(f->evidence, EVIDENCE_INFERRED);
	assert_true(finding_value_of(f, "worker.lock_lost_for") >= 7000.0 * MS);
	assert_string_equal(said(&w), "thread 21 waits for a std Mutex that nobody else has: it "
				      "probably holds it itself (by where its address lies: the "
				      "lock keeps no owner)");
	assert_null(world_find(&w, "lock-across-await", ID_NONE));
	world_close(&w);
}

/* The stack at the end of the block knows its length, and no holder; then time goes by. */
static void test_kept_over_await(void **state)
{
	const struct finding *f;
	struct ev_stack last;
	struct world w;

	(void)state;
	open_four(&w);
	waits(&w, 21, held_by(LOCK_IN_TASK, T0));
	TICK(w.m, w.now);
	rules_eval(w.rules, w.m);
	f = world_find(&w, "lock-across-await", SITE_HANDLER);
	assert_non_null(f);
	assert_true(f->open);
	assert_int_equal(f->severity, SEVERITY_WARNING);
	assert_int_equal(f->worst_ns, 5000 * MS);
	assert_non_null(strstr(f->message, "shop::handler blocked its worker for 5.00 s in a std "
					   "Mutex that a waiting task of shop::other holds"));
	assert_non_null(strstr(said(&w), "that a waiting task of shop::other probably holds "
					 "across an .await"));
	assert_null(world_find(&w, "deadlock", ID_NONE));
	last = held_by(LOCK_NOT_FOUND, T0);
	last.tid = 21;
	last.kind = STACK_OFF_CPU;
	last.poll_start_ns = T0;
	last.span_ns = 5700 * MS;
	last.frames = frames;
	last.frames_count = LEN(frames);
	w.now += 800 * MS;
	world_send(&w, last);
	judge(&w);
	assert_int_equal(f->worst_ns, 5700 * MS);
	assert_true(f->open);
	/* Blocks in locks of other kinds, or with an owner, do not keep it open. */
	last.begin_ns = w.now;
	last.span_ns = 20 * MS;
	for (int i = 0; i < 6; i++) {
		world_send(&w, last);
		judge(&w);
	}
	assert_false(f->open);
	assert_int_equal(f->worst_ns, 5700 * MS);
	world_close(&w);
}

/* A trace may say anything. */
static void test_bad_holder(void **state)
{
	struct ev_stack stack = held_by(LOCK_IN_TASK, T0);
	struct world w;
	struct event event = {.time_ns = T0, .kind = EV_STACK};

	(void)state;
	open_four(&w);
	stack.tid = 21;
	stack.site = SITE_HANDLER;
	event.as_stack = stack;
	assert_int_equal(model_apply(w.m, &event), 0);
	event.as_stack.lock_site = SITES;
	assert_int_equal(model_apply(w.m, &event), -EINVAL);
	event.as_stack.lock_site = ID_NONE;
	assert_int_equal(model_apply(w.m, &event), -EINVAL);
	event.as_stack = stack;
	event.as_stack.lock_found = LOCK_NOWHERE + 1;
	assert_int_equal(model_apply(w.m, &event), -EINVAL);
	world_close(&w);
}

/* The thread has gone on, and blocks anew in the same poll: its old stack tells nothing. */
static void test_old_stack(void **state)
{
	struct world w;

	(void)state;
	open_four(&w);
	waits(&w, 21, owned(21));
	w.now += 3000 * MS;
	APPLY(w.m, EV_THREAD, w.now, 0,
	      .as_thread = {.tid = 21,
			    .comm = "w",
			    .state = THREAD_BLOCKED,
			    .since_ns = w.now - 2500 * MS,
			    .worker = true,
			    .site = SITE_HANDLER,
			    .syscall = SYS_FUTEX,
			    .first_ns = T0,
			    .poll_start_ns = T0});
	judge(&w);
	assert_null(world_find(&w, "deadlock", ID_NONE));
	assert_string_equal(said(&w), "");
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_circle),		cmocka_unit_test(test_itself),
		cmocka_unit_test(test_guess),		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_kept_over_await), cmocka_unit_test(test_bad_holder),
		cmocka_unit_test(test_old_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

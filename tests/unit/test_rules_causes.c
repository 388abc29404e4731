// SPDX-License-Identifier: LGPL-2.1-or-later
/* One fault, one alarm: effects point to their cause, and only to what can be it. */
#include "rules_world.h"

#include "sink/sinks.h"

enum { SYS_FUTEX = 202 };

static void ready_waits(struct world *w, uint64_t waited)
{
	APPLY(w->m, EV_READY, w->now, 0,
	      .as_ready = {.runtime = 0, .site = SITE_OTHER, .waited_ns = waited, .ready = 1});
}

/* Both workers are held by the handler; a task has waited so long. */
static void starve(struct world *w, uint64_t waited)
{
	w->held = 3;
	ready_waits(w, waited);
	world_tick(w, 100 * MS);
}

static struct outcome outcome(const struct world *w, enum severity fail_on)
{
	const struct snapshot snap = {.model = w->m, .rules = w->rules};
	const struct outcome_opts opts = {.fail_on = fail_on};
	struct outcome out;

	outcome_of(&out, &snap, &opts);
	return out;
}

static void test_starvation_points_to_its_culprit(void **state)
{
	const struct finding *starved, *blocked;
	struct outcome out;
	uint64_t revision;
	struct world w;

	(void)state;
	world_open(&w);
	world_run(&w, 3000 * MS, 100 * MS);
	/* Without a finding about the culprit it is an alarm of its own. */
	starve(&w, 60 * MS);
	starved = world_find(&w, "starvation", ID_NONE);
	assert_non_null(starved);
	assert_int_equal(starved->culprit, SITE_HANDLER);
	assert_null(starved->cause.rule);
	assert_null(strstr(starved->message, "an effect of"));
	revision = starved->revision;
	/* The worse of the two makes the alarm. */
	world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 60 * MS, 60 * MS));
	starve(&w, 600 * MS);
	world_run(&w, 1100 * MS, 100 * MS);
	blocked = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_non_null(blocked);
	assert_int_equal(blocked->severity, SEVERITY_WARNING);
	assert_int_equal(starved->severity, SEVERITY_CRITICAL);
	assert_ptr_equal(starved->cause.rule, blocked->rule);
	assert_int_equal(starved->cause.site, SITE_HANDLER);
	assert_true(starved->cause.first_ns == blocked->first_ns);
	assert_true(starved->revision > revision);
	assert_non_null(strstr(starved->message, "; an effect of blocking-call of shop::handler"));
	assert_null(blocked->cause.rule);
	assert_int_equal(blocked->effects, 1);
	assert_int_equal(blocked->alarm, SEVERITY_CRITICAL);
	out = outcome(&w, SEVERITY_CRITICAL);
	assert_int_equal(out.by_severity[SEVERITY_CRITICAL], 1);
	assert_int_equal(out.by_severity[SEVERITY_WARNING], 0);
	assert_int_equal(out.effects, 1);
	assert_int_equal(out.failing, 1);
	world_close(&w);
}

/* What another task type does, or the culprit did long ago, is not the cause. */
static void test_no_cause(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 20 * MS, 20 * MS));
	world_run(&w, 8000 * MS, 100 * MS);
	world_closed(&w, world_poll(&w, TID_A, SITE_OTHER, 20 * MS, 20 * MS));
	starve(&w, 60 * MS);
	f = world_find(&w, "starvation", ID_NONE);
	assert_non_null(f);
	assert_int_equal(f->culprit, SITE_HANDLER);
	assert_null(f->cause.rule);
	assert_int_equal(outcome(&w, SEVERITY_WARNING).by_severity[SEVERITY_WARNING], 3);
	assert_int_equal(outcome(&w, SEVERITY_WARNING).failing, 3);
	world_close(&w);
}

/* Both workers in locks, for so long. */
static void lock_all(struct world *w, uint64_t since)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct ev_poll poll = world_poll(w, TID_A + i, SITE_HANDLER, w->now - since,
						 w->now - since);

		poll.syscall = SYS_FUTEX;
		poll.off_cpu = true;
		APPLY(w->m, EV_POLL_OPEN, w->now, 0, .as_poll = poll);
		APPLY(w->m, EV_THREAD, w->now, 0,
		      .as_thread = {.tid = TID_A + i,
				    .comm = "tokio-runtime-w",
				    .state = THREAD_BLOCKED,
				    .since_ns = since,
				    .worker = true,
				    .site = SITE_HANDLER,
				    .syscall = SYS_FUTEX,
				    .parked_syscall = -1,
				    .first_ns = T0,
				    .poll_start_ns = since});
	}
	TICK(w->m, w->now);
	rules_eval(w->rules, w->m);
}

static void lock_for(struct world *w, uint64_t since, uint64_t ns)
{
	while (w->now < since + ns) {
		w->now += 100 * MS;
		lock_all(w, since);
	}
}

static void test_deadlock_is_one_alarm(void **state)
{
	const struct finding *f;
	struct outcome out;
	uint64_t since;
	struct world w;

	(void)state;
	world_open(&w);
	world_run(&w, 1000 * MS, 100 * MS);
	starve(&w, 60 * MS);
	since = w.now;
	lock_for(&w, since, 1500 * MS);
	assert_null(world_find(&w, "deadlock", ID_NONE));
	assert_int_equal(outcome(&w, SEVERITY_CRITICAL).failing, 1);
	lock_for(&w, since, 4000 * MS);
	f = world_find(&w, "stuck-poll", SITE_HANDLER);
	assert_string_equal(f->cause.rule->id, "deadlock");
	assert_string_equal(world_find(&w, "starvation", ID_NONE)->cause.rule->id, "deadlock");
	f = world_find(&w, "deadlock", ID_NONE);
	assert_int_equal(f->effects, 2);
	out = outcome(&w, SEVERITY_CRITICAL);
	assert_int_equal(out.by_severity[SEVERITY_CRITICAL], 1);
	assert_int_equal(out.effects, 2);
	assert_int_equal(out.failing, 1);
	world_close(&w);
}

/* The same task type had stood still before, and had gone on: that is a fault of its own. */
static void test_older_fault_stays(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 20 * MS, 20 * MS));
	world_run(&w, 1000 * MS, 100 * MS);
	lock_for(&w, w.now, 4000 * MS);
	assert_non_null(world_find(&w, "deadlock", ID_NONE));
	assert_null(world_find(&w, "blocking-call", SITE_HANDLER)->cause.rule);
	assert_non_null(world_find(&w, "stuck-poll", SITE_HANDLER)->cause.rule);
	world_close(&w);
}

/* An effect of an effect: the alarm is given where the chain begins. */
static void test_chain(void **state)
{
	static const char rule[] =
		"{\"id\":\"%s\",\"title\":\"t\",\"why\":\"w\",\"advice\":\"a\","
		"\"group\":\"%s\",%s"
		"\"cases\":[{\"scope\":\"runtime\",\"severity\":[{\"level\":\"%s\",\"when\":["
		"{\"field\":\"runtime.workers\",\"op\":\">\",\"value\":0}]}],"
		"\"message\":\"m\"}]}";
	const struct finding *a;
	char text[600];
	struct world w;

	(void)state;
	world_open(&w);
	snprintf(text, sizeof(text), rule, "a", "target", "", "info");
	world_rule(&w, text);
	snprintf(text, sizeof(text), rule, "b", "runtime", "\"caused_by\":[\"a\"],", "warning");
	world_rule(&w, text);
	snprintf(text, sizeof(text), rule, "c", "runtime", "\"caused_by\":[\"b\"],", "critical");
	world_rule(&w, text);
	world_run(&w, 300 * MS, 100 * MS);
	a = world_find(&w, "a", ID_NONE);
	assert_int_equal(a->effects, 2);
	assert_int_equal(a->severity, SEVERITY_INFO);
	assert_int_equal(a->alarm, SEVERITY_CRITICAL);
	assert_string_equal(world_find(&w, "c", ID_NONE)->cause.rule->id, "b");
	assert_int_equal(outcome(&w, SEVERITY_CRITICAL).by_severity[SEVERITY_CRITICAL], 1);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starvation_points_to_its_culprit),
		cmocka_unit_test(test_no_cause),
		cmocka_unit_test(test_deadlock_is_one_alarm),
		cmocka_unit_test(test_older_fault_stays),
		cmocka_unit_test(test_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

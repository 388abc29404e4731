// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rules of the user's own, and the limits and the order of the table of findings. */
#include "rules_world.h"

#include <stdlib.h>

#define RULE(id, rest) "{\"id\":\"" id "\",\"title\":\"t\",\"why\":\"w\",\"advice\":\"a\"," rest "}"
#define OWN_CASE(scope, when, more, message)                                                       \
	"\"cases\":[{\"scope\":\"" scope "\",\"severity\":[{\"level\":\"info\",\"when\":[" when    \
	"]}]," more "\"message\":\"" message "\"}]"
#define COND(field, op, value) "{\"field\":\"" field "\",\"op\":\"" op "\",\"value\":" value "}"

static void test_own_worker_rule(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_rule(
		&w,
		RULE("hot-worker",
		     "\"group\":\"worker\"," OWN_CASE(
			     "worker",
			     "{\"any\":[" COND("worker.busy_share", ">", "\"90%\"") "," COND(
				     "worker.preempted_share", ">", "\"50%\"") "]}",
			     "\"window\":\"2s\",\"for\":\"1s\",\"close_after\":\"0s\",",
			     "{worker} of the {runtime} in {process} is {worker.busy_share} busy [[{worker.poll_rate}]]")));
	for (int i = 0; i < 60; i++) {
		w.busy[1] += 95 * MS;
		world_tick(&w, 100 * MS);
	}
	assert_int_equal(world_count(&w), 1);
	f = world_find(&w, "hot-worker", ID_NONE);
	assert_int_equal(f->tid, TID_B);
	assert_int_equal(f->severity, SEVERITY_INFO);
	assert_string_equal(f->message,
			    "tokio-runtime-w (tid 12) of the tokio runtime in shop (pid 4711) "
			    "is 95.0 % busy [0/s]");
	world_run(&w, 3 * SEC, 100 * MS);
	assert_false(f->open);
	world_close(&w);
}

static void test_own_relative_rule(void **state)
{
	uint64_t hist[HIST_BUCKETS] = {0};
	const struct finding *f;
	struct world w;

	(void)state;
	hist[hist_bucket(100 * US)] = 1000;
	world_open(&w);
	world_rule(
		&w,
		RULE("outlier",
		     OWN_CASE(
			     "poll",
			     COND("poll.length", ">", "{\"field\":\"site.poll_p99\",\"times\":20}"),
			     "",
			     "{site}: {poll.length}, 20 times its usual {site.poll_p99}; {{{count}}}")));
	assert_int_equal(rules_poll_threshold_ns(w.rules), MS);
	world_tick(&w, SEC);
	world_stats(&w, (struct ev_site_stats){.site = SITE_HANDLER, .polls = 1000, .hist = hist});
	world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 2 * MS, 0));
	/* Without a distribution there is nothing to compare with. */
	world_closed(&w, world_poll(&w, TID_A, SITE_OTHER, 9 * MS, 0));
	world_tick(&w, 100 * MS);
	assert_int_equal(world_count(&w), 0);
	world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 5 * MS, 0));
	world_tick(&w, 100 * MS);
	assert_int_equal(world_count(&w), 1);
	f = world_find(&w, "outlier", SITE_HANDLER);
	assert_non_null(strstr(f->message, "shop::handler: 5.00 ms, 20 times its usual "));
	assert_non_null(strstr(f->message, "; {1}"));
	world_close(&w);
}

static void test_own_exemptions(void **state)
{
	static const char rule[] = RULE(
		"any-poll",
		"\"exempt\":{\"sites\":[\"*::oth?r\"],\"threads\":[\"db-*\"],\"syscalls\":[\"futex\"]}," OWN_CASE(
			"poll", COND("poll.length", ">=", "\"1ms\""), "", "{site}"));
	struct ev_poll poll;
	struct world w;

	(void)state;
	world_open(&w);
	world_rule(&w, rule);
	world_tick(&w, SEC);
	APPLY(w.m, EV_THREAD, w.now, 0,
	      .as_thread = {.tid = 30,
			    .comm = "db-1",
			    .worker = true,
			    .state = THREAD_PARKED,
			    .site = ID_NONE,
			    .syscall = -1,
			    .first_ns = T0});
	world_closed(&w, world_poll(&w, TID_A, SITE_OTHER, 2 * MS, 0));
	world_closed(&w, world_poll(&w, 30, SITE_HANDLER, 2 * MS, 0));
	poll = world_poll(&w, TID_A, SITE_HANDLER, 2 * MS, MS);
	poll.syscall = 202;
	world_closed(&w, poll);
	world_tick(&w, 100 * MS);
	assert_int_equal(world_count(&w), 0);
	world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 2 * MS, 0));
	world_tick(&w, 100 * MS);
	assert_int_equal(world_count(&w), 1);
	world_close(&w);
}

static void test_disabled(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_set(&w, "blocking-call.enabled=false");
	world_set(&w, "stuck-poll.enabled=false");
	world_tick(&w, SEC);
	world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 200 * MS, 200 * MS));
	world_tick(&w, 100 * MS);
	assert_int_equal(world_count(&w), 0);
	world_set(&w, "cpu-bound-poll.enabled=false");
	assert_true(rules_poll_threshold_ns(w.rules) == UINT64_MAX);
	world_close(&w);
}

/* --- the table of findings ------------------------------------------------------------ */

/* Site names and thread names of a target stay one safe line of bounded length. */
static void test_hostile_names(void **state)
{
	const struct finding *f;
	char name[600] = "a\033[2J\n";
	struct world w;

	(void)state;
	world_open(&w);
	for (int i = 0; i < 90; i++)
		strcat(name, "\xe6\x97\xa5xy");
	APPLY(w.m, EV_SITE, w.now, 0, .as_site = {.site = SITES, .name = name});
	world_tick(&w, SEC);
	world_closed(&w, world_poll(&w, TID_A, SITES, 20 * MS, 20 * MS));
	world_tick(&w, 100 * MS);
	f = world_find(&w, "blocking-call", SITES);
	assert_non_null(strstr(f->message, "..."));
	assert_non_null(strstr(f->message, "for 20.0 ms in clock_nanosleep"));
	for (const char *p = f->message; *p; p++)
		assert_true((unsigned char)*p >= 0x20);
	assert_true(strlen(f->message) < sizeof(f->message));
	world_close(&w);
}

static void test_eviction(void **state)
{
	const struct finding **list;
	struct world w;
	size_t n;

	(void)state;
	world_open(&w);
	for (uint32_t i = 0; i < FINDINGS_MAX + 100; i++)
		APPLY(w.m, EV_SITE, w.now, 0, .as_site = {.site = SITES + i, .name = "many"});
	for (uint32_t i = 0; i < FINDINGS_MAX + 100; i++) {
		world_tick(&w, 20 * MS);
		world_closed(&w, world_poll(&w, TID_A, SITES + i, 10 * MS, 10 * MS));
	}
	world_tick(&w, 20 * MS);
	n = rules_findings(w.rules, &list);
	assert_int_equal(n, FINDINGS_MAX);
	assert_int_equal(rules_evicted(w.rules), 100);
	assert_int_equal(list[0]->site, SITES + 100);
	assert_int_equal(list[n - 1]->site, SITES + FINDINGS_MAX + 99);
	for (size_t i = 1; i < n; i++)
		assert_true(list[i - 1]->first_ns < list[i]->first_ns);
	world_close(&w);
}

static void test_worst_first(void **state)
{
	struct rule a = {.id = "a"}, b = {.id = "b"};
	struct finding f[] = {
		{.rule = &a, .severity = SEVERITY_CRITICAL, .worst_ns = 5, .count = 1},
		{.rule = &a,
		 .severity = SEVERITY_WARNING,
		 .worst_ns = 100,
		 .count = 9,
		 .open = true},
		{.rule = &b, .severity = SEVERITY_CRITICAL, .worst_ns = 5, .count = 2},
		{.rule = &b, .severity = SEVERITY_CRITICAL, .open = true},
		{.rule = &b, .severity = SEVERITY_CRITICAL, .worst_ns = 5, .count = 1},
	};
	static const size_t order[] = {3, 1, 2, 0, 4};
	const struct finding *list[5];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		f[i].alarm = f[i].severity;
		list[i] = &f[4 - i];
	}
	qsort(list, 5, sizeof(list[0]), finding_compare);
	for (size_t i = 0; i < 5; i++)
		assert_ptr_equal(list[i], &f[order[i]]);
	/* A cause is as grave as its effect, and stands before it. */
	f[0].cause.rule = &b;
	f[4].alarm = SEVERITY_CRITICAL;
	f[4].severity = SEVERITY_WARNING;
	qsort(list, 5, sizeof(list[0]), finding_compare);
	assert_ptr_equal(list[3], &f[4]);
	assert_ptr_equal(list[4], &f[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_worker_rule), cmocka_unit_test(test_own_relative_rule),
		cmocka_unit_test(test_own_exemptions),	cmocka_unit_test(test_disabled),
		cmocka_unit_test(test_hostile_names),	cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_worst_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

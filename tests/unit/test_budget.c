// SPDX-License-Identifier: LGPL-2.1-or-later
/* The overhead budget against simulated targets: how it settles, samples, and gives back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "budget_sim.h"

static void hot_loop(void **state)
{
	struct sim s;
	double cost;

	(void)state;
	sim_init(&s, 2);
	s.rate[3] = 11e6;
	s.rate[4] = 100;
	sim_for(&s, 2);
	assert_true(s.sites[3].out);
	assert_false(s.sites[4].out);
	cost = sim_for(&s, 120);
	assert_true(cost < 0.02);
	assert_true(cost > 0.001);
	assert_int_equal(s.splits, 1);
	assert_int_equal(s.stays, 0);
	assert_int_equal(s.lowers, 0);
	assert_in_range(s.opens, 5, 26);
}

static void little_cpu(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	s.cores = 0.02; /* counted as a quarter */
	s.rate[0] = 2000;
	sim_for(&s, 10);
	assert_int_equal(s.splits, 0); /* 1.4 ms of 100 a second */
	s.rate[0] = 8000;
	sim_for(&s, 3);
	assert_true(s.sites[0].out);
}

static void burst(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	sim_for(&s, 2);
	s.rate[0] = 50000; /* 3.5 %, for less than two periods */
	sim_for(&s, 0.4);
	s.rate[0] = 0;
	sim_for(&s, 10);
	assert_int_equal(s.splits, 0);
}

static void up_and_down(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	for (double rate = 1000; rate < 1e6; rate *= 1.5) {
		s.rate[7] = rate;
		sim_for(&s, 2);
	}
	assert_true(s.sites[7].out);
	assert_int_equal(s.splits, 1);
	for (double rate = 1e6; rate > 1000; rate /= 1.5) {
		s.rate[7] = rate;
		sim_for(&s, 2);
	}
	sim_for(&s, 15);
	assert_false(s.sites[7].out);
	assert_int_equal(s.splits, 1);
	assert_int_equal(s.stays, 1);
	assert_int_equal(s.budget.state, BUDGET_ALL);
}

static void two_of_many(void **state)
{
	struct sim s;
	uint32_t out = 0;

	(void)state;
	sim_init(&s, 2);
	s.cores = 2;
	for (int i = 0; i < SITES; i++)
		s.rate[i] = 20;
	s.rate[100] = 400000;
	s.rate[400] = 300000;
	sim_for(&s, 2);
	assert_true(s.sites[100].out && s.sites[400].out);
	assert_true(sim_for(&s, 60) < 0.02);
	for (int i = 0; i < SITES; i++)
		out += s.sites[i].out;
	assert_int_equal(out, 2);
	/* The agent's rows grow, and one more becomes hot. */
	s.rate[0] = 300000;
	sim_for(&s, 8);
	assert_true(s.sites[0].out);
	assert_int_equal(s.budget.out_count, 3);
}

/* A load that costs just what is allowed, now a little more and now a little less. */
static void at_the_limit(void **state)
{
	struct sim s;
	uint64_t changes;

	(void)state;
	sim_init(&s, 2);
	for (int i = 0; i < 400; i++) {
		s.rate[0] = 0.02 / HIT_NS * 1e9 * (i / 5 % 2 ? 1.1 : 0.9);
		sim_for(&s, 1);
	}
	changes = s.splits + s.stays;
	assert_true(changes <= 1);
}

/* A load that comes and goes in a rhythm that fools windows: it is given back less and less often. */
static void on_and_off(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	for (int i = 0; i < 60; i++) {
		s.rate[0] = i % 2 ? 1e6 : 0;
		sim_for(&s, 10);
	}
	assert_true(s.splits >= 1);
	assert_true(s.splits <= 12);
	assert_true(s.stays <= s.splits);
}

static void idle(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	s.cores = 0;
	sim_for(&s, 60);
	assert_int_equal(s.splits + s.opens + s.lowers, 0);
	s.cores = 1;
	s.rate[0] = 1e6;
	sim_for(&s, 2);
	assert_true(s.sites[0].out);
	s.cores = 0;
	s.rate[0] = 0;
	sim_for(&s, 90);
	assert_false(s.sites[0].out);
}

static void levels(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 3);
	s.rate[0] = 10000;    /* 0.7 % */
	s.other_rate = 60000; /* 4.2 % */
	sim_for(&s, 2);
	assert_int_equal(s.budget.level, 2);
	assert_int_equal(s.lowers, 1);
	sim_for(&s, 60);
	assert_int_equal(s.budget.level, 2);
	s.other_rate = 6000000; /* ends of tasks cost as much */
	sim_for(&s, 2);
	assert_int_equal(s.budget.level, 1);
	assert_int_equal(s.splits, 0);
	/* Nothing is left that could be saved. */
	s.in.other_cost_ns += SECOND;
	sim_for(&s, 60);
	assert_int_equal(s.budget.level, 1);
	assert_int_equal(s.raises, 0);
	/* Neither is allowed. */
	sim_init(&s, 3);
	s.budget.opts.may_lower = s.budget.opts.may_sample = false;
	s.other_rate = 60000;
	s.rate[0] = 1e6;
	sim_for(&s, 5);
	assert_int_equal(s.budget.level, 3);
	assert_false(s.sites[0].out);
	assert_true(s.budget.cost_ratio > 0.02);
}

static void level_returns(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 3);
	sim_load(&s, 20000); /* 2.8 %; without wakes 1.4 % */
	sim_for(&s, 2);
	assert_int_equal(s.budget.level, 2);
	/* Within the budget now, but not with the wakes. */
	sim_for(&s, 300);
	assert_int_equal(s.raises, 0);
	/* Neither would 1.7 % leave room. */
	sim_load(&s, 12000);
	sim_for(&s, 300);
	assert_int_equal(s.raises, 0);
	sim_load(&s, 6000);
	sim_for(&s, CALM - 0.5);
	assert_int_equal(s.raises, 0); /* not at once */
	sim_for(&s, 2);
	assert_int_equal(s.budget.level, 3);
	assert_int_equal(s.raises, 1);
	sim_for(&s, 300);
	assert_int_equal(s.lowers, 1);
	assert_int_equal(s.raises, 1);
	/* Never beyond what the user has asked for. */
	sim_init(&s, 2);
	sim_for(&s, 30);
	assert_int_equal(s.raises, 0);
	/* The caller cannot. */
	sim_init(&s, 3);
	s.budget.opts.may_raise = false;
	sim_load(&s, 20000);
	sim_for(&s, 2);
	sim_load(&s, 0);
	sim_for(&s, 100);
	assert_int_equal(s.budget.level, 2);
}

/* One level after the other, and after the types that were sampled. */
static void all_returns(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 3);
	s.budget.opts.exact = s.budget.exact = true;
	s.rate[0] = 1e6;
	s.other_rate = 6000000;
	sim_for(&s, 8);
	assert_false(s.budget.exact);
	assert_int_equal(s.budget.level, 1);
	assert_true(s.sites[0].out);
	sim_load(&s, 1000);
	while (s.sites[0].out)
		sim_for(&s, 0.1);
	assert_int_equal(s.raises, 0);
	sim_for(&s, CALM + 1.5);
	assert_int_equal(s.budget.level, 2);
	sim_for(&s, CALM + 1.5);
	assert_int_equal(s.budget.level, 3);
	assert_false(s.budget.exact);
	sim_for(&s, CALM + 1.5);
	assert_true(s.budget.exact);
	assert_int_equal(s.raises, 3);
	sim_for(&s, 100);
	assert_int_equal(s.raises, 3);
	assert_int_equal(s.lowers, 2);
}

/* A return probe costs as much again: what would not leave room for it stays without. */
static void returns_stay_out(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	s.budget.opts.exact = s.budget.exact = true;
	s.rate[0] = 20000; /* 2.8 % with returns */
	sim_for(&s, 2);
	assert_int_equal(s.loosened, 1);
	s.rate[0] = 10000; /* 0.7 %, 1.4 % */
	sim_for(&s, 300);
	assert_false(s.budget.exact);
	s.rate[0] = 6000;
	sim_for(&s, CALM + 1.5);
	assert_true(s.budget.exact);
}

/* An hour of a load that is high and low for so many seconds; how often the level was lowered. */
static uint64_t hour_of(double high, double low, double seconds)
{
	struct sim s;

	sim_init(&s, 3);
	s.in.count = 2;
	for (double t = 0; t < 3600; t += 2 * seconds) {
		sim_load(&s, high);
		sim_for(&s, seconds);
		sim_load(&s, low);
		sim_for(&s, seconds);
	}
	assert_in_range(s.lowers - s.raises, 0, 1);
	return s.lowers;
}

static void no_oscillation(void **state)
{
	static const double seconds[] = {0.5, 1, 2, 4, 6, 8, 15, 30, 60, 120, 290};

	(void)state;
	/* At the border it is lowered once, whatever the rhythm. */
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
		assert_int_equal(hour_of(15500, 13000, seconds[i]), 1);
	/* What comes and goes is followed less and less often: the calm time doubles each time. */
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
		assert_in_range(hour_of(20000, 0, seconds[i]), seconds[i] >= 2, 8);
	/* Over hours the same as it is over minutes: it is worth it each time. */
	assert_int_equal(hour_of(20000, 0, 600), 3);
}

/* After calm times that lasted the first one counts again. */
static void back_off_ends(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 3);
	for (int i = 0; i < 4; i++) {
		sim_load(&s, 20000);
		sim_for(&s, 3);
		sim_load(&s, 0);
		while (s.budget.level < 3)
			sim_for(&s, 0.5);
	}
	assert_int_equal(s.budget.raise_ns, 8 * BUDGET_RAISE_NS);
	sim_for(&s, 400);
	sim_load(&s, 20000);
	sim_for(&s, 3);
	assert_int_equal(s.budget.level, 2);
	assert_int_equal(s.budget.raise_ns, BUDGET_RAISE_NS);
	/* It is bounded. */
	for (int i = 0; i < 20; i++)
		budget_not_raised(&s.budget);
	assert_int_equal(s.budget.raise_ns, BUDGET_RAISE_MAX_NS);
}

/* Two targets have one level: it returns when both are quiet, and the next time later for both. */
static void together(void **state)
{
	struct sim a, b;

	(void)state;
	sim_init(&a, 3);
	sim_init(&b, 3);
	sim_load(&a, 20000);
	sim_for(&a, 2);
	sim_load(&b, 12000);
	sim_for(&b, 2);
	assert_int_equal(b.budget.level, 3);
	budget_follow(&b.budget, b.in.now, a.budget.level, false);
	sim_for(&b, 10);
	/* Wakes of its own, which it has not now, were not forgotten. */
	assert_false(budget_may_rise(&b.budget, b.in.now));
	assert_int_equal(b.raises, 0);
	sim_load(&b, 100);
	sim_for(&b, CALM + 1.5);
	assert_int_equal(b.raises, 1);
	budget_follow(&b.budget, b.in.now, 2, false);
	assert_int_equal(b.budget.raise_ns, 2 * BUDGET_RAISE_NS);
}

/* Probes of returns go before anything else does, and once. */
static void returns_go_first(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 3);
	s.budget.opts.exact = s.budget.exact = true;
	s.other_rate = 1000;
	sim_for(&s, 5);
	assert_true(s.budget.exact);
	s.other_rate = 60000;
	while (!s.loosened)
		sim_for(&s, 0.1);
	assert_int_equal(s.budget.level, 3);
	sim_for(&s, 2);
	assert_int_equal(s.loosened, 1);
	assert_int_equal(s.budget.level, 2);
	/* Every poll is wanted, and so are their ends. */
	sim_init(&s, 2);
	s.budget.exact = true;
	s.budget.opts.may_lower = s.budget.opts.may_sample = false;
	s.rate[0] = 1e6;
	sim_for(&s, 3);
	assert_true(s.budget.exact);
	assert_int_equal(s.loosened, 0);
}

static void fixed_sites_stay(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	s.rate[0] = s.rate[1] = 1e5;
	s.sites[0].fixed = true;
	sim_for(&s, 5);
	assert_false(s.sites[0].out);
	assert_true(s.sites[1].out);
}

/* A thread ended, and what it had counted is gone. */
static void backwards(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	s.rate[0] = 10000;
	for (int i = 0; i < 50; i++) {
		sim_for(&s, 0.3);
		s.sites[0].hits = s.sites[0].hits > 5000 ? s.sites[0].hits - 5000 : 0;
		s.in.other_cost_ns = 0;
		s.in.target_cpu_ns -= 10 * MS;
	}
	assert_int_equal(s.splits + s.lowers, 0);
}

static void clock_jumps(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	s.rate[0] = 1000;
	sim_for(&s, 3);
	s.in.now += 3600 * SECOND; /* suspended; the counters did not move */
	sim_for(&s, 3);
	s.in.now -= 7200 * SECOND;
	sim_for(&s, 3);
	assert_int_equal(s.splits, 0);
	s.rate[0] = 1e6;
	sim_for(&s, 3);
	assert_true(s.sites[0].out);
	s.in.now -= 1800 * SECOND; /* the next window must not be hours away */
	sim_for(&s, 70);
	assert_true(s.opens >= 1);
	/* In the middle of a window. */
	while (s.budget.state != BUDGET_IN)
		sim_for(&s, 0.05);
	s.in.now -= 100 * SECOND;
	sim_for(&s, 1);
	assert_int_not_equal(s.budget.state, BUDGET_IN);
}

/* Putting probes in is dear: then it is done seldom. */
static void dear_windows(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	s.rate[0] = 1e6;
	s.attach_ns = 100 * MS;
	sim_for(&s, 3);
	assert_true(sim_for(&s, 300) < 0.02);
	assert_in_range(s.opens, 4, 15);
}

static void failed_window(void **state)
{
	struct sim s;

	(void)state;
	sim_init(&s, 2);
	s.rate[0] = 1e6;
	sim_for(&s, 2);
	assert_int_equal(s.budget.state, BUDGET_OUT);
	budget_failed(&s.budget, s.in.now);
	s.opens = 0;
	sim_for(&s, 55);
	assert_int_equal(s.opens, 0);
	sim_for(&s, 10);
	assert_true(s.opens >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hot_loop),
		cmocka_unit_test(little_cpu),
		cmocka_unit_test(burst),
		cmocka_unit_test(up_and_down),
		cmocka_unit_test(two_of_many),
		cmocka_unit_test(at_the_limit),
		cmocka_unit_test(on_and_off),
		cmocka_unit_test(idle),
		cmocka_unit_test(levels),
		cmocka_unit_test(level_returns),
		cmocka_unit_test(all_returns),
		cmocka_unit_test(no_oscillation),
		cmocka_unit_test(back_off_ends),
		cmocka_unit_test(together),
		cmocka_unit_test(returns_go_first),
		cmocka_unit_test(returns_stay_out),
		cmocka_unit_test(fixed_sites_stay),
		cmocka_unit_test(backwards),
		cmocka_unit_test(clock_jumps),
		cmocka_unit_test(dear_windows),
		cmocka_unit_test(failed_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

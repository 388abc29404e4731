// SPDX-License-Identifier: LGPL-2.1-or-later
/* --overhead-check against simulated targets: what is found, in which order, and at which cost. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "attach/overhead.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)
#define TICK (50 * MS)
#define TURN_TICKS 2

/* A target that does one thing again and again, and an agent that does what it is told. */
struct sim {
	struct overhead o;
	struct overhead_sample s;
	double take_ns, probe_ns; /* CPU time for one, and what a probe adds */
	double load;		  /* takes a second that are asked of it; 0: as many as it can */
	double growth;		  /* of the load, a second */
	double spent_ns;	  /* by probes */
	double part;
	bool probed, goal;
	int turning;
	uint32_t turns, orders[2];
};

static void sim_init(struct sim *s, double ratio)
{
	memset(s, 0, sizeof(*s));
	overhead_init(&s->o, ratio, 42);
	s->s = (struct overhead_sample){
		.now = 1000 * SECOND, .switches_known = true, .takes_known = true};
	s->probed = true;
	s->take_ns = 100;
}

static void sim_run(struct sim *s)
{
	/* While probes come or go they are hit, and nobody counts that. */
	bool hit = s->probed || s->turning;
	double ns = s->take_ns + (hit ? s->probe_ns : 0), most = TICK / ns;
	double seconds = (double)(s->s.now - 1000 * SECOND) / SECOND;
	double takes = s->load * (1 + s->growth * seconds) * TICK / SECOND;

	if (!s->load || takes > most)
		takes = most;
	s->s.now += TICK;
	s->s.cpu_ns += (uint64_t)(takes * ns);
	s->part += takes;
	s->s.takes += (uint64_t)s->part;
	s->s.switches += (uint64_t)s->part / 10;
	if (s->probed && !s->turning) {
		s->s.polls += (uint64_t)s->part;
		s->s.cost_ns += (uint64_t)(takes * s->probe_ns);
	}
	s->spent_ns += hit ? takes * s->probe_ns : 0;
	s->part -= (uint64_t)s->part;
}

static void sim_act(struct sim *s, enum overhead_act act)
{
	if (act == OVERHEAD_KEEP)
		return;
	assert_int_equal(s->turning, 0);
	s->goal = act == OVERHEAD_PUT_IN;
	s->turning = TURN_TICKS;
	s->turns++;
}

static void sim_tick(struct sim *s)
{
	uint32_t rounds = s->o.sum.rounds;

	sim_run(s);
	if (s->turning && !--s->turning) {
		s->probed = s->goal;
		overhead_turned(&s->o, &s->s, 5 * MS);
	} else if (!s->turning && overhead_due(&s->o, s->s.now)) {
		sim_act(s, overhead_step(&s->o, &s->s));
	}
	if (s->o.sum.rounds != rounds)
		s->orders[s->o.outer]++;
	assert_false(s->o.state == OVERHEAD_WINDOW && s->o.in != s->probed);
}

static struct ev_overhead sim_for(struct sim *s, double seconds)
{
	struct ev_overhead out = {0};

	for (double t = 0; t < seconds * SECOND; t += TICK)
		sim_tick(s);
	overhead_result(&s->o, &out);
	return out;
}

static void holds(const struct ev_compared *c, double ratio, double width)
{
	assert_int_equal(c->known, OVERHEAD_KNOWN);
	if ((double)c->low > ratio * 1e6 || (double)c->high < ratio * 1e6 ||
	    (double)(c->high - c->low) > width * ratio * 1e6)
		fail_msg("%g: %g to %g", ratio, (double)c->low / 1e6, (double)c->high / 1e6);
}

/* It has the CPU all the time: only what it gets done tells what the probes cost. */
static void a_hot_loop(void **state)
{
	struct sim s;
	struct ev_overhead r;

	(void)state;
	sim_init(&s, 1);
	s.probe_ns = 700;
	r = sim_for(&s, 20);
	assert_in_range(r.rounds, 15, 21);
	assert_int_equal(s.o.state == OVERHEAD_REST, false);
	assert_in_range(r.probed_ns, r.rounds * 2 * OVERHEAD_WINDOW_NS,
			r.rounds * 2 * OVERHEAD_WINDOW_NS + r.rounds * TICK);
	assert_int_equal(r.probed_ns, r.without_ns);
	holds(&r.by[OVERHEAD_CPU], 1, 0.001);
	holds(&r.by[OVERHEAD_TAKES], 0.125, 0.001);
	holds(&r.by[OVERHEAD_CPU_TAKE], 8, 0.001);
	holds(&r.by[OVERHEAD_SWITCHES], 0.125, 0.01);
	assert_in_range(r.by[OVERHEAD_CPU_TAKE].without_probes, 99900, 100100);
	assert_in_range(r.by[OVERHEAD_CPU_TAKE].probed, 799000, 801000);
	assert_in_range(r.polls_cpu_ns / r.polls, 799, 801);
}

/* Asked for so much and no more: then the CPU time grows. */
static void a_server(void **state)
{
	struct sim s;
	struct ev_overhead r;

	(void)state;
	sim_init(&s, 1);
	s.probe_ns = 700;
	s.take_ns = 10000;
	s.load = 20000;
	r = sim_for(&s, 20);
	holds(&r.by[OVERHEAD_CPU], 1.07, 0.001);
	holds(&r.by[OVERHEAD_TAKES], 1, 0.001);
	assert_in_range(r.by[OVERHEAD_CPU].without_probes, 199000000, 201000000);
	assert_in_range(r.by[OVERHEAD_TAKES].probed, 19900000, 20100000);
}

/* A load that doubles meanwhile is no effect of the probes. */
static void drift_is_no_effect(void **state)
{
	struct sim s;
	struct ev_overhead r;

	(void)state;
	sim_init(&s, 1);
	s.take_ns = 10000;
	s.load = 20000;
	s.growth = 0.05;
	r = sim_for(&s, 20);
	holds(&r.by[OVERHEAD_CPU], 1, 0.01);
	assert_true(s.orders[0] >= 3 && s.orders[1] >= 3);
}

static void the_budget_is_kept(void **state)
{
	struct sim s;
	struct ev_overhead r;

	(void)state;
	sim_init(&s, 0.02);
	s.probe_ns = 700;
	r = sim_for(&s, 200);
	assert_true(r.rounds >= 10);
	/* The last round is paid for after it. */
	assert_in_range(s.spent_ns, 0.01 * 200 * SECOND, 0.023 * 200 * SECOND);
	holds(&r.by[OVERHEAD_CPU_TAKE], 8, 0.01);
}

/* Windows are longer where they can be. */
static void a_cheap_target(void **state)
{
	struct sim s;
	struct ev_overhead r;

	(void)state;
	sim_init(&s, 0.02);
	s.probe_ns = 700;
	s.take_ns = 10000;
	s.load = 500;
	r = sim_for(&s, 60);
	assert_int_equal(s.o.window_ns, OVERHEAD_WINDOW_NS);
	assert_true(r.rounds >= 20);
	assert_true(r.probed_ns > (r.rounds - 2) * 2 * OVERHEAD_WINDOW_NS);
}

static void what_is_not_known(void **state)
{
	struct sim s;
	struct ev_overhead r = {.reason = "kept"};

	(void)state;
	sim_init(&s, 1);
	overhead_result(&s.o, &r);
	assert_string_equal(r.reason, "kept");
	assert_int_equal(r.rounds, 0);
	assert_int_equal(r.by[OVERHEAD_CPU].known, OVERHEAD_FEW);
	assert_int_equal(r.by[OVERHEAD_CPU].probed, -1);
	s.take_ns = 1e18; /* nothing ever happens */
	s.s.switches_known = false;
	r = sim_for(&s, 3);
	assert_in_range(r.rounds, 1, 3);
	assert_int_equal(r.by[OVERHEAD_CPU].known, OVERHEAD_FEW);
	assert_int_equal(r.by[OVERHEAD_CPU].ratio, -1);
	r = sim_for(&s, 17);
	assert_int_equal(r.by[OVERHEAD_TAKES].known, OVERHEAD_LITTLE);
	assert_int_equal(r.by[OVERHEAD_TAKES].probed, 0);
	assert_int_equal(r.by[OVERHEAD_CPU_TAKE].known, OVERHEAD_LITTLE);
	assert_int_equal(r.by[OVERHEAD_CPU_TAKE].ratio, -1);
	assert_int_equal(r.by[OVERHEAD_SWITCHES].known, OVERHEAD_UNSEEN);
	assert_int_equal(r.by[OVERHEAD_SWITCHES].without_probes, -1);
}

/* Probes that came in the middle of a round: it does not count, and the next is a whole one. */
static void a_void_round(void **state)
{
	struct sim s;
	struct ev_overhead r;

	(void)state;
	sim_init(&s, 1);
	s.probe_ns = 700;
	while (s.o.state != OVERHEAD_WINDOW || s.o.window != 2)
		sim_tick(&s);
	s.take_ns = 500;
	s.probed = true;
	sim_act(&s, overhead_disturbed(&s.o, s.s.now));
	r = sim_for(&s, 10);
	holds(&r.by[OVERHEAD_CPU_TAKE], 2.4, 0.001);
	assert_in_range(r.rounds, 7, 11);
}

/* Counters that begin anew, or a clock that does not move, are no reason for a number. */
static void nonsense(void **state)
{
	struct overhead_sample s = {.now = 5 * SECOND, .cpu_ns = 10 * SECOND, .takes = 1000};
	struct ev_overhead r = {0};
	struct overhead o;

	(void)state;
	overhead_init(&o, 1, 0);
	for (int i = 0; i < 1000; i++) {
		if (o.state == OVERHEAD_TURN)
			overhead_turned(&o, &s, 0);
		else
			overhead_step(&o, &s);
		s.cpu_ns = s.cpu_ns > SECOND ? s.cpu_ns - SECOND : 0;
	}
	overhead_result(&o, &r);
	assert_int_equal(r.rounds, 0);
	assert_int_equal(r.by[OVERHEAD_CPU].probed, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hot_loop),	      cmocka_unit_test(a_server),
		cmocka_unit_test(drift_is_no_effect), cmocka_unit_test(the_budget_is_kept),
		cmocka_unit_test(a_cheap_target),     cmocka_unit_test(what_is_not_known),
		cmocka_unit_test(a_void_round),	      cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* One fault each, and its healthy twin; the table is at the end. */
#include <stdlib.h>

#include "scenario.h"

/* --- blocking: an ordinary sleep inside a poll, 20 and 150 ms in turn -------------------- */

static enum cs_poll fetch_from_slow_disk(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	while (every(self, run, 200 * MS))
		block(run->step % 2 ? 20 * MS : 150 * MS);
	return CS_PENDING;
}

static const struct cs_type fetch_from_slow_disk_type = CS_TYPE(fetch_from_slow_disk, run_drop);

static void slow_read(void *arg)
{
	block(*(uint64_t *)arg);
}

/* The twin leaves it to the blocking pool. */
static enum cs_poll fetch_by_the_pool(struct cs_task *self, void *state)
{
	static const struct cs_work work = CS_WORK(slow_read, NULL);
	struct scenario_run *run = state;

	if (run->work.run && !cs_work_done(&run->work))
		return CS_PENDING;
	if (!every(self, run, 200 * MS))
		return CS_PENDING;
	run->args[0] = run->step % 2 ? 20 * MS : 150 * MS;
	run->work = work;
	run->work.arg = &run->args[0];
	cs_work_start(self, &run->work);
	return CS_PENDING;
}

static const struct cs_type fetch_by_the_pool_type = CS_TYPE(fetch_by_the_pool, run_drop);

/* --- cpu-bound: computes 30 and 120 ms without a pause ------------------------------------ */

static enum cs_poll resize_images(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	while (every(self, run, 250 * MS))
		burn(run->step % 2 ? 30 * MS : 120 * MS);
	return CS_PENDING;
}

static const struct cs_type resize_images_type = CS_TYPE(resize_images, run_drop);

/* The twin: the same in pieces of 1 ms, and after each the others' turn. */
static enum cs_poll resize_in_pieces(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	if (!run->args[0]) {
		if (!every(self, run, 250 * MS))
			return CS_PENDING;
		run->args[0] = run->step % 2 ? 30 : 120;
	}
	run->args[0]--;
	burn(1 * MS);
	cs_yield(self);
	return CS_PENDING;
}

static const struct cs_type resize_in_pieces_type = CS_TYPE(resize_in_pieces, run_drop);

/* --- stuck: after args[0] ms one poll does not end ---------------------------------------- */

static enum cs_poll solve_forever(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	while (every(self, run, run->args[0] * MS))
		while (!cs_stopping(cs_sched_of(self)))
			burn(MS / 10);
	return CS_PENDING;
}

static const struct cs_type solve_forever_type = CS_TYPE(solve_forever, run_drop);

static enum cs_poll solve_in_pieces(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	if (!run->step && !every(self, run, run->args[0] * MS))
		return CS_PENDING;
	burn(2 * MS);
	cs_yield(self);
	return CS_PENDING;
}

static const struct cs_type solve_in_pieces_type = CS_TYPE(solve_in_pieces, run_drop);

/* --- starvation: 100 tasks of 3 ms at once: no poll is long, what is ready waits ---------- */

static enum cs_poll price_position(struct cs_task *self, void *state)
{
	(void)self;
	(void)state;
	burn(3 * MS);
	return CS_READY;
}

static const struct cs_type price_type = CS_TYPE(price_position, NULL);

static enum cs_poll price_portfolio(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	for (;;) {
		if (!join_all(self, run) || !every(self, run, 600 * MS))
			return CS_PENDING;
		for (int i = 0; i < 100; i++)
			keep(run, cs_spawn(cs_sched_of(self), &price_type, NULL));
	}
}

static const struct cs_type price_portfolio_type = CS_TYPE(price_portfolio, run_drop);

static void price_on_a_thread(void *arg)
{
	(void)arg;
	burn(3 * MS);
}

/* The twin: one after the other, on a thread of the pool. */
static enum cs_poll price_one_by_one(struct cs_task *self, void *state)
{
	static const struct cs_work work = CS_WORK(price_on_a_thread, NULL);
	struct scenario_run *run = state;

	if (run->work.run && !cs_work_done(&run->work))
		return CS_PENDING;
	if (!run->args[0]) {
		if (!every(self, run, 600 * MS))
			return CS_PENDING;
		run->args[0] = 100;
	}
	run->args[0]--;
	run->work = work;
	cs_work_start(self, &run->work);
	return CS_PENDING;
}

static const struct cs_type price_one_by_one_type = CS_TYPE(price_one_by_one, run_drop);

/* --- explosion: 4 000 spawns a second, 500 completions ------------------------------------ */

struct mail {
	uint64_t turn;
};

static enum cs_poll send_mail(struct cs_task *self, void *state)
{
	const struct mail *mail = state;

	if (cs_now() >= mail->turn)
		return CS_READY;
	cs_sleep_until(self, mail->turn);
	return CS_PENDING;
}

static const struct cs_type mail_type = CS_TYPE(send_mail, free);

static struct cs_task *mail_at(struct cs_sched *sched, uint64_t turn)
{
	struct mail *mail = must(malloc(sizeof(*mail)));

	mail->turn = turn;
	return cs_spawn(sched, &mail_type, mail);
}

static enum cs_poll mail_everyone(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	if (!run->args[0])
		run->args[0] = cs_now();
	while (every(self, run, 10 * MS))
		for (int i = 0; i < 40; i++)
			cs_detach(
				mail_at(cs_sched_of(self), run->args[0] + 2 * MS * ++run->args[1]));
	return CS_PENDING;
}

static const struct cs_type mail_everyone_type = CS_TYPE(mail_everyone, run_drop);

/* The twin: 100 at a time. */
static enum cs_poll mail_in_batches(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	for (;;) {
		if (!join_all(self, run) || !every(self, run, 10 * MS))
			return CS_PENDING;
		for (unsigned int i = 0; i < 100; i++)
			keep(run, mail_at(cs_sched_of(self), cs_now() + 2 * MS * i));
	}
}

static const struct cs_type mail_in_batches_type = CS_TYPE(mail_in_batches, run_drop);

/* --- leaked handles: 100 a second of tasks that are complete pile up ----------------------- */

static enum cs_poll write_audit_entry(struct cs_task *self, void *state)
{
	(void)self;
	(void)state;
	burn(MS / 50);
	return CS_READY;
}

static const struct cs_type entry_type = CS_TYPE(write_audit_entry, NULL);

static enum cs_poll audit(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	while (every(self, run, 10 * MS))
		keep(run, cs_spawn(cs_sched_of(self), &entry_type, NULL));
	return CS_PENDING;
}

static const struct cs_type audit_type = CS_TYPE(audit, run_drop);

/* The twin takes each result. */
static enum cs_poll audit_and_join(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	for (;;) {
		if (!join_all(self, run) || !every(self, run, 10 * MS))
			return CS_PENDING;
		keep(run, cs_spawn(cs_sched_of(self), &entry_type, NULL));
	}
}

static const struct cs_type audit_and_join_type = CS_TYPE(audit_and_join, run_drop);

/* --- several at once: the demo ---------------------------------------------------------------- */

static enum cs_poll send_invoice(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	while (every(self, run, 300 * MS))
		block(25 * MS);
	return CS_PENDING;
}

static enum cs_poll monthly_report(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	while (every(self, run, 900 * MS))
		burn(140 * MS);
	return CS_PENDING;
}

static const struct cs_type invoice_type = CS_TYPE(send_invoice, run_drop);
static const struct cs_type report_type = CS_TYPE(monthly_report, run_drop);

static enum cs_poll demo(struct cs_task *self, void *state)
{
	static const struct cs_type *const parts[] = {&invoice_type, &report_type,
						      &price_portfolio_type};
	struct scenario_run *run = state;

	for (; run->step < sizeof(parts) / sizeof(parts[0]); run->step++)
		cs_detach(cs_spawn(cs_sched_of(self), parts[run->step], run_new(NULL)));
	return CS_PENDING;
}

static const struct cs_type demo_type = CS_TYPE(demo, run_drop);

/* --- the table ------------------------------------------------------------------------------- */

const struct scenario scenarios[] = {
	{"blocking",
	 "a poll sleeps, 20 and 150 ms in turn",
	 2,
	 &fetch_from_slow_disk_type,
	 false,
	 {0}},
	{"blocking_ok", "the same by the blocking pool", 2, &fetch_by_the_pool_type, false, {0}},
	{"cpu_bound", "a poll computes, 30 and 120 ms in turn", 2, &resize_images_type, false, {0}},
	{"cpu_bound_ok", "the same in pieces of 1 ms", 2, &resize_in_pieces_type, false, {0}},
	{"stuck", "after A ms a poll never ends", 4, &solve_forever_type, false, {2500}},
	{"stuck_ok", "the same in pieces of 2 ms", 4, &solve_in_pieces_type, false, {2500}},
	{"starvation", "100 tasks of 3 ms at once", 2, &price_portfolio_type, false, {0}},
	{"starvation_ok", "one by one, by the pool", 2, &price_one_by_one_type, false, {0}},
	{"explosion", "4 000 spawns a second, 500 completions", 2, &mail_everyone_type, false, {0}},
	{"explosion_ok", "100 at a time", 2, &mail_in_batches_type, false, {0}},
	{"leaked_handle", "100 finished tasks a second are kept", 2, &audit_type, false, {0}},
	{"leaked_handle_ok", "each is let go", 2, &audit_and_join_type, false, {0}},
	{"churn", "A tasks of B polls each, C at a time", 2, &churn_main, true, {10000, 10, 1000}},
	{"lengths",
	 "polls of 50 us to 120 ms, A: 0 asleep, 1 computing",
	 2,
	 &lengths_main,
	 true,
	 {0}},
	{"demo", "several faults at once", 2, &demo_type, false, {0}},
};
const size_t scenarios_count = sizeof(scenarios) / sizeof(scenarios[0]);

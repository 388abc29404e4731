// SPDX-License-Identifier: LGPL-2.1-or-later
/* Circles of tasks that wait for locks; see waits.h. */
#include "rules/waits.h"

#include <inttypes.h>
#include <stdio.h>

#define CYCLE_MAX 8   /* tasks of a circle */
#define CYCLE_SHOWN 4 /* of them in a text */
#define NAME 256

/* The tasks of the circle through `t`; 0: there is none. */
static uint32_t cycle_of(const struct model *m, const struct task *t,
			 const struct task *out[CYCLE_MAX])
{
	const struct task *at = t;

	for (uint32_t n = 0; n < CYCLE_MAX && at; n++) {
		out[n] = at;
		at = at->row.waits_for ? model_holder(m, at->target, at->row.waits_for) : NULL;
		if (at == t)
			return n + 1;
	}
	return 0;
}

/* The youngest wait of a circle. */
static uint64_t cycle_ns(const struct model *m, const struct task *const *list, uint32_t count)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t last = list[i]->row.last_ns;
		uint64_t ns = last && last < m->now_ns ? m->now_ns - last : 0;

		least = ns < least ? ns : least;
	}
	return count ? least : 0;
}

static uint32_t cycle_find(const struct model *m, uint32_t runtime,
			   const struct task *best[CYCLE_MAX], uint64_t *best_ns)
{
	const struct task *list[CYCLE_MAX];
	uint32_t found = 0;

	*best_ns = 0;
	for (uint32_t i = 0; m->tasks_waiting && m->tasks_holding && i < m->tasks_count; i++) {
		const struct task *t = &m->tasks[i];
		uint32_t count;
		uint64_t ns;

		/* Whoever is in a circle both waits and holds. */
		if (t->row.runtime != runtime || !t->row.waits_for || !t->row.holds)
			continue;
		count = cycle_of(m, t, list);
		ns = cycle_ns(m, list, count);
		if (ns <= *best_ns)
			continue;
		*best_ns = ns;
		found = count;
		for (uint32_t k = 0; k < count; k++)
			best[k] = list[k];
	}
	return found;
}

uint64_t wait_cycle_ns(const struct model *m, uint32_t runtime)
{
	const struct task *list[CYCLE_MAX];
	uint64_t ns;

	cycle_find(m, runtime, list, &ns);
	return ns;
}

void wait_task_text(const struct model *m, const struct task *t, char *out, size_t size)
{
	const struct site *site = model_site(m, t->row.site);
	const char *name = site && site->name ? site->name : "n/a";

	if (t->row.id)
		snprintf(out, size, "task %" PRIu64 " of %s", t->row.id, name);
	else
		snprintf(out, size, "the task at 0x%" PRIx64 " of %s", t->row.key, name);
}

void wait_cycle_text(const struct model *m, uint32_t runtime, char *out, size_t size)
{
	const struct task *list[CYCLE_MAX];
	uint64_t ns;
	uint32_t count = cycle_find(m, runtime, list, &ns);
	size_t len = 0;
	char name[NAME];

	out[0] = '\0';
	if (!count)
		return;
	wait_task_text(m, list[0], name, sizeof(name));
	len = (size_t)snprintf(out, size, "%s waits for a lock", name);
	for (uint32_t i = 1; i <= count && i <= CYCLE_SHOWN && len < size; i++) {
		wait_task_text(m, list[i % count], name, sizeof(name));
		len += (size_t)snprintf(out + len, size - len, "%s that %s holds",
					i > 1 ? ", and that for one" : "",
					count == 1 ? "it" : name);
	}
	if (count > CYCLE_SHOWN && len < size)
		snprintf(out + len, size - len, ", and so on, round %u tasks", count);
}

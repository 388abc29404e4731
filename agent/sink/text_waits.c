// SPDX-License-Identifier: LGPL-2.1-or-later
/* dump: the semaphores that tasks wait for, and which tasks. */
#include "sink/text_block.h"

#include <inttypes.h>

#include "rules/waits.h"
#include "util/fmt.h"
#include "util/xalloc.h"

#define SEMAPHORES 16
#define TASKS 8 /* of each */

static void print_waiting(FILE *out, const struct model *m, const struct task *t)
{
	char time[FMT_SIZE], who[TEXT_CELL], text[TEXT_CELL];

	wait_task_text(m, t, who, sizeof(who));
	fprintf(out, "    %s", text_clean(text, sizeof(text), who));
	if (t->row.waits_permits != 1)
		fprintf(out, ", %" PRIu64 " permits", t->row.waits_permits);
	if (t->row.last_ns && t->row.last_ns < m->now_ns)
		fprintf(out, ", for %s",
			fmt_duration(time, sizeof(time), m->now_ns - t->row.last_ns));
	fputc('\n', out);
}

/* Who has it, or why that is not known. */
static void print_holder(FILE *out, const struct model *m, const struct task *waits)
{
	const struct task *holder = model_holder(m, waits->target, waits->row.waits_for);
	char who[TEXT_CELL], text[TEXT_CELL];
	bool known = false;

	if (holder) {
		wait_task_text(m, holder, who, sizeof(who));
		fprintf(out, ", held by %s", text_clean(text, sizeof(text), who));
		return;
	}
	for (uint32_t i = 0; i < m->tasks_count && !known; i++)
		known = m->tasks[i].target == waits->target && m->tasks[i].row.holds_known;
	fprintf(out, ", held by n/a (%s)",
		known ? "no guard, or several, were found in tasks that wait" :
			"no debug information tells where guards lie");
}

void text_waits(FILE *out, const struct model *m)
{
	const struct task **list;
	size_t count = waiting_sorted(m, &list), same, shown = 0;

	if (count)
		fputs("\nwaiting for a Mutex, RwLock, Semaphore or bounded channel of Tokio:\n",
		      out);
	for (size_t i = 0; i < count; i += same, shown++) {
		same = waiting_same(list + i, count - i);
		if (shown >= SEMAPHORES)
			continue;
		fprintf(out, "  semaphore at 0x%" PRIx64 ": %zu task%s", list[i]->row.waits_for,
			same, same == 1 ? "" : "s");
		print_holder(out, m, list[i]);
		fputc('\n', out);
		for (size_t k = 0; k < same && k < TASKS; k++)
			print_waiting(out, m, list[i + k]);
		if (same > TASKS)
			fprintf(out, "    and %zu more\n", same - TASKS);
	}
	if (shown > SEMAPHORES)
		fprintf(out, "  and %zu more semaphores\n", shown - SEMAPHORES);
	free(list);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Words for tasks that wait; see waits.h. */
#include "rules/waits.h"

#include <inttypes.h>
#include <stdio.h>

void wait_task_text(const struct model *m, const struct task *t, char *out, size_t size)
{
	const struct site *site = model_site(m, t->row.site);
	const char *name = site && site->name ? site->name : "n/a";

	if (t->row.id)
		snprintf(out, size, "task %" PRIu64 " of %s", t->row.id, name);
	else
		snprintf(out, size, "the task at 0x%" PRIx64 " of %s", t->row.key, name);
}

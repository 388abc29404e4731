// SPDX-License-Identifier: LGPL-2.1-or-later
/* Progress lines; see progress.h. */
#include "sink/progress.h"

#include <inttypes.h>

#include "sink/view.h"
#include "util/fmt.h"

#define NS_PER_SEC UINT64_C(1000000000)
#define TERMINAL_EVERY NS_PER_SEC
#define LOG_EVERY (10 * NS_PER_SEC)

static void print_line(struct progress *p, const struct snapshot *snap, uint64_t seconds)
{
	const struct finding **all = NULL;
	size_t findings = snap->rules ? rules_findings(snap->rules, &all) : 0;
	struct totals totals;
	char polls[FMT_SIZE];
	FILE *out = p->opts.out;

	totals_of(&totals, snap->model);
	fprintf(out, "%swatching: %" PRIu64 " s", p->opts.terminal ? "\r" : "", seconds);
	if (p->opts.duration_ns)
		fprintf(out, " of %" PRIu64 " s",
			(p->opts.duration_ns + NS_PER_SEC - 1) / NS_PER_SEC);
	fprintf(out, ", %s polls, %zu finding%s",
		fmt_count(polls, sizeof(polls), (double)totals.polls), findings,
		findings == 1 ? "" : "s");
	fputs(p->opts.terminal ? "\033[K" : "\n", out);
	fflush(out);
}

void progress_update(struct progress *p, const struct snapshot *snap)
{
	uint64_t every = p->opts.terminal ? TERMINAL_EVERY : LOG_EVERY;
	uint64_t passed = snap->model->now_ns - snap->model->begin_ns;

	if (!p->opts.out || passed < every || passed - p->last_ns < every)
		return;
	p->last_ns = passed - passed % every;
	p->shown = true;
	print_line(p, snap, passed / NS_PER_SEC);
}

void progress_clear(struct progress *p)
{
	if (p->opts.out && p->opts.terminal && p->shown) {
		fputs("\r\033[K", p->opts.out);
		fflush(p->opts.out);
	}
	p->shown = false;
}

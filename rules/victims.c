// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who waited meanwhile; see victims.h. */
#include "rules/victims.h"

#include <stdio.h>
#include <string.h>

#include "util/fmt.h"

static struct victim *place_of(struct finding *f, const struct victim *from)
{
	struct victim *last;

	for (uint32_t i = 0; i < f->victims_count; i++)
		if (f->victims[i].site == from->site)
			return &f->victims[i];
	if (f->victims_count < FINDING_VICTIMS)
		last = &f->victims[f->victims_count++];
	else
		last = &f->victims[FINDING_VICTIMS - 1];
	if (last->tasks && last->worst_ns >= from->worst_ns)
		return NULL;
	*last = (struct victim){.site = from->site};
	return last;
}

static void add(struct finding *f, const struct victim *from)
{
	struct victim *v = place_of(f, from);

	if (!v)
		return;
	if (from->tasks > v->tasks)
		v->tasks = from->tasks;
	if (from->last_ns > v->last_ns)
		v->last_ns = from->last_ns;
	if (from->worst_ns > v->worst_ns) {
		v->worst_ns = from->worst_ns;
		v->task_id = from->task_id;
	}
	for (; v > f->victims && v[-1].worst_ns < v->worst_ns; v--) {
		struct victim before = v[-1];

		v[-1] = *v;
		*v = before;
	}
}

void victims_take(struct finding *f, const struct model *m, uint32_t runtime, uint64_t since_ns)
{
	const struct runtime *r = runtime == ID_NONE ? NULL : model_runtime(m, runtime);

	for (uint32_t i = 0; r && i < r->victims_count; i++)
		if (r->victims[i].last_ns >= since_ns)
			add(f, &r->victims[i]);
}

void victims_merge(struct finding *f, const struct finding *from)
{
	for (uint32_t i = 0; i < from->victims_count; i++)
		add(f, &from->victims[i]);
}

void victim_text(const struct model *m, const struct victim *v, char *out, size_t size)
{
	const struct site *s = model_site(m, v->site);
	char worst[FMT_SIZE];

	out[0] = '\0';
	if (s)
		snprintf(out, size, "%u task%s of %s, at least %s", v->tasks,
			 v->tasks == 1 ? "" : "s", s->name,
			 fmt_duration(worst, sizeof(worst), v->worst_ns));
}

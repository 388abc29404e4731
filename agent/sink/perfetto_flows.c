// SPDX-License-Identifier: LGPL-2.1-or-later
/* From waits to polls; see perfetto_flows.h. */
#include "sink/perfetto_flows.h"

#include "sink/perfetto_tracks.h"

#define FLOWS_MAX 65536

void pf_flows_init(struct pf_flows *f)
{
	*f = (struct pf_flows){0};
	map_init(&f->since, FLOWS_MAX);
	map_init(&f->ids, FLOWS_MAX);
	map_init(&f->polled, PF_TASKS_MAX);
}

void pf_flows_free(struct pf_flows *f)
{
	map_free(&f->since);
	map_free(&f->ids);
	map_free(&f->polled);
}

void pf_flows_forget(struct pf_flows *f)
{
	map_free(&f->since);
	map_free(&f->ids);
	map_init(&f->since, FLOWS_MAX);
	map_init(&f->ids, FLOWS_MAX);
}

void pf_flow_polled(struct pf_flows *f, uint32_t target, uint64_t task_id, uint64_t start_ns)
{
	uint64_t last = map_get(&f->polled, target, task_id);

	if (last == MAP_NONE || last < start_ns)
		map_put(&f->polled, target, task_id, start_ns);
}

uint64_t pf_flow_begin(struct pf_flows *f, uint32_t target, uint64_t task_id, uint64_t *since_ns,
		       uint64_t seen_ns)
{
	uint64_t last = map_get(&f->polled, target, task_id);

	if (last != MAP_NONE && last >= seen_ns)
		return 0;
	if (last != MAP_NONE && last >= *since_ns)
		*since_ns = seen_ns;
	/* It is seen again and again while it waits. */
	if (map_get(&f->since, target, task_id) != MAP_NONE ||
	    !map_put(&f->since, target, task_id, *since_ns) ||
	    !map_put(&f->ids, target, task_id, f->count + 1))
		return 0;
	return ++f->count;
}

uint64_t pf_flow_end(struct pf_flows *f, uint32_t target, uint64_t task_id, uint64_t start_ns)
{
	uint64_t since = task_id ? map_get(&f->since, target, task_id) : MAP_NONE, flow;

	if (since == MAP_NONE || start_ns < since)
		return 0;
	flow = map_get(&f->ids, target, task_id);
	map_del(&f->since, target, task_id);
	map_del(&f->ids, target, task_id);
	return flow;
}

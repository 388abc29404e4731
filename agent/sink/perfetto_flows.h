/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which wait of a task leads to which poll in the exported file: an arrow from the moment it was
 * ready to its next poll.
 */
#ifndef SINK_PERFETTO_FLOWS_H
#define SINK_PERFETTO_FLOWS_H

#include "util/map.h"

struct pf_flows {
	struct map since;  /* (target, task id) -> when it was ready, of those not polled since */
	struct map ids;	   /* likewise -> the flow */
	struct map polled; /* likewise -> when the last poll began that was told */
	uint64_t count;
};

void pf_flows_init(struct pf_flows *f);
void pf_flows_free(struct pf_flows *f);
/* A poll may have been lost: which one ended a wait is not known any more. */
void pf_flows_forget(struct pf_flows *f);

/* A poll of this task was told; of one with a track. */
void pf_flow_polled(struct pf_flows *f, uint32_t target, uint64_t task_id, uint64_t start_ns);
/*
 * A task was seen ready, since *since_ns as it seemed; 0: the wait has its flow already, its poll
 * was told before it, or there is no room. One that was polled in between did not wait for all that
 * time (traces of older versions): *since_ns becomes the moment it was seen.
 */
uint64_t pf_flow_begin(struct pf_flows *f, uint32_t target, uint64_t task_id, uint64_t *since_ns,
		       uint64_t seen_ns);
/* The flow that ends in a poll of this task that began then; 0: none. */
uint64_t pf_flow_end(struct pf_flows *f, uint32_t target, uint64_t task_id, uint64_t start_ns);

#endif

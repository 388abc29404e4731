/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which wait of a task leads to which poll in the exported file: an arrow from the moment it was
 * ready to its next poll.
 */
#ifndef SINK_PERFETTO_FLOWS_H
#define SINK_PERFETTO_FLOWS_H

#include "util/map.h"

struct pf_flows {
	struct map since; /* (target, task id) -> when it was ready, of those not polled since */
	struct map ids;	  /* likewise -> the flow */
	uint64_t count;
};

void pf_flows_init(struct pf_flows *f);
void pf_flows_free(struct pf_flows *f);
/* A poll may have been lost: which one ended a wait is not known any more. */
void pf_flows_forget(struct pf_flows *f);

/* A task was seen ready since then; 0: the wait has its flow already, or there is no room. */
uint64_t pf_flow_begin(struct pf_flows *f, uint32_t target, uint64_t task_id, uint64_t since_ns);
/* The flow that ends in a poll of this task that began then; 0: none. */
uint64_t pf_flow_end(struct pf_flows *f, uint32_t target, uint64_t task_id, uint64_t start_ns);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A scripted program as the view sees it: events with a fixed clock, a tick is 100 ms. */
#ifndef TESTS_SCREEN_TUI_SCRIPT_H
#define TESTS_SCREEN_TUI_SCRIPT_H

#include "core/event.h"
#include "core/sink.h"
#include "model/model.h"
#include "rules/rule_impl.h"

#define SCRIPT_START_NS 1000000000000ULL
#define SITES_MAX 320
#define THREADS_MAX 64

struct thread {
	struct ev_thread ev;
	char comm[32];
};

struct script {
	const char *name;
	struct model *model;
	struct rules *rules;
	uint64_t now, tick;
	uint32_t sites, threads, tasks;
	struct ev_site_stats stats[SITES_MAX];
	uint64_t hist[SITES_MAX][HIST_BUCKETS];
	struct thread thread[THREADS_MAX];
	struct ev_cost cost;
	struct snapshot snap;
	bool ended;
};

/* Its model and rules are there; `name` says which program. */
void script_announce(struct script *s);
void script_advance(struct script *s);
/* The program exits. */
void script_end(struct script *s);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random events of every kind, made through the table of stored fields, and their comparison: what
 * an encoder is given, a decoder must give back.
 */
#ifndef TESTS_TRACE_EVENTS_H
#define TESTS_TRACE_EVENTS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "bpf/wire.h"
#include "trace/fields.h"

/* An event and what it points to. Seeded by the caller: the same seed gives the same events. */
struct random_event {
	struct event event;
	uint64_t seed;
	uint64_t hists[2][HIST_BUCKETS];
	uint32_t hists_used;
	uint32_t words[QUEUES_MAX_WORKERS];
	struct frame frames[FRAMES_MAX];
	struct brief_poll polls[POLLS_MAX];
};

/* A number below `below` (0: any of 64 bits, small ones more often). */
uint64_t random_number(uint64_t *seed, uint64_t below);
/* Fills r->event, an event of this kind; time and content by chance. */
void random_fill(struct random_event *r, uint32_t kind);
/* Fails the test unless both are equal in every stored field. */
void same_event(const struct event *want, const struct event *got);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small watched program for the tests of the sinks: one target, a runtime with two workers, three
 * task types, made of events. The caller frees with fixture_close().
 */
#ifndef TESTS_SINK_FIXTURE_H
#define TESTS_SINK_FIXTURE_H

#include <stdio.h>

#include "core/sink.h"
#include "model/model.h"
#include "rules/rule.h"

#define FIXTURE_BEGIN 5000000000ULL	/* clock at the first event */
#define FIXTURE_BIG 9007199254740995ULL /* 2^53 + 3: no double */
#define FIXTURE_PID 4242

enum fixture_site { FIXTURE_CHECKOUT, FIXTURE_CART, FIXTURE_HOSTILE };

struct fixture {
	struct model *model;
	struct rules *rules;
	struct snapshot snap;
	FILE *out;
	char *text;
	size_t size;
	uint64_t now;
	struct sink
		*sink; /* gets each event and each tick, as the pipeline does it; NULL: nobody */
};

/* Announces the target; `comm` as the target gives it. */
void fixture_open(struct fixture *f, const char *command, const char *comm);
/* The same, with somebody who hears the announcement, too. */
void fixture_open_with(struct fixture *f, const char *command, const char *comm, struct sink *sink);
void fixture_close(struct fixture *f);

/* An event at f->now about the only target; fails the test when the model refuses it. */
void fixture_apply(struct fixture *f, struct event event);
/* Both workers polled for `seconds`, one of them half of the time; a tick a second. */
void fixture_run(struct fixture *f, unsigned int seconds);
/* A poll of `site` that blocked for `ms` in clock_nanosleep and ends now. */
void fixture_block(struct fixture *f, uint32_t site, uint64_t task, unsigned int ms);
/* The stack of such a block, where src/db.rs:42 is to blame. */
void fixture_spawn(struct fixture *f, uint32_t site);
void fixture_stack(struct fixture *f, uint32_t site, unsigned int ms);
/* Twelve rounds of --overhead-check: CPU time is alike, what gets done is a ninth. */
void fixture_overhead(struct fixture *f);
/* A tick: time has passed, rules are judged. */
void fixture_tick(struct fixture *f);

/* What the sink wrote so far. */
const char *fixture_text(struct fixture *f);
/* Fails the test with both texts when `want` is not in what was written. */
void fixture_has(struct fixture *f, const char *want);
void fixture_has_not(struct fixture *f, const char *unwanted);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events in, fields out: short ways to build the events that the tests of the model apply. */
#ifndef TESTS_MODEL_EVENTS_H
#define TESTS_MODEL_EVENTS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "model/model.h"

#define MS 1000000ULL
#define SEC 1000000000ULL
/* The streams of the tests begin here: nothing may depend on a start at 0. */
#define T0 (1000 * SEC)

#define EVENT(kind_, time_, target_, ...)                                                          \
	((const struct event){                                                                     \
		.kind = (kind_), .time_ns = (time_), .target = (target_), __VA_ARGS__})
#define APPLY(m, ...) assert_int_equal(model_apply(m, &EVENT(__VA_ARGS__)), 0)
#define REFUSED(m, ...) assert_int_equal(model_apply(m, &EVENT(__VA_ARGS__)), -EINVAL)

/* A task of target 0, site 0, whose state word was read; `...` sets more members of ev_task. */
#define TASK(m, time_, key_, id_, ...)                                                             \
	APPLY(m, EV_TASK, time_, 0,                                                                \
	      .as_task = {.key = (key_), .id = (id_), .state_valid = true, __VA_ARGS__})
#define SCAN(m, time_) APPLY(m, EV_TASK_SCAN, time_, 0, .as_task_scan = {0})
#define TICK(m, time_) APPLY(m, EV_TICK, time_, ID_NONE, .as_tick = {0})

/* Two targets; target 0 has binary 0, runtime 0 and sites 0 and 1, target 1 has site 2. */
static inline struct model *watched(void)
{
	struct model *m = model_new();

	for (uint32_t i = 0; i < 2; i++)
		APPLY(m, EV_TARGET, T0, i, .as_target = {.pid = 100 + i, .comm = "app"});
	APPLY(m, EV_BINARY, T0, 0, .as_binary = {.path = "/app", .runtime = "tokio"});
	APPLY(m, EV_RUNTIME, T0, 0, .as_runtime = {.flavor = FLAVOR_MULTI_THREAD, .workers = 2});
	APPLY(m, EV_SITE, T0, 0, .as_site = {.site = 0, .name = "app::handler"});
	APPLY(m, EV_SITE, T0, 0, .as_site = {.site = 1, .name = "app::other"});
	APPLY(m, EV_SITE, T0, 1, .as_site = {.site = 2, .binary = ID_NONE, .name = "two"});
	return m;
}

static inline void close_to(double got, double want)
{
	if (got < want - 1e-9 || got > want + 1e-9)
		fail_msg("%.12g instead of %.12g", got, want);
}

#endif

// SPDX-License-Identifier: LGPL-2.1-or-later
/* How Tokio's own types and functions are named: what kind of task, and on which scheduler. */
#include <string.h>

#include "runtime/task_name_impl.h"

static const struct {
	const char *part;
	enum runtime_flavor flavor;
} flavors[] = {
	{"scheduler::multi_thread", FLAVOR_MULTI_THREAD},
	{"thread_pool", FLAVOR_MULTI_THREAD},
	{"scheduler::current_thread", FLAVOR_CURRENT_THREAD},
	{"basic_scheduler", FLAVOR_CURRENT_THREAD},
	{"task::local::", FLAVOR_LOCAL},
};

static enum runtime_flavor flavor_of(const char *scheduler)
{
	for (size_t i = 0; scheduler && i < sizeof(flavors) / sizeof(flavors[0]); i++)
		if (strstr(scheduler, flavors[i].part))
			return flavors[i].flavor;
	return FLAVOR_UNKNOWN;
}

static enum site_kind kind_of(const char *future, const char *scheduler, struct text_span *inner)
{
	struct text_span whole = {future, future + strlen(future)};
	/* With tokio_unstable and tracing the pool's work is wrapped like any other. */
	struct text_span type = task_unwrap(whole);
	const char *args = type_args(type, "tokio::runtime::blocking::task::BlockingTask");

	(void)scheduler;
	*inner = whole;
	if (!args)
		return SITE_TASK;
	*inner = type_arg(args, type.end, 0);
	if (inner->at == inner->end)
		*inner = type;
	/* Launch::launch, and what block_in_place puts in the place of a worker it takes away. */
	return span_find(*inner, "::multi_thread::worker::") ? SITE_WORKER : SITE_BLOCKING;
}

static const char *const dwarf[] = {"poll", "poll_inner", NULL};
static const char *const through[] = {"tokio::runtime::task", NULL};

/* By flavour: for a scheduler type that no symbol spelt out, told by what schedule() calls. */
static const char *const schedulers[] = {
	[FLAVOR_UNKNOWN] = NULL,
	[FLAVOR_MULTI_THREAD] = "Arc<tokio::runtime::scheduler::multi_thread::handle::Handle>",
	[FLAVOR_CURRENT_THREAD] = "Arc<tokio::runtime::scheduler::current_thread::Handle>",
	[FLAVOR_LOCAL] = "Arc<tokio::task::local::Shared>",
};

/*
 * Drop glue of the cell names F and S, that of the stage only F; and LLVM merges equal functions
 * of one unit without a trace, stages of small futures often. So cells come first.
 */
const struct task_dialect tokio_dialect = {
	.raw =
		{
			{"4task3raw4poll", "task::raw::poll"},
			{"4task3raw7dealloc", "task::raw::dealloc"},
			{"4task3raw8shutdown", "task::raw::shutdown"},
			{"4task3raw15try_read_output", "task::raw::try_read_output"},
		},
	.scheduler_arg = 1,
	.dwarf = dwarf,
	.v0_glue = "task4core",
	.legacy_glue = "task..core..",
	.glue =
		{
			{"::task::core::Cell<", 0, 1},
			{"::task::core::CoreStage<", 0, TASK_NO_ARG},
			{"::task::core::Stage<", 0, TASK_NO_ARG},
		},
	.through = through,
	.flavor_of = flavor_of,
	.kind_of = kind_of,
	.schedulers = schedulers,
	.blocking_scheduler = "tokio::runtime::blocking::schedule::BlockingSchedule",
	.blocking_full = "tokio::runtime::blocking::task::BlockingTask",
};

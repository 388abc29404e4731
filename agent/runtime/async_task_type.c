// SPDX-License-Identifier: LGPL-2.1-or-later
/* How async-task's own types and functions are named, and those of what runs on it. */
#include <string.h>

#include "runtime/task_name_impl.h"

static enum runtime_flavor flavor_of(const char *scheduler)
{
	if (scheduler && strstr(scheduler, "LocalExecutor"))
		return FLAVOR_LOCAL;
	if (scheduler && strstr(scheduler, "async_executor::"))
		return FLAVOR_MULTI_THREAD;
	return FLAVOR_UNKNOWN;
}

/* The crate `blocking` runs closures on threads of their own, wrapped as tasks. */
static enum site_kind kind_of(const char *future, const char *scheduler, struct text_span *inner)
{
	struct text_span whole = {future, future + strlen(future)};
	struct text_span type = task_unwrap(whole), closure;
	const char *args = type_args(type, "blocking::unblock");

	*inner = whole;
	if (!args && !(scheduler && strncmp(scheduler, "blocking::", 10) == 0))
		return SITE_TASK;
	if (args) {
		closure = type_arg(args, type.end, 1);
		if (closure.at < closure.end)
			*inner = closure;
	}
	return SITE_BLOCKING;
}

static const char *const dwarf[] = {"run", NULL};
static const char *const through[] = {"async_executor::", "async_task::", "async_std::task",
				      "AsyncCallOnDrop", NULL};

static const char *const schedulers[] = {
	[FLAVOR_UNKNOWN] = NULL,
	[FLAVOR_MULTI_THREAD] = "async_executor::Executor",
	[FLAVOR_CURRENT_THREAD] = NULL,
	[FLAVOR_LOCAL] = "async_executor::LocalExecutor",
};

/*
 * RawTask::run has a guard for unwinding whose glue names all four types; without unwinding there
 * is only the glue of the future itself, which names an executor's wrapper or nothing that can be
 * told from any other type.
 */
const struct task_dialect async_task_dialect = {
	.raw =
		{
			{"10async_task3raw7RawTask", "async_task::raw::RawTask"},
			{"10async_task3raw7RawTask", "async_task::raw::RawTask"},
		},
	.scheduler_arg = 2,
	.dwarf = dwarf,
	.v0_glue = "async_",
	.legacy_glue = "async_",
	.glue =
		{
			{"::run::Guard<", 0, 2},
			{"async_executor::AsyncCallOnDrop<", 0, TASK_NO_ARG},
			{"async_executor::Executor::spawn_inner<", 1, TASK_NO_ARG},
			{"async_executor::Executor::spawn<", 1, TASK_NO_ARG},
		},
	/* One future is seldom on two executors, but equal glue of many is often merged. */
	.glue_unique = true,
	.through = through,
	.flavor_of = flavor_of,
	.kind_of = kind_of,
	.schedulers = schedulers,
	.blocking_scheduler = "blocking::Executor",
	.blocking_full = "blocking::unblock",
};

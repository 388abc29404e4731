// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tracks of the exported file; see perfetto_tracks.h. */
#include "sink/perfetto_tracks.h"

#include <inttypes.h>
#include <stdio.h>

#include "sink/view.h"
#include "util/syscall.h"
#include "util/xalloc.h"

/* The kind is in the low bits of a uuid, so that uuids, which are varints, stay short. */
enum uuid_kind {
	UUID_PROCESS = 1,
	UUID_THREAD,
	UUID_TASK,
	UUID_COUNTER,
	UUID_FINDINGS,
	UUID_NOTES
};

#define COUNTERS 8 /* of a runtime, at most */

static uint64_t uuid_of(enum uuid_kind kind, uint64_t number)
{
	return number << 3 | kind;
}

void pf_tracks_init(struct pf_tracks *t, struct bytes *b, const struct model *model)
{
	*t = (struct pf_tracks){.b = b, .model = model};
	map_init(&t->processes, MODEL_MAX_TARGETS);
	map_init(&t->threads, PF_THREADS_MAX);
	map_init(&t->tasks, PF_TASKS_MAX);
	map_init(&t->names, MODEL_MAX_SITES + 1);
	map_init(&t->counters, MODEL_MAX_RUNTIMES * COUNTERS + MODEL_MAX_TARGETS + 1);
}

void pf_tracks_free(struct pf_tracks *t)
{
	for (size_t i = 0; i < t->count; i++)
		bytes_free(&t->list[i].block.args);
	free(t->list);
	map_free(&t->processes);
	map_free(&t->threads);
	map_free(&t->tasks);
	map_free(&t->names);
	map_free(&t->counters);
}

uint64_t pf_process(struct pf_tracks *t, uint32_t target)
{
	const struct target *found = model_target(t->model, target);
	uint64_t uuid = uuid_of(UUID_PROCESS, target);

	if (!found)
		return pf_notes(t);
	/* One that is announced again, after an exec, has another name. */
	if (map_get(&t->processes, target, found->begin_ns) == MAP_NONE) {
		map_put(&t->processes, target, found->begin_ns, found->pid);
		pf_track(t->b, &(struct pf_track){
				       .uuid = uuid,
				       .name = found->comm,
				       .pid = found->pid,
			       });
	}
	return uuid;
}

static struct pf_thread *thread_new(struct pf_tracks *t, uint32_t target, uint32_t tid)
{
	struct pf_thread *thread;

	if (!map_put(&t->threads, target, tid, t->count))
		return NULL;
	t->list = xgrow(t->list, &t->cap, t->count + 1, sizeof(*t->list));
	thread = &t->list[t->count++];
	*thread = (struct pf_thread){
		.target = target, .tid = tid, .uuid = uuid_of(UUID_THREAD, t->count)};
	return thread;
}

struct pf_thread *pf_thread(struct pf_tracks *t, uint32_t target, uint32_t tid, const char *comm)
{
	uint64_t index = map_get(&t->threads, target, tid);
	struct pf_thread *thread = index == MAP_NONE ? thread_new(t, target, tid) : &t->list[index];
	const struct target *process = model_target(t->model, target);

	if (!thread || (index != MAP_NONE && (thread->named || !comm)))
		return thread;
	thread->named = comm != NULL;
	pf_track(t->b, &(struct pf_track){
			       .uuid = thread->uuid,
			       .parent = pf_process(t, target),
			       .name = comm,
			       .pid = process ? process->pid : 0,
			       .tid = tid,
		       });
	return thread;
}

uint64_t pf_task(struct pf_tracks *t, uint32_t target, uint64_t task_id, uint32_t site)
{
	const struct site *found = model_site(t->model, site);
	uint64_t number;
	char *name;

	if (!task_id)
		return 0;
	number = map_get(&t->tasks, target, task_id);
	if (number != MAP_NONE)
		return uuid_of(UUID_TASK, number);
	number = t->tasks.count;
	if (!map_put(&t->tasks, target, task_id, number)) {
		t->tasks_refused++;
		return 0;
	}
	name = xasprintf("task %" PRIu64 " %s", task_id, found ? found->name : "");
	pf_track(t->b, &(struct pf_track){
			       .uuid = uuid_of(UUID_TASK, number),
			       .parent = pf_process(t, target),
			       .name = name,
		       });
	free(name);
	return uuid_of(UUID_TASK, number);
}

/* Describes it at the first time. */
static uint64_t line(struct pf_tracks *t, uint64_t uuid, uint64_t parent, const char *name,
		     bool counter)
{
	if (map_get(&t->counters, uuid, 0) == MAP_NONE) {
		map_put(&t->counters, uuid, 0, 1);
		pf_track(t->b, &(struct pf_track){
				       .uuid = uuid,
				       .parent = parent,
				       .name = name,
				       .counter = counter,
			       });
	}
	return uuid;
}

uint64_t pf_counter(struct pf_tracks *t, uint32_t target, uint32_t runtime, uint32_t which,
		    const char *name)
{
	uint64_t uuid = uuid_of(UUID_COUNTER, (uint64_t)runtime * COUNTERS + which);
	const struct runtime *found = model_runtime(t->model, runtime);
	const struct binary *binary = found ? view_binary(t->model, found->binary) : NULL;
	char *text = xasprintf("%s %u: %s", binary ? binary->runtime : "runtime", runtime, name);

	line(t, uuid, pf_process(t, target), text, true);
	free(text);
	return uuid;
}

uint64_t pf_findings(struct pf_tracks *t, uint32_t target)
{
	return line(t, uuid_of(UUID_FINDINGS, target), pf_process(t, target), "findings", false);
}

uint64_t pf_notes(struct pf_tracks *t)
{
	return line(t, uuid_of(UUID_NOTES, 0), 0, "stalltop", false);
}

uint64_t pf_site(struct pf_tracks *t, uint32_t site)
{
	const struct site *found = model_site(t->model, site);
	uint64_t iid = map_get(&t->names, site, 0);

	if (iid != MAP_NONE)
		return iid;
	iid = ++t->iids;
	map_put(&t->names, site, 0, iid);
	pf_name(t->b, iid, found ? found->name : "a task type that is not known");
	return iid;
}

void pf_site_forget(struct pf_tracks *t, uint32_t site)
{
	map_del(&t->names, site, 0);
}

void pf_poll_args(struct bytes *args, const struct ev_poll *poll)
{
	args->len = 0;
	if (poll->task_id)
		pf_arg_uint(args, "task", poll->task_id);
	pf_arg_uint(args, "blocked_ns", poll->blocked_ns);
	pf_arg_uint(args, "preempted_ns", poll->preempted_ns);
	pf_arg_uint(args, "worst_block_ns", poll->worst_block_ns);
	if (poll->nested_ns)
		pf_arg_uint(args, "nested_ns", poll->nested_ns);
	if (poll->worst_block_ns && poll->syscall >= 0)
		pf_arg_text(args, "syscall", syscall_name(poll->syscall));
	if (poll->loose_end)
		pf_arg_bool(args, "length_is_a_lower_bound", true);
	if (poll->early)
		pf_arg_bool(args, "began_before_the_watch", true);
}

void pf_block_name(const struct ev_stack *stack, char *out, size_t size)
{
	const char *call = stack->syscall >= 0 ? syscall_name(stack->syscall) : NULL;

	if (stack->syscall < 0)
		snprintf(out, size, "blocked: no system call");
	else if (call)
		snprintf(out, size, "blocked: %s", call);
	else
		snprintf(out, size, "blocked: system call %d", stack->syscall);
}

void pf_stack_args(struct bytes *args, const struct ev_stack *stack)
{
	pf_arg_text(args, "what", stack->detail);
	pf_arg_stack(args, stack->frames, stack->frames_count);
	pf_arg_text(args, "stack_end", stack_end_name(stack->end));
	pf_arg_text(args, "kernel", stack->kernel);
}

bool pf_block_is_all(const struct pf_open_block *block)
{
	return block->held && block->told.begin_ns == block->told.poll_start_ns;
}

void pf_block_limit(struct pf_open_block *block, uint64_t end_ns)
{
	if (end_ns > block->told.begin_ns && end_ns < block->limit_ns)
		block->limit_ns = end_ns;
}

void pf_block_limit_in(struct pf_open_block *block, uint64_t poll_start_ns, uint64_t end_ns)
{
	if (block->told.poll_start_ns == poll_start_ns)
		pf_block_limit(block, end_ns);
}

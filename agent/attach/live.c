// SPDX-License-Identifier: LGPL-2.1-or-later
/* The live source: opening, the rhythm of its ticks, and the life of its targets; see live.h. */
#include "attach/live_priv.h"

#include "util/clock.h"
#include "util/fmt.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 50
#define READY_MS 10	/* between two looks while ready tasks wait */
#define THREADS_EVERY 4 /* ticks: 200 ms */
#define SLOW_EVERY 20	/* ticks: 1 s */
#define FRAME_EVERY 2	/* ticks: 100 ms between two moments that are judged and shown */
#define MIN_SITES 1024
#define MAX_STATS_BYTES (128ULL << 20)

static const struct source_ops live_source_ops;

uint64_t live_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

const struct runtime_found *live_found(const struct live *live, uint32_t site)
{
	const struct watch_object *object;

	if (site >= live->sites_count || !live->sites[site].found)
		return NULL;
	object = live->binaries[live->sites[site].binary].object;
	return object ? &object->found : NULL;
}

uint64_t live_task_id(const struct live *live, uint32_t site, uint64_t id)
{
	const struct runtime_found *found = live_found(live, site);

	return found && live->sites[site].found->id_word == WIRE_NO_WORD ? 0 : id;
}

int live_emit(struct emit *emit, enum event_kind kind, uint32_t target, struct event *event)
{
	event->kind = kind;
	event->target = target;
	if (!event->time_ns)
		event->time_ns = emit->now;
	return emit->fn(emit->ctx, event);
}

int live_note(struct emit *emit, uint32_t target, enum note_severity severity, const char *fmt, ...)
{
	struct event event = {0};
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	event.as_note.severity = severity;
	event.as_note.text = text;
	return live_emit(emit, EV_NOTE, target, &event);
}

/* Records of the ring; an error of the consumer is kept, because libbpf would only see a number. */
static int on_record(void *ctx, void *data, size_t size)
{
	struct live *live = ctx;
	const struct wire_head *head = data;

	if (size < sizeof(*head) || live->emit_error)
		return 0;
	if (head->kind == WIRE_LONG_POLL && size >= sizeof(struct wire_long_poll)) {
		struct emit emit = *live->emit;
		const struct wire_long_poll *rec = data;

		emit.now = head->time_ns;
		/* Of a task type that was met since the ring was last read. */
		if (rec->poll.site < live->sites_count && live->sites[rec->poll.site].unmet)
			live->emit_error = live_usdt_look(live, &emit);
		if (!live->emit_error)
			live->emit_error = live_long_poll(live, &emit, data);
	} else if (head->kind == WIRE_MOMENT && size >= sizeof(struct wire_moment)) {
		live_sentinel_moment(live, data);
	} else if (size >= sizeof(struct wire_stack)) {
		live->emit_error = live_stack(live, live->emit, data);
	} else if (head->kind == WIRE_SAMPLE || head->kind == WIRE_PANIC) {
		live_in_poll(live, data, size);
	} else if (head->kind == WIRE_SPAWN_FULL && head->target < live->targets_count) {
		live_spawn_close(live, head->target);
	} else if (head->kind == WIRE_THREAD_EXIT) {
		live->emit_error = live_thread_exit(live, data, size);
	} else if (head->kind == WIRE_PROCESS_EXEC && head->target < live->targets_count) {
		live->targets[head->target].exec_pending = true;
	}
	return 0;
}

static int announce_target(struct live *live, struct emit *emit, uint32_t target)
{
	const struct proc *proc = live->targets[target].watch->proc;
	const struct watch *watch = live->targets[target].watch;
	char *exe = text_sanitize_dup(proc->exe), *comm = text_sanitize_dup(proc->comm);
	const char *build_id = NULL;
	struct event event;
	int ret;

	for (size_t i = 0; i < watch->count; i++)
		if (watch->objects[i]->object->is_exe)
			build_id = watch->objects[i]->object->elf->build_id;
	event = (struct event){.as_target = {
				       .pid = proc->pid,
				       .start_time = proc->start_time,
				       .comm = comm,
				       .exe = exe,
				       .build_id = build_id && build_id[0] ? build_id : NULL,
				       .cpus = proc_cpus(proc),
			       }};
	ret = live_emit(emit, EV_TARGET, target, &event);
	free(exe);
	free(comm);
	return ret;
}

/* When it was changed: what comes after it is not comparable with what came before. */
static int say_threshold(struct live *live, struct emit *emit)
{
	char from[FMT_SIZE], to[FMT_SIZE];

	if (live->threshold_said == live->opts.threshold_ns)
		return 0;
	fmt_duration(from, sizeof(from), live->threshold_said);
	fmt_duration(to, sizeof(to), live->opts.threshold_ns);
	live->threshold_said = live->opts.threshold_ns;
	return live_note(emit, ID_NONE, NOTE_INFO, "polls of %s or more are reported, not %s", to,
			 from);
}

static int announce(struct live *live, struct emit *emit)
{
	int ret = 0;

	if (live->announced)
		return 0;
	live->announced = true;
	for (uint32_t i = 0; i < live->targets_count && !ret; i++)
		ret = announce_target(live, emit, i);
	if (!ret)
		ret = live_announce(live, emit);
	for (uint32_t i = 0; i < live->targets_count && !ret; i++)
		ret = live_look_notes(live, emit, i);
	for (uint32_t i = 0; i < live->targets_count && !ret; i++)
		ret = live_overhead_tell(live, emit, i);
	if (!ret && live->ticks == 0 && !live->opts.no_sampling &&
	    live->kernel->sampling < live->kernel->cpus)
		ret = live_note(emit, ID_NONE, NOTE_INFO,
				"sampling works on %u of %u CPUs: the "
				"end of a poll may be seen late",
				live->kernel->sampling, live->kernel->cpus);
	for (uint32_t i = 0; i < live->targets_count && !ret && live->ticks == 0; i++)
		ret = live_census_target(live, emit, i);
	if (!ret && live->ticks == 0 && live->no_stacks[0])
		ret = live_note(emit, ID_NONE, NOTE_WARNING, "findings have no stack: %s",
				live->no_stacks);
	return ret;
}

int live_drain(struct live *live, struct emit *emit)
{
	int ret = live_usdt_look(live, emit);

	if (ret)
		return ret;
	live->emit = emit;
	live->emit_error = 0;
	ret = kernel_drain(live->kernel);
	live->emit = NULL;
	if (!ret && !live->emit_error)
		ret = live_polls_flush(live, emit);
	if (live->emit_error || ret)
		return live->emit_error ? live->emit_error : ret;
	if (live->opts.debuginfod)
		debuginfod_step(live->opts.debuginfod);
	ret = live_stacks_drain(live, emit);
	for (uint32_t i = 0; i < live->targets_count && !ret; i++)
		if (live->targets[i].looking && !live->targets[i].ended)
			ret = live_look(live, emit, i);
	return ret;
}

static int live_source_drain(struct source *source, event_fn fn, void *ctx)
{
	struct live *live = (struct live *)source;
	struct emit emit = {fn, ctx, live_now()};
	int ret = announce(live, &emit);

	return ret ? ret : live_drain(live, &emit);
}

/* Of a child from wait(2), of others from the kernel part. */
static int reap(const struct live *live, const struct live_target *t)
{
	pid_t pid = t->watch->proc->pid;
	int status = 0;

	if (live->opts.child && pid == live->opts.child && waitpid(pid, &status, WNOHANG) == pid)
		return status;
	return t->status_seen ? t->status : -1;
}

static int check_alive(struct live *live, struct emit *emit, uint32_t target)
{
	struct live_target *t = &live->targets[target];
	struct event event = {0};
	int ret;

	if (t->ended || proc_alive(t->watch->proc))
		return 0;
	ret = live_drain(live, emit);
	t->ended = true;
	watch_scan_stop(t->watch);
	live_detach_target(live, target);
	event.as_target_end.reason = TARGET_EXITED;
	event.as_target_end.status = reap(live, t);
	return ret ? ret : live_emit(emit, EV_TARGET_END, target, &event);
}

static bool all_ended(const struct live *live)
{
	for (uint32_t i = 0; i < live->targets_count; i++)
		if (!live->targets[i].ended)
			return false;
	return true;
}

/* Reading the mappings takes a lock of the target: only when something was mapped. */
static bool mappings_changed(struct live_target *t, uint64_t now)
{
	uint64_t kib = proc_exec_kib(t->watch->proc);
	bool changed = kib != t->exec_kib || now < t->look_until || t->watch->unsure_count;

	t->exec_kib = kib;
	return changed;
}

static int look_at_targets(struct live *live, struct emit *emit, bool slow)
{
	int ret = 0;

	for (uint32_t i = 0; i < live->targets_count && !ret; i++) {
		struct live_target *t = &live->targets[i];

		ret = check_alive(live, emit, i);
		if (!ret && !t->ended && t->exec_pending)
			ret = live_exec(live, emit, i);
		if (!ret && !t->ended && !t->looking && (slow || emit->now < t->look_until) &&
		    mappings_changed(t, emit->now))
			ret = live_look(live, emit, i);
	}
	return ret;
}

/* What is read each second (`slow`), and the slices of a scan that takes several ticks. */
static int slow_part(struct live *live, struct emit *emit, bool slow, bool all)
{
	int ret = slow ? live_check_sites(live, emit) : 0;

	/* The scan first: it tells how many tasks have ended. */
	if (!ret)
		ret = live_task_scan(live, emit, slow, all);
	if (!ret && slow)
		ret = live_site_stats(live, emit);
	return ret;
}

/* `all`: also what is not due yet. */
static int tick_events(struct live *live, struct emit *emit, bool all)
{
	bool threads = all || live->ticks % THREADS_EVERY == 0;
	bool slow = all || live->ticks % SLOW_EVERY == 0;
	struct event event = {0};
	bool open = false;
	int ret;

	ret = live_drain(live, emit);
	if (!ret)
		ret = say_threshold(live, emit);
	/* Exec first: the announcement that follows must be that of the new program. */
	if (!ret)
		ret = look_at_targets(live, emit, slow);
	if (!ret)
		ret = announce(live, emit);
	if (!ret)
		ret = live_fetch_notes(live, emit);
	if (!ret)
		ret = slow_part(live, emit, slow, all);
	if (!ret)
		ret = live_threads(live, emit, threads, &open);
	live_census_count(live, emit);
	if (!ret)
		ret = live_sentinel_tick(live, emit);
	if (!ret)
		ret = live_census(live, emit, threads, &open);
	if (!ret)
		ret = live_ready(live, emit);
	if (!ret)
		ret = live_spawn_tick(live, emit);
	if (!ret)
		ret = live_budget_tick(live, emit);
	if (!ret && threads && !live->opts.no_queues)
		ret = live_queues(live, emit, slow);
	if (!ret && threads)
		ret = live_cost(live, emit);
	if (!ret && (live->ticks % FRAME_EVERY == 0 || all || open || all_ended(live)))
		ret = live_emit(emit, EV_TICK, ID_NONE, &event);
	live->ticks++;
	return ret;
}

static int look(struct live *live, struct emit *emit, bool all)
{
	int ret = announce(live, emit);

	if (!ret)
		ret = tick_events(live, emit, all);
	if (ret)
		return ret;
	return all_ended(live) ? 1 : 0;
}

/* Between two ticks, while ready tasks were seen to wait: how long, to a few milliseconds. */
static int look_at_ready(struct live *live, struct emit *emit)
{
	bool open;
	int ret = live_threads(live, emit, false, &open);

	live_census_count(live, emit);
	return ret ? ret : live_ready(live, emit);
}

static int live_source_tick(struct source *source, event_fn fn, void *ctx)
{
	struct live *live = (struct live *)source;
	struct emit emit = {fn, ctx, live_now()};

	if (live->ready_waiting && emit.now + READY_MS * 500000ULL < live->tick_due)
		return look_at_ready(live, &emit);
	live->tick_due = emit.now + TICK_MS * 1000000ULL;
	return look(live, &emit, false);
}

static int finish_dump(struct live *live, struct emit *emit)
{
	int ret = live_dump_look(live), ended;

	if (!ret)
		ret = live_dump_wait(live, emit);
	/* Runtimes first: their tasks are asked for. */
	if (!ret)
		live_census_count(live, emit);
	ended = ret ? ret : look(live, emit, true);
	ret = ended < 0 ? ended : live_dump_stacks(live, emit);
	return ret ? ret : ended;
}

static int live_source_finish(struct source *source, event_fn fn, void *ctx)
{
	struct live *live = (struct live *)source;
	struct emit emit = {fn, ctx, live_now()};
	int ret, more = 0;

	live->task_scan_next = 0;
	if (live->opts.fresh_tasks)
		return finish_dump(live, &emit);
	/* Statistics and records of polls, read one after the other, tell of the same ones. */
	kernel_watch_over(live->kernel);
	ret = look(live, &emit, true);
	/* A probe may have been on its way then. */
	if (ret >= 0 && live->polls)
		more = live_drain(live, &emit);
	return more ? more : ret;
}

static int live_source_fd(struct source *source)
{
	return ((struct live *)source)->fd;
}

static int live_source_interval(struct source *source)
{
	return ((struct live *)source)->ready_waiting ? READY_MS : TICK_MS;
}

static void live_source_close(struct source *source)
{
	struct live *live = (struct live *)source;

	if (!live)
		return;
	live_detach_begin(live);
	for (uint32_t i = 0; i < live->targets_count; i++)
		live_detach_target(live, i);
	live_census_free(live);
	live_sentinel_close(live);
	kernel_close(live->kernel);
	live_stacks_close(live);
	if (live->fd >= 0)
		close(live->fd);
	live_queues_close(live);
	for (uint32_t i = 0; i < live->targets_count; i++)
		watch_free(live->targets[i].watch);
	live_usdt_close(live);
	map_free(&live->runtime_ids);
	free(live->targets);
	free(live->binaries);
	for (size_t i = 0; i < live->sites_count; i++)
		free(live->sites[i].sample);
	free(live->sites);
	free(live->runtimes);
	free(live->checks);
	free(live->polls);
	free(live);
}

static void live_source_set_threshold(struct source *source, uint64_t ns)
{
	struct live *live = (struct live *)source;

	live->opts.threshold_ns = ns;
	kernel_set_threshold(live->kernel, ns);
}

/* Room for what was found, and for as much again that may be loaded later; one row is ours. */
static uint32_t choose_max_sites(struct watch **watches, size_t count, uint32_t cpus)
{
	uint64_t found = 0, max = MIN_SITES, bound;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < watches[i]->count; j++)
			found += watches[i]->objects[j]->found.types_later ?
					 4 * WIRE_TYPES : /* and what it may run later */
					 watches[i]->objects[j]->found.sites_count;
	while (max < 2 * found + 2)
		max *= 2;
	bound = MAX_STATS_BYTES / (sizeof(struct wire_site_stats) * (cpus ? cpus : 1));
	if (max > bound)
		max = bound;
	return max < WIRE_MAX_SITES ? max : WIRE_MAX_SITES;
}

/* Not where all is over before another library could be loaded: three programs cost their time. */
static bool probes_possible(struct watch **watches, size_t count, bool brief)
{
	for (size_t i = 0; brief && i < count; i++)
		for (size_t j = 0; j < watches[i]->count; j++)
			if (watches[i]->objects[j]->found.ops->family == WIRE_USDT)
				return true;
	return !brief;
}

static int attach_target(struct live *live, uint32_t target, struct err *err)
{
	struct live_target *t = &live->targets[target];
	uint32_t pid = t->watch->proc->pid;
	int ret = 0;

	t->cpu_first = t->cpu_last = proc_cpu_ns(t->watch->proc);
	bpf_map_update_elem(live->kernel->targets_fd, &pid, &target, BPF_ANY);
	/* From here on an exec is told; one since the look at the process has made that worthless. */
	t->exec_pending = proc_execed(t->watch->proc);
	if (t->exec_pending)
		return 0;
	for (size_t i = 0; i < t->watch->count && !ret; i++)
		ret = live_attach_object(live, target, t->watch->objects[i], err);
	if (!ret)
		live_spawn_begin(live, target, live_now());
	if (!ret)
		live_budget_open(live, target);
	/* Also when it failed: the files of the mappings are gone after an exec. */
	t->exec_pending = proc_execed(t->watch->proc);
	if (t->exec_pending)
		return 0;
	if (!ret || proc_same(t->watch->proc))
		return ret;
	/* One of several may end meanwhile: the next tick reports it. */
	if (live->targets_count > 1)
		return 0;
	return err_set(err, -ESRCH, "process %d ended during the attach", pid);
}

/* The rings, the unwinder and the detector behind one descriptor. */
static int join_fds(struct live *live, struct err *err)
{
	int fds[] = {live->kernel->ring_fd, live_stacks_fd(live),
		     detector_fd(live->targets[0].watch->detector)};

	live->fd = epoll_create1(EPOLL_CLOEXEC);
	if (live->fd < 0)
		return err_set(err, -errno, "epoll_create: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		struct epoll_event event = {.events = EPOLLIN};

		if (fds[i] >= 0 && epoll_ctl(live->fd, EPOLL_CTL_ADD, fds[i], &event))
			return err_set(err, -errno, "epoll_ctl: %s", strerror(errno));
	}
	return 0;
}

int live_open(const struct live_opts *opts, struct watch **watches, size_t count,
	      struct source **out, struct err *err)
{
	struct live *live = xcalloc(1, sizeof(*live));
	struct err no_stacks = {0};
	struct timespec cpu;
	uint32_t max_sites;
	int ret;

	live->source.ops = &live_source_ops;
	live->fd = -1;
	live->opts = *opts;
	live->targets = xcalloc(count, sizeof(*live->targets));
	live->targets_count = count;
	map_init(&live->runtime_ids, LIVE_MAX_RUNTIMES);
	for (size_t i = 0; i < count; i++) {
		live->targets[i].watch = watches[i];
		live->targets[i].root_site = ID_NONE;
	}
	if (opts->polls)
		live->polls = xcalloc(POLLS_MAX, sizeof(*live->polls));
	max_sites = choose_max_sites(watches, count, sysconf(_SC_NPROCESSORS_CONF));
	/* Before anything of the kernel is mapped: the unwinder's process inherits none of it. */
	if (!opts->no_stacks && live_stacks_open(live, &no_stacks)) {
		snprintf(live->no_stacks, sizeof(live->no_stacks), "%s", no_stacks.msg);
		live->opts.no_stacks = true;
	}
	live->level_asked = opts->level;
	live->exact_asked = opts->exact;
	if ((!opts->level || opts->sentinel || live_budgeted(opts)) && !live->opts.no_stacks)
		live_sentinel_open(live);
	live->opts.no_spawns |= live->opts.no_stacks || opts->level < 2 || opts->overhead_check;
	ret = kernel_open(
		&(struct kernel_opts){.level = opts->level,
				      .sample = !opts->no_sampling,
				      .stacks = !live->opts.no_stacks,
				      .sentinel = live->sentinel != NULL,
				      .spawns = !live->opts.no_spawns,
				      .exact = opts->exact && opts->level,
				      .probes = probes_possible(watches, count, opts->fresh_tasks),
				      .max_sites = max_sites,
				      .ring_bytes = opts->ring_bytes,
				      .fn = on_record,
				      .brief_fn = opts->polls ? live_brief_poll : NULL,
				      .ctx = live},
		&live->kernel, err);
	if (!ret)
		ret = join_fds(live, err);
	live->calibration_slot = UINT32_MAX;
	if (!ret && opts->level)
		ret = live_calibrate(live, err);
	if (ret)
		goto fail;
	kernel_set_threshold(live->kernel, opts->threshold_ns);
	live->threshold_said = opts->threshold_ns;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	live->agent_cpu_begin = cpu.tv_sec * 1000000000ULL + cpu.tv_nsec;
	live->begin_ns = live_now();
	for (uint32_t i = 0; i < count && !ret; i++)
		ret = attach_target(live, i, err);
	if (!ret)
		ret = live_exact_possible(live, err);
	if (ret)
		goto fail;
	*out = &live->source;
	return 0;
fail:
	live_source_close(&live->source);
	return ret;
}

static const struct source_ops live_source_ops = {
	.fd = live_source_fd,
	.interval_ms = live_source_interval,
	.drain = live_source_drain,
	.tick = live_source_tick,
	.finish = live_source_finish,
	.set_threshold = live_source_set_threshold,
	.close = live_source_close,
};

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Our programs and maps in the kernel; see kernel.h. */
#include "attach/kernel.h"

#include "attach/link.h"
#include "stalltop.skel.h"
#include "util/xalloc.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SAMPLE_HZ 99
/*
 * Of a poll that no probe sees begin or end, only what lies between its first sample and its last is
 * known: of one of 20 ms at least 15. A rate near that of the scheduler's ticks (100, 250, 300 or 1000 a
 * second) would meet the same thread at each of them, and others never.
 */
#define SAMPLE_SENTINEL_HZ 397
#define POLL_RING_BYTES (8u << 20) /* 170 000 polls */
#define SLOT_TRIES 64

static size_t array_bytes(size_t value, size_t count)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return ((value + 7) / 8 * 8 * count + page - 1) / page * page;
}

static void *map_array(struct bpf_map *map, size_t value, size_t count, int prot)
{
	void *p = mmap(NULL, array_bytes(value, count), prot, MAP_SHARED, bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

static uint32_t pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : st.st_ino;
}

static int load(struct kernel *k, struct err *err)
{
	struct stalltop_bpf *skel = k->skel;
	int ret;

	skel->rodata->level = k->level;
	skel->rodata->max_sites = k->max_sites;
	skel->rodata->agent_pidns = pid_namespace();
	skel->rodata->stacks_on = k->stacks;
	skel->rodata->sentinel_on = k->sentinel;
	skel->rodata->polls_on = k->polls;
	bpf_map__set_max_entries(skel->maps.poll_ring, k->polls ? POLL_RING_BYTES : 4096);
	if (k->ring_bytes)
		bpf_map__set_max_entries(skel->maps.ring, k->ring_bytes);
	if (!k->stacks)
		bpf_map__set_max_entries(skel->maps.blocks, 1);
	bpf_map__set_max_entries(skel->maps.sites, k->max_sites);
	bpf_map__set_max_entries(skel->maps.site_stats, k->max_sites * k->cpus);
	bpf_program__set_expected_attach_type(skel->progs.on_poll, BPF_ATTACH_TRACE_UPROBE_MULTI);
	bpf_program__set_expected_attach_type(skel->progs.on_dealloc,
					      BPF_ATTACH_TRACE_UPROBE_MULTI);
	bpf_program__set_expected_attach_type(skel->progs.on_schedule,
					      BPF_ATTACH_TRACE_UPROBE_MULTI);
	bpf_program__set_expected_attach_type(skel->progs.on_probe_begin,
					      BPF_ATTACH_TRACE_UPROBE_MULTI);
	bpf_program__set_expected_attach_type(skel->progs.on_probe_end,
					      BPF_ATTACH_TRACE_UPROBE_MULTI);
	bpf_program__set_expected_attach_type(skel->progs.on_probe_other,
					      BPF_ATTACH_TRACE_UPROBE_MULTI);
	bpf_program__set_expected_attach_type(skel->progs.on_spawn, BPF_ATTACH_TRACE_UPROBE_MULTI);
	bpf_program__set_expected_attach_type(skel->progs.on_panic, BPF_ATTACH_TRACE_UPROBE_MULTI);
	bpf_program__set_autoload(skel->progs.on_probe_begin, k->probes);
	bpf_program__set_autoload(skel->progs.on_probe_end, k->probes);
	bpf_program__set_autoload(skel->progs.on_probe_other, k->probes);
	bpf_program__set_autoload(skel->progs.on_spawn, k->spawns);
	bpf_map__set_max_entries(skel->maps.spawn_marks, k->spawns ? k->max_sites : 1);
	bpf_program__set_autoload(skel->progs.on_dealloc, k->level >= 2);
	bpf_program__set_autoload(skel->progs.on_panic, k->level >= 2);
	bpf_program__set_expected_attach_type(skel->progs.on_return, BPF_ATTACH_TRACE_UPROBE_MULTI);
	bpf_program__set_autoload(skel->progs.on_return, k->exact);
	bpf_program__set_autoload(skel->progs.on_schedule, k->level >= 3);
	bpf_map__set_max_entries(skel->maps.wakes, k->level >= 3 ? WIRE_MAX_TASKS : 1);
	bpf_map__set_max_entries(skel->maps.delays, k->level >= 3 ? k->max_sites * k->cpus : 1);
	if (k->level < 2) {
		bpf_map__set_max_entries(skel->maps.tasks, 1);
		bpf_map__set_max_entries(skel->maps.task_flags, 1);
		bpf_map__set_max_entries(skel->maps.free_rows, 1);
	}
	ret = stalltop_bpf__load(skel);
	if ((ret == -EPERM || ret == -ENOSYS) && prctl(PR_GET_SECCOMP) > 0)
		return err_set(err, -EPERM,
			       "the kernel refuses to load BPF programs, and a "
			       "seccomp filter is in force: allow bpf and perf_event_open in it, "
			       "or start stalltop outside (it needs CAP_BPF and CAP_PERFMON, too)");
	if (ret == -EPERM)
		return err_set(err, -EPERM,
			       "the kernel refuses to load BPF programs: run as root, "
			       "or give stalltop CAP_BPF and CAP_PERFMON (`stalltop doctor` tells "
			       "more)");
	if (ret == -ESRCH || ret == -ENOENT || access("/sys/kernel/btf/vmlinux", R_OK))
		return err_set(err, -ENOENT,
			       "this kernel has no type information "
			       "(/sys/kernel/btf/vmlinux): CONFIG_DEBUG_INFO_BTF=y is needed");
	if (ret)
		return err_set(err, ret,
			       "cannot load the BPF programs: %s (`stalltop doctor` "
			       "tells more, -v prints the verifier's log)",
			       strerror(-ret));
	return 0;
}

static int map_all(struct kernel *k, struct err *err)
{
	struct stalltop_bpf *skel = k->skel;

	k->sites = map_array(skel->maps.sites, sizeof(*k->sites), k->max_sites,
			     PROT_READ | PROT_WRITE);
	k->stats = map_array(skel->maps.site_stats, sizeof(*k->stats),
			     (size_t)k->max_sites * k->cpus, PROT_READ);
	k->slots = map_array(skel->maps.slots, sizeof(*k->slots), WIRE_MAX_SLOTS, PROT_READ);
	if (k->level >= 2)
		k->tasks = map_array(skel->maps.tasks, sizeof(*k->tasks), WIRE_MAX_TASKS,
				     PROT_READ);
	k->roots = map_array(skel->maps.roots, sizeof(*k->roots), WIRE_MAX_SLOTS,
			     PROT_READ | PROT_WRITE);
	if (k->level >= 2)
		k->task_flags = map_array(skel->maps.task_flags, sizeof(*k->task_flags),
					  WIRE_MAX_TASKS, PROT_READ);
	k->objects = map_array(skel->maps.objects, sizeof(*k->objects), WIRE_MAX_OBJECTS,
			       PROT_READ | PROT_WRITE);
	k->types = map_array(skel->maps.type_rows, sizeof(*k->types), WIRE_MAX_OBJECTS * WIRE_TYPES,
			     PROT_READ | PROT_WRITE);
	k->told = map_array(skel->maps.told_depths, sizeof(*k->told),
			    WIRE_MAX_OBJECTS * WIRE_DEPTHS, PROT_READ | PROT_WRITE);
	k->parks = map_array(skel->maps.parks, sizeof(*k->parks), WIRE_MAX_SLOTS,
			     PROT_READ | PROT_WRITE);
	k->places = map_array(skel->maps.places, sizeof(*k->places), WIRE_MAX_TARGETS * WIRE_PLACES,
			      PROT_READ | PROT_WRITE);
	k->spans = map_array(skel->maps.spans, sizeof(*k->spans), WIRE_MAX_SLOTS, PROT_READ);
	k->idles = map_array(skel->maps.idles, sizeof(*k->idles), WIRE_MAX_SLOTS,
			     PROT_READ | PROT_WRITE);
	k->moments = map_array(skel->maps.moments, sizeof(*k->moments), WIRE_STACK_SLOTS,
			       PROT_READ | PROT_WRITE);
	if (k->level >= 3)
		k->delays = map_array(skel->maps.delays, sizeof(*k->delays),
				      (size_t)k->max_sites * k->cpus, PROT_READ);
	if (k->level >= 3)
		k->wakes = map_array(skel->maps.wakes, sizeof(*k->wakes), WIRE_MAX_TASKS,
				     PROT_READ | PROT_WRITE);
	if ((k->level >= 3 && (!k->delays || !k->wakes)) || !k->sites || !k->stats || !k->slots ||
	    !k->roots || !k->parks || (k->level >= 2 && (!k->tasks || !k->task_flags)) ||
	    !k->objects || !k->types || !k->told || !k->places || !k->idles || !k->spans ||
	    !k->moments)
		return err_set(err, -errno, "cannot map the BPF arrays: %s", strerror(errno));
	return 0;
}

static int attach_one(struct bpf_program *prog, struct bpf_link **link, struct err *err)
{
	*link = bpf_program__attach(prog);
	if (*link)
		return 0;
	return err_set(err, -errno, "cannot attach %s: %s", bpf_program__name(prog),
		       strerror(errno));
}

static int attach_scheduler(struct kernel *k, struct err *err)
{
	struct stalltop_bpf *skel = k->skel;
	int ret;

	ret = attach_one(skel->progs.on_switch, &skel->links.on_switch, err);
	if (!ret)
		ret = attach_one(skel->progs.on_exit, &skel->links.on_exit, err);
	if (!ret)
		ret = attach_one(skel->progs.on_exec, &skel->links.on_exec, err);
	return ret;
}

static uint64_t sample_period(const struct kernel *k)
{
	bool asks = k->sentinel && !k->level;

	for (uint32_t i = 0; i < WIRE_MAX_TARGETS && k->sentinel; i++)
		asks |= k->skel->bss->sentinel_asks[i];
	return 1000000000 / (asks ? SAMPLE_SENTINEL_HZ : SAMPLE_HZ);
}

/* A CPU that is offline, or a kernel that allows no sampling, costs precision only. */
static void attach_samples(struct kernel *k)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = sample_period(k),
	};
	int prog = bpf_program__fd(k->skel->progs.on_sample);

	for (uint32_t cpu = 0; cpu < k->cpus; cpu++) {
		int fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

		k->sample_fds[cpu] = fd;
		if (fd < 0)
			continue;
		if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) || ioctl(fd, PERF_EVENT_IOC_ENABLE)) {
			close(fd);
			k->sample_fds[cpu] = -1;
			continue;
		}
		k->sampling++;
	}
}

/* The rings behind one descriptor; the second is of use only when stacks are copied. */
static int open_rings(struct kernel *k, const struct kernel_opts *opts, struct err *err)
{
	int ret = 0;

	k->ring = ring_buffer__new(bpf_map__fd(k->skel->maps.ring), opts->fn, opts->ctx, NULL);
	if (!k->ring)
		return err_set(err, -errno, "cannot open the ring buffer: %s", strerror(errno));
	if (k->stacks)
		ret = ring_buffer__add(k->ring, bpf_map__fd(k->skel->maps.stack_ring), opts->fn,
				       opts->ctx);
	if (!ret && k->polls)
		ret = ring_buffer__add(k->ring, bpf_map__fd(k->skel->maps.poll_ring),
				       opts->brief_fn, opts->ctx);
	if (ret)
		return err_set(err, ret, "cannot open the rings of stacks and polls: %s",
			       strerror(-ret));
	k->ring_fd = ring_buffer__epoll_fd(k->ring);
	return 0;
}

int kernel_open(const struct kernel_opts *opts, struct kernel **out, struct err *err)
{
	struct kernel *k = xcalloc(1, sizeof(*k));
	int ret;

	k->level = opts->level;
	k->stacks = opts->stacks;
	k->polls = opts->brief_fn != NULL;
	k->spawns = opts->spawns;
	k->probes = opts->probes;
	k->sentinel = opts->sentinel;
	k->exact = opts->exact;
	k->max_sites = opts->max_sites;
	k->ring_bytes = opts->ring_bytes;
	k->cpus = libbpf_num_possible_cpus();
	k->sample_fds = xcalloc(k->cpus, sizeof(*k->sample_fds));
	for (uint32_t i = 0; i < k->cpus; i++)
		k->sample_fds[i] = -1;
	k->skel = stalltop_bpf__open();
	if (!k->skel) {
		ret = err_set(err, -errno, "cannot open the BPF object: %s", strerror(errno));
		goto fail;
	}
	ret = load(k, err);
	if (!ret)
		ret = map_all(k, err);
	if (ret)
		goto fail;
	k->on_poll_fd = bpf_program__fd(k->skel->progs.on_poll);
	k->on_dealloc_fd = k->level >= 2 ? bpf_program__fd(k->skel->progs.on_dealloc) : -1;
	k->on_panic_fd = k->level >= 2 ? bpf_program__fd(k->skel->progs.on_panic) : -1;
	k->on_return_fd = k->exact ? bpf_program__fd(k->skel->progs.on_return) : -1;
	k->on_schedule_fd = k->level >= 3 ? bpf_program__fd(k->skel->progs.on_schedule) : -1;
	k->on_probe_begin_fd = k->probes ? bpf_program__fd(k->skel->progs.on_probe_begin) : -1;
	k->on_probe_end_fd = k->probes ? bpf_program__fd(k->skel->progs.on_probe_end) : -1;
	k->on_probe_other_fd = k->probes ? bpf_program__fd(k->skel->progs.on_probe_other) : -1;
	k->probe_args_fd = bpf_map__fd(k->skel->maps.probe_args);
	k->types_fd = bpf_map__fd(k->skel->maps.types);
	k->on_spawn_fd = k->spawns ? bpf_program__fd(k->skel->progs.on_spawn) : -1;
	k->vtables_fd = bpf_map__fd(k->skel->maps.vtables);
	k->targets_fd = bpf_map__fd(k->skel->maps.targets);
	k->on_look_fd = bpf_program__fd(k->skel->progs.on_look);
	k->wanted_fd = bpf_map__fd(k->skel->maps.wanted);
	k->give_tid = &k->skel->bss->give_tid;
	k->give_target = &k->skel->bss->give_target;
	k->wanted_on = &k->skel->bss->wanted_on;
	ret = open_rings(k, opts, err);
	if (!ret)
		ret = attach_scheduler(k, err);
	if (ret)
		goto fail;
	if (opts->sample)
		attach_samples(k);
	*out = k;
	return 0;
fail:
	kernel_close(k);
	return ret;
}

void kernel_close(struct kernel *k)
{
	if (!k)
		return;
	for (uint32_t i = 0; i < k->cpus; i++)
		if (k->sample_fds[i] >= 0)
			close(k->sample_fds[i]);
	free(k->sample_fds);
	if (k->sites)
		munmap(k->sites, array_bytes(sizeof(*k->sites), k->max_sites));
	if (k->stats)
		munmap(k->stats, array_bytes(sizeof(*k->stats), (size_t)k->max_sites * k->cpus));
	if (k->delays)
		munmap((void *)k->delays,
		       array_bytes(sizeof(*k->delays), (size_t)k->max_sites * k->cpus));
	if (k->wakes)
		munmap(k->wakes, array_bytes(sizeof(*k->wakes), WIRE_MAX_TASKS));
	if (k->slots)
		munmap((void *)k->slots, array_bytes(sizeof(*k->slots), WIRE_MAX_SLOTS));
	if (k->roots)
		munmap(k->roots, array_bytes(sizeof(*k->roots), WIRE_MAX_SLOTS));
	if (k->task_flags)
		munmap((void *)k->task_flags, array_bytes(sizeof(*k->task_flags), WIRE_MAX_TASKS));
	if (k->objects)
		munmap(k->objects, array_bytes(sizeof(*k->objects), WIRE_MAX_OBJECTS));
	if (k->told)
		munmap(k->told, array_bytes(sizeof(*k->told), WIRE_MAX_OBJECTS * WIRE_DEPTHS));
	if (k->types)
		munmap(k->types, array_bytes(sizeof(*k->types), WIRE_MAX_OBJECTS * WIRE_TYPES));
	if (k->parks)
		munmap(k->parks, array_bytes(sizeof(*k->parks), WIRE_MAX_SLOTS));
	if (k->places)
		munmap(k->places, array_bytes(sizeof(*k->places), WIRE_MAX_TARGETS * WIRE_PLACES));
	if (k->spans)
		munmap((void *)k->spans, array_bytes(sizeof(*k->spans), WIRE_MAX_SLOTS));
	if (k->idles)
		munmap(k->idles, array_bytes(sizeof(*k->idles), WIRE_MAX_SLOTS));
	if (k->moments)
		munmap(k->moments, array_bytes(sizeof(*k->moments), WIRE_STACK_SLOTS));
	if (k->tasks)
		munmap((void *)k->tasks, array_bytes(sizeof(*k->tasks), WIRE_MAX_TASKS));
	ring_buffer__free(k->ring);
	stalltop_bpf__destroy(k->skel);
	free(k);
}

int kernel_drain(struct kernel *k)
{
	int ret = ring_buffer__consume(k->ring);

	return ret < 0 ? ret : 0;
}

void kernel_set_threshold(struct kernel *k, uint64_t ns)
{
	k->skel->data->threshold_ns = ns;
}

int64_t kernel_spawn_left(const struct kernel *k, uint32_t target)
{
	return *(const volatile __s64 *)&k->skel->bss->spawn_left[target];
}

void kernel_set_spawn_left(struct kernel *k, uint32_t target, int64_t hits)
{
	__atomic_store_n(&k->skel->bss->spawn_left[target], hits, __ATOMIC_RELAXED);
}

void kernel_set_epoch(struct kernel *k, uint32_t target, uint32_t epoch)
{
	__atomic_store_n(&k->skel->bss->epochs[target], epoch, __ATOMIC_RELEASE);
}

void kernel_set_since(struct kernel *k, uint32_t target, uint64_t ns)
{
	__atomic_store_n(&k->skel->bss->since[target], ns, __ATOMIC_RELEASE);
}

uint32_t kernel_epoch(const struct kernel *k, uint32_t target)
{
	return k->skel->bss->epochs[target];
}

void kernel_set_sentinel(struct kernel *k, uint32_t target, bool asks)
{
	uint64_t period;

	if (k->skel->bss->sentinel_asks[target] == asks)
		return;
	k->skel->bss->sentinel_asks[target] = asks;
	period = sample_period(k);
	for (uint32_t cpu = 0; cpu < k->cpus; cpu++)
		if (k->sample_fds[cpu] >= 0)
			ioctl(k->sample_fds[cpu], PERF_EVENT_IOC_PERIOD, &period);
}

void kernel_ask_moments(struct kernel *k, uint32_t slot, uint32_t tid, uint32_t count,
			const uint64_t page[WIRE_MOMENT_PAGES])
{
	struct wire_moment_ask *ask = &k->moments[slot];

	__atomic_store_n(&ask->left, 0, __ATOMIC_SEQ_CST);
	ask->tid = tid;
	memcpy(ask->page, page, sizeof(ask->page));
	__atomic_store_n(&ask->left, count, __ATOMIC_SEQ_CST);
}

void kernel_wakes_begin(struct kernel *k)
{
	uint32_t rows = kernel_task_rows(k);

	for (uint32_t i = 0; i < rows; i++)
		__atomic_store_n(&k->wakes[i].ready_ns, WIRE_WAKE_UNKNOWN, __ATOMIC_RELAXED);
}

void kernel_set_lowered(struct kernel *k, unsigned int level)
{
	k->skel->bss->rows_off = level < 2;
	k->skel->bss->wakes_off = level < 3;
}

void kernel_watch_over(struct kernel *k)
{
	__atomic_store_n(&k->skel->bss->watch_over, true, __ATOMIC_SEQ_CST);
}

void kernel_totals(const struct kernel *k, struct wire_totals *out)
{
	*out = *(const volatile struct wire_totals *)&k->skel->bss->totals;
}

uint32_t kernel_slots(const struct kernel *k)
{
	uint64_t n = *(const volatile __u64 *)&k->skel->bss->totals.next_slot;

	return n < WIRE_MAX_SLOTS ? n : WIRE_MAX_SLOTS;
}

uint32_t kernel_task_rows(const struct kernel *k)
{
	uint64_t n = *(const volatile __u64 *)&k->skel->bss->totals.next_row;

	return n < WIRE_MAX_TASKS ? n : WIRE_MAX_TASKS;
}

bool kernel_task(const struct kernel *k, uint32_t row, struct wire_task *out)
{
	const struct wire_task *task = &k->tasks[row];
	uint64_t key = __atomic_load_n(&task->key, __ATOMIC_ACQUIRE);

	if (!key)
		return false;
	memcpy(out, task, sizeof(*out));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return *(const volatile __u64 *)&task->key == key;
}

uint64_t kernel_task_wakes(const struct kernel *k, uint32_t row)
{
	return k->wakes ? *(const volatile __u64 *)&k->wakes[row].count : 0;
}

bool kernel_slot(const struct kernel *k, uint32_t index, struct wire_slot *out)
{
	const volatile struct wire_slot *slot = &k->slots[index];
	uint32_t before;

	for (int i = 0; i < SLOT_TRIES; i++) {
		before = __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE);
		if (!slot->tid)
			return false;
		if (before & 1)
			continue;
		memcpy(out, (const void *)slot, sizeof(*out));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (slot->seq == before)
			return out->tid != 0;
	}
	return false;
}

bool kernel_block(const struct kernel *k, uint32_t slot, struct wire_stack *out)
{
	if (!k->stacks || slot >= WIRE_STACK_SLOTS)
		return false;
	return !bpf_map_lookup_elem(bpf_map__fd(k->skel->maps.blocks), &slot, out) && out->since_ns;
}

uint64_t kernel_missed(const struct kernel *k)
{
	int fds[] = {k->on_poll_fd,	   k->on_dealloc_fd,   k->on_schedule_fd,
		     k->on_probe_begin_fd, k->on_probe_end_fd, k->on_probe_other_fd,
		     k->on_return_fd};
	uint64_t missed = 0;

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		if (fds[i] >= 0 && !bpf_obj_get_info_by_fd(fds[i], &info, &len))
			missed += info.recursion_misses;
	}
	return missed;
}

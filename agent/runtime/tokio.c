// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tokio: every spawned future type T on scheduler S has one static vtable of ten words
 * (tokio/src/runtime/task/raw.rs, struct Vtable, 1.24 to 1.54). Its functions are address-taken,
 * so they exist in every build, stripped and fat-LTO ones too.
 */
#include "runtime/tokio.h"

#include "runtime/task_name_impl.h"
#include "runtime/tokio_layout.h"
#include "runtime/tokio_spawn.h"
#include "runtime/vtable.h"
#include "target/note.h"
#include "util/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum word {
	W_POLL,
	W_SCHEDULE,
	W_DEALLOC,
	W_TRY_READ_OUTPUT,
	W_DROP_JOIN_HANDLE,
	W_DROP_ABORT_HANDLE,
	W_SHUTDOWN,
	W_TRAILER,
	W_SCHEDULER,
	W_ID,
	W_COUNT
};

#define HEADER_STATE 0 /* words */
#define HEADER_VTABLE 2
#define HEADER_MIN 32	      /* state, queue_next, vtable, owner_id */
#define HEADER_MAX 48	      /* the last word that the probe reads of the header */
#define TASK_MAX (1ULL << 31) /* bytes of one task */

/*
 * The offsets: the scheduler handle follows the header, then the id after one word (an Arc) or two
 * (BlockingSchedule), then the future, then the trailer; all multiples of 8.
 */
static bool accept(const uint64_t *w)
{
	uint64_t scheduler = w[W_SCHEDULER], id = w[W_ID], trailer = w[W_TRAILER];

	if ((scheduler | id | trailer) & 7)
		return false;
	if (scheduler < HEADER_MIN || id <= scheduler || id > HEADER_MAX || trailer <= id)
		return false;
	if (trailer > TASK_MAX || w[W_POLL] == w[W_DEALLOC] || w[W_POLL] == w[W_SHUTDOWN])
		return false;
	return true;
}

static const struct vtable_shape shape = {
	.code_words = W_TRAILER,
	.words = W_COUNT,
	.accept = accept,
};

#define MARKS_MAX (RUNTIME_MAX_MARKS - MARKS_A_SITE)

/* id_offset - scheduler_offset with a BlockingSchedule */
#define BLOCKING_GAP 16

void tokio_functions(const uint64_t *w, struct task_functions *out)
{
	*out = (struct task_functions){
		.poll = w[W_POLL],
		.schedule = w[W_SCHEDULE],
		.named = {w[W_POLL], w[W_DEALLOC], w[W_SHUTDOWN], w[W_TRY_READ_OUTPUT]},
		.drops = {w[W_DROP_ABORT_HANDLE], w[W_DEALLOC], w[W_DROP_JOIN_HANDLE],
			  w[W_SHUTDOWN], w[W_TRY_READ_OUTPUT], w[W_POLL]},
		.size = w[W_TRAILER],
		.kind_known = true,
		/* Blocking-pool work, by the size of its scheduler; the worker loop too. */
		.blocking = w[W_ID] - w[W_SCHEDULER] == BLOCKING_GAP,
	};
}

/*
 * A task is its header and future, then the trailer, and is aligned (runtime/task/core.rs: struct Cell,
 * to 128 bytes on x86-64 since 1.29; struct Trailer: a list's two pointers and a waker, since 1.40 also
 * a hook). Where the version is not known, the least that it can be.
 */
static uint32_t allocated(uint64_t trailer, unsigned int minor)
{
	uint64_t align = minor >= 29 ? 128 : 8;

	return (uint32_t)((trailer + (minor >= 40 ? 48 : 32) + align - 1) / align * align);
}

static void take_marks(struct task_namer *namer, uint32_t index, struct runtime_found *out)
{
	struct runtime_mark marks[MARKS_A_SITE];
	size_t count;

	out->sites[index].marked = task_namer_marks(namer, out->sites[index].poll, marks, &count);
	out->marks = xreallocarray(out->marks, out->marks_count + count + 1, sizeof(marks[0]));
	for (size_t i = 0; i < count; i++) {
		marks[i].site = index;
		out->marks[out->marks_count++] = marks[i];
	}
}

static void fill_sites(struct object *object, struct task_namer *namer, const struct vtable *tables,
		       size_t count, unsigned int minor, struct runtime_found *out)
{
	struct task_functions *words = xcalloc(count, sizeof(*words));

	out->sites = xcalloc(count, sizeof(*out->sites));
	out->sites_count = count;
	for (size_t i = 0; i < count; i++)
		tokio_functions(tables[i].words, &words[i]);
	task_namer_learn(namer, words, count);
	for (size_t i = 0; i < count; i++) {
		struct runtime_site *site = &out->sites[i];

		site->vtable = tables[i].addr + object->bias;
		site->poll = vtable_function(object, words[i].poll);
		site->dealloc = vtable_function(object, tables[i].words[W_DEALLOC]);
		site->schedule = words[i].schedule;
		site->sched_word = tables[i].words[W_SCHEDULER] / 8;
		site->id_word = tables[i].words[W_ID] / 8;
		site->vtable_word = HEADER_VTABLE;
		site->state_word = HEADER_STATE;
		site->size = words[i].size;
		site->allocated = allocated(words[i].size, minor);
		task_name_site(namer, &words[i], i, site);
	}
	/* Names come first: there is only so much time for debug information. */
	for (size_t i = 0; i < count; i++)
		if (out->sites[i].kind == SITE_TASK && out->marks_count < MARKS_MAX)
			take_marks(namer, i, out);
	free(words);
}

/* The binary's own debug information knows better than any table where its counters are. */
static void take_layout(struct task_namer *namer, struct runtime_found *out)
{
	struct tokio_layout layout;

	if (task_namer_layout(namer, &layout))
		return;
	out->offsets = xmalloc(sizeof(layout.off));
	memcpy(out->offsets, layout.off, sizeof(layout.off));
	out->offsets_count = TOKIO_FIELD_COUNT;
}

static int find_sites(struct object *object, unsigned int minor, struct runtime_found *out,
		      struct err *err)
{
	struct task_namer_options options;
	struct task_namer *namer = NULL;
	struct vtable *tables = NULL;
	size_t count = 0;
	int ret;

	ret = vtable_scan(object, &shape, &tables, &count);
	if (ret || !count)
		goto out;
	task_namer_for(object, &tokio_dialect, &options);
	ret = task_namer_open(object->elf, &options, &namer, err);
	if (ret)
		goto out;
	fill_sites(object, namer, tables, count, minor, out);
	take_layout(namer, out);
	tokio_spawn_find(object, out);
out:
	task_namer_free(namer);
	elf_drop_symbols(object->elf);
	free(tables);
	return ret;
}

/* The crate tokio-dtrace: provider `tokio`, task__spawn, task__poll__start and the like. */
static uint32_t probes_of_others(const struct elf_file *elf)
{
	struct note_probe *probes = NULL;
	size_t count = 0;
	uint32_t ours = 0;

	if (note_probes(elf, "tokio", &probes, &count, NULL, NULL))
		return 0;
	for (size_t i = 0; i < count; i++)
		ours += !strncmp(probes[i].name, "task__", 6);
	free(probes);
	return ours;
}

static int detect(struct object *object, struct runtime_found *out, struct err *err)
{
	struct elf_crate crate = {0};
	unsigned int major = 0, minor = 0;
	int ret;

	memset(out, 0, sizeof(*out));
	out->ops = &tokio_runtime;
	ret = elf_find_crate(object->elf, "tokio", &crate);
	if (ret)
		return ret;
	/* The shape alone could be met by chance; with the crate's traces beside it, it never was. */
	if (!crate.present)
		return -ENOENT;
	snprintf(out->version, sizeof(out->version), "%s", crate.version);
	if (sscanf(crate.version, "%u.%u", &major, &minor) == 2 &&
	    (major < 1 || (major == 1 && minor < TOKIO_MIN_MINOR)))
		return err_set(err, -ENOTSUP,
			       "%s carries Tokio %s: stalltop needs Tokio 1.%d or "
			       "newer",
			       object->name, crate.version, TOKIO_MIN_MINOR);
	ret = find_sites(object, minor, out, err);
	if (ret)
		return ret;
	out->probes_of_others = probes_of_others(object->elf);
	/* The crate without a task type: its pointers may not be relocated yet, or it spawns none. */
	return out->sites_count ? 0 : -EAGAIN;
}

const struct runtime_ops tokio_runtime = {
	.name = "tokio",
	.wanted = "Tokio 1.24 or newer",
	.family = WIRE_TOKIO,
	.detect = detect,
	.state = tokio_state,
	.workers = tokio_workers,
	.queues = &tokio_queues,
	.channels = &tokio_channels,
	.wait = tokio_wait,
};

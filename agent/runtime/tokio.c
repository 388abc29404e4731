// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tokio: every spawned future type T on scheduler S has one static vtable of ten words
 * (tokio/src/runtime/task/raw.rs, struct Vtable, 1.24 to 1.54). Its functions are address-taken,
 * so they exist in every build, stripped and fat-LTO ones too.
 */
#include "runtime/tokio.h"

#include "runtime/tokio_name.h"
#include "runtime/vtable.h"
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

#define HEADER_MIN 32	      /* state, queue_next, vtable, owner_id */
#define HEADER_MAX 56	      /* the probe reads 64 bytes of the header */
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

static struct tokio_vtable_words words_of(const struct vtable *table)
{
	const uint64_t *w = table->words;

	return (struct tokio_vtable_words){
		.poll = w[W_POLL],
		.schedule = w[W_SCHEDULE],
		.dealloc = w[W_DEALLOC],
		.try_read_output = w[W_TRY_READ_OUTPUT],
		.drop_join_handle_slow = w[W_DROP_JOIN_HANDLE],
		.drop_abort_handle = w[W_DROP_ABORT_HANDLE],
		.shutdown = w[W_SHUTDOWN],
		.trailer_offset = w[W_TRAILER],
		.scheduler_offset = w[W_SCHEDULER],
		.id_offset = w[W_ID],
	};
}

static void name_site(struct tokio_namer *namer, const struct tokio_vtable_words *words,
		      size_t index, struct runtime_site *site)
{
	struct tokio_name name;

	tokio_name_task(namer, words, index, &name);
	/* Folded by the linker: one of several types, and nothing tells which. */
	site->name = name.others ? xasprintf("%s | %s", name.name, name.others) :
				   xstrdup(name.name);
	site->scheduler = name.scheduler ? xstrdup(name.scheduler) : NULL;
	site->kind = name.kind;
	site->flavor = name.flavor;
	site->name_from = name.from;
	site->ambiguous = name.ambiguous;
	tokio_name_clear(&name);
}

static void fill_sites(struct object *object, struct tokio_namer *namer,
		       const struct vtable *tables, size_t count, struct runtime_found *out)
{
	struct tokio_vtable_words *words = xcalloc(count, sizeof(*words));

	out->sites = xcalloc(count, sizeof(*out->sites));
	out->sites_count = count;
	for (size_t i = 0; i < count; i++)
		words[i] = words_of(&tables[i]);
	tokio_namer_learn(namer, words, count);
	for (size_t i = 0; i < count; i++) {
		struct runtime_site *site = &out->sites[i];

		site->vtable = tables[i].addr + object->bias;
		site->poll = words[i].poll;
		site->dealloc = words[i].dealloc;
		site->schedule = words[i].schedule;
		site->sched_word = words[i].scheduler_offset / 8;
		site->id_word = words[i].id_offset / 8;
		site->size = words[i].trailer_offset;
		name_site(namer, &words[i], i, site);
	}
	free(words);
}

static int find_sites(struct object *object, struct runtime_found *out, struct err *err)
{
	struct tokio_namer_options options = {.path = object->name};
	struct tokio_namer *namer = NULL;
	struct vtable *tables = NULL;
	char root[64];
	size_t count = 0;
	int ret;

	ret = vtable_scan(object, &shape, &tables, &count);
	if (ret || !count)
		goto out;
	snprintf(root, sizeof(root), "/proc/%d/root", object->proc->pid);
	options.root = root;
	ret = tokio_namer_open(object->elf, &options, &namer, err);
	if (ret)
		goto out;
	fill_sites(object, namer, tables, count, out);
out:
	tokio_namer_free(namer);
	elf_drop_symbols(object->elf);
	free(tables);
	return ret;
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
	ret = find_sites(object, out, err);
	if (ret)
		return ret;
	/* The crate without a task type: its pointers may not be relocated yet, or it spawns none. */
	return out->sites_count ? 0 : -EAGAIN;
}

const struct runtime_ops tokio_runtime = {
	.name = "tokio",
	.detect = detect,
};

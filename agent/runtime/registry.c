// SPDX-License-Identifier: LGPL-2.1-or-later
/* The runtimes that can be watched; each is tried on each object. */
#include "runtime/async_task.h"
#include "runtime/runtime.h"
#include "runtime/tokio.h"
#include "runtime/usdt.h"
#include "util/map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct runtime_mark *runtime_site_marks(const struct runtime_found *found,
					      const struct runtime_site *site, size_t *count)
{
	size_t index = site - found->sites, low = 0, high = found->marks_count;

	*count = 0;
	if (!high)
		return NULL;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (found->marks[mid].site < index)
			low = mid + 1;
		else
			high = mid;
	}
	while (low + *count < found->marks_count && found->marks[low + *count].site == index)
		++*count;
	return found->marks + low;
}

void runtime_found_clear(struct runtime_found *found)
{
	for (size_t i = 0; i < found->sites_count; i++) {
		free(found->sites[i].name);
		free(found->sites[i].scheduler);
		free(found->sites[i].location);
	}
	free(found->sites);
	for (size_t i = 0; i < found->probes_count; i++) {
		free(found->probes[i].name);
		free(found->probes[i].refused);
	}
	free(found->probes);
	free(found->offsets);
	free(found->spawns);
	for (size_t i = 0; i < found->marks_count; i++)
		free(found->marks[i].text);
	free(found->marks);
	memset(found, 0, sizeof(*found));
}

const char *runtime_found_name(const struct runtime_found *found)
{
	return found->name[0] ? found->name : found->ops->name;
}

const char *runtime_found_types(const struct runtime_found *found, char *buf, size_t size)
{
	if (found->types_later)
		return "task types met while it runs";
	snprintf(buf, size, "%zu task types", found->sites_count);
	return buf;
}

#define MAX_NUMBERED 65536

struct named {
	const struct proc *proc;
	const char *head;
	struct map numbers; /* seen */
	int64_t count;
};

/*
 * A thread has the name of the one that made it until it gives itself another. So where a runtime
 * numbers its workers, each number counts once.
 */
static int count_named(void *ctx, pid_t tid)
{
	struct named *named = ctx;
	size_t len = strlen(named->head);
	const char *number;
	char comm[PROC_COMM];

	proc_thread_comm(named->proc, tid, comm);
	if (strncmp(comm, named->head, len))
		return 0;
	number = comm + len;
	if (number[strspn(number, "0123456789")])
		return 0;
	if (*number) {
		uint64_t key = strtoull(number, NULL, 10);

		if (map_get(&named->numbers, key, 0) != MAP_NONE ||
		    !map_put(&named->numbers, key, 0, 1))
			return 0;
	}
	named->count++;
	return 0;
}

int64_t runtime_found_workers(const struct runtime_found *found, const struct object *object,
			      struct err *err)
{
	struct named named = {.proc = object->proc};

	map_init(&named.numbers, MAX_NUMBERED);
	if (found->ops->workers)
		return found->ops->workers(found, object, err);
	if (found->ops->worker_names)
		named.head = found->ops->worker_names(found);
	if (named.head)
		proc_each_thread(object->proc, count_named, &named);
	map_free(&named.numbers);
	/* Nobody with that name: it was not started yet, or was given other names. */
	if (!named.count)
		err_set(err, -ENOENT, "%s",
			named.head ? "no thread has the name that this runtime gives to workers" :
				     "nothing tells its workers from outside");
	return named.count ? named.count : -1;
}

const char *runtimes_wanted(char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < runtimes_count && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? "; " : "",
					runtimes[i]->wanted);
	return buf;
}

bool runtime_header_is(const struct runtime_found *found, const struct runtime_site *site,
		       const uint64_t *words, uint64_t header, uint64_t id)
{
	if (words[site->vtable_word & 7] != site->vtable)
		return false;
	if (id && site->id_word != WIRE_NO_WORD && words[site->id_word & 7] != id)
		return false;
	return wire_alive(found->ops->family, words[site->state_word & 7],
			  words[(site->state_word + 1) & 7], header);
}

const struct runtime_ops *const runtimes[] = {&tokio_runtime, &async_task_runtime, &usdt_runtime};
const size_t runtimes_count = sizeof(runtimes) / sizeof(runtimes[0]);

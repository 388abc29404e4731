// SPDX-License-Identifier: LGPL-2.1-or-later
/* One watched process; see watch.h. */
#include "attach/watch.h"

#include "util/xalloc.h"

#include <errno.h>
#include <string.h>

#define UNSURE_TRIES 40

int watch_open(pid_t pid, struct watch **out, struct err *err)
{
	struct watch *watch = xcalloc(1, sizeof(*watch));
	int ret;

	ret = proc_open(pid, &watch->proc, err);
	if (!ret)
		ret = memory_open(&watch->memory, pid, err);
	if (ret) {
		watch_free(watch);
		return ret;
	}
	*out = watch;
	return 0;
}

static void watch_object_free(struct watch_object *object)
{
	runtime_found_clear(&object->found);
	object_free(object->object);
	free(object);
}

void watch_reset(struct watch *watch)
{
	for (size_t i = 0; i < watch->count; i++)
		watch_object_free(watch->objects[i]);
	watch->count = 0;
	watch->known_count = 0;
	watch->unsure_count = 0;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	watch_reset(watch);
	free(watch->objects);
	free(watch->known);
	free(watch->unsure);
	memory_close(&watch->memory);
	proc_close(watch->proc);
	free(watch);
}

static void remember(struct watch *watch, const struct object *object)
{
	watch->known = xgrow(watch->known, &watch->known_cap, watch->known_count + 1,
			     sizeof(*watch->known));
	watch->known[watch->known_count++] = (struct object_key){object->dev, object->inode};
}

/* Whether an object without a task type was looked at often enough. */
static bool given_up(struct watch *watch, const struct object *object)
{
	struct watch_unsure *unsure;

	for (size_t i = 0; i < watch->unsure_count; i++) {
		unsure = &watch->unsure[i];
		if (unsure->key.dev != object->dev || unsure->key.inode != object->inode)
			continue;
		if (++unsure->tries < UNSURE_TRIES)
			return false;
		*unsure = watch->unsure[--watch->unsure_count];
		return true;
	}
	watch->unsure = xgrow(watch->unsure, &watch->unsure_cap, watch->unsure_count + 1,
			      sizeof(*watch->unsure));
	watch->unsure[watch->unsure_count++] = (struct watch_unsure){
		.key = {object->dev, object->inode},
		.tries = 1,
	};
	return false;
}

/* Takes the object over when a runtime is in it. Returns 1 when it did. */
static int try_object(struct watch *watch, struct object *object, struct err *err)
{
	struct runtime_found found;
	struct watch_object *kept;
	int ret = -ENOENT;

	for (size_t i = 0; i < runtimes_count && ret == -ENOENT; i++) {
		ret = runtimes[i]->detect(object, &found, err);
		if (ret)
			runtime_found_clear(&found);
	}
	if (ret == -EAGAIN && !given_up(watch, object))
		return 0;
	remember(watch, object);
	if (ret)
		return ret == -ENOTSUP ? ret : 0;
	kept = xmalloc(sizeof(*kept));
	*kept = (struct watch_object){.object = object, .found = found};
	watch->objects = xgrow(watch->objects, &watch->cap, watch->count + 1,
			       sizeof(*watch->objects));
	watch->objects[watch->count++] = kept;
	return 1;
}

int watch_scan(struct watch *watch, size_t *added, struct err *err)
{
	struct object **objects = NULL;
	struct err reason = {0};
	bool unsupported = false;
	size_t count = 0;
	int ret;

	*added = 0;
	ret = objects_open(watch->proc, &watch->memory, watch->known, watch->known_count, &objects,
			   &count, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < count; i++) {
		objects[i]->unrelocated = watch->unrelocated && objects[i]->is_exe &&
					  !objects[i]->elf->has_interp;
		ret = try_object(watch, objects[i], &reason);
		unsupported |= ret == -ENOTSUP;
		if (ret == 1)
			*added += 1;
		else
			object_free(objects[i]);
	}
	free(objects);
	if (unsupported && !watch->count)
		return err_set(err, -ENOTSUP, "%s", reason.msg);
	return 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* One watched process; see watch.h. */
#include "attach/watch.h"

#include "util/sanitize.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>

#define UNSURE_TRIES 40

int watch_open(pid_t pid, struct detector *detector, struct watch **out, struct err *err)
{
	struct watch *watch = xcalloc(1, sizeof(*watch));
	int ret;

	watch->detector = detector;

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
	if (!object->borrowed)
		object_free(object->object);
	free(object);
}

void watch_scan_stop(struct watch *watch)
{
	struct watch_look *look = &watch->look;

	if (look->asked)
		detector_cancel(watch->detector, look->objects[look->next]);
	for (size_t i = look->next; i < look->count; i++)
		object_free(look->objects[i]);
	free(look->objects);
	*look = (struct watch_look){0};
}

void watch_reset(struct watch *watch)
{
	watch_scan_stop(watch);
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
	for (size_t i = 0; i < watch->notes_count; i++)
		free(watch->notes[i]);
	free(watch->notes);
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

static void forget(struct watch *watch, const struct object *object)
{
	size_t kept = 0;

	for (size_t i = 0; i < watch->known_count; i++)
		if (watch->known[i].dev != object->dev || watch->known[i].inode != object->inode)
			watch->known[kept++] = watch->known[i];
	watch->known_count = kept;
}

static bool is_mapped(const struct object *object, const struct proc_map *maps, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (maps[i].dev == object->dev && maps[i].inode == object->inode)
			return true;
	return false;
}

size_t watch_mark_gone(struct watch *watch)
{
	struct proc_map *maps = NULL;
	size_t count = 0, gone = 0;
	struct err err = {0};

	/* A process that ends maps nothing, and one that runs another program has other mappings. */
	if (proc_maps(watch->proc, &maps, &count, &err))
		return 0;
	for (size_t i = 0; i < watch->count && count && !proc_execed(watch->proc); i++) {
		struct watch_object *object = watch->objects[i];

		if (object->gone || object->object->is_exe ||
		    is_mapped(object->object, maps, count))
			continue;
		object->gone = true;
		forget(watch, object->object);
		gone++;
	}
	proc_maps_free(maps, count);
	return gone;
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

int64_t watch_workers(const struct watch *watch, const struct watch_object *object, struct err *err)
{
	/* Threads and handles do not say which of several copies they are of. */
	for (size_t i = 0; i < watch->count; i++)
		if (watch->objects[i] != object &&
		    watch->objects[i]->found.ops == object->found.ops) {
			err_set(err, -ENOTSUP, "the process carries this runtime more than once");
			return -1;
		}
	return runtime_found_workers(&object->found, object->object, err);
}

static void note(struct watch *watch, char *text)
{
	watch->notes = xgrow(watch->notes, &watch->notes_cap, watch->notes_count + 1,
			     sizeof(*watch->notes));
	watch->notes[watch->notes_count++] = text;
}

char *watch_take_note(struct watch *watch)
{
	char *text;

	if (!watch->notes_count)
		return NULL;
	text = watch->notes[0];
	memmove(watch->notes, watch->notes + 1, --watch->notes_count * sizeof(*watch->notes));
	return text;
}

static void note_damage(struct watch *watch, const struct object *object,
			const struct detect_result *result)
{
	static const char *const broke[] = {
		[DETECT_NO_DEBUG] = "debug information",
		[DETECT_NO_NAMES] = "symbols",
	};
	char *name = text_sanitize_dup(object->name);

	if (result->damage == DETECT_GIVEN_UP)
		note(watch, xstrdup(result->err.msg));
	else if (result->damage != DETECT_SOUND)
		note(watch, xasprintf("the %s of %s broke the process that read it, and names of "
				      "task types are missing",
				      broke[result->damage], name));
	if (result->dropped)
		note(watch, xasprintf("%u task types of %s are left out: their functions are not "
				      "code that is mapped",
				      result->dropped, name));
	free(name);
}

static void keep(struct watch *watch, struct object *object, const struct runtime_found *found,
		 bool borrowed)
{
	struct watch_object *kept = xmalloc(sizeof(*kept));

	*kept = (struct watch_object){.object = object, .found = *found, .borrowed = borrowed};
	watch->objects = xgrow(watch->objects, &watch->cap, watch->count + 1,
			       sizeof(*watch->objects));
	watch->objects[watch->count++] = kept;
	watch->look.added++;
}

/* What to do with an object that was looked at; an error ends the look. */
static int take(struct watch *watch, struct object *object, struct detect_result *result,
		struct err *err)
{
	bool foreign = !object->elf && result->damage != DETECT_GIVEN_UP;
	int ret = 0;

	note_damage(watch, object, result);
	if (result->ret == -EPERM || (foreign && object->is_exe))
		ret = err_set(err, result->ret, "%s", result->err.msg);
	else if (result->ret != -EAGAIN || given_up(watch, object))
		remember(watch, object);
	if (result->ret == -ENOTSUP && !foreign) {
		watch->look.unsupported = true;
		watch->look.reason = result->err;
	}
	for (size_t i = 0; i < result->count; i++)
		keep(watch, object, &result->found[i], i > 0);
	if (!result->count)
		object_free(object);
	return ret;
}

static int begin_look(struct watch *watch, struct err *err)
{
	struct watch_look *look = &watch->look;
	int ret = objects_open(watch->proc, &watch->memory, watch->known, watch->known_count,
			       &look->objects, &look->count, err);

	look->running = ret == 0;
	return ret;
}

/* 0: all objects of the look are done; -EINPROGRESS: the detector is at work. */
static int step(struct watch *watch, struct err *err)
{
	struct watch_look *look = &watch->look;
	struct detect_result result;
	int ret = 0;

	while (look->next < look->count && !ret) {
		struct object *object = look->objects[look->next];

		if (!look->asked) {
			ret = detector_begin(watch->detector, object,
					     watch->unrelocated && object->is_exe, err);
			if (ret)
				return ret == -EBUSY ? -EINPROGRESS : ret;
			look->asked = true;
		}
		if (!detector_step(watch->detector, &result))
			return -EINPROGRESS;
		look->asked = false;
		look->next++;
		ret = take(watch, object, &result, err);
	}
	return ret;
}

int watch_scan_step(struct watch *watch, size_t *added, struct err *err)
{
	struct watch_look *look = &watch->look;
	int ret = 0;

	*added = 0;
	if (!look->running)
		ret = begin_look(watch, err);
	if (!ret)
		ret = step(watch, err);
	if (ret == -EINPROGRESS)
		return ret;
	*added = look->added;
	if (!ret && look->unsupported && !watch->count)
		ret = err_set(err, -ENOTSUP, "%s", look->reason.msg);
	watch_scan_stop(watch);
	/* An object that is not relocated yet is looked at again soon. */
	if (!watch->unsure_count)
		detector_rest(watch->detector);
	return ret;
}

int watch_scan(struct watch *watch, size_t *added, struct err *err)
{
	int ret = watch_scan_step(watch, added, err);

	while (ret == -EINPROGRESS) {
		detector_wait(watch->detector);
		ret = watch_scan_step(watch, added, err);
	}
	return ret;
}

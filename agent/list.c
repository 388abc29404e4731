// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stalltop list`: the processes of this machine that carry a runtime. */
#include "attach/watch.h"
#include "commands.h"
#include "util/sanitize.h"
#include "util/table.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct table_column columns[] = {
	{"PID", TABLE_RIGHT, 0},    {"COMM", TABLE_LEFT, 0},	 {"RUNTIME", TABLE_LEFT, 0},
	{"VERSION", TABLE_LEFT, 0}, {"WORKERS", TABLE_RIGHT, 0}, {"TASK TYPES", TABLE_RIGHT, 0},
	{"BINARY", TABLE_LEFT, 0},
};

struct listing {
	struct detector *detector;
	struct table *table; /* NULL: JSON */
	unsigned int found, denied;
	struct err why; /* of the first one denied */
	struct err err;
};

static void row(struct listing *list, const struct watch *watch, const struct watch_object *object)
{
	const struct runtime_found *found = &object->found;
	char *comm = text_sanitize_dup(watch->proc->comm);
	char *binary = text_sanitize_dup(object->object->name);
	int64_t workers = watch_workers(watch, object, NULL);

	table_cellf(list->table, "%d", watch->proc->pid);
	table_cell(list->table, comm);
	table_cell(list->table, runtime_found_name(found));
	table_cell(list->table, found->version[0] ? found->version : NULL);
	if (workers < 0)
		table_cell(list->table, NULL);
	else
		table_cellf(list->table, "%" PRId64, workers);
	if (found->types_later)
		table_cell(list->table, NULL);
	else
		table_cellf(list->table, "%zu", found->sites_count);
	table_cell(list->table, binary);
	free(comm);
	free(binary);
}

static void object_json(const struct watch *watch, const struct watch_object *object)
{
	const struct runtime_found *found = &object->found;
	char *comm = text_sanitize_dup(watch->proc->comm);
	char *binary = text_sanitize_dup(object->object->name);
	struct err why = {0};
	int64_t workers = watch_workers(watch, object, &why);
	cJSON *json = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(json, "type", "process");
	cJSON_AddNumberToObject(json, "pid", watch->proc->pid);
	cJSON_AddStringToObject(json, "comm", comm);
	cJSON_AddStringToObject(json, "runtime", runtime_found_name(found));
	if (found->version[0])
		cJSON_AddStringToObject(json, "version", found->version);
	else
		cJSON_AddNullToObject(json, "version");
	if (workers < 0)
		cJSON_AddNullToObject(json, "workers");
	else
		cJSON_AddNumberToObject(json, "workers", (double)workers);
	if (workers < 0)
		cJSON_AddStringToObject(json, "workers_unknown_because", why.msg);
	else
		cJSON_AddNullToObject(json, "workers_unknown_because");
	if (found->types_later)
		cJSON_AddNullToObject(json, "task_types");
	else
		cJSON_AddNumberToObject(json, "task_types", found->sites_count);
	cJSON_AddStringToObject(json, "binary", binary);
	text = cJSON_PrintUnformatted(json);
	if (text)
		puts(text);
	cJSON_free(text);
	cJSON_Delete(json);
	free(comm);
	free(binary);
}

static int visit(void *ctx, pid_t pid)
{
	struct listing *list = ctx;
	struct watch *watch = NULL;
	struct err err = {0};
	size_t added = 0;
	int ret;

	if (pid == getpid())
		return 0;
	ret = watch_open(pid, list->detector, &watch, &err);
	if (!ret)
		ret = watch_scan(watch, &added, &err);
	/* Without a process to read files in there is nothing to list. */
	if (ret == -EPERM && watch) {
		list->err = err;
		watch_free(watch);
		return ret;
	}
	if (watch)
		report_notes(watch);
	if ((ret == -EACCES || ret == -EPERM) && !list->denied++)
		list->why = err;
	for (size_t i = 0; watch && i < watch->count; i++) {
		list->found++;
		if (list->table)
			row(list, watch, watch->objects[i]);
		else
			object_json(watch, watch->objects[i]);
	}
	watch_free(watch);
	return 0;
}

enum exit_code command_list(const struct opts *opts)
{
	struct listing list = {0};
	char *text, wanted[256];

	if (detector_open(&list.detector, &list.err))
		return report_error(&list.err);
	if (!opts->json)
		list.table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	if (proc_each(visit, &list)) {
		table_free(list.table);
		detector_close(list.detector);
		return report_error(&list.err);
	}
	if (list.table && list.found) {
		text = table_render(list.table, 0, 0);
		fputs(text, stdout);
		free(text);
	} else if (list.table) {
		printf("no process here carries a runtime that stalltop knows (%s)\n",
		       runtimes_wanted(wanted, sizeof(wanted)));
	}
	fflush(stdout);
	if (list.denied == 1)
		fprintf(stderr, "stalltop: %s\n", list.why.msg);
	else if (list.denied)
		fprintf(stderr, "stalltop: %s; and %u more\n", list.why.msg, list.denied - 1);
	table_free(list.table);
	detector_close(list.detector);
	return EXIT_FINE;
}

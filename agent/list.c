// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stalltop list`: the processes of this machine that carry a runtime. */
#include "attach/watch.h"
#include "commands.h"
#include "util/sanitize.h"
#include "util/table.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct table_column columns[] = {
	{"PID", TABLE_RIGHT, 0},    {"COMM", TABLE_LEFT, 0},	    {"RUNTIME", TABLE_LEFT, 0},
	{"VERSION", TABLE_LEFT, 0}, {"TASK TYPES", TABLE_RIGHT, 0}, {"BINARY", TABLE_LEFT, 0},
};

struct listing {
	struct table *table; /* NULL: JSON */
	unsigned int found, denied;
};

static void row(struct listing *list, const struct watch *watch, const struct watch_object *object)
{
	const struct runtime_found *found = &object->found;
	char *comm = text_sanitize_dup(watch->proc->comm);
	char *binary = text_sanitize_dup(object->object->name);

	table_cellf(list->table, "%d", watch->proc->pid);
	table_cell(list->table, comm);
	table_cell(list->table, found->ops->name);
	table_cell(list->table, found->version[0] ? found->version : NULL);
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
	cJSON *json = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(json, "type", "process");
	cJSON_AddNumberToObject(json, "pid", watch->proc->pid);
	cJSON_AddStringToObject(json, "comm", comm);
	cJSON_AddStringToObject(json, "runtime", found->ops->name);
	if (found->version[0])
		cJSON_AddStringToObject(json, "version", found->version);
	else
		cJSON_AddNullToObject(json, "version");
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
	size_t added = 0;
	int ret;

	if (pid == getpid())
		return 0;
	ret = watch_open(pid, &watch, NULL);
	if (!ret)
		ret = watch_scan(watch, &added, NULL);
	list->denied += ret == -EACCES || ret == -EPERM;
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
	char *text;

	if (!opts->json)
		list.table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	proc_each(visit, &list);
	if (list.table && list.found) {
		text = table_render(list.table, 0, 0);
		fputs(text, stdout);
		free(text);
	} else if (list.table) {
		puts("no process here carries a runtime that stalltop knows (Tokio 1.24 or newer)");
	}
	if (list.denied)
		fprintf(stderr,
			"stalltop: %u processes may not be looked at: run as root, or give "
			"stalltop CAP_SYS_PTRACE\n",
			list.denied);
	table_free(list.table);
	return EXIT_FINE;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* --dry-run: the plan as a table; see dryrun.h. */
#include "dryrun.h"

#include "attach/plan.h"
#include "util/fmt.h"
#include "util/sanitize.h"
#include "util/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct table_column columns[] = {
	{"PROGRAM", TABLE_LEFT, 0}, {"FILE OFFSET", TABLE_RIGHT, 0}, {"INSTRUCTION", TABLE_LEFT, 0},
	{"TYPES", TABLE_RIGHT, 0},  {"SIZE", TABLE_RIGHT, 0},	     {"SITE", TABLE_LEFT, 0},
};

/* What a probe that belongs to no one task type is for; NULL: it has its site. */
static const char *for_any(const struct plan_probe *probe)
{
	if (probe->program == PLAN_PANIC)
		return "any task that panics";
	return probe->site == RUNTIME_ANY ? "any task that is spawned" : NULL;
}

static void print_probes(FILE *out, const struct runtime_found *found, const struct plan *plan)
{
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	char size[FMT_SIZE], *text;

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_probe *p = &plan->probes[i];
		static const struct runtime_site none = {0};
		const char *any = for_any(p);
		const struct runtime_site *site = p->probe || any ? &none : &found->sites[p->site];
		const char *name = p->probe ? p->probe->name : any ? any : site->name;

		table_cell(table, plan_program_name(p->program));
		table_cellf(table, "0x%" PRIx64, p->offset);
		table_cell(table, p->refused ? "not probed" : insn_class_name(p->class));
		if (any)
			table_cell(table, NULL);
		else
			table_cellf(table, "%u", p->sharing);
		table_cell(table, any ? NULL : fmt_bytes(size, sizeof(size), site->size));
		if (p->refused)
			table_cellf(table, "%s (%s)", name, p->refused);
		else
			table_cell(table, name);
	}
	text = table_render(table, 0, 2);
	fputs(text, out);
	free(text);
	table_free(table);
}

void dryrun_print(FILE *out, struct watch *const *watches, size_t count, unsigned int level,
		  bool exact)
{
	char exe[512];

	for (size_t i = 0; i < count; i++) {
		const struct watch *w = watches[i];

		text_sanitize(exe, sizeof(exe), w->proc->exe, strlen(w->proc->exe));
		fprintf(out, "pid %d  %s\n", w->proc->pid, exe);
		for (size_t j = 0; j < w->count; j++) {
			const struct runtime_found *found = &w->objects[j]->found;
			struct object *object = w->objects[j]->object;
			struct plan plan;
			char types[32];

			text_sanitize(exe, sizeof(exe), object->name, strlen(object->name));
			plan_make(&plan, object, found, level);
			if (exact)
				plan_add_returns(&plan, found);
			fprintf(out, " %s  %s %s  %s  %zu probes at level %u\n", exe,
				runtime_found_name(found),
				found->version[0] ? found->version : "n/a",
				runtime_found_types(found, types, sizeof(types)), plan.count,
				level);
			print_probes(out, found, &plan);
			plan_clear(&plan);
		}
	}
}

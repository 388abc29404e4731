// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which kinds of runtime poll in a process, and with how many workers. */
#include "rules/kinds.h"

#include <stdio.h>
#include <string.h>

#include "rules/getters.h"

static const char *name_of(const struct model *m, uint32_t binary)
{
	for (uint32_t i = 0; i < m->binaries_count; i++)
		if (m->binaries[i].id == binary)
			return m->binaries[i].runtime;
	return NULL;
}

const char *site_runtime_kind(const struct model *m, const struct site *site)
{
	return name_of(m, site->binary);
}

static uint32_t workers_of(const struct model *m, const struct runtime *rt)
{
	const struct field_ctx ctx = {.m = m, .runtime = rt};
	double workers;

	return get_runtime_workers(&ctx, &workers) ? (uint32_t)workers : 0;
}

static struct runtime_kind *kind_of(struct runtime_kind *kinds, uint32_t *count, const char *name)
{
	for (uint32_t i = 0; i < *count; i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	if (*count == KINDS_MAX)
		return NULL;
	kinds[*count] = (struct runtime_kind){.name = name};
	return &kinds[(*count)++];
}

uint32_t runtime_kinds(const struct model *m, uint32_t target, struct runtime_kind out[KINDS_MAX])
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->runtimes_count; i++) {
		const struct runtime *rt = &m->runtimes[i];
		const char *name = rt->id == ID_NONE ? NULL : name_of(m, rt->binary);
		struct runtime_kind *kind;

		if (!name || rt->target != target || !rt->workers_seen)
			continue;
		kind = kind_of(out, &count, name);
		if (kind)
			kind->workers += workers_of(m, rt);
	}
	return count;
}

void runtime_kinds_text(const struct model *m, uint32_t target, char *out, size_t size)
{
	struct runtime_kind kinds[KINDS_MAX];
	uint32_t count = runtime_kinds(m, target, kinds);
	size_t len = 0;

	snprintf(out, size, "%s", "");
	for (uint32_t i = 0; i < count && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s (%u worker%s)",
					!i	       ? "" :
					i + 1 == count ? " and " :
							 ", ",
					kinds[i].name, kinds[i].workers,
					kinds[i].workers == 1 ? "" : "s");
}

bool get_target_runtime_kinds(const struct field_ctx *c, double *out)
{
	struct runtime_kind kinds[KINDS_MAX];

	*out = runtime_kinds(c->m, c->target->id, kinds);
	return true;
}

bool get_target_workers(const struct field_ctx *c, double *out)
{
	struct runtime_kind kinds[KINDS_MAX];
	uint32_t count = runtime_kinds(c->m, c->target->id, kinds);

	*out = 0;
	for (uint32_t i = 0; i < count; i++)
		*out += kinds[i].workers;
	return *out > 0;
}

/* That no stack shows one says little: stacks are taken of long polls only. */
bool get_target_types_in_call(const struct field_ctx *c, double *out)
{
	*out = 0;
	for (uint32_t i = 0; i < c->m->sites_count && i < MODEL_MAX_SITES; i++)
		if (c->m->sites[i].id != ID_NONE && c->m->sites[i].target == c->target->id)
			*out += c->notes->exempt[i].calls >> c->rule & 1;
	return *out > 0;
}

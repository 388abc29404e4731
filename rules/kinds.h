/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kinds of runtime in a process: Tokio, smol, async-std and so on, by the names that their
 * binaries gave. Several Tokio runtimes are one kind. Names are the model's.
 */
#ifndef RULES_KINDS_H
#define RULES_KINDS_H

#include "rules/rule.h"

#define KINDS_MAX 8

struct runtime_kind {
	const char *name;
	uint32_t workers; /* of all runtimes of the kind that have polled */
};

/* Those whose tasks were polled, in the order in which they were met; of more, the first. */
uint32_t runtime_kinds(const struct model *m, uint32_t target, struct runtime_kind out[KINDS_MAX]);
/* The kind of runtime that a site's tasks belong to; NULL unknown. */
const char *site_runtime_kind(const struct model *m, const struct site *site);
/* "tokio (2 workers) and smol (2 workers)"; "" when none has polled. */
void runtime_kinds_text(const struct model *m, uint32_t target, char *out, size_t size);

#endif

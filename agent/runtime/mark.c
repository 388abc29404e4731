// SPDX-License-Identifier: LGPL-2.1-or-later
/* Marks against the memory of a task; see mark.h. */
#include "runtime/mark.h"

#include <string.h>

/* Little endian, as all that is watched. */
static bool number_at(const void *task, size_t len, uint32_t offset, uint8_t size, uint64_t *out)
{
	*out = 0;
	if (size > sizeof(*out) || offset > len || len - offset < size)
		return false;
	memcpy(out, (const char *)task + offset, size);
	return true;
}

bool mark_there(const struct runtime_mark *mark, const void *task, size_t len, uint64_t *word)
{
	uint64_t value;

	for (uint8_t i = 0; i < mark->conds_count && i < MARK_CONDS; i++) {
		const struct mark_cond *c = &mark->conds[i];

		if (!number_at(task, len, c->offset, c->size, &value) ||
		    (value == c->value) == (c->differs != 0))
			return false;
	}
	return number_at(task, len, mark->offset, sizeof(*word), word);
}

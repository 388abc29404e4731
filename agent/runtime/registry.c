// SPDX-License-Identifier: LGPL-2.1-or-later
/* The runtimes that can be watched; each is tried on each object. */
#include "runtime/runtime.h"
#include "runtime/tokio.h"

#include <stdlib.h>
#include <string.h>

void runtime_found_clear(struct runtime_found *found)
{
	for (size_t i = 0; i < found->sites_count; i++) {
		free(found->sites[i].name);
		free(found->sites[i].scheduler);
	}
	free(found->sites);
	memset(found, 0, sizeof(*found));
}

const struct runtime_ops *const runtimes[] = {&tokio_runtime};
const size_t runtimes_count = sizeof(runtimes) / sizeof(runtimes[0]);

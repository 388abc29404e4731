/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --dry-run: prints what would be probed, and why what would not. Attaches nothing. */
#ifndef DRYRUN_H
#define DRYRUN_H

#include "attach/watch.h"

#include <stdio.h>

void dryrun_print(FILE *out, struct watch *const *watches, size_t count, unsigned int level,
		  bool exact);

#endif

// SPDX-License-Identifier: LGPL-2.1-or-later
#include "util/syscall.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {
#include "util/syscall.inc"
};

#define NAMES_COUNT ((int)(sizeof(names) / sizeof(names[0])))

const char *syscall_name(int nr)
{
	return nr >= 0 && nr < NAMES_COUNT ? names[nr] : NULL;
}

int syscall_number(const char *name)
{
	for (int i = 0; i < NAMES_COUNT; i++)
		if (names[i] && !strcmp(names[i], name))
			return i;
	return -1;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Capabilities; see caps.h. */
#include "util/caps.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/capability.h>

bool caps_have(int cap)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	if (caps)
		cap_get_flag(caps, cap, CAP_EFFECTIVE, &value);
	cap_free(caps);
	return value == CAP_SET;
}

/* The first one has all users, each by its own number. */
bool caps_in_namespace(void)
{
	FILE *f = fopen("/proc/self/uid_map", "re");
	unsigned long inside = 1, outside = 1, count = 0;
	bool whole = f && fscanf(f, "%lu %lu %lu", &inside, &outside, &count) == 3 && !inside &&
		     !outside && count == UINT32_MAX;

	if (f)
		fclose(f);
	return f && !whole;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this process may do, by the kernel's capabilities (CAP_* of linux/capability.h). */
#ifndef UTIL_CAPS_H
#define UTIL_CAPS_H

#include <stdbool.h>

/* Whether it is in force now. In a user namespace it holds for what belongs to that one. */
bool caps_have(int cap);

/* Whether this process lives in a user namespace of its own, rather than that of the machine. */
bool caps_in_namespace(void);

#endif

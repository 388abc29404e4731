/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of the kernel's functions, from /proc/kallsyms: read once, which takes a tenth of a second
 * and 5 MB. Programs and trampolines of BPF that come later have no name here. Owns its names.
 */
#ifndef TARGET_KSYMS_H
#define TARGET_KSYMS_H

#include "util/err.h"

#include <stdint.h>

struct ksyms;

/* -EACCES when the kernel hides its addresses from us; err says what would help. */
int ksyms_open(struct ksyms **out, struct err *err);
void ksyms_free(struct ksyms *k);

/* The function that contains addr; NULL: none. */
const char *ksyms_name(const struct ksyms *k, uint64_t addr);

#endif

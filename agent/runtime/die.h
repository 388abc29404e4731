/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries of DWARF: what those who walk types ask of one. False: it does not say. */
#ifndef RUNTIME_DIE_H
#define RUNTIME_DIE_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

/* Its DW_AT_type. */
bool die_type(Dwarf_Die *die, Dwarf_Die *type);
/* An attribute that is a number. */
bool die_number(Dwarf_Die *die, unsigned int name, uint64_t *out);

#endif

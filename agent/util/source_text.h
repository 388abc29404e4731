/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A few lines of a source file for people to read. The path comes from a target's debug information,
 * so it may name anything: only regular files with the name of source code are read, no link is
 * followed, at most SOURCE_TEXT_MAX bytes are looked at, and text is sanitised. Nothing is an error: a
 * file that cannot be read has no lines.
 */
#ifndef UTIL_SOURCE_TEXT_H
#define UTIL_SOURCE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#define SOURCE_TEXT_MAX (4u << 20)
#define SOURCE_TEXT_LINE 256 /* bytes of a line with its NUL; a longer one is cut */

typedef void source_text_fn(void *ctx, uint32_t number, const char *text, bool wanted);

/* Calls fn for `line` and `around` lines before and after it; returns how many there were. */
uint32_t source_text(const char *folder, const char *file, uint32_t line, uint32_t around,
		     source_text_fn *fn, void *ctx);

#endif

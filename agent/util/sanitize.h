/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one sanitiser: every text that comes from a target goes through it before it meets a
 * terminal, a file or a label.
 *
 * Valid, visible UTF-8 is kept. These bytes become "\xNN", one escape a byte: C0 controls (tab and
 * newline too), DEL, C1 controls (raw and as UTF-8), invalid or overlong UTF-8, surrogates,
 * noncharacters, and code points that are invisible or reorder text: bidirectional controls,
 * zero-width characters, line and paragraph separators, soft hyphen, variation selectors, tags,
 * interlinear annotation. A backslash stays as it is: the output is for people, not for parsing.
 */
#ifndef UTIL_SANITIZE_H
#define UTIL_SANITIZE_H

#include <stddef.h>

/*
 * Writes at most size - 1 bytes and a NUL; never half an escape or half a character.
 * Returns how many bytes were written without the NUL. A NUL within len is escaped too.
 */
size_t text_sanitize(char *out, size_t size, const char *in, size_t len);

/* The same for a NUL-terminated string; the result is allocated and freed by the caller. */
char *text_sanitize_dup(const char *in);

#endif

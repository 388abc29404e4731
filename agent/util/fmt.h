/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers as people read them, the same in every sink: "1.30 ms", "12.3k", "4.0 MiB", "3.1 %".
 * Each writes at most `size` bytes including the final NUL into `out` and returns `out`, so that a
 * call can stand inside a printf argument with its own buffer.
 */
#ifndef UTIL_FMT_H
#define UTIL_FMT_H

#include <stddef.h>
#include <stdint.h>

#define FMT_SIZE 24 /* enough for every function here */

/* Three significant digits: "0 ns", "850 ns", "1.30 us", "12.3 ms", "2.00 s", "3 min 20 s". */
char *fmt_duration(char *out, size_t size, uint64_t ns);
/* "999", "12.3k", "4.56M", "7.89G". */
char *fmt_count(char *out, size_t size, double count);
/* "192 B", "4.0 KiB", "12 MiB". */
char *fmt_bytes(char *out, size_t size, uint64_t bytes);
/* ratio 0..1 as "3.1 %"; negative: "n/a". */
char *fmt_ratio(char *out, size_t size, double ratio);

/* "250us", "10ms", "5s", "2m", "1h", "0"; 0 or -EINVAL. */
int parse_duration(const char *text, uint64_t *ns);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One error on its way up: a negative errno and the sentence that a person needs.
 *
 * Library folders never print. They return -errno and, where the number alone says too little,
 * fill a struct err owned by the caller; main prints it once. Every function that takes a
 * struct err accepts NULL.
 */
#ifndef UTIL_ERR_H
#define UTIL_ERR_H

struct err {
	int code;      /* negative errno, 0 when nothing was set */
	char msg[256]; /* one line, no newline; truncated when longer */
};

/* Sets code and message; returns code, so that `return err_set(...)` reads well. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message that is there; keeps the code and returns it. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif

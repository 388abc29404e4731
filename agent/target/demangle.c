// SPDX-License-Identifier: LGPL-2.1-or-later
#include "target/demangle.h"

#include <errno.h>
#include <libiberty/demangle.h>
#include <setjmp.h>
#include <string.h>

#define MAX_SYMBOL 65536
#define MAX_CALLS 65536 /* pieces of output; bounds v0 back references that print nothing */

struct sink {
	char *out;
	size_t size, len;
	unsigned int calls;
	jmp_buf full;
};

/*
 * libiberty cannot be told to stop, and the back references of a v0 symbol can ask for an output
 * that is exponential in its length. It holds no memory while it prints, so leaving it by
 * longjmp loses at most the buffer of one punycode identifier.
 */
static void collect(const char *piece, size_t len, void *opaque)
{
	struct sink *s = opaque;

	if (++s->calls > MAX_CALLS)
		longjmp(s->full, 1);
	if (!len)
		return;
	if (len > s->size - 1 - s->len) {
		len = s->size - 1 - s->len;
		memcpy(s->out + s->len, piece, len);
		s->len += len;
		longjmp(s->full, 1);
	}
	memcpy(s->out + s->len, piece, len);
	s->len += len;
}

bool demangle_is_rust(const char *mangled)
{
	if (strncmp(mangled, "_R", 2) == 0)
		return true;
	return strncmp(mangled, "_ZN", 3) == 0;
}

/* "name.llvm.123", "name.cold": what the compiler added after mangling. */
static size_t without_suffix(const char *mangled)
{
	const char *dot = NULL;
	size_t len = strnlen(mangled, MAX_SYMBOL);

	if (strncmp(mangled, "_ZN", 3) == 0)
		dot = memmem(mangled, len, "E.", 2);
	if (dot)
		return (size_t)(dot - mangled) + 1;
	if (strncmp(mangled, "_R", 2) == 0)
		dot = memchr(mangled, '.', len);
	return dot ? (size_t)(dot - mangled) : len;
}

/* In a function of its own: what setjmp() may forget of our frame is nothing that we use. */
static int run(struct sink *s, const char *mangled)
{
	if (setjmp(s->full))
		return -E2BIG;
	return rust_demangle_callback(mangled, DMGL_RUST, collect, s) && s->len ? 0 : -EINVAL;
}

int demangle(const char *mangled, char *out, size_t size)
{
	struct sink s = {.out = out, .size = size};
	char copy[DEMANGLE_MAX];
	size_t len;
	int ret;

	if (!size)
		return -EINVAL;
	out[0] = '\0';
	if (!demangle_is_rust(mangled))
		return -EINVAL;
	len = without_suffix(mangled);
	if (len >= sizeof(copy))
		return -E2BIG;
	memcpy(copy, mangled, len);
	copy[len] = '\0';
	ret = run(&s, copy);
	out[ret == -EINVAL ? 0 : s.len] = '\0';
	return ret;
}

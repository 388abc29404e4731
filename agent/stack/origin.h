/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose code a frame is, from its name and file alone. Names are those of demangle(): with the modules of
 * std, which readable ones have lost. A frame without a
 * name is FRAME_UNKNOWN unless its binary says enough.
 */
#ifndef STACK_ORIGIN_H
#define STACK_ORIGIN_H

#include "core/frame.h"

#include <stddef.h>

struct origin_of {
	const char *function; /* in full; NULL unknown */
	const char *file;     /* source path with its folder; NULL unknown */
	const char *binary;   /* path or "[vdso]"; NULL: in no mapping */
	bool main;	      /* of the main program */
	bool rust;	      /* the symbol is Rust-mangled */
};

enum frame_origin origin_find(const struct origin_of *of);

/*
 * What a whole stack says of its frames, innermost first. A C function of the main program has a name
 * that says nothing. std calls user code by Rust names only, so one that it calls is the C library's,
 * linked statically; one that a library calls is that library's; and innermost are the C library's
 * calls of the kernel, whoever calls them (parking_lot, or what mio is inlined into).
 */
void origin_settle(struct frame *frames, uint32_t count);

/* By its source file alone, as the compiler was given it. */
enum frame_origin origin_of_file(const char *file);

/* Whether the function, in full, is one of std, core or alloc. */
bool origin_is_std(const char *function);

/*
 * The path of a function of std or of a registry's crate, from that of its source file: line tables
 * name an inlined function by the last part only. It lacks the type of a method. False: `file`
 * (with its folder) is of neither.
 *   "/rustc/HASH/library/std/src/thread/functions.rs", "sleep"  ->  "std::thread::functions::sleep"
 *   ".../registry/src/INDEX/parking_lot-0.12.3/src/raw_mutex.rs", "lock_slow"
 *                                                    ->  "parking_lot::raw_mutex::lock_slow"
 */
bool origin_path(const char *file, const char *name, char *out, size_t size);

/*
 * The crate that wrote a function: the first component of its path; of "<T as Trait>::f" that of
 * the type, or, when the type is no path ("&mut [u8]", a tuple), of the trait. "" when there is
 * none. Returns its length; *start is in `function`.
 */
size_t origin_crate(const char *function, const char **start);

#endif

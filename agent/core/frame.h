/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One frame of a user stack, as it travels from the unwinder to the sinks.
 *
 * Frames come innermost first. Where a function was inlined, its frame comes before that of the
 * function it was inlined into, and both have the same binary and offset. A frame is only there
 * when unwind information led to it: a stack that cannot be followed further ends, and `stack_end`
 * says why. Text is sanitised; strings are borrowed from whoever hands the frame out.
 */
#ifndef CORE_FRAME_H
#define CORE_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#define KERNEL_FRAMES_MAX 64
#define FRAMES_MAX 128 /* of one stack, inlined ones included */

/* Whose code it is. */
enum frame_origin {
	FRAME_UNKNOWN,	/* no name: in a program without symbols it can be anybody's */
	FRAME_USER,	/* the program's own crates */
	FRAME_LIBRARY,	/* a crate from a registry, or a shared object that is no system library */
	FRAME_RUNTIME,	/* the async runtime and its helpers (tokio, async-task, futures, ...) */
	FRAME_BOUNDARY, /* where the runtime polls the task: frames further out are not the task's */
	FRAME_STD,	/* std, core, alloc */
	FRAME_SYSTEM,	/* libc, the loader, the vDSO */
};

/* What its name rests on. */
enum frame_from {
	FRAME_FROM_NONE,   /* binary and offset only */
	FRAME_FROM_DYNSYM, /* an exported symbol that covers the address */
	FRAME_FROM_SYMBOL, /* a symbol that covers the address */
	FRAME_FROM_DWARF,  /* debug information, the function only */
	FRAME_FROM_LINE,   /* debug information, with file and line */
	FRAME_FROM_PLACE,  /* file and line alone, which the program itself holds */
};

/* Why there is no frame further out. */
enum stack_end {
	STACK_COMPLETE, /* the thread's first function */
	STACK_CUT,	/* the copied bytes end here */
	STACK_ABSENT,	/* a page of the stack was not in memory */
	STACK_UNSURE, /* no unwind information covers this address: further frames would be guesses */
	STACK_LIMIT,  /* FRAMES_MAX */
	STACK_FAILED, /* the unwinder refused the binary, or ran out of time */
};

struct frame {
	const char *function;  /* readable; NULL unknown */
	const char *file;      /* source file as the compiler was given it; NULL unknown */
	uint32_t line, column; /* 0 unknown */
	const char *binary;    /* path as the process sees it, "[vdso]"; NULL: no mapping */
	uint64_t offset; /* of the instruction (of the call, but in the innermost) in that file */
	uint64_t start;	 /* of the function that holds it, likewise; 0 unknown */
	bool inlined;	 /* into the frame that follows */
	enum frame_origin origin;
	enum frame_from from;
	const char *folder; /* that `file` is relative to; NULL: it is not, or unknown */
	uint64_t sp;	    /* stack pointer in it, for the source alone; 0 unknown */
};

/* A copy in one block, strings included, for free(3). */
struct frame *frames_dup(const struct frame *frames, uint32_t count);

/*
 * Of the kernel's functions below a block, innermost first: the one that says what is waited for
 * (futex_wait, pipe_read), the machinery of sleeping left out. Its index, or -1.
 */
int32_t kernel_main(const char *const *names, uint32_t count);
/* Whether the thread was there for a page that was not in memory, not for a system call. */
bool kernel_fault(const char *const *names, uint32_t count);

/* "user", "library", ... and "symbol", "line", ...; "complete", "cut", ... */
const char *frame_origin_name(enum frame_origin origin);
const char *frame_from_name(enum frame_from from);
const char *stack_end_name(enum stack_end end);

#endif

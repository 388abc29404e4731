// SPDX-License-Identifier: LGPL-2.1-or-later
/* Blocks of the root future; see root.h. */
#include "stack/root.h"

#include <string.h>

#include "util/syscall.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Runtimes park in some of these; in the others they wait for memory or for threads of their own. */
static const char *const own_calls[] = {
	"epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl",  "io_uring_enter", "futex",
	"futex_wait", "futex_waitv", "sched_yield",  "membarrier", "mmap",	     "munmap",
	"mremap",     "madvise",     "mprotect",     "brk",	   "clone",	     "clone3",
};

/* What waits in a futex and is no runtime's: these keep their own locks for no time at all. */
static const char *const foreign_waits[] = {"_contended", "std::sync::mpmc::"};

/*
 * Of Tokio, async-io (smol's own), async-global-executor and futures-lite; async-std's is inlined, of
 * which Builder::blocking is left.
 */
bool root_is_block_on(const struct frame *f)
{
	return f->origin == FRAME_RUNTIME && f->function &&
	       (strstr(f->function, "block_on") ||
		strstr(f->function, "async_std::task::builder::Builder::blocking"));
}

static bool is_own_call(int32_t syscall)
{
	const char *name = syscall < 0 ? NULL : syscall_name(syscall);

	for (size_t i = 0; name && i < COUNT(own_calls); i++)
		if (!strcmp(name, own_calls[i]))
			return true;
	return !name;
}

/* Of std, below the runtime's innermost frame. */
static bool has_foreign_wait(const struct frame *frames, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (size_t k = 0; k < COUNT(foreign_waits); k++)
			if (frames[i].origin == FRAME_STD && frames[i].function &&
			    strstr(frames[i].function, foreign_waits[k]))
				return true;
	return false;
}

bool root_blocked(const struct frame *frames, uint32_t count, int32_t syscall, uint32_t *boundary)
{
	uint32_t runtime = ROOT_NO_FRAME;
	bool user = false, found = false;

	*boundary = ROOT_NO_FRAME;
	for (uint32_t i = 0; i < count; i++) {
		bool block_on = root_is_block_on(&frames[i]);

		if (user && block_on)
			return true;
		found |= block_on;
		user |= frames[i].origin == FRAME_USER;
		if (runtime == ROOT_NO_FRAME && frames[i].origin == FRAME_RUNTIME)
			runtime = i;
	}
	if (!found || (is_own_call(syscall) && !has_foreign_wait(frames, runtime)))
		return false;
	*boundary = runtime;
	return true;
}

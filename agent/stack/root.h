/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The root future of block_on, which is no task: whether a thread that waits in the kernel, outside
 * any poll, waits there for what that future does, or for the runtime (it parks). From the frames
 * and the system call alone.
 */
#ifndef STACK_ROOT_H
#define STACK_ROOT_H

#include "core/frame.h"

#include <stdint.h>

#define ROOT_NO_FRAME UINT32_MAX

bool root_is_block_on(const struct frame *f);

/*
 * True when user code, called by block_on, waits; or when all of it is inlined into the runtime's
 * functions, and no runtime waits in that call itself (`syscall`; -1: none). *boundary is then the
 * frame that it is inlined into, else ROOT_NO_FRAME.
 */
bool root_blocked(const struct frame *frames, uint32_t count, int32_t syscall, uint32_t *boundary);

#endif

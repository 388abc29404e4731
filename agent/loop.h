/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one loop: waits for descriptors, a periodic tick and signals, and calls who asked. No
 * threads. A callback returns 0 to go on, LOOP_STOP to end the loop, or -errno, which ends it too
 * and is what loop_run() returns.
 */
#ifndef LOOP_H
#define LOOP_H

#include "util/err.h"

#include <stdint.h>

#define LOOP_STOP 1

struct loop;

typedef int (*loop_fn)(void *ctx);
typedef int (*loop_signal_fn)(void *ctx, int signal);

/* SIGINT, SIGTERM, SIGHUP, SIGWINCH and SIGUSR1 are blocked and delivered to `on_signal`. */
int loop_new(loop_signal_fn on_signal, void *ctx, struct loop **out, struct err *err);
void loop_free(struct loop *loop);

/* Calls fn while fd is readable. */
int loop_watch(struct loop *loop, int fd, loop_fn fn, void *ctx);
/* Calls fn every `ms` milliseconds, of one fn a loop; a tick that comes late is not made up for. */
int loop_every(struct loop *loop, int ms, loop_fn fn, void *ctx);
/* From now on the calls of loop_every()'s fn come every `ms` milliseconds. */
void loop_pace(struct loop *loop, int ms);
/* Calls fn once, `ns` nanoseconds from now. */
int loop_after(struct loop *loop, uint64_t ns, loop_fn fn, void *ctx);

/* Until a callback ends it. 0 or -errno. */
int loop_run(struct loop *loop);

#endif

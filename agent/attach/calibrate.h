/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What our programs cost, measured here and now on functions and a thread of our own. Nanoseconds; the least
 * of several tries, since what disturbs a machine only ever adds.
 */
#ifndef ATTACH_CALIBRATE_H
#define ATTACH_CALIBRATE_H

#include "attach/kernel.h"

#define CALIBRATION_TARGET (WIRE_MAX_TARGETS - 1) /* of no real target */

struct calibration {
	uint64_t hit_ns,
		stepped_hit_ns; /* a poll's probe, on an emulated instruction, and on any */
	/* Off the CPU and back, more than without our program: */
	uint64_t switch_ns;	   /* a watched thread, inside a poll; */
	uint64_t copied_switch_ns; /* and its stack is copied */
	uint64_t other_switch_ns;  /* one switch between threads that are not watched */
};

/* The first two; uses the last row of the table of sites, and a slot. */
int calibrate_hits(struct kernel *k, struct calibration *out, struct err *err);
/* All; loads the programs for itself. Takes a quarter of a second. */
int calibrate_all(struct calibration *out, struct err *err);

#endif

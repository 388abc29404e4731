/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fake Tokio runtime in an array, which satisfies all invariants until a test changes a word. */
#ifndef TESTS_TOKIO_FAKE_H
#define TESTS_TOKIO_FAKE_H

#include "runtime/tokio_layout.h"
#include "runtime/tokio_queue.h"

#define BASE 0x20000000ull
#define ARENA 65536
#define WORKERS 3
#define OWNER 7

/* Where the parts of the fake lie. */
#define AT_HANDLE 0x0000
#define AT_REMOTES 0x2000
#define AT_SLEEPERS 0x2100
#define AT_LISTS 0x2200
#define AT_TASK 0x2800
#define AT_VTABLE 0x2900
#define AT_POOL 0x3000
#define AT_NAME 0x4000
#define AT_QUEUES 0x5000
#define AT_BUFFER 0x6000

struct fake {
	uint8_t bytes[ARENA];
	struct memory memory;
	const struct tokio_layout *layout;
	struct tokio_query query;
	uint64_t data; /* offset of the handle in the arena */
};

/* Of struct memory: `self` is a struct fake; the array is at BASE. */
int fake_read(void *self, uint64_t addr, void *buf, size_t len);
void fake_put(struct fake *f, uint64_t at, uint64_t value, size_t size);
void fake_field(struct fake *f, uint64_t at, enum tokio_field field, uint64_t value);
void fake_pool(struct fake *f, uint64_t threads, uint64_t idle, uint64_t queue);
void fake_queue(struct fake *f, int worker, uint32_t steal, uint32_t real, uint32_t tail);
void fake_inject(struct fake *f, uint64_t len, uint64_t head, uint64_t tail);

/* A multi-thread runtime of Tokio 1.47: three workers, one parked; five tasks, two injected. */
void fake_init(struct fake *f);

#endif

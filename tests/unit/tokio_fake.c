// SPDX-License-Identifier: LGPL-2.1-or-later
/* A fake Tokio runtime; see tokio_fake.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tokio_fake.h"

int fake_read(void *self, uint64_t addr, void *buf, size_t len)
{
	struct fake *f = self;

	if (addr < BASE || addr - BASE > ARENA || len > ARENA - (addr - BASE))
		return -EFAULT;
	memcpy(buf, f->bytes + (addr - BASE), len);
	return 0;
}

void fake_put(struct fake *f, uint64_t at, uint64_t value, size_t size)
{
	assert_true(at + size <= ARENA);
	memcpy(f->bytes + at, &value, size);
}

void fake_field(struct fake *f, uint64_t at, enum tokio_field field, uint64_t value)
{
	if (f->layout->off[field] >= 0)
		fake_put(f, at + (uint64_t)f->layout->off[field], value, 8);
}

static void fake_task(struct fake *f)
{
	fake_put(f, AT_TASK, 2 << 6, 8);
	fake_put(f, AT_TASK + 16, BASE + AT_VTABLE, 8);
	fake_put(f, AT_TASK + 24, OWNER, 8);
}

void fake_pool(struct fake *f, uint64_t threads, uint64_t idle, uint64_t queue)
{
	fake_put(f, AT_POOL, 2, 8);
	fake_put(f, AT_POOL + 8, 1, 8);
	fake_field(f, AT_POOL, TOKIO_POOL_CAP, 512 + WORKERS);
	fake_field(f, AT_POOL, TOKIO_POOL_THREADS, threads);
	fake_field(f, AT_POOL, TOKIO_POOL_IDLE, idle);
	fake_field(f, AT_POOL, TOKIO_POOL_QUEUE, queue);
	fake_field(f, AT_POOL, TOKIO_POOL_WORKERS, WORKERS);
	fake_field(f, AT_POOL, TOKIO_POOL_HANDLES, threads);
	fake_field(f, AT_POOL, TOKIO_POOL_JOBS, queue);
	fake_field(f, AT_POOL, TOKIO_POOL_SECS, 10);
	fake_put(f, AT_POOL + (uint64_t)f->layout->off[TOKIO_POOL_NANOS], 0, 4);
	fake_field(f, AT_POOL, TOKIO_POOL_NAME, BASE + AT_NAME);
	fake_put(f, AT_POOL + (uint64_t)f->layout->off[TOKIO_POOL_NAME] + 8, BASE + AT_NAME + 64,
		 8);
	fake_put(f, AT_NAME, 1, 8);
	fake_put(f, AT_NAME + 8, 1, 8);
	fake_put(f, AT_NAME + 64 + 16, 8, 8);
	fake_put(f, AT_NAME + 64 + 24, BASE + AT_VTABLE, 8);
}

void fake_queue(struct fake *f, int worker, uint32_t steal, uint32_t real, uint32_t tail)
{
	uint64_t at = AT_QUEUES + 256u * (unsigned int)worker;

	fake_put(f,
		 AT_REMOTES + 16u * (unsigned int)worker +
			 (uint64_t)f->layout->off[TOKIO_MULTI_STEAL],
		 BASE + at, 8);
	fake_put(f, at, 2, 8);
	fake_put(f, at + 8, 1, 8);
	fake_field(f, at, TOKIO_MULTI_BUFFER, BASE + AT_BUFFER);
	fake_field(f, at, TOKIO_MULTI_HEAD, (uint64_t)steal << 32 | real);
	fake_put(f, at + (uint64_t)f->layout->off[TOKIO_MULTI_TAIL], tail, 4);
}

void fake_inject(struct fake *f, uint64_t len, uint64_t head, uint64_t tail)
{
	fake_field(f, f->data, TOKIO_MULTI_INJECT_LEN, len);
	fake_field(f, f->data, TOKIO_MULTI_INJECT_HEAD, head);
	fake_field(f, f->data, TOKIO_MULTI_INJECT_TAIL, tail);
}

void fake_init(struct fake *f)
{
	const struct tokio_layout *found[TOKIO_LAYOUT_CANDIDATES];

	memset(f, 0, sizeof(*f));
	assert_int_equal(tokio_version_parse("1.47.1", &f->query.version), 0);
	f->query.unstable = TOKIO_UNSTABLE_NO;
	f->query.handle = BASE + AT_HANDLE;
	assert_true(tokio_layout_candidates(&f->query.version, TOKIO_UNSTABLE_NO, 0, found,
					    TOKIO_LAYOUT_CANDIDATES) > 0);
	f->layout = found[0];
	f->memory = (struct memory){.read = fake_read, .self = f};
	f->data = AT_HANDLE + 16;
	fake_put(f, AT_HANDLE, 3, 8);
	fake_put(f, AT_HANDLE + 8, 1, 8);
	fake_field(f, f->data, TOKIO_MULTI_REMOTES, BASE + AT_REMOTES);
	fake_field(f, f->data, TOKIO_MULTI_REMOTES_LEN, WORKERS);
	fake_field(f, f->data, TOKIO_MULTI_WORKERS, WORKERS);
	fake_field(f, f->data, TOKIO_MULTI_METRICS_LEN, WORKERS);
	fake_field(f, f->data, TOKIO_MULTI_IDLE, 2 << 16);
	fake_field(f, f->data, TOKIO_MULTI_SLEEPERS, BASE + AT_SLEEPERS);
	fake_field(f, f->data, TOKIO_MULTI_SLEEPERS_CAP, WORKERS);
	fake_field(f, f->data, TOKIO_MULTI_SLEEPERS_LEN, 1);
	fake_put(f, AT_SLEEPERS, 2, 8);
	fake_field(f, f->data, TOKIO_MULTI_OWNED_ID, OWNER);
	fake_field(f, f->data, TOKIO_MULTI_OWNED_COUNT, 5);
	fake_field(f, f->data, TOKIO_MULTI_LISTS, BASE + AT_LISTS);
	fake_field(f, f->data, TOKIO_MULTI_LISTS_LEN, 16);
	fake_field(f, f->data, TOKIO_MULTI_LISTS_MASK, 15);
	fake_put(f, AT_LISTS + (uint64_t)f->layout->off[TOKIO_MULTI_LIST_HEAD], BASE + AT_TASK, 8);
	fake_task(f);
	fake_inject(f, 2, BASE + AT_TASK, BASE + AT_TASK);
	fake_field(f, f->data, TOKIO_MULTI_POOL, BASE + AT_POOL);
	fake_pool(f, WORKERS + 4, 1, 9);
	fake_queue(f, 0, 10, 10, 10);
	fake_queue(f, 1, 0xfffffffe, 0xfffffffe, 3);
	fake_queue(f, 2, 100, 128, 356);
}

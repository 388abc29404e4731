// SPDX-License-Identifier: LGPL-2.1-or-later
/* The layout table, and the invariants that a fake Tokio runtime in an array must satisfy. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tokio_fake.h"

static struct tokio_queue *fake_open(struct fake *f)
{
	struct tokio_queue *q = NULL;
	struct err err = {0};
	int error = tokio_queue_open(&f->memory, &f->query, &q, &err);

	if (error) {
		assert_true(err.msg[0]);
		assert_null(q);
	}
	return q;
}

static void expect(const struct runtime_depth *d, uint64_t value)
{
	assert_true(d->known);
	assert_int_equal(d->value, value);
}

static void expect_unknown(const struct runtime_depth *d)
{
	assert_false(d->known);
	assert_non_null(d->why);
}

static void test_version(void **state)
{
	struct tokio_version v = {9, 9, 9};

	(void)state;
	assert_int_equal(tokio_version_parse("1.54.1", &v), 0);
	assert_int_equal(v.major * 10000 + v.minor * 100 + v.patch, 15401);
	assert_int_equal(tokio_version_parse("1.47.0/src/runtime", &v), 0);
	assert_int_equal(v.minor, 47);
	assert_int_equal(tokio_version_parse("1.47", &v), -EINVAL);
	assert_int_equal(tokio_version_parse("", &v), -EINVAL);
	assert_int_equal(tokio_version_parse(NULL, &v), -EINVAL);
	assert_int_equal(tokio_version_parse("1.x.2", &v), -EINVAL);
	assert_int_equal(tokio_version_parse("1.99999.2", &v), -EINVAL);
	assert_int_equal(v.minor, 47);
}

static void test_candidates(void **state)
{
	const struct tokio_layout *out[TOKIO_LAYOUT_CANDIDATES];
	static const unsigned int minors[] = {32, 38, 43, 47, 54};
	struct tokio_version v = {.major = 1};

	(void)state;
	for (size_t i = 0; i < sizeof(minors) / sizeof(minors[0]); i++) {
		v.minor = minors[i];
		size_t n = tokio_layout_candidates(&v, TOKIO_UNSTABLE_NO, 0, out,
						   TOKIO_LAYOUT_CANDIDATES);

		assert_true(n >= 1 && n < TOKIO_LAYOUT_CANDIDATES);
		for (size_t j = 0; j < n; j++)
			for (int root = 0; root < TOKIO_ROOTS; root++)
				assert_true(tokio_layout_has(out[j], (enum tokio_root)root));
		assert_true(tokio_layout_candidates(&v, TOKIO_UNSTABLE_UNKNOWN, 0, out, 128) >= n);
		assert_int_equal(tokio_layout_candidates(&v, TOKIO_UNSTABLE_NO, 0, out, 1), 1);
	}
	v.minor = 55;
	assert_int_equal(tokio_layout_candidates(&v, TOKIO_UNSTABLE_NO, 0, out, 128), 0);
	assert_true(tokio_layout_candidates(&v, TOKIO_UNSTABLE_NO, 1, out, 128) > 0);
	v.major = 0;
	assert_int_equal(tokio_layout_candidates(&v, TOKIO_UNSTABLE_NO, 0, out, 128), 0);
}

static void test_sample(void **state)
{
	const struct runtime_depths *d;
	struct tokio_queue *q;
	struct fake f;

	(void)state;
	fake_init(&f);
	q = fake_open(&f);
	assert_non_null(q);
	assert_int_equal(tokio_queue_flavour(q), FLAVOR_MULTI_THREAD);
	assert_int_equal(tokio_queue_sample(q, &d, NULL), 0);
	assert_int_equal(d->workers, WORKERS);
	assert_false(d->closed);
	expect(&d->inject, 2);
	expect(&d->tasks, 5);
	expect(&d->threads, 4);
	expect(&d->idle_threads, 1);
	expect(&d->blocking, 9);
	expect(&d->local[0], 0);
	expect(&d->local[1], 5);
	expect(&d->local[2], 228);
	expect(&d->taken, 136);
	/* Four more tasks leave the queue whose position is about to begin anew. */
	fake_queue(&f, 1, 2, 2, 3);
	assert_int_equal(tokio_queue_sample(q, &d, NULL), 0);
	expect(&d->taken, 140);
	tokio_queue_close(q);
}

/* Values that stop making sense after opening are unknown one by one; the rest stays. */
static void test_sample_unknown(void **state)
{
	const struct runtime_depths *d;
	struct tokio_queue *q;
	struct fake f;

	(void)state;
	fake_init(&f);
	q = fake_open(&f);
	assert_non_null(q);
	fake_inject(&f, 0, BASE + AT_TASK, BASE + AT_TASK);
	fake_queue(&f, 1, 0, 0, 257);
	fake_field(&f, AT_POOL, TOKIO_POOL_IDLE, 1000);
	assert_int_equal(tokio_queue_sample(q, &d, NULL), 0);
	expect_unknown(&d->inject);
	expect_unknown(&d->local[1]);
	expect_unknown(&d->taken);
	expect_unknown(&d->blocking);
	expect_unknown(&d->threads);
	expect(&d->local[2], 228);
	expect(&d->tasks, 5);
	fake_pool(&f, WORKERS - 1, 0, 0);
	assert_int_equal(tokio_queue_sample(q, &d, NULL), 0);
	expect_unknown(&d->threads);
	expect(&d->blocking, 0);
	tokio_queue_close(q);
}

static void test_sample_stale(void **state)
{
	const struct runtime_depths *d = NULL;
	struct tokio_queue *q;
	struct err err;
	struct fake f;

	(void)state;
	fake_init(&f);
	q = fake_open(&f);
	assert_non_null(q);
	fake_field(&f, f.data, TOKIO_MULTI_OWNED_ID, OWNER + 1);
	assert_int_equal(tokio_queue_sample(q, &d, &err), -ESTALE);
	assert_null(d);
	fake_field(&f, f.data, TOKIO_MULTI_OWNED_ID, OWNER);
	fake_put(&f, AT_HANDLE, 0, 8);
	assert_int_equal(tokio_queue_sample(q, &d, &err), -ESTALE);
	tokio_queue_close(q);
}

/* Each of these alone must keep the handle from being believed. */
static void test_invariants(void **state)
{
	static const struct {
		enum tokio_field field;
		uint64_t value;
	} breaks[] = {
		{TOKIO_MULTI_REMOTES_LEN, 0},
		{TOKIO_MULTI_REMOTES_LEN, WORKERS + 1},
		{TOKIO_MULTI_REMOTES_LEN, TOKIO_WORKERS_MAX + 1},
		{TOKIO_MULTI_REMOTES, BASE + AT_REMOTES + 4},
		{TOKIO_MULTI_REMOTES, BASE + ARENA - 8},
		{TOKIO_MULTI_WORKERS, WORKERS - 1},
		{TOKIO_MULTI_METRICS_LEN, WORKERS - 1},
		{TOKIO_MULTI_IDLE, (WORKERS + 1) << 16},
		{TOKIO_MULTI_IDLE, WORKERS + 1},
		{TOKIO_MULTI_SLEEPERS_CAP, WORKERS + 1},
		{TOKIO_MULTI_SLEEPERS_LEN, WORKERS + 1},
		{TOKIO_MULTI_SLEEPERS, 0},
		{TOKIO_MULTI_OWNED_ID, 0},
		{TOKIO_MULTI_OWNED_ID, OWNER + 1},
		{TOKIO_MULTI_OWNED_CLOSED, 2},
		{TOKIO_MULTI_OWNED_COUNT, 0},
		{TOKIO_MULTI_OWNED_COUNT, 1ull << 41},
		{TOKIO_MULTI_LISTS_MASK, 14},
		{TOKIO_MULTI_LISTS_LEN, 15},
		{TOKIO_MULTI_INJECT_LEN, 0},
		{TOKIO_MULTI_INJECT_HEAD, 0},
		{TOKIO_MULTI_INJECT_TAIL, BASE + AT_VTABLE},
		{TOKIO_MULTI_INJECT_CLOSED, 7},
	};
	struct fake f;

	(void)state;
	for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		fake_init(&f);
		fake_field(&f, f.data, breaks[i].field, breaks[i].value);
		assert_null(fake_open(&f));
	}
	fake_init(&f);
	fake_queue(&f, 1, 0, 0, 300);
	assert_null(fake_open(&f));
	fake_init(&f);
	fake_put(&f, AT_SLEEPERS, WORKERS, 8);
	assert_null(fake_open(&f));
	fake_init(&f);
	f.query.owner_id = OWNER + 1;
	assert_null(fake_open(&f));
}

/* No pool is found: the scheduler's values stay, the pool's say why they are missing. */
static void test_no_pool(void **state)
{
	const struct runtime_depths *d;
	struct tokio_queue *q;
	struct fake f;

	(void)state;
	fake_init(&f);
	fake_field(&f, AT_POOL, TOKIO_POOL_IDLE, 1000);
	q = fake_open(&f);
	assert_non_null(q);
	assert_int_equal(tokio_queue_sample(q, &d, NULL), 0);
	expect_unknown(&d->threads);
	expect_unknown(&d->idle_threads);
	expect_unknown(&d->blocking);
	expect(&d->inject, 2);
	tokio_queue_close(q);
	fake_init(&f);
	f.query.process_threads = WORKERS + 3;
	q = fake_open(&f);
	assert_non_null(q);
	assert_int_equal(tokio_queue_sample(q, &d, NULL), 0);
	expect_unknown(&d->blocking);
	tokio_queue_close(q);
}

/* Features of the crate move the scheduler's part or the pool's pointer: found when unique. */
static void test_moved(void **state)
{
	const struct runtime_depths *d;
	struct tokio_queue *q;
	uint64_t pool;
	struct fake f;

	(void)state;
	fake_init(&f);
	pool = (uint64_t)f.layout->off[TOKIO_MULTI_POOL];
	fake_put(&f, f.data + pool, 0, 8);
	fake_put(&f, f.data + pool + 72, BASE + AT_POOL, 8);
	q = fake_open(&f);
	assert_non_null(q);
	assert_int_equal(tokio_queue_sample(q, &d, NULL), 0);
	expect(&d->blocking, 9);
	tokio_queue_close(q);
	/* A second pool at another address: which one is it? */
	memcpy(f.bytes + AT_POOL + 0x800, f.bytes + AT_POOL, 0x400);
	fake_put(&f, f.data + pool + 40, BASE + AT_POOL + 0x800, 8);
	q = fake_open(&f);
	assert_non_null(q);
	assert_int_equal(tokio_queue_sample(q, &d, NULL), 0);
	expect_unknown(&d->blocking);
	tokio_queue_close(q);
	fake_init(&f);
	memmove(f.bytes + f.data + 48, f.bytes + f.data, 1024);
	memset(f.bytes + f.data, 0, 48);
	q = fake_open(&f);
	assert_non_null(q);
	assert_int_equal(tokio_queue_sample(q, &d, NULL), 0);
	expect(&d->inject, 2);
	expect(&d->local[2], 228);
	tokio_queue_close(q);
}

static void test_garbage(void **state)
{
	uint32_t seed = 12345;
	struct fake f;

	(void)state;
	for (int round = 0; round < 200; round++) {
		fake_init(&f);
		for (size_t i = 0; i < ARENA; i++) {
			seed = seed * 1664525 + 1013904223;
			f.bytes[i] = (uint8_t)(round == 0 ? 0xff : round == 1 ? 0 : seed >> 24);
		}
		fake_put(&f, AT_HANDLE, 1, 8);
		fake_put(&f, AT_HANDLE + 8, 1, 8);
		f.query.unstable = TOKIO_UNSTABLE_UNKNOWN;
		f.query.version.minor = 24 + (unsigned int)round % 31;
		assert_null(fake_open(&f));
	}
	fake_init(&f);
	f.query.handle = BASE + ARENA;
	assert_null(fake_open(&f));
	f.query.handle = BASE + 4;
	assert_null(fake_open(&f));
}

/* One flipped byte of a good handle: opens or not, but a value that is known is the true one. */
static void test_flips(void **state)
{
	const struct runtime_depths *d;
	struct tokio_queue *q;
	struct fake f;

	(void)state;
	for (size_t at = 0; at < 560; at++) {
		fake_init(&f);
		q = fake_open(&f);
		f.bytes[at] ^= 0x5a;
		if (!tokio_queue_sample(q, &d, NULL) && d->local[1].known)
			assert_int_equal(d->local[1].value, 5);
		tokio_queue_close(q);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version),	     cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_sample),	     cmocka_unit_test(test_sample_unknown),
		cmocka_unit_test(test_sample_stale), cmocka_unit_test(test_invariants),
		cmocka_unit_test(test_no_pool),	     cmocka_unit_test(test_moved),
		cmocka_unit_test(test_garbage),	     cmocka_unit_test(test_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading a live process: our own, with a page taken out of the middle. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "target/memory.h"

#define PIECES 2500 /* more than two batches */

static uint64_t addr_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static void test_read(void **state)
{
	char text[] = "hello", copy[sizeof(text)] = "";
	struct memory m;

	(void)state;
	assert_int_equal(memory_open(&m, getpid(), NULL), 0);
	assert_int_equal(memory_read(&m, addr_of(text), copy, sizeof(copy)), 0);
	assert_string_equal(copy, "hello");
	assert_int_equal(memory_read(&m, 8, copy, sizeof(copy)), -EFAULT);
	assert_int_equal(memory_read(&m, UINT64_MAX - 2, copy, sizeof(copy)), -EFAULT);
	assert_int_equal(memory_read(&m, addr_of(text), copy, 0), 0);
	memory_close(&m);
	assert_int_equal(memory_read(&m, addr_of(text), copy, sizeof(copy)), -EBADF);
}

static void test_open(void **state)
{
	struct err err = {0};
	struct memory m;

	(void)state;
	assert_int_equal(memory_open(&m, 0, &err), -EINVAL);
	assert_int_equal(memory_open(&m, 0x3fffffff, &err), -ESRCH);
	assert_non_null(strstr(err.msg, "1073741823"));
}

/* An absent page fails its own pieces, and one that reaches into it, not those around. */
static void test_batch(void **state)
{
	static struct memory_piece pieces[PIECES];
	static uint64_t words[PIECES];
	long page = sysconf(_SC_PAGESIZE);
	size_t good = 0;
	struct memory m;
	uint8_t *map;

	(void)state;
	map = mmap(NULL, 3 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0);
	assert_ptr_not_equal(map, MAP_FAILED);
	memset(map, 0xab, 3 * (size_t)page);
	assert_int_equal(munmap(map + page, (size_t)page), 0);
	for (size_t i = 0; i < PIECES; i++) {
		pieces[i].addr = addr_of(map) + i * 4 % (3 * (size_t)page);
		pieces[i].buf = &words[i];
		pieces[i].len = 8;
	}
	assert_int_equal(memory_open(&m, getpid(), NULL), 0);
	ssize_t got = memory_readv(&m, pieces, PIECES);
	for (size_t i = 0; i < PIECES; i++) {
		uint64_t at = pieces[i].addr - addr_of(map);
		bool absent = at + 8 > (uint64_t)page && at < 2 * (uint64_t)page;

		if (at + 8 > 3 * (uint64_t)page)
			continue;
		assert_int_equal(pieces[i].error, absent ? -EFAULT : 0);
		if (!absent)
			assert_true(words[i] == 0xababababababababull);
	}
	for (size_t i = 0; i < PIECES; i++)
		good += !pieces[i].error;
	assert_int_equal(got, good);
	munmap(map, (size_t)page);
	munmap(map + 2 * page, (size_t)page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

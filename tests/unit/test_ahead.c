// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading ahead: how often it asks, and that a read gives what is there or nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect/ahead.h"

#define BASE (3 * (uint64_t)AHEAD_BYTES)
#define SIZE (4 * AHEAD_BYTES)

/* Memory at BASE in which each byte tells where it is; some pages are not there. */
struct world {
	struct ahead ahead;
	struct elf_range within;
	uint64_t absent; /* the page at this address; 0: none */
	unsigned int asked;
	int error;
	uint64_t start, end; /* of what was asked for last */
};

static uint8_t byte_at(uint64_t addr)
{
	return (uint8_t)(addr ^ addr >> 8 ^ addr >> 16);
}

static int fetch(void *ctx, struct ahead_window *window)
{
	struct world *w = ctx;

	w->asked++;
	w->start = window->start;
	w->end = window->end;
	assert_int_equal((window->start | window->end) % AHEAD_PAGE, 0);
	assert_true(window->end > window->start && window->end - window->start <= AHEAD_BYTES);
	for (uint64_t at = window->start; at < window->end; at++)
		window->bytes[at - window->start] = byte_at(at);
	for (uint64_t at = window->start; at < window->end; at += AHEAD_PAGE)
		if (at >= BASE && at < BASE + SIZE && at != w->absent)
			window->present |= 1U << (at - window->start) / AHEAD_PAGE;
	return w->error;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->ahead = (struct ahead){.fetch = fetch, .ctx = w};
	w->within = (struct elf_range){BASE, BASE + SIZE};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	ahead_free(&w->ahead);
	free(w);
	return 0;
}

static int read_at(struct world *w, uint64_t addr, size_t len)
{
	uint8_t *buf = calloc(1, len);
	int ret = ahead_read(&w->ahead, &w->within, addr, buf, len);

	for (size_t i = 0; i < len && !ret; i++)
		assert_int_equal(buf[i], byte_at(addr + i));
	free(buf);
	return ret;
}

static void asks_once_for_what_lies_together(void **state)
{
	struct world *w = *state;

	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(read_at(w, BASE + 80 * i, 80), 0);
	assert_int_equal(w->asked, 1);
	/* Over the edge of two windows, and all of it. */
	assert_int_equal(read_at(w, BASE + AHEAD_BYTES - 4, 8), 0);
	assert_int_equal(w->asked, 2);
	assert_int_equal(read_at(w, BASE, SIZE), 0);
	assert_int_equal(w->asked, 4);
	/* Another look has other memory. */
	ahead_reset(&w->ahead);
	assert_int_equal(read_at(w, BASE, 8), 0);
	assert_int_equal(w->asked, 5);
}

static void forgets_what_was_not_used_for_longest(void **state)
{
	struct world *w = *state;

	for (uint64_t i = 0; i <= AHEAD_WINDOWS; i++) {
		assert_int_equal(read_at(w, BASE + SIZE, 1), -EFAULT);
		assert_int_equal(read_at(w, BASE + (i << 30), 1), i ? -EFAULT : 0);
	}
	assert_int_equal(w->asked, AHEAD_WINDOWS + 2);
	/* In use all the time; and what was used first is asked for again. */
	assert_int_equal(read_at(w, BASE + SIZE, 1), -EFAULT);
	assert_int_equal(w->asked, AHEAD_WINDOWS + 2);
	assert_int_equal(read_at(w, BASE, 1), 0);
	assert_int_equal(w->asked, AHEAD_WINDOWS + 3);
}

static void reads_around_absent_pages(void **state)
{
	struct world *w = *state;

	w->absent = BASE + 2 * AHEAD_PAGE;
	assert_int_equal(read_at(w, BASE, 2 * AHEAD_PAGE), 0);
	assert_int_equal(read_at(w, BASE, 2 * AHEAD_PAGE + 1), -EFAULT);
	assert_int_equal(read_at(w, w->absent + 8, 8), -EFAULT);
	assert_int_equal(read_at(w, w->absent + AHEAD_PAGE, 100), 0);
	assert_int_equal(read_at(w, w->absent + AHEAD_PAGE - 1, 2), -EFAULT);
	assert_int_equal(w->asked, 1);
	/* A process that is gone is no absent page: the next read asks again. */
	w->error = -ESRCH;
	assert_int_equal(read_at(w, BASE + AHEAD_BYTES, 8), -ESRCH);
	w->error = 0;
	assert_int_equal(read_at(w, BASE + AHEAD_BYTES, 8), 0);
}

static void stays_within(void **state)
{
	struct world *w = *state;

	w->within = (struct elf_range){BASE + AHEAD_PAGE + 100, BASE + 3 * AHEAD_PAGE + 1};
	assert_int_equal(read_at(w, BASE + 2 * AHEAD_PAGE, 8), 0);
	assert_int_equal(w->start, BASE + AHEAD_PAGE);
	assert_int_equal(w->end, BASE + 4 * AHEAD_PAGE);
	w->within = (struct elf_range){BASE + AHEAD_BYTES + 8192, BASE + 4 * AHEAD_BYTES - 8192};
	assert_int_equal(read_at(w, w->within.start, 8), 0);
	assert_int_equal(w->start, w->within.start);
	assert_int_equal(w->end, BASE + 2 * AHEAD_BYTES);
	assert_int_equal(read_at(w, w->within.end - 8, 8), 0);
	assert_int_equal(w->start, BASE + 3 * AHEAD_BYTES);
	assert_int_equal(w->end, w->within.end);
	/* A segment that one window holds is read at once, wherever it lies. */
	w->within = (struct elf_range){BASE + 2 * AHEAD_BYTES - 4096,
				       BASE + 2 * AHEAD_BYTES + 8192};
	ahead_reset(&w->ahead);
	assert_int_equal(read_at(w, w->within.end - 8, 8), 0);
	assert_int_equal(w->start, w->within.start);
	assert_int_equal(w->end, w->within.end);
	/* Elsewhere the one page that was meant. */
	assert_int_equal(read_at(w, BASE + 7 * AHEAD_PAGE + 9, 8), 0);
	assert_int_equal(w->start, BASE + 7 * AHEAD_PAGE);
	assert_int_equal(w->end, BASE + 8 * AHEAD_PAGE);
	/* A file that lies about its segments. */
	w->within = (struct elf_range){UINT64_MAX, 0};
	assert_int_equal(read_at(w, BASE + 9 * AHEAD_PAGE, 8), 0);
	w->within = (struct elf_range){0, UINT64_MAX};
	assert_int_equal(read_at(w, BASE + AHEAD_BYTES, 8), 0);
	assert_int_equal(read_at(w, UINT64_MAX, 1), -EFAULT);
	assert_int_equal(read_at(w, UINT64_MAX - 8, 16), -EFAULT);
	assert_int_equal(read_at(w, (1ULL << 47) - 1, 2), -EFAULT);
	assert_int_equal(read_at(w, BASE, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(asks_once_for_what_lies_together, setup, teardown),
		cmocka_unit_test_setup_teardown(forgets_what_was_not_used_for_longest, setup,
						teardown),
		cmocka_unit_test_setup_teardown(reads_around_absent_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(stays_within, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* The hash map against a plain array that is right by inspection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/map.h"

static void empty(void **state)
{
	struct map map;
	uint32_t pos = 0;

	(void)state;
	map_init(&map, 10);
	assert_true(map_get(&map, 1, 2) == MAP_NONE);
	assert_false(map_del(&map, 1, 2));
	assert_null(map_next(&map, &pos));
	map_free(&map);
}

static void both_words_count(void **state)
{
	struct map map;

	(void)state;
	map_init(&map, 10);
	assert_true(map_put(&map, 1, 2, 12));
	assert_true(map_put(&map, 2, 1, 21));
	assert_true(map_put(&map, 0, 0, 0));
	assert_int_equal(map_get(&map, 1, 2), 12);
	assert_int_equal(map_get(&map, 2, 1), 21);
	assert_int_equal(map_get(&map, 0, 0), 0);
	assert_true(map_get(&map, 1, 1) == MAP_NONE);
	assert_true(map_put(&map, 1, 2, 13));
	assert_int_equal(map_get(&map, 1, 2), 13);
	assert_int_equal(map.count, 3);
	map_free(&map);
	assert_true(map_get(&map, 1, 2) == MAP_NONE);
}

static void bounded(void **state)
{
	struct map map;

	(void)state;
	map_init(&map, 3);
	assert_true(map_put(&map, 0, 1, 1));
	assert_true(map_put(&map, 0, 2, 2));
	assert_true(map_put(&map, 0, 3, 3));
	assert_false(map_put(&map, 0, 4, 4));
	assert_true(map_get(&map, 0, 4) == MAP_NONE);
	assert_true(map_put(&map, 0, 2, 22));
	assert_true(map_del(&map, 0, 1));
	assert_true(map_put(&map, 0, 4, 4));
	assert_false(map_put(&map, 0, 2, MAP_NONE));
	assert_int_equal(map_get(&map, 0, 2), 22);
	map_free(&map);
}

#define KEYS 500

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Puts and removals in a fixed random order; every key is compared after each hundred steps. */
static void against_array(void **state)
{
	uint64_t expect[KEYS];
	uint32_t seed = 7, count = 0;
	struct map map;

	(void)state;
	map_init(&map, KEYS);
	for (uint32_t i = 0; i < KEYS; i++)
		expect[i] = MAP_NONE;
	for (uint32_t step = 0; step < 40000; step++) {
		uint32_t key = next_random(&seed) % KEYS;
		uint64_t b = 0x7f0000000000 + key * 128ULL;

		if (next_random(&seed) & 1) {
			count += expect[key] == MAP_NONE;
			expect[key] = step;
			assert_true(map_put(&map, key % 3, b, step));
		} else {
			assert_int_equal(map_del(&map, key % 3, b), expect[key] != MAP_NONE);
			count -= expect[key] != MAP_NONE;
			expect[key] = MAP_NONE;
		}
		assert_int_equal(map.count, count);
		if (step % 100)
			continue;
		for (uint32_t i = 0; i < KEYS; i++)
			assert_true(map_get(&map, i % 3, 0x7f0000000000 + i * 128ULL) == expect[i]);
	}
	map_free(&map);
}

static void walk(void **state)
{
	const struct map_slot *slot;
	uint64_t sum_b = 0, sum_value = 0;
	uint32_t pos = 0, seen = 0;
	struct map map;

	(void)state;
	map_init(&map, 1000);
	for (uint64_t i = 1; i <= 100; i++)
		assert_true(map_put(&map, 0, i, 10 * i));
	while ((slot = map_next(&map, &pos))) {
		seen++;
		sum_b += slot->b;
		sum_value += slot->value;
	}
	assert_int_equal(seen, 100);
	assert_int_equal(sum_b, 5050);
	assert_int_equal(sum_value, 50500);
	map_free(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),   cmocka_unit_test(both_words_count),
		cmocka_unit_test(bounded), cmocka_unit_test(against_array),
		cmocka_unit_test(walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

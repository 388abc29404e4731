/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash map from a pair of 64-bit words to one 64-bit word: open addressing, linear probing,
 * removal without tombstones. It owns its slots and nothing that keys or values may refer to.
 *
 * Bounded: map_put() refuses new keys beyond `max`, so keys that come from a target or a file
 * cannot make it grow without end. MAP_NONE is not a value; it means "no such key".
 */
#ifndef UTIL_MAP_H
#define UTIL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAP_NONE UINT64_MAX

struct map_slot {
	uint64_t a, b;
	uint64_t value; /* MAP_NONE: the slot is empty */
};

struct map {
	struct map_slot *slots;
	uint32_t cap; /* a power of two, or 0 before the first key */
	uint32_t count;
	uint32_t max;
};

/* No memory is taken before the first key. */
void map_init(struct map *map, uint32_t max);
void map_free(struct map *map);

/* The value of the key, or MAP_NONE. */
uint64_t map_get(const struct map *map, uint64_t a, uint64_t b);
/* Adds or replaces; false when the key is new and the map is full, or the value is MAP_NONE. */
bool map_put(struct map *map, uint64_t a, uint64_t b, uint64_t value);
/* Removes; false when there was no such key. */
bool map_del(struct map *map, uint64_t a, uint64_t b);

/*
 * Walks the keys in no order: *pos begins at 0; NULL at the end. The map must not change
 * meanwhile.
 */
const struct map_slot *map_next(const struct map *map, uint32_t *pos);

#endif

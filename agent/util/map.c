// SPDX-License-Identifier: LGPL-2.1-or-later
/* Hash map of word pairs; see map.h. */
#include "util/map.h"

#include "util/xalloc.h"

#define MAP_MIN_CAP 16

/* Task keys are addresses: their low bits are equal and their high bits too. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static uint32_t home(uint32_t cap, uint64_t a, uint64_t b)
{
	return (uint32_t)mix(mix(a) + b) & (cap - 1);
}

/* The slot of the key, or the empty one where it would go. There is always an empty one. */
static struct map_slot *find(struct map_slot *slots, uint32_t cap, uint64_t a, uint64_t b)
{
	uint32_t i = home(cap, a, b);

	while (slots[i].value != MAP_NONE && (slots[i].a != a || slots[i].b != b))
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static void grow(struct map *map)
{
	uint32_t cap = map->cap ? map->cap * 2 : MAP_MIN_CAP;
	struct map_slot *slots = xreallocarray(NULL, cap, sizeof(*slots));
	const struct map_slot *slot;
	uint32_t pos = 0;

	for (uint32_t i = 0; i < cap; i++)
		slots[i].value = MAP_NONE;
	while ((slot = map_next(map, &pos)))
		*find(slots, cap, slot->a, slot->b) = *slot;
	free(map->slots);
	map->slots = slots;
	map->cap = cap;
}

void map_init(struct map *map, uint32_t max)
{
	/* The capacity, at most 8/3 of the keys, stays below 2^32. */
	*map = (struct map){.max = max < (1U << 30) ? max : 1U << 30};
}

void map_free(struct map *map)
{
	free(map->slots);
	map_init(map, map->max);
}

uint64_t map_get(const struct map *map, uint64_t a, uint64_t b)
{
	if (!map->count)
		return MAP_NONE;
	return find(map->slots, map->cap, a, b)->value;
}

bool map_put(struct map *map, uint64_t a, uint64_t b, uint64_t value)
{
	struct map_slot *slot;

	if (value == MAP_NONE)
		return false;
	if (map->cap) {
		slot = find(map->slots, map->cap, a, b);
		if (slot->value != MAP_NONE) {
			slot->value = value;
			return true;
		}
	}
	if (map->count >= map->max)
		return false;
	if (map->count + 1 > map->cap / 4 * 3)
		grow(map);
	slot = find(map->slots, map->cap, a, b);
	*slot = (struct map_slot){.a = a, .b = b, .value = value};
	map->count++;
	return true;
}

bool map_del(struct map *map, uint64_t a, uint64_t b)
{
	uint32_t mask = map->cap - 1, hole, i;

	if (!map->count)
		return false;
	hole = (uint32_t)(find(map->slots, map->cap, a, b) - map->slots);
	if (map->slots[hole].value == MAP_NONE)
		return false;
	/* Close the gap: move back each follower whose home does not lie behind the hole. */
	for (i = (hole + 1) & mask; map->slots[i].value != MAP_NONE; i = (i + 1) & mask) {
		uint32_t want = home(map->cap, map->slots[i].a, map->slots[i].b);

		if (((i - want) & mask) < ((i - hole) & mask))
			continue;
		map->slots[hole] = map->slots[i];
		hole = i;
	}
	map->slots[hole].value = MAP_NONE;
	map->count--;
	return true;
}

const struct map_slot *map_next(const struct map *map, uint32_t *pos)
{
	while (*pos < map->cap) {
		const struct map_slot *slot = &map->slots[(*pos)++];

		if (slot->value != MAP_NONE)
			return slot;
	}
	return NULL;
}

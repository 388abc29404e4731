// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where tasks are made; see tokio_spawn.h. */
#include "runtime/tokio_spawn.h"

#include "runtime/task_name.h"
#include "target/demangle.h"
#include "target/insn.h"
#include "util/map.h"
#include "util/xalloc.h"

#include <stdio.h>
#include <string.h>

#define CELL_BYTES 4096	   /* of a Cell::new that are looked at */
#define VTABLE_BYTES 80	   /* before the eleventh word */
#define LOCATION_MINOR 47  /* first version that keeps it */
#define HEADER_LAST_WORD 7 /* of the words of a header that are read */

enum maker { MAKER_TASK, MAKER_BLOCKING, MAKER_CELL };

/*
 * `part` is in the mangled name, legacy and v0, and is compared first: demangling every symbol of
 * a large binary takes long.
 */
static const struct {
	const char *part, *head, *tail;
	enum maker maker;
} makers[] = {
	{"10bind_inner", "tokio::runtime::task::list::OwnedTasks", "::bind_inner", MAKER_TASK},
	{"10spawn_task", "tokio::runtime::blocking::pool::Spawner", "::spawn_task", MAKER_BLOCKING},
	{"3new", "tokio::runtime::task::core::Cell", "::new", MAKER_CELL},
	{"4bind", "tokio::runtime::task::list::LocalOwnedTasks", "::bind", MAKER_CELL},
};

#define MAKERS (sizeof(makers) / sizeof(makers[0]))

struct search {
	struct object *object;
	struct runtime_found *found;
	struct map vtables; /* link-time address -> site */
	struct map seen;    /* functions */
	size_t cap;
	bool any[MAKER_CELL]; /* which of the makers of any type exist */
};

/* "<tokio::..::OwnedTasks<S>>::bind_inner" in v0, "tokio::..::OwnedTasks<S>::bind_inner" else. */
static bool is_maker(const char *symbol, size_t i)
{
	char name[DEMANGLE_MAX];
	const char *at = name;

	if (!strstr(symbol, makers[i].part) || !strstr(symbol, "5tokio7runtime"))
		return false;
	if (demangle(symbol, name, sizeof(name)))
		return false;
	while (*at == '<')
		at++;
	return strncmp(at, makers[i].head, strlen(makers[i].head)) == 0 &&
	       task_name_ends(name, makers[i].tail);
}

static void add(struct search *s, uint64_t function, uint32_t site)
{
	struct runtime_found *found = s->found;

	if (found->spawns_count >= RUNTIME_MAX_SPAWNS || map_get(&s->seen, function, 0) != MAP_NONE)
		return;
	map_put(&s->seen, function, 0, site);
	found->spawns = xgrow(found->spawns, &s->cap, found->spawns_count + 1,
			      sizeof(*found->spawns));
	found->spawns[found->spawns_count++] = (struct runtime_spawn){.function = function,
								      .site = site};
}

/* The one task type whose vtable the function refers to; RUNTIME_ANY: none, or several. */
static uint32_t made_type(struct search *s, const struct elf_symbol *symbol)
{
	size_t want = symbol->size && symbol->size < CELL_BYTES ? symbol->size : CELL_BYTES;
	uint32_t site = RUNTIME_ANY;
	uint8_t bytes[CELL_BYTES];
	ssize_t have = elf_read_some(s->object->elf, symbol->addr, bytes, want);
	struct insn insn;

	for (ssize_t at = 0; at < have; at += insn.len) {
		uint64_t index;

		if (insn_decode(bytes + at, have - at, symbol->addr + at, &insn))
			break;
		index = map_get(&s->vtables, insn_takes(&insn, elf_is_fixed(s->object->elf)), 0);
		if (index == MAP_NONE || index == site)
			continue;
		if (site != RUNTIME_ANY)
			return RUNTIME_ANY;
		site = index;
	}
	return site;
}

/* Whether the functions that see any type see those of this one. */
static bool covered(const struct search *s, const struct runtime_site *site)
{
	if (site->kind == SITE_BLOCKING)
		return s->any[MAKER_BLOCKING];
	return site->kind == SITE_TASK && site->flavor != FLAVOR_LOCAL && s->any[MAKER_TASK];
}

static void add_symbol(struct search *s, const struct elf_symbol *symbol, bool cells)
{
	for (size_t i = 0; i < MAKERS; i++) {
		uint32_t site = RUNTIME_ANY;

		if ((makers[i].maker == MAKER_CELL) != cells || !is_maker(symbol->name, i))
			continue;
		if (cells) {
			site = made_type(s, symbol);
			if (site == RUNTIME_ANY || covered(s, &s->found->sites[site]) ||
			    s->found->sites[site].kind == SITE_WORKER)
				return;
		} else {
			s->any[makers[i].maker] = true;
		}
		add(s, symbol->addr, site);
		return;
	}
}

/*
 * The word after the vtable's ten says where the place of the spawn is: just behind the id. By
 * chance it could do so for one type; then not for all.
 */
static bool find_locations(struct object *object, struct runtime_found *found)
{
	unsigned int major = 0, minor = 0;

	if (sscanf(found->version, "%u.%u", &major, &minor) != 2 || major != 1 ||
	    minor < LOCATION_MINOR)
		return false;
	for (size_t i = 0; i < found->sites_count; i++) {
		const struct runtime_site *site = &found->sites[i];
		uint64_t at = site->vtable - object->bias + VTABLE_BYTES, offset = 0;

		if (object_read(object, at, &offset, sizeof(offset)) ||
		    offset != 8ULL * (site->id_word + 1) || site->id_word >= HEADER_LAST_WORD)
			return false;
	}
	for (size_t i = 0; i < found->sites_count; i++)
		found->sites[i].spawn_word = found->sites[i].id_word + 1;
	return true;
}

/* What no probe will see, and why. */
static void tell_unknown(struct search *s)
{
	struct runtime_found *found = s->found;
	struct elf_section symtab;
	enum spawns_known why = SPAWNS_NO_SYMBOL;
	bool *made = xcalloc(found->sites_count, sizeof(*made));

	if (!found->spawns_count && elf_section(s->object->elf, ".symtab", &symtab))
		why = SPAWNS_STRIPPED;
	for (size_t i = 0; i < found->spawns_count; i++)
		if (found->spawns[i].site != RUNTIME_ANY)
			made[found->spawns[i].site] = true;
	for (size_t i = 0; i < found->sites_count; i++)
		if (!made[i] && !covered(s, &found->sites[i]))
			found->sites[i].spawns = why;
	free(made);
}

/* std::panicking's rust_panic; since 1.89 its name says that std's own crates share it. */
static void find_panic(struct search *s)
{
	size_t count = 0;
	const struct elf_symbol *symbols = elf_symbols(s->object->elf, &count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(symbols[i].name, "rust_panic") &&
		    !task_name_ends(symbols[i].name, "7___rustc10rust_panic"))
			continue;
		add(s, symbols[i].addr, RUNTIME_PANIC);
		return;
	}
}

static void find_makers(struct search *s)
{
	size_t count = 0;
	const struct elf_symbol *symbols = elf_symbols(s->object->elf, &count);

	for (size_t i = 0; i < s->found->sites_count; i++)
		map_put(&s->vtables, s->found->sites[i].vtable - s->object->bias, 0, i);
	for (int cells = 0; cells < 2; cells++)
		for (size_t i = 0; i < count; i++)
			add_symbol(s, &symbols[i], cells);
	tell_unknown(s);
}

void tokio_spawn_find(struct object *object, struct runtime_found *found)
{
	struct search s = {.object = object, .found = found};

	if (!found->sites_count)
		return;
	map_init(&s.vtables, found->sites_count);
	map_init(&s.seen, RUNTIME_MAX_SPAWNS);
	if (!find_locations(object, found))
		find_makers(&s);
	find_panic(&s);
	map_free(&s.vtables);
	map_free(&s.seen);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Checking what was found; see answer.h. */
#include "detect/answer.h"

#include "runtime/vtable.h"
#include "target/note.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define MAX_TEXTS (64u << 20)
#define ESCAPED 4 /* the most that a byte becomes */
#define USER_END (1ULL << 47)
#define HEADER_WORDS 8 /* of a task's header that the probe reads */

#define PT_REGS_LAST 160 /* offset of the last register in the kernel's struct pt_regs */
#define SEMAPHORE 2	 /* bytes */

/* What follows looks at every field of these; a new one is to be checked, a pointer never taken. */
_Static_assert(sizeof(struct runtime_site) == 96, "a field of struct runtime_site is unchecked");
_Static_assert(sizeof(struct runtime_probe) == 120, "a field of struct runtime_probe is unchecked");
_Static_assert(sizeof(struct runtime_mark) == 280, "a field of struct runtime_mark is unchecked");
_Static_assert(sizeof(struct runtime_found) == 224, "a field of struct runtime_found stays behind");

int answer_image(struct object *object, const struct packet *packet)
{
	struct elf_segment loads[ELF_MAX_SEGMENTS];
	struct elf_image image;

	if (packet->length < sizeof(image))
		return -EINVAL;
	memcpy(&image, packet->payload, sizeof(image));
	if (packet->length != sizeof(image) + image.loads * sizeof(loads[0]))
		return -EINVAL;
	/* The second try at an object that broke the first: it is the same file. */
	if (object->elf)
		return 0;
	memcpy(loads, packet->payload + sizeof(image), image.loads * sizeof(loads[0]));
	return object_adopt(object, &image, loads);
}

static bool offsets_valid(const int16_t *offsets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (offsets[i] < -1)
			return false;
	return true;
}

int answer_found(struct detect_answer *answer, const struct packet *packet)
{
	struct runtime_found *found;
	struct detect_found in;
	size_t bytes;

	if (answer->count == DETECT_RUNTIMES || answer->sites || answer->probes || answer->spawns ||
	    answer->marks || packet->length < sizeof(in))
		return -EINVAL;
	memcpy(&in, packet->payload, sizeof(in));
	bytes = in.offsets * sizeof(found->offsets[0]);
	if (in.runtime >= runtimes_count || in.sites > VTABLE_MAX_FOUND ||
	    in.probes > NOTE_MAX_PROBES || in.spawns > RUNTIME_MAX_SPAWNS ||
	    in.marks > RUNTIME_MAX_MARKS || in.types_later > 1 || in.offsets > DETECT_OFFSETS ||
	    packet->length != sizeof(in) + bytes)
		return -EINVAL;
	for (size_t i = 0; i < answer->count; i++)
		if (answer->found[i].ops == runtimes[in.runtime])
			return -EINVAL;
	found = &answer->found[answer->count++];
	found->ops = runtimes[in.runtime];
	text_sanitize(found->name, sizeof(found->name), in.name, strnlen(in.name, sizeof(in.name)));
	text_sanitize(found->version, sizeof(found->version), in.version,
		      strnlen(in.version, sizeof(in.version)));
	answer->sites = in.sites;
	answer->probes = in.probes;
	answer->spawns = in.spawns;
	answer->marks = in.marks;
	answer->told = in.sites;
	found->marks = xcalloc(in.marks, sizeof(found->marks[0]));
	found->spawns = xcalloc(in.spawns, sizeof(found->spawns[0]));
	found->types_later = in.types_later;
	found->probes_of_others = in.probes_of_others;
	/* Memory is read there, and what is read is believed only if it fits: any address will do. */
	memcpy(found->pools, in.pools, sizeof(found->pools));
	found->probes = xcalloc(in.probes, sizeof(found->probes[0]));
	found->sites = xcalloc(in.sites, sizeof(found->sites[0]));
	if (!in.offsets)
		return 0;
	found->offsets = xmalloc(bytes);
	found->offsets_count = in.offsets;
	memcpy(found->offsets, packet->payload + sizeof(in), bytes);
	return offsets_valid(found->offsets, in.offsets) ? 0 : -EINVAL;
}

static bool word_valid(uint8_t word)
{
	return word < HEADER_WORDS || word == WIRE_NO_WORD;
}

static bool site_valid(const struct runtime_site *site, uint8_t ambiguous, uint8_t marked)
{
	return site->vtable < USER_END && word_valid(site->id_word) &&
	       word_valid(site->sched_word) && word_valid(site->vtable_word) &&
	       word_valid(site->state_word) && (unsigned int)site->kind <= SITE_WORKER &&
	       (unsigned int)site->flavor <= FLAVOR_LOCAL &&
	       (unsigned int)site->name_from <= NAME_NONE && ambiguous <= 1 && marked <= 1 &&
	       (unsigned int)site->spawns <= SPAWNS_STRIPPED && word_valid(site->spawn_word);
}

/* Probes go where the kernel would run the instruction, or nowhere. */
static bool site_runs(const struct object *object, const struct runtime_site *site)
{
	return object_runs(object, site->poll) && object_runs(object, site->dealloc) &&
	       object_runs(object, site->schedule);
}

/* The rest of a packet. */
struct cursor {
	const uint8_t *at;
	size_t left;
};

static bool take(struct cursor *cursor, void *out, size_t length)
{
	if (length > cursor->left)
		return false;
	memcpy(out, cursor->at, length);
	cursor->at += length;
	cursor->left -= length;
	return true;
}

static bool take_text(struct detect_answer *answer, struct cursor *cursor, uint32_t length,
		      char **out)
{
	size_t size = length * (size_t)ESCAPED + 1;

	*out = NULL;
	if (length == DETECT_NONE)
		return true;
	answer->texts += size;
	if (length > DETECT_TEXT || length > cursor->left || answer->texts > MAX_TEXTS)
		return false;
	*out = xmalloc(size);
	size = text_sanitize(*out, size, (const char *)cursor->at, length) + 1;
	*out = xreallocarray(*out, size, 1);
	cursor->at += length;
	cursor->left -= length;
	return true;
}

static int take_site(struct detect_answer *answer, const struct object *object,
		     struct cursor *cursor)
{
	struct runtime_found *found = &answer->found[answer->count - 1];
	struct detect_site in;
	struct runtime_site *site;
	uint8_t ambiguous, marked;
	bool good;

	if (!answer->sites || !take(cursor, &in, sizeof(in)))
		return -EINVAL;
	answer->sites--;
	/* Not as a bool: it may be any byte. */
	memcpy(&ambiguous, &in.site.ambiguous, sizeof(ambiguous));
	memcpy(&marked, &in.site.marked, sizeof(marked));
	if (!site_valid(&in.site, ambiguous, marked))
		return -EINVAL;
	site = &found->sites[found->sites_count];
	*site = in.site;
	site->name = site->scheduler = site->location = NULL;
	good = take_text(answer, cursor, in.name, &site->name) &&
	       take_text(answer, cursor, in.scheduler, &site->scheduler) && site->name;
	if (good && site_runs(object, site)) {
		found->sites_count++;
		return 0;
	}
	free(site->name);
	free(site->scheduler);
	site->name = site->scheduler = NULL;
	answer->dropped += good;
	return good ? 0 : -EINVAL;
}

static bool arg_valid(const struct wire_arg *arg)
{
	return arg->kind <= WIRE_ARG_MEM && arg->size <= 8 && arg->is_signed <= 1 &&
	       arg->reg <= PT_REGS_LAST;
}

static bool probe_valid(const struct runtime_probe *probe, uint8_t has_args)
{
	bool good = (unsigned int)probe->probe < WIRE_PROBES && probe->level <= 3 &&
		    (unsigned int)probe->class <= INSN_REFUSED && has_args <= 1;

	for (size_t i = 0; i < WIRE_USDT_ARGS; i++)
		good = good && arg_valid(&probe->args.arg[i]);
	return good;
}

/* The kernel counts up and down there: it has to be the object's own writable bytes. */
static bool semaphore_valid(const struct object *object, uint64_t offset)
{
	const struct elf_file *elf = object->elf;

	if (!offset)
		return true;
	for (size_t i = 0; i < elf->n_loads; i++) {
		const struct elf_segment *s = &elf->loads[i];

		if ((s->flags & PF_W) && offset >= s->offset && s->filesz >= SEMAPHORE &&
		    offset - s->offset <= s->filesz - SEMAPHORE)
			return true;
	}
	return false;
}

static int take_probe(struct detect_answer *answer, const struct object *object,
		      struct cursor *cursor)
{
	struct runtime_found *found = &answer->found[answer->count - 1];
	struct detect_probe in;
	struct runtime_probe *probe;
	uint8_t has_args;
	bool good;

	if (!answer->probes || !take(cursor, &in, sizeof(in)))
		return -EINVAL;
	answer->probes--;
	memcpy(&has_args, &in.probe.has_args, sizeof(has_args));
	if (!probe_valid(&in.probe, has_args))
		return -EINVAL;
	probe = &found->probes[found->probes_count++];
	*probe = in.probe;
	probe->name = probe->refused = NULL;
	good = take_text(answer, cursor, in.name, &probe->name) &&
	       take_text(answer, cursor, in.refused, &probe->refused) && probe->name;
	if (!good)
		return -EINVAL;
	if (!probe->refused && !object_runs(object, probe->pc))
		probe->refused = xstrdup("it is not in code that is mapped");
	if (!probe->refused && !semaphore_valid(object, probe->semaphore))
		probe->refused = xstrdup("its semaphore is not in the object's own data");
	return 0;
}

/* After sites were dropped, their numbers say nothing. */
static int take_spawn(struct detect_answer *answer, const struct object *object,
		      struct cursor *cursor)
{
	struct runtime_found *found = &answer->found[answer->count - 1];
	struct runtime_spawn in;

	if (!answer->spawns || answer->sites || !take(cursor, &in, sizeof(in)))
		return -EINVAL;
	answer->spawns--;
	if (in.site < RUNTIME_PANIC && in.site >= answer->told)
		return -EINVAL;
	if (object_runs(object, in.function) &&
	    (in.site >= RUNTIME_PANIC || found->sites_count == answer->told))
		found->spawns[found->spawns_count++] = in;
	return 0;
}

static bool mark_valid(const struct runtime_mark *mark)
{
	bool good = mark->kind < MARK_KINDS && mark->conds_count <= MARK_CONDS;

	for (uint8_t i = 0; good && i < mark->conds_count; i++)
		good = mark->conds[i].size <= sizeof(uint64_t) && mark->conds[i].differs <= 1;
	return good;
}

/* Where it leads is looked at from outside only, and believed if it fits what is known already. */
static int take_mark(struct detect_answer *answer, const struct object *object,
		     struct cursor *cursor)
{
	struct runtime_found *found = &answer->found[answer->count - 1];
	struct detect_mark in;
	char *text;

	(void)object;
	if (!answer->marks || answer->sites || !take(cursor, &in, sizeof(in)))
		return -EINVAL;
	answer->marks--;
	if (in.mark.site >= answer->told || !mark_valid(&in.mark) ||
	    (found->marks_count && found->marks[found->marks_count - 1].site > in.mark.site) ||
	    !take_text(answer, cursor, in.text, &text))
		return -EINVAL;
	if (found->sites_count != answer->told) {
		free(text);
		return 0;
	}
	found->marks[found->marks_count] = in.mark;
	found->marks[found->marks_count++].text = text;
	return 0;
}

static int take_all(struct detect_answer *answer, const struct object *object,
		    const struct packet *packet,
		    int (*take_one)(struct detect_answer *answer, const struct object *object,
				    struct cursor *cursor))
{
	struct cursor cursor = {packet->payload, packet->length};
	int ret = answer->count && object->elf ? 0 : -EINVAL;

	for (uint32_t i = 0; i < packet->head.count && !ret; i++)
		ret = take_one(answer, object, &cursor);
	return ret || !cursor.left ? ret : -EINVAL;
}

int answer_sites(struct detect_answer *answer, const struct object *object,
		 const struct packet *packet)
{
	return take_all(answer, object, packet, take_site);
}

int answer_probes(struct detect_answer *answer, const struct object *object,
		  const struct packet *packet)
{
	return take_all(answer, object, packet, take_probe);
}

int answer_spawns(struct detect_answer *answer, const struct object *object,
		  const struct packet *packet)
{
	return take_all(answer, object, packet, take_spawn);
}

int answer_marks(struct detect_answer *answer, const struct object *object,
		 const struct packet *packet)
{
	return take_all(answer, object, packet, take_mark);
}

int answer_complete(const struct detect_answer *answer)
{
	return answer->count && !answer->sites && !answer->probes && !answer->spawns &&
			       !answer->marks ?
		       0 :
		       -EINVAL;
}

void answer_clear(struct detect_answer *answer)
{
	for (size_t i = 0; i < answer->count; i++)
		runtime_found_clear(&answer->found[i]);
	*answer = (struct detect_answer){0};
}

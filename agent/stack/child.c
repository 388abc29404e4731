// SPDX-License-Identifier: LGPL-2.1-or-later
/* The child's side: waits for stacks, asks for what it lacks, answers. See wire.h and child.h. */
#include "stack/child.h"

#include "jail/peer.h"
#include "stack/unwind.h"
#include "util/clock.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What is known of one target. */
struct space {
	uint32_t generation;
	bool known;
	struct wire_map *maps; /* by address */
	uint32_t count;
};

struct server {
	struct wire_board *board;
	struct module *modules[WIRE_MAX_MODULES];
	struct map targets; /* id -> index in spaces */
	struct space *spaces;
	size_t space_count, space_cap;
	uint8_t *in;	     /* PACKET_MAX */
	uint8_t *pages;	     /* of the stack under work */
	struct space *space; /* likewise */
	uint32_t target;
	bool asked; /* for its mappings */
};

#define MAX_TARGETS 4096

/* The next packet; -EPIPE: the agent is gone. */
static int receive(struct server *server, struct packet *packet)
{
	return packet_receive(CHILD_SOCKET, server->in, true, packet);
}

/* Asks the agent, which answers with this type and nothing else. */
static int ask(struct server *server, const struct packet_head *head, const void *payload,
	       size_t length, uint32_t answer, struct packet *packet)
{
	int ret = packet_send_one(CHILD_SOCKET, head, payload, length, NULL);

	if (!ret)
		ret = receive(server, packet);
	return ret || packet->head.type == answer ? ret : -EPIPE;
}

static struct space *space_of(struct server *server, uint32_t target, uint32_t generation)
{
	uint64_t index = map_get(&server->targets, target, 0);
	struct space *space;

	if (index == MAP_NONE) {
		index = server->space_count;
		if (!map_put(&server->targets, target, 0, index))
			return NULL;
		server->spaces = xgrow(server->spaces, &server->space_cap, index + 1,
				       sizeof(*server->spaces));
		server->spaces[server->space_count++] = (struct space){0};
	}
	space = &server->spaces[index];
	if (space->generation != generation)
		space->known = false;
	space->generation = generation;
	return space;
}

static int refresh_space(struct server *server)
{
	const struct packet_head want = {.type = WIRE_WANT_SPACE, .id = server->target};
	struct space *space = server->space;
	struct packet packet;
	int ret = ask(server, &want, NULL, 0, WIRE_SPACE, &packet);
	uint32_t count;

	if (ret)
		return ret;
	count = packet.head.count;
	if (count > WIRE_MAX_MAPS || packet.length != count * sizeof(*space->maps))
		return -EPIPE;
	free(space->maps);
	space->maps = xreallocarray(NULL, count, sizeof(*space->maps));
	memcpy(space->maps, packet.payload, packet.length);
	space->count = count;
	space->known = true;
	return 0;
}

static const struct wire_map *find_map(const struct space *space, uint64_t address)
{
	uint32_t low = 0, high = space->known ? space->count : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (space->maps[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < space->count && space->known && space->maps[low].start <= address ?
		       &space->maps[low] :
		       NULL;
}

/* Of the module that is being opened, which the board names. */
static int find_debug(void *ctx, const struct elf_file *file, struct elf_file **out)
{
	struct server *server = ctx;
	struct packet_head want = {.type = WIRE_WANT_DEBUG, .id = server->board->module};
	struct elf_debug_link link;
	struct elf_section section;
	bool complete = elf_section(file, ".debug_info", &section) == 0;
	struct packet packet;
	size_t n;
	int ret;

	*out = NULL;
	elf_debug_link(file, &link);
	do {
		/* Without the agent the next packet ends us. */
		if (ask(server, &want, &link, sizeof(link), WIRE_DEBUG, &packet))
			return -ENOENT;
		for (n = 0; n < PACKET_FDS && packet.fds[n] >= 0; n++)
			;
		ret = elf_debug_choose(file, &link, packet.fds, n, out);
	} while (ret && !complete && want.count++ == 0);
	return ret;
}

static int want_module(struct server *server, uint32_t index)
{
	const struct packet_head want = {.type = WIRE_WANT_MODULE, .id = index};
	struct wire_module what;
	struct packet packet;
	int ret;

	if (index >= WIRE_MAX_MODULES)
		return -EPIPE;
	server->board->module = index;
	if (server->modules[index])
		return 0;
	ret = ask(server, &want, NULL, 0, WIRE_MODULE, &packet);
	if (ret || packet.length != sizeof(what))
		return -EPIPE;
	memcpy(&what, packet.payload, sizeof(what));
	server->modules[index] = module_open(&what, packet.fds[0], find_debug, server);
	return 0;
}

static int find_place(void *ctx, uint64_t address, struct unwind_place *place)
{
	struct server *server = ctx;
	const struct wire_map *map = find_map(server->space, address);
	struct module *module;
	int ret = 0;

	*place = (struct unwind_place){.index = WIRE_NONE, .offset = address};
	if (!map && !server->asked) {
		server->asked = true;
		ret = refresh_space(server);
		map = find_map(server->space, address);
	}
	if (ret || !map)
		return ret;
	ret = want_module(server, map->module);
	if (ret)
		return ret;
	place->index = map->module;
	place->offset = address - map->start + map->offset;
	module = server->modules[map->module];
	if (module_vaddr(module, place->offset, &place->vaddr) == 0)
		place->module = module;
	return 0;
}

/* The answer under construction: frames, and after them their strings. */
struct answer {
	struct packet_head head;
	struct wire_answer info;
	struct wire_frame frames[FRAMES_MAX];
	char strings[WIRE_MAX_STRINGS];
};

static uint32_t add_string(struct answer *answer, const char *text)
{
	size_t len = text ? strlen(text) + 1 : 0;
	uint32_t at = answer->info.strings;

	if (!len || len > sizeof(answer->strings) - at)
		return WIRE_NONE;
	memcpy(answer->strings + at, text, len);
	answer->info.strings += len;
	return at;
}

static void add_named(struct answer *answer, const struct unwind_frame *frame,
		      const struct named_pc *pc, const struct named_frame *named)
{
	const struct unwind_place *place = &frame->place;

	answer->frames[answer->head.count++] = (struct wire_frame){
		.offset = place->offset,
		.start = pc->start,
		.sp = frame->sp,
		.function = add_string(answer, named->function),
		.file = add_string(answer, named->file),
		.folder = add_string(answer, named->folder),
		.line = named->line,
		.column = named->column,
		.module = place->index,
		.inlined = named->inlined,
		.origin = named->origin,
		.from = named->from,
	};
}

/* False when there is no room for all of its functions. */
static bool add_place(struct server *server, struct answer *answer,
		      const struct unwind_frame *frame)
{
	const struct unwind_place *place = &frame->place;
	static const struct named_pc nameless = {.count = 1};
	static const struct named_frame unknown = {.origin = FRAME_UNKNOWN};
	const struct named_pc *pc = &nameless;

	if (place->index != WIRE_NONE)
		server->board->module = place->index;
	if (place->module)
		pc = module_name(place->module, place->vaddr);
	if (pc->count > FRAMES_MAX - answer->head.count)
		return false;
	for (uint32_t i = 0; i < pc->count; i++)
		add_named(answer, frame, pc, place->module ? &pc->frames[i] : &unknown);
	return true;
}

static int send_answer(struct answer *answer)
{
	struct iovec parts[] = {
		{&answer->info, sizeof(answer->info)},
		{answer->frames, answer->head.count * sizeof(answer->frames[0])},
		{answer->strings, 0},
	};

	answer->info.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	parts[2].iov_len = answer->info.strings;
	return packet_send(CHILD_SOCKET, &answer->head, parts, 3, NULL);
}

static int unpack_stack(struct server *server, const struct packet *packet,
			struct unwind_stack *stack)
{
	const struct wire_stack *wire = (const struct wire_stack *)packet->payload;
	size_t at = sizeof(*wire);

	if (packet->length < sizeof(*wire) ||
	    packet->length !=
		    sizeof(*wire) + (size_t)__builtin_popcount(wire->present) * STACK_PAGE)
		return -EPIPE;
	*stack = (struct unwind_stack){
		.base = wire->base, .present = wire->present, .pages = server->pages};
	memcpy(stack->regs, wire->regs, sizeof(stack->regs));
	for (int i = 0; i < STACK_PAGES; i++) {
		if (!(wire->present & 1U << i))
			continue;
		memcpy(server->pages + (size_t)i * STACK_PAGE, packet->payload + at, STACK_PAGE);
		at += STACK_PAGE;
	}
	return 0;
}

static int serve_stack(struct server *server, const struct packet *packet)
{
	static struct answer answer;
	struct unwind_frame frames[FRAMES_MAX];
	struct unwind_stack stack;
	enum stack_end end = STACK_FAILED;
	int count;

	if (unpack_stack(server, packet, &stack))
		return -EPIPE;
	server->target = packet->head.id;
	server->space = space_of(server, server->target, packet->head.generation);
	if (!server->space)
		return -EPIPE;
	server->asked = false;
	count = unwind_stack(&stack, find_place, server, frames, &end);
	if (count < 0)
		return count;
	answer.head = (struct packet_head){.type = WIRE_ANSWER, .id = server->target};
	answer.info = (struct wire_answer){0};
	for (int i = 0; i < count; i++)
		if (!add_place(server, &answer, &frames[i])) {
			end = STACK_LIMIT;
			break;
		}
	answer.info.end = end;
	for (int i = 0; i < count; i++)
		if (frames[i].place.module)
			module_trim(frames[i].place.module);
	server->board->module = WIRE_NONE;
	return send_answer(&answer);
}

static int forget(struct server *server, const struct packet *packet)
{
	const uint32_t *indexes = (const uint32_t *)packet->payload;

	if (packet->length != packet->head.count * sizeof(*indexes))
		return -EPIPE;
	for (uint32_t i = 0; i < packet->head.count; i++) {
		if (indexes[i] >= WIRE_MAX_MODULES)
			return -EPIPE;
		module_free(server->modules[indexes[i]]);
		server->modules[indexes[i]] = NULL;
	}
	return 0;
}

bool stacks_child_wanted(int argc, char **argv)
{
	return child_wanted(argc, argv, STACK_CHILD);
}

int stacks_child_main(void)
{
	struct server *server = xcalloc(1, sizeof(*server));
	struct packet packet;
	int ret = 0;

	server->board = child_shared(STACK_PAGE);
	if (!server->board)
		return 1;
	map_init(&server->targets, MAX_TARGETS);
	server->in = xmalloc(PACKET_MAX);
	server->pages = xcalloc(STACK_PAGES, STACK_PAGE);
	if (peer_child_ready())
		return 1;
	while (!ret) {
		ret = receive(server, &packet);
		if (!ret && packet.head.type == WIRE_STACK)
			ret = serve_stack(server, &packet);
		else if (!ret)
			ret = packet.head.type == WIRE_FORGET ? forget(server, &packet) : -EPIPE;
	}
	/* Without the handlers of exit(): the filter knows none of their system calls. */
	_exit(0);
}

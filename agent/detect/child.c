// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The side without rights: reads an object's file and what the agent reads for it from memory, and
 * tells what runtime is in it. See wire.h and detect.h.
 */
#include "detect/detect.h"

#include "detect/ahead.h"
#include "detect/wire.h"
#include "jail/peer.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct finder {
	uint8_t *in, *out; /* PACKET_MAX each */
	size_t length;	   /* of what is in `out`, */
	uint32_t count;	   /* and how many that is */
	struct ahead ahead;
	const struct object *object; /* whose memory that is */
};

/* Without the agent there is nothing left to do. */
static void send_or_end(const struct packet_head *head, const void *payload, size_t length)
{
	if (packet_send_one(CHILD_SOCKET, head, payload, length, NULL))
		_exit(0);
}

static void receive_or_end(struct finder *finder, struct packet *packet)
{
	if (packet_receive(CHILD_SOCKET, finder->in, true, packet))
		_exit(0);
}

static void ask(struct finder *finder, const struct packet_head *head, const void *payload,
		size_t length, uint32_t answer, struct packet *packet)
{
	send_or_end(head, payload, length);
	receive_or_end(finder, packet);
	if (packet->head.type != answer)
		_exit(1);
}

static int fetch_pages(void *self, struct ahead_window *window)
{
	const struct packet_head head = {.type = DETECT_WANT_MEMORY};
	const struct detect_piece piece = {window->start, window->end - window->start};
	struct packet packet;

	ask(self, &head, &piece, sizeof(piece), DETECT_MEMORY, &packet);
	if (packet.head.count)
		return -(int)packet.head.count;
	if (packet.length != piece.length)
		return -EFAULT;
	memcpy(window->bytes, packet.payload, piece.length);
	window->present = packet.head.id;
	return 0;
}

/* What is read ahead ends where the segment does. */
static int read_memory(void *self, uint64_t addr, void *buf, size_t len)
{
	struct finder *finder = self;
	const struct object *object = finder->object;
	struct elf_range within = {0};

	for (size_t i = 0; object->elf && i < object->elf->n_loads; i++) {
		const struct elf_segment *s = &object->elf->loads[i];

		if (addr - object->bias - s->vaddr < s->memsz)
			within = (struct elf_range){
				.start = s->vaddr + object->bias,
				.end = s->vaddr + s->memsz + object->bias,
			};
	}
	return ahead_read(&finder->ahead, &within, addr, buf, len);
}

/* Those on this machine, and when none of them is it, one from elsewhere. */
static int find_debug(void *ctx, const struct elf_file *file, struct elf_file **out)
{
	struct packet_head head = {.type = DETECT_WANT_DEBUG};
	struct elf_debug_link link;
	struct packet packet;
	size_t n = 0;
	int ret;

	elf_debug_link(file, &link);
	do {
		ask(ctx, &head, &link, sizeof(link), DETECT_DEBUG, &packet);
		for (n = 0; n < PACKET_FDS && packet.fds[n] >= 0; n++)
			;
		ret = elf_debug_choose(file, &link, packet.fds, n, out);
	} while (ret && head.count++ == 0);
	return ret;
}

static int no_debug(void *ctx __attribute__((unused)),
		    const struct elf_file *file __attribute__((unused)), struct elf_file **out)
{
	*out = NULL;
	return -ENOENT;
}

static void send_done(int ret, const struct err *err)
{
	struct packet_head head = {.type = DETECT_DONE, .count = (uint32_t)-ret};

	send_or_end(&head, err->msg, ret ? strlen(err->msg) : 0);
}

static void send_image(const struct object *object)
{
	const struct packet_head head = {.type = DETECT_IMAGE};
	struct elf_image image;
	struct iovec parts[] = {{&image, sizeof(image)}, {object->elf->loads, 0}};

	elf_image(object->elf, &image);
	parts[1].iov_len = image.loads * sizeof(object->elf->loads[0]);
	if (packet_send(CHILD_SOCKET, &head, parts, 2, NULL))
		_exit(0);
}

static void flush(struct finder *finder, enum detect_type type)
{
	struct packet_head head = {.type = type, .count = finder->count};

	if (finder->count)
		send_or_end(&head, finder->out, finder->length);
	finder->length = 0;
	finder->count = 0;
}

static void put(struct finder *finder, const void *bytes, size_t length)
{
	memcpy(finder->out + finder->length, bytes, length);
	finder->length += length;
}

static void put_text(struct finder *finder, const char *text, uint32_t length)
{
	if (text)
		put(finder, text, length);
}

/* For one more of that size, and its two texts. */
static void make_room(struct finder *finder, enum detect_type type, size_t size)
{
	if (finder->length + size + 2ULL * DETECT_TEXT > PACKET_MAX - sizeof(struct packet_head))
		flush(finder, type);
}

static uint32_t text_length(const char *text)
{
	return text ? (uint32_t)strnlen(text, DETECT_TEXT) : DETECT_NONE;
}

static void send_site(struct finder *finder, const struct runtime_site *site)
{
	struct detect_site out = {
		.site = *site,
		.name = text_length(site->name),
		.scheduler = text_length(site->scheduler),
	};

	out.site.name = out.site.scheduler = out.site.location = NULL;
	make_room(finder, DETECT_SITES, sizeof(out));
	put(finder, &out, sizeof(out));
	put_text(finder, site->name, out.name);
	put_text(finder, site->scheduler, out.scheduler);
	finder->count++;
}

static void send_probe(struct finder *finder, const struct runtime_probe *probe)
{
	struct detect_probe out = {
		.probe = *probe,
		.name = text_length(probe->name),
		.refused = text_length(probe->refused),
	};

	out.probe.name = out.probe.refused = NULL;
	make_room(finder, DETECT_PROBES, sizeof(out));
	put(finder, &out, sizeof(out));
	put_text(finder, probe->name, out.name);
	put_text(finder, probe->refused, out.refused);
	finder->count++;
}

static void send_spawn(struct finder *finder, const struct runtime_spawn *spawn)
{
	make_room(finder, DETECT_SPAWNS, sizeof(*spawn));
	put(finder, spawn, sizeof(*spawn));
	finder->count++;
}

static void send_mark(struct finder *finder, const struct runtime_mark *mark)
{
	struct detect_mark out = {.mark = *mark, .text = text_length(mark->text)};

	out.mark.text = NULL;
	make_room(finder, DETECT_MARKS, sizeof(out));
	put(finder, &out, sizeof(out));
	put_text(finder, mark->text, out.text);
	finder->count++;
}

static void send_found(struct finder *finder, uint32_t runtime, const struct runtime_found *found)
{
	const struct packet_head head = {.type = DETECT_FOUND};
	struct detect_found out = {
		.runtime = runtime,
		.sites = (uint32_t)found->sites_count,
		.probes = (uint32_t)found->probes_count,
		.spawns = (uint32_t)found->spawns_count,
		.marks = (uint32_t)found->marks_count,
		.types_later = found->types_later,
		.probes_of_others = found->probes_of_others,
		.offsets = found->offsets_count <= DETECT_OFFSETS ? (uint32_t)found->offsets_count :
								    0,
	};
	struct iovec parts[] = {{&out, sizeof(out)},
				{found->offsets, out.offsets * sizeof(found->offsets[0])}};

	memcpy(out.name, found->name, sizeof(out.name));
	memcpy(out.version, found->version, sizeof(out.version));
	memcpy(out.pools, found->pools, sizeof(out.pools));
	if (packet_send(CHILD_SOCKET, &head, parts, 2, NULL))
		_exit(0);
	for (size_t i = 0; i < found->sites_count; i++)
		send_site(finder, &found->sites[i]);
	flush(finder, DETECT_SITES);
	for (size_t i = 0; i < found->probes_count; i++)
		send_probe(finder, &found->probes[i]);
	flush(finder, DETECT_PROBES);
	for (size_t i = 0; i < found->spawns_count; i++)
		send_spawn(finder, &found->spawns[i]);
	flush(finder, DETECT_SPAWNS);
	for (size_t i = 0; i < found->marks_count; i++)
		send_mark(finder, &found->marks[i]);
	flush(finder, DETECT_MARKS);
}

/* Every back end has a look: an object can carry several. */
static int detect(struct finder *finder, struct object *object, struct err *err)
{
	bool found_one = false, again = false, unsupported = false;
	struct runtime_found found;
	int ret = 0;

	for (uint32_t i = 0; i < runtimes_count; i++) {
		struct err why = {0};

		found = (struct runtime_found){0};
		ret = runtimes[i]->detect(object, &found, &why);
		if (!ret)
			send_found(finder, i, &found);
		if (ret == -ENOTSUP)
			*err = why;
		runtime_found_clear(&found);
		found_one |= !ret;
		again |= ret == -EAGAIN;
		unsupported |= ret == -ENOTSUP;
	}
	if (found_one)
		return 0;
	return again ? -EAGAIN : unsupported ? -ENOTSUP : ret;
}

static void serve(struct finder *finder, const struct packet *packet)
{
	const struct detect_job *job = (const struct detect_job *)packet->payload;
	struct proc proc = {.pid = job->pid, .pidfd = -1};
	struct memory memory = {.read = read_memory, .self = finder};
	struct object object = {
		.proc = &proc,
		.memory = &memory,
		.fd = packet->fds[0],
		.is_exe = job->is_exe,
		.effort = job->effort,
		.name = xstrndup(job->name, sizeof(job->name) - 1),
		.ranges_count = packet->head.count,
		.open_debug = job->effort == OBJECT_ALL ? find_debug : no_debug,
		.open_debug_ctx = finder,
	};
	struct err err = {0};
	bool unrelocated = job->unrelocated;
	int ret;

	finder->object = &object;
	ahead_reset(&finder->ahead);
	memcpy(object.ranges, packet->payload + sizeof(*job),
	       object.ranges_count * sizeof(object.ranges[0]));
	ret = object_parse(&object, &err);
	if (!ret) {
		/* A dynamic program is held at its entry point, when its loader has run. */
		object.unrelocated = unrelocated && !object.elf->has_interp;
		send_image(&object);
		ret = detect(finder, &object, &err);
	}
	send_done(ret, &err);
	elf_close(object.elf);
	free(object.name);
}

bool detect_child_wanted(int argc, char **argv)
{
	return child_wanted(argc, argv, DETECT_CHILD);
}

static bool is_job(const struct packet *packet)
{
	return packet->head.type == DETECT_JOB && packet->head.count <= OBJECT_MAX_RANGES &&
	       packet->fds[0] >= 0 &&
	       packet->length ==
		       sizeof(struct detect_job) + packet->head.count * sizeof(struct object_range);
}

int detect_child_main(void)
{
	struct finder finder = {.in = xmalloc(PACKET_MAX), .out = xmalloc(PACKET_MAX)};
	struct packet packet;

	finder.ahead = (struct ahead){.fetch = fetch_pages, .ctx = &finder};
	if (peer_child_ready())
		return 1;
	for (;;) {
		receive_or_end(&finder, &packet);
		if (!is_job(&packet))
			_exit(1);
		serve(&finder, &packet);
	}
}

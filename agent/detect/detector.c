// SPDX-License-Identifier: LGPL-2.1-or-later
/* The agent's end of the process that looks for runtimes; see detect.h. */
#include "detect/detect.h"

#include "detect/answer.h"
#include "jail/peer.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READY_MS 10000
#define FETCH_MS 10000 /* that names wait for a file which comes from a server */
#define MAX_ERRNO 4095

struct detector {
	struct peer peer;
	pid_t served;	       /* the process whose objects the child has seen; 0 none */
	unsigned int limit_ms; /* for one object */
	struct object *object; /* under work; NULL none */
	bool unrelocated;
	enum object_effort effort;
	bool given;   /* the child has it */
	bool settled; /* there is a result */
	struct detect_answer answer;
	struct detect_result result;
	uint8_t *memory;
	struct debuginfod *from;
	bool fetching; /* the child waits for it */
	char build_id[ELF_BUILD_ID_HEX];
};

int detector_open(struct detector **out, struct err *err)
{
	struct detector *d = xcalloc(1, sizeof(*d));
	int ret = peer_open(&d->peer, err);

	if (ret) {
		free(d);
		return ret;
	}
	d->limit_ms = DETECT_MS;
	d->memory = xcalloc(1, AHEAD_BYTES);
	*out = d;
	return 0;
}

void detector_close(struct detector *d)
{
	if (!d)
		return;
	peer_close(&d->peer);
	answer_clear(&d->answer);
	free(d->memory);
	free(d);
}

void detect_result_clear(struct detect_result *result)
{
	for (size_t i = 0; i < result->count; i++)
		runtime_found_clear(&result->found[i]);
	result->count = 0;
}

int detector_fetch(struct detector *d, struct debuginfod *from, struct err *err)
{
	struct epoll_event event = {.events = EPOLLIN};

	d->from = from;
	if (epoll_ctl(peer_fd(&d->peer), EPOLL_CTL_ADD, debuginfod_fd(from), &event))
		return err_set(err, -errno, "epoll_ctl: %s", strerror(errno));
	return 0;
}

static void settle(struct detector *d, int ret, const struct err *err)
{
	peer_deadline(&d->peer, 0);
	d->result.ret = ret;
	if (err)
		d->result.err = *err;
	d->result.dropped = d->answer.dropped;
	if (!ret) {
		memcpy(d->result.found, d->answer.found, sizeof(d->result.found));
		d->result.count = d->answer.count;
		d->answer.count = 0;
	}
	answer_clear(&d->answer);
	d->settled = true;
}

static int start(struct detector *d, struct err *err)
{
	d->given = d->fetching = false;
	return peer_start(&d->peer, DETECT_CHILD, 0, READY_MS, err);
}

static int give(struct detector *d)
{
	const struct object *object = d->object;
	const struct packet_head head = {.type = DETECT_JOB,
					 .count = (uint32_t)object->ranges_count};
	const int fds[] = {object->elf ? object->elf->fd : object->fd, -1};
	struct detect_job job = {
		.pid = object->proc->pid,
		.is_exe = object->is_exe,
		.unrelocated = d->unrelocated,
		.effort = (uint8_t)d->effort,
	};
	const struct iovec parts[] = {
		{&job, sizeof(job)},
		{(void *)object->ranges, object->ranges_count * sizeof(object->ranges[0])},
	};

	snprintf(job.name, sizeof(job.name), "%s", object->name);
	d->given = true;
	peer_deadline(&d->peer, d->limit_ms);
	return packet_send(d->peer.child.sock, &head, parts, 2, fds);
}

static int on_want_memory(struct detector *d, const struct packet *packet)
{
	struct packet_head head = {.type = DETECT_MEMORY};
	struct detect_piece piece;
	struct memory_piece pages[AHEAD_PAGES];
	ssize_t ret;

	if (packet->length != sizeof(piece))
		return -EINVAL;
	memcpy(&piece, packet->payload, sizeof(piece));
	if (piece.length > AHEAD_BYTES || (piece.addr | piece.length) % AHEAD_PAGE)
		return -EINVAL;
	for (uint64_t i = 0; i < piece.length / AHEAD_PAGE; i++)
		pages[i] = (struct memory_piece){
			.addr = piece.addr + i * AHEAD_PAGE,
			.buf = d->memory + i * AHEAD_PAGE,
			.len = AHEAD_PAGE,
		};
	ret = memory_readv(d->object->memory, pages, piece.length / AHEAD_PAGE);
	for (uint64_t i = 0; ret >= 0 && i < piece.length / AHEAD_PAGE; i++) {
		head.id |= (uint32_t)!pages[i].error << i;
		/* What was read before may be of another process. */
		if (pages[i].error)
			memset(pages[i].buf, 0, AHEAD_PAGE);
	}
	head.count = ret < 0 ? (uint32_t)-ret : 0;
	return packet_send_one(d->peer.child.sock, &head, d->memory, ret < 0 ? 0 : piece.length,
			       NULL);
}

static int send_files(struct detector *d, int *fds, size_t n)
{
	const struct packet_head head = {.type = DETECT_DEBUG};
	int ret;

	fds[n] = -1;
	ret = packet_send(d->peer.child.sock, &head, NULL, 0, fds);
	while (n)
		close(fds[--n]);
	return ret;
}

static int end_fetch(struct detector *d, int fd)
{
	int fds[] = {fd, -1};

	d->fetching = false;
	peer_deadline(&d->peer, d->limit_ms);
	return send_files(d, fds, fd >= 0);
}

/* While the child waits for a file its time does not run. */
static int fetch(struct detector *d)
{
	int fd;

	fd = debuginfod_get(d->from, d->build_id, d->object->name);
	if (fd != -EINPROGRESS)
		return end_fetch(d, fd);
	if (!d->fetching)
		peer_deadline(&d->peer, FETCH_MS);
	d->fetching = true;
	return 0;
}

/* A container often has no debug files: both its own view and ours. */
static int on_want_debug(struct detector *d, const struct packet *packet)
{
	const struct object *object = d->object;
	struct elf_debug_link link;
	int fds[PACKET_FDS + 1];
	char root[64];
	size_t n = 0;

	if (packet->length != sizeof(link))
		return -EINVAL;
	memcpy(&link, packet->payload, sizeof(link));
	if (packet->head.count && d->from) {
		memcpy(d->build_id, link.build_id, sizeof(d->build_id));
		return fetch(d);
	}
	if (!packet->head.count) {
		snprintf(root, sizeof(root), "/proc/%d/root", object->proc->pid);
		n = elf_debug_open(&link, root, object->name, fds, PACKET_FDS);
		n += elf_debug_open(&link, NULL, object->name, fds + n, PACKET_FDS - n);
	}
	return send_files(d, fds, n);
}

static int on_image(struct detector *d, const struct packet *packet)
{
	return answer_image(d->object, packet);
}

static int on_found(struct detector *d, const struct packet *packet)
{
	return answer_found(&d->answer, packet);
}

static int on_sites(struct detector *d, const struct packet *packet)
{
	return answer_sites(&d->answer, d->object, packet);
}

static int on_probes(struct detector *d, const struct packet *packet)
{
	return answer_probes(&d->answer, d->object, packet);
}

static int on_spawns(struct detector *d, const struct packet *packet)
{
	return answer_spawns(&d->answer, d->object, packet);
}

static int on_marks(struct detector *d, const struct packet *packet)
{
	return answer_marks(&d->answer, d->object, packet);
}

static int on_done(struct detector *d, const struct packet *packet)
{
	struct err err = {.code = -(int)packet->head.count};

	if (packet->head.count > MAX_ERRNO || packet->length > sizeof(err.msg))
		return -EINVAL;
	if (!err.code && answer_complete(&d->answer))
		return -EINVAL;
	text_sanitize(err.msg, sizeof(err.msg), (const char *)packet->payload, packet->length);
	settle(d, err.code, &err);
	return 0;
}

static int (*const handlers[])(struct detector *d, const struct packet *packet) = {
	[DETECT_WANT_MEMORY] = on_want_memory,
	[DETECT_WANT_DEBUG] = on_want_debug,
	[DETECT_IMAGE] = on_image,
	[DETECT_FOUND] = on_found,
	[DETECT_SITES] = on_sites,
	[DETECT_PROBES] = on_probes,
	[DETECT_SPAWNS] = on_spawns,
	[DETECT_MARKS] = on_marks,
	[DETECT_DONE] = on_done,
};

static int handle(struct detector *d, const struct packet *packet)
{
	uint32_t type = packet->head.type;

	if (!d->given || d->settled || type >= sizeof(handlers) / sizeof(handlers[0]) ||
	    !handlers[type])
		return -EPIPE;
	return handlers[type](d, packet);
}

/* The child died, is stuck or talks nonsense. */
static void broke(struct detector *d, int why)
{
	bool ready = d->peer.ready;
	struct err err = {0};

	peer_stop(&d->peer);
	answer_clear(&d->answer);
	if (!ready) {
		err_set(&err, -EPERM,
			"the process that reads the target's files cannot isolate itself (seccomp, "
			"capabilities): no runtime can be looked for");
		settle(d, err.code, &err);
		return;
	}
	if (++d->effort < OBJECT_EFFORTS) {
		d->result.damage = d->effort == OBJECT_BARE ? DETECT_NO_NAMES : DETECT_NO_DEBUG;
		if (start(d, &err))
			settle(d, err.code, &err);
		return;
	}
	d->result.damage = DETECT_GIVEN_UP;
	err_set(&err, -EIO, "%s cannot be looked at: reading it %s", d->object->name,
		why == -ETIMEDOUT ? "took too long" : "broke the process that did it");
	settle(d, err.code, &err);
}

int detector_begin(struct detector *d, struct object *object, bool unrelocated, struct err *err)
{
	int ret = 0;

	if (d->object)
		return -EBUSY;
	if (d->served != object->proc->pid)
		peer_stop(&d->peer);
	if (!d->peer.child.pid)
		ret = start(d, err);
	if (ret)
		return ret;
	d->served = object->proc->pid;
	d->object = object;
	d->unrelocated = unrelocated;
	d->given = d->settled = false;
	d->effort = OBJECT_ALL;
	d->result = (struct detect_result){0};
	return 0;
}

bool detector_step(struct detector *d, struct detect_result *out)
{
	struct packet packet;
	int ret = 1;

	/* Whatever it is about, or its descriptor stays readable. */
	if (d->from)
		debuginfod_step(d->from);
	while (!d->settled && ret) {
		ret = 0;
		if (d->peer.ready && !d->given)
			ret = give(d);
		if (!ret && d->fetching)
			ret = fetch(d);
		if (!ret)
			ret = peer_receive(&d->peer, false, &packet);
		/* Too late for names of task types; stacks can still use it. */
		if (ret == -ETIMEDOUT && d->fetching)
			ret = end_fetch(d, -1);
		if (ret == 1)
			ret = handle(d, &packet) ? -EPIPE : 1;
		/* Its first packet: now it can have the object. */
		if (!ret && d->peer.ready && !d->given)
			ret = 1;
		if (ret < 0)
			broke(d, ret);
	}
	if (!d->settled)
		return false;
	*out = d->result;
	d->object = NULL;
	d->settled = false;
	return true;
}

void detector_wait(struct detector *d)
{
	peer_wait(&d->peer, DETECT_MS);
}

int detector_fd(const struct detector *d)
{
	return peer_fd(&d->peer);
}

void detector_cancel(struct detector *d, const struct object *object)
{
	if (!object || d->object != object)
		return;
	peer_stop(&d->peer);
	answer_clear(&d->answer);
	if (d->settled)
		detect_result_clear(&d->result);
	d->object = NULL;
	d->settled = false;
}

void detector_rest(struct detector *d)
{
	if (!d->object)
		peer_stop(&d->peer);
}

int detector_check(struct detector *d, struct err *err)
{
	struct packet packet;
	int ret = start(d, err);

	if (ret)
		return ret;
	while (!ret && !d->peer.ready) {
		detector_wait(d);
		ret = peer_receive(&d->peer, false, &packet);
	}
	peer_stop(&d->peer);
	if (ret)
		return err_set(err, -EPERM,
			       "a process cannot give up its rights here (seccomp, capabilities): "
			       "targets cannot be looked at");
	return 0;
}

pid_t detector_child(const struct detector *d)
{
	return d->peer.child.pid;
}

void detector_patience(struct detector *d, unsigned int ms)
{
	d->limit_ms = ms;
}

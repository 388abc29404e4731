// SPDX-License-Identifier: LGPL-2.1-or-later
/* The agent's side of fetching debug files; see debuginfod.h. */
#include "target/debuginfod.h"

#include "jail/peer.h"
#include "target/debuginfod_wire.h"
#include "target/elf.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_ERRNO 4095

enum state { WAITING, ASKED, HAVE, NONE };

struct wanted {
	char build_id[ELF_BUILD_ID_HEX];
	char *name;
	enum state state;
	int fd; /* -1 unless HAVE */
	int error;
	bool told;
};

struct debuginfod {
	struct peer peer;
	struct wanted files[DEBUGINFOD_FILES];
	uint32_t count;
	uint32_t answers;
};

int debuginfod_open(struct debuginfod **out, struct err *err)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	struct debuginfod *d;
	int ret;

	if (!urls || !urls[strspn(urls, " ")])
		return err_set(
			err, -EINVAL,
			"--debuginfod: no server is named: set DEBUGINFOD_URLS, for example to "
			"https://debuginfod.debian.net (sudo keeps it with "
			"--preserve-env=DEBUGINFOD_URLS)");
	d = xcalloc(1, sizeof(*d));
	ret = peer_open(&d->peer, err);
	if (ret) {
		free(d);
		return ret;
	}
	*out = d;
	return 0;
}

void debuginfod_close(struct debuginfod *d)
{
	if (!d)
		return;
	peer_close(&d->peer);
	for (uint32_t i = 0; i < d->count; i++) {
		free(d->files[i].name);
		if (d->files[i].fd >= 0)
			close(d->files[i].fd);
	}
	free(d);
}

static struct wanted *asked(struct debuginfod *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (d->files[i].state == ASKED)
			return &d->files[i];
	return NULL;
}

static void answer(struct debuginfod *d, struct wanted *file, int fd, int error)
{
	file->state = fd >= 0 ? HAVE : NONE;
	file->fd = fd;
	file->error = error;
	d->answers++;
	peer_deadline(&d->peer, 0);
}

/* Gives the next one to an idle child; there is a child only while something is wanted. */
static void ask_next(struct debuginfod *d)
{
	struct packet_head head = {.type = DEBUGINFOD_WANT};
	struct wanted *next = NULL;

	if (asked(d))
		return;
	for (uint32_t i = 0; i < d->count && !next; i++)
		if (d->files[i].state == WAITING)
			next = &d->files[i];
	if (!next) {
		peer_stop(&d->peer);
		return;
	}
	if (!d->peer.child.pid && peer_start(&d->peer, DEBUGINFOD_CHILD, 0, DEBUGINFOD_MS, NULL)) {
		answer(d, next, -1, -EAGAIN);
		return;
	}
	next->state = ASKED;
	peer_deadline(&d->peer, DEBUGINFOD_MS);
	/* A child that does not take it is found by the next step. */
	packet_send_one(d->peer.child.sock, &head, next->build_id, sizeof(next->build_id), NULL);
}

void debuginfod_step(struct debuginfod *d)
{
	struct wanted *file;
	struct packet packet;
	int ret = 1;

	while (ret && (file = asked(d))) {
		ret = peer_receive(&d->peer, true, &packet);
		if (ret == 1 && packet.head.type == DEBUGINFOD_ANSWER &&
		    packet.head.count <= MAX_ERRNO) {
			answer(d, file, packet.fds[0], -(int)packet.head.count);
			packet.fds[0] = -1;
		} else if (ret) {
			answer(d, file, -1, ret < 0 ? ret : -EPIPE);
			peer_stop(&d->peer);
		}
		if (ret == 1)
			packet_close(&packet);
		ask_next(d);
	}
}

int debuginfod_get(struct debuginfod *d, const char *build_id, const char *name)
{
	struct wanted *file = NULL;

	if (!elf_build_id_valid(build_id))
		return -ENOENT;
	for (uint32_t i = 0; i < d->count && !file; i++)
		if (strcmp(d->files[i].build_id, build_id) == 0)
			file = &d->files[i];
	if (!file && d->count == DEBUGINFOD_FILES)
		return -ENOENT;
	if (!file) {
		file = &d->files[d->count++];
		*file = (struct wanted){.name = text_sanitize_dup(name), .fd = -1};
		snprintf(file->build_id, sizeof(file->build_id), "%s", build_id);
		ask_next(d);
	}
	if (file->state == HAVE)
		return fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	return file->state == NONE ? -ENOENT : -EINPROGRESS;
}

int debuginfod_fd(const struct debuginfod *d)
{
	return peer_fd(&d->peer);
}

uint32_t debuginfod_answers(const struct debuginfod *d)
{
	return d->answers;
}

static const char *reason(int error, char *buf, size_t size)
{
	switch (error) {
	case -ENOENT: return "the servers of DEBUGINFOD_URLS have none";
	case -ETIMEDOUT:
	case -ETIME: return "the servers of DEBUGINFOD_URLS take too long";
	case -ELIBACC: return "libdebuginfod.so.1 is not installed (Debian: libdebuginfod1)";
	case -EPIPE: return "the process that fetches it ended";
	default: snprintf(buf, size, "the servers of DEBUGINFOD_URLS: %s", strerror(-error));
	}
	return buf;
}

char *debuginfod_take_note(struct debuginfod *d, bool *failed)
{
	char why[128];

	for (uint32_t i = 0; d && i < d->count; i++) {
		struct wanted *file = &d->files[i];

		if (file->told || (file->state != HAVE && file->state != NONE))
			continue;
		file->told = true;
		*failed = file->state == NONE;
		if (file->state == HAVE)
			return xasprintf("debug information of %s came by debuginfod", file->name);
		return xasprintf("no debug information for %s (build-id %s): %s", file->name,
				 file->build_id, reason(file->error, why, sizeof(why)));
	}
	return NULL;
}

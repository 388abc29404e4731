// SPDX-License-Identifier: LGPL-2.1-or-later
/* The agent's end of a child; see peer.h. */
#include "jail/peer.h"

#include "jail/jail.h"
#include "util/xalloc.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

int peer_open(struct peer *peer, struct err *err)
{
	struct epoll_event event = {.events = EPOLLIN};
	int ret = 0;

	*peer = (struct peer){.child = {.sock = -1}, .epoll = -1, .timer = -1};
	peer->epoll = epoll_create1(EPOLL_CLOEXEC);
	peer->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (peer->epoll < 0 || peer->timer < 0 ||
	    epoll_ctl(peer->epoll, EPOLL_CTL_ADD, peer->timer, &event))
		ret = err_set(err, -errno, "no descriptor for a child: %s", strerror(errno));
	if (ret)
		peer_close(peer);
	else
		peer->buffer = xmalloc(PACKET_MAX);
	return ret;
}

void peer_close(struct peer *peer)
{
	child_stop(&peer->child);
	if (peer->timer >= 0)
		close(peer->timer);
	if (peer->epoll >= 0)
		close(peer->epoll);
	free(peer->buffer);
	*peer = (struct peer){.child = {.sock = -1}, .epoll = -1, .timer = -1};
}

int peer_start(struct peer *peer, const char *name, size_t shared, unsigned int ms, struct err *err)
{
	struct epoll_event event = {.events = EPOLLIN};
	int ret = child_start(&peer->child, name, shared, err);

	peer->ready = false;
	if (!ret && epoll_ctl(peer->epoll, EPOLL_CTL_ADD, peer->child.sock, &event)) {
		ret = err_set(err, -errno, "cannot watch %s: %s", name, strerror(errno));
		child_stop(&peer->child);
	}
	if (!ret)
		peer_deadline(peer, ms);
	return ret;
}

void peer_stop(struct peer *peer)
{
	peer_deadline(peer, 0);
	if (peer->child.sock >= 0)
		epoll_ctl(peer->epoll, EPOLL_CTL_DEL, peer->child.sock, NULL);
	child_stop(&peer->child);
	peer->ready = false;
}

int peer_fd(const struct peer *peer)
{
	return peer->epoll;
}

void peer_deadline(struct peer *peer, unsigned int ms)
{
	struct itimerspec spec = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}};

	timerfd_settime(peer->timer, 0, &spec, NULL);
}

static bool expired(const struct peer *peer)
{
	uint64_t times;

	return read(peer->timer, &times, sizeof(times)) == sizeof(times);
}

int peer_receive(struct peer *peer, bool fds, struct packet *out)
{
	int ret;

	if (!peer->child.pid)
		return -EPIPE;
	ret = packet_receive(peer->child.sock, peer->buffer, fds, out);
	if (ret == -EAGAIN)
		return expired(peer) ? -ETIMEDOUT : 0;
	if (ret || out->head.type != PACKET_READY)
		return ret ? ret : 1;
	packet_close(out);
	if (peer->ready || out->length || out->head.count)
		return -EPIPE;
	peer->ready = true;
	peer_deadline(peer, 0);
	return 0;
}

void peer_wait(const struct peer *peer, int ms)
{
	struct pollfd p = {.fd = peer->epoll, .events = POLLIN};

	poll(&p, 1, ms);
}

int peer_child_ready(void)
{
	int ret = jail_enter();
	struct packet_head ready = {.type = PACKET_READY, .count = (uint32_t)-ret};

	if (packet_send(CHILD_SOCKET, &ready, NULL, 0, NULL))
		return -EPIPE;
	return ret;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Packets over a socket pair; see packet.h. */
#include "jail/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(PACKET_FDS * sizeof(int))];
};

static void put_fds(struct msghdr *msg, union control *control, const int *fds)
{
	struct cmsghdr *c;
	size_t n = 0;

	while (fds && n < PACKET_FDS && fds[n] >= 0)
		n++;
	if (!n)
		return;
	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(n * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
}

int packet_send(int sock, const struct packet_head *head, const struct iovec *parts, size_t count,
		const int *fds)
{
	struct iovec all[PACKET_PARTS + 1] = {{(void *)head, sizeof(*head)}};
	union control control = {.bytes = {0}};
	struct msghdr msg = {.msg_iov = all, .msg_iovlen = count + 1};
	size_t length = sizeof(*head);
	ssize_t n;

	if (count > PACKET_PARTS)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		all[i + 1] = parts[i];
		length += parts[i].iov_len;
	}
	put_fds(&msg, &control, fds);
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)length ? 0 : -EPIPE;
}

int packet_send_one(int sock, const struct packet_head *head, const void *payload, size_t length,
		    const int *fds)
{
	struct iovec part = {(void *)payload, length};

	return packet_send(sock, head, &part, 1, fds);
}

static void take_fds(struct msghdr *msg, int *fds)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	size_t count;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return;
	count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), (count < PACKET_FDS ? count : PACKET_FDS) * sizeof(int));
}

int packet_receive(int sock, void *buffer, bool fds, struct packet *out)
{
	union control control;
	struct iovec iov = {buffer, PACKET_MAX};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	for (size_t i = 0; i < PACKET_FDS; i++)
		out->fds[i] = -1;
	if (fds) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (fds && n >= 0)
		take_fds(&msg, out->fds);
	if (n < (ssize_t)sizeof(out->head) || (msg.msg_flags & MSG_TRUNC)) {
		packet_close(out);
		return -EPIPE;
	}
	memcpy(&out->head, buffer, sizeof(out->head));
	out->payload = (const uint8_t *)buffer + sizeof(out->head);
	out->length = (size_t)n - sizeof(out->head);
	return 0;
}

void packet_close(struct packet *packet)
{
	for (size_t i = 0; i < PACKET_FDS; i++) {
		if (packet->fds[i] >= 0)
			close(packet->fds[i]);
		packet->fds[i] = -1;
	}
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets between the agent and its children: a header, a payload, and file descriptors, over a
 * SOCK_SEQPACKET socket. Both ends are the same binary, so structures travel as they are; the
 * agent checks every one that it takes, a child trusts the agent.
 * Errors: -EPIPE (the other end is gone, or talks nonsense), -EAGAIN (non-blocking: nothing there).
 */
#ifndef JAIL_PACKET_H
#define JAIL_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define PACKET_MAX (160 * 1024) /* header and payload; a socket's buffer holds one and more */
#define PACKET_FDS 8
#define PACKET_PARTS 4
#define PACKET_READY 1 /* type of a child's first packet: count is an errno, 0: jailed */

struct packet_head {
	uint32_t type;
	uint32_t id;
	uint32_t count;
	uint32_t generation;
};

/* One that was received; the payload is in the buffer that was given. */
struct packet {
	struct packet_head head;
	const uint8_t *payload;
	size_t length;
	int fds[PACKET_FDS]; /* the receiver's, -1: none */
};

/* Parts follow the header; fds end with the first -1 (NULL: none) and stay the caller's. */
int packet_send(int sock, const struct packet_head *head, const struct iovec *parts, size_t count,
		const int *fds);
/* The same with one part. */
int packet_send_one(int sock, const struct packet_head *head, const void *payload, size_t length,
		    const int *fds);
/* Takes descriptors only when `fds`; a sender's descriptors are dropped otherwise. */
int packet_receive(int sock, void *buffer, bool fds, struct packet *out);
/* Closes those that nobody took. */
void packet_close(struct packet *packet);

#endif

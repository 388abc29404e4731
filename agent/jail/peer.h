/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent's end of a child that works on requests: the child, one descriptor for the event loop
 * that stays the same over restarts, and a deadline. Who uses it knows what is asked and answered.
 */
#ifndef JAIL_PEER_H
#define JAIL_PEER_H

#include "jail/child.h"
#include "jail/packet.h"

struct peer {
	struct child child; /* pid 0: none */
	bool ready;	    /* its first packet has come: its privileges are gone */
	int epoll, timer;
	uint8_t *buffer; /* of the packet that was received last */
};

int peer_open(struct peer *peer, struct err *err);
void peer_close(struct peer *peer);

/* Starts the child; it has `ms` to become ready. */
int peer_start(struct peer *peer, const char *name, size_t shared, unsigned int ms,
	       struct err *err);
/* Kills it, and forgets the deadline. */
void peer_stop(struct peer *peer);

/* Readable when there is a packet, the child has ended, or the deadline has passed. */
int peer_fd(const struct peer *peer);
/* From now; 0: none. */
void peer_deadline(struct peer *peer, unsigned int ms);

/*
 * 1 and a packet; 0: nothing there (the first packet sets `ready` and is not handed out); -EPIPE:
 * the child has ended or could not be jailed; -ETIMEDOUT. `fds`: descriptors are taken, too.
 */
int peer_receive(struct peer *peer, bool fds, struct packet *out);

/* Waits until peer_fd() is readable, at most `ms`. */
void peer_wait(const struct peer *peer, int ms);

/* In the child: enters the jail and says so; -errno: it must end. */
int peer_child_ready(void);

#endif

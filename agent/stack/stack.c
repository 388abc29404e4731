// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The agent's end of the stack reader; see stack.h. One request at a time is in the child's hands,
 * so it is known which one broke it, and its socket never fills.
 */
#include "stack/stack.h"

#include "jail/peer.h"
#include "stack/answer.h"
#include "stack/child.h"
#include "stack/spaces.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_RESTARTS 5

struct pending {
	uint64_t cookie;
	uint32_t target;
	struct wire_stack stack;
	uint8_t *pages; /* those that are present */
};

struct stacks {
	stack_fn fn;
	void *ctx;
	struct peer peer;      /* its child's pid 0: given up */
	bool busy;	       /* the child has the first request */
	unsigned int limit_ms; /* for one answer */
	struct spaces *spaces;
	struct pending queue[STACK_PENDING];
	uint32_t first, count;
	struct answer_frames answer;
	struct debuginfod *from; /* NULL: only files of this machine */
	uint32_t fetched;	 /* answers of it that are taken into account */
	struct stacks_totals totals;
	uint64_t past_ns; /* CPU time of earlier children */
};

static void finish_first(struct stacks *stacks, const struct frame *frames, uint32_t count,
			 enum stack_end end)
{
	struct pending *first = &stacks->queue[stacks->first];
	uint64_t cookie = first->cookie;

	free(first->pages);
	first->pages = NULL;
	stacks->first = (stacks->first + 1) % STACK_PENDING;
	stacks->count--;
	stacks->totals.answered++;
	stacks->fn(stacks->ctx, cookie, frames, count, end);
}

static int send_forget(struct stacks *stacks)
{
	uint32_t gone[WIRE_MAX_MODULES];
	struct packet_head head = {.type = WIRE_FORGET};

	head.count = spaces_collect(stacks->spaces, gone);
	if (!head.count)
		return 0;
	return packet_send_one(stacks->peer.child.sock, &head, gone, head.count * sizeof(gone[0]),
			       NULL);
}

static int send_stack(struct stacks *stacks, const struct pending *pending)
{
	struct packet_head head = {
		.type = WIRE_STACK,
		.id = pending->target,
		.generation = spaces_generation(stacks->spaces, pending->target),
	};
	struct iovec parts[] = {
		{(void *)&pending->stack, sizeof(pending->stack)},
		{pending->pages, (size_t)__builtin_popcount(pending->stack.present) * STACK_PAGE},
	};

	return packet_send(stacks->peer.child.sock, &head, parts, 2, NULL);
}

/* Gives the first request to an idle child. A child that does not take it is found by drain. */
static void send_next(struct stacks *stacks)
{
	if (!stacks->peer.ready || stacks->busy || !stacks->count)
		return;
	stacks->busy = true;
	peer_deadline(&stacks->peer, stacks->limit_ms);
	if (send_forget(stacks) || send_stack(stacks, &stacks->queue[stacks->first]))
		shutdown(stacks->peer.child.sock, SHUT_RDWR);
}

/* Requests of a target that has ended since. */
static void drop_orphans(struct stacks *stacks)
{
	while (!stacks->busy && stacks->count &&
	       !spaces_generation(stacks->spaces, stacks->queue[stacks->first].target))
		finish_first(stacks, NULL, 0, STACK_FAILED);
}

static int start_child(struct stacks *stacks, struct err *err)
{
	struct wire_board *board;
	int ret;

	stacks->busy = false;
	ret = peer_start(&stacks->peer, STACK_CHILD, STACK_PAGE, STACK_MS, err);
	if (ret)
		return ret;
	board = stacks->peer.child.shared;
	board->module = WIRE_NONE;
	return 0;
}

/* The child died, is stuck or talks nonsense: another one takes over what it had not begun. */
static void child_broke(struct stacks *stacks)
{
	const struct wire_board *board = stacks->peer.child.shared;
	bool busy = stacks->busy;

	spaces_blame(stacks->spaces, board->module);
	peer_stop(&stacks->peer);
	stacks->busy = false;
	stacks->past_ns = stacks->totals.work_ns;
	if (busy)
		finish_first(stacks, NULL, 0, STACK_FAILED);
	if (stacks->totals.restarts < MAX_RESTARTS && start_child(stacks, NULL) == 0) {
		stacks->totals.restarts++;
		return;
	}
	while (stacks->count)
		finish_first(stacks, NULL, 0, STACK_FAILED);
}

static int on_want_space(struct stacks *stacks, const struct packet *packet)
{
	uint32_t target = stacks->queue[stacks->first].target;
	struct packet_head answer = {.type = WIRE_SPACE, .id = target};
	const struct wire_map *maps;

	if (packet->length || packet->head.id != target)
		return -EINVAL;
	spaces_maps(stacks->spaces, target, &maps, &answer.count);
	return packet_send_one(stacks->peer.child.sock, &answer, maps, answer.count * sizeof(*maps),
			       NULL);
}

static int on_want_module(struct stacks *stacks, const struct packet *packet)
{
	struct packet_head answer = {.type = WIRE_MODULE, .id = packet->head.id};
	struct wire_module what;
	int fds[2] = {-1, -1}, ret;

	if (packet->length)
		return -EINVAL;
	fds[0] = spaces_module(stacks->spaces, stacks->queue[stacks->first].target, packet->head.id,
			       &what);
	ret = packet_send_one(stacks->peer.child.sock, &answer, &what, sizeof(what), fds);
	if (fds[0] >= 0)
		close(fds[0]);
	return ret;
}

static int on_want_debug(struct stacks *stacks, const struct packet *packet)
{
	struct packet_head answer = {.type = WIRE_DEBUG, .id = packet->head.id};
	struct elf_debug_link link;
	int fds[PACKET_FDS + 1], ret;
	size_t n = 0;

	if (packet->length != sizeof(link))
		return -EINVAL;
	memcpy(&link, packet->payload, sizeof(link));
	if (!packet->head.count)
		n = spaces_debug(stacks->spaces, stacks->queue[stacks->first].target,
				 packet->head.id, &link, fds, PACKET_FDS);
	else if (stacks->from)
		n = spaces_fetch(stacks->spaces, stacks->from, packet->head.id, &link, fds);
	fds[n] = -1;
	ret = packet_send(stacks->peer.child.sock, &answer, NULL, 0, fds);
	while (n)
		close(fds[--n]);
	return ret;
}

static int on_answer(struct stacks *stacks, const struct packet *packet)
{
	int ret = answer_read(stacks->spaces, &packet->head, packet->payload, packet->length,
			      &stacks->answer);

	if (ret)
		return ret;
	stacks->busy = false;
	peer_deadline(&stacks->peer, 0);
	stacks->totals.work_ns = stacks->past_ns + stacks->answer.cpu_ns;
	finish_first(stacks, stacks->answer.frames, stacks->answer.count, stacks->answer.end);
	return 0;
}

static int (*const handlers[])(struct stacks *stacks, const struct packet *packet) = {
	[WIRE_WANT_SPACE] = on_want_space,
	[WIRE_WANT_MODULE] = on_want_module,
	[WIRE_WANT_DEBUG] = on_want_debug,
	[WIRE_ANSWER] = on_answer,
};

/* One message: 1, none there: 0, or -errno when the child is broken. */
static int receive(struct stacks *stacks)
{
	struct packet packet;
	int ret = peer_receive(&stacks->peer, false, &packet);
	uint32_t type;

	if (ret != 1)
		return ret;
	type = packet.head.type;
	if (!stacks->busy || type >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[type])
		return -EPIPE;
	ret = handlers[type](stacks, &packet);
	return ret ? ret : 1;
}

/* What the child could not have when it asked: it opens these binaries anew. */
static void take_fetched(struct stacks *stacks)
{
	uint32_t answers;

	if (!stacks->from)
		return;
	debuginfod_step(stacks->from);
	answers = debuginfod_answers(stacks->from);
	if (answers != stacks->fetched)
		spaces_refresh(stacks->spaces);
	stacks->fetched = answers;
}

void stacks_drain(struct stacks *stacks)
{
	int ret = 1;

	take_fetched(stacks);
	while (stacks->peer.child.pid && ret) {
		ret = receive(stacks);
		if (ret < 0)
			child_broke(stacks);
		drop_orphans(stacks);
		send_next(stacks);
	}
}

/* At the start only: a child that cannot give up its rights is no child at all. */
static int await_ready(struct stacks *stacks, struct err *err)
{
	int ret = 0;

	while (!stacks->peer.ready && ret >= 0) {
		peer_wait(&stacks->peer, STACK_MS);
		ret = receive(stacks);
	}
	if (ret < 0)
		return err_set(err, ret,
			       "the stack reader cannot isolate itself (seccomp, "
			       "capabilities): no stacks");
	return 0;
}

int stacks_open(stack_fn fn, void *ctx, struct stacks **out, struct err *err)
{
	struct stacks *stacks = xcalloc(1, sizeof(*stacks));
	int ret = peer_open(&stacks->peer, err);

	stacks->fn = fn;
	stacks->ctx = ctx;
	stacks->limit_ms = STACK_MS;
	stacks->spaces = spaces_new();
	if (!ret)
		ret = start_child(stacks, err);
	if (!ret)
		ret = await_ready(stacks, err);
	if (ret) {
		stacks_close(stacks);
		return ret;
	}
	*out = stacks;
	return 0;
}

int stacks_fetch(struct stacks *stacks, struct debuginfod *from, struct err *err)
{
	struct epoll_event event = {.events = EPOLLIN};

	stacks->from = from;
	if (epoll_ctl(peer_fd(&stacks->peer), EPOLL_CTL_ADD, debuginfod_fd(from), &event))
		return err_set(err, -errno, "epoll_ctl: %s", strerror(errno));
	return 0;
}

void stacks_close(struct stacks *stacks)
{
	if (!stacks)
		return;
	peer_close(&stacks->peer);
	for (size_t i = 0; i < STACK_PENDING; i++)
		free(stacks->queue[i].pages);
	spaces_free(stacks->spaces);
	answer_free(&stacks->answer);
	free(stacks);
}

int stacks_target(struct stacks *stacks, uint32_t target, const struct proc *proc,
		  const struct memory *memory, struct err *err)
{
	if (!stacks->peer.child.pid)
		return err_set(err, -EPIPE, "the stack reader broke too often");
	spaces_add(stacks->spaces, target, proc, memory);
	return 0;
}

void stacks_target_end(struct stacks *stacks, uint32_t target)
{
	spaces_end(stacks->spaces, target);
}

static void enqueue(struct stacks *stacks, const struct stack_request *request)
{
	uint32_t mask = request->present & ((1U << STACK_PAGES) - 1);
	uint32_t at = (stacks->first + stacks->count++) % STACK_PENDING;
	struct pending *pending = &stacks->queue[at];
	uint8_t *to = xmalloc((size_t)__builtin_popcount(mask) * STACK_PAGE);

	*pending = (struct pending){
		.cookie = request->cookie,
		.target = request->target,
		.stack = {.base = request->base, .present = mask},
		.pages = to,
	};
	memcpy(pending->stack.regs, request->regs, sizeof(pending->stack.regs));
	for (size_t i = 0; i < STACK_PAGES; i++) {
		if (!(mask & 1U << i))
			continue;
		memcpy(to, request->pages + i * STACK_PAGE, STACK_PAGE);
		to += STACK_PAGE;
	}
}

int stacks_submit(struct stacks *stacks, const struct stack_request *request)
{
	int ret = 0;

	if (!stacks->peer.child.pid)
		ret = -EPIPE;
	else if (!spaces_generation(stacks->spaces, request->target))
		ret = -ENOENT;
	else if (stacks->count == STACK_PENDING)
		ret = -EAGAIN;
	if (ret) {
		stacks->totals.refused++;
		return ret;
	}
	enqueue(stacks, request);
	send_next(stacks);
	return 0;
}

int stacks_fd(const struct stacks *stacks)
{
	return peer_fd(&stacks->peer);
}

void stacks_totals(const struct stacks *stacks, struct stacks_totals *out)
{
	*out = stacks->totals;
}

pid_t stacks_child(const struct stacks *stacks)
{
	return stacks->peer.child.pid;
}

void stacks_patience(struct stacks *stacks, unsigned int ms)
{
	stacks->limit_ms = ms;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The agent's end of the stack reader; see stack.h. One request at a time is in the child's hands,
 * so it is known which one broke it, and its socket never fills.
 */
#include "stack/stack.h"

#include "stack/answer.h"
#include "stack/child.h"
#include "stack/spaces.h"
#include "util/xalloc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
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
	int epoll, timer;
	struct child child; /* pid 0: given up */
	bool ready, busy;   /* its privileges are gone; it has the first request */
	struct spaces *spaces;
	struct pending queue[STACK_PENDING];
	uint32_t first, count;
	struct answer_frames answer;
	uint8_t *packet;
	struct stacks_totals totals;
	uint64_t past_ns; /* CPU time of earlier children */
};

static void set_timer(struct stacks *stacks, bool on)
{
	struct itimerspec spec = {.it_value.tv_sec = on ? STACK_SECONDS : 0};

	timerfd_settime(stacks->timer, 0, &spec, NULL);
}

static bool timer_expired(struct stacks *stacks)
{
	uint64_t times;

	return read(stacks->timer, &times, sizeof(times)) == sizeof(times);
}

static int transmit(struct stacks *stacks, struct iovec *parts, size_t count, const int *fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = {.bytes = {0}};
	struct msghdr msg = {.msg_iov = parts, .msg_iovlen = count};
	size_t n = !fds || fds[0] < 0 ? 0 : fds[1] < 0 ? 1 : 2, length = 0;
	struct cmsghdr *c;

	if (n) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	for (size_t i = 0; i < count; i++)
		length += parts[i].iov_len;
	if (sendmsg(stacks->child.sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)length)
		return -EPIPE;
	return 0;
}

static int transmit_payload(struct stacks *stacks, const struct wire_head *head,
			    const void *payload, size_t length, const int *fds)
{
	struct iovec parts[] = {{(void *)head, sizeof(*head)}, {(void *)payload, length}};

	return transmit(stacks, parts, 2, fds);
}

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
	struct wire_head head = {.type = WIRE_FORGET};

	head.count = spaces_collect(stacks->spaces, gone);
	if (!head.count)
		return 0;
	return transmit_payload(stacks, &head, gone, head.count * sizeof(gone[0]), NULL);
}

static int send_stack(struct stacks *stacks, const struct pending *pending)
{
	struct wire_head head = {
		.type = WIRE_STACK,
		.id = pending->target,
		.generation = spaces_generation(stacks->spaces, pending->target),
	};
	struct iovec parts[] = {
		{&head, sizeof(head)},
		{(void *)&pending->stack, sizeof(pending->stack)},
		{pending->pages, (size_t)__builtin_popcount(pending->stack.present) * STACK_PAGE},
	};

	return transmit(stacks, parts, 3, NULL);
}

/* Gives the first request to an idle child. A child that does not take it is found by drain. */
static void send_next(struct stacks *stacks)
{
	if (!stacks->ready || stacks->busy || !stacks->count)
		return;
	stacks->busy = true;
	set_timer(stacks, true);
	if (send_forget(stacks) || send_stack(stacks, &stacks->queue[stacks->first]))
		shutdown(stacks->child.sock, SHUT_RDWR);
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
	struct epoll_event event = {.events = EPOLLIN};
	int ret;

	stacks->ready = stacks->busy = false;
	ret = child_start(&stacks->child, err);
	if (!ret && epoll_ctl(stacks->epoll, EPOLL_CTL_ADD, stacks->child.sock, &event)) {
		ret = err_set(err, -errno, "cannot watch the stack reader: %s", strerror(errno));
		child_stop(&stacks->child);
	}
	if (!ret)
		set_timer(stacks, true);
	return ret;
}

/* The child died, is stuck or talks nonsense: another one takes over what it had not begun. */
static void child_broke(struct stacks *stacks)
{
	bool busy = stacks->busy;

	spaces_blame(stacks->spaces, stacks->child.board->module);
	set_timer(stacks, false);
	epoll_ctl(stacks->epoll, EPOLL_CTL_DEL, stacks->child.sock, NULL);
	child_stop(&stacks->child);
	stacks->ready = stacks->busy = false;
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

static int on_ready(struct stacks *stacks, const struct wire_head *head, size_t length)
{
	if (stacks->ready || length || head->count)
		return -EINVAL;
	stacks->ready = true;
	set_timer(stacks, false);
	return 0;
}

static int on_want_space(struct stacks *stacks, const struct wire_head *head, size_t length)
{
	uint32_t target = stacks->queue[stacks->first].target;
	struct wire_head answer = {.type = WIRE_SPACE, .id = target};
	const struct wire_map *maps;

	if (!stacks->busy || length || head->id != target)
		return -EINVAL;
	spaces_maps(stacks->spaces, target, &maps, &answer.count);
	return transmit_payload(stacks, &answer, maps, answer.count * sizeof(*maps), NULL);
}

static int on_want_module(struct stacks *stacks, const struct wire_head *head, size_t length)
{
	struct wire_head answer = {.type = WIRE_MODULE, .id = head->id};
	struct wire_module what;
	int fds[2], ret;

	if (!stacks->busy || length)
		return -EINVAL;
	spaces_module(stacks->spaces, stacks->queue[stacks->first].target, head->id, &what, fds);
	ret = transmit_payload(stacks, &answer, &what, sizeof(what), fds);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return ret;
}

static int on_answer(struct stacks *stacks, const struct wire_head *head, size_t length)
{
	int ret;

	if (!stacks->busy)
		return -EINVAL;
	ret = answer_read(stacks->spaces, head, stacks->packet + sizeof(*head), length,
			  &stacks->answer);
	if (ret)
		return ret;
	stacks->busy = false;
	set_timer(stacks, false);
	stacks->totals.work_ns = stacks->past_ns + stacks->answer.cpu_ns;
	finish_first(stacks, stacks->answer.frames, stacks->answer.count, stacks->answer.end);
	return 0;
}

static int (*const handlers[])(struct stacks *stacks, const struct wire_head *head,
			       size_t length) = {
	[WIRE_READY] = on_ready,
	[WIRE_WANT_SPACE] = on_want_space,
	[WIRE_WANT_MODULE] = on_want_module,
	[WIRE_ANSWER] = on_answer,
};

/* One message: 1, none there: 0, or -errno when the child is broken. */
static int receive(struct stacks *stacks)
{
	struct wire_head head;
	ssize_t n = recv(stacks->child.sock, stacks->packet, WIRE_MAX_PACKET,
			 MSG_DONTWAIT | MSG_TRUNC);
	int ret;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < (ssize_t)sizeof(head) || n > WIRE_MAX_PACKET)
		return -EPIPE;
	memcpy(&head, stacks->packet, sizeof(head));
	if (head.type >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[head.type])
		return -EPIPE;
	ret = handlers[head.type](stacks, &head, (size_t)n - sizeof(head));
	return ret ? ret : 1;
}

void stacks_drain(struct stacks *stacks)
{
	int ret = 1;

	while (stacks->child.pid && ret) {
		ret = receive(stacks);
		if (!ret && timer_expired(stacks))
			ret = -ETIMEDOUT;
		if (ret < 0)
			child_broke(stacks);
		drop_orphans(stacks);
		send_next(stacks);
	}
}

/* At the start only: a child that cannot give up its rights is no child at all. */
static int await_ready(struct stacks *stacks, struct err *err)
{
	struct pollfd p = {.fd = stacks->child.sock, .events = POLLIN};
	int ret = 0;

	while (!stacks->ready && ret >= 0) {
		if (poll(&p, 1, STACK_SECONDS * 1000) <= 0 && errno != EINTR)
			ret = -ETIMEDOUT;
		else
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
	struct epoll_event event = {.events = EPOLLIN};
	int ret = 0;

	stacks->fn = fn;
	stacks->ctx = ctx;
	stacks->child.sock = -1;
	stacks->spaces = spaces_new();
	stacks->packet = xmalloc(WIRE_MAX_PACKET);
	stacks->epoll = epoll_create1(EPOLL_CLOEXEC);
	stacks->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (stacks->epoll < 0 || stacks->timer < 0 ||
	    epoll_ctl(stacks->epoll, EPOLL_CTL_ADD, stacks->timer, &event))
		ret = err_set(err, -errno, "no descriptor for stacks: %s", strerror(errno));
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

void stacks_close(struct stacks *stacks)
{
	if (!stacks)
		return;
	child_stop(&stacks->child);
	if (stacks->timer >= 0)
		close(stacks->timer);
	if (stacks->epoll >= 0)
		close(stacks->epoll);
	for (size_t i = 0; i < STACK_PENDING; i++)
		free(stacks->queue[i].pages);
	spaces_free(stacks->spaces);
	answer_free(&stacks->answer);
	free(stacks->packet);
	free(stacks);
}

int stacks_target(struct stacks *stacks, uint32_t target, const struct proc *proc,
		  const struct memory *memory, struct err *err)
{
	if (!stacks->child.pid)
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

	if (!stacks->child.pid)
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
	return stacks->epoll;
}

void stacks_totals(const struct stacks *stacks, struct stacks_totals *out)
{
	*out = stacks->totals;
}

pid_t stacks_child(const struct stacks *stacks)
{
	return stacks->child.pid;
}

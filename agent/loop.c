// SPDX-License-Identifier: LGPL-2.1-or-later
/* The one loop: epoll, timerfd, signalfd; see loop.h. */
#include "loop.h"

#include "util/xalloc.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_WATCHES 16

struct watcher {
	int fd;
	bool timer;
	loop_fn fn;
	void *ctx;
};

struct loop {
	int epoll, signals, ticks;
	int pace_ms;
	sigset_t mask;
	loop_signal_fn on_signal;
	void *signal_ctx;
	struct watcher watches[MAX_WATCHES];
	unsigned int count;
};

static int signal_ready(void *ctx)
{
	struct loop *loop = ctx;
	struct signalfd_siginfo info;
	int ret = 0;

	while (!ret && read(loop->signals, &info, sizeof(info)) == sizeof(info))
		ret = loop->on_signal(loop->signal_ctx, info.ssi_signo);
	return ret;
}

static int add(struct loop *loop, int fd, bool timer, loop_fn fn, void *ctx)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = loop->count};

	if (fd < 0)
		return -errno;
	if (loop->count == MAX_WATCHES)
		return -ENOSPC;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	loop->watches[loop->count++] = (struct watcher){fd, timer, fn, ctx};
	return 0;
}

int loop_new(loop_signal_fn on_signal, void *ctx, struct loop **out, struct err *err)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));
	struct sigaction hangup;
	int ret;

	loop->on_signal = on_signal;
	loop->signal_ctx = ctx;
	sigemptyset(&loop->mask);
	sigaddset(&loop->mask, SIGINT);
	sigaddset(&loop->mask, SIGTERM);
	/* Blocked, even an ignored one would come; under nohup it must not. */
	if (sigaction(SIGHUP, NULL, &hangup) || hangup.sa_handler != SIG_IGN)
		sigaddset(&loop->mask, SIGHUP);
	sigaddset(&loop->mask, SIGWINCH);
	sigaddset(&loop->mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &loop->mask, NULL);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->signals = signalfd(-1, &loop->mask, SFD_CLOEXEC | SFD_NONBLOCK);
	ret = add(loop, loop->signals, false, signal_ready, loop);
	if (ret) {
		loop_free(loop);
		return err_set(err, ret, "cannot set up the event loop: %s", strerror(-ret));
	}
	*out = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	struct signalfd_siginfo info;

	if (!loop)
		return;
	for (unsigned int i = 0; i < loop->count; i++)
		if (loop->watches[i].timer)
			close(loop->watches[i].fd);
	/* A second hangup must not end it by the signal, now that it ends by itself. */
	while (read(loop->signals, &info, sizeof(info)) == sizeof(info))
		;
	close(loop->signals);
	close(loop->epoll);
	sigprocmask(SIG_UNBLOCK, &loop->mask, NULL);
	free(loop);
}

int loop_watch(struct loop *loop, int fd, loop_fn fn, void *ctx)
{
	return add(loop, fd, false, fn, ctx);
}

static void set_timer(int fd, uint64_t first_ns, uint64_t every_ns)
{
	struct itimerspec when = {
		.it_value = {first_ns / 1000000000, first_ns % 1000000000},
		.it_interval = {every_ns / 1000000000, every_ns % 1000000000},
	};

	timerfd_settime(fd, 0, &when, NULL);
}

int loop_every(struct loop *loop, int ms, loop_fn fn, void *ctx)
{
	loop->ticks = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	loop_pace(loop, ms);
	return add(loop, loop->ticks, true, fn, ctx);
}

void loop_pace(struct loop *loop, int ms)
{
	if (ms == loop->pace_ms)
		return;
	loop->pace_ms = ms;
	set_timer(loop->ticks, ms * 1000000ULL, ms * 1000000ULL);
}

int loop_after(struct loop *loop, uint64_t ns, loop_fn fn, void *ctx)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	set_timer(fd, ns ? ns : 1, 0);
	return add(loop, fd, true, fn, ctx);
}

static int dispatch(const struct watcher *watch)
{
	uint64_t expired;

	if (watch->timer && read(watch->fd, &expired, sizeof(expired)) < 0)
		return 0;
	return watch->fn(watch->ctx);
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[MAX_WATCHES];
	int ret = 0, n;

	while (!ret) {
		n = epoll_wait(loop->epoll, events, MAX_WATCHES, -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n && !ret; i++)
			ret = dispatch(&loop->watches[events[i].data.u32]);
	}
	return ret == LOOP_STOP ? 0 : ret;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Looking at threads from outside, through an iterator in the kernel; see kernel.h. */
#include "attach/kernel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <unistd.h>

#define LOOKS_READ 64 /* at a time */

/* A descriptor that gives a struct wire_look for each thread, or for the one asked for. */
static int look_open(const struct kernel *k, uint32_t pid, uint32_t tid)
{
	union bpf_iter_link_info info = {.task.pid = tid ? 0 : pid, .task.tid = tid};
	LIBBPF_OPTS(bpf_link_create_opts, opts, .iter_info = &info, .iter_info_len = sizeof(info));
	int link = bpf_link_create(k->on_look_fd, 0, BPF_TRACE_ITER, &opts);
	int fd, error;

	if (link < 0)
		return link;
	fd = bpf_iter_create(link);
	error = errno;
	close(link);
	return fd < 0 ? -error : fd;
}

/* Records come whole, but a read may end between two of them. */
static int look_read(int fd, kernel_look_fn fn, void *ctx)
{
	struct wire_look looks[LOOKS_READ];
	ssize_t n;

	while ((n = read(fd, looks, sizeof(looks))) != 0) {
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		if (n % sizeof(looks[0]))
			return -EIO;
		for (size_t i = 0; i < n / sizeof(looks[0]); i++)
			if (looks[i].tid)
				fn(ctx, &looks[i]);
	}
	return 0;
}

int kernel_look(const struct kernel *k, uint32_t pid, uint32_t tid, kernel_look_fn fn, void *ctx)
{
	int fd = look_open(k, pid, tid), ret;

	if (fd < 0)
		return fd;
	ret = look_read(fd, fn, ctx);
	close(fd);
	return ret;
}

static void look_ignore(void *ctx, const struct wire_look *look)
{
	*(uint32_t *)ctx = look->slot;
}

bool kernel_give_slot(const struct kernel *k, uint32_t tid, uint32_t target)
{
	uint32_t slot = 0;

	*k->give_target = target;
	*k->give_tid = tid;
	kernel_look(k, 0, tid, look_ignore, &slot);
	*k->give_tid = 0;
	return slot;
}

bool kernel_want(const struct kernel *k, uint32_t tid, uint32_t target)
{
	struct wire_wanted wanted = {.target = target};

	if (!k->stacks || bpf_map_update_elem(k->wanted_fd, &tid, &wanted, BPF_NOEXIST))
		return false;
	*k->wanted_on = true;
	return true;
}

void kernel_unwant(const struct kernel *k, uint32_t tid)
{
	bpf_map_delete_elem(k->wanted_fd, &tid);
}

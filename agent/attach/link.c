// SPDX-License-Identifier: LGPL-2.1-or-later
/* uprobe_multi links; see link.h. */
#include "attach/link.h"

#include "util/xalloc.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KERNEL_ENOTSUPP 524

/* The head of union bpf_attr for this command, as Linux 6.6 laid it down. */
struct link_create_attr {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t pad;
};

static int link_create(int prog_fd, const char *path, pid_t pid, const uint64_t *offsets,
		       const uint64_t *cookies, size_t count)
{
	struct link_create_attr attr = {
		.prog_fd = prog_fd,
		.attach_type = BPF_ATTACH_TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.count = count,
		.pid = pid,
	};
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

/* Errors that one site can cause; the others concern the whole call. */
static int is_site_error(int error)
{
	return error == -KERNEL_ENOTSUPP || error == -EOPNOTSUPP || error == -EINVAL ||
	       error == -EIO;
}

static int attach_range(struct link_set *set, int prog_fd, const char *path, pid_t pid,
			struct link_site *sites, size_t count)
{
	uint64_t *offsets = xcalloc(count, sizeof(*offsets));
	uint64_t *cookies = xcalloc(count, sizeof(*cookies));
	int fd, ret = 0;

	for (size_t i = 0; i < count; i++) {
		offsets[i] = sites[i].offset;
		cookies[i] = sites[i].cookie;
	}
	fd = link_create(prog_fd, path, pid, offsets, cookies, count);
	free(offsets);
	free(cookies);
	if (fd >= 0) {
		set->fds = xgrow(set->fds, &set->cap, set->count + 1, sizeof(*set->fds));
		set->fds[set->count++] = fd;
		set->attached += count;
		return 0;
	}
	if (!is_site_error(fd))
		return fd;
	if (count == 1) {
		sites[0].error = fd;
		return 0;
	}
	ret = attach_range(set, prog_fd, path, pid, sites, count / 2);
	if (!ret)
		ret = attach_range(set, prog_fd, path, pid, sites + count / 2, count - count / 2);
	return ret;
}

int link_attach(struct link_set *set, int prog_fd, const char *path, pid_t pid,
		struct link_site *sites, size_t count, struct err *err)
{
	size_t before = set->attached;
	int ret = 0;

	for (size_t i = 0; i < count; i++)
		sites[i].error = 0;
	for (size_t i = 0; i < count && !ret; i += LINK_BATCH)
		ret = attach_range(set, prog_fd, path, pid, sites + i,
				   count - i < LINK_BATCH ? count - i : LINK_BATCH);
	if (ret == -EPERM)
		return err_set(err, ret, "the kernel refuses the probes: run as root, or give "
			       "stalltop CAP_BPF and CAP_PERFMON");
	if (ret)
		return err_set(err, ret, "cannot probe %s: %s", path, strerror(-ret));
	if (count && set->attached == before && sites[0].error == -EINVAL)
		return err_set(err, -EINVAL, "this kernel has no multi-uprobe link: Linux 6.6 or "
			       "newer is needed");
	return 0;
}

void link_detach(struct link_set *set)
{
	while (set->count)
		close(set->fds[--set->count]);
	free(set->fds);
	*set = (struct link_set){ 0 };
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Arguments of system calls in words; see syscall_detail.h. */
#include "target/syscall_detail.h"

#include "util/fmt.h"
#include "util/sanitize.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define PATH_SHOWN 128
#define NET_LINES 65536 /* looked through of one table of sockets */

struct reader {
	const struct proc *proc;
	const struct memory *memory;
	const struct syscall_call *call;
};

/* All of it from the copied stack, or from the live memory while the call lasts. */
static bool read_arg(const struct reader *r, uint64_t addr, void *buf, size_t len)
{
	const struct syscall_call *c = r->call;
	uint64_t at = addr - c->stack_base;

	if (c->stack && addr >= c->stack_base && len <= PAGE && at / PAGE < 32 &&
	    at / PAGE == (at + len - 1) / PAGE && (c->stack_present >> at / PAGE & 1)) {
		memcpy(buf, c->stack + at, len);
		return true;
	}
	return c->live && !memory_read(r->memory, addr, buf, len);
}

/* Byte by byte up to the NUL: the string may end just before an absent page. */
static bool read_string(const struct reader *r, uint64_t addr, char *out, size_t size)
{
	size_t i = 0;

	for (; i < size - 1; i++) {
		if (!read_arg(r, addr + i, out + i, 1))
			return false;
		if (!out[i])
			return i > 0;
	}
	out[i] = '\0';
	return true;
}

/* --- sockets ------------------------------------------------------------------- */

static void put_inet(char *out, size_t size, int family, const void *addr, unsigned int port)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family, addr, text, sizeof(text));
	snprintf(out, size, family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, port);
}

/* "0100007F:1F90", 8 or 32 hex digits in words of the machine's order. */
static bool parse_inet(const char *hex, char *out, size_t size)
{
	uint32_t words[4] = {0};
	const char *colon = strchr(hex, ':');
	size_t n = colon ? (size_t)(colon - hex) / 8 : 0;
	unsigned int port = 0;

	if (n != 1 && n != 4)
		return false;
	for (size_t i = 0; i < n; i++)
		if (sscanf(hex + 8 * i, "%8x", &words[i]) != 1)
			return false;
	if (sscanf(colon + 1, "%4x", &port) != 1)
		return false;
	put_inet(out, size, n == 4 ? AF_INET6 : AF_INET, words, port);
	return true;
}

/* A line of /proc/PID/net/{tcp,udp,...} with that inode. */
static bool inet_line(const char *line, uint64_t inode, const char *kind, char *out, size_t size)
{
	char local[64], peer[64], from[80], to[80];
	unsigned int state;
	unsigned long long found;

	if (sscanf(line, " %*u: %63[0-9A-Fa-f:] %63[0-9A-Fa-f:] %x %*s %*s %*s %*u %*u %llu", local,
		   peer, &state, &found) != 4 ||
	    found != inode || !parse_inet(local, from, sizeof(from)) ||
	    !parse_inet(peer, to, sizeof(to)))
		return false;
	if (strstr(peer, ":0000"))
		snprintf(out, size, "%s socket on %s", kind, from);
	else
		snprintf(out, size, "%s socket %s to %s", kind, from, to);
	return true;
}

static bool unix_line(const char *line, uint64_t inode, const char *kind, char *out, size_t size)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1] = "";
	unsigned long long found;

	if (sscanf(line, "%*s %*s %*s %*s %*s %*s %llu %108s", &found, path) < 1 || found != inode)
		return false;
	snprintf(out, size, "%s socket%s%s", kind, path[0] ? " " : "", path);
	return true;
}

static const struct socket_table {
	const char *file, *kind;
	bool (*match)(const char *line, uint64_t inode, const char *kind, char *out, size_t size);
} socket_tables[] = {
	{"tcp", "TCP", inet_line},  {"tcp6", "TCP", inet_line},	 {"udp", "UDP", inet_line},
	{"udp6", "UDP", inet_line}, {"unix", "unix", unix_line},
};

static bool find_socket(const struct proc *proc, const struct socket_table *table, uint64_t inode,
			char *out, size_t size)
{
	char path[64], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", proc->pid, table->file);
	f = fopen(path, "re");
	if (!f)
		return false;
	for (int i = 0; i < NET_LINES && !found && fgets(line, sizeof(line), f); i++)
		found = table->match(line, inode, table->kind, out, size);
	fclose(f);
	return found;
}

static void describe_socket(const struct proc *proc, uint64_t inode, char *out, size_t size)
{
	for (size_t i = 0; i < sizeof(socket_tables) / sizeof(socket_tables[0]); i++)
		if (find_socket(proc, &socket_tables[i], inode, out, size))
			return;
	snprintf(out, size, "socket");
}

/* --- what an argument can be ------------------------------------------------------ */

static void put_fd(const struct reader *r, uint64_t arg, char *out, size_t size)
{
	char path[64], link[PATH_MAX + 1], what[SYSCALL_DETAIL];
	unsigned long long inode;
	ssize_t n;

	if ((int)arg < 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", r->proc->pid, (int)arg);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0) {
		snprintf(out, size, errno == ENOENT ? "fd %d, closed by now" : "fd %d", (int)arg);
		return;
	}
	link[n] = '\0';
	if (sscanf(link, "socket:[%llu]", &inode) == 1)
		describe_socket(r->proc, inode, what, sizeof(what));
	else
		snprintf(what, sizeof(what), "%.*s", PATH_SHOWN, link);
	snprintf(out, size, "fd %d: %s%s", (int)arg, what, r->call->live ? "" : " now");
}

static void put_path(const struct reader *r, uint64_t arg, char *out, size_t size)
{
	char path[PATH_SHOWN];

	if (read_string(r, arg, path, sizeof(path)))
		snprintf(out, size, "path %s", path);
}

static void put_time(const struct reader *r, uint64_t arg, char *out, size_t size)
{
	struct timespec ts;
	char text[32];

	if (!arg || !read_arg(r, arg, &ts, sizeof(ts)) || ts.tv_sec < 0 || ts.tv_nsec < 0 ||
	    ts.tv_sec > 1000000000)
		return;
	fmt_duration(text, sizeof(text), (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec);
	snprintf(out, size, "%s", text);
}

/* The second argument of clock_nanosleep makes its third a date. */
static void put_sleep(const struct reader *r, uint64_t arg, char *out, size_t size)
{
	if (!(r->call->args[1] & TIMER_ABSTIME))
		put_time(r, arg, out, size);
}

static void put_address(const struct reader *r, uint64_t arg, char *out, size_t size)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = {0};
	char text[80];

	if (!read_arg(r, arg, &a.v4, sizeof(a.v4)))
		return;
	if (a.any.sa_family == AF_INET)
		put_inet(text, sizeof(text), AF_INET, &a.v4.sin_addr, ntohs(a.v4.sin_port));
	else if (a.any.sa_family == AF_INET6 && read_arg(r, arg, &a.v6, sizeof(a.v6)))
		put_inet(text, sizeof(text), AF_INET6, &a.v6.sin6_addr, ntohs(a.v6.sin6_port));
	else
		return;
	snprintf(out, size, "to %s", text);
}

static void put_pid(const struct reader *r __attribute__((unused)), uint64_t arg, char *out,
		    size_t size)
{
	if ((int)arg > 0)
		snprintf(out, size, "process %d", (int)arg);
	else
		snprintf(out, size, "any child");
}

/* The descriptor of a poll(2) that waits for one; else how many. */
static void put_pollfds(const struct reader *r, uint64_t arg, char *out, size_t size)
{
	uint64_t count = r->call->args[1];
	struct pollfd only;

	if (count == 1 && read_arg(r, arg, &only, sizeof(only)) && only.fd >= 0)
		put_fd(r, (uint64_t)only.fd, out, size);
	else
		snprintf(out, size, "%llu descriptor%s", (unsigned long long)count,
			 count == 1 ? "" : "s");
}

typedef void (*put_fn)(const struct reader *r, uint64_t arg, char *out, size_t size);

static const struct {
	int nr, arg;
	put_fn put;
} known[] = {
	{SYS_read, 0, put_fd},
	{SYS_write, 0, put_fd},
	{SYS_pread64, 0, put_fd},
	{SYS_pwrite64, 0, put_fd},
	{SYS_readv, 0, put_fd},
	{SYS_writev, 0, put_fd},
	{SYS_preadv, 0, put_fd},
	{SYS_pwritev, 0, put_fd},
	{SYS_recvfrom, 0, put_fd},
	{SYS_sendto, 0, put_fd},
	{SYS_recvmsg, 0, put_fd},
	{SYS_sendmsg, 0, put_fd},
	{SYS_recvmmsg, 0, put_fd},
	{SYS_sendmmsg, 0, put_fd},
	{SYS_accept, 0, put_fd},
	{SYS_accept4, 0, put_fd},
	{SYS_sendfile, 1, put_fd},
	{SYS_splice, 0, put_fd},
	{SYS_copy_file_range, 0, put_fd},
	{SYS_fsync, 0, put_fd},
	{SYS_fdatasync, 0, put_fd},
	{SYS_ftruncate, 0, put_fd},
	{SYS_fallocate, 0, put_fd},
	{SYS_flock, 0, put_fd},
	{SYS_fcntl, 0, put_fd},
	{SYS_ioctl, 0, put_fd},
	{SYS_getdents64, 0, put_fd},
	{SYS_epoll_wait, 0, put_fd},
	{SYS_epoll_pwait, 0, put_fd},
	{SYS_close, 0, put_fd},
	{SYS_connect, 1, put_address},
	{SYS_poll, 0, put_pollfds},
	{SYS_ppoll, 0, put_pollfds},
	{SYS_nanosleep, 0, put_time},
	{SYS_clock_nanosleep, 2, put_sleep},
	{SYS_wait4, 0, put_pid},
	{SYS_open, 0, put_path},
	{SYS_openat, 1, put_path},
	{SYS_stat, 0, put_path},
	{SYS_lstat, 0, put_path},
	{SYS_newfstatat, 1, put_path},
	{SYS_statx, 1, put_path},
	{SYS_access, 0, put_path},
	{SYS_mkdir, 0, put_path},
	{SYS_unlink, 0, put_path},
	{SYS_unlinkat, 1, put_path},
	{SYS_rename, 0, put_path},
	{SYS_readlink, 0, put_path},
};

void syscall_detail(const struct proc *proc, const struct memory *memory,
		    const struct syscall_call *call, char *out, size_t size)
{
	struct reader r = {proc, memory, call};
	char raw[SYSCALL_DETAIL] = "";

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].nr != call->nr)
			continue;
		known[i].put(&r, call->args[known[i].arg], raw, sizeof(raw));
		text_sanitize(out, size, raw, strlen(raw));
		return;
	}
}

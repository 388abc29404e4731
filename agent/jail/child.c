// SPDX-License-Identifier: LGPL-2.1-or-later
/* Starting and ending a child; see child.h. */
#include "jail/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HIGH_FD 16 /* above those that get a fixed number */

bool child_wanted(int argc, char **argv, const char *name)
{
	return argc == 1 && strcmp(argv[0], name) == 0;
}

/* In the forked process, which may only make system calls. */
static void become_child(const char *name, int sock, int shared)
{
	char *const argv[] = {(char *)name, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t all;

	/* A signal of the terminal ends the agent, and that ends the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	sock = fcntl(sock, F_DUPFD_CLOEXEC, HIGH_FD);
	if (shared >= 0)
		shared = fcntl(shared, F_DUPFD_CLOEXEC, HIGH_FD);
	if (sock < 0 || null < 0)
		_exit(1);
	for (int fd = 0; fd < CHILD_SOCKET; fd++)
		dup2(null, fd);
	dup2(sock, CHILD_SOCKET);
	if (shared >= 0)
		dup2(shared, CHILD_SHARED);
	close_range(shared >= 0 ? CHILD_SHARED + 1 : CHILD_SHARED, ~0U, CLOSE_RANGE_CLOEXEC);
	execve("/proc/self/exe", argv, environ);
	_exit(1);
}

static int make_shared(struct child *child, size_t size)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);
	void *map;

	if (fd < 0)
		return -errno;
	map = ftruncate(fd, (off_t)size) ?
		      MAP_FAILED :
		      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	child->shared = map;
	child->shared_size = size;
	return fd;
}

int child_start(struct child *child, const char *name, size_t shared_size, struct err *err)
{
	int socks[2], shared = -1, ret = 0;

	*child = (struct child){.sock = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return err_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	child->sock = socks[0];
	if (shared_size) {
		shared = make_shared(child, shared_size);
		ret = shared < 0 ? shared : 0;
	}
	if (!ret && fcntl(child->sock, F_SETFL, O_NONBLOCK))
		ret = -errno;
	if (!ret)
		child->pid = fork();
	if (!ret && child->pid == 0)
		become_child(name, socks[1], shared);
	if (child->pid < 0) {
		ret = -errno;
		child->pid = 0;
	}
	close(socks[1]);
	if (shared >= 0)
		close(shared);
	if (!ret)
		return 0;
	child_stop(child);
	return err_set(err, ret, "cannot start %s: %s", name, strerror(-ret));
}

void child_stop(struct child *child)
{
	if (child->pid > 0) {
		kill(child->pid, SIGKILL);
		while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (child->sock >= 0)
		close(child->sock);
	if (child->shared)
		munmap(child->shared, child->shared_size);
	*child = (struct child){.sock = -1};
}

void *child_shared(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, CHILD_SHARED, 0);

	if (map == MAP_FAILED)
		return NULL;
	close(CHILD_SHARED);
	return map;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Starting and ending the child; see child.h. */
#include "stack/child.h"

#include "stack/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "stalltop-stack"
#define HIGH_FD 16 /* above those that get a fixed number */

bool child_wanted(int argc, char **argv)
{
	return argc == 1 && strcmp(argv[0], NAME) == 0;
}

/* In the forked process, which may only make system calls. */
static void become_child(int sock, int board)
{
	char *const argv[] = {(char *)NAME, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t all;

	/* A signal of the terminal ends the agent, and that ends the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	sock = fcntl(sock, F_DUPFD_CLOEXEC, HIGH_FD);
	board = fcntl(board, F_DUPFD_CLOEXEC, HIGH_FD);
	if (sock < 0 || board < 0 || null < 0)
		_exit(1);
	for (int fd = 0; fd < WIRE_SOCKET; fd++)
		dup2(null, fd);
	dup2(sock, WIRE_SOCKET);
	dup2(board, WIRE_BOARD);
	close_range(WIRE_BOARD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	execve("/proc/self/exe", argv, environ);
	_exit(1);
}

static int make_board(struct child *child)
{
	int fd = memfd_create("stack-board", MFD_CLOEXEC);
	void *map;

	if (fd < 0)
		return -errno;
	map = ftruncate(fd, STACK_PAGE) ?
		      MAP_FAILED :
		      mmap(NULL, STACK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	child->board = map;
	child->board->module = WIRE_NONE;
	return fd;
}

int child_start(struct child *child, struct err *err)
{
	int socks[2], board, ret = 0;

	*child = (struct child){.sock = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return err_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	child->sock = socks[0];
	board = make_board(child);
	if (board < 0 || fcntl(child->sock, F_SETFL, O_NONBLOCK))
		ret = board < 0 ? board : -errno;
	if (!ret)
		child->pid = fork();
	if (!ret && child->pid == 0)
		become_child(socks[1], board);
	if (child->pid < 0) {
		ret = -errno;
		child->pid = 0;
	}
	close(socks[1]);
	if (board >= 0)
		close(board);
	if (!ret)
		return 0;
	child_stop(child);
	return err_set(err, ret, "cannot start the stack reader: %s", strerror(-ret));
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
	if (child->board)
		munmap(child->board, STACK_PAGE);
	*child = (struct child){.sock = -1};
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* System calls in words: real descriptors and addresses of our own process. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "target/syscall_detail.h"

static struct memory memory;
static struct proc self;

static uint64_t addr(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static const char *detail(struct syscall_call call)
{
	static char out[SYSCALL_DETAIL];

	memset(out, 'x', sizeof(out));
	syscall_detail(&self, &memory, &call, out, sizeof(out));
	return out;
}

static struct syscall_call live(int nr, uint64_t a, uint64_t b, uint64_t c)
{
	return (struct syscall_call){.nr = nr, .args = {a, b, c}, .live = true};
}

static void test_descriptors(void **state)
{
	char want[128];
	int fds[2], file;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	file = open("/dev/null", O_RDONLY);
	snprintf(want, sizeof(want), "fd %d: pipe:[", fds[0]);
	assert_int_equal(strncmp(detail(live(SYS_read, fds[0], 0, 0)), want, strlen(want)), 0);
	snprintf(want, sizeof(want), "fd %d: /dev/null", file);
	assert_string_equal(detail(live(SYS_flock, file, 0, 0)), want);
	/* The call is over: what the number means now need not be what it meant. */
	snprintf(want, sizeof(want), "fd %d: /dev/null now", file);
	assert_string_equal(detail((struct syscall_call){.nr = SYS_fsync, .args = {file}}), want);
	close(file);
	snprintf(want, sizeof(want), "fd %d, closed by now", file);
	assert_string_equal(detail(live(SYS_fsync, file, 0, 0)), want);
	assert_string_equal(detail(live(SYS_fsync, UINT64_MAX, 0, 0)), "");
	close(fds[0]);
	close(fds[1]);
}

static void test_sockets(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un u = {.sun_family = AF_UNIX, .sun_path = "\0stalltop-test"};
	socklen_t len = sizeof(a);
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	int local = socket(AF_UNIX, SOCK_STREAM, 0);
	char want[128];

	(void)state;
	assert_int_equal(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(server, 1), 0);
	assert_int_equal(getsockname(server, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(bind(local, (struct sockaddr *)&u, sizeof(sa_family_t) + 14), 0);
	snprintf(want, sizeof(want), "fd %d: TCP socket on 127.0.0.1:%d", server,
		 ntohs(a.sin_port));
	assert_string_equal(detail(live(SYS_accept4, server, 0, 0)), want);
	snprintf(want, sizeof(want), " to 127.0.0.1:%d", ntohs(a.sin_port));
	assert_non_null(strstr(detail(live(SYS_recvfrom, client, 0, 0)), want));
	assert_non_null(strstr(detail(live(SYS_recvfrom, client, 0, 0)), "TCP socket 127.0.0.1:"));
	assert_non_null(strstr(detail(live(SYS_accept, local, 0, 0)), "unix socket @stalltop-tes"));
	snprintf(want, sizeof(want), "to 127.0.0.1:%d", ntohs(a.sin_port));
	assert_string_equal(detail(live(SYS_connect, client, addr(&a), sizeof(a))), want);
	close(server);
	close(client);
	close(local);
}

static void test_arguments(void **state)
{
	struct timespec ts = {.tv_sec = 0, .tv_nsec = 150000000}, bad = {-1, 0};
	struct pollfd fds[2] = {{.fd = -1}};
	char path[] = "/etc/\x1b[31mred";

	(void)state;
	assert_string_equal(detail(live(SYS_clock_nanosleep, 0, 0, addr(&ts))), "150 ms");
	/* An absolute time is no duration. */
	assert_string_equal(detail(live(SYS_clock_nanosleep, 0, TIMER_ABSTIME, addr(&ts))), "");
	assert_string_equal(detail(live(SYS_nanosleep, addr(&bad), 0, 0)), "");
	assert_string_equal(detail(live(SYS_nanosleep, 16, 0, 0)), "");
	assert_string_equal(detail(live(SYS_openat, 0, addr(path), 0)), "path /etc/\\x1b[31mred");
	assert_string_equal(detail(live(SYS_wait4, 4711, 0, 0)), "process 4711");
	assert_string_equal(detail(live(SYS_wait4, UINT64_MAX, 0, 0)), "any child");
	assert_string_equal(detail(live(SYS_poll, addr(fds), 2, 0)), "2 descriptors");
	assert_string_equal(detail(live(SYS_poll, addr(fds), 1, 0)), "1 descriptor");
	fds[0].fd = 1;
	assert_int_equal(strncmp(detail(live(SYS_poll, addr(fds), 1, 0)), "fd 1: ", 6), 0);
	assert_string_equal(detail(live(SYS_getpid, 0, 0, 0)), "");
	assert_string_equal(detail(live(-1, 0, 0, 0)), "");
}

/* After the call only what was copied can be trusted; the live memory may be anything by then. */
static void test_after_the_call(void **state)
{
	static uint8_t pages[2 * 4096];
	struct timespec ts = {.tv_sec = 2};
	struct syscall_call call = {
		.nr = SYS_nanosleep,
		.args = {addr(&ts)},
		.stack = pages,
		.stack_base = 0x7f0000000000,
		.stack_present = 1,
	};

	(void)state;
	assert_string_equal(detail(call), "");
	memcpy(pages + 4000, &ts, sizeof(ts));
	call.args[0] = call.stack_base + 4000;
	assert_string_equal(detail(call), "2.00 s");
	/* Across the end of the page, in a page that is absent, and far beyond. */
	call.args[0] = call.stack_base + 4090;
	assert_string_equal(detail(call), "");
	call.args[0] = call.stack_base + 4096;
	assert_string_equal(detail(call), "");
	call.args[0] = call.stack_base + 64 * 4096;
	assert_string_equal(detail(call), "");
	call.args[0] = call.stack_base - 8;
	assert_string_equal(detail(call), "");
}

static int setup(void **state)
{
	(void)state;
	self.pid = getpid();
	return memory_open(&memory, getpid(), NULL);
}

static int teardown(void **state)
{
	(void)state;
	memory_close(&memory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_after_the_call),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

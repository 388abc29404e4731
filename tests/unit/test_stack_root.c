// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whether a thread below block_on waits for the root future, or parks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/root.h"
#include "util/syscall.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define STD(name)                                                                                  \
	{                                                                                          \
		.function = "std::" name, .origin = FRAME_STD                                      \
	}
#define RUNTIME(name)                                                                              \
	{                                                                                          \
		.function = "tokio::runtime::" name, .origin = FRAME_RUNTIME                       \
	}
#define LIBC(name)                                                                                 \
	{                                                                                          \
		.function = name, .origin = FRAME_SYSTEM                                           \
	}
#define USER(name)                                                                                 \
	{                                                                                          \
		.function = "shop::" name, .origin = FRAME_USER                                    \
	}
#define LIBRARY(name)                                                                              \
	{                                                                                          \
		.function = name, .origin = FRAME_LIBRARY                                          \
	}
#define ENTER RUNTIME("scheduler::current_thread::Context::enter")
#define BLOCK_ON RUNTIME("scheduler::current_thread::CoreGuard::block_on")

static void test_root(void **state)
{
	static const struct {
		struct frame frames[7];
		const char *syscall;
		bool blocked;
		uint32_t boundary;
	} cases[] = {
		/* As people write it: the sleep in a function of its own, and in the body of main(). */
		{{LIBC("clock_nanosleep"), STD("thread::sleep"), USER("poll_disk"), ENTER,
		  BLOCK_ON},
		 "clock_nanosleep",
		 true,
		 ROOT_NO_FRAME},
		{{LIBC("clock_nanosleep"), STD("thread::functions::sleep"), ENTER, BLOCK_ON,
		  USER("main")},
		 "clock_nanosleep",
		 true,
		 2},
		{{LIBC("read"), ENTER, BLOCK_ON, USER("main")}, "read", true, 1},
		{{LIBC("read"), LIBRARY("postgres::Client::query"), BLOCK_ON, USER("main")},
		 "read",
		 true,
		 2},
		/* A lock, and the places where runtimes wait themselves. */
		{{LIBC("syscall"), STD("sys::sync::mutex::futex::Mutex::lock_contended"), ENTER,
		  BLOCK_ON},
		 "futex",
		 true,
		 2},
		{{LIBC("syscall"), STD("sync::condvar::Condvar::wait"),
		  RUNTIME("park::Inner::park"), RUNTIME("park::CachedParkThread::block_on"),
		  USER("main")},
		 "futex",
		 false,
		 0},
		{{LIBC("epoll_wait"), LIBRARY("mio::poll::Poll::poll"), RUNTIME("io::driver::turn"),
		  BLOCK_ON, USER("main")},
		 "epoll_wait",
		 false,
		 0},
		{{LIBC("munmap"), RUNTIME("task::drop"), BLOCK_ON, USER("main")},
		 "munmap",
		 false,
		 0},
		/* A page fault; no block_on; a lock further out than the runtime. */
		{{ENTER, BLOCK_ON, USER("main")}, NULL, false, 0},
		{{LIBC("read"), ENTER, USER("main")}, "read", false, 0},
		{{LIBC("syscall"), ENTER, STD("sys::sync::mutex::futex::Mutex::lock_contended"),
		  BLOCK_ON},
		 "futex",
		 false,
		 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int nr = cases[i].syscall ? syscall_number(cases[i].syscall) : -1;
		uint32_t count = 0, boundary;

		while (count < COUNT(cases[i].frames) && cases[i].frames[count].function)
			count++;
		assert_int_equal(root_blocked(cases[i].frames, count, nr, &boundary),
				 cases[i].blocked);
		if (cases[i].blocked)
			assert_int_equal(boundary, cases[i].boundary);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_root)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

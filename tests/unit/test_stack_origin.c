// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whose code a frame is, by name, file and binary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stack/origin.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define REGISTRY "/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/"

static void test_crate(void **state)
{
	static const struct {
		const char *function, *crate;
	} cases[] = {
		{"shop::handler", "shop"},
		{"main", "main"},
		{"<shop::A as core::future::future::Future>::poll", "shop"},
		{"<tokio::runtime::task::core::Core<T,S>>::poll", "tokio"},
		{"<alloc::boxed::Box<F,A> as core::ops::function::FnOnce<Args>>::call_once",
		 "alloc"},
		{"<&mut shop::A as core::future::future::Future>::poll", "shop"},
		{"<&mut [u8] as std::io::Write>::write", "std"},
		{"<F as futures_core::future::TryFuture>::try_poll", "futures_core"},
		{"<(A,B) as shop::Both<C -> D>>::run", "shop"},
		{"", ""},
		{"<", ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *start;
		size_t len = origin_crate(cases[i].function, &start);

		assert_int_equal(len, strlen(cases[i].crate));
		assert_memory_equal(start, cases[i].crate, len);
	}
}

static void test_origin(void **state)
{
	static const struct {
		struct origin_of of;
		enum frame_origin want;
	} cases[] = {
		{{"shop::handler", NULL, "/srv/shop", true, true}, FRAME_USER},
		{{"shop::handler", "/home/me/shop/src/main.rs", "/srv/shop", true, true},
		 FRAME_USER},
		{{"std::thread::sleep", NULL, "/srv/shop", true, true}, FRAME_STD},
		{{"core::ptr::drop_in_place<shop::A>", NULL, "/srv/shop", true, true}, FRAME_STD},
		{{"__rust_begin_short_backtrace", NULL, "/srv/shop", true, false}, FRAME_STD},
		{{"stdlib::f", NULL, "/srv/shop", true, true}, FRAME_USER},
		{{"tokio::time::sleep", NULL, "/srv/shop", true, true}, FRAME_RUNTIME},
		{{"tokio_postgres::connect", NULL, "/srv/shop", true, true}, FRAME_USER},
		{{"tokio_postgres::connect", REGISTRY "tokio-postgres-0.7/src/lib.rs", "/srv/shop",
		  true, true},
		 FRAME_LIBRARY},
		{{"futures_executor::local_pool::block_on", NULL, "/srv/shop", true, true},
		 FRAME_RUNTIME},
		{{"tokio::runtime::task::raw::poll", NULL, "/srv/shop", true, true},
		 FRAME_BOUNDARY},
		{{"tokio::runtime::task::harness::Harness<T,S>::poll", NULL, "/srv/shop", true,
		  true},
		 FRAME_BOUNDARY},
		{{"<tokio::runtime::task::core::Core<T,S>>::poll", NULL, "/srv/shop", true, true},
		 FRAME_BOUNDARY},
		{{"async_task::raw::RawTask<F,T,S,M>::run", NULL, "/srv/shop", true, true},
		 FRAME_BOUNDARY},
		{{"<async_executor::AsyncCallOnDrop<Fut,Cleanup> as core::future::future::Future>::"
		  "poll",
		  NULL, "/srv/shop", true, true},
		 FRAME_RUNTIME},
		{{"async_process::driver::{{closure}}", NULL, "/srv/shop", true, true},
		 FRAME_RUNTIME},
		{{"blocking::Executor::main_loop", NULL, "/srv/shop", true, true}, FRAME_RUNTIME},
		{{"parking_lot::raw_mutex::RawMutex::lock_slow", NULL, "/srv/shop", true, true},
		 FRAME_LIBRARY},
		{{"rare::f", REGISTRY "rare-1.0.0/src/lib.rs", "/srv/shop", true, true},
		 FRAME_LIBRARY},
		{{"odd::f", "/rustc/abc/library/odd/src/lib.rs", "/srv/shop", true, true},
		 FRAME_STD},
		{{"nanosleep", NULL, "/usr/lib/x86_64-linux-gnu/libc.so.6", false, false},
		 FRAME_SYSTEM},
		{{NULL, NULL, "/usr/lib/x86_64-linux-gnu/libc.so.6", false, false}, FRAME_SYSTEM},
		{{NULL, NULL, "[vdso]", false, false}, FRAME_SYSTEM},
		{{"_start", NULL, "/srv/shop", true, false}, FRAME_SYSTEM},
		{{"sqlite3_step", NULL, "/usr/lib/libsqlite3.so.0", false, false}, FRAME_LIBRARY},
		{{"extension::f", NULL, "/app/extension.so", false, true}, FRAME_USER},
		{{"PyEval_EvalCode", NULL, "/usr/bin/python3.11", true, false}, FRAME_LIBRARY},
		{{"helper", NULL, "/srv/shop", true, false}, FRAME_USER},
		{{NULL, NULL, "/srv/shop", true, false}, FRAME_UNKNOWN},
		{{NULL, NULL, NULL, false, false}, FRAME_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum frame_origin got = origin_find(&cases[i].of);

		if (got != cases[i].want)
			fail_msg("%s: %s, not %s", cases[i].of.function, frame_origin_name(got),
				 frame_origin_name(cases[i].want));
	}
}

static void test_path(void **state)
{
	static const struct {
		const char *file, *name, *path; /* NULL: not known */
	} cases[] = {
		{"/rustc/4d91de4e48198da2e33413efdcd9cd2cc0c46688/library/std/src/thread/functions.rs",
		 "sleep", "std::thread::functions::sleep"},
		{"/rustc/x/library/core/src/ops/function.rs", "call_once<()>",
		 "core::ops::function::call_once<()>"},
		{"/rustc/x/library/std/src/sys/process/unix/mod.rs", "wait",
		 "std::sys::process::unix::wait"},
		{REGISTRY "parking_lot-0.12.3/src/raw_mutex.rs", "lock_slow",
		 "parking_lot::raw_mutex::lock_slow"},
		{REGISTRY "futures-executor-0.3.31/src/lib.rs", "block_on",
		 "futures_executor::block_on"},
		{REGISTRY "h2-0.4.6/src/proto/mod.rs", "go", "h2::proto::go"},
		{"/home/u/shop/src/db.rs", "load", NULL},
		{REGISTRY "odd-1.0.0/build.rs", "f", NULL},
		{"/rustc/x/library/std/src/readme", "f", NULL},
		{NULL, "f", NULL},
	};
	char out[96];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		bool known = origin_path(cases[i].file, cases[i].name, out, sizeof(out));

		assert_int_equal(known, cases[i].path != NULL);
		if (known)
			assert_string_equal(out, cases[i].path);
	}
	/* Too long for the room that there is: not cut. */
	assert_int_equal(origin_of_file("src/main.rs"), FRAME_USER);
	assert_int_equal(
		origin_of_file("/root/.cargo/registry/src/index.crates.io-1/tokio-1.54.1/src/"
			       "task/local.rs"),
		FRAME_RUNTIME);
	assert_int_equal(
		origin_of_file("/root/.cargo/registry/src/index.crates.io-1/hyper-1.9.0/src/"
			       "rt.rs"),
		FRAME_LIBRARY);
	assert_int_equal(origin_of_file("/rustc/90b35a6239c3d8/library/std/src/thread/mod.rs"),
			 FRAME_STD);
	assert_false(origin_path(cases[0].file, cases[0].name, out, 12));
}

/* A static program: its C library has no file of its own. */
static void test_settle(void **state)
{
	struct frame frames[] = {
		{.function = "clock_nanosleep", .origin = FRAME_USER, .from = FRAME_FROM_SYMBOL},
		{.function = "std::thread::sleep", .origin = FRAME_STD},
		{.function = "compress", .origin = FRAME_USER, .from = FRAME_FROM_SYMBOL},
		{.function = "parse",
		 .origin = FRAME_USER,
		 .from = FRAME_FROM_LINE,
		 .inlined = true},
		{.function = "std::panicking::try", .origin = FRAME_STD},
		{.function = "shop::main", .origin = FRAME_USER, .from = FRAME_FROM_SYMBOL},
		{.function = "main", .origin = FRAME_USER, .from = FRAME_FROM_SYMBOL},
		{.function = "_start", .origin = FRAME_SYSTEM, .from = FRAME_FROM_SYMBOL},
	};
	static const enum frame_origin want[] = {
		FRAME_SYSTEM, FRAME_STD,  FRAME_USER, FRAME_USER,
		FRAME_STD,    FRAME_USER, FRAME_USER, FRAME_SYSTEM,
	};

	(void)state;
	origin_settle(frames, COUNT(frames));
	for (size_t i = 0; i < COUNT(frames); i++)
		assert_int_equal(frames[i].origin, want[i]);
}

/* A static program: the C library's functions are the main program's by their names alone. */
static void test_settle_static(void **state)
{
#define C_USER .origin = FRAME_USER, .from = FRAME_FROM_SYMBOL
	struct frame park[] = {
		{.function = "syscall", C_USER},
		{.function = "parking_lot::condvar::Condvar::wait", .origin = FRAME_LIBRARY},
		{.function = "tokio::runtime::park::Inner::park", .origin = FRAME_RUNTIME},
		{.function = "main", C_USER},
	};
	struct frame driver[] = {
		{.function = "epoll_wait", C_USER},
		{.function = "tokio::runtime::io::driver::Driver::turn", .origin = FRAME_RUNTIME},
	};
	struct frame foreign[] = {
		{.function = "__lll_lock_wait", C_USER},
		{.function = "pthread_mutex_lock", C_USER},
		{.function = "read_page", C_USER},
		{.function = "sqlite3_step", C_USER},
		{.function = "rusqlite::statement::Statement::step", .origin = FRAME_LIBRARY},
		{.function = "read", C_USER},
		{.function = "shop::orders", C_USER},
	};
	/* Not innermost: a function of that name may be anybody's. */
	static const enum frame_origin want[] = {
		FRAME_SYSTEM,  FRAME_SYSTEM, FRAME_LIBRARY, FRAME_LIBRARY,
		FRAME_LIBRARY, FRAME_USER,   FRAME_USER,
	};
#undef C_USER

	(void)state;
	origin_settle(park, COUNT(park));
	assert_int_equal(park[0].origin, FRAME_SYSTEM);
	assert_int_equal(park[3].origin, FRAME_USER);
	origin_settle(driver, COUNT(driver));
	assert_int_equal(driver[0].origin, FRAME_SYSTEM);
	origin_settle(foreign, COUNT(foreign));
	for (size_t i = 0; i < COUNT(foreign); i++)
		assert_int_equal(foreign[i].origin, want[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settle_static), cmocka_unit_test(test_crate),
		cmocka_unit_test(test_origin),	      cmocka_unit_test(test_path),
		cmocka_unit_test(test_settle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rust names: demangled, made readable, shortened; with hostile input. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "target/demangle.h"

static void demangles(void **state)
{
	static const struct {
		const char *in, *out;
	} list[] = {
		{"_ZN4nine7handler28_$u7b$$u7b$closure$u7d$$u7d$17h2805b71cfea48af4E",
		 "nine::handler::{{closure}}"},
		{"_ZN4nine7handler17hfaac48ce8bdcccbfE.llvm.264856811166237046", "nine::handler"},
		{"_RINvNtNtNtCsg1uPD5dbFKM_5tokio7runtime4task3raw4pollNtCseOOWZ2EYYh_4nine6Manual"
		 "INtNtCslNYArtu3iFV_5alloc4sync3ArcNtNtNtB6_9scheduler14current_thread6HandleEEBQ_",
		 "tokio::runtime::task::raw::poll::<nine::Manual, "
		 "alloc::sync::Arc<tokio::runtime::scheduler::current_thread::Handle>>"},
	};
	char out[DEMANGLE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		assert_int_equal(demangle(list[i].in, out, sizeof(out)), 0);
		assert_string_equal(out, list[i].out);
	}
}

static void refuses_other_names(void **state)
{
	static const char *const list[] = {"",
					   "main",
					   "_Z3foov",
					   "_R",
					   "_ZN",
					   "_RNv",
					   "_ZN9999999999999999999999foo17h0123456789abcdefE",
					   "_RNvC99999999999999999999a",
					   "_RB_",
					   "_RIB0_E"};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		assert_int_equal(demangle(list[i], out, sizeof(out)), -EINVAL);
		assert_string_equal(out, "");
	}
	assert_int_equal(demangle("_ZN4nine7handler17hfaac48ce8bdcccbfE", out, 0), -EINVAL);
}

static void cuts_long_names(void **state)
{
	char out[10];

	(void)state;
	assert_int_equal(demangle("_ZN4nine7handler17hfaac48ce8bdcccbfE", out, sizeof(out)),
			 -E2BIG);
	assert_string_equal(out, "nine::han");
}

/* "B<n>_" of v0: a back reference to the n-th byte behind "_R", in base 62. */
static size_t put_backref(char *out, size_t position)
{
	static const char digits[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t n = 0;

	out[n++] = 'B';
	if (position > 62)
		out[n++] = digits[(position - 1) / 62];
	if (position > 0)
		out[n++] = digits[(position - 1) % 62];
	out[n++] = '_';
	return n;
}

/* Each tuple holds the one before twice: 2^40 pieces of output, if nobody stops it. */
static void stops_exponential_back_references(void **state)
{
	char in[1024] = "_RINvC1a1bTuuE", out[DEMANGLE_MAX];
	size_t before = strlen("INvC1a1b"), len = strlen(in);
	struct timespec a, b;

	(void)state;
	for (int level = 0; level < 40; level++) {
		size_t here = len - 2;

		in[len++] = 'T';
		len += put_backref(in + len, before);
		len += put_backref(in + len, before);
		in[len++] = 'E';
		before = here;
	}
	memcpy(in + len, "E", 2);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(demangle(in, out, sizeof(out)), -E2BIG);
	/* A tuple that holds itself. */
	demangle("_RINvC1a1bTB7_B7_B7_B7_EE", out, sizeof(out));
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true(b.tv_sec - a.tv_sec <= 1);
	assert_true(strlen(out) < sizeof(out));
}

static void survives_noise(void **state)
{
	static const char alphabet[] = "_RNvCtIEBTSAPOQDLpGFKuab01239zs{}$.<>:, 17h";
	char in[200], out[300], name[300];
	unsigned int seed = 7;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t len = 2 + (size_t)rand_r(&seed) % (sizeof(in) - 4);

		memcpy(in, round & 1 ? "_R" : "_ZN", 3);
		for (size_t i = 3 - (round & 1); i < len; i++)
			in[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		in[len] = '\0';
		demangle(in, out, sizeof(out));
		assert_true(strlen(out) < sizeof(out));
		name_readable(in, round & 2, name, (size_t)(round % 300));
		name_shorten(in, (size_t)(round % 90), out, sizeof(out));
		assert_true(strlen(out) <= (size_t)(round % 90));
	}
}

static void survives_deep_nesting(void **state)
{
	char in[DEMANGLE_MAX + 100], out[DEMANGLE_MAX];

	(void)state;
	memset(in, '<', sizeof(in) - 1);
	in[sizeof(in) - 1] = '\0';
	name_readable(in, true, out, sizeof(out));
	name_shorten(in, 30, out, sizeof(out));
	for (size_t i = 0; i + 2 < sizeof(in); i += 2)
		memcpy(in + i, "a<", 2);
	name_readable(in, true, out, sizeof(out));
	for (size_t i = 0; i + 3 < sizeof(in); i += 3)
		memcpy(in + i, "a::", 3);
	name_readable(in, true, out, sizeof(out));
	name_shorten(in, 30, out, sizeof(out));
	assert_true(strlen(out) <= 30);
}

static void reads_well(void **state)
{
	static const struct {
		const char *in, *out;
		enum name_form form;
		bool closure; /* not a future */
	} list[] = {
		{"shop::handler::{{closure}}", "shop::handler", NAME_ASYNC, false},
		{"shop::handler::{closure#0}", "shop::handler", NAME_ASYNC, false},
		{"shop::handler::{async_fn_env#0}", "shop::handler", NAME_ASYNC_FN, false},
		{"shop::spawn::{async_block_env#0}", "shop::spawn", NAME_ASYNC_BLOCK, false},
		{"shop::spawn::{async_block_env#1}", "shop::spawn::{async block#1}",
		 NAME_ASYNC_BLOCK, false},
		{"shop::main::{{closure}}::{{closure}}", "shop::main::{async block}",
		 NAME_ASYNC_BLOCK, false},
		{"shop::main::{closure#0}::{closure#2}", "shop::main::{async block#2}",
		 NAME_ASYNC_BLOCK, false},
		{"shop::main::{async_block#0}::{async_block_env#2}", "shop::main::{async block#2}",
		 NAME_ASYNC_BLOCK, false},
		{"shop::main::{closure#1}::{closure#0}", "shop::main::{closure#1}::{async block}",
		 NAME_ASYNC_BLOCK, false},
		{"shop::load::{closure_env#0}", "shop::load", NAME_CLOSURE, true},
		{"shop::load::{{closure}}", "shop::load", NAME_CLOSURE, true},
		{"shop::main::{{closure}}::{{closure}}", "shop::main::{closure}", NAME_CLOSURE,
		 true},
		{"shop::{impl#2}::run::{async_fn_env#0}", "shop::<impl>::run", NAME_ASYNC_FN,
		 false},
		{"<shop::A>::run::{closure#0}", "shop::A::run", NAME_ASYNC, false},
		{"<shop::A as shop::Job>::run::{closure#0}", "<shop::A as shop::Job>::run",
		 NAME_ASYNC, false},
		{"shop::work::<shop::A>::{closure#0}", "shop::work<shop::A>", NAME_ASYNC, false},
		{"shop::work<shop::A>::{{closure}}", "shop::work<shop::A>", NAME_ASYNC, false},
		{"shop::work::{async_fn_env#0}<shop::A>", "shop::work<shop::A>", NAME_ASYNC_FN,
		 false},
		{"core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future<Output = ()> + "
		 "core::marker::Send>>",
		 "Pin<Box<dyn Future<Output = ()> + Send>>", NAME_OTHER, false},
		{"core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future+Output = u8+"
		 "core::marker::Send>>",
		 "Pin<Box<dyn Future<Output = u8> + Send>>", NAME_OTHER, false},
		{"core::pin::Pin<alloc::boxed::Box<(dyn core::future::future::Future<Output=u8> + "
		 "core::marker::Send), alloc::alloc::Global>>",
		 "Pin<Box<dyn Future<Output = u8> + Send>>", NAME_OTHER, false},
		{"shop::Wrap<fn(alloc::string::String) -> shop::B, [u8; 4]>",
		 "shop::Wrap<fn(String) -> shop::B, [u8; 4]>", NAME_OTHER, false},
		{"std::thread::sleep", "std::thread::sleep", NAME_OTHER, false},
		{"", "", NAME_OTHER, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		char out[DEMANGLE_MAX];
		enum name_form form = name_readable(list[i].in, !list[i].closure, out, sizeof(out));

		assert_string_equal(out, list[i].out);
		assert_int_equal(form, list[i].form);
	}
}

static void shortens(void **state)
{
	static const struct {
		const char *in;
		size_t columns;
		const char *out;
	} list[] = {
		{"shop::handler", 20, "shop::handler"},
		{"shop::handler", 13, "shop::handler"},
		{"shop::work<shop::jobs::Mail, Vec<shop::jobs::Item>>", 40,
		 "shop::work<Mail, Vec<Item>>"},
		{"shop::work<shop::jobs::Mail, Vec<shop::jobs::Item>>", 20, "shop::work<..>"},
		{"shop::db::pool::refresh_all", 22, "..::pool::refresh_all"},
		{"shop::db::pool::refresh_all", 16, "..::refresh_all"},
		{"shop::db::pool::refresh_all", 8, "..sh_all"},
		{"<shop::A as shop::Job>::run_every_day", 20, "..::run_every_day"},
		{"shop::w<fn(a::B) -> c::D>", 22, "shop::w<fn(B) -> D>"},
		{"shop::caf\xc3\xa9", 10, "shop::caf\xc3\xa9"},
		{"shop::caf\xc3\xa9\xc3\xa9\xc3\xa9", 6, "..f\xc3\xa9\xc3\xa9\xc3\xa9"},
		{"abcdef", 2, ""},
		{"abcdef", 0, ""},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		size_t n = name_shorten(list[i].in, list[i].columns, out, sizeof(out));

		assert_string_equal(out, list[i].out);
		assert_int_equal(n, strlen(out));
	}
	assert_int_equal(name_shorten("abcdef", 6, out, 4), 3);
	assert_string_equal(out, "abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(demangles),
		cmocka_unit_test(refuses_other_names),
		cmocka_unit_test(cuts_long_names),
		cmocka_unit_test(stops_exponential_back_references),
		cmocka_unit_test(survives_noise),
		cmocka_unit_test(survives_deep_nesting),
		cmocka_unit_test(reads_well),
		cmocka_unit_test(shortens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

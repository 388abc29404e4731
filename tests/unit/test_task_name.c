// SPDX-License-Identifier: LGPL-2.1-or-later
/* The ladder of task names, rung by rung, over a file that has all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "elf_fixture.h"
#include "runtime/task_name_impl.h"
#include "util/xalloc.h"

#define ARC_MULTI "Arc<tokio::runtime::scheduler::multi_thread::handle::Handle>"
#define ARC_CURRENT "Arc<tokio::runtime::scheduler::current_thread::Handle>"
#define BLOCKING "tokio::runtime::blocking::schedule::BlockingSchedule"

struct expected {
	const char *name, *scheduler;
	enum site_kind kind;
	enum site_name_from from;
	enum name_form form;
	enum runtime_flavor flavor;
	bool ambiguous;
};

static const struct expected all[] = {
	{"nine::handler2", ARC_MULTI, SITE_TASK, NAME_SYMBOL, NAME_ASYNC, FLAVOR_MULTI_THREAD,
	 false},
	{"nine::Manual", ARC_MULTI, SITE_TASK, NAME_DROP_GLUE, NAME_OTHER, FLAVOR_MULTI_THREAD,
	 false},
	{"nine::handler", ARC_CURRENT, SITE_TASK, NAME_DROP_GLUE, NAME_ASYNC, FLAVOR_CURRENT_THREAD,
	 false},
	{"nine::one", ARC_MULTI, SITE_TASK, NAME_DROP_GLUE, NAME_ASYNC, FLAVOR_MULTI_THREAD, true},
	/* One symbol was kept of two types: it is true of one of them, and nobody knows which. */
	{NULL, NULL, SITE_TASK, NAME_NONE, NAME_OTHER, FLAVOR_UNKNOWN, false},
	{NULL, NULL, SITE_TASK, NAME_NONE, NAME_OTHER, FLAVOR_UNKNOWN, false},
	{"nine::main::{closure}", BLOCKING, SITE_BLOCKING, NAME_DROP_GLUE, NAME_CLOSURE,
	 FLAVOR_UNKNOWN, false},
	{"tokio::runtime::scheduler::multi_thread::worker::Launch::launch", BLOCKING, SITE_WORKER,
	 NAME_DROP_GLUE, NAME_CLOSURE, FLAVOR_UNKNOWN, false},
	{"nine::db::query", NULL, SITE_TASK, NAME_CALLEE, NAME_ASYNC, FLAVOR_UNKNOWN, false},
	{"nine::<impl>::run<nine::A>", "Arc<tokio::task::local::Shared>", SITE_TASK, NAME_DWARF,
	 NAME_ASYNC_FN, FLAVOR_LOCAL, false},
	{NULL, NULL, SITE_TASK, NAME_NONE, NAME_OTHER, FLAVOR_UNKNOWN, false},
};

#define TYPES (sizeof(all) / sizeof(all[0]))

static void check(const struct task_name *t, const struct expected *e)
{
	if (e->name)
		assert_string_equal(t->name, e->name);
	if (e->scheduler)
		assert_string_equal(t->scheduler, e->scheduler);
	else
		assert_null(t->scheduler);
	assert_int_equal(t->kind, e->kind);
	assert_int_equal(t->from, e->from);
	assert_int_equal(t->form, e->form);
	assert_int_equal(t->flavor, e->flavor);
	assert_int_equal(t->ambiguous, e->ambiguous);
}

static void name_all(const char *path, const struct task_namer_options *options, bool learn,
		     struct task_name *out)
{
	struct task_functions w[FIXTURE_VTABLES];
	struct task_namer *n = NULL;
	struct elf_file *f = NULL;

	assert_int_equal(elf_open(path, &f, NULL), 0);
	assert_int_equal(fixture_vtables(f, w), TYPES);
	assert_int_equal(task_namer_open(f, options, &n, NULL), 0);
	if (learn)
		task_namer_learn(n, w, TYPES);
	for (unsigned int i = 0; i < TYPES; i++)
		task_name_of(n, &w[i], i, &out[i]);
	task_namer_free(n);
	elf_close(f);
}

static void clear_all(struct task_name *names)
{
	for (size_t i = 0; i < TYPES; i++)
		task_name_clear(&names[i]);
}

static void climbs_the_ladder(void **state)
{
	struct task_name names[TYPES];
	struct task_namer_options options = {.dialect = &tokio_dialect, .path = NULL};
	struct fixture fx;

	(void)state;
	fixture_make(&fx, "-shared");
	options.path = fx.so;
	name_all(fx.so, &options, true, names);
	for (size_t i = 0; i < TYPES; i++)
		check(&names[i], &all[i]);
	assert_string_equal(names[0].full, "tracing::instrument::Instrumented<nine::handler2>");
	assert_string_equal(names[3].others, "nine::two");
	assert_null(names[4].others);
	assert_string_equal(names[6].full,
			    "tokio::runtime::blocking::task::BlockingTask<nine::main::{closure}>");
	assert_memory_equal(names[4].name, "task type #4 (", 14);
	assert_memory_equal(names[10].name, "task type #10 (192 B) @ tasks.so+0x", 35);
	clear_all(names);
	/* Without a look at all vtables the merged ones cannot be told. */
	name_all(fx.so, &options, false, names);
	assert_string_equal(names[4].name, "nine::Kept");
	clear_all(names);
	options.no_dwarf = true;
	name_all(fx.so, &options, true, names);
	assert_int_equal(names[9].from, NAME_NONE);
	clear_all(names);
	fixture_done(&fx);
}

static void stripped_files_keep_the_kind(void **state)
{
	struct task_name names[TYPES];
	struct task_namer_options options = {.dialect = &tokio_dialect, .path = "/opt/a\x1b[31mb"};
	struct fixture fx;

	(void)state;
	fixture_make(&fx, "-shared -s");
	name_all(fx.so, &options, true, names);
	for (size_t i = 0; i < TYPES; i++) {
		bool blocking = all[i].kind != SITE_TASK;

		assert_int_equal(names[i].from, NAME_NONE);
		assert_int_equal(names[i].kind, blocking ? SITE_BLOCKING : SITE_TASK);
		assert_false(names[i].ambiguous);
		/* The path is the target's text. */
		assert_non_null(strstr(names[i].name, "@ a\\x1b[31mb+0x"));
	}
	clear_all(names);
	fixture_done(&fx);
}

static void uses_a_separate_debug_file(void **state)
{
	struct task_name names[TYPES];
	struct task_namer_options options = {.dialect = &tokio_dialect, .path = NULL};
	struct fixture fx;

	(void)state;
	fixture_make(&fx, "-shared");
	elf_fixture_run(&fx, "objcopy --only-keep-debug tasks.so tasks.debug; strip tasks.so;"
			     "objcopy --add-gnu-debuglink=tasks.debug tasks.so");
	options.path = fx.so;
	name_all(fx.so, &options, true, names);
	for (size_t i = 0; i < TYPES; i++) {
		check(&names[i], &all[i]);
		assert_int_equal(names[i].separate_debug, all[i].from != NAME_NONE);
	}
	clear_all(names);
	fixture_done(&fx);
}

static void takes_wrappers_off(void **state)
{
	static const struct {
		const char *type, *inner;
	} list[] = {
		{"shop::handler::{{closure}}", "shop::handler::{{closure}}"},
		{"tracing::instrument::Instrumented<shop::A>", "shop::A"},
		{"tracing::instrument::Instrumented<futures_util::abortable::Abortable<shop::A>>",
		 "shop::A"},
		{"futures_util::future::future::Map<shop::A, shop::B<u8, u8>>", "shop::A"},
		{"tokio::task::task_local::TaskLocalFuture<u8, shop::A>", "shop::A"},
		{"core::pin::Pin<alloc::boxed::Box<shop::A, alloc::alloc::Global>>", "shop::A"},
		{"core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future>>",
		 "core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future>>"},
		{"tracing::instrument::Instrumented<core::pin::Pin<alloc::boxed::Box<(dyn F + S)>>>",
		 "core::pin::Pin<alloc::boxed::Box<(dyn F + S)>>"},
		{"tracing::instrument::InstrumentedX<shop::A>",
		 "tracing::instrument::InstrumentedX<shop::A>"},
		{"tracing::instrument::Instrumented<", "tracing::instrument::Instrumented<"},
		{"tracing::instrument::Instrumented<>", "tracing::instrument::Instrumented<>"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct text_span type = {list[i].type, list[i].type + strlen(list[i].type)};
		struct text_span in = task_unwrap(type);

		assert_int_equal(in.end - in.at, strlen(list[i].inner));
		assert_memory_equal(in.at, list[i].inner, strlen(list[i].inner));
	}
}

static void tells_kinds_apart(void **state)
{
	static const struct {
		const char *type, *inner;
		enum site_kind kind;
	} list[] = {
		{"shop::BlockingTask<shop::A>", "shop::BlockingTask<shop::A>", SITE_TASK},
		{"tokio::runtime::blocking::task::BlockingTask<shop::A>", "shop::A", SITE_BLOCKING},
		{"tokio::runtime::blocking::task::BlockingTask<shop::A>, S>>", "shop::A",
		 SITE_BLOCKING},
		{"tracing::instrument::Instrumented<tokio::runtime::blocking::task::BlockingTask<"
		 "shop::A>>",
		 "shop::A", SITE_BLOCKING},
		{"tokio::runtime::blocking::task::BlockingTask<<tokio::runtime::scheduler::"
		 "multi_thread::worker::Launch>::launch::{closure#0}>",
		 "<tokio::runtime::scheduler::multi_thread::worker::Launch>::launch::{closure#0}",
		 SITE_WORKER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct text_span in;

		assert_int_equal(tokio_dialect.kind_of(list[i].type, NULL, &in), list[i].kind);
		assert_int_equal(in.end - in.at, strlen(list[i].inner));
		assert_memory_equal(in.at, list[i].inner, strlen(list[i].inner));
	}
}

static void evidence_is_bounded(void **state)
{
	struct evidence e = {.n = 0};
	char text[64];

	(void)state;
	evidence_add_args(&e, "<", 0, 1, 1);
	evidence_add_args(&e, "<A", 0, 1, 1);
	evidence_add_args(&e, "<>", 0, 1, 1);
	evidence_add_args(&e, "<A, B<C>", 0, 1, 1);
	assert_int_equal(e.n, 1);
	assert_null(e.list[0].scheduler);
	evidence_add_args(&e, "<A, fn(u8) -> B>", 0, 1, 2);
	assert_int_equal(e.n, 1);
	assert_string_equal(e.list[0].scheduler, "fn(u8) -> B");
	assert_int_equal(e.list[0].votes, 3);
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "<T%d, S>", i);
		evidence_add_args(&e, text, 0, 1, 1);
	}
	assert_int_equal(e.n, EVIDENCE_MAX);
	evidence_clear(&e);
	assert_int_equal(e.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(climbs_the_ladder),
		cmocka_unit_test(stripped_files_keep_the_kind),
		cmocka_unit_test(uses_a_separate_debug_file),
		cmocka_unit_test(takes_wrappers_off),
		cmocka_unit_test(tells_kinds_apart),
		cmocka_unit_test(evidence_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* What findings say of stacks: names, advice, folded lines, stacks that are no fault. */
#include "rules_world.h"

#include <stdio.h>

#include "rules/stack.h"

#define HOME "/home/u/shop/src/"

static const struct frame sleeping[] = {
	{.function = "clock_nanosleep",
	 .binary = "/lib/libc.so.6",
	 .offset = 0xd0f3a,
	 .origin = FRAME_SYSTEM,
	 .from = FRAME_FROM_DYNSYM},
	{.function = "std::sys::pal::unix::thread::Thread::sleep",
	 .file = "/rustc/90b35a6239c3d8/library/std/src/sys/pal/unix/thread.rs",
	 .line = 240,
	 .origin = FRAME_STD,
	 .from = FRAME_FROM_LINE},
	{.function = "std::thread::sleep",
	 .binary = "/shop",
	 .offset = 0x100,
	 .origin = FRAME_STD,
	 .from = FRAME_FROM_SYMBOL},
	{.function = "shop::load_user",
	 .file = HOME "db.rs",
	 .line = 42,
	 .column = 9,
	 .inlined = true,
	 .origin = FRAME_USER,
	 .from = FRAME_FROM_LINE},
	{.function = "shop::handler", .file = HOME "main.rs", .line = 7, .origin = FRAME_USER},
	{.function = "tokio::runtime::task::raw::poll", .origin = FRAME_BOUNDARY},
	{.function = "tokio::runtime::scheduler::run", .origin = FRAME_RUNTIME},
	{.function = "std::thread::start", .origin = FRAME_STD},
	{.function = "start_thread", .origin = FRAME_SYSTEM},
};

static void block(struct world *w, uint64_t ns)
{
	world_tick(w, ns);
	world_closed(w, world_poll(w, TID_A, SITE_HANDLER, ns, ns));
	world_tick(w, 10 * MS);
}

static void test_spawn(void **state)
{
	static const struct frame spawning[] = {
		{.function = "tokio::task::spawn::spawn", .origin = FRAME_RUNTIME},
		{.function = "shop::accept",
		 .binary = "/shop",
		 .offset = 0x40,
		 .origin = FRAME_USER},
	};
	static const struct frame place = {.file = "src/main.rs",
					   .line = 12,
					   .column = 3,
					   .origin = FRAME_USER,
					   .from = FRAME_FROM_PLACE};
	static const struct frame inlined[] = {
		{.function = "async_task::runnable::spawn_unchecked", .origin = FRAME_RUNTIME},
		{.function = "async_task::raw::RawTask<F,T,S,M>::run",
		 .binary = "/shop",
		 .start = 0x80,
		 .origin = FRAME_BOUNDARY},
	};
	struct ev_stack ev = world_stack(spawning, 2);
	const struct site_stack *row;
	const struct site *site;
	const struct finding *f;
	char text[FRAME_TEXT];
	double share = 0;
	struct world w;

	(void)state;
	world_open(&w);
	site = model_site(w.m, SITE_HANDLER);
	assert_null(site_spawn(site, NULL));
	assert_string_equal(site_no_spawn(site), "no spawn of it was seen");
	APPLY(w.m, EV_SITE, w.now, 0,
	      .as_site = {.site = SITE_HANDLER, .name = "shop::handler", .no_spawns = "stripped"});
	assert_string_equal(site_no_spawn(site), "stripped");
	ev.kind = STACK_SPAWN;
	ev.span_ns = 0;
	world_send(&w, ev);
	world_send(&w, ev);
	world_send(&w, ev);
	ev.frames = &place;
	ev.frames_count = 1;
	world_send(&w, ev);
	row = site_spawn(site, &share);
	spawn_text(w.m, site, row, share, text, sizeof(text));
	assert_string_equal(text, "shop::accept (75.0 % of 4 spawns looked at)");
	/* A place without a function. */
	for (int i = 0; i < 4; i++)
		world_send(&w, ev);
	row = site_spawn(site, &share);
	spawn_text(w.m, site, row, share, text, sizeof(text));
	assert_string_equal(text, "src/main.rs:12 (62.5 % of 8 spawns looked at)");
	/* No frame of the program, but the poll that it is in. */
	APPLY(w.m, EV_BINARY, w.now, 0, .as_binary = {.path = "/shop", .runtime = "tokio"});
	APPLY(w.m, EV_SITE, w.now, 0,
	      .as_site = {.site = SITE_OTHER, .name = "shop::other", .offset = 0x80});
	ev.frames = inlined;
	ev.frames_count = 2;
	for (int i = 0; i < 16; i++)
		world_send(&w, ev);
	row = site_spawn(site, &share);
	spawn_text(w.m, site, row, share, text, sizeof(text));
	assert_string_equal(text, "a poll of shop::other (66.7 % of 24 spawns looked at)");
	/* A finding about something else has no stack for it. */
	block(&w, 20 * MS);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_null(finding_stack(w.m, f, NULL));
	assert_int_equal(finding_stacks(w.m, f), 0);
	assert_false(rule_shows_spawn(f->rule));
	assert_ptr_equal(finding_spawn(w.m, f, NULL), row);
	world_close(&w);
}

/* --- names ---------------------------------------------------------------------------- */

static void test_frames(void **state)
{
	struct frame nameless = {.binary = "/srv/shop", .offset = 0x4a2f0};
	char out[FRAME_TEXT];

	(void)state;
	frame_text(&sleeping[3], out, sizeof(out));
	assert_string_equal(out, "src/db.rs:42 in shop::load_user");
	frame_text(&sleeping[2], out, sizeof(out));
	assert_string_equal(out, "std::thread::sleep");
	frame_text(&nameless, out, sizeof(out));
	assert_string_equal(out, "shop+0x4a2f0");
	nameless.binary = NULL;
	frame_text(&nameless, out, sizeof(out));
	assert_string_equal(out, "0x4a2f0 (no mapping)");
	frame_text(NULL, out, sizeof(out));
	assert_string_equal(out, "");
}

/* --- findings ------------------------------------------------------------------------- */

static void test_message_names_the_culprit(void **state)
{
	char advice[4096], at[FRAME_TEXT];
	const struct site_stack *row;
	const struct finding *f;
	struct world w;
	double share;
	size_t len;

	(void)state;
	world_open(&w);
	block(&w, 20 * MS);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_string_equal(f->message, "shop::handler blocked tokio-runtime-w (tid 11) for "
					"20.0 ms in clock_nanosleep");
	assert_null(finding_stack(w.m, f, NULL));
	world_send(&w, world_stack(sleeping, LEN(sleeping)));
	world_run(&w, 1100 * MS, 100 * MS);
	assert_string_equal(f->message,
			    "src/db.rs:42 in shop::load_user: shop::handler blocked "
			    "tokio-runtime-w (tid 11) for 20.0 ms calling std::thread::sleep in "
			    "clock_nanosleep");
	row = finding_stack(w.m, f, &share);
	assert_int_equal(row->culprit, 3);
	assert_true(share > 0.99);
	stack_culprit_text(row, share, at, sizeof(at));
	assert_string_equal(at, "src/db.rs:42 in shop::load_user, calling std::thread::sleep "
				"(100 % of the blocked time in this type's stacks)");
	len = finding_advice(w.m, f, advice, sizeof(advice));
	assert_int_equal(len, strlen(advice));
	assert_ptr_equal(strstr(advice, "In place of std::thread::sleep: "
					"tokio::time::sleep(..).await"),
			 advice);
	assert_non_null(strstr(advice, "spawn_blocking"));
	world_close(&w);
}

/* A stack that comes later is told, once a second at most. */
static void test_revision(void **state)
{
	struct frame other[LEN(sleeping)];
	struct ev_stack stack;
	const struct finding *f;
	uint64_t revision;
	struct world w;

	(void)state;
	world_open(&w);
	block(&w, 20 * MS);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	revision = f->revision;
	world_send(&w, world_stack(sleeping, LEN(sleeping)));
	world_tick(&w, 10 * MS);
	assert_int_equal(f->revision, revision);
	world_run(&w, 1000 * MS, 100 * MS);
	assert_true(f->revision > revision);
	revision = f->revision;
	/* More of the same is nothing new. */
	world_send(&w, world_stack(sleeping, LEN(sleeping)));
	world_run(&w, 1500 * MS, 100 * MS);
	assert_int_equal(f->revision, revision);
	memcpy(other, sleeping, sizeof(other));
	other[3].line = 99;
	stack = world_stack(other, LEN(other));
	stack.span_ns = 100 * MS;
	world_send(&w, stack);
	world_run(&w, 1500 * MS, 100 * MS);
	assert_true(f->revision > revision);
	assert_non_null(strstr(f->message, "src/db.rs:99 in"));
	world_close(&w);
}

/* Of two stacks the one in the system call that the message names, were the other ten times it. */
static void test_stack_of_the_same_syscall(void **state)
{
	static const struct frame waiting[] = {
		{.function = "std::sync::mpsc::Receiver<T>::recv", .origin = FRAME_STD},
		{.function = "shop::wait", .origin = FRAME_USER},
		{.function = "tokio::runtime::task::raw::poll", .origin = FRAME_BOUNDARY},
	};
	struct ev_stack stack = world_stack(waiting, LEN(waiting));
	const struct site_stack *row;
	const struct finding *f;
	struct world w;
	double share;

	(void)state;
	world_open(&w);
	world_send(&w, world_stack(sleeping, LEN(sleeping)));
	stack.syscall = 202; /* futex */
	stack.span_ns = 200 * MS;
	world_send(&w, stack);
	block(&w, 20 * MS);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	row = finding_stack(w.m, f, &share);
	assert_int_equal(row->syscall, SYS_CLOCK_NANOSLEEP);
	assert_true(share > 0.09 && share < 0.092);
	assert_int_equal(finding_stacks(w.m, f), 2);
	world_close(&w);
}

/* Before any stack, the system call is a hint. */
static void test_advice_by_syscall(void **state)
{
	char advice[4096], small[20];
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	block(&w, 20 * MS);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	finding_advice(w.m, f, advice, sizeof(advice));
	assert_ptr_equal(strstr(advice, "In place of the system call clock_nanosleep: "
					"tokio::time::sleep"),
			 advice);
	assert_int_equal(finding_advice(w.m, f, small, sizeof(small)), sizeof(small) - 1);
	world_close(&w);
}

static void advises(const char *function, const char *words)
{
	const struct frame frames[] = {
		{.function = "syscall", .origin = FRAME_SYSTEM},
		{.function = function, .origin = FRAME_LIBRARY},
		{.function = "shop::load_user", .origin = FRAME_USER},
		{.function = "tokio::runtime::task::raw::poll", .origin = FRAME_BOUNDARY},
	};
	struct ev_stack stack = world_stack(frames, LEN(frames));
	const struct finding *f;
	char advice[4096];
	struct world w;

	world_open(&w);
	block(&w, 20 * MS);
	stack.syscall = -1;
	world_send(&w, stack);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	finding_advice(w.m, f, advice, sizeof(advice));
	if (words ? !strstr(advice, words) : strstr(advice, "In place of") != NULL)
		fail_msg("%s: %s", function, advice);
	world_close(&w);
}

static void test_well_known_calls(void **state)
{
	(void)state;
	advises("std::fs::read_to_string::<&str>", "tokio::fs, with");
	advises("<std::fs::File as std::io::Read>::read", "tokio::fs::File with");
	advises("<std::fs::File>::sync_all", "sync_all().await");
	advises("<std::net::tcp::TcpStream as std::io::Read>::read", "AsyncReadExt");
	advises("std::net::tcp::TcpStream::connect::<(&str, u16)>", "TcpStream::connect(..)");
	advises("<(&str, u16) as std::net::socket_addr::ToSocketAddrs>::to_socket_addrs",
		NULL); /* the type is no path: no name to match, no invented advice */
	advises("std::net::lookup_host", "hickory");
	advises("<std::process::Child>::wait", "tokio::process::Command");
	advises("std::sync::poison::mutex::Mutex<T>::lock", "tokio::sync::Mutex");
	advises("<std::sync::mpsc::Receiver<u8>>::recv", "recv().await (smol::channel)");
	advises("lock_api::mutex::Mutex<R,T>::lock", "tokio::sync::Mutex");
	advises("futures_executor::local_pool::block_on", "the future itself");
	advises("tokio::runtime::runtime::Runtime::block_on", "Handle::spawn");
	advises("<tokio::sync::mutex::Mutex<u8>>::blocking_lock", "of the same lock");
	advises("reqwest::blocking::client::Client::execute", "reqwest::Client, and");
	advises("rusqlite::statement::Statement::query", "tokio-rusqlite");
	advises("flock", "try_lock");
	advises("std::thread::sleep", "tokio::time::sleep");
	advises("std::thread::functions::sleep", "tokio::time::sleep");
	/* A word that only begins like one. */
	advises("std::thread::sleepy", NULL);
	advises("flocking", NULL);
}

static void test_starvation_blames_the_culprit_stack(void **state)
{
	const struct finding *f = NULL;
	struct world w;

	(void)state;
	world_open(&w);
	world_send(&w, world_stack(sleeping, LEN(sleeping)));
	w.held = 3;
	for (int i = 0; i < 40; i++) {
		w.busy[0] += 100 * MS;
		w.busy[1] += 100 * MS;
		world_stats(&w, (struct ev_site_stats){.site = SITE_HANDLER,
						       .busy_ns = w.busy[0] + w.busy[1]});
		APPLY(w.m, EV_READY, w.now, 0,
		      .as_ready = {.site = SITE_OTHER, .task_id = 9, .waited_ns = 600 * MS});
		world_tick(&w, 100 * MS);
	}
	f = world_find(&w, "starvation", ID_NONE);
	assert_non_null(f);
	assert_int_equal(f->culprit, SITE_HANDLER);
	assert_ptr_equal(strstr(f->message, "src/db.rs:42 in shop::load_user: ready tasks wait "),
			 f->message);
	assert_non_null(strstr(f->message, " calling std::thread::sleep"));
	world_close(&w);
}

/* --- no fault ----------------------------------------------------------------------------- */

static const struct frame in_place[] = {
	{.function = "clock_nanosleep", .origin = FRAME_SYSTEM},
	{.function = "std::thread::sleep", .origin = FRAME_STD},
	{.function = "shop::load_user", .origin = FRAME_USER},
	{.function = "tokio::runtime::context::runtime_mt::exit_runtime::<shop::F, ()>",
	 .origin = FRAME_RUNTIME},
	{.function = "tokio::task::blocking::block_in_place::<shop::F, ()>",
	 .origin = FRAME_RUNTIME},
	{.function = "shop::handler", .origin = FRAME_USER},
	{.function = "tokio::runtime::task::raw::poll", .origin = FRAME_BOUNDARY},
};

static void test_block_in_place_is_no_fault(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_send(&w, world_stack(in_place, LEN(in_place)));
	block(&w, 200 * MS);
	assert_int_equal(world_count(&w), 0);
	/* A real fault of the same type counts, and its stack is the one that is shown. */
	world_send(&w, world_stack(sleeping, LEN(sleeping)));
	block(&w, 200 * MS);
	assert_int_equal(world_count(&w), 1);
	assert_non_null(
		strstr(world_find(&w, "blocking-call", SITE_HANDLER)->message, "src/db.rs:42"));
	world_close(&w);
}

/* The stack came after the poll: what was said is withdrawn. */
static void test_withdrawn(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	block(&w, 200 * MS);
	assert_int_equal(world_count(&w), 1);
	world_send(&w, world_stack(in_place, LEN(in_place)));
	world_tick(&w, 10 * MS);
	assert_int_equal(world_count(&w), 0);
	world_run(&w, 2 * SEC, 100 * MS);
	assert_int_equal(world_count(&w), 0);
	world_close(&w);
}

/* A stack on the CPU says nothing of what blocks. */
static void test_other_kind_exempts_nothing(void **state)
{
	struct ev_stack stack = world_stack(in_place, LEN(in_place));
	struct world w;

	(void)state;
	world_open(&w);
	stack.kind = STACK_ON_CPU;
	world_send(&w, stack);
	block(&w, 200 * MS);
	assert_int_equal(world_count(&w), 1);
	world_close(&w);
}

/* --- lines ---------------------------------------------------------------------------------- */

struct shown {
	char s[8192];
	int lines;
};

static void add_line(void *ctx, enum stack_line kind, const char *line)
{
	static const char marks[] = {'|', '>', '~', '!'};
	struct shown *text = ctx;
	size_t len = strlen(text->s);

	snprintf(text->s + len, sizeof(text->s) - len, "%c%s\n", marks[kind], line);
	text->lines++;
}

/* The place of a count is for the rule that asks for it, and for no other. */
static void test_refcount(void **state)
{
	const struct frame place[] = {
		{.function = "alloc::sync::Arc::clone", .inlined = true, .origin = FRAME_STD},
		{.function = "shop::price", .origin = FRAME_USER}};
	struct ev_stack stack = world_stack(place, LEN(place));
	struct shown lines = {0};
	const struct finding *found;
	struct world w;

	(void)state;
	world_open(&w);
	world_rule(&w, "{\"id\":\"counts\",\"title\":\"t\",\"why\":\"w\",\"advice\":\"a\","
		       "\"stack\":\"refcount\",\"cases\":[{\"scope\":\"site\",\"severity\":["
		       "{\"level\":\"info\",\"when\":[{\"field\":\"target.runtimes\",\"op\":\">\","
		       "\"value\":0}]}],\"message\":\"at {at}\"}]}");
	stack.kind = STACK_REFCOUNT;
	stack.end = STACK_ABSENT;
	world_send(&w, stack);
	block(&w, 200 * MS);
	world_stats(&w, (struct ev_site_stats){.polls = 1});
	world_tick(&w, 100 * MS);
	found = world_find(&w, "counts", SITE_HANDLER);
	assert_non_null(found);
	assert_string_equal(found->message, "at shop::price");
	stack_lines(finding_stack(w.m, found, NULL), false, add_line, &lines);
	assert_null(strstr(lines.s, "ends here"));
	assert_null(finding_stack(w.m, world_find(&w, "blocking-call", SITE_HANDLER), NULL));
	world_close(&w);
}

static void lines_of(const struct frame *frames, uint32_t count, bool full, enum stack_end end,
		     struct shown *text)
{
	struct ev_stack stack = world_stack(frames, count);
	struct world w;

	memset(text, 0, sizeof(*text));
	stack.end = end;
	world_open(&w);
	world_send(&w, stack);
	stack_lines(model_stack(model_site(w.m, SITE_HANDLER), STACK_OFF_CPU, NULL), full, add_line,
		    text);
	world_close(&w);
}

static void test_folded(void **state)
{
	struct shown text;

	(void)state;
	lines_of(sleeping, LEN(sleeping), false, STACK_COMPLETE, &text);
	assert_string_equal(text.s, "~... 2 frames of std, the system\n"
				    "|std::thread::sleep  shop+0x100 (symbol)\n"
				    ">shop::load_user  src/db.rs:42:9 (inlined)\n"
				    "|shop::handler  src/main.rs:7\n"
				    "~... 4 frames of std, the system, the runtime\n");
	lines_of(sleeping, LEN(sleeping), true, STACK_UNSURE, &text);
	assert_int_equal(text.lines, LEN(sleeping) + 1);
	assert_non_null(strstr(text.s, "|clock_nanosleep  libc.so.6+0xd0f3a (export)\n"
				       "|std::sys::pal::unix::thread::Thread::sleep  "
				       "library/std/src/sys/pal/unix/thread.rs:240\n"));
	assert_non_null(strstr(text.s, "!(ends here: no unwind information covers the next "
				       "frame)\n"));
}

/* However deep a recursion is, the culprit is there and the text is short. */
static void test_folded_is_short(void **state)
{
	struct frame frames[FRAMES_MAX];
	struct shown text;

	(void)state;
	for (uint32_t i = 0; i < FRAMES_MAX; i++)
		frames[i] = (struct frame){.function = i % 2 ? "lib::a" : "lib::b",
					   .binary = "/shop",
					   .offset = i,
					   .origin = i == 60 ? FRAME_USER :
						     i < 60  ? FRAME_LIBRARY :
							       FRAME_USER};
	for (uint32_t i = 0; i < FRAMES_MAX; i += 3)
		frames[i].origin = i == 60 ? FRAME_USER : FRAME_STD;
	frames[FRAMES_MAX - 1].origin = FRAME_BOUNDARY;
	lines_of(frames, FRAMES_MAX, false, STACK_LIMIT, &text);
	assert_true(text.lines <= STACK_FOLDED_MAX);
	assert_non_null(strstr(text.s, "\n>lib::b"));
	assert_non_null(strstr(text.s, "more frames than are kept"));
}

/* --- rule files -------------------------------------------------------------------------------- */

#define RULE(more)                                                                                 \
	"{\"id\":\"mine\",\"title\":\"t\",\"why\":\"w\",\"advice\":\"a\",\"cases\":[{\"scope\":"   \
	"\"poll\",\"message\":\"{at} {call}\",\"severity\":[{\"level\":\"warning\",\"when\":[{"    \
	"\"field\":\"poll.blocked\",\"op\":\">=\",\"value\":\"10ms\"}]}]}]" more "}"

static void test_rule_files(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{RULE(",\n\"stack\":\"off_cpu\""), NULL},
		{RULE(",\n\"stack\":\"off-cpu\""), "2:9: unknown kind of stack"},
		{RULE(",\n\"stack\":true"), "2:9: \"stack\" needs text"},
		{RULE(",\"stack\":\"any\",\n\"calls\":\"blocking-call\""), NULL},
		{RULE(",\"stack\":\"any\",\n\"calls\":\"no-such\""), "2:9: no rule \"no-such\""},
		{RULE(",\n\"calls\":[]"), "2:1: \"calls\" needs stacks"},
		{RULE(",\"stack\":\"any\",\n\"calls\":3"), "2:9: \"calls\" needs a list"},
		{RULE(",\"stack\":\"any\",\"calls\":[\n{\"advice\":\"x\"}]"), "2:1: no call"},
		{RULE(",\"stack\":\"any\",\"calls\":[\n{\"call\":[\"x\"]}]"),
		 "2:1: \"advice\" is missing"},
		{RULE(",\"stack\":\"any\",\"calls\":[\n{\"call\":[1],\"advice\":\"x\"}]"),
		 "2:10: this entry needs text"},
		{RULE(",\"stack\":\"any\",\"calls\":[\n{\"syscall\":[\"nap\"],\"advice\":\"x\"}]"),
		 "2:13: no system call \"nap\""},
		{RULE(",\"stack\":\"any\",\"calls\":[\n{\"call\":[\"x\"],\"advice\":\"x\",\"runtime\":7}]"),
		 "2:38: \"runtime\" needs text"},
		{RULE(",\"stack\":\"any\",\"calls\":[\n{\"syscall\":[7],\"advice\":\"x\"}]"),
		 "2:13: this entry needs text"},
		{RULE(",\"stack\":\"any\",\n\"only_calls\":true"), "2:1: \"only_calls\" needs"},
		{RULE(",\n\"only_calls\":false"), NULL},
		{RULE(",\"stack\":\"any\",\"calls\":\"nested-runtime\",\"only_calls\":\"foreign\""),
		 NULL},
		{RULE(",\"stack\":\"any\",\"calls\":\"nested-runtime\",\n\"only_calls\":\"mine\""),
		 "2:14: unknown calls"},
		{RULE(",\"stack\":\"any\",\"calls\":\"nested-runtime\",\n\"only_calls\":3"),
		 "2:14: \"only_calls\" needs text"},
		{RULE(",\"stack\":\"any\",\"calls\":\"blocking-call\",\"only_calls\":true"), NULL},
		{RULE(",\"exempt\":{\n\"frames\":[\"x\"]}"), "2:1: \"frames\" needs stacks"},
		{RULE(",\"stack\":\"any\",\"exempt\":{\"frames\":[\"x\"]}"), NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rules *rules;
		uint64_t loaded = 0;
		struct err err = {0};
		int ret;

		assert_int_equal(rules_load_builtin(&rules, &err), 0);
		ret = rules_add_text(rules, "f.json", rows[i].text, strlen(rows[i].text), &loaded,
				     &err);
		if (!ret)
			ret = rules_resolve(rules, &err);
		if (!ret != !rows[i].want || (ret && !strstr(err.msg, rows[i].want)))
			fail_msg("%s: %s", rows[i].text, err.msg);
		rules_free(rules);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spawn),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_message_names_the_culprit),
		cmocka_unit_test(test_revision),
		cmocka_unit_test(test_stack_of_the_same_syscall),
		cmocka_unit_test(test_advice_by_syscall),
		cmocka_unit_test(test_well_known_calls),
		cmocka_unit_test(test_starvation_blames_the_culprit_stack),
		cmocka_unit_test(test_block_in_place_is_no_fault),
		cmocka_unit_test(test_withdrawn),
		cmocka_unit_test(test_other_kind_exempts_nothing),
		cmocka_unit_test(test_refcount),
		cmocka_unit_test(test_folded),
		cmocka_unit_test(test_folded_is_short),
		cmocka_unit_test(test_rule_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

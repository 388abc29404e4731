// SPDX-License-Identifier: LGPL-2.1-or-later
/* See sink_fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sink_fixture.h"

#define NS_PER_SEC UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NANOSLEEP 230 /* clock_nanosleep */

/* Takes the place of the built-in rule, so that no word of its text matters here. */
static const char rule[] =
	"{\"id\": \"blocking-call\", \"title\": \"A poll blocks\", \"why\": \"Others wait.\",\n"
	" \"cases\": [{\"scope\": \"poll\", \"severity\": [\n"
	"  {\"level\": \"warning\", \"when\": [\n"
	"   {\"field\": \"poll.blocked\", \"op\": \">=\", \"value\": \"10ms\"}]},\n"
	"  {\"level\": \"critical\", \"when\": [\n"
	"   {\"field\": \"poll.blocked\", \"op\": \">=\", \"value\": \"100ms\"}]}],\n"
	" \"message\": \"{site} blocks its worker\"}],\n"
	" \"stack\": \"off_cpu\", \"calls\": [\n"
	"  {\"call\": [\"std::thread::sleep\"], \"advice\": \"sleep().await\"}],\n"
	" \"advice\": \"Move the call to a thread of its own, away from the workers, so that no other "
	"task has to wait for it; this line is long enough to be wrapped.\"}\n";

static void load_rules(struct fixture *f)
{
	char path[] = "/tmp/stalltop-rule-XXXXXX.json";
	int fd = mkstemps(path, 5);
	struct err err = {0};

	assert_true(fd >= 0);
	assert_int_equal(write(fd, rule, sizeof(rule) - 1), sizeof(rule) - 1);
	close(fd);
	assert_int_equal(rules_load_builtin(&f->rules, &err), 0);
	if (rules_load_path(f->rules, path, &err))
		fail_msg("%s", err.msg);
	unlink(path);
}

static void announce_sites(struct fixture *f)
{
	static const char *const names[] = {
		[FIXTURE_CHECKOUT] = "shop::checkout (async fn)",
		[FIXTURE_CART] = "shop::cart::Löschen<日本>",
		[FIXTURE_HOSTILE] = "bad\033[2J\xff name\n",
	};

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		fixture_apply(f, (struct event){.kind = EV_SITE,
						.as_site = {.site = i,
							    .binary = 0,
							    .kind = SITE_TASK,
							    .name = names[i],
							    .name_from = NAME_SYMBOL,
							    .size = 192,
							    .offset = 0x1000 + i}});
}

void fixture_open(struct fixture *f, const char *command, const char *comm)
{
	fixture_open_with(f, command, comm, NULL);
}

void fixture_open_with(struct fixture *f, const char *command, const char *comm, struct sink *sink)
{
	*f = (struct fixture){.model = model_new(), .now = FIXTURE_BEGIN, .sink = sink};
	load_rules(f);
	f->snap = (struct snapshot){
		.model = f->model, .rules = f->rules, .command = command, .host = "box"};
	f->out = open_memstream(&f->text, &f->size);
	assert_non_null(f->out);
	fixture_apply(f, (struct event){.kind = EV_TARGET,
					.as_target = {.pid = FIXTURE_PID,
						      .start_time = FIXTURE_BIG,
						      .comm = comm,
						      .exe = "/srv/shop",
						      .build_id = "c0ffee",
						      .cpus = 2}});
	fixture_apply(f, (struct event){.kind = EV_BINARY,
					.as_binary = {.path = "/srv/shop",
						      .runtime = "tokio",
						      .version = "1.54.1",
						      .task_types = 3}});
	fixture_apply(f, (struct event){.kind = EV_RUNTIME,
					.as_runtime = {.flavor = FLAVOR_MULTI_THREAD,
						       .handle = 0x7f0000001000,
						       .workers = 2}});
	announce_sites(f);
}

void fixture_close(struct fixture *f)
{
	fclose(f->out);
	free(f->text);
	rules_free(f->rules);
	model_free(f->model);
}

void fixture_apply(struct fixture *f, struct event event)
{
	event.time_ns = f->now;
	if (f->sink)
		assert_int_equal(f->sink->ops->event(f->sink, &event), 0);
	assert_int_equal(model_apply(f->model, &event), 0);
}

void fixture_tick(struct fixture *f)
{
	fixture_apply(f, (struct event){.kind = EV_TICK});
	rules_eval(f->rules, f->model);
	if (f->sink)
		assert_int_equal(f->sink->ops->snapshot(f->sink, &f->snap), 0);
}

/* Worker `i` has run for `ns`: the first polls half of the time, the second is parked. */
static void thread(struct fixture *f, uint32_t i, uint64_t ns)
{
	struct ev_thread t = {
		.tid = 4243 + i,
		.comm = "tokio-worker",
		.runtime = 0,
		.state = i ? THREAD_PARKED : THREAD_SEARCHING,
		.worker = true,
		.since_ns = f->now - 250 * NS_PER_MS,
		.site = ID_NONE,
		.syscall = -1,
		.first_ns = FIXTURE_BEGIN,
		.polls = i ? 0 : ns / NS_PER_MS,
		.busy_ns = i ? 0 : ns / 2,
		.searching_ns = i ? 0 : ns / 2,
		.parked_ns = i ? ns : 0,
	};

	fixture_apply(f, (struct event){.kind = EV_THREAD, .as_thread = t});
}

void fixture_run(struct fixture *f, unsigned int seconds)
{
	uint64_t hist[HIST_BUCKETS] = {0};

	while (seconds--) {
		uint64_t ns;

		f->now += NS_PER_SEC;
		ns = f->now - FIXTURE_BEGIN;
		thread(f, 0, ns);
		thread(f, 1, ns);
		hist[hist_bucket(500000)] = ns / NS_PER_MS;
		fixture_apply(f, (struct event){.kind = EV_SITE_STATS,
						.as_site_stats = {.site = FIXTURE_CART,
								  .polls = ns / NS_PER_MS,
								  .busy_ns = ns / 2,
								  .max_ns = 500000,
								  .seen = 7,
								  .ended = 5,
								  .tasks_valid = true,
								  .hist = hist}});
		fixture_tick(f);
	}
}

void fixture_block(struct fixture *f, uint32_t site, uint64_t task, unsigned int ms)
{
	uint64_t ns = ms * NS_PER_MS;

	fixture_apply(f, (struct event){.kind = EV_POLL,
					.as_poll = {.tid = 4243,
						    .runtime = 0,
						    .site = site,
						    .task_id = task,
						    .start_ns = f->now - ns,
						    .length_ns = ns,
						    .blocked_ns = ns,
						    .worst_block_ns = ns,
						    .syscall = NANOSLEEP}});
}

static const struct frame frames[] = {
	{.binary = "/lib/libc.so.6", .offset = FIXTURE_BIG, .origin = FRAME_SYSTEM},
	{.function = "std::thread::sleep",
	 .binary = "/srv/shop",
	 .offset = 0x1000,
	 .origin = FRAME_STD,
	 .from = FRAME_FROM_SYMBOL},
	{.function = "shop::load_user",
	 .file = "/home/u/shop/src/db.rs",
	 .line = 42,
	 .column = 9,
	 .binary = "/srv/shop",
	 .offset = 0x2000,
	 .inlined = true,
	 .origin = FRAME_USER,
	 .from = FRAME_FROM_LINE},
	{.function = "tokio::runtime::task::raw::poll",
	 .binary = "/srv/shop",
	 .offset = 0x2000,
	 .origin = FRAME_BOUNDARY,
	 .from = FRAME_FROM_DWARF},
};

void fixture_spawn(struct fixture *f, uint32_t site)
{
	fixture_apply(f, (struct event){.kind = EV_STACK,
					.as_stack = {.tid = 4243,
						     .runtime = ID_NONE,
						     .site = site,
						     .kind = STACK_SPAWN,
						     .syscall = -1,
						     .end = STACK_UNSURE,
						     .frames = frames,
						     .frames_count = 4}});
}

void fixture_stack(struct fixture *f, uint32_t site, unsigned int ms)
{
	fixture_apply(f, (struct event){.kind = EV_STACK,
					.as_stack = {.tid = 4243,
						     .site = site,
						     .kind = STACK_OFF_CPU,
						     .span_ns = ms * NS_PER_MS,
						     .syscall = NANOSLEEP,
						     .detail = "fd 7: pipe\033",
						     .end = STACK_UNSURE,
						     .frames = frames,
						     .frames_count = 4,
						     .kernel = "futex_do_wait futex_wait"}});
}

const char *fixture_text(struct fixture *f)
{
	fflush(f->out);
	return f->text;
}

/* cmocka cuts its messages: the text goes out on its own. */
static void check_text(struct fixture *f, const char *text, bool want)
{
	if ((strstr(fixture_text(f), text) != NULL) == want)
		return;
	fprintf(stderr, "%s", f->text);
	fail_msg("%s above: \"%s\"", want ? "missing" : "unwanted", text);
}

void fixture_has(struct fixture *f, const char *want)
{
	check_text(f, want, true);
}

void fixture_has_not(struct fixture *f, const char *unwanted)
{
	check_text(f, unwanted, false);
}

void fixture_overhead(struct fixture *f)
{
	fixture_apply(f,
		      (struct event){.kind = EV_OVERHEAD,
				     .as_overhead = {
					     .rounds = 12,
					     .probed_ns = 4800000000,
					     .without_ns = 4800000000,
					     .polls = 6000000,
					     .polls_cpu_ns = 4740000000,
					     .by = {{OVERHEAD_KNOWN, 982000000, 987500000, 1005601,
						     980000, 1031000},
						    {OVERHEAD_UNSEEN, -1, -1, -1, -1, -1},
						    {OVERHEAD_KNOWN, 11250000000, 1250000000,
						     111111, 109000, 113500},
						    {OVERHEAD_LITTLE, 87289, 790000, -1, -1, -1}},
				     }});
}

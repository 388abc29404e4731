// SPDX-License-Identifier: LGPL-2.1-or-later
/* The programs of the screen tests; see tui_script.h. */
#include "tui_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ULL
#define TICK_NS (100 * MS)
#define CLOCK_NANOSLEEP 230

static void apply(struct script *s, struct event event)
{
	int rc;

	event.time_ns = s->now;
	rc = model_apply(s->model, &event);
	if (rc) {
		fprintf(stderr, "event %s refused: %d\n", event_kind_name(event.kind), rc);
		exit(9);
	}
}

#define EVENT(kind_, member, ...)                                                                  \
	apply(s, (struct event){.kind = EV_##kind_, .member = {__VA_ARGS__}})

static const char *site_name(const struct script *s, uint32_t i, char *out, size_t size)
{
	static const char *const shop[] = {
		"shop::checkout::handle_order::{async fn}",
		"shop::catalog::search::{async fn}",
		"shop::metrics::flush::{async fn}",
		"hyper::server::conn::http1::UpgradeableConnection<TokioIo<TcpStream>, "
		"shop::router::Service<shop::middleware::Trace<shop::middleware::Auth>>>",
		"shop::report::render::{closure}",
		"tokio worker loop",
	};
	static const char *const hostile[] = {
		"evil\x1b[31mred\x1b]0;title\x07 name",
		"tabs\tand\nnewlines\r",
		"wide 漢字かな交じり文の型名::ハンドラ::処理",
		"zalgo Z\xcc\x81\xcc\x82\xcc\x83\xcc\x84\xcc\x85\xcc\x86 end, bad \xff\xfe\xc0\x80 end",
		"bidi \xe2\x80\xae"
		"drowssap\xe2\x80\xac c1 \xc2\x9b"
		"31m",
		"worker",
	};

	if (!strcmp(s->name, "stripped")) {
		snprintf(out, size, "task type #%u (%u B) @ shop+0x%x", 2 + i * 7, 192 + 64 * i,
			 0x1de97f + 256 * i);
		return out;
	}
	if (i < 6)
		return strcmp(s->name, "hostile") ? shop[i] : hostile[i];
	snprintf(out, size, "shop::generated::module_%u::task_%u::{async block}", i % 17, i);
	return out;
}

/*
 * Of the script "sampled": a busy program with a runtime for each thread, like an actix server, whose
 * probes cost more than the budget; from then on types are sampled and the level is lowered.
 */
#define SAMPLED_FROM 20 /* ticks */
#define LOCAL_RUNTIMES 3

static bool is_sampled(const struct script *s)
{
	return !strcmp(s->name, "sampled") && s->tick >= SAMPLED_FROM;
}

static void announce_local(struct script *s)
{
	for (uint32_t i = 0; i < LOCAL_RUNTIMES; i++)
		EVENT(RUNTIME, as_runtime, .runtime = 2 + i, .binary = 0, .flavor = FLAVOR_LOCAL,
		      .handle = 0x7f0000002000 + 4096 * i, .workers = 1);
}

/* Of the script "two": another process, with one site and one worker, that does nothing wrong. */
#define SECOND_SITE 6

static void announce_second(struct script *s)
{
	const struct event events[] = {
		{.kind = EV_TARGET,
		 .target = 1,
		 .as_target = {.pid = 4343,
			       .start_time = 78,
			       .comm = "billing",
			       .exe = "/bin/billing",
			       .cpus = 4}},
		{.kind = EV_BINARY,
		 .target = 1,
		 .as_binary = {.binary = 1,
			       .path = "/bin/billing",
			       .runtime = "tokio",
			       .version = "1.40.0",
			       .task_types = 1}},
		{.kind = EV_RUNTIME,
		 .target = 1,
		 .as_runtime = {.runtime = 1,
				.binary = 1,
				.flavor = FLAVOR_CURRENT_THREAD,
				.workers = 1}},
		{.kind = EV_SITE,
		 .target = 1,
		 .as_site = {.site = SECOND_SITE,
			     .binary = 1,
			     .kind = SITE_TASK,
			     .name = "billing::invoice::{async fn}",
			     .size = 512}},
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		apply(s, events[i]);
}

static void report_second(struct script *s)
{
	static uint64_t hist[HIST_BUCKETS];
	const struct ev_thread thread = {.tid = 4343,
					 .comm = "billing",
					 .runtime = 1,
					 .state = THREAD_PARKED,
					 .worker = true,
					 .since_ns = s->now - 5 * MS,
					 .site = ID_NONE,
					 .syscall = -1,
					 .first_ns = SCRIPT_START_NS,
					 .polls = s->tick * 10,
					 .busy_ns = s->tick * 40 * MS,
					 .parked_ns = s->tick * 60 * MS};

	hist[hist_bucket(4 * MS)] += 10;
	apply(s, (struct event){.kind = EV_SITE_STATS,
				.target = 1,
				.as_site_stats = {.site = SECOND_SITE,
						  .polls = s->tick * 10,
						  .busy_ns = s->tick * 40 * MS,
						  .max_ns = 4 * MS,
						  .hist = hist}});
	apply(s, (struct event){.kind = EV_THREAD, .target = 1, .as_thread = thread});
}

void script_announce(struct script *s)
{
	bool many = !strcmp(s->name, "many"), stripped = !strcmp(s->name, "stripped");
	char name[128];

	s->sites = many ? SITES_MAX : 6;
	s->threads = many ? THREADS_MAX : 5;
	s->tasks = many ? 20000 : 12;
	EVENT(TARGET, as_target, .pid = 4242, .start_time = 77, .comm = "shop",
	      .exe = "/usr/local/bin/shop", .build_id = "c0ffee", .cpus = 4);
	EVENT(BINARY, as_binary, .binary = 0, .path = "/usr/local/bin/shop", .runtime = "tokio",
	      .version = "1.54.1", .task_types = s->sites);
	EVENT(RUNTIME, as_runtime, .runtime = 0, .binary = 0, .flavor = FLAVOR_MULTI_THREAD,
	      .handle = 0x7f0000001000, .workers = (int32_t)s->threads - 1);
	for (uint32_t i = 0; i < s->sites; i++) {
		EVENT(SITE, as_site, .site = i, .binary = 0,
		      .kind = i == 4 ? SITE_BLOCKING :
			      i == 5 ? SITE_WORKER :
				       SITE_TASK,
		      .name = site_name(s, i, name, sizeof(name)),
		      .name_from = stripped ? NAME_NONE : NAME_DROP_GLUE,
		      .ambiguous = i == 3 && !stripped, .size = 192 + 64 * i,
		      .offset = 0x43c80 + 256 * i);
		s->stats[i] = (struct ev_site_stats){
			.site = i, .tasks_valid = true, .sampled = i == 1, .hist = s->hist[i]};
		/* Of the script "wakes": a wake leads to its poll after as long as that takes. */
		if (!strcmp(s->name, "wakes"))
			s->stats[i].delay_hist = s->hist[i];
	}
	for (uint32_t i = 0; i < s->threads; i++) {
		struct thread *t = &s->thread[i];

		snprintf(t->comm, sizeof(t->comm), "tokio-rt-worker");
		t->ev = (struct ev_thread){.tid = stripped && i == 4 ? 4242 : 4300 + i,
					   .comm = t->comm,
					   .worker = i != 4 || many,
					   .site = ID_NONE,
					   .syscall = -1,
					   .first_ns = s->now,
					   .state = THREAD_PARKED,
					   .since_ns = s->now};
	}
	if (!strcmp(s->name, "two"))
		announce_second(s);
	if (!strcmp(s->name, "sampled"))
		announce_local(s);
	EVENT(NOTE, as_note, .severity = NOTE_INFO, .text = "14 probes at 6 sites, level 2");
}

static void count_polls(struct script *s, uint32_t site, uint64_t polls, uint64_t length)
{
	struct ev_site_stats *st = &s->stats[site];

	st->polls += polls;
	st->busy_ns += polls * length;
	st->seen += polls / 10;
	st->ended += polls / 10;
	if (length > st->max_ns)
		st->max_ns = length;
	if (st->delay_hist)
		st->delay_max_ns = st->max_ns;
	s->hist[site][hist_bucket(length)] += polls;
}

/* The thread spends the tick as told, in thousandths of it. */
static void spend(struct thread *t, unsigned busy, unsigned blocked, unsigned searching)
{
	t->ev.busy_ns += TICK_NS / 1000 * busy;
	t->ev.blocked_ns += TICK_NS / 1000 * blocked;
	t->ev.searching_ns += TICK_NS / 1000 * searching;
	t->ev.parked_ns += TICK_NS / 1000 * (1000 - busy - blocked - searching);
}

static void rest(struct script *s, struct thread *t, enum thread_state state)
{
	if (t->ev.state != state)
		t->ev.since_ns = s->now;
	t->ev.state = state;
	t->ev.site = ID_NONE;
	t->ev.poll_start_ns = 0;
	t->ev.syscall = -1;
}

static struct ev_poll poll_of(const struct script *s, const struct thread *t, bool blocks)
{
	uint64_t length = s->now - t->ev.poll_start_ns;

	return (struct ev_poll){.tid = t->ev.tid,
				.runtime = 0,
				.site = t->ev.site,
				.task_id = t->ev.task_id,
				.start_ns = t->ev.poll_start_ns,
				.length_ns = length,
				.blocked_ns = blocks ? length : 0,
				.worst_block_ns = blocks ? length : 0,
				.syscall = blocks ? CLOCK_NANOSLEEP : -1,
				.off_cpu = blocks};
}

/* Only of the script "stack": where the poll that ends now blocked. */
static void report_stack(struct script *s, const struct ev_poll *poll)
{
	static const char shop[] = "/usr/local/bin/shop";
	static const struct frame frames[] = {
		{"clock_nanosleep", .binary = "/lib/x86_64-linux-gnu/libc.so.6", .offset = 0xd0f3a,
		 .origin = FRAME_SYSTEM, .from = FRAME_FROM_DYNSYM},
		{"std::sys::pal::unix::thread::Thread::sleep",
		 "/rustc/90b35a6239c3d8bd/library/std/src/sys/pal/unix/thread.rs", .line = 240,
		 .column = 20, .binary = shop, .offset = 0x61234, .inlined = true,
		 .origin = FRAME_STD, .from = FRAME_FROM_LINE},
		{"std::thread::sleep", .binary = shop, .offset = 0x61234, .origin = FRAME_STD,
		 .from = FRAME_FROM_SYMBOL},
		{"shop::metrics::write_all", "/home/u/shop/src/metrics.rs", .line = 42, .column = 9,
		 .binary = shop, .offset = 0x44010, .inlined = true, .origin = FRAME_USER,
		 .from = FRAME_FROM_LINE},
		{"shop::metrics::flush", "/home/u/shop/src/metrics.rs", .line = 88, .column = 5,
		 .binary = shop, .offset = 0x44010, .origin = FRAME_USER, .from = FRAME_FROM_LINE},
		{"tokio::runtime::task::raw::poll", .binary = shop, .offset = 0x43e90,
		 .origin = FRAME_BOUNDARY, .from = FRAME_FROM_SYMBOL},
		{.binary = shop,
		 .offset = 0x51000,
		 .origin = FRAME_UNKNOWN,
		 .from = FRAME_FROM_NONE},
	};

	if (strcmp(s->name, "stack"))
		return;
	EVENT(STACK, as_stack, .tid = poll->tid, .site = poll->site,
	      .poll_start_ns = poll->start_ns, .kind = STACK_OFF_CPU, .span_ns = poll->length_ns,
	      .syscall = CLOCK_NANOSLEEP, .detail = "until 18:03:07", .end = STACK_UNSURE,
	      .frames = frames, .frames_count = sizeof(frames) / sizeof(frames[0]));
}

/* Polls `site` from tick `from` to tick `to` of each `period`; true while it does. */
static bool long_poll(struct script *s, struct thread *t, uint32_t site, unsigned period,
		      unsigned from, unsigned to, bool blocks)
{
	uint64_t phase = s->tick % period;
	struct ev_poll poll;

	if (phase < from || phase > to)
		return false;
	if (phase == from) {
		t->ev.poll_start_ns = t->ev.since_ns = s->now;
		t->ev.site = site;
		t->ev.task_id = 1000 + s->tick / period;
		t->ev.state = blocks ? THREAD_BLOCKED : THREAD_POLLING;
		t->ev.syscall = blocks ? CLOCK_NANOSLEEP : -1;
		t->ev.polls++;
		return true;
	}
	poll = poll_of(s, t, blocks);
	spend(t, blocks ? 0 : 1000, blocks ? 1000 : 0, 0);
	if (phase < to) {
		apply(s, (struct event){.kind = EV_POLL_OPEN, .as_poll = poll});
		return true;
	}
	poll.off_cpu = false;
	apply(s, (struct event){.kind = EV_POLL, .as_poll = poll});
	count_polls(s, site, 1, poll.length_ns);
	if (blocks) {
		report_stack(s, &poll);
		s->stats[site].busy_ns -= poll.length_ns;
		s->stats[site].blocked_ns += poll.length_ns;
	}
	rest(s, t, THREAD_SEARCHING);
	return true;
}

static void work(struct script *s)
{
	/* Of the script "hop" the next stall is on another worker. */
	uint32_t blocker = strcmp(s->name, "hop") ? 0 : s->tick / 50 % 2 * 3;

	for (uint32_t i = 0; i < s->threads; i++) {
		struct thread *t = &s->thread[i];

		if (i == blocker && long_poll(s, t, 2, 50, 18, 34, true))
			continue;
		if (i == 1 && long_poll(s, t, 1, 20, 5, 8, false))
			continue;
		spend(t, i == 4 ? 0 : 150 + 50 * (i % 5), 0, 100);
		rest(s, t, i % 3 ? THREAD_PARKED : THREAD_SEARCHING);
		t->ev.polls += i == 4 ? 0 : 120;
		if (i != 4)
			count_polls(s, i % 4 == 2 ? 3 : i % 4, 120, 4096ULL << (i % 6));
	}
	for (uint32_t i = 6; i < s->sites; i++)
		count_polls(s, i, i % 9, 1000 * i);
	count_polls(s, 4, s->tick % 3 == 0, 3 * MS);
}

static void scan_tasks(struct script *s)
{
	for (uint32_t i = 0; i < s->tasks; i++)
		EVENT(TASK, as_task, .key = 0x7f1000000000 + 256 * i, .id = 20 + i,
		      .site = s->sites > 6 ? 6 + i % (s->sites - 6) : i % 4, .runtime = 0,
		      .first_ns = SCRIPT_START_NS + i * MS / 10,
		      .last_ns = s->now - (i % 37) * 30 * MS, .polls = s->tick * (1 + i % 7),
		      .busy_ns = s->tick * 1000 * (i % 11),
		      .last_tid = s->thread[i % s->threads].ev.tid,
		      .state_valid = i % 2 || strcmp(s->name, "unread"), .running = i % 12 == 5,
		      .ready = i % 12 == 7, .has_handle = i % 3 > 0, .refs = 2 + i % 3,
		      .wakes_valid = s->cost.level == 3, .wakes = s->tick * (i % 7));
	EVENT(TASK_SCAN, as_task_scan, .rows = s->tasks);
}

static void report_stats(struct script *s)
{
	static const uint32_t local[] = {3, 0, 5, 4};

	for (uint32_t i = 0; i < s->sites; i++) {
		if (is_sampled(s)) {
			s->stats[i].sampled = true;
			s->stats[i].tasks_valid = false;
		}
		apply(s, (struct event){.kind = EV_SITE_STATS, .as_site_stats = s->stats[i]});
	}
	for (uint32_t i = 0; i < s->threads; i++) {
		s->thread[i].ev.runtime = 0;
		s->thread[i].ev.unaccounted = is_sampled(s);
		apply(s, (struct event){.kind = EV_THREAD, .as_thread = s->thread[i].ev});
	}
	EVENT(QUEUES, as_queues, .runtime = 0, .inject = (int64_t)(s->tick * 7 % 23), .local = 12,
	      .alive = s->tasks, .blocking_queue = 0, .blocking_threads = -1, .blocking_idle = -1,
	      .workers = 4, .local_each = local, .reason = "no layout of the blocking pool",
	      .source = "table 1.54");
	if (s->thread[0].ev.state == THREAD_BLOCKED)
		EVENT(READY, as_ready, .runtime = 0, .site = 0, .task_id = 27, .waited_ns = 40 * MS,
		      .ready = 3, .sampled = s->tasks);
	s->cost.hits += 5000;
	s->cost.emitted += 1200;
	s->cost.filtered += 3800;
	s->cost.cost_ns += 3700000;
	s->cost.target_cpu_ns += 250 * MS;
	s->cost.agent_cpu_ns += 900000;
	s->cost.agent_rss_bytes = 23 << 20;
	s->cost.sites_on = s->sites;
	s->cost.level = s->cost.level_asked = strcmp(s->name, "wakes") ? 2 : 3;
	if (is_sampled(s)) {
		s->cost.level = 1;
		s->cost.sites_sampled = 1;
		s->cost.windows = s->tick / 25;
		s->cost.next_window_ns = s->now + 1500 * MS;
		s->cost.cost_ns += 2 * MS;
	}
	s->cost.budget_ppm = 20000;
	apply(s, (struct event){.kind = EV_COST, .as_cost = s->cost});
}

void script_advance(struct script *s)
{
	s->tick++;
	s->now += TICK_NS;
	if (strcmp(s->name, "empty") && !s->ended) {
		work(s);
		report_stats(s);
		if (!strcmp(s->name, "two"))
			report_second(s);
		if (s->tick % 5 == 0 && !is_sampled(s))
			scan_tasks(s);
		if (s->tick == 41) {
			s->cost.hits += 12;
			s->cost.lost += 12;
			EVENT(LOST, as_lost, .stage = "ring", .count = 12);
		}
	}
	EVENT(TICK, as_tick, 0);
	rules_eval(s->rules, s->model);
}

void script_end(struct script *s)
{
	s->ended = true;
	EVENT(TARGET_END, as_target_end, .reason = TARGET_EXITED, .status = 0);
	script_advance(s);
}

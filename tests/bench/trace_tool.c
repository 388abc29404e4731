// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is in a trace, and how fast it is read; for benchmarks and end-to-end tests.
 *
 *   trace_tool stat FILE          one JSON object: events by kind, polls, times, how long reading took
 *   trace_tool make FILE EVENTS   a trace of a busy program with about so many events
 *   trace_tool seek FILE SECONDS  how long a jump to there takes, with model and rules
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/model.h"
#include "playing.h"
#include "rules/rule.h"
#include "trace/recorder.h"
#include "trace/file.h"
#include "trace/replay.h"

#define KINDS 32
#define TASKS 10000
#define SITES 20
#define SEC 1000000000ULL

struct stat {
	uint64_t kinds[KINDS], polls, lost, first_ns, last_ns;
	uint64_t poll_first_ns, poll_last_ns, poll_ns;
};

static int count(void *ctx, const struct event *event)
{
	struct stat *s = ctx;

	s->kinds[event->kind % KINDS]++;
	if (!s->first_ns)
		s->first_ns = event->time_ns;
	if (event->time_ns > s->last_ns)
		s->last_ns = event->time_ns;
	if (event->kind == EV_POLLS)
		s->polls += event->as_polls.count;
	for (uint32_t i = 0; event->kind == EV_POLLS && i < event->as_polls.count; i++) {
		const struct brief_poll *p = &event->as_polls.list[i];

		if (!s->poll_first_ns || p->start_ns < s->poll_first_ns)
			s->poll_first_ns = p->start_ns;
		if (p->start_ns + p->length_ns > s->poll_last_ns)
			s->poll_last_ns = p->start_ns + p->length_ns;
		s->poll_ns += p->length_ns;
	}
	if (event->kind == EV_LOST)
		s->lost += event->as_lost.count;
	return 0;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int print_stat(const char *path)
{
	double begin = now(), opened;
	struct source *source;
	struct err err = {0};
	struct stat s = {0};
	uint64_t events = 0;

	if (replay_open(path, &source, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	opened = now();
	source->ops->drain(source, count, &s);
	printf("{");
	for (int i = 0; i < KINDS; i++) {
		events += s.kinds[i];
		if (s.kinds[i])
			printf("\"%s\": %" PRIu64 ", ", event_kind_name(i), s.kinds[i]);
	}
	printf("\"events\": %" PRIu64 ", \"poll_count\": %" PRIu64 ", \"lost_count\": %" PRIu64
	       ", \"first_ns\": %" PRIu64 ", \"last_ns\": %" PRIu64 ", \"poll_first_ns\": %" PRIu64
	       ", \"poll_last_ns\": %" PRIu64 ", \"poll_ns\": %" PRIu64
	       ", \"incomplete\": %s, \"skipped_bytes\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"open_s\": %.6f, \"read_s\": %.6f}\n",
	       events, s.polls, s.lost, s.first_ns, s.last_ns, s.poll_first_ns, s.poll_last_ns,
	       s.poll_ns, replay_reader(source)->incomplete ? "true" : "false",
	       replay_reader(source)->skipped_bytes, replay_reader(source)->size, opened - begin,
	       now() - opened);
	source->ops->close(source);
	return 0;
}

/* --- a trace from nothing ---------------------------------------------------------------- */

struct maker {
	struct model *model; /* for the keyframes */
	struct trace_file *file;
	struct trace_info info;
	struct recorder recorder;
	struct err err;
	uint64_t time_ns, chance;
};

static int on_chunk(void *ctx, const struct chunk_head *head, const struct bytes *chunk)
{
	struct maker *m = ctx;

	return trace_file_add(m->file, &m->info, head, chunk, &m->err);
}

static uint64_t chance(struct maker *m, uint64_t below)
{
	m->chance = m->chance * 6364136223846793005ULL + 1442695040888963407ULL;
	return (m->chance >> 33) % below;
}

static void add(struct maker *m, enum event_kind kind, struct event event)
{
	event.kind = kind;
	event.target = 0;
	event.time_ns = m->time_ns;
	model_apply(m->model, &event);
	if (recorder_event(&m->recorder, &event)) {
		fprintf(stderr, "%s\n", m->err.msg);
		exit(1);
	}
}

static void announce(struct maker *m)
{
	char name[32];

	add(m, EV_TARGET, (struct event){.as_target = {.pid = 1, .comm = "made", .exe = "/made"}});
	add(m, EV_BINARY,
	    (struct event){
		    .as_binary = {.path = "/made", .runtime = "tokio", .version = "1.54.1"}});
	add(m, EV_RUNTIME,
	    (struct event){.as_runtime = {.flavor = FLAVOR_MULTI_THREAD, .workers = 4}});
	for (uint32_t i = 0; i < SITES; i++) {
		snprintf(name, sizeof(name), "made::site_%u", i);
		add(m, EV_SITE,
		    (struct event){.as_site = {.site = i, .name = name, .size = 256 + 8 * i}});
	}
}

static int announce_model(const void *model, event_fn fn, void *ctx)
{
	return model_announce(model, fn, ctx);
}

/* A second: a scan of the tasks, long polls now and then, threads and ticks. */
static void second(struct maker *m)
{
	for (uint32_t tick = 0; tick < 5; tick++) {
		for (uint32_t i = 0; i < TASKS / 5; i++) {
			uint32_t task = tick * (TASKS / 5) + i;

			add(m, EV_TASK,
			    (struct event){
				    .as_task = {.key = 0x7f0000000000 + task * 320ULL,
						.id = task + 10,
						.site = task % SITES,
						.first_ns = SEC + task * 1000,
						.last_ns = m->time_ns - chance(m, SEC),
						.polls = m->time_ns / SEC * 5,
						.busy_ns = m->time_ns / 1000 + chance(m, 9999),
						.state_valid = true,
						.refs = 2}});
			if (i % 40 == 0)
				add(m, EV_POLL,
				    (struct event){.as_poll = {.tid = 10 + i % 4,
							       .site = task % SITES,
							       .task_id = task + 10,
							       .start_ns = m->time_ns,
							       .length_ns = chance(m, SEC / 90),
							       .syscall = -1}});
			m->time_ns += 100000;
		}
		for (uint32_t i = 0; i < 4; i++)
			add(m, EV_THREAD,
			    (struct event){.as_thread = {.tid = 10 + i,
							 .comm = "tokio-rt-worker",
							 .worker = true,
							 .site = ID_NONE,
							 .syscall = -1,
							 .busy_ns = m->time_ns / 3}});
		if (tick == 4)
			add(m, EV_TASK_SCAN, (struct event){.as_task_scan = {.rows = TASKS}});
		add(m, EV_TICK, (struct event){0});
		if (recorder_wants_keyframe(&m->recorder, m->time_ns))
			recorder_keyframe(&m->recorder, m->time_ns, announce_model, m->model);
	}
}

static int make(const char *path, uint64_t events)
{
	struct maker m = {.info = {.host = "made", .program = "trace_tool"}, .time_ns = SEC};

	m.model = model_new();
	if (trace_file_create(path, &m.file, &m.err)) {
		fprintf(stderr, "%s\n", m.err.msg);
		return 1;
	}
	recorder_init(&m.recorder, on_chunk, &m);
	announce(&m);
	while (m.recorder.events < events)
		second(&m);
	if (recorder_flush(&m.recorder) || trace_file_finish(m.file, &m.err))
		return 1;
	trace_file_close(m.file);
	recorder_free(&m.recorder);
	model_free(m.model);
	return 0;
}

struct player {
	struct model *model;
	struct rules *rules;
	uint64_t events;
};

static int play(void *ctx, const struct event *event)
{
	struct player *p = ctx;

	p->events++;
	model_apply(p->model, event);
	if (event->kind == EV_TICK)
		rules_eval(p->rules, p->model);
	return 0;
}

/* As agent/replaying.c does it. */
static int seek(const char *path, double seconds)
{
	struct player p = {.model = model_new()};
	struct source *source;
	struct err err = {0};
	uint64_t to;
	double begin;
	bool whole;

	if (rules_load_builtin(&p.rules, &err) || replay_open(path, &source, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	to = replay_reader(source)->begin_ns + (uint64_t)(seconds * 1e9);
	begin = now();
	whole = replay_seek(source, to, SEEK_BACK_NS, SEEK_EVENTS);
	replay_until(source, to, play, &p);
	printf("{\"seek_s\": %.6f, \"events\": %" PRIu64 ", \"from_start\": %s}\n", now() - begin,
	       p.events, whole ? "true" : "false");
	source->ops->close(source);
	model_free(p.model);
	rules_free(p.rules);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "stat"))
		return print_stat(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "make"))
		return make(argv[2], strtoull(argv[3], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "seek"))
		return seek(argv[2], strtod(argv[3], NULL));
	fprintf(stderr, "usage: trace_tool stat FILE | make FILE EVENTS | seek FILE SECONDS\n");
	return 2;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Probes and the log beside them; see trace.h. */
#include "trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

STALLTOP_SDT_RUNTIME("csched", "1.0")

#define LOG_TYPES 32
#define KEEP_NS 500000 /* a poll of at least this length is kept one by one */

/* Of a task type on one thread. */
struct log_type {
	const char *name, *location;
	bool blocking;
	uint64_t polls, busy_ns, cpu_ns, max_ns, spawned, wakes, completed, detached, dropped;
};

struct log_poll {
	const char *name;
	uint64_t task, start_ns, length_ns;
};

struct log {
	struct log *next;
	struct log_type types[LOG_TYPES];
	size_t types_count;
	struct log_poll *polls;
	size_t polls_count, polls_cap;
	uint64_t fired; /* probes passed */
	uint64_t begun_ns, begun_cpu_ns;
};

static _Thread_local struct log *mine;
static struct log *logs;
static pthread_mutex_t logs_lock = PTHREAD_MUTEX_INITIALIZER;

static struct log *log_mine(void)
{
	if (mine)
		return mine;
	mine = cs_alloc(sizeof(*mine));
	pthread_mutex_lock(&logs_lock);
	mine->next = logs;
	logs = mine;
	pthread_mutex_unlock(&logs_lock);
	return mine;
}

static struct log_type *log_type(struct log *log, const char *name, const char *location)
{
	for (size_t i = 0; i < log->types_count; i++)
		if (log->types[i].name == name && log->types[i].location == location)
			return &log->types[i];
	if (log->types_count == LOG_TYPES) {
		fprintf(stderr, "csched: more than %d task types\n", LOG_TYPES);
		abort();
	}
	log->types[log->types_count] = (struct log_type){.name = name, .location = location};
	return &log->types[log->types_count++];
}

static struct log_type *passed(const struct cs_task *task)
{
	struct log *log = log_mine();

	log->fired++;
	return log_type(log, task->type->name, task->type->location);
}

/* CPU time of this thread. Read outside the probes: a poll's own is this or less. */
static uint64_t cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void trace_thread(const struct cs_sched *sched, const char *role, unsigned int index)
{
	char name[16];

	(void)sched;
	snprintf(name, sizeof(name), "%.9s-%u", role, index % 1000);
	prctl(PR_SET_NAME, name);
}

void trace_runtime_start(const struct cs_sched *sched)
{
	log_mine()->fired++;
	stalltop_runtime_start(&sched->sdt);
}

void trace_runtime_stop(const struct cs_sched *sched)
{
	log_mine()->fired++;
	stalltop_runtime_stop(&sched->sdt);
}

void trace_worker_start(const struct worker *worker)
{
	log_mine()->fired++;
	stalltop_worker_start(&worker->sched->sdt, worker->index);
}

void trace_worker_stop(const struct worker *worker)
{
	log_mine()->fired++;
	stalltop_worker_stop(&worker->sched->sdt, worker->index);
}

void trace_park(const struct worker *worker)
{
	log_mine()->fired++;
	stalltop_worker_park(&worker->sched->sdt, worker->index);
}

void trace_unpark(const struct worker *worker)
{
	log_mine()->fired++;
	stalltop_worker_unpark(&worker->sched->sdt, worker->index);
}

void trace_spawn(const struct cs_task *task)
{
	passed(task)->spawned++;
	stalltop_task_spawn(&task->sched->sdt, task->id, task->type->name, task->type->location);
}

void trace_wake(const struct cs_task *task)
{
	passed(task)->wakes++;
	stalltop_task_wake(&task->sched->sdt, task->id);
}

/* Polls of csched are never nested, so the log has one open poll a thread. */
void trace_poll_begin(const struct cs_task *task)
{
	log_mine()->fired++;
	mine->begun_cpu_ns = cpu_now();
	stalltop_poll_begin(&task->sched->sdt, task->id, task->type->name, task->type->location);
	mine->begun_ns = cs_now();
}

static void log_poll(const char *name, uint64_t task, uint64_t length)
{
	struct log *log = mine;

	if (length < KEEP_NS)
		return;
	if (log->polls_count == log->polls_cap) {
		log->polls_cap = log->polls_cap ? 2 * log->polls_cap : 256;
		log->polls = realloc(log->polls, log->polls_cap * sizeof(*log->polls));
		if (!log->polls)
			abort();
	}
	log->polls[log->polls_count++] = (struct log_poll){name, task, log->begun_ns, length};
}

static void log_end(struct log_type *type, uint64_t task, uint64_t now)
{
	uint64_t length = now - mine->begun_ns;

	type->polls++;
	type->busy_ns += length;
	type->cpu_ns += cpu_now() - mine->begun_cpu_ns;
	if (length > type->max_ns)
		type->max_ns = length;
	log_poll(type->name, task, length);
}

void trace_poll_end(const struct cs_task *task, enum cs_poll end)
{
	uint64_t now = cs_now();

	stalltop_poll_end(&task->sched->sdt, task->id,
			  end == CS_READY ? STALLTOP_SDT_READY : STALLTOP_SDT_PENDING);
	log_end(passed(task), task->id, now);
}

void trace_complete(const struct cs_task *task)
{
	passed(task)->completed++;
	stalltop_task_complete(&task->sched->sdt, task->id);
}

void trace_detach(const struct cs_task *task)
{
	passed(task)->detached++;
	stalltop_task_detach(&task->sched->sdt, task->id);
}

void trace_drop(const struct cs_task *task)
{
	passed(task)->dropped++;
	stalltop_task_drop(&task->sched->sdt, task->id);
}

void trace_blocking_begin(const struct cs_sched *sched, const struct cs_work *work)
{
	log_mine()->fired++;
	mine->begun_cpu_ns = cpu_now();
	stalltop_blocking_begin(&sched->sdt, work->id, work->name, work->location);
	mine->begun_ns = cs_now();
}

void trace_blocking_end(const struct cs_sched *sched, const struct cs_work *work)
{
	uint64_t now = cs_now();
	struct log_type *type = log_type(mine, work->name, work->location);

	mine->fired++;
	stalltop_blocking_end(&sched->sdt, work->id);
	type->blocking = true;
	log_end(type, work->id, now);
}

uint64_t trace_passed(void)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&logs_lock);
	for (const struct log *log = logs; log; log = log->next)
		sum += log->fired;
	pthread_mutex_unlock(&logs_lock);
	return sum;
}

static void add(struct log *sum, const struct log *log)
{
	for (size_t i = 0; i < log->types_count; i++) {
		const struct log_type *from = &log->types[i];
		struct log_type *to = log_type(sum, from->name, from->location);

		to->blocking |= from->blocking;
		to->polls += from->polls;
		to->busy_ns += from->busy_ns;
		to->cpu_ns += from->cpu_ns;
		if (from->max_ns > to->max_ns)
			to->max_ns = from->max_ns;
		to->spawned += from->spawned;
		to->wakes += from->wakes;
		to->completed += from->completed;
		to->detached += from->detached;
		to->dropped += from->dropped;
	}
	sum->fired += log->fired;
}

static void print_polls(FILE *out, const struct log *log, uint64_t min_ns)
{
	for (size_t i = 0; i < log->polls_count; i++)
		if (log->polls[i].length_ns >= min_ns)
			fprintf(out,
				"{\"poll\":\"%s\",\"task\":%" PRIu64 ",\"start_ns\":%" PRIu64
				",\"length_ns\":%" PRIu64 "}\n",
				log->polls[i].name, log->polls[i].task, log->polls[i].start_ns,
				log->polls[i].length_ns);
}

static void print_type(FILE *out, const struct log_type *t)
{
	fprintf(out,
		"{\"type\":\"%s\",\"location\":\"%s\",\"blocking\":%s,\"polls\":%" PRIu64
		",\"busy_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 ",\"max_ns\":%" PRIu64
		",\"spawned\":%" PRIu64 ",\"wakes\":%" PRIu64 ",\"completed\":%" PRIu64
		",\"detached\":%" PRIu64 ",\"dropped\":%" PRIu64 "}\n",
		t->name, t->location, t->blocking ? "true" : "false", t->polls, t->busy_ns,
		t->cpu_ns, t->max_ns, t->spawned, t->wakes, t->completed, t->detached, t->dropped);
}

void trace_report(FILE *out, uint64_t min_ns)
{
	struct log *sum = cs_alloc(sizeof(*sum)), *log;
	uint64_t polls = 0, spawned = 0;

	while ((log = logs)) {
		print_polls(out, log, min_ns);
		add(sum, log);
		logs = log->next;
		free(log->polls);
		free(log);
	}
	mine = NULL;
	for (size_t i = 0; i < sum->types_count; i++) {
		print_type(out, &sum->types[i]);
		polls += sum->types[i].blocking ? 0 : sum->types[i].polls;
		spawned += sum->types[i].spawned;
	}
	fprintf(out,
		"{\"totals\":true,\"polls\":%" PRIu64 ",\"spawned\":%" PRIu64 ",\"probes\":%" PRIu64
		"}\n",
		polls, spawned, sum->fired);
	fflush(out);
	free(sum);
}

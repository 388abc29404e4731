// SPDX-License-Identifier: LGPL-2.1-or-later
/* Site statistics, the task table and its states in target memory, and tasks that wait ready. */
#include "attach/live_priv.h"

#include "runtime/tokio.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SCAN_BATCH 4096
#define SCAN_MAX 200000			/* rows of one scan; the rest is announced as truncated */
#define SCAN_PERIOD_NS 1000000000ULL
#define SCAN_SHARE 50			/* a scan takes at most 1/50 of one core */
#define READY_MIN_NS 5000000ULL
#define KEY_HEADER(key) ((key) & 0xffffffffffffULL)
#define KEY_TARGET(key) ((uint32_t)((key) >> 48))

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void stats_sum(const struct kernel *k, uint32_t id, struct wire_site_stats *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (uint32_t cpu = 0; cpu < k->cpus; cpu++) {
		const struct wire_site_stats *s = &k->stats[(size_t)cpu * k->max_sites + id];

		sum->busy_ns += s->busy_ns;
		sum->blocked_ns += s->blocked_ns;
		sum->preempted_ns += s->preempted_ns;
		sum->first_seen += s->first_seen;
		if (s->max_ns > sum->max_ns)
			sum->max_ns = s->max_ns;
	}
}

static uint64_t hist_sum(const struct kernel *k, uint32_t id, uint64_t *hist)
{
	uint64_t total = 0;

	memset(hist, 0, HIST_BUCKETS * sizeof(*hist));
	for (uint32_t cpu = 0; cpu < k->cpus; cpu++) {
		const struct wire_site_stats *s = &k->stats[(size_t)cpu * k->max_sites + id];

		for (int i = 0; i < HIST_BUCKETS; i++) {
			hist[i] += s->hist[i];
			total += s->hist[i];
		}
	}
	return total;
}

int live_site_stats(struct live *live, struct emit *emit)
{
	uint64_t hist[HIST_BUCKETS];
	int ret = 0;

	for (uint32_t id = 0; id < live->sites_count && !ret; id++) {
		struct live_site *site = &live->sites[id];
		struct wire_site_stats sum;
		struct event event;
		uint64_t checksum;

		stats_sum(live->kernel, id, &sum);
		checksum = sum.busy_ns + sum.first_seen + site->ended;
		if (checksum == site->checksum)
			continue;
		site->checksum = checksum;
		event = (struct event){ .as_site_stats = {
			.site = id,
			.polls = hist_sum(live->kernel, id, hist),
			.busy_ns = sum.busy_ns,
			.blocked_ns = sum.blocked_ns,
			.preempted_ns = sum.preempted_ns,
			.max_ns = sum.max_ns,
			.seen = sum.first_seen,
			.ended = site->ended,
			.tasks_valid = live->opts.level >= 2,
			.hist = hist,
		} };
		ret = live_emit(emit, EV_SITE_STATS, site->target, &event);
	}
	return ret;
}

/* Rows of the BPF table with the words of their headers, one batch at a time. */
struct scan {
	struct wire_task rows[SCAN_BATCH];
	uint32_t index[SCAN_BATCH];	/* of the rows in the table */
	uint64_t words[SCAN_BATCH][8];
	struct memory_piece pieces[SCAN_BATCH];
	uint32_t piece_row[SCAN_BATCH];
	bool valid[SCAN_BATCH];	/* the words are this task's */
	bool gone[SCAN_BATCH];	/* the task was freed */
	uint32_t count;
	uint32_t sent[WIRE_MAX_TARGETS];
};

/*
 * Reads the headers of the rows of one target; what cannot be read proves nothing. Most tasks are
 * freed unseen, and their rows stay.
 */
static void read_headers(struct live *live, struct scan *scan, uint32_t target)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < scan->count; i++) {
		if (KEY_TARGET(scan->rows[i].key) != target)
			continue;
		scan->piece_row[n] = i;
		scan->pieces[n++] = (struct memory_piece){
			.addr = KEY_HEADER(scan->rows[i].key),
			.buf = scan->words[i],
			.len = sizeof(scan->words[i]),
			.error = -EFAULT,
		};
	}
	if (!n || memory_readv(&live->targets[target].watch->memory, scan->pieces, n) < 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t row = scan->piece_row[i], site = scan->rows[row].site;
		const struct runtime_site *found;

		if (scan->pieces[i].error || site >= live->sites_count ||
		    !live->sites[site].found)
			continue;
		found = live->sites[site].found;
		scan->valid[row] = scan->words[row][2] == found->vtable &&
				   scan->words[row][found->id_word & 7] == scan->rows[row].id &&
				   tokio_alive(scan->words[row][0], scan->words[row][1],
					       KEY_HEADER(scan->rows[row].key));
		scan->gone[row] = !scan->valid[row];
	}
}

/* Reservoir sampling: each row of a scan has the same chance to be watched for readiness. */
static void offer_ready(struct live *live, const struct ev_task *task, uint32_t target,
			uint32_t row)
{
	uint64_t at = live->ready_seen++, key = WIRE_TASK_KEY(task->key, target);

	if (at >= LIVE_READY_SAMPLE) {
		at = (at * 0x9e3779b97f4a7c15ULL + task->key) % (at + 1);
		if (at >= LIVE_READY_SAMPLE)
			return;
	} else {
		live->ready_count = at + 1;
	}
	if (live->ready[at].key == key && live->ready[at].id == task->id)
		return;
	live->ready[at] = (struct ready_probe){
		.key = key, .id = task->id, .site = task->site,
		.runtime = task->runtime, .polls = task->polls, .row = row,
	};
}

static int emit_row(struct live *live, struct emit *emit, struct scan *scan, uint32_t i)
{
	const struct wire_task *row = &scan->rows[i];
	uint32_t target = KEY_TARGET(scan->rows[i].key);
	uint64_t state = scan->words[i][0];
	struct event event = { 0 };
	struct ev_task *t = &event.as_task;
	uint32_t tid = 0;

	if (row->last_slot < WIRE_MAX_SLOTS)
		tid = live->kernel->slots[row->last_slot].tid;
	*t = (struct ev_task){
		.key = KEY_HEADER(scan->rows[i].key),
		.id = row->id,
		.site = row->site,
		.runtime = live_runtime_of(live, emit, target, row->site, row->sched,
					   KEY_HEADER(scan->rows[i].key)),
		.first_ns = row->first_ns,
		.last_ns = row->last_ns,
		.polls = row->polls,
		.busy_ns = row->busy_ns,
		.last_tid = tid,
		.state_valid = scan->valid[i],
	};
	if (scan->valid[i]) {
		t->running = state & TOKIO_STATE_RUNNING;
		t->complete = state & TOKIO_STATE_COMPLETE;
		t->ready = (state & TOKIO_STATE_NOTIFIED) && !t->running && !t->complete;
		t->cancelled = state & TOKIO_STATE_CANCELLED;
		t->has_handle = state & TOKIO_STATE_JOIN_INTEREST;
		t->refs = state >> TOKIO_STATE_REF_SHIFT;
		if (!t->complete)
			offer_ready(live, t, target, scan->index[i]);
	}
	if (row->first_ns < emit->now)
		live->sites[row->site].alive++;
	scan->sent[target]++;
	return live_emit(emit, EV_TASK, target, &event);
}

static int emit_batch(struct live *live, struct emit *emit, struct scan *scan)
{
	int ret = 0;

	memset(scan->valid, 0, sizeof(scan->valid));
	memset(scan->gone, 0, sizeof(scan->gone));
	for (uint32_t target = 0; target < live->targets_count; target++)
		if (!live->targets[target].ended)
			read_headers(live, scan, target);
	for (uint32_t i = 0; i < scan->count && !ret; i++) {
		uint32_t target = KEY_TARGET(scan->rows[i].key);

		if (target < live->targets_count && !live->targets[target].ended &&
		    scan->rows[i].site < live->sites_count && !scan->gone[i])
			ret = emit_row(live, emit, scan, i);
	}
	return ret;
}

static int scan_rows(struct live *live, struct emit *emit, struct scan *scan, bool *truncated)
{
	uint32_t rows = kernel_task_rows(live->kernel), total = 0;
	int ret = 0;

	scan->count = 0;
	for (uint32_t row = 0; row < rows && total < SCAN_MAX && !ret; row++) {
		if (!kernel_task(live->kernel, row, &scan->rows[scan->count]))
			continue;
		scan->index[scan->count++] = row;
		total++;
		if (scan->count < SCAN_BATCH)
			continue;
		ret = emit_batch(live, emit, scan);
		scan->count = 0;
	}
	*truncated = total >= SCAN_MAX;
	return ret ? ret : emit_batch(live, emit, scan);
}

static uint64_t tasks_seen(const struct kernel *k, uint32_t id)
{
	uint64_t seen = 0;

	for (uint32_t cpu = 0; cpu < k->cpus; cpu++)
		seen += k->stats[(size_t)cpu * k->max_sites + id].first_seen;
	return seen;
}

/* Tasks that have ended: those met before the scan, less those of them that it finds alive. */
static void count_begin(struct live *live)
{
	for (uint32_t id = 0; id < live->sites_count; id++) {
		live->sites[id].seen = tasks_seen(live->kernel, id);
		live->sites[id].alive = 0;
	}
}

static void count_end(struct live *live)
{
	for (uint32_t id = 0; id < live->sites_count; id++) {
		struct live_site *site = &live->sites[id];

		if (site->seen > site->alive && site->seen - site->alive > site->ended)
			site->ended = site->seen - site->alive;
	}
}

/* The whole task table. Large ones are read less often, so that the agent's share stays small. */
int live_task_scan(struct live *live, struct emit *emit)
{
	uint64_t begin = thread_cpu_ns(), cost;
	bool truncated = false;
	struct scan *scan;
	int ret;

	if (live->opts.level < 2 || emit->now < live->task_scan_next)
		return 0;
	scan = xcalloc(1, sizeof(*scan));
	live->ready_seen = 0;
	count_begin(live);
	ret = scan_rows(live, emit, scan, &truncated);
	if (!truncated)
		count_end(live);
	for (uint32_t target = 0; target < live->targets_count && !ret; target++) {
		struct event event = { .as_task_scan = {
			.rows = scan->sent[target], .truncated = truncated,
		} };

		if (!live->targets[target].ended)
			ret = live_emit(emit, EV_TASK_SCAN, target, &event);
	}
	free(scan);
	cost = (thread_cpu_ns() - begin) * SCAN_SHARE;
	live->task_scan_next = emit->now + (cost > SCAN_PERIOD_NS ? cost : SCAN_PERIOD_NS) -
			       SCAN_PERIOD_NS / 10;
	return ret;
}

/* True when every thread that works for the runtime is inside a poll. */
static bool held(const struct live *live, uint32_t runtime)
{
	const struct live_runtime *r;

	if (runtime >= live->runtimes_count)
		return false;
	r = &live->runtimes[runtime];
	return r->threads > 0 && r->polling >= r->threads;
}

/* Advances one sampled task; returns how long it has surely been ready, 0 when it is not. */
static uint64_t ready_step(struct live *live, struct ready_probe *probe, uint64_t state,
			   uint64_t now)
{
	struct wire_task row;

	if (!(state & TOKIO_STATE_NOTIFIED) ||
	    (state & (TOKIO_STATE_RUNNING | TOKIO_STATE_COMPLETE)) ||
	    !kernel_task(live->kernel, probe->row, &row) || row.key != probe->key ||
	    row.id != probe->id) {
		probe->since_ns = 0;
		return 0;
	}
	if (!probe->since_ns || row.polls != probe->polls) {
		probe->since_ns = now;
		probe->polls = row.polls;
		return 0;
	}
	return now - probe->since_ns;
}

static int ready_target(struct live *live, struct emit *emit, uint32_t target)
{
	static const struct memory_piece empty = { 0 };
	struct memory_piece pieces[LIVE_READY_SAMPLE];
	uint64_t states[LIVE_READY_SAMPLE] = { 0 };
	uint64_t waits[LIVE_READY_SAMPLE] = { 0 };
	uint32_t rows[LIVE_READY_SAMPLE], n = 0, ready = 0;
	int ret = 0;

	for (uint32_t i = 0; i < live->ready_count; i++) {
		struct ready_probe *probe = &live->ready[i];

		if (KEY_TARGET(probe->key) != target)
			continue;
		if (!held(live, probe->runtime)) {
			probe->since_ns = 0;
			continue;
		}
		pieces[n] = empty;
		pieces[n].addr = KEY_HEADER(probe->key);
		pieces[n].buf = &states[n];
		pieces[n].len = sizeof(states[n]);
		rows[n++] = i;
	}
	if (!n || memory_readv(&live->targets[target].watch->memory, pieces, n) < 0)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (pieces[i].error)
			states[i] = 0;
		waits[i] = ready_step(live, &live->ready[rows[i]], states[i], emit->now);
		ready += live->ready[rows[i]].since_ns != 0;
	}
	for (uint32_t i = 0; i < n && !ret; i++) {
		const struct ready_probe *probe = &live->ready[rows[i]];
		struct event event = { .as_ready = {
			.runtime = probe->runtime,
			.site = probe->site,
			.task_id = probe->id,
			.waited_ns = waits[i],
			.ready = ready,
			.sampled = n,
		} };

		if (waits[i] >= READY_MIN_NS)
			ret = live_emit(emit, EV_READY, target, &event);
	}
	return ret;
}

int live_ready(struct live *live, struct emit *emit)
{
	int ret = 0;

	for (uint32_t target = 0; target < live->targets_count && !ret; target++)
		if (!live->targets[target].ended)
			ret = ready_target(live, emit, target);
	return ret;
}

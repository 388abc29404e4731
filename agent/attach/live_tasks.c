// SPDX-License-Identifier: LGPL-2.1-or-later
/* Site statistics, and the task table with what target memory says of each task. */
#include "attach/live_priv.h"

#include "util/xalloc.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define HEADER_BATCH 256    /* headers in one system call */
#define HEADERS_A_SCAN 2048 /* see struct row_check */
#define SCAN_MAX 200000	    /* rows of one scan; the rest is announced as truncated */
#define SCAN_PERIOD_NS 1000000000ULL
#define SCAN_SHARE 50 /* a scan takes at most 1/50 of one core */

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

/* The longest delay. */
static uint64_t delays_sum(const struct kernel *k, uint32_t id, uint64_t *hist)
{
	uint64_t max = 0;

	memset(hist, 0, HIST_BUCKETS * sizeof(*hist));
	for (uint32_t cpu = 0; cpu < k->cpus; cpu++) {
		const struct wire_delays *d = &k->delays[(size_t)cpu * k->max_sites + id];

		for (int i = 0; i < HIST_BUCKETS; i++)
			hist[i] += d->hist[i];
		if (d->max_ns > max)
			max = d->max_ns;
	}
	return max;
}

int live_site_stats(struct live *live, struct emit *emit)
{
	uint64_t hist[HIST_BUCKETS], delays[HIST_BUCKETS];
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
		event = (struct event){.as_site_stats = {
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
				       }};
		if (live->kernel->delays) {
			event.as_site_stats.delay_max_ns = delays_sum(live->kernel, id, delays);
			event.as_site_stats.delay_hist = delays;
		}
		ret = live_emit(emit, EV_SITE_STATS, site->target, &event);
	}
	return ret;
}

/* The rows in use, copied; and the headers that are read in this scan. */
struct scan {
	struct wire_task *rows;
	uint32_t *index; /* of each in the table */
	uint32_t count;
	uint32_t sent[WIRE_MAX_TARGETS];
	struct memory_piece pieces[HEADER_BATCH];
	uint64_t words[HEADER_BATCH][8];
	uint32_t piece_row[HEADER_BATCH];
};

static struct scan *scan_new(const struct kernel *k)
{
	uint32_t rows = kernel_task_rows(k);
	struct scan *scan = xcalloc(1, sizeof(*scan));

	scan->rows = xcalloc(rows, sizeof(*scan->rows));
	scan->index = xcalloc(rows, sizeof(*scan->index));
	for (uint32_t row = 0; row < rows && scan->count < SCAN_MAX; row++)
		if (kernel_task(k, row, &scan->rows[scan->count]))
			scan->index[scan->count++] = row;
	return scan;
}

static void scan_free(struct scan *scan)
{
	free(scan->rows);
	free(scan->index);
	free(scan);
}

static struct row_check *check_of(struct live *live, const struct scan *scan, uint32_t i)
{
	return &live->checks[scan->index[i]];
}

static bool is_watched(const struct live *live, const struct wire_task *row)
{
	uint32_t target = KEY_TARGET(row->key);

	return target < live->targets_count && !live->targets[target].ended &&
	       row->site < live->sites_count && live->sites[row->site].found;
}

/* A header that is not this task's any more: it was freed, most likely unseen by any probe. */
static void judge_header(struct live *live, const struct wire_task *row, const uint64_t *words,
			 struct row_check *check)
{
	const struct runtime_site *found = live->sites[row->site].found;

	check->valid = words[2] == found->vtable && words[found->id_word & 7] == row->id &&
		       tokio_alive(words[0], words[1], KEY_HEADER(row->key));
	check->gone = !check->valid;
	check->state = words[0];
}

/* Reads the headers that were gathered, all of one target. What cannot be read proves nothing. */
static void read_headers(struct live *live, struct scan *scan, uint32_t target, uint32_t count)
{
	if (memory_readv(&live->targets[target].watch->memory, scan->pieces, count) < 0)
		return;
	for (uint32_t i = 0; i < count; i++)
		if (!scan->pieces[i].error)
			judge_header(live, &scan->rows[scan->piece_row[i]], scan->words[i],
				     check_of(live, scan, scan->piece_row[i]));
}

static void gather_header(struct scan *scan, uint32_t n, uint32_t i)
{
	scan->piece_row[n] = i;
	scan->pieces[n] = (struct memory_piece){
		.addr = KEY_HEADER(scan->rows[i].key),
		.buf = scan->words[n],
		.len = sizeof(scan->words[n]),
		.error = -EFAULT,
	};
}

/* The next rows in turn, from where the last scan stopped; `budget` bounds them. */
static void check_rows(struct live *live, struct scan *scan, uint32_t budget)
{
	uint32_t target = ID_NONE, n = 0,
		 begin = scan->count ? live->check_cursor % scan->count : 0;

	for (uint32_t step = 0; step < scan->count && budget; step++) {
		uint32_t i = (begin + step) % scan->count;
		const struct wire_task *row = &scan->rows[i];

		live->check_cursor = i + 1;
		if (!is_watched(live, row) || check_of(live, scan, i)->gone)
			continue;
		if (n == HEADER_BATCH || (n && KEY_TARGET(row->key) != target)) {
			read_headers(live, scan, target, n);
			n = 0;
		}
		target = KEY_TARGET(row->key);
		gather_header(scan, n++, i);
		budget--;
	}
	if (n)
		read_headers(live, scan, target, n);
}

/* A row that has gone to another task is not known yet. */
static void renew_checks(struct live *live, const struct scan *scan)
{
	size_t before = live->checks_cap, rows = kernel_task_rows(live->kernel);

	live->checks = xgrow(live->checks, &live->checks_cap, rows, sizeof(*live->checks));
	if (live->checks_cap > before)
		memset(live->checks + before, 0,
		       (live->checks_cap - before) * sizeof(*live->checks));
	for (uint32_t i = 0; i < scan->count; i++) {
		struct row_check *check = check_of(live, scan, i);

		if (check->id != scan->rows[i].id)
			*check = (struct row_check){.id = scan->rows[i].id};
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
		.key = key,
		.id = task->id,
		.site = task->site,
		.runtime = task->runtime,
		.polls = task->polls,
		.row = row,
	};
}

static void fill_state(struct ev_task *t, const struct row_check *check)
{
	t->state_valid = check->valid;
	if (!check->valid)
		return;
	t->running = check->state & TOKIO_STATE_RUNNING;
	t->complete = check->state & TOKIO_STATE_COMPLETE;
	t->ready = (check->state & TOKIO_STATE_NOTIFIED) && !t->running && !t->complete;
	t->cancelled = check->state & TOKIO_STATE_CANCELLED;
	t->has_handle = check->state & TOKIO_STATE_JOIN_INTEREST;
	t->refs = check->state >> TOKIO_STATE_REF_SHIFT;
}

static int emit_row(struct live *live, struct emit *emit, struct scan *scan, uint32_t i)
{
	const struct wire_task *row = &scan->rows[i];
	uint32_t target = KEY_TARGET(row->key);
	struct event event = {.as_task = {
				      .key = KEY_HEADER(row->key),
				      .id = row->id,
				      .site = row->site,
				      .runtime = live_runtime_of(live, emit, target, row->site,
								 row->sched, KEY_HEADER(row->key)),
				      .first_ns = row->first_ns,
				      .last_ns = row->last_ns,
				      .polls = row->polls,
				      .busy_ns = row->busy_ns,
			      }};

	if (row->last_slot < WIRE_MAX_SLOTS)
		event.as_task.last_tid = live->kernel->slots[row->last_slot].tid;
	fill_state(&event.as_task, check_of(live, scan, i));
	if (event.as_task.state_valid && !event.as_task.complete)
		offer_ready(live, &event.as_task, target, scan->index[i]);
	if (row->first_ns < emit->now)
		live->sites[row->site].alive++;
	scan->sent[target]++;
	return live_emit(emit, EV_TASK, target, &event);
}

static int emit_rows(struct live *live, struct emit *emit, struct scan *scan)
{
	int ret = 0;

	for (uint32_t i = 0; i < scan->count && !ret; i++)
		if (is_watched(live, &scan->rows[i]) && !check_of(live, scan, i)->gone)
			ret = emit_row(live, emit, scan, i);
	return ret;
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
	struct scan *scan;
	bool truncated;
	int ret;

	if (live->opts.level < 2 || emit->now < live->task_scan_next)
		return 0;
	scan = scan_new(live->kernel);
	truncated = scan->count >= SCAN_MAX;
	live->ready_seen = 0;
	count_begin(live);
	renew_checks(live, scan);
	check_rows(live, scan, live->opts.fresh_tasks ? SCAN_MAX : HEADERS_A_SCAN);
	ret = emit_rows(live, emit, scan);
	if (!truncated)
		count_end(live);
	for (uint32_t target = 0; target < live->targets_count && !ret; target++) {
		struct event event = {.as_task_scan = {
					      .rows = scan->sent[target],
					      .truncated = truncated,
				      }};

		if (!live->targets[target].ended)
			ret = live_emit(emit, EV_TASK_SCAN, target, &event);
	}
	scan_free(scan);
	cost = (thread_cpu_ns() - begin) * SCAN_SHARE;
	live->task_scan_next = emit->now + (cost > SCAN_PERIOD_NS ? cost : SCAN_PERIOD_NS) -
			       SCAN_PERIOD_NS / 10;
	return ret;
}

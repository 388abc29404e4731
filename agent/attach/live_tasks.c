// SPDX-License-Identifier: LGPL-2.1-or-later
/* Site statistics, and the task table with what target memory says of each task. */
#include "attach/live_priv.h"

#include "util/clock.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>

#define HEADER_BATCH 256    /* headers in one system call */
#define HEADERS_A_SCAN 2048 /* see struct row_check */
#define SCAN_MAX 200000	    /* rows of one scan; the rest is announced as truncated */
#define PLACES_A_SCAN 64
#define SCAN_PERIOD_NS 1000000000ULL
#define SCAN_SHARE 50	   /* a scan takes at most 1/50 of one core */
#define SCATTERED 16777259 /* a prime over the number of rows: each comes once, neighbours do not */
#define GONE_SHARE 16	/* more than 1/16 of the headers that were read are of tasks that ended */
#define SLICE_ROWS 2048 /* of a scan in one tick: some 3 ms, in which no key is answered */

uint64_t live_site_sum(const struct live *live, uint32_t site, struct wire_site_stats *sum)
{
	const struct kernel *k = live->kernel;
	uint64_t total = 0;

	memset(sum, 0, sizeof(*sum));
	for (uint32_t cpu = 0; cpu < k->cpus; cpu++) {
		const struct wire_site_stats *s = &k->stats[(size_t)cpu * k->max_sites + site];

		sum->busy_ns += s->busy_ns;
		sum->blocked_ns += s->blocked_ns;
		sum->preempted_ns += s->preempted_ns;
		sum->first_seen += s->first_seen;
		sum->moved += s->moved;
		sum->cancelled += s->cancelled;
		sum->unsized += s->unsized;
		sum->beside += s->beside;
		if (s->max_ns > sum->max_ns)
			sum->max_ns = s->max_ns;
		for (int i = 0; i < HIST_BUCKETS; i++) {
			sum->hist[i] += s->hist[i];
			total += s->hist[i];
		}
	}
	return total;
}

/* The longest delay; *self: polls that followed no wake from outside. */
static uint64_t delays_sum(const struct kernel *k, uint32_t id, uint64_t *hist, uint64_t *self)
{
	uint64_t max = 0;

	memset(hist, 0, HIST_BUCKETS * sizeof(*hist));
	for (uint32_t cpu = 0; cpu < k->cpus; cpu++) {
		const struct wire_delays *d = &k->delays[(size_t)cpu * k->max_sites + id];

		for (int i = 0; i < HIST_BUCKETS; i++)
			hist[i] += d->hist[i];
		*self += d->self;
		if (d->max_ns > max)
			max = d->max_ns;
	}
	return max;
}

int live_site_stats(struct live *live, struct emit *emit)
{
	uint64_t delays[HIST_BUCKETS];
	int ret = 0;

	live_panics_tick(live, emit->now);
	for (uint32_t id = 0; id < live->sites_count && !ret; id++) {
		struct live_site *site = &live->sites[id];
		struct wire_site_stats sum;
		struct event event;
		uint64_t checksum, polls;

		if (site->unmet)
			continue;
		polls = live_site_sum(live, id, &sum);
		checksum = sum.busy_ns + sum.first_seen + sum.unsized + site->ended +
			   site->samples + site->panics;
		if (checksum == site->checksum && !site->sample)
			continue;
		site->checksum = checksum;
		event = (struct event){.as_site_stats = {
					       .site = id,
					       .polls = polls,
					       .busy_ns = sum.busy_ns,
					       .blocked_ns = sum.blocked_ns,
					       .preempted_ns = sum.preempted_ns,
					       .max_ns = sum.max_ns,
					       .seen = sum.first_seen,
					       .ended = site->ended,
					       .tasks_valid = live->opts.level >= 2 &&
							      !site->untold && !site->proving,
					       .tasks_gap = site->rows_ns || site->untold,
					       .moved = sum.moved,
					       .cancelled = sum.cancelled,
					       .hist = (const uint64_t *)sum.hist,
					       .samples_valid = live_samples_come(live),
					       .samples = site->samples,
					       .refcounts = site->refcounts,
					       .panics_valid = live_panics_come(live, site),
					       .panics = site->panics,
					       .panics_lost = site->panics_lost,
				       }};
		if (live->opts.level >= 3) {
			event.as_site_stats.delay_max_ns = delays_sum(live->kernel, id, delays,
								      &event.as_site_stats.self);
			event.as_site_stats.delay_hist = delays;
			event.as_site_stats.self_valid = site->wakes_apart;
		}
		live_sample_scale(live, id, emit->now, &event.as_site_stats, (uint64_t *)sum.hist,
				  sum.unsized);
		ret = live_emit(emit, EV_SITE_STATS, site->target, &event);
	}
	return ret;
}

/* Headers that are read in one go. */
struct headers {
	uint32_t target, count;
	struct wire_task rows[HEADER_BATCH];
	uint32_t index[HEADER_BATCH]; /* of each in the table */
	struct memory_piece pieces[HEADER_BATCH];
	uint64_t words[HEADER_BATCH][8];
};

/* What is known of the header of a row; nothing yet when the row has gone to another task. */
static struct row_check *check_of(struct live *live, const struct wire_task *row, uint32_t index)
{
	struct row_check *check = &live->checks[index];

	if (check->id != row->id || check->first_ns != row->first_ns)
		*check = (struct row_check){
			.id = row->id,
			.first_ns = row->first_ns,
			.placed = check->id == row->id && check->placed,
		};
	return check;
}

/* The task was met before a time in which its type was not followed, and not polled since. */
static bool is_old(const struct live *live, const struct wire_task *row)
{
	return row->first_ns < live->sites[row->site].rows_ns;
}

/* Nobody has seen since whether it is alive. */
static bool is_unproven(const struct live *live, const struct wire_task *row, uint32_t index)
{
	const struct row_check *check = &live->checks[index];

	return is_old(live, row) &&
	       (check->id != row->id ||
		(!check->gone && check->read_ns < live->sites[row->site].rows_ns));
}

bool live_row_watched(const struct live *live, const struct wire_task *row)
{
	uint32_t target = KEY_TARGET(row->key);

	return target < live->targets_count && !live->targets[target].ended &&
	       !(live->scan.execed & 1ULL << target) && row->site < live->sites_count &&
	       live->sites[row->site].found && !live->sites[row->site].untold;
}

/* A header that is not this task's any more: it was freed, most likely unseen by any probe. */
static void judge_header(struct live *live, const struct wire_task *row, const uint64_t *words,
			 struct row_check *check)
{
	const struct runtime_found *found = live_found(live, row->site);
	const struct runtime_site *site = live->sites[row->site].found;

	check->valid = runtime_header_is(found, site, words, KEY_HEADER(row->key), row->id);
	found->ops->state(words[site->state_word & 7], &check->state);
	/* Without ids: the row's own task ended, and another one of its type has its memory. */
	if ((row->last_slot & WIRE_TASK_DONE) && !check->state.complete && !check->state.cancelled)
		check->valid = false;
	check->gone = !check->valid;
	check->polls = row->polls;
	/* What it waited for when it was not followed yet. */
	if (check->read_ns < live->sites[row->site].rows_ns)
		check->wait = (struct runtime_wait){0};
	check->read_ns = live->scan.begin_ns;
	if (check->valid && site->spawn_word && !check->placed) {
		check->placed = true;
		check->place = words[site->spawn_word & 7];
	}
}

/*
 * Reads the headers that were gathered, all of one target. Where there is no memory any more, there
 * is no task; that the target cannot be read at all proves nothing.
 */
static void read_headers(struct live *live, struct headers *h)
{
	uint32_t count = h->count;

	h->count = 0;
	if (!count || memory_readv(&live->targets[h->target].watch->memory, h->pieces, count) < 0)
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct row_check *check = check_of(live, &h->rows[i], h->index[i]);

		if (!h->pieces[i].error)
			judge_header(live, &h->rows[i], h->words[i], check);
		else if (h->pieces[i].error == -EFAULT)
			*check = (struct row_check){
				.id = check->id, .first_ns = check->first_ns, .gone = true};
		else
			continue;
		live->scan.read++;
		live->scan.gone += check->gone;
	}
}

static void gather_header(struct live *live, struct headers *h, const struct wire_task *row,
			  uint32_t index)
{
	uint32_t n;

	if (h->count == HEADER_BATCH || (h->count && KEY_TARGET(row->key) != h->target))
		read_headers(live, h);
	n = h->count++;
	h->target = KEY_TARGET(row->key);
	h->rows[n] = *row;
	h->index[n] = index;
	h->pieces[n] = (struct memory_piece){
		.addr = KEY_HEADER(row->key),
		.buf = h->words[n],
		.len = sizeof(h->words[n]),
		.error = -EFAULT,
	};
}

/*
 * Reads headers of `rows` rows, `budget` at most: those in the places from `begin` on when each is
 * `stride` rows from the last, around the end. Returns the place that follows.
 */
static uint32_t check_rows(struct live *live, uint32_t begin, uint32_t stride, uint32_t rows,
			   uint32_t budget)
{
	struct headers *h = xcalloc(1, sizeof(*h));
	uint32_t all = live->scan.rows, place = begin;

	for (; place - begin < rows && budget; place++) {
		uint32_t at = (uint64_t)place * stride % all;
		struct row_check *check;
		struct wire_task row;

		if (!kernel_task(live->kernel, at, &row) || !live_row_watched(live, &row))
			continue;
		check = check_of(live, &row, at);
		if (check->gone || (live->proving && !is_unproven(live, &row, at)))
			continue;
		if (live_is_usdt(live, row.site)) {
			live_usdt_check(live, &row, at, check);
			continue;
		}
		gather_header(live, h, &row, at);
		budget--;
	}
	read_headers(live, h);
	free(h);
	return place;
}

/*
 * Which tasks ended, their headers tell. As long as few do, some are read a scan, in turns; else each
 * as its row is told, or tasks that ended would be counted as alive for as long as the turns take.
 */
static void check_turn(struct live *live)
{
	uint32_t rows = live->scan.rows;

	if (rows)
		live->check_cursor = check_rows(live, live->check_cursor % rows, SCATTERED, rows,
						live->opts.fresh_tasks ? SCAN_MAX : HEADERS_A_SCAN);
}

static void check_slice(struct live *live, uint32_t rows)
{
	uint32_t left = live->scan.rows - live->scan.next;

	check_rows(live, live->scan.next, 1, left < rows ? left : rows, SCAN_MAX);
}

/* Reservoir sampling: each row of a scan has the same chance to be watched for readiness. */
static void offer_ready(struct live *live, const struct ev_task *task, const struct wire_task *row,
			uint32_t index)
{
	uint64_t at = live->ready_seen++;

	if (at >= LIVE_READY_SAMPLE) {
		at = (at * 0x9e3779b97f4a7c15ULL + task->key) % (at + 1);
		if (at >= LIVE_READY_SAMPLE)
			return;
	} else {
		live->ready_count = at + 1;
	}
	if (live->ready[at].key == row->key && live->ready[at].id == row->id)
		return;
	live->ready[at] = (struct ready_probe){
		.key = row->key,
		.id = row->id,
		.site = task->site,
		.runtime = task->runtime,
		.polls = task->polls,
		.row = index,
	};
}

void live_task_state(struct ev_task *t, const struct runtime_state *state)
{
	t->state_valid = true;
	t->running = state->running;
	t->complete = state->complete;
	t->ready = state->ready;
	t->cancelled = state->cancelled;
	t->has_handle = state->has_handle;
	t->refs = state->refs;
	t->wakers = state->wakers;
}

static int emit_row(struct live *live, struct emit *emit, const struct wire_task *row,
		    uint32_t index)
{
	const struct row_check *check = &live->checks[index];
	const struct live_site *site = &live->sites[row->site];
	uint32_t target = KEY_TARGET(row->key);
	bool old = is_old(live, row);
	struct event event = {.as_task = {
				      .key = KEY_HEADER(row->key),
				      .id = live_task_id(live, row->site, row->id),
				      .site = row->site,
				      .runtime = live_runtime_of(live, emit, target, row->site,
								 row->sched, KEY_HEADER(row->key)),
				      .first_ns = old ? 0 : row->first_ns,
				      .last_ns = old ? site->rows_ns : row->last_ns,
				      .polls = old ? 0 : row->polls,
				      .busy_ns = old ? 0 : row->busy_ns,
				      .wakes_valid = site->wakes_seen && live->opts.level >= 3 &&
						     !old && row->first_ns >= live->wakes_ns,
			      }};

	if (!old && (row->last_slot & ~WIRE_TASK_DONE) < WIRE_MAX_SLOTS)
		event.as_task.last_tid = live->kernel->slots[row->last_slot & ~WIRE_TASK_DONE].tid;
	if (event.as_task.wakes_valid)
		event.as_task.wakes = kernel_task_wakes(live->kernel, index);
	if (check->valid)
		live_task_state(&event.as_task, &check->state);
	if (check->wait_polls == row->polls)
		live_wait_tell(&check->wait, &event.as_task);
	/* Headers are read in turns: who was polled since may have left a waker. */
	if (check->polls != row->polls)
		event.as_task.wakers = WAKERS_UNKNOWN;
	/* Whether it was polled once only, as one that waits for ever on purpose, is not known either. */
	if (old && !event.as_task.has_handle)
		event.as_task.wakers = WAKERS_UNKNOWN;
	if (event.as_task.state_valid && !event.as_task.complete)
		offer_ready(live, &event.as_task, row, index);
	if (row->first_ns < live->scan.begin_ns)
		live->sites[row->site].alive++;
	live->scan.sent[target]++;
	return live_emit(emit, EV_TASK, target, &event);
}

static int emit_place(struct live *live, struct emit *emit, const struct wire_task *row,
		      uint32_t index)
{
	struct row_check *check = &live->checks[index];
	uint64_t place = check->place;

	if (!place || live->scan.places == PLACES_A_SCAN || live->opts.no_spawns)
		return 0;
	check->place = 0;
	live->scan.places++;
	return live_spawn_place(live, emit, row->site, place);
}

/* The next `count` rows of the table, in use or not. */
static int emit_rows(struct live *live, struct emit *emit, uint32_t count, struct map *sent)
{
	struct live_scan *scan = &live->scan;
	uint32_t end = count < scan->rows - scan->next ? scan->next + count : scan->rows;
	int ret = 0;

	for (; scan->next < end && scan->used < SCAN_MAX && !ret; scan->next++) {
		struct row_check *check;
		struct wire_task row;

		if (!kernel_task(live->kernel, scan->next, &row))
			continue;
		scan->used++;
		if (sent)
			map_put(sent, KEY_HEADER(row.key), KEY_TARGET(row.key), scan->next);
		if (!live_row_watched(live, &row) ||
		    (live->sites[row.site].proving && !live->sites[row.site].proven))
			continue;
		check = check_of(live, &row, scan->next);
		if (!check->gone)
			ret = emit_row(live, emit, &row, scan->next);
		if (!ret)
			ret = emit_place(live, emit, &row, scan->next);
	}
	return ret;
}

/* All of them, and those that were never polled. */
static int emit_all(struct live *live, struct emit *emit)
{
	struct map sent;
	int ret;

	if (!live->opts.fresh_tasks)
		return emit_rows(live, emit, UINT32_MAX, NULL);
	map_init(&sent, SCAN_MAX);
	ret = emit_rows(live, emit, UINT32_MAX, &sent);
	if (!ret)
		ret = live_owned_tasks(live, emit, &sent);
	map_free(&sent);
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
		/* Whose rows are passed by until it has a name. */
		live->sites[id].seen = live->sites[id].unmet ? 0 : tasks_seen(live->kernel, id);
		live->sites[id].alive = 0;
	}
}

static void count_end(struct live *live)
{
	for (uint32_t id = 0; id < live->sites_count; id++) {
		struct live_site *site = &live->sites[id];

		if (!site->untold && !site->proving && site->seen > site->alive &&
		    site->seen - site->alive > site->ended)
			site->ended = site->seen - site->alive;
	}
}

/* Which sites' tasks of before are all known by now to be alive, or gone. */
static void prove(struct live *live)
{
	for (uint32_t id = 0; id < live->sites_count; id++)
		live->sites[id].proven = live->sites[id].proving;
	for (uint32_t i = 0; i < live->scan.rows; i++) {
		struct wire_task row;

		if (kernel_task(live->kernel, i, &row) && live_row_watched(live, &row) &&
		    is_unproven(live, &row, i))
			live->sites[row.site].proven = false;
	}
}

/* What was proven before the scan is told by it. */
static void prove_end(struct live *live)
{
	live->proving = false;
	for (uint32_t id = 0; id < live->sites_count; id++) {
		struct live_site *site = &live->sites[id];

		site->proving &= !site->proven;
		site->proven = false;
		live->proving |= site->proving;
	}
}

void live_tasks_again(struct live *live, uint32_t site, uint64_t now)
{
	struct live_site *s = &live->sites[site];

	s->rows_ns = now;
	s->untold = s->proven = false;
	s->proving = live->proving = true;
	s->checksum = UINT64_MAX;
	__atomic_store_n(&live->kernel->sites[site].rows_ns, now, __ATOMIC_RELEASE);
}

void live_tasks_stop(struct live *live)
{
	live->scan.under_way = false;
	live->ready_count = 0;
	live->task_scan_next = 0;
}

static void scan_begin(struct live *live, uint64_t now)
{
	struct live_scan *scan = &live->scan;
	size_t before = live->checks_cap;

	*scan = (struct live_scan){
		.under_way = true,
		.begin_ns = now,
		.checks_all = !live->opts.fresh_tasks && scan->gone * GONE_SHARE > scan->read,
		.rows = kernel_task_rows(live->kernel),
	};
	live->checks = xgrow(live->checks, &live->checks_cap, scan->rows, sizeof(*live->checks));
	if (live->checks_cap > before)
		memset(live->checks + before, 0,
		       (live->checks_cap - before) * sizeof(*live->checks));
	live->ready_seen = 0;
	count_begin(live);
	if (!scan->checks_all)
		check_turn(live);
	if (live->proving)
		prove(live);
	live_waits(live, now);
}

static int scan_end(struct live *live, struct emit *emit)
{
	struct live_scan *scan = &live->scan;
	bool truncated = scan->used >= SCAN_MAX;
	int ret = 0;

	scan->under_way = false;
	if (!truncated)
		count_end(live);
	if (live->proving)
		prove_end(live);
	for (uint32_t target = 0; target < live->targets_count && !ret; target++) {
		struct event event = {.as_task_scan = {
					      .rows = scan->sent[target],
					      .truncated = truncated,
				      }};

		/* Not all rows of the new program were there yet: the next scan has them. */
		if (!live->targets[target].ended && !(scan->execed & 1ULL << target))
			ret = live_emit(emit, EV_TASK_SCAN, target, &event);
	}
	return ret;
}

/* One slice of the scan under way; `all`: what is left of it. */
static int scan_step(struct live *live, struct emit *emit, bool all)
{
	struct live_scan *scan = &live->scan;
	uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID), pause;
	int ret;

	if (!scan->under_way)
		scan_begin(live, emit->now);
	if (scan->checks_all)
		check_slice(live, all ? SCAN_MAX : SLICE_ROWS);
	ret = all ? emit_all(live, emit) : emit_rows(live, emit, SLICE_ROWS, NULL);
	if (!ret && (scan->next >= scan->rows || scan->used >= SCAN_MAX))
		ret = scan_end(live, emit);
	scan->cost_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
	pause = scan->cost_ns * SCAN_SHARE;
	live->task_scan_next = scan->begin_ns + (pause > SCAN_PERIOD_NS ? pause : SCAN_PERIOD_NS) -
			       SCAN_PERIOD_NS / 10;
	return ret;
}

int live_task_scan(struct live *live, struct emit *emit, bool begin, bool all)
{
	int ret = 0;

	if (live->opts.level < 2)
		return 0;
	if (live->scan.under_way)
		ret = scan_step(live, emit, all);
	else if (begin && !all && emit->now >= live->task_scan_next)
		ret = scan_step(live, emit, false);
	/* What ends the watch is read as it is at the end. */
	return ret || !all ? ret : scan_step(live, emit, true);
}

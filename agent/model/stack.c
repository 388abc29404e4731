// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stacks of sites: which frame is to blame, and rows of stacks with the same blame.
 *
 * A row keeps one block of memory: its frames, and after them their strings.
 */
#include "model/model_priv.h"

#include <errno.h>

#include "util/xalloc.h"

#define FNV_BASIS 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

/* --- what an event may hold --------------------------------------------------------- */

static bool frames_acceptable(const struct ev_stack *ev)
{
	if (ev->frames_count > FRAMES_MAX || (ev->frames_count && !ev->frames))
		return false;
	for (uint32_t i = 0; i < ev->frames_count; i++)
		if ((unsigned int)ev->frames[i].origin > FRAME_SYSTEM ||
		    (unsigned int)ev->frames[i].from > FRAME_FROM_PLACE)
			return false;
	return true;
}

static bool stack_acceptable(const struct model *m, const struct event *event)
{
	const struct ev_stack *ev = &event->as_stack;

	return model_target(m, event->target) && runtime_valid(m, ev->runtime, event->target) &&
	       site_valid(m, ev->site, event->target) && (unsigned int)ev->kind < STACK_KINDS &&
	       (unsigned int)ev->end <= STACK_FAILED &&
	       (unsigned int)ev->lock_kind <= LOCK_PTHREAD &&
	       (unsigned int)ev->lock_found <= LOCK_NOWHERE &&
	       (ev->lock_found != LOCK_IN_TASK ||
		(ev->lock_site != ID_NONE && site_valid(m, ev->lock_site, event->target))) &&
	       frames_acceptable(ev);
}

/* --- the culprit -------------------------------------------------------------------- */

/*
 * Is this the site's poll function? What is inlined into it has the same start, and is the task's
 * own code more often than not: the function itself is the outermost of these.
 */
static bool is_poll(const struct model *m, const struct site *site, const struct frame *f)
{
	const struct binary *binary = binary_of(m, site->binary);

	return binary && f->binary && f->start && !f->inlined &&
	       (f->start == site->offset || f->start == site->body) &&
	       !strcmp(f->binary, binary->path);
}

static int32_t find_boundary(const struct model *m, const struct site *site,
			     const struct frame *frames, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (frames[i].origin == FRAME_BOUNDARY || is_poll(m, site, &frames[i]))
			return (int32_t)i;
	return -1;
}

static int32_t first_of(const struct frame *frames, int32_t count, enum frame_origin origin)
{
	for (int32_t i = 0; i < count; i++)
		if (frames[i].origin == origin)
			return i;
	return -1;
}

/* Without names, the task's own code is what its poll function calls: next to the boundary. */
static int32_t outermost_nameless(const struct frame *frames, int32_t boundary)
{
	for (int32_t i = boundary - 1; i >= 0; i--)
		if (frames[i].origin == FRAME_UNKNOWN || frames[i].origin == FRAME_USER ||
		    frames[i].origin == FRAME_LIBRARY)
			return i;
	return boundary;
}

static int32_t find_culprit(const struct model *m, const struct site *site,
			    const struct frame *frames, uint32_t count)
{
	int32_t boundary = find_boundary(m, site, frames, count), user, library;

	if (boundary < 0)
		return first_of(frames, (int32_t)count, FRAME_USER);
	user = first_of(frames, boundary, FRAME_USER);
	if (user >= 0)
		return user;
	/* The poll function itself can have no name too, and then nothing inside it has one. */
	if (first_of(frames, boundary + 1, FRAME_UNKNOWN) >= 0)
		return outermost_nameless(frames, boundary);
	library = first_of(frames, boundary, FRAME_LIBRARY);
	return library >= 0 ? library : boundary;
}

/*
 * What the culprit called. Where the task's own code is inlined into the runtime's, what the runtime
 * calls next is its own plumbing.
 */
static int32_t find_call(const struct frame *frames, int32_t culprit)
{
	int32_t call = culprit < 0 ? -1 : culprit - 1;

	if (culprit >= 0 && frames[culprit].origin == FRAME_BOUNDARY)
		while (call > 0 && frames[call].origin == FRAME_RUNTIME)
			call--;
	return call;
}

/* The task type whose poll function this is; ID_NONE: no one's, or that of several types. */
static uint32_t polled_site(const struct model *m, uint32_t target, const struct frame *f)
{
	uint32_t found = ID_NONE;

	for (uint32_t i = 0; i < m->sites_count && i < MODEL_MAX_SITES; i++) {
		const struct site *site = &m->sites[i];

		if (site->id == ID_NONE || site->target != target || site->kind == SITE_WORKER ||
		    !is_poll(m, site, f))
			continue;
		if (found != ID_NONE)
			return ID_NONE;
		found = i;
	}
	return found;
}

/*
 * The poll that spawns, if one does: the frame of its function is the first that is not inlined,
 * from the innermost boundary on; where names do not tell that, the first that is known.
 */
static uint32_t spawning_site(const struct model *m, const struct event *event, int32_t *limit)
{
	const struct ev_stack *ev = &event->as_stack;
	int32_t count = (int32_t)ev->frames_count;
	int32_t first = first_of(ev->frames, count, FRAME_BOUNDARY);
	uint32_t site;

	*limit = first < 0 ? count : first;
	for (int32_t i = first < 0 ? 0 : first; i < count; i++) {
		if (ev->frames[i].inlined)
			continue;
		site = polled_site(m, event->target, &ev->frames[i]);
		if (first >= 0)
			return site;
		if (site == ID_NONE)
			continue;
		*limit = i;
		return site;
	}
	return ID_NONE;
}

/*
 * Who spawns: whoever called the runtime. A task that spawns does so in its poll; what is further
 * out is the runtime again.
 */
static int32_t find_spawner(const struct frame *frames, int32_t limit)
{
	int32_t found = first_of(frames, limit, FRAME_USER);

	return found >= 0 ? found : first_of(frames, limit, FRAME_LIBRARY);
}

/* --- rows ---------------------------------------------------------------------------- */

static uint64_t fnv(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *s = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ s[i]) * FNV_PRIME;
	return hash;
}

static uint64_t fnv_text(uint64_t hash, const char *text)
{
	return text ? fnv(hash, text, strnlen(text, NAME_LIMIT) + 1) : fnv(hash, "\1", 1);
}

/* Function and line where they are known: another build of the same code is the same row. */
static uint64_t frame_hash(uint64_t hash, const struct ev_stack *ev, int32_t i)
{
	const struct frame *f = i < 0 ? NULL : &ev->frames[i];

	if (!f)
		return fnv(hash, "\2", 1);
	if (f->function) {
		hash = fnv_text(hash, f->function);
		hash = fnv_text(hash, f->file);
		return fnv(hash, &f->line, sizeof(f->line));
	}
	hash = fnv_text(hash, f->binary);
	return fnv(hash, &f->offset, sizeof(f->offset));
}

static uint64_t stack_key(const struct ev_stack *ev, int32_t culprit, uint32_t spawner)
{
	unsigned char kind = (unsigned char)ev->kind;
	uint64_t hash = fnv(FNV_BASIS, &kind, 1);

	if (culprit < 0 && spawner != ID_NONE)
		hash = fnv(hash, &spawner, sizeof(spawner));
	hash = frame_hash(hash, ev, culprit);
	return frame_hash(hash, ev, culprit - 1);
}

uint64_t site_stack_weight(const struct site_stack *row)
{
	return row->kind == STACK_OFF_CPU ? row->total_ns : row->count;
}

static struct site_stack *row_find(struct site_stacks *stacks, uint64_t key, enum stack_kind kind)
{
	for (uint32_t i = 0; i < stacks->count; i++)
		if (stacks->list[i].key == key && stacks->list[i].kind == kind)
			return &stacks->list[i];
	return NULL;
}

static void row_clear(struct model *m, struct site_stack *row)
{
	m->index->stack_bytes -= row->bytes;
	free(row->frames);
	free(row->kernel);
	free(row->detail);
	memset(row, 0, sizeof(*row));
}

/*
 * The lightest row, of the kind that has the most: weights of two kinds do not compare. With as
 * many of both, it is the new one's kind.
 */
static struct site_stack *row_lightest(struct site_stacks *stacks, enum stack_kind kind)
{
	uint32_t rows[STACK_KINDS] = {0};
	struct site_stack *lightest = NULL;

	for (uint32_t i = 0; i < stacks->count; i++)
		rows[stacks->list[i].kind]++;
	for (uint32_t k = 0; k < STACK_KINDS; k++)
		if (rows[k] > rows[kind])
			kind = (enum stack_kind)k;
	for (uint32_t i = 0; i < stacks->count; i++) {
		struct site_stack *row = &stacks->list[i];

		if (row->kind == kind &&
		    (!lightest || site_stack_weight(row) < site_stack_weight(lightest)))
			lightest = row;
	}
	return lightest;
}

static struct site_stack *row_new(struct model *m, struct site_stacks *stacks,
				  const struct ev_stack *ev)
{
	struct site_stack *row;

	if (stacks->count < SITE_STACKS)
		return &stacks->list[stacks->count++];
	row = row_lightest(stacks, ev->kind);
	row_clear(m, row);
	stacks->evicted++;
	return row;
}

/* --- frames of a row ------------------------------------------------------------------ */

static size_t text_room(const char *text)
{
	return text ? strnlen(text, NAME_LIMIT) + 1 : 0;
}

static size_t frames_room(const struct ev_stack *ev)
{
	size_t room = ev->frames_count * sizeof(*ev->frames);

	for (uint32_t i = 0; i < ev->frames_count; i++) {
		const struct frame *f = &ev->frames[i];

		room += text_room(f->function) + text_room(f->file) + text_room(f->folder);
		if (!i || f->binary != ev->frames[i - 1].binary)
			room += text_room(f->binary);
	}
	return room;
}

/* Of the names, and of the pointers to them. */
static size_t kernel_room(const struct ev_stack *ev)
{
	return ev->kernel ? KERNEL_FRAMES_MAX * sizeof(char *) + text_room(ev->kernel) : 0;
}

static const char *copy_text(char **to, const char *from)
{
	char *start = *to;
	size_t len = text_room(from);

	if (!from)
		return NULL;
	memcpy(start, from, len - 1);
	start[len - 1] = '\0';
	*to += len;
	return start;
}

static struct frame *frames_copy(const struct ev_stack *ev, size_t room)
{
	struct frame *frames = xmalloc(room);
	char *to = (char *)(frames + ev->frames_count);

	for (uint32_t i = 0; i < ev->frames_count; i++) {
		const struct frame *from = &ev->frames[i];

		frames[i] = *from;
		frames[i].function = copy_text(&to, from->function);
		frames[i].file = copy_text(&to, from->file);
		frames[i].folder = copy_text(&to, from->folder);
		frames[i].binary = i && from->binary == ev->frames[i - 1].binary ?
					   frames[i - 1].binary :
					   copy_text(&to, from->binary);
	}
	return frames;
}

static void kernel_capture(struct site_stack *row, const struct ev_stack *ev)
{
	char *text, *names, *save = NULL;
	uint32_t count = 0;

	free(row->kernel);
	row->kernel = ev->kernel ? xmalloc(kernel_room(ev)) : NULL;
	if (ev->kernel) {
		names = text = (char *)(row->kernel + KERNEL_FRAMES_MAX);
		copy_text(&names, ev->kernel);
		for (char *name = strtok_r(text, " ", &save); name && count < KERNEL_FRAMES_MAX;
		     name = strtok_r(NULL, " ", &save))
			row->kernel[count++] = name;
	}
	row->kernel_count = count;
	row->kernel_main = kernel_main((const char *const *)row->kernel, count);
	row->kernel_fault = kernel_fault((const char *const *)row->kernel, count);
}

/* --- one stack into its row ------------------------------------------------------------ */

static void row_count(struct site_stack *row, const struct event *event)
{
	const struct ev_stack *ev = &event->as_stack;
	/* Samples are never told twice. */
	bool again = row->count && ev->kind == STACK_OFF_CPU && block_is_again(&row->last, ev);

	if (!row->count)
		row->first_ns = event->time_ns;
	row->count += !again;
	row->total_ns += ev->span_ns - (again ? row->last.span_ns : 0);
	if (event->time_ns > row->last_ns)
		row->last_ns = event->time_ns;
	row->last = block_told(ev);
}

/* The longest span stands for the row. */
static void row_capture(struct model *m, struct site_stack *row, const struct ev_stack *ev,
			int32_t culprit, size_t room)
{
	m->index->stack_bytes += room - row->bytes;
	free(row->frames);
	row->bytes = room;
	row->frames = frames_copy(ev, room - kernel_room(ev));
	kernel_capture(row, ev);
	row->frames_count = ev->frames_count;
	row->culprit = culprit;
	row->call = find_call(ev->frames, culprit);
	row->end = ev->end;
	row->tid = ev->tid;
	row->syscall = ev->syscall;
	row->worst_ns = ev->span_ns;
	row->lock_kind = ev->lock_kind;
	row->lock_owner = ev->lock_owner;
	row->lock_seen = ev->lock_seen;
	row->lock_addr = ev->lock_addr;
	row->lock_found = ev->lock_found;
	row->lock_site = ev->lock_site;
	row->lock_task = ev->lock_task;
	text_set(&row->detail, ev->detail);
}

/*
 * What a thread does now, as far as it is the poll that is open on it, or none. One row a worker: the
 * latest.
 */
static void worker_stack_keep(struct model *m, const struct event *event)
{
	const struct ev_stack *ev = &event->as_stack;
	struct worker *w = worker_of(m, event->target, ev->tid);
	size_t room = frames_room(ev) + kernel_room(ev);
	int32_t culprit = -1;

	if (!w || (!ev->open && ev->kind != STACK_ON_CPU) ||
	    m->index->stack_bytes + room > MODEL_MAX_STACK_BYTES)
		return;
	if (ev->site != ID_NONE)
		culprit = find_culprit(m, &m->sites[ev->site], ev->frames, ev->frames_count);
	if (!w->stack)
		w->stack = xcalloc(1, sizeof(*w->stack));
	w->stack->kind = ev->kind;
	w->stack->count = 1;
	w->stack->total_ns = ev->span_ns;
	w->stack->first_ns = w->stack->last_ns = event->time_ns;
	w->stack->last = block_told(ev);
	row_capture(m, w->stack, ev, culprit, room);
}

const struct site_stack *worker_stack(const struct worker *w)
{
	uint64_t start = w->now.poll_start_ns;

	if (!w->announced && w->open)
		start = w->poll.start_ns;
	return w->stack && w->stack->last.poll_start_ns == start ? w->stack : NULL;
}

void worker_stack_free(struct model *m, struct worker *w)
{
	if (w->stack)
		row_clear(m, w->stack);
	free(w->stack);
	w->stack = NULL;
}

/* Who holds the lock is known while the block lasts; how long it lasted, at its end. */
static void held_wait_keep(struct held_wait *held, const struct event *event)
{
	const struct ev_stack *ev = &event->as_stack;
	bool again = held->last_ns && block_is_again(&held->told, ev);

	if (ev->lock_found == LOCK_IN_TASK)
		*held = (struct held_wait){
			.kind = ev->lock_kind,
			.holder = ev->lock_site,
			.task = ev->lock_task,
		};
	else if (!again)
		return;
	held->last_ns = event->time_ns;
	held->told = block_told(ev);
}

int stack_apply(struct model *m, const struct event *event)
{
	const struct ev_stack *ev = &event->as_stack;
	struct site_stack *row;
	uint32_t spawner = ID_NONE;
	int32_t culprit, limit;
	struct site *site;
	uint64_t key;
	size_t room;

	if (!stack_acceptable(m, event))
		return -EINVAL;
	worker_stack_keep(m, event);
	if (ev->site == ID_NONE || ev->now_only)
		return 0;
	site = &m->sites[ev->site];
	if (!site->stacks)
		site->stacks = xcalloc(1, sizeof(*site->stacks));
	site->stacks->taken[ev->kind]++;
	if (ev->kind == STACK_OFF_CPU)
		held_wait_keep(&site->stacks->held, event);
	if (ev->kind == STACK_SPAWN) {
		spawner = spawning_site(m, event, &limit);
		culprit = find_spawner(ev->frames, limit);
	} else {
		culprit = find_culprit(m, site, ev->frames, ev->frames_count);
	}
	key = stack_key(ev, culprit, spawner);
	room = frames_room(ev) + kernel_room(ev);
	row = row_find(site->stacks, key, ev->kind);
	if (m->index->stack_bytes + room > MODEL_MAX_STACK_BYTES) {
		m->stacks_dropped++;
		if (row)
			row_count(row, event);
		return 0;
	}
	if (!row)
		row = row_new(m, site->stacks, ev);
	row->key = key;
	row->kind = ev->kind;
	row->spawner = spawner;
	row_count(row, event);
	if (!row->frames || ev->span_ns >= row->worst_ns)
		row_capture(m, row, ev, culprit, room);
	return 0;
}

/* --- readers and the end ----------------------------------------------------------------- */

const struct site_stack *model_stack(const struct site *site, enum stack_kind kind, double *share)
{
	const struct site_stack *heaviest = NULL;
	double all = 0;

	for (uint32_t i = 0; site->stacks && i < site->stacks->count; i++) {
		const struct site_stack *row = &site->stacks->list[i];

		if (row->kind != kind)
			continue;
		all += (double)site_stack_weight(row);
		if (!heaviest || site_stack_weight(row) > site_stack_weight(heaviest))
			heaviest = row;
	}
	if (heaviest && share)
		*share = all > 0 ? (double)site_stack_weight(heaviest) / all : 1;
	return heaviest;
}

void site_stacks_free(struct model *m, struct site *site)
{
	for (uint32_t i = 0; site->stacks && i < site->stacks->count; i++)
		row_clear(m, &site->stacks->list[i]);
	free(site->stacks);
	site->stacks = NULL;
}

void stacks_target_again(struct model *m, uint32_t target)
{
	for (uint32_t i = 0; i < m->sites_count; i++)
		if (m->sites[i].id != ID_NONE && m->sites[i].target == target)
			site_stacks_free(m, &m->sites[i]);
}

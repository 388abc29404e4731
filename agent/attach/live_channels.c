// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Channels without a bound. Their ends are held by tasks, so the words of a task's memory, and what
 * these point to, are offered to the runtime's back end, which knows a channel when it sees one
 * (runtime/channel.h). A few tasks of each type are read in a scan, and a channel that is known is
 * read again from outside for as long as it is one. Nothing is stopped, and no probe is involved.
 */
#include "attach/live_priv.h"

#include "util/xalloc.h"

#include <string.h>

#define CHANNELS_MAX 512
#define HOLDERS 6
#define ROWS_A_SCAN 16384
#define TASKS_A_SCAN 128
#define TASKS_A_SITE 8
#define TASK_BYTES 4096	 /* read of one task */
#define BEHIND_BYTES 512 /* and behind one of its pointers */
#define BEHIND_A_TASK 64
#define BEHIND_A_SCAN 1024
#define FITS_A_SCAN 512
#define FITS_A_TASK 64 /* so that no task's memory uses up what the others need */
#define VISITED_MAX 16384
#define AGAIN 8	    /* scans until what leads to no channel is looked at again */
#define AGAIN_FIT 2 /* and what is none: it may become one with its first messages */
#define SHALLOW_A_SCAN 128
#define DEEP 128 /* messages: less is no backlog, and is not told */
#define TOLD_A_TICK 64
#define FIRST_WORD 4 /* of a task behind its header's own pointers */

struct holder {
	uint32_t site;
	uint64_t task; /* one of them */
	bool direct;   /* it has an end of its own, not one that it may share with others */
	bool many;     /* and so has another one */
};

struct live_channel {
	struct channel c;
	const struct runtime_channel_ops *ops; /* NULL: the row is free */
	uint32_t target;
	uint32_t receiver; /* ID_NONE: not seen to wait */
	uint64_t task_id;
	struct holder holders[HOLDERS];
	uint32_t holders_count;
	char *message;	 /* the type of a message, by debug information; NULL: not known */
	bool disputed;	 /* of two ends it says two types: it is believed of none */
	uint32_t misses; /* readings that did not fit, in a row */
	bool told;	 /* as a deep one: its becoming shallow is told too */
};

struct channels {
	struct live_channel list[CHANNELS_MAX];
	uint32_t count;	    /* rows ever used */
	struct map known;   /* (address, target) -> row */
	struct map visited; /* (address, target) -> the scan in which to look again */
	uint64_t scan;
	uint32_t row, shallow; /* where the next scan goes on */
	uint32_t tasks[WIRE_MAX_TARGETS];
};

/* One scan, and the task that it is at. */
struct hunt {
	struct live *live;
	struct channels *c;
	uint8_t *taken; /* tasks of each site */
	uint32_t tasks, behind, fits, fits_task;
	uint32_t target, site;
	uint64_t task;
	bool direct; /* what is looked at is the task's own memory */
	bool idle;   /* it is not polled now */
	const struct memory *memory;
	const struct runtime_channel_ops *ops;
};

/* --- finding ---------------------------------------------------------------------------------- */

static void holder_add(struct live_channel *ch, const struct hunt *h)
{
	for (uint32_t i = 0; i < ch->holders_count; i++) {
		struct holder *known = &ch->holders[i];

		if (known->site != h->site)
			continue;
		known->many |= known->direct && h->direct && known->task != h->task;
		if (h->direct && !known->direct)
			*known = (struct holder){.site = h->site, .task = h->task, .direct = true};
		return;
	}
	if (ch->holders_count < HOLDERS)
		ch->holders[ch->holders_count++] = (struct holder){
			.site = h->site, .task = h->task, .direct = h->direct};
}

static struct live_channel *channel_new(struct hunt *h, uint64_t addr)
{
	struct channels *c = h->c;
	uint32_t row = 0;

	while (row < c->count && c->list[row].ops)
		row++;
	if (row == CHANNELS_MAX)
		return NULL;
	if (row == c->count)
		c->count++;
	map_put(&c->known, addr, h->target, row);
	return &c->list[row];
}

static void channel_free(struct channels *c, struct live_channel *ch)
{
	map_del(&c->known, ch->c.addr, ch->target);
	free(ch->message);
	*ch = (struct live_channel){0};
}

static bool visited(struct hunt *h, uint64_t addr)
{
	uint64_t again = map_get(&h->c->visited, addr, h->target);

	return again != MAP_NONE && again > h->c->scan;
}

static void visit(struct hunt *h, uint64_t addr, uint64_t scans)
{
	map_put(&h->c->visited, addr, h->target, h->c->scan + scans);
}

/* Whether a channel is there, held by the task. */
static bool candidate(struct hunt *h, uint64_t addr)
{
	uint64_t row = map_get(&h->c->known, addr, h->target);
	struct live_channel *ch;
	struct channel found;

	if (row != MAP_NONE) {
		holder_add(&h->c->list[row], h);
		return true;
	}
	/* The run queue of an executor is a queue like that of a channel. */
	if (visited(h, addr) || !h->fits || !h->fits_task ||
	    map_get(&h->live->runtime_ids, addr, h->target) != MAP_NONE)
		return false;
	h->fits--;
	h->fits_task--;
	if (h->ops->fit(h->memory, addr, &found)) {
		visit(h, addr, AGAIN_FIT);
		return false;
	}
	ch = channel_new(h, addr);
	if (!ch)
		return false;
	*ch = (struct live_channel){
		.c = found, .ops = h->ops, .target = h->target, .receiver = ID_NONE};
	holder_add(ch, h);
	return true;
}

static void look_behind(struct hunt *h, const uint64_t *addrs, uint32_t count)
{
	static uint64_t words[BEHIND_A_TASK][BEHIND_BYTES / 8];
	struct memory_piece pieces[BEHIND_A_TASK];

	for (uint32_t i = 0; i < count; i++)
		pieces[i] = (struct memory_piece){
			.addr = addrs[i], .buf = words[i], .len = BEHIND_BYTES};
	if (!count || memory_readv(h->memory, pieces, count) < 0)
		return;
	for (uint32_t i = 0; i < count; i++) {
		bool any = false;

		for (uint32_t k = 0; !pieces[i].error && k < BEHIND_BYTES / 8; k++)
			if (channel_address(words[i][k]))
				any |= candidate(h, words[i][k]);
		/* What holds a channel is looked at again for each task: all of them hold it. */
		if (!any)
			visit(h, addrs[i], AGAIN);
	}
}

/*
 * Debug information says of which type the end of a channel is that lies there in the present state
 * of the task. It has to be that channel, with messages of that size.
 */
static void name_message(struct hunt *h, const uint64_t *words, size_t count, size_t at)
{
	uint64_t row = map_get(&h->c->known, words[at], h->target), word;
	const struct runtime_mark *marks;
	struct live_channel *ch;
	size_t n;

	if (row == MAP_NONE || !h->idle)
		return;
	ch = &h->c->list[row];
	marks = runtime_site_marks(live_found(h->live, h->site), h->live->sites[h->site].found, &n);
	for (size_t i = 0; i < n; i++) {
		if (marks[i].kind != MARK_CHANNEL || marks[i].offset != at * 8 || !marks[i].text ||
		    marks[i].number != ch->c.message_bytes ||
		    !mark_there(&marks[i], words, count * 8, &word))
			continue;
		if (!ch->message)
			ch->message = xstrdup(marks[i].text);
		ch->disputed |= strcmp(ch->message, marks[i].text) != 0;
	}
}

static void look_at_words(struct hunt *h, const uint64_t *words, size_t count)
{
	uint64_t addrs[BEHIND_A_TASK];
	uint32_t behind = 0;

	h->direct = true;
	for (size_t i = FIRST_WORD; i < count; i++) {
		uint64_t p = words[i];

		if (channel_address(p) && candidate(h, p)) {
			name_message(h, words, count, i);
			continue;
		}
		if (!channel_pointer(p) || (p >= h->task && p < h->task + count * 8) ||
		    behind == BEHIND_A_TASK || !h->behind || visited(h, p))
			continue;
		h->behind--;
		addrs[behind++] = p;
	}
	h->direct = false;
	look_behind(h, addrs, behind);
}

static const struct runtime_channel_ops *ops_of(const struct live *live, uint32_t site)
{
	const struct runtime_found *found = live_found(live, site);

	return found ? found->ops->channels : NULL;
}

static bool is_idle(const struct hunt *h, const struct runtime_site *site, const uint64_t *words)
{
	struct runtime_state state;

	live_found(h->live, h->site)->ops->state(words[site->state_word & 7], &state);
	return !state.running && !state.complete;
}

static void look_at_task(struct hunt *h, const struct wire_task *row)
{
	const struct live_site *site = &h->live->sites[row->site];
	uint64_t words[TASK_BYTES / 8];
	size_t len = site->found->size < TASK_BYTES ? site->found->size : TASK_BYTES;

	len -= len % 8;
	if (len < (WIRE_HEADER_READ + 1) * 8)
		return;
	h->target = KEY_TARGET(row->key);
	h->site = row->site;
	h->task = KEY_HEADER(row->key);
	h->memory = &h->live->targets[h->target].watch->memory;
	h->fits_task = FITS_A_TASK;
	h->tasks--;
	h->taken[row->site]++;
	if (memory_read(h->memory, h->task, words, len) ||
	    !runtime_header_is(live_found(h->live, row->site), site->found, words, h->task,
			       row->id))
		return;
	h->c->tasks[h->target]++;
	h->idle = is_idle(h, site->found, words);
	look_at_words(h, words, len / 8);
}

static bool wanted(struct hunt *h, const struct wire_task *row)
{
	uint32_t target = KEY_TARGET(row->key);
	struct live *live = h->live;

	if (target >= live->targets_count || live->targets[target].ended ||
	    row->site >= live->sites_count || !live->sites[row->site].found ||
	    live->sites[row->site].found->kind != SITE_TASK)
		return false;
	h->ops = ops_of(live, row->site);
	return h->ops && h->taken[row->site] < TASKS_A_SITE;
}

static void hunt(struct live *live)
{
	uint32_t rows = kernel_task_rows(live->kernel), step = 0;
	struct hunt h = {
		.live = live,
		.c = live->channels,
		.taken = xcalloc(live->sites_count + 1, sizeof(*h.taken)),
		.tasks = TASKS_A_SCAN,
		.behind = BEHIND_A_SCAN,
		.fits = FITS_A_SCAN,
	};
	struct wire_task row;

	h.c->scan++;
	if (h.c->visited.count >= VISITED_MAX - BEHIND_A_SCAN) {
		map_free(&h.c->visited);
		map_init(&h.c->visited, VISITED_MAX);
	}
	for (; step < rows && step < ROWS_A_SCAN && h.tasks; step++) {
		uint32_t at = (h.c->row + step) % rows;

		if (kernel_task(live->kernel, at, &row) && wanted(&h, &row))
			look_at_task(&h, &row);
	}
	/* Where all rows were passed, the next scan begins with others, should a limit be met. */
	if (step == rows)
		step = rows / 3 + 1;
	h.c->row = rows ? (h.c->row + step) % rows : 0;
	free(h.taken);
}

/* --- telling ---------------------------------------------------------------------------------- */

/* Whose waker the receiver left: a task's, where its header is one. */
static void find_receiver(struct live *live, struct live_channel *ch)
{
	uint64_t words[WIRE_HEADER_READ + 1];

	for (uint32_t i = 0; i < ch->c.waiters_count; i++) {
		uint64_t header = ch->c.waiters[i];

		if (memory_read(&live->targets[ch->target].watch->memory, header, words,
				sizeof(words)))
			continue;
		for (uint32_t id = 0; id < live->sites_count; id++) {
			const struct live_site *s = &live->sites[id];

			if (!s->found || s->target != ch->target ||
			    !runtime_header_is(live_found(live, id), s->found, words, header, 0))
				continue;
			ch->receiver = id;
			ch->task_id = s->found->id_word == WIRE_NO_WORD ?
					      0 :
					      live_task_id(live, id, words[s->found->id_word & 7]);
			return;
		}
	}
}

/*
 * Where there is one receiver, the task types of which several tasks have an end of their own send;
 * and where it is known who receives, so does who else has one, if it is one type. An end behind a
 * pointer may be a receiver that several tasks share.
 */
static uint32_t sender_of(const struct live_channel *ch)
{
	uint32_t sender = ID_NONE, others = 0;

	if (ch->c.receivers != 1)
		return ID_NONE;
	for (uint32_t i = 0; i < ch->holders_count; i++) {
		const struct holder *h = &ch->holders[i];

		if (!h->direct || h->site == ch->receiver)
			continue;
		if (h->many)
			return h->site;
		sender = h->site;
		others++;
	}
	return ch->receiver != ID_NONE && others == 1 ? sender : ID_NONE;
}

/* Why the type of its messages is not known. */
static const char *no_message(const struct live *live, const struct live_channel *ch)
{
	bool marked = false;

	if (!ch->ops->marked)
		return "not read of this library";
	for (uint32_t i = 0; i < ch->holders_count; i++) {
		const struct runtime_site *site = live->sites[ch->holders[i].site].found;
		size_t marks = 0;

		if (site)
			runtime_site_marks(live_found(live, ch->holders[i].site), site, &marks);
		marked |= site && (site->marked || marks);
	}
	if (ch->disputed)
		return "debug information says two";
	return marked ? "no end of it lies where debug information tells its type" :
			"no debug information tells it";
}

static int tell(struct live *live, struct emit *emit, const struct live_channel *ch)
{
	struct event event = {.as_channel = {
				      .key = ch->c.addr,
				      .receiver = ch->receiver,
				      .task_id = ch->task_id,
				      .sender = sender_of(ch),
				      .depth = ch->c.depth,
				      .sent = ch->c.sent,
				      .received = ch->c.received,
				      .senders = ch->c.senders,
				      .message_bytes = ch->c.message_bytes,
				      .library = ch->ops->name,
				      .message = ch->disputed ? NULL : ch->message,
			      }};
	struct ev_channel *out = &event.as_channel;

	if (!out->message)
		out->no_message = no_message(live, ch);
	out->site = out->receiver != ID_NONE ? out->receiver :
		    out->sender != ID_NONE   ? out->sender :
					       ch->holders[0].site;
	return live_emit(emit, EV_CHANNEL, ch->target, &event);
}

static int sample(struct live *live, struct emit *emit, struct live_channel *ch, uint32_t *room)
{
	int ret = ch->ops->sample(&live->targets[ch->target].watch->memory, &ch->c);

	if (ret) {
		if (++ch->misses > 2)
			channel_free(live->channels, ch);
		return 0;
	}
	ch->misses = 0;
	if (ch->receiver == ID_NONE && ch->c.waiters_count)
		find_receiver(live, ch);
	if (!channel_unbounded(&ch->c) || (ch->c.depth < DEEP && !ch->told) || !*room)
		return 0;
	ch->told = ch->c.depth >= DEEP;
	--*room;
	return tell(live, emit, ch);
}

static int tell_scan(struct live *live, struct emit *emit, uint32_t target)
{
	struct channels *c = live->channels;
	struct event event = {.as_channel_scan = {.tasks = c->tasks[target]}};
	struct ev_channel_scan *out = &event.as_channel_scan;
	bool any = false;

	for (uint32_t i = 0; i < c->count; i++) {
		out->channels += c->list[i].ops && c->list[i].target == target;
		out->unbounded += c->list[i].ops && c->list[i].target == target &&
				  channel_unbounded(&c->list[i].c);
	}
	for (uint32_t id = 0; id < live->sites_count && !any; id++)
		any = live->sites[id].target == target && ops_of(live, id);
	if (!any)
		out->reason = "not read of this runtime";
	return live_emit(emit, EV_CHANNEL_SCAN, target, &event);
}

int live_channels(struct live *live, struct emit *emit, bool slow)
{
	uint32_t room = TOLD_A_TICK, shallow = slow ? SHALLOW_A_SCAN : 0;
	struct channels *c;
	int ret = 0;

	if (live->opts.level < 2)
		return 0;
	if (!live->channels) {
		live->channels = xcalloc(1, sizeof(*live->channels));
		map_init(&live->channels->known, CHANNELS_MAX);
		map_init(&live->channels->visited, VISITED_MAX);
	}
	c = live->channels;
	if (slow)
		hunt(live);
	for (uint32_t i = 0; i < c->count && !ret; i++) {
		struct live_channel *ch = &c->list[(c->shallow + i) % c->count];
		bool deep = ch->told || ch->c.depth >= DEEP || !ch->c.sent;

		if (!ch->ops || live->targets[ch->target].ended || (!deep && !shallow))
			continue;
		shallow -= !deep;
		ret = sample(live, emit, ch, &room);
	}
	if (slow && c->count)
		c->shallow = (c->shallow + SHALLOW_A_SCAN) % c->count;
	for (uint32_t i = 0; i < live->targets_count && slow && !ret; i++)
		if (!live->targets[i].ended)
			ret = tell_scan(live, emit, i);
	return ret;
}

/* --- life ------------------------------------------------------------------------------------- */

void live_channels_forget(struct live *live, uint32_t target)
{
	struct channels *c = live->channels;

	if (!c)
		return;
	for (uint32_t i = 0; i < c->count; i++)
		if (c->list[i].ops && c->list[i].target == target)
			channel_free(c, &c->list[i]);
	c->tasks[target] = 0;
	map_free(&c->visited);
	map_init(&c->visited, VISITED_MAX);
}

void live_channels_free(struct live *live)
{
	if (!live->channels)
		return;
	for (uint32_t i = 0; i < live->channels->count; i++)
		free(live->channels->list[i].message);
	map_free(&live->channels->known);
	map_free(&live->channels->visited);
	free(live->channels);
	live->channels = NULL;
}

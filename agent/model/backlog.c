// SPDX-License-Identifier: LGPL-2.1-or-later
/* Unbounded channels: how many messages wait in them, a value a second. */
#include "model/model_priv.h"

#include <errno.h>

#include "util/xalloc.h"

#define GONE_NS (3 * NS_PER_SEC) /* not told of for so long */

const struct backlog *model_backlog(const struct model *m, const struct site *site)
{
	return site->backlog ? &m->backlogs[site->backlog - 1] : NULL;
}

bool backlog_growth(const struct backlog *b, uint32_t seconds, double *out)
{
	uint64_t low = UINT64_MAX, high = 0;

	if (seconds < 2 || b->low.count <= seconds)
		return false;
	for (uint32_t i = 0; i < seconds / 2; i++)
		if (series_at(&b->low, i) < low)
			low = series_at(&b->low, i);
	for (uint32_t i = seconds / 2; i <= seconds; i++)
		if (series_at(&b->high, i) > high)
			high = series_at(&b->high, i);
	*out = (double)low - (double)high;
	return true;
}

static struct backlog *backlog_of(struct model *m, uint32_t target, uint64_t key)
{
	for (uint32_t i = 0; i < m->backlogs_count; i++)
		if (m->backlogs[i].target == target && m->backlogs[i].now.key == key)
			return &m->backlogs[i];
	return NULL;
}

static struct backlog *backlog_new(struct model *m)
{
	if (!m->backlogs)
		m->backlogs = xcalloc(MODEL_MAX_BACKLOGS, sizeof(*m->backlogs));
	if (m->backlogs_count == MODEL_MAX_BACKLOGS)
		return NULL;
	m->backlogs[m->backlogs_count] = (struct backlog){.second_low = UINT64_MAX};
	return &m->backlogs[m->backlogs_count++];
}

int channel_apply(struct model *m, const struct event *event)
{
	const struct ev_channel *ev = &event->as_channel;
	struct backlog *b;
	struct ev_channel was;

	if (!model_target(m, event->target) || ev->site == ID_NONE ||
	    !site_valid(m, ev->site, event->target) ||
	    !site_valid(m, ev->receiver, event->target) ||
	    !site_valid(m, ev->sender, event->target) || ev->received > ev->sent)
		return -EINVAL;
	b = backlog_of(m, event->target, ev->key);
	/* Memory that was given to another channel. */
	if (b && (ev->sent < b->now.sent || ev->received < b->now.received))
		return -EINVAL;
	if (!b)
		b = backlog_new(m);
	if (!b)
		return 0;
	was = b->now;
	b->now = *ev;
	b->now.library = was.library;
	b->now.message = was.message;
	b->now.no_message = was.no_message;
	text_set_any((char **)&b->now.library, ev->library);
	text_set((char **)&b->now.message, ev->message);
	text_set((char **)&b->now.no_message, ev->no_message);
	b->target = event->target;
	b->seen_ns = event->time_ns;
	if (ev->depth < b->second_low)
		b->second_low = ev->depth;
	if (ev->depth > b->second_high)
		b->second_high = ev->depth;
	if (ev->depth > b->peak)
		b->peak = ev->depth;
	if (ev->depth < b->peak / 2) {
		if (b->peak > b->drained)
			b->drained = b->peak;
		b->peak = ev->depth;
	}
	return 0;
}

int channel_scan_apply(struct model *m, const struct event *event)
{
	struct target *t;
	char *reason;

	if (!model_target(m, event->target))
		return -EINVAL;
	t = &m->targets[event->target];
	reason = (char *)t->channels.reason;
	text_set(&reason, event->as_channel_scan.reason);
	t->channels = event->as_channel_scan;
	t->channels.reason = reason;
	t->channels_seen = true;
	return 0;
}

static void backlog_remove(struct model *m, uint32_t i)
{
	free((char *)m->backlogs[i].now.library);
	free((char *)m->backlogs[i].now.message);
	free((char *)m->backlogs[i].now.no_message);
	m->backlogs[i] = m->backlogs[--m->backlogs_count];
}

static void backlog_tick(struct backlog *b, uint64_t seconds)
{
	bool told = b->second_low != UINT64_MAX;

	series_push_depth(&b->low, told ? b->second_low : b->now.depth, seconds);
	series_push_depth(&b->high, told ? b->second_high : b->now.depth, seconds);
	series_push_total(&b->sent, b->now.sent, seconds);
	series_push_total(&b->received, b->now.received, seconds);
	if (seconds) {
		b->second_low = UINT64_MAX;
		b->second_high = 0;
	}
}

/* Each site refers to the deepest of its channels. */
static void sites_refer(struct model *m)
{
	for (uint32_t i = 0; i < m->backlogs_count; i++) {
		struct site *site = &m->sites[m->backlogs[i].now.site];
		const struct backlog *known = model_backlog(m, site);

		if (!known || m->backlogs[i].now.depth > known->now.depth)
			site->backlog = i + 1;
	}
}

void backlogs_tick(struct model *m, uint64_t seconds)
{
	if (!m->backlogs_count)
		return;
	for (uint32_t i = 0; i < m->sites_count; i++)
		m->sites[i].backlog = 0;
	for (uint32_t i = m->backlogs_count; i-- > 0;) {
		if (m->now_ns - m->backlogs[i].seen_ns > GONE_NS)
			backlog_remove(m, i);
		else
			backlog_tick(&m->backlogs[i], seconds);
	}
	sites_refer(m);
}

void backlogs_target_again(struct model *m, uint32_t target)
{
	for (uint32_t i = 0; i < m->sites_count; i++)
		m->sites[i].backlog = 0;
	for (uint32_t i = m->backlogs_count; i-- > 0;)
		if (m->backlogs[i].target == target)
			backlog_remove(m, i);
	sites_refer(m);
}

void backlogs_free(struct model *m)
{
	while (m->backlogs_count)
		backlog_remove(m, m->backlogs_count - 1);
	free(m->backlogs);
	for (uint32_t i = 0; i < m->targets_count; i++)
		free((char *)m->targets[i].channels.reason);
}

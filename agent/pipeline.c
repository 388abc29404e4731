// SPDX-License-Identifier: LGPL-2.1-or-later
/* Joins a source to the model, the rules and the sinks; see pipeline.h. */
#include "pipeline.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace/replay.h"
#include "util/clock.h"

static uint64_t wall_offset_ns(void)
{
	return clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
}

void pipeline_init(struct pipeline *p, struct source *source, struct model *model,
		   struct rules *rules, const char *command)
{
	memset(p, 0, sizeof(*p));
	p->source = source;
	p->model = model;
	p->rules = rules;
	if (gethostname(p->host, sizeof(p->host) - 1))
		strcpy(p->host, "unknown");
	p->snap = (struct snapshot){
		.model = model,
		.rules = rules,
		.command = command,
		.host = p->host,
		.wall_offset_ns = wall_offset_ns(),
	};
}

void pipeline_add(struct pipeline *p, struct sink *sink)
{
	if (p->sinks_count == PIPELINE_SINKS)
		abort();
	p->sinks[p->sinks_count++] = sink;
}

void pipeline_renew(struct pipeline *p, struct model *model)
{
	p->model = model;
	p->snap.model = model;
}

static int each_sink(struct pipeline *p, size_t member)
{
	int (*fn)(struct sink *, const struct snapshot *);
	int ret = 0;

	for (unsigned int i = 0; i < p->sinks_count && !ret; i++) {
		memcpy(&fn, (const char *)p->sinks[i]->ops + member, sizeof(fn));
		if (fn)
			ret = fn(p->sinks[i], &p->snap);
	}
	return ret;
}

#define EACH(p, member) each_sink(p, offsetof(struct sink_ops, member))

static int on_event(void *ctx, const struct event *event)
{
	struct pipeline *p = ctx;
	int ret = 0;

	for (unsigned int i = 0; i < p->sinks_count && !ret; i++)
		if (p->sinks[i]->ops->event)
			ret = p->sinks[i]->ops->event(p->sinks[i], event);
	if (ret)
		return ret;
	if (model_apply(p->model, event))
		p->rejected++;
	if (event->kind != EV_TICK)
		return 0;
	if (!p->opened) {
		p->opened = true;
		ret = EACH(p, open);
	}
	if (!ret) {
		rules_eval(p->rules, p->model);
		ret = p->quiet ? 0 : EACH(p, snapshot);
	}
	return ret;
}

int pipeline_drain(struct pipeline *p)
{
	return p->source->ops->drain(p->source, on_event, p);
}

int pipeline_tick(struct pipeline *p)
{
	return p->source->ops->tick(p->source, on_event, p);
}

int pipeline_until(struct pipeline *p, uint64_t time_ns)
{
	return replay_until(p->source, time_ns, on_event, p);
}

int pipeline_redraw(struct pipeline *p)
{
	return p->opened ? EACH(p, snapshot) : 0;
}

int pipeline_finish(struct pipeline *p)
{
	int ret = 0;

	if (p->source->ops->finish)
		ret = p->source->ops->finish(p->source, on_event, p);
	return ret < 0 ? ret : EACH(p, finish);
}

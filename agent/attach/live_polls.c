// SPDX-License-Identifier: LGPL-2.1-or-later
/* Every poll (record --polls): short records of the ring, many of them in one event. */
#include "attach/live_priv.h"

int live_polls_flush(struct live *live, struct emit *emit)
{
	struct event event = {.as_polls = {.count = live->polls_count, .list = live->polls}};

	if (!live->polls_count)
		return 0;
	live->polls_count = 0;
	return live_emit(emit, EV_POLLS, live->polls_target, &event);
}

int live_brief_poll(void *ctx, void *data, size_t size)
{
	const struct wire_brief_poll *rec = data;
	struct live *live = ctx;

	if (size < sizeof(*rec) || live->emit_error || rec->target >= live->targets_count ||
	    rec->site >= live->sites_count)
		return 0;
	if (live->polls_count == POLLS_MAX || live->polls_target != rec->target)
		live->emit_error = live_polls_flush(live, live->emit);
	live->polls_target = rec->target;
	live->polls[live->polls_count++] = (struct brief_poll){
		.start_ns = rec->start_ns,
		.length_ns = rec->length_ns,
		.task_id = rec->task_id,
		.tid = rec->tid,
		.site = rec->site,
	};
	return 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Fields of a site's deepest unbounded channel. */
#include "rules/getters.h"

static const struct backlog *backlog(const struct field_ctx *c)
{
	return model_backlog(c->m, c->site);
}

bool get_site_channel_depth(const struct field_ctx *c, double *out)
{
	const struct backlog *b = backlog(c);

	*out = b ? (double)b->now.depth : 0;
	return b;
}

bool get_site_channel_growth(const struct field_ctx *c, double *out)
{
	const struct backlog *b = backlog(c);

	return b && backlog_growth(b, c->window_s, out);
}

bool get_site_channel_drained(const struct field_ctx *c, double *out)
{
	const struct backlog *b = backlog(c);

	*out = b ? (double)b->drained : 0;
	return b;
}

bool get_site_channel_in(const struct field_ctx *c, double *out)
{
	const struct backlog *b = backlog(c);

	return b && field_rate(&b->sent, c->window_s, out);
}

bool get_site_channel_out(const struct field_ctx *c, double *out)
{
	const struct backlog *b = backlog(c);

	return b && field_rate(&b->received, c->window_s, out);
}

bool get_site_channel_senders(const struct field_ctx *c, double *out)
{
	const struct backlog *b = backlog(c);

	if (!b || b->now.senders < 0)
		return false;
	*out = (double)b->now.senders;
	return true;
}

bool get_site_channel_bytes(const struct field_ctx *c, double *out)
{
	const struct backlog *b = backlog(c);

	if (!b || !b->now.message_bytes)
		return false;
	*out = (double)b->now.depth * b->now.message_bytes;
	return true;
}

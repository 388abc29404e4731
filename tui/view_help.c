// SPDX-License-Identifier: LGPL-2.1-or-later
/* The help, made from the table of requests and the columns of the view below it. */
#include "tui/view.h"

#include <string.h>

static void key_lines(struct lines *out, bool replay)
{
	const char *group = "";

	for (size_t i = 0; i < request_infos_count; i++) {
		const struct request_info *info = &request_infos[i];
		char keys[64];

		if (!replay && !strcmp(info->group, "Replay"))
			continue;
		if (strcmp(group, info->group) != 0)
			lines_title(out, info->group);
		group = info->group;
		request_keys(info->request, keys, sizeof(keys));
		lines_value(out, keys, "%s", info->help);
	}
}

void help_fill(struct lines *out, const struct view *from, bool replay)
{
	const struct grid_spec *spec = from->ops->grid;

	lines_reset(out);
	out->top = 0;
	lines_add(out, ROLE_STRONG, 0,
		  "stalltop: what stalls an async runtime. No key harms what is watched.");
	key_lines(out, replay);
	if (spec)
		lines_title(out, "Columns of the view below");
	for (size_t i = 0; spec && i < spec->columns_count; i++)
		lines_value(out, spec->columns[i].title[0] ? spec->columns[i].title : "strip",
			    "%s%s", spec->columns[i].meaning,
			    spec->columns[i].from ? " (wide screens)" : "");
	lines_title(out, "Bars");
	shares_legend(from, out);
	lines_title(out, "Words");
	lines_value(out, "n/a", "not known; why is said there, or in view 6 (self)");
	lines_value(out, "~", "scaled from samples");
	lines_value(out, ">=", "at least: the end was noticed late");
}

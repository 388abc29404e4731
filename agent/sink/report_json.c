// SPDX-License-Identifier: LGPL-2.1-or-later
/* The report as NDJSON; report_object.c builds the objects. */
#include "sink/report.h"

#include <stdlib.h>
#include <string.h>

#include "sink/out.h"
#include "sink/report_object.h"
#include "util/xalloc.h"

static int write_line(void *ctx, cJSON *object)
{
	char *text = cJSON_PrintUnformatted(object), *line;
	int ret;

	cJSON_Delete(object);
	if (!text)
		abort();
	line = xasprintf("%s\n", text);
	cJSON_free(text);
	ret = out_write(ctx, line, strlen(line));
	free(line);
	return ret;
}

int report_json(FILE *out, const struct report *r)
{
	return report_objects(r, write_line, out);
}

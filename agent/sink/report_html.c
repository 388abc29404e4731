// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The report as a page: the one of agent/sink/page, with the objects of the NDJSON as a block of
 * data in it. The page puts them into the document as text, never as markup.
 */
#include "sink/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report_page.h"
#include "sink/report_object.h"
#include "util/xalloc.h"

#define SAFE_DIGITS 15 /* as many are exact in JavaScript's numbers */

struct page {
	FILE *out;
	bool more;
};

/* Long integers (task ids, times) become strings, so that a browser shows them as they are. */
static void keep_exact(cJSON *item)
{
	for (; item; item = item->next) {
		if (cJSON_IsRaw(item) && strlen(item->valuestring) > SAFE_DIGITS)
			item->type = (item->type & ~0xff) | cJSON_String;
		keep_exact(item->child);
	}
}

/* Nothing in it ends the element that it is in: a "<" is only ever part of a string. */
static void write_data(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("\\u003c", out);
		else
			fputc(*text, out);
	}
}

static int write_object(void *ctx, cJSON *object)
{
	struct page *p = ctx;
	char *text;

	keep_exact(object);
	text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	if (!text)
		abort();
	fputs(p->more ? ",\n" : "", p->out);
	p->more = true;
	write_data(p->out, text);
	cJSON_free(text);
	return 0;
}

int report_html(FILE *out, const struct report *r)
{
	struct page page = {.out = out};

	errno = 0;
	fwrite(report_page_head, 1, report_page_head_len, out);
	fputs("[\n", out);
	report_objects(r, write_object, &page);
	fputs("\n]\n", out);
	fwrite(report_page_tail, 1, report_page_tail_len, out);
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

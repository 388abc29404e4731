// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the sinks of `export` share: output in pieces, and JSON's strings. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sink/export.h"
#include "sink/out.h"

#define PIECE (1u << 16)

int export_flush(struct export_out *o, bool last)
{
	int ret = 0;

	if (o->b.len >= PIECE || (last && o->b.len)) {
		ret = out_write(o->out, (const char *)o->b.data, o->b.len);
		o->b.len = 0;
	}
	return ret;
}

void export_text(struct export_out *o, const char *text)
{
	bytes_add(&o->b, text, strlen(text));
}

void export_textf(struct export_out *o, const char *fmt, ...)
{
	char text[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	export_text(o, text);
}

void export_json(struct export_out *o, const char *text)
{
	if (!text) {
		export_text(o, "null");
		return;
	}
	export_text(o, "\"");
	/* Texts have passed the sanitiser: they are UTF-8 and have no control characters. */
	for (;;) {
		size_t plain = strcspn(text, "\"\\");

		bytes_add(&o->b, text, plain);
		text += plain;
		if (!*text)
			break;
		bytes_add(&o->b, "\\", 1);
		bytes_add(&o->b, text++, 1);
	}
	export_text(o, "\"");
}

// SPDX-License-Identifier: LGPL-2.1-or-later
#include "util/sanitize.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util/xalloc.h"

#define ESCAPE_LEN 4 /* "\xNN" */

/* Code points that cannot be seen, or that change the order or look of others. */
static const struct {
	uint32_t first, last;
} hidden[] = {
	{0x0000, 0x001f},   {0x007f, 0x009f},	{0x00ad, 0x00ad}, {0x034f, 0x034f},
	{0x061c, 0x061c},   {0x115f, 0x1160},	{0x17b4, 0x17b5}, {0x180b, 0x180f},
	{0x200b, 0x200f},   {0x2028, 0x202e},	{0x2060, 0x206f}, {0x2800, 0x2800},
	{0x3164, 0x3164},   {0xd800, 0xdfff},	{0xfdd0, 0xfdef}, {0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},   {0xffa0, 0xffa0},	{0xfff0, 0xfffb}, {0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool is_hidden(uint32_t cp)
{
	if ((cp & 0xfffe) == 0xfffe || cp > 0x10ffff)
		return true;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (cp >= hidden[i].first && cp <= hidden[i].last)
			return true;
	return false;
}

/* Length of the well-formed UTF-8 sequence at p and its code point; 0 when it is malformed. */
static size_t decode(const unsigned char *p, size_t left, uint32_t *cp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (!n || p[0] > 0xf4 || n > left)
		return 0;
	if (n == 1) {
		*cp = p[0];
		return 1;
	}
	*cp = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (p[i] & 0x3f);
	}
	return *cp < least[n] ? 0 : n;
}

static void escape(char *out, unsigned char byte)
{
	static const char hex[] = "0123456789abcdef";

	out[0] = '\\';
	out[1] = 'x';
	out[2] = hex[byte >> 4];
	out[3] = hex[byte & 15];
}

size_t text_sanitize(char *out, size_t size, const char *in, size_t len)
{
	const unsigned char *p = (const unsigned char *)in;
	size_t done = 0;

	if (!size)
		return 0;
	for (size_t i = 0; i < len;) {
		uint32_t cp = 0;
		size_t n = decode(p + i, len - i, &cp);
		bool plain = n && !is_hidden(cp);
		size_t take = n ? n : 1;
		size_t need = plain ? n : take * ESCAPE_LEN;

		if (need > size - 1 - done)
			break;
		if (plain)
			memcpy(out + done, p + i, n);
		for (size_t k = 0; !plain && k < take; k++)
			escape(out + done + k * ESCAPE_LEN, p[i + k]);
		done += need;
		i += take;
	}
	out[done] = '\0';
	return done;
}

char *text_sanitize_dup(const char *in)
{
	size_t len = strlen(in);
	char *out = xmalloc(len * ESCAPE_LEN + 1);

	len = text_sanitize(out, len * ESCAPE_LEN + 1, in, len);
	return xreallocarray(out, len + 1, 1);
}

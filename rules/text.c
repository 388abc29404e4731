// SPDX-License-Identifier: LGPL-2.1-or-later
/* A strict JSON scanner that remembers positions, in front of cJSON. */
#include "rules/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/xalloc.h"

struct scan {
	struct text *t;
	struct err *err;
	size_t at;
	int depth;
};

static int scan_value(struct scan *s, uint32_t key);

void text_line_column(const struct text *t, size_t offset, unsigned *line, unsigned *column)
{
	*line = 1;
	*column = 1;
	for (size_t i = 0; i < offset && i < t->len; i++) {
		if (t->s[i] == '\n') {
			(*line)++;
			*column = 1;
		} else if ((t->s[i] & 0xc0) != 0x80) {
			(*column)++;
		}
	}
}

int text_fail(const struct text *t, struct err *err, size_t offset, const char *fmt, ...)
{
	unsigned line, column;
	char msg[224];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	text_line_column(t, offset, &line, &column);
	return err_set(err, -EINVAL, "%s:%u:%u: %s", t->file, line, column, msg);
}

size_t text_utf8(const char *text, size_t left)
{
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *s = (const unsigned char *)text;
	size_t n = s[0] < 0x80 ? 1 :
		   s[0] < 0xc2 ? 0 :
		   s[0] < 0xe0 ? 2 :
		   s[0] < 0xf0 ? 3 :
		   s[0] < 0xf5 ? 4 :
				 0;
	uint32_t point;

	if (!n || n > left)
		return 0;
	point = n == 1 ? s[0] : s[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (s[i] & 0x3f);
	}
	if (point < lowest[n] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 0;
	return n;
}

static int fail(struct scan *s, size_t at, const char *words)
{
	return text_fail(s->t, s->err, at, "%s", words);
}

static int peek(const struct scan *s)
{
	return s->at < s->t->len ? (unsigned char)s->t->s[s->at] : -1;
}

static void skip_space(struct scan *s)
{
	while (s->at < s->t->len && strchr(" \t\r\n", s->t->s[s->at]))
		s->at++;
}

static int check_bytes(struct text *t, struct err *err)
{
	size_t n;

	if (t->len > TEXT_MAX_BYTES)
		return err_set(err, -EINVAL,
			       "%s:1:1: the file has %zu bytes; a rule file has at most %d",
			       t->file, t->len, TEXT_MAX_BYTES);
	if (t->len >= 3 && !memcmp(t->s, "\xef\xbb\xbf", 3))
		return text_fail(t, err, 0,
				 "the file starts with a byte order mark; "
				 "save it as UTF-8 without one");
	for (size_t i = 0; i < t->len; i += n) {
		n = text_utf8(t->s + i, t->len - i);
		if (!n)
			return text_fail(t, err, i,
					 "byte 0x%02x is not valid UTF-8; save the file as UTF-8",
					 (unsigned char)t->s[i]);
		if (!t->s[i])
			return text_fail(t, err, i, "a NUL byte; a rule file is plain text");
	}
	return 0;
}

static bool is_hex(int c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

static int scan_escape(struct scan *s)
{
	size_t start = s->at++;
	unsigned point = 0;
	int c = peek(s);

	if (c != 'u') {
		if (c <= 0 || !strchr("\"\\/nt", c))
			return fail(s, start,
				    "this escape is not allowed; write \\\\ for a backslash");
		s->at++;
		return 0;
	}
	for (int i = 0; i < 4; i++) {
		s->at++;
		c = peek(s);
		if (!is_hex(c))
			return fail(s, start, "\\u needs four hexadecimal digits, as in \\u00e9");
		point = point << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	s->at++;
	if (point < 0x20 || point == 0x7f)
		return fail(s, start, "an escaped control character; write visible text");
	if (point >= 0xd800 && point < 0xe000)
		return fail(s, start, "an escaped surrogate; write the character itself in UTF-8");
	return 0;
}

static int scan_string(struct scan *s)
{
	size_t start = s->at++;
	int c, ret;

	while ((c = peek(s)) != '"') {
		if (c < 0 || c == '\n')
			return fail(s, start,
				    "this string does not end; a '\"' is missing (line breaks "
				    "are written \\n)");
		if (c < 0x20 || c == 0x7f)
			return fail(s, s->at,
				    "a raw control character in a string; write \\t or \\n");
		if (c != '\\') {
			s->at++;
			continue;
		}
		ret = scan_escape(s);
		if (ret)
			return ret;
	}
	s->at++;
	return 0;
}

static size_t skip_digits(struct scan *s)
{
	size_t start = s->at;

	while (peek(s) >= '0' && peek(s) <= '9')
		s->at++;
	return s->at - start;
}

static int scan_number(struct scan *s)
{
	size_t start = s->at, digits;

	if (peek(s) == '-')
		s->at++;
	digits = skip_digits(s);
	if (!digits || (digits > 1 && s->t->s[s->at - digits] == '0'))
		return fail(s, start, "not a number; write it like 100, 0.5 or 1e6");
	if (peek(s) == '.') {
		s->at++;
		if (!skip_digits(s))
			return fail(s, start, "not a number; digits must follow the point");
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->at++;
		if (peek(s) == '+' || peek(s) == '-')
			s->at++;
		if (!skip_digits(s))
			return fail(s, start, "not a number; digits must follow the e");
	}
	if (s->at - start > 40)
		return fail(s, start, "a number of more than 40 characters");
	return 0;
}

static int scan_word(struct scan *s)
{
	static const char *const words[] = {"true", "false", "null"};
	size_t start = s->at, n = 0;

	while (s->at + n < s->t->len &&
	       ((s->t->s[s->at + n] | 32) >= 'a' && (s->t->s[s->at + n] | 32) <= 'z'))
		n++;
	for (size_t i = 0; i < 3; i++) {
		if (strlen(words[i]) == n && !memcmp(s->t->s + s->at, words[i], n)) {
			s->at += n;
			return 0;
		}
	}
	if (peek(s) < 0)
		return fail(s, start, "the file ends too early; a value is missing");
	if (peek(s) == '/' || peek(s) == '#')
		return fail(s, start,
			    "JSON has no comments; put the words into \"why\" or \"meaning\"");
	if (peek(s) == '\'')
		return fail(s, start, "strings are written with \", not with '");
	if (n)
		return text_fail(s->t, s->err, start,
				 "unknown word \"%.*s\"; text needs quotes: \"%.*s\"",
				 (int)(n > 40 ? 40 : n), s->t->s + start, (int)(n > 40 ? 40 : n),
				 s->t->s + start);
	return fail(s, start, "a value is expected here: a string, a number, true, false, { or [");
}

/* One member of an object or element of an array, with the space around it. */
static int scan_member(struct scan *s, bool object, char close)
{
	uint32_t key = UINT32_MAX;
	int ret;

	skip_space(s);
	if (object) {
		key = (uint32_t)s->at;
		if (peek(s) == close)
			return fail(s, s->at,
				    "a comma before the closing bracket; remove the comma");
		if (peek(s) != '"')
			return fail(s, s->at,
				    "a key in quotes is expected here, as in \"id\": ...");
		ret = scan_string(s);
		if (ret)
			return ret;
		skip_space(s);
		if (peek(s) != ':')
			return fail(s, s->at, "a ':' is expected after the key");
		s->at++;
		skip_space(s);
	} else if (peek(s) == close) {
		return fail(s, s->at, "a comma before the closing bracket; remove the comma");
	}
	ret = scan_value(s, key);
	skip_space(s);
	return ret;
}

static int scan_container(struct scan *s)
{
	bool object = peek(s) == '{';
	char close = object ? '}' : ']';
	size_t start = s->at++;
	int ret;

	if (++s->depth > TEXT_MAX_DEPTH)
		return text_fail(s->t, s->err, start,
				 "nested too deeply; a rule needs at most %d levels",
				 TEXT_MAX_DEPTH);
	skip_space(s);
	for (int n = 0; n || peek(s) != close; n++) {
		if (n == TEXT_MAX_MEMBERS)
			return text_fail(s->t, s->err, s->at, "more than %d entries in one list",
					 TEXT_MAX_MEMBERS);
		ret = scan_member(s, object, close);
		if (ret)
			return ret;
		if (peek(s) == close)
			break;
		if (peek(s) < 0)
			return text_fail(s->t, s->err, start,
					 "this '%c' is never closed; a '%c' is missing",
					 object ? '{' : '[', close);
		if (peek(s) != ',')
			return text_fail(s->t, s->err, s->at,
					 "a ',' or '%c' is expected here; a comma may be missing",
					 close);
		s->at++;
	}
	s->at++;
	s->depth--;
	return 0;
}

static int scan_value(struct scan *s, uint32_t key)
{
	struct text *t = s->t;
	int c = peek(s);

	t->pos = xgrow(t->pos, &t->pos_cap, t->pos_count + 1, sizeof(*t->pos));
	t->pos[t->pos_count++] = (struct text_pos){.value = (uint32_t)s->at, .key = key};
	if (c == '{' || c == '[')
		return scan_container(s);
	if (c == '"')
		return scan_string(s);
	if (c == '-' || (c >= '0' && c <= '9'))
		return scan_number(s);
	return scan_word(s);
}

int text_open(struct text *t, const char *file, const char *s, size_t len, struct err *err)
{
	struct scan scan = {.t = t, .err = err};
	int ret;

	*t = (struct text){.file = file, .s = s, .len = len};
	ret = check_bytes(t, err);
	if (ret)
		return ret;
	skip_space(&scan);
	if (peek(&scan) != '{')
		ret = fail(&scan, scan.at,
			   peek(&scan) < 0 ? "the file is empty; a rule is one JSON object" :
					     "a rule is one JSON object; a '{' is expected here");
	if (!ret)
		ret = scan_value(&scan, UINT32_MAX);
	skip_space(&scan);
	if (!ret && scan.at < len)
		ret = fail(&scan, scan.at,
			   "text after the end of the rule; one file holds one rule");
	if (!ret) {
		t->root = cJSON_ParseWithLength(s, len);
		if (!t->root)
			ret = fail(&scan, 0, "the JSON parser refuses this file");
	}
	if (ret)
		text_close(t);
	return ret;
}

void text_close(struct text *t)
{
	cJSON_Delete(t->root);
	free(t->pos);
	t->root = NULL;
	t->pos = NULL;
}

/* Counts nodes in document order until `node`; true when it was met. */
static bool count_until(const cJSON *at, const cJSON *node, size_t *n)
{
	for (; at; at = at->next) {
		if (at == node)
			return true;
		(*n)++;
		if (at->child && count_until(at->child, node, n))
			return true;
	}
	return false;
}

static const struct text_pos *position(const struct text *t, const cJSON *node)
{
	static const struct text_pos none = {0, 0};
	size_t n = 0;

	if (!count_until(t->root, node, &n) || n >= t->pos_count)
		return &none;
	return &t->pos[n];
}

size_t text_value(const struct text *t, const cJSON *node)
{
	return position(t, node)->value;
}

size_t text_key(const struct text *t, const cJSON *node)
{
	const struct text_pos *pos = position(t, node);

	return pos->key == UINT32_MAX ? pos->value : pos->key;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* The sanitiser: what stays, what is escaped, and that nothing is cut in half. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "util/sanitize.h"

struct sample {
	const char *in, *out;
};

static void check(const struct sample *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char out[256];
		size_t len = text_sanitize(out, sizeof(out), list[i].in, strlen(list[i].in));

		assert_string_equal(out, list[i].out);
		assert_int_equal(len, strlen(out));
	}
}

static void keeps_visible_text(void **state)
{
	static const struct sample list[] = {
		{"", ""},
		{"shop::handler<dyn Fn() -> u8 + Send>", "shop::handler<dyn Fn() -> u8 + Send>"},
		{"caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\xa6\x80",
		 "caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\xa6\x80"},
		{"C:\\path\\x41", "C:\\path\\x41"},
	};

	(void)state;
	check(list, sizeof(list) / sizeof(list[0]));
}

static void escapes_controls(void **state)
{
	static const struct sample list[] = {
		{"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"},
		{"a\nb\tc\rd\be", "a\\x0ab\\x09c\\x0dd\\x08e"},
		{"del\x7f", "del\\x7f"},
		{"raw c1 \x9b"
		 "31m",
		 "raw c1 \\x9b31m"},
		{"utf-8 c1 \xc2\x9b"
		 "31m",
		 "utf-8 c1 \\xc2\\x9b31m"},
	};
	char out[32];

	(void)state;
	check(list, sizeof(list) / sizeof(list[0]));
	assert_int_equal(text_sanitize(out, sizeof(out), "a\0b", 3), 6);
	assert_string_equal(out, "a\\x00b");
}

static void escapes_what_hides_or_reorders(void **state)
{
	static const struct sample list[] = {
		{"a\xe2\x80\xae"
		 "b",
		 "a\\xe2\\x80\\xaeb"}, /* right-to-left override */
		{"a\xe2\x81\xa6"
		 "b",
		 "a\\xe2\\x81\\xa6b"}, /* isolate */
		{"a\xe2\x80\x8b"
		 "b",
		 "a\\xe2\\x80\\x8bb"}, /* zero-width space */
		{"a\xe2\x80\x8d"
		 "b",
		 "a\\xe2\\x80\\x8db"}, /* zero-width joiner */
		{"a\xef\xbb\xbf"
		 "b",
		 "a\\xef\\xbb\\xbfb"}, /* byte order mark */
		{"a\xe2\x80\xa8"
		 "b",
		 "a\\xe2\\x80\\xa8b"}, /* line separator */
		{"a\xc2\xad"
		 "b",
		 "a\\xc2\\xadb"}, /* soft hyphen */
		{"a\xd8\x9c"
		 "b",
		 "a\\xd8\\x9cb"},			      /* Arabic letter mark */
		{"\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81"}, /* tag letter */
	};

	(void)state;
	check(list, sizeof(list) / sizeof(list[0]));
}

static void escapes_malformed_utf8(void **state)
{
	static const struct sample list[] = {
		{"\xff\xfe", "\\xff\\xfe"},
		{"\x80", "\\x80"},
		{"\xc3", "\\xc3"},
		{"\xc0\xaf", "\\xc0\\xaf"},		      /* overlong */
		{"\xe0\x80\x8a", "\\xe0\\x80\\x8a"},	      /* overlong newline */
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},	      /* surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* past U+10FFFF */
		{"\xef\xbf\xbf", "\\xef\\xbf\\xbf"},	      /* noncharacter */
		{"\xe2\x80"
		 "a",
		 "\\xe2\\x80"
		 "a"},
	};

	(void)state;
	check(list, sizeof(list) / sizeof(list[0]));
}

static void never_writes_half_a_piece(void **state)
{
	char out[16];

	(void)state;
	memset(out, '#', sizeof(out));
	assert_int_equal(text_sanitize(out, 8, "abc\x1b\x1b", 5), 7);
	assert_string_equal(out, "abc\\x1b");
	assert_int_equal(text_sanitize(out, 7, "abc\x1b", 4), 3);
	assert_string_equal(out, "abc");
	assert_int_equal(text_sanitize(out, 4, "ab\xc3\xa9", 4), 2);
	assert_string_equal(out, "ab");
	assert_int_equal(text_sanitize(out, 1, "abc", 3), 0);
	assert_string_equal(out, "");
	out[0] = '#';
	assert_int_equal(text_sanitize(out, 0, "abc", 3), 0);
	assert_int_equal(out[0], '#');
}

/* Every output is printable ASCII or well-formed UTF-8, so it passes unchanged a second time. */
static void is_stable_on_noise(void **state)
{
	char in[64], once[257], twice[257];
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)(round % (int)sizeof(in)), a;

		for (size_t i = 0; i < len; i++)
			in[i] = (char)rand_r(&seed);
		a = text_sanitize(once, sizeof(once), in, len);
		assert_int_equal(text_sanitize(twice, sizeof(twice), once, a), a);
		assert_string_equal(once, twice);
		for (size_t i = 0; i < a; i++)
			assert_true((unsigned char)once[i] >= 0x20 && once[i] != 0x7f);
	}
}

static void duplicates(void **state)
{
	char *s = text_sanitize_dup("a\x01"
				    "b");

	(void)state;
	assert_string_equal(s, "a\\x01b");
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_visible_text),
		cmocka_unit_test(escapes_controls),
		cmocka_unit_test(escapes_what_hides_or_reorders),
		cmocka_unit_test(escapes_malformed_utf8),
		cmocka_unit_test(never_writes_half_a_piece),
		cmocka_unit_test(is_stable_on_noise),
		cmocka_unit_test(duplicates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

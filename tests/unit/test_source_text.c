// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lines of source files: which, how they are cut, and what is not read at all. */
#include "util/source_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/stalltop-source-XXXXXX";
static char got[4096];

static void keep(void *ctx, uint32_t number, const char *text, bool wanted)
{
	size_t used = strlen(got);

	(void)ctx;
	snprintf(got + used, sizeof(got) - used, "%s%u:%s|", wanted ? ">" : "", number, text);
}

static uint32_t ask(const char *file, uint32_t line)
{
	got[0] = '\0';
	return source_text(folder, file, line, 1, keep, NULL);
}

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static void lines(void **state)
{
	(void)state;
	put("a.rs", "one\n\ttwo\nthr\x1b[2Jee\nfour");
	assert_int_equal(ask("a.rs", 2), 3);
	assert_string_equal(got, "1:one|>2:    two|3:thr\\x1b[2Jee|");
	assert_int_equal(ask("a.rs", 1), 2);
	assert_string_equal(got, ">1:one|2:    two|");
	assert_int_equal(ask("a.rs", 4), 2);
	assert_string_equal(got, "3:thr\\x1b[2Jee|>4:four|");
	assert_int_equal(ask("a.rs", 9), 0);
	assert_int_equal(ask("a.rs", 0), 0);
}

static void long_lines_are_cut(void **state)
{
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	put("long.rs", text);
	assert_int_equal(ask("long.rs", 1), 1);
	assert_int_equal(strlen(got), SOURCE_TEXT_LINE - 1 + strlen(">1:|"));
}

static void what_is_not_read(void **state)
{
	char path[256], other[256];

	(void)state;
	put("secret", "one\n");
	assert_int_equal(ask("secret", 1), 0);
	assert_int_equal(ask("/etc/passwd", 1), 0);
	assert_int_equal(ask("absent.rs", 1), 0);
	assert_int_equal(source_text(NULL, "a.rs", 1, 1, keep, NULL), 0);
	assert_int_equal(source_text(NULL, NULL, 1, 1, keep, NULL), 0);
	snprintf(other, sizeof(other), "%s/secret", folder);
	snprintf(path, sizeof(path), "%s/link.rs", folder);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(ask("link.rs", 1), 0);
	snprintf(path, sizeof(path), "%s/fifo.rs", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(ask("fifo.rs", 1), 0);
	snprintf(path, sizeof(path), "%s/big.rs", folder);
	put("big.rs", "one\n");
	assert_int_equal(truncate(path, SOURCE_TEXT_MAX + 1), 0);
	assert_int_equal(ask("big.rs", 1), 0);
}

static int make_folder(void **state)
{
	(void)state;
	return !mkdtemp(folder);
}

static int remove_folder(void **state)
{
	static const char *const names[] = {"a.rs",    "long.rs", "secret",
					    "link.rs", "fifo.rs", "big.rs"};
	char path[256];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(what_is_not_read),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tables: widths, cuts, characters that are wide, broken or harmful. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "util/table.h"

static const struct table_column columns[] = {
	{"NAME", TABLE_LEFT, 8},
	{"N", TABLE_RIGHT, 0},
	{"REST", TABLE_LEFT, 0},
};

static void check_render(struct table *t, unsigned int width, unsigned int indent, const char *want)
{
	char *text = table_render(t, width, indent);

	assert_string_equal(text, want);
	free(text);
}

static void test_columns(void **state)
{
	struct table *t = table_new(columns, 3);

	(void)state;
	check_render(t, 0, 0, "NAME  N  REST\n");
	assert_int_equal(table_rows(t), 0);
	table_cell(t, "a");
	table_cellf(t, "%d", 1000);
	table_cell(t, "x");
	table_cell(t, "much too long");
	table_cell(t, NULL);
	table_cell(t, "the rest of it");
	assert_int_equal(table_rows(t), 2);
	check_render(t, 0, 2,
		     "  NAME         N  REST\n"
		     "  a         1000  x\n"
		     "  much to…   n/a  the rest of it\n");
	check_render(t, 24, 0,
		     "NAME         N  REST\n"
		     "a         1000  x\n"
		     "much to…   n/a  the res…\n");
	/* There is always something of the last column. */
	check_render(t, 5, 0,
		     "NAME         N  REST\n"
		     "a         1000  x\n"
		     "much to…   n/a  the r…\n");
	table_free(t);
	table_free(NULL);
}

static void test_unfinished_row(void **state)
{
	struct table *t = table_new(columns, 3);

	(void)state;
	table_cell(t, "a");
	check_render(t, 0, 0, "NAME  N  REST\na        \n");
	table_free(t);
}

static void check_fit(const char *text, size_t width, const char *want)
{
	char *fit = text_fit(text, width);

	assert_string_equal(fit, want);
	assert_true(text_width(fit) <= width);
	free(fit);
}

static void test_fit(void **state)
{
	(void)state;
	check_fit("", 0, "");
	check_fit("abc", 0, "");
	check_fit("abc", 1, "…");
	check_fit("abc", 3, "abc");
	check_fit("Löschen", 7, "Löschen");
	check_fit("Löschen", 3, "Lö…");
	/* Controls and what is not UTF-8. */
	check_fit("a\033[2J\nb", 99, "a?[2J?b");
	check_fit("a\xff\xc3", 99, "a??");
	check_fit("\xed\xa0\x80", 99, "???");
	check_fit("\xf0\x82\x82\xac", 99, "????");
	check_fit("\xc2\x9b", 99, "?");
	check_fit("cut \xe2\x80", 99, "cut ??");
}

static void test_wide(void **state)
{
	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	assert_int_equal(text_width("日本"), 4);
	check_fit("日本", 4, "日本");
	check_fit("日本", 3, "日…");
	check_fit("日本語", 4, "日…");
	/* A combining mark stays with its letter. */
	assert_int_equal(text_width("e\xcc\x81"), 1);
	setlocale(LC_CTYPE, "C");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_unfinished_row),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_wide),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}

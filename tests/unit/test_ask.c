// SPDX-License-Identifier: LGPL-2.1-or-later
/* Keys that change what is watched: the threshold moves in the rules and in the source. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "ask.h"
#include "rules/rule_impl.h"

#define MS 1000000ULL
#define US 1000ULL

struct fixed_source {
	struct source source;
	uint64_t threshold_ns;
};

static void set_threshold(struct source *source, uint64_t ns)
{
	((struct fixed_source *)source)->threshold_ns = ns;
}

static const struct source_ops live_ops = {.set_threshold = set_threshold};
static const struct source_ops replay_ops = {0};

static void test_steps(void **state)
{
	(void)state;
	assert_int_equal(threshold_step(10 * MS, true), 20 * MS);
	assert_int_equal(threshold_step(20 * MS, true), 50 * MS);
	assert_int_equal(threshold_step(50 * MS, true), 100 * MS);
	assert_int_equal(threshold_step(10 * MS, false), 5 * MS);
	assert_int_equal(threshold_step(12 * MS, true), 20 * MS);
	assert_int_equal(threshold_step(12 * MS, false), 10 * MS);
	assert_int_equal(threshold_step(200 * US, false), 100 * US);
	assert_int_equal(threshold_step(100 * US, false), 100 * US);
	assert_int_equal(threshold_step(1, false), 100 * US);
	assert_int_equal(threshold_step(5000 * MS, true), 10000 * MS);
	assert_int_equal(threshold_step(10000 * MS, true), 10000 * MS);
	assert_int_equal(threshold_step(3600000 * MS, true), 10000 * MS);
	assert_int_equal(threshold_step(3600000 * MS, false), 10000 * MS);
}

static void test_threshold(void **state)
{
	struct fixed_source source = {.source = {&live_ops}};
	struct asker asker = {.source = &source.source};
	struct err err = {0};
	char answer[160];

	(void)state;
	assert_int_equal(rules_load_builtin(&asker.rules, &err), 0);
	assert_int_equal(rules_threshold_ns(asker.rules), 10 * MS);
	ask_answer(&asker, TUI_ASK_THRESHOLD_UP, answer, sizeof(answer));
	assert_int_equal(rules_threshold_ns(asker.rules), 20 * MS);
	assert_int_equal(source.threshold_ns, 20 * MS);
	assert_non_null(strstr(answer, "20.0 ms"));
	for (int i = 0; i < 3; i++)
		ask_answer(&asker, TUI_ASK_THRESHOLD_DOWN, answer, sizeof(answer));
	assert_int_equal(rules_threshold_ns(asker.rules), 2 * MS);
	assert_int_equal(source.threshold_ns, 2 * MS);
	/* A trace holds what it holds: only the rules judge anew. */
	asker.source = &(struct source){&replay_ops};
	ask_answer(&asker, TUI_ASK_THRESHOLD_UP, answer, sizeof(answer));
	assert_int_equal(rules_threshold_ns(asker.rules), 5 * MS);
	rules_free(asker.rules);
}

static void test_no_such_rules(void **state)
{
	struct asker asker = {.rules = rules_new(), .source = &(struct source){&replay_ops}};
	char answer[160];

	(void)state;
	assert_int_equal(rules_threshold_ns(asker.rules), 0);
	ask_answer(&asker, TUI_ASK_THRESHOLD_UP, answer, sizeof(answer));
	assert_non_null(strstr(answer, "no rule"));
	rules_free(asker.rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_threshold),
		cmocka_unit_test(test_no_such_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

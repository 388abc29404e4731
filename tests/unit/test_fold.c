// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which stacks are equal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sink/fold.h"
#include "sink_fixture.h"

static void add(struct fold *fold, const struct fixture *f, const char *function, uint32_t line)
{
	const struct frame frame = {.function = function, .file = "src/db.rs", .line = line};

	fold_add(fold, f->model,
		 &(struct event){.kind = EV_STACK,
				 .as_stack = {.site = FIXTURE_CART,
					      .kind = STACK_ON_CPU,
					      .frames = &frame,
					      .frames_count = 1}});
}

/* Two lines of one function are two places, for readers who are told of lines. */
static void lines(void **state)
{
	static const size_t rows[] = {[FOLD_BY_LINE] = 3, [FOLD_BY_NAME] = 2};
	struct fixture f;

	(void)state;
	fixture_open(&f, "export", "shop");
	for (enum fold_by by = FOLD_BY_LINE; by <= FOLD_BY_NAME; by++) {
		struct fold fold;

		fold_init(&fold, by);
		add(&fold, &f, "db::query", 42);
		add(&fold, &f, "db::query", 43);
		add(&fold, &f, "db::commit", 43);
		add(&fold, &f, "db::query", 42);
		assert_int_equal(fold.rows_count, rows[by]);
		assert_int_equal(fold.rows[0].weight, by == FOLD_BY_NAME ? 3 : 2);
		fold_free(&fold);
	}
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

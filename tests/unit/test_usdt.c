// SPDX-License-Identifier: LGPL-2.1-or-later
/* The back end of programs that carry our probe points: what it finds, and what is planned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "attach/plan.h"
#include "elf_fixture.h"
#include "runtime/usdt.h"

struct built {
	struct fixture fx;
	struct elf_file *elf;
	struct object object;
	struct runtime_found found;
	struct err err;
};

static int build(struct built *b, const char *source)
{
	memset(b, 0, sizeof(*b));
	b->elf = elf_fixture_c(&b->fx, source, "");
	b->object = (struct object){.elf = b->elf, .name = "a.so"};
	return usdt_runtime.detect(&b->object, &b->found, &b->err);
}

static void done(struct built *b)
{
	runtime_found_clear(&b->found);
	elf_close(b->elf);
	fixture_done(&b->fx);
}

static const char whole[] = "#include <stalltop/sdt.h>\n"
			    "STALLTOP_SDT_RUNTIME(\"mi\\x1bne\", \"2.1\")\n"
			    "void a(struct stalltop_sdt_runtime *r) {\n"
			    "	stalltop_runtime_start(r);\n"
			    "	stalltop_task_spawn(r, 7, \"n\", 0);\n"
			    "	stalltop_poll_begin(r, 7, \"n\", 0);\n"
			    "	stalltop_poll_end(r, 7, 1);\n"
			    "	stalltop_task_wake(r, 7);\n"
			    "	stalltop_blocking_begin(r, 7, \"n\", 0);\n"
			    "	stalltop_blocking_end(r, 7);\n"
			    "}\n";

static void test_found(void **state)
{
	struct built b;

	(void)state;
	assert_int_equal(build(&b, whole), 0);
	assert_ptr_equal(b.found.ops, &usdt_runtime);
	/* A name from a file goes to a terminal: without what is no text. */
	assert_string_equal(runtime_found_name(&b.found), "mi\\x1bne");
	assert_string_equal(b.found.version, "2.1");
	assert_true(b.found.types_later);
	assert_int_equal(b.found.sites_count, 0);
	assert_int_equal(b.found.probes_count, 7);
	for (size_t i = 0; i < b.found.probes_count; i++) {
		const struct runtime_probe *probe = &b.found.probes[i];

		assert_null(probe->refused);
		assert_false(probe->has_args);
		assert_int_equal(probe->class, INSN_EMULATED);
		assert_int_not_equal(probe->semaphore, 0);
		assert_true(probe->function && probe->function <= probe->pc);
	}
	done(&b);
}

/* Which programs, and from which level on. */
static void test_plan(void **state)
{
	static const size_t begins[] = {0, 2, 2, 2}, ends[] = {0, 2, 2, 2}, others[] = {0, 0, 2, 3};
	struct built b;

	(void)state;
	assert_int_equal(build(&b, whole), 0);
	for (unsigned int level = 1; level <= 3; level++) {
		size_t count[PLAN_PROGRAMS] = {0};
		struct plan plan;

		plan_make(&plan, &b.object, &b.found, level);
		for (size_t i = 0; i < plan.count; i++) {
			count[plan.probes[i].program]++;
			assert_non_null(plan.probes[i].probe);
			assert_null(plan.probes[i].refused);
			assert_int_not_equal(plan.probes[i].offset, 0);
		}
		assert_int_equal(count[PLAN_PROBE_BEGIN], begins[level]);
		assert_int_equal(count[PLAN_PROBE_END], ends[level]);
		assert_int_equal(count[PLAN_PROBE_OTHER], others[level]);
		assert_int_equal(count[PLAN_POLL] + count[PLAN_DEALLOC] + count[PLAN_SCHEDULE], 0);
		plan_clear(&plan);
	}
	done(&b);
}

#define NOTE(name, args)                                                                           \
	"	__asm__ volatile(\"990: nop\\n.pushsection .note.stapsdt,\\\"\\\",@note\\n\"\n"          \
	"	\".balign 4\\n.4byte 992f-991f, 994f-993f, 3\\n991: .asciz \\\"stapsdt\\\"\\n\"\n"       \
	"	\"992: .balign 4\\n993: .8byte 990b, 0, 0\\n.asciz \\\"stalltop\\\"\\n\"\n"              \
	"	\".asciz \\\"" name "\\\"\\n.asciz \\\"" args "\\\"\\n994: .balign 4\\n\"\n"       \
	"	\".popsection\");\n"

static void test_general_form(void **state)
{
	struct built b;

	(void)state;
	assert_int_equal(build(&b, "void a(void) {\n" NOTE("poll__begin",
							   "-4@$-7 4@%esi 8@-8(%rbp) 8@%rcx 8@$1")
					   NOTE("poll__end", "8@%rdi 8@%rsi 8@%rdx 1@%xmm0")
						   NOTE("task__wake", "8@%rdi")
							   NOTE("task__drop", "8@%rdi 8@%fs:0")
								   NOTE("of_version_9", "") "}\n"),
			 0);
	/* One is of a later version; two cannot be used, and say why. */
	assert_int_equal(b.found.probes_count, 4);
	assert_string_equal(runtime_found_name(&b.found), "usdt");
	for (size_t i = 0; i < b.found.probes_count; i++) {
		const struct runtime_probe *probe = &b.found.probes[i];

		if (probe->probe == WIRE_TASK_WAKE)
			assert_string_equal(probe->refused,
					    "it has fewer arguments than the contract says");
		else if (probe->probe == WIRE_TASK_DROP)
			assert_string_equal(probe->refused,
					    "an argument has a form that is not understood");
		else
			assert_null(probe->refused);
		assert_int_equal(probe->semaphore, 0);
		if (probe->probe != WIRE_POLL_BEGIN)
			continue;
		assert_true(probe->has_args);
		assert_int_equal(probe->args.arg[0].kind, WIRE_ARG_CONST);
		assert_int_equal((int64_t)probe->args.arg[0].value, -7);
		assert_int_equal(probe->args.arg[1].kind, WIRE_ARG_REG);
		assert_int_equal(probe->args.arg[1].reg, 104); /* struct pt_regs.si */
		assert_int_equal(probe->args.arg[1].size, 4);
		assert_int_equal(probe->args.arg[2].kind, WIRE_ARG_MEM);
		assert_int_equal(probe->args.arg[2].reg, 32); /* .bp */
		assert_int_equal(probe->args.arg[2].disp, -8);
		assert_int_equal(probe->args.arg[3].reg, 88); /* .cx */
	}
	done(&b);
}

static void test_not_ours(void **state)
{
	struct built b;

	(void)state;
	assert_int_equal(build(&b, "int x;\n"), -ENOENT);
	done(&b);
	assert_int_equal(build(&b, "void a(void) {\n" NOTE("poll__begin",
							   "8@%rdi 8@%rsi 8@%rdx 8@%rcx") "}\n"),
			 -ENOTSUP);
	assert_non_null(strstr(b.err.msg, "not poll__begin and poll__end"));
	done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_general_form),
		cmocka_unit_test(test_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* The plan of probes: which instruction of a function is chosen, and what several types share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "attach/plan.h"
#include "elf_fixture.h"
#include "runtime/vtable.h"

/* Functions with one kind of entry each; `entry_NAME` is where the function begins. */
static const char source[] =
	".text\n"
	".globl push, jump, moved, late, clobbered, refused, returns\n"
	"push: push %rbx\n pop %rbx\n ret\n"
	"jump: jmp push\n"
	/* the first emulated one behind two that are stepped; rdi still holds the task */
	"moved: mov %rdi, %rax\n sub $8, %rsp\n push %rbx\n pop %rbx\n add $8, %rsp\n ret\n"
	/* an emulated one comes, but after a call the task is no longer in rdi */
	"late: mov %rdi, %rax\n call push\n push %rbx\n pop %rbx\n ret\n"
	"clobbered: mov (%rdi), %rdi\n push %rbx\n pop %rbx\n ret\n"
	"refused: lock incl (%rdi)\n push %rbx\n pop %rbx\n ret\n"
	"returns: mov %rdi, %rax\n ret\n"
	/* As Tokio's schedule functions begin. */
	"handover: mov %rdi, %rsi\n mov 0x10(%rdi), %rax\n mov 0x40(%rax), %rdi\n"
	" add %rsi, %rdi\n .byte 0xe9\n .long second - . - 4\n"
	"second: mov (%rdi), %rax\n mov %rsi, 0x18(%rsp)\n lea 0xf(%rsp), %rsi\n"
	" call push\n ret\n"
	"lost: mov %rdi, 0x18(%rsp)\n mov %rsi, %rdi\n sub $8, %rsp\n call push\n ret\n"
	"dropped: mov %rsi, %rdi\n mov (%rax), %rax\n call push\n ret\n"
	/* A new task is in rsi, and then not any more. */
	"bind: mov %rdi, %rax\n push %rbx\n pop %rbx\n ret\n"
	"taken: mov (%rsi), %rsi\n push %rbx\n pop %rbx\n ret\n"
	/* Jumps through a pointer that the loader sets for good, and through others. */
	"folded: jmp *fixed(%rip)\n"
	"rebound: jmp *loose(%rip)\n"
	"astray: jmp *data(%rip)\n"
	".section .data.rel.ro, \"aw\"\n .balign 8\n fixed: .quad second\n data: .quad data\n"
	".data\n .balign 8\n loose: .quad second\n";

struct world {
	struct fixture fx;
	struct object object;
	struct runtime_site sites[8];
	struct runtime_found found;
};

static uint64_t address(struct elf_file *f, const char *name)
{
	const struct elf_symbol *s;
	size_t n;

	s = elf_symbols(f, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(s[i].name, name) == 0)
			return s[i].addr;
	fail_msg("no symbol %s", name);
	return 0;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	FILE *f;

	fixture_make(&w->fx, "");
	f = fopen(fixture_path(&w->fx, "entries.S"), "w");
	assert_non_null(f);
	fputs(source, f);
	for (const char *p = "push\0jump\0moved\0late\0clobbered\0refused\0returns\0handover\0"
			     "second\0lost\0dropped\0bind\0taken\0folded\0rebound\0astray\0";
	     *p; p += strlen(p) + 1)
		fprintf(f, ".type %s, @function\n", p);
	fputs(".section .note.GNU-stack,\"\",@progbits\n", f);
	fclose(f);
	elf_fixture_run(&w->fx, "gcc -nostdlib -shared entries.S -o entries.so");
	assert_int_equal(elf_open(fixture_path(&w->fx, "entries.so"), &w->object.elf, NULL), 0);
	assert_int_equal(elf_load_symbols(w->object.elf, NULL), 0);
	w->found.sites = w->sites;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	elf_close(w->object.elf);
	fixture_done(&w->fx);
	free(w);
	return 0;
}

static void add_site(struct world *w, const char *poll, const char *dealloc)
{
	struct runtime_site *site = &w->sites[w->found.sites_count++];

	memset(site, 0, sizeof(*site));
	site->poll = address(w->object.elf, poll);
	site->dealloc = address(w->object.elf, dealloc);
}

static struct plan_probe plan_one(struct world *w, const char *function)
{
	struct plan_probe probe;
	struct plan plan;

	w->found.sites_count = 0;
	add_site(w, function, "push");
	plan_make(&plan, &w->object, &w->found, 1);
	assert_int_equal(plan.count, 1);
	probe = plan.probes[0];
	plan_clear(&plan);
	return probe;
}

static void chooses_the_cheapest_instruction(void **state)
{
	static const struct {
		const char *function;
		uint64_t distance; /* of the chosen instruction from the entry */
		enum insn_class class;
	} cases[] = {
		{"push", 0, INSN_EMULATED},
		{"jump", 0, INSN_EMULATED},
		{"moved", 7, INSN_EMULATED},
		{"late", 3, INSN_EMULATED}, /* the call itself is emulated */
		{"clobbered", 0, INSN_STEPPED},
		{"returns", 0, INSN_STEPPED},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct plan_probe probe = plan_one(w, cases[i].function);

		assert_null(probe.refused);
		assert_int_equal(probe.vaddr - probe.function, cases[i].distance);
		assert_int_equal(probe.class, cases[i].class);
		assert_int_equal(insn_prove_boundary(w->object.elf, probe.function, probe.vaddr),
				 0);
	}
}

/* A wake is probed where the task is known, in a register or stored, or not at all. */
static void finds_the_task_of_a_wake(void **state)
{
	static const struct {
		const char *function, *probed; /* NULL: not */
		enum plan_task in;
		uint8_t offset;
	} cases[] = {
		{"push", "push", PLAN_TASK_RDI, 0},
		{"handover", "second", PLAN_TASK_STACK, 0x18},
		{"lost", NULL, PLAN_TASK_RDI, 0},
		{"dropped", NULL, PLAN_TASK_RDI, 0},
		{"clobbered", NULL, PLAN_TASK_RDI, 0},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct plan_probe *probe;
		struct plan plan;

		w->found.sites_count = 0;
		add_site(w, "push", "push");
		w->sites[0].schedule = address(w->object.elf, cases[i].function);
		plan_make(&plan, &w->object, &w->found, 3);
		assert_int_equal(plan.count, 3);
		probe = &plan.probes[2];
		assert_int_equal(probe->program, PLAN_SCHEDULE);
		if (cases[i].probed) {
			assert_null(probe->refused);
			assert_int_equal(probe->class, INSN_EMULATED);
			assert_int_equal(probe->function, address(w->object.elf, cases[i].probed));
			assert_int_equal(probe->task_in, cases[i].in);
			assert_int_equal(probe->task_offset, cases[i].offset);
		} else {
			assert_non_null(probe->refused);
		}
		plan_clear(&plan);
	}
}

static void moves_off_a_refused_entry(void **state)
{
	struct plan_probe probe = plan_one(*state, "refused");

	assert_null(probe.refused);
	assert_int_equal(probe.class, INSN_EMULATED);
	assert_true(probe.vaddr > probe.function);
}

static void shares_probes_of_folded_functions(void **state)
{
	struct world *w = *state;
	struct plan plan;

	w->found.sites_count = 0;
	add_site(w, "push", "moved");
	add_site(w, "push", "moved");
	add_site(w, "jump", "moved");
	plan_make(&plan, &w->object, &w->found, 2);
	assert_int_equal(plan.count, 3);
	assert_int_equal(plan.probes[0].program, PLAN_POLL);
	assert_int_equal(plan.probes[0].site, 0);
	assert_int_equal(plan.probes[0].sharing, 2);
	assert_int_equal(plan.probes[1].site, 2);
	assert_int_equal(plan.probes[1].sharing, 1);
	assert_int_equal(plan.probes[2].program, PLAN_DEALLOC);
	assert_int_equal(plan.probes[2].sharing, 3);
	plan_clear(&plan);
	plan_make(&plan, &w->object, &w->found, 1);
	assert_int_equal(plan.count, 2);
	plan_clear(&plan);
}

static void probes_what_makes_tasks(void **state)
{
	struct world *w = *state;
	struct runtime_spawn spawns[] = {
		{address(w->object.elf, "bind"), RUNTIME_ANY},
		{address(w->object.elf, "taken"), 0},
		{address(w->object.elf, "bind"), RUNTIME_ANY},
		{address(w->object.elf, "lost"), RUNTIME_PANIC},
	};
	struct plan plan;

	w->found.sites_count = 0;
	add_site(w, "push", "push");
	w->found.spawns = spawns;
	w->found.spawns_count = 4;
	plan_make(&plan, &w->object, &w->found, 2);
	assert_int_equal(plan.count, 5);
	assert_int_equal(plan.probes[4].program, PLAN_PANIC);
	assert_int_equal(plan.probes[4].function, address(w->object.elf, "lost"));
	assert_int_equal(plan.probes[2].program, PLAN_SPAWN);
	assert_int_equal(plan.probes[2].site, RUNTIME_ANY);
	assert_int_equal(plan.probes[2].sharing, 2);
	assert_int_equal(plan.probes[2].task_in, PLAN_TASK_RSI);
	assert_int_equal(plan.probes[2].class, INSN_EMULATED);
	assert_int_equal(plan.probes[2].vaddr - plan.probes[2].function, 3);
	/* Of one type: the task is not asked for. */
	assert_int_equal(plan.probes[3].site, 0);
	assert_int_equal(plan.probes[3].class, INSN_EMULATED);
	assert_int_equal(plan.probes[3].vaddr - plan.probes[3].function, 3);
	plan_clear(&plan);
	/* Only its first instruction has the task: dear, but in a window that is bearable. */
	spawns[1].site = RUNTIME_ANY;
	plan_make(&plan, &w->object, &w->found, 2);
	assert_int_equal(plan.probes[3].class, INSN_STEPPED);
	assert_int_equal(plan.probes[3].vaddr, plan.probes[3].function);
	plan_clear(&plan);
	plan_make(&plan, &w->object, &w->found, 1);
	assert_int_equal(plan.count, 1);
	plan_clear(&plan);
	w->found.spawns = NULL;
	w->found.spawns_count = 0;
}

/*
 * Only at the entry, where the return address is what the kernel takes for it, and only of a runtime
 * whose tasks' panics do not leave the function.
 */
static void probes_returns_where_that_is_safe(void **state)
{
	static const struct runtime_ops tokio = {.family = WIRE_TOKIO};
	static const struct runtime_ops other = {.family = WIRE_ASYNC_TASK};
	struct world *w = *state;
	const struct runtime_ops *had = w->found.ops;
	struct plan plan;

	w->found.sites_count = 0;
	add_site(w, "push", "push");
	add_site(w, "moved", "push"); /* its probe is the second instruction's */
	add_site(w, "jump", "push");
	w->sites[2].kind = SITE_BLOCKING;
	add_site(w, "refused", "push");
	w->found.ops = &tokio;
	plan_make(&plan, &w->object, &w->found, 1);
	assert_int_equal(plan.count, 4);
	plan_add_returns(&plan, &w->found);
	assert_int_equal(plan.count, 7);
	assert_int_equal(plan.probes[4].program, PLAN_RETURN);
	assert_int_equal(plan.probes[4].vaddr, w->sites[0].poll);
	assert_int_equal(plan.probes[4].offset, plan.probes[0].offset);
	assert_null(plan.probes[4].refused);
	assert_int_equal(plan.probes[5].site, 1);
	assert_non_null(plan.probes[5].refused);
	assert_int_equal(plan.probes[6].site, 3);
	assert_non_null(plan.probes[6].refused);
	plan_clear(&plan);
	/* Code that a task has in common with blocking work may be a worker's loop, too. */
	w->sites[2].poll = w->sites[0].poll;
	plan_make(&plan, &w->object, &w->found, 1);
	plan_add_returns(&plan, &w->found);
	assert_int_equal(plan.count, 5);
	assert_int_equal(plan.probes[3].site, 1);
	plan_clear(&plan);
	w->found.ops = &other;
	plan_make(&plan, &w->object, &w->found, 1);
	plan_add_returns(&plan, &w->found);
	for (size_t i = 3; i < plan.count; i++)
		assert_non_null(plan.probes[i].refused);
	plan_clear(&plan);
	w->found.ops = had;
}

static void leaves_out_what_has_no_bytes(void **state)
{
	struct world *w = *state;
	struct plan plan;

	w->found.sites_count = 0;
	add_site(w, "push", "push");
	w->sites[0].poll = 0x7fff0000;
	plan_make(&plan, &w->object, &w->found, 1);
	assert_int_equal(plan.count, 1);
	assert_non_null(plan.probes[0].refused);
	plan_clear(&plan);
}

static void goes_past_a_jump_that_is_set_for_good(void **state)
{
	struct world *w = *state;
	struct elf_file *elf = w->object.elf;

	w->object.unrelocated = true;
	assert_int_equal(vtable_function(&w->object, address(elf, "folded")),
			 address(elf, "second"));
	for (const char *p = "rebound\0astray\0jump\0push\0"; *p; p += strlen(p) + 1)
		assert_int_equal(vtable_function(&w->object, address(elf, p)), address(elf, p));
	w->object.unrelocated = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chooses_the_cheapest_instruction),
		cmocka_unit_test(probes_returns_where_that_is_safe),
		cmocka_unit_test(finds_the_task_of_a_wake),
		cmocka_unit_test(moves_off_a_refused_entry),
		cmocka_unit_test(shares_probes_of_folded_functions),
		cmocka_unit_test(probes_what_makes_tasks),
		cmocka_unit_test(leaves_out_what_has_no_bytes),
		cmocka_unit_test(goes_past_a_jump_that_is_set_for_good),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

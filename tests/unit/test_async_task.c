// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is recognised as a task of async-task, in small files that have just the shape. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "attach/plan.h"
#include "elf_fixture.h"
#include "runtime/async_task.h"

/*
 * One task type: its functions, its vtable, and the layout that it points to. `xadd` is where
 * clone_waker finds the state; the future is `captured` bytes behind the scheduling closure.
 */
static const char macros[] =
	".macro functions n, xadd, output\n"
	".text\n"
	"drop_future\\n: push %rbx\n pop %rbx\n ret\n"
	"get_output\\n: lea \\output(%rdi), %rax\n ret\n"
	"drop_ref\\n: push %rbx\n pop %rbx\n ret\n"
	"destroy\\n: push %rbx\n pop %rbx\n ret\n"
	"run\\n: push %rbp\n pop %rbp\n ret\n"
	"clone_waker\\n: mov $0x100, %eax\n lock xadd %rax, \\xadd(%rdi)\n ret\n"
	/* As in smol: the task goes through rbx into rsi, past an overflow check. */
	"schedule\\n: push %rbx\n mov $0x100, %eax\n lock xadd %rax, \\xadd(%rdi)\n"
	" test %rax, %rax\n js 1f\n mov %rdi, %rbx\n add $0x28, %rdi\n mov %rbx, %rsi\n"
	" call closure\n1: pop %rbx\n ret\n"
	".endm\n"
	".macro table n, schedule\n"
	".section .data.rel.ro,\"aw\"\n .balign 8\n"
	"vtable\\n: .quad \\schedule, drop_future\\n, get_output\\n, drop_ref\\n, destroy\\n, "
	"run\\n, clone_waker\\n\n"
	".endm\n"
	".macro layout n, align, size, s, f, r\n"
	" .quad layout\\n\n .section .rodata\n .balign 8\n"
	"layout\\n: .quad \\align, \\size, \\s, \\f, \\r\n"
	".endm\n"
	".text\n closure: push %rbp\n pop %rbp\n ret\n";

static const char traces[] = ".section .rodata\n"
			     ".asciz \"/x/async-task-4.7.1/src/task.rs\"\n"
			     ".asciz \"/x/async-executor-1.14.1/src/lib.rs\"\n"
			     ".asciz \"/x/smol-2.0.2/src/spawn.rs\"\n";

struct world {
	struct fixture fx;
	struct proc proc;
	struct object object;
	struct runtime_found found;
};

static struct world *world_linked(const char *body, bool with_traces, const char *link)
{
	struct world *w = calloc(1, sizeof(*w));
	FILE *f;

	assert_non_null(w);
	fixture_make(&w->fx, "-shared");
	f = fopen(fixture_path(&w->fx, "at.S"), "w");
	assert_non_null(f);
	fprintf(f, "%s%s%s.section .note.GNU-stack,\"\",@progbits\n", macros, body,
		with_traces ? traces : "");
	fclose(f);
	elf_fixture_run(&w->fx, link);
	assert_int_equal(elf_open(fixture_path(&w->fx, "at.so"), &w->object.elf, NULL), 0);
	w->proc.pid = getpid();
	w->object.proc = &w->proc;
	w->object.unrelocated = true;
	w->object.name = (char *)"at";
	return w;
}

static struct world *world_make(const char *body, bool with_traces)
{
	return world_linked(body, with_traces, "gcc -nostdlib -shared -Wl,-z,relro at.S -o at.so");
}

static int detect(struct world *w)
{
	struct err err = {0};

	return async_task_runtime.detect(&w->object, &w->found, &err);
}

static void world_free(struct world *w)
{
	runtime_found_clear(&w->found);
	elf_close(w->object.elf);
	fixture_done(&w->fx);
	free(w);
}

static void finds_tasks(void **state)
{
	struct world *w = world_make("functions 1, 8, 0x30\n table 1, schedule1\n"
				     " layout 1, 8, 128, 40, 48, 48\n"
				     "functions 2, 8, 0x28\n table 2, schedule2\n"
				     " layout 2, 256, 8, 40, 40, 40\n",
				     true);
	const struct runtime_site *site;

	(void)state;
	assert_int_equal(detect(w), 0);
	assert_string_equal(w->found.name, "smol");
	assert_string_equal(w->found.version, "2.0.2");
	assert_int_equal(w->found.sites_count, 2);
	site = &w->found.sites[0];
	assert_int_equal(site->size, 128);
	assert_int_equal(site->vtable_word, 0);
	assert_int_equal(site->state_word, 1);
	assert_int_equal(site->id_word, WIRE_NO_WORD);
	assert_int_equal(site->sched_word, 5);
	assert_int_equal(site->kind, SITE_TASK);
	/* Nothing is captured: no handle. Size and alignment come in either order. */
	assert_int_equal(w->found.sites[1].sched_word, WIRE_NO_WORD);
	assert_int_equal(w->found.sites[1].size, 256);
	world_free(w);
}

static void finds_the_header_of_old_compilers(void **state)
{
	struct world *w = world_make("functions 1, 0, 0x30\n table 1, schedule1\n"
				     " layout 1, 8, 128, 40, 48, 48\n",
				     true);

	(void)state;
	assert_int_equal(detect(w), 0);
	assert_int_equal(w->found.sites[0].vtable_word, 3);
	assert_int_equal(w->found.sites[0].state_word, 0);
	world_free(w);
}

static void finds_tasks_before_4_3(void **state)
{
	/* No layout: whatever follows. A table whose functions are others is left out. */
	struct world *w = world_make("functions 1, 0, 0x28\n table 1, schedule1\n .quad 77\n"
				     ".text\n plain: ret\n .section .data.rel.ro\n"
				     ".rept 7\n .quad plain\n .endr\n .quad 0\n",
				     true);

	(void)state;
	assert_int_equal(detect(w), 0);
	assert_int_equal(w->found.sites_count, 1);
	assert_int_equal(w->found.sites[0].size, 0);
	assert_int_equal(w->found.sites[0].sched_word, 4);
	world_free(w);
}

static void refuses_what_only_looks_alike(void **state)
{
	static const char *const layouts[] = {
		"3, 128, 40, 48, 48",	  /* no alignment */
		"8, 127, 40, 48, 48",	  /* not a multiple of it */
		"8, 128, 24, 48, 48",	  /* inside the header */
		"8, 128, 48, 40, 40",	  /* the future before the closure */
		"8, 128, 40, 48, 56",	  /* the output elsewhere */
		"8, 40, 40, 48, 48",	  /* the future outside */
		"8, 1 << 40, 40, 48, 48", /* no task is as large */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		char body[512];
		struct world *w;

		/* The output's function is another one, so that 4.2 does not see it either. */
		snprintf(body, sizeof(body),
			 "functions 1, 8, 0\n table 1, schedule1\n layout 1, %s\n", layouts[i]);
		w = world_make(body, true);
		assert_int_equal(detect(w), -EAGAIN);
		world_free(w);
	}
}

static void wants_traces_of_the_crate(void **state)
{
	struct world *w = world_make("functions 1, 8, 0x30\n table 1, schedule1\n"
				     " layout 1, 8, 128, 40, 48, 48\n",
				     false);

	(void)state;
	assert_int_equal(detect(w), -ENOENT);
	world_free(w);
}

/* Without symbols: the closure captures nothing, and somebody down there names a thread. */
static void tells_the_blocking_pool(void **state)
{
	static const char body[] =
		"functions 1, 8, 0x28\n table 1, hand_over\n layout 1, 8, 64, 40, 40, 40\n"
		"functions 2, 8, 0x28\n table 2, schedule2\n layout 2, 8, 64, 40, 40, 40\n"
		"functions 3, 8, 0x30\n table 3, hand_over\n layout 3, 8, 64, 40, 48, 48\n"
		".text\nhand_over: mov %rdi, %rsi\n jmp *pool_at(%rip)\n"
		"pool: push %rbx\n call grow\n pop %rbx\n ret\n"
		"grow: push %rbx\n lea thread_name(%rip), %rsi\n pop %rbx\n ret\n"
		".section .data.rel.ro\n pool_at: .quad pool\n"
		".section .rodata\n thread_name: .ascii \"\\tblocking-\\300\"\n";
	struct world *w = world_make(body, true);

	(void)state;
	assert_int_equal(detect(w), 0);
	assert_int_equal(w->found.sites_count, 3);
	assert_int_equal(w->found.sites[0].kind, SITE_BLOCKING);
	assert_int_equal(w->found.sites[1].kind, SITE_TASK);
	assert_int_equal(w->found.sites[2].kind, SITE_TASK);
	world_free(w);
}

static void has_spawn(const struct world *w, size_t i, uint64_t at, uint32_t site)
{
	assert_true(i < w->found.spawns_count);
	assert_int_equal(w->found.spawns[i].function, at);
	assert_int_equal(w->found.spawns[i].site, site);
}

/*
 * Of a function of the crates that is made for one type the entry, of all others the instruction;
 * bytes in the middle of another instruction are none.
 */
static void finds_what_makes_tasks(void **state)
{
	static const char body[] =
		"functions 1, 8, 0x30\n table 1, schedule1\n layout 1, 8, 128, 40, 48, 48\n"
		"functions 2, 8, 0x30\n table 2, schedule2\n layout 2, 8, 128, 40, 48, 48\n"
		"functions 3, 8, 0x30\n table 3, schedule3\n layout 3, 8, 128, 40, 48, 48\n"
		".macro begin name\n .type \\name, @function\n \\name:\n .cfi_startproc\n"
		" push %rbx\n .endm\n"
		".macro end name\n pop %rbx\n ret\n .cfi_endproc\n .size \\name, . - \\name\n .endm\n"
		".text\n"
		"begin _ZN10async_task8runnable15spawn_unchecked17h0123456789abcdefE\n"
		" lea vtable1(%rip), %rax\n"
		"end _ZN10async_task8runnable15spawn_unchecked17h0123456789abcdefE\n"
		"begin _ZN10async_task8runnable15spawn_unchecked17h1123456789abcdefE\n"
		" lea vtable1(%rip), %rax\n lea vtable2(%rip), %r9\n"
		"end _ZN10async_task8runnable15spawn_unchecked17h1123456789abcdefE\n"
		"begin _ZN3app6accept17h0123456789abcdefE\n"
		" lea vtable2(%rip), %rcx\n"
		" .byte 0x48, 0xb8, 0x48, 0x8d, 0x05\n .long vtable3 - . - 4\n .byte 0\n"
		"end _ZN3app6accept17h0123456789abcdefE\n";
	struct world *w = world_make(body, true);
	const struct elf_symbol *symbol;
	uint64_t entry;

	(void)state;
	assert_int_equal(detect(w), 0);
	assert_int_equal(w->found.spawns_count, 4);
	entry = w->found.spawns[0].function;
	assert_int_equal(elf_load_symbols(w->object.elf, NULL), 0);
	symbol = elf_symbol_at(w->object.elf, entry);
	assert_non_null(symbol);
	assert_int_equal(symbol->addr, entry);
	assert_int_equal(symbol->size, 10);
	has_spawn(w, 0, entry, 0);
	has_spawn(w, 1, entry + 11, 0);
	has_spawn(w, 2, entry + 18, 1);
	has_spawn(w, 3, entry + 28, 1);
	assert_int_equal(w->found.sites[0].spawns, SPAWNS_KNOWN);
	assert_int_equal(w->found.sites[2].spawns, SPAWNS_NO_SYMBOL);
	/* Stripped: where functions begin is known, their names are not. */
	runtime_found_clear(&w->found);
	elf_close(w->object.elf);
	elf_fixture_run(&w->fx, "strip at.so");
	assert_int_equal(elf_open(fixture_path(&w->fx, "at.so"), &w->object.elf, NULL), 0);
	assert_int_equal(detect(w), 0);
	assert_int_equal(w->found.spawns_count, 4);
	has_spawn(w, 0, entry + 1, 0);
	has_spawn(w, 1, entry + 11, 0);
	has_spawn(w, 3, entry + 28, 1);
	world_free(w);
}

/*
 * A program that is not relocated has the address as 32 constant bits, in a register or in memory;
 * a comparison does not make a task, nor do bytes in the middle of another instruction.
 */
static void finds_what_makes_tasks_at_fixed_addresses(void **state)
{
	static const char body[] =
		"functions 1, 8, 0x30\n table 1, schedule1\n layout 1, 8, 128, 40, 48, 48\n"
		"functions 2, 8, 0x30\n table 2, schedule2\n layout 2, 8, 128, 40, 48, 48\n"
		"functions 3, 8, 0x30\n table 3, schedule3\n layout 3, 8, 128, 40, 48, 48\n"
		".text\n .globl _start\n .type _start, @function\n"
		"_start: .cfi_startproc\n push %rbx\n"
		" mov $vtable1, %esi\n mov $vtable1, %r9d\n movq $vtable2, 8(%rax)\n"
		" movq $vtable2, 0x100(%rsp,%rax)\n"
		" cmp $vtable3, %rax\n .byte 0x48, 0xb8, 0xb8\n .long vtable3\n .byte 0, 0, 0\n"
		" pop %rbx\n ret\n .cfi_endproc\n .size _start, . - _start\n";
	struct world *w = world_linked(body, true, "gcc -nostdlib -no-pie -static at.S -o at.so");
	const struct elf_symbol *symbol;
	uint64_t entry;

	(void)state;
	assert_true(elf_is_fixed(w->object.elf));
	assert_int_equal(detect(w), 0);
	assert_int_equal(w->found.sites_count, 3);
	assert_int_equal(w->found.spawns_count, 4);
	assert_int_equal(elf_load_symbols(w->object.elf, NULL), 0);
	symbol = elf_symbol_at(w->object.elf, w->found.spawns[0].function);
	assert_non_null(symbol);
	assert_string_equal(symbol->name, "_start");
	entry = symbol->addr;
	has_spawn(w, 0, entry + 1, 0);
	has_spawn(w, 1, entry + 6, 0);
	has_spawn(w, 2, entry + 12, 1);
	has_spawn(w, 3, entry + 20, 1);
	assert_int_equal(w->found.sites[2].spawns, SPAWNS_NO_SYMBOL);
	world_free(w);
}

static void reads_states(void **state)
{
	static const struct {
		uint64_t word;
		struct runtime_state want;
	} cases[] = {
		{0x111, {.ready = true, .has_handle = true, .refs = 1}},
		{0x212, {.running = true, .has_handle = true, .refs = 2}},
		{0x213, {.running = true, .has_handle = true, .refs = 2}}, /* woken meanwhile */
		{0x100, {.refs = 1}},
		{0x14, {.complete = true, .has_handle = true}},
		/* The output was taken, or never wanted. */
		{0x1c, {.complete = true}},
		{0x10c, {.complete = true, .refs = 1}},
		{0x109, {.cancelled = true, .refs = 1}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime_state got = {0};

		async_task_runtime.state(cases[i].word, &got);
		assert_int_equal(got.running, cases[i].want.running);
		assert_int_equal(got.ready, cases[i].want.ready);
		assert_int_equal(got.complete, cases[i].want.complete);
		assert_int_equal(got.cancelled, cases[i].want.cancelled);
		assert_int_equal(got.has_handle, cases[i].want.has_handle);
		assert_int_equal(got.refs, cases[i].want.refs);
	}
}

static void knows_a_living_header(void **state)
{
	struct runtime_found found = {.ops = &async_task_runtime};
	struct runtime_site site = {
		.vtable = 0x5000, .id_word = WIRE_NO_WORD, .vtable_word = 0, .state_word = 1};
	uint64_t words[8] = {0x5000, 0x111};

	(void)state;
	assert_true(runtime_header_is(&found, &site, words, 0x7000, 42));
	words[1] = 0x4; /* neither references nor a handle */
	assert_false(runtime_header_is(&found, &site, words, 0x7000, 0));
	words[1] = 0x10;
	assert_true(runtime_header_is(&found, &site, words, 0x7000, 0));
	words[1] = 0x7f0000001000; /* what an allocator leaves behind */
	assert_false(runtime_header_is(&found, &site, words, 0x7000, 0));
	words[0] = 0x5008;
	words[1] = 0x111;
	assert_false(runtime_header_is(&found, &site, words, 0x7000, 0));
}

/* Wakers call what schedule calls: the probe is there, once for all types that share it. */
static void plans_wakes_behind_schedule(void **state)
{
	struct world *w = world_make("functions 1, 8, 0x30\n table 1, schedule1\n"
				     " layout 1, 8, 128, 40, 48, 48\n"
				     "functions 2, 8, 0x30\n table 2, schedule2\n"
				     " layout 2, 8, 256, 40, 48, 48\n",
				     true);
	const struct plan_probe *wake = NULL;
	struct plan plan;
	size_t wakes = 0;

	(void)state;
	assert_int_equal(detect(w), 0);
	plan_make(&plan, &w->object, &w->found, 3);
	for (size_t i = 0; i < plan.count; i++) {
		if (plan.probes[i].program != PLAN_SCHEDULE)
			continue;
		wake = &plan.probes[i];
		wakes++;
	}
	assert_int_equal(wakes, 1);
	assert_null(wake->refused);
	assert_int_equal(wake->sharing, 2);
	assert_int_equal(wake->task_in, PLAN_TASK_RSI);
	assert_true(wake->vaddr != w->found.sites[0].schedule);
	plan_clear(&plan);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_tasks),
		cmocka_unit_test(finds_the_header_of_old_compilers),
		cmocka_unit_test(finds_tasks_before_4_3),
		cmocka_unit_test(refuses_what_only_looks_alike),
		cmocka_unit_test(wants_traces_of_the_crate),
		cmocka_unit_test(tells_the_blocking_pool),
		cmocka_unit_test(finds_what_makes_tasks),
		cmocka_unit_test(finds_what_makes_tasks_at_fixed_addresses),
		cmocka_unit_test(reads_states),
		cmocka_unit_test(knows_a_living_header),
		cmocka_unit_test(plans_wakes_behind_schedule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

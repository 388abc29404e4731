// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * probe_stack PID TID [TIMES]: stops a thread with ptrace, copies its stack as the BPF side does,
 * and shows what the stack reader makes of it and how long that takes once warm.
 */
#include "core/frame.h"
#include "stack/child.h"
#include "stack/stack.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t answers;

static void show(void *ctx, uint64_t cookie, const struct frame *frames, uint32_t count,
		 enum stack_end end)
{
	(void)ctx;
	answers++;
	if (cookie != 1)
		return;
	for (uint32_t i = 0; i < count; i++)
		printf("%3u %-8s %-6s %s%s  %s:%u:%u  [%s+%#" PRIx64 " of %#" PRIx64 "]\n", i,
		       frame_origin_name(frames[i].origin), frame_from_name(frames[i].from),
		       frames[i].function ? frames[i].function : "?",
		       frames[i].inlined ? " (inlined)" : "", frames[i].file ? frames[i].file : "",
		       frames[i].line, frames[i].column,
		       frames[i].binary ? frames[i].binary : "no mapping", frames[i].offset,
		       frames[i].start);
	printf("end: %s\n", stack_end_name(end));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int copy_thread(pid_t tid, const struct memory *memory, struct stack_request *request,
		       uint8_t *pages)
{
	struct user_regs_struct r;

	if (ptrace(PTRACE_SEIZE, tid, 0, 0) || ptrace(PTRACE_INTERRUPT, tid, 0, 0) ||
	    waitpid(tid, NULL, __WALL) != tid || ptrace(PTRACE_GETREGS, tid, 0, &r))
		return -1;
	*request = (struct stack_request){
		.regs = {r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10,
			 r.r11, r.r12, r.r13, r.r14, r.r15, r.rip},
		.base = r.rsp & ~(uint64_t)(STACK_PAGE - 1),
		.pages = pages,
	};
	for (size_t i = 0; i < STACK_PAGES; i++)
		if (memory_read(memory, request->base + i * STACK_PAGE, pages + i * STACK_PAGE,
				STACK_PAGE) == 0)
			request->present |= 1U << i;
	ptrace(PTRACE_DETACH, tid, 0, 0);
	return 0;
}

static int submit(struct stacks *stacks, struct stack_request *request, uint64_t cookie)
{
	struct pollfd p = {.fd = stacks_fd(stacks), .events = POLLIN};
	uint64_t before = answers;

	request->cookie = cookie;
	if (stacks_submit(stacks, request))
		return -1;
	while (answers == before && poll(&p, 1, 30000) > 0)
		stacks_drain(stacks);
	return answers > before ? 0 : -1;
}

int main(int argc, char **argv)
{
	static uint8_t pages[STACK_PAGES * STACK_PAGE];
	int times = argc > 3 ? atoi(argv[3]) : 1000;
	struct stacks_totals first, last;
	struct stack_request request;
	struct stacks *stacks;
	struct memory memory;
	struct proc *proc;
	uint64_t start, cold;
	struct err err;

	if (stacks_child_wanted(argc, argv))
		return stacks_child_main();
	if (argc < 3 || proc_open(atoi(argv[1]), &proc, &err) ||
	    memory_open(&memory, atoi(argv[1]), &err) || stacks_open(show, NULL, &stacks, &err) ||
	    stacks_target(stacks, 0, proc, &memory, &err) ||
	    copy_thread(atoi(argv[2]), &memory, &request, pages))
		return 1;
	start = now_ns();
	if (submit(stacks, &request, 1))
		return 1;
	cold = now_ns() - start;
	stacks_totals(stacks, &first);
	start = now_ns();
	for (int i = 0; i < times; i++)
		if (submit(stacks, &request, 2))
			return 1;
	stacks_totals(stacks, &last);
	printf("cold %" PRIu64 " us, warm %.1f us there and back, %.1f us of the child's CPU\n",
	       cold / 1000, (now_ns() - start) / 1e3 / times,
	       (last.work_ns - first.work_ns) / 1e3 / times);
	stacks_close(stacks);
	memory_close(&memory);
	proc_close(proc);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The probe points that make any task scheduler visible to stalltop (and to bpftrace, perf,
 * SystemTap): version 1 of the contract, a stable interface; docs/sdt.md says what each argument
 * means, in which order the probes fire and on which thread.
 *
 * Header only, C99 or C++11, no library. Each probe is one `nop` behind the test of a word (its
 * semaphore) that is zero while nobody watches: a load, a compare and a jump not taken. Arguments
 * are evaluated always, so keep them trivial, or ask with stalltop_sdt_watched() first.
 *
 * x86-64 ELF with GCC or Clang; elsewhere, or with STALLTOP_SDT_DISABLE, everything compiles to
 * nothing.
 */
#ifndef STALLTOP_SDT_H
#define STALLTOP_SDT_H

#include <stdint.h>

#define STALLTOP_SDT_VERSION 1

/*
 * A counter in memory that stalltop reads from outside, now and then, without stopping anybody: the
 * value is *in - *out, or *in where `out` is NULL. `in` NULL: not kept. Both are aligned 64-bit
 * words that somebody writes atomically (relaxed will do).
 */
struct stalltop_sdt_gauge {
	const volatile void *in, *out;
};

#define STALLTOP_SDT_MAGIC 0x31544453504c5453ULL /* "STLPSDT1" */

/*
 * What a runtime tells of itself in memory. Its address is the `runtime` of every probe, so a
 * watcher that comes late finds it. Fill it before the first probe, and let it live as long as the
 * runtime's threads. Members that are not known stay zero.
 */
struct stalltop_sdt_runtime {
	uint64_t magic;				  /* STALLTOP_SDT_MAGIC */
	uint32_t version;			  /* STALLTOP_SDT_VERSION */
	uint32_t workers;			  /* worker threads, 0: not known */
	const char *name;			  /* of this instance, may be NULL */
	const struct stalltop_sdt_gauge *local;	  /* run queue of each worker, `workers` of them */
	struct stalltop_sdt_gauge inject;	  /* tasks in the shared run queue */
	struct stalltop_sdt_gauge alive;	  /* tasks that are not complete */
	struct stalltop_sdt_gauge blocking_queue; /* work that waits for a thread of the pool */
	struct stalltop_sdt_gauge blocking_threads; /* threads of the pool */
	struct stalltop_sdt_gauge blocking_idle;    /* of these, without work */
};

/* `end` of poll_end */
#define STALLTOP_SDT_PENDING 0
#define STALLTOP_SDT_READY 1

/* `kind` of queue_depth */
#define STALLTOP_SDT_QUEUE_INJECT 0
#define STALLTOP_SDT_QUEUE_LOCAL 1
#define STALLTOP_SDT_QUEUE_BLOCKING 2

/* "file.c:12": a static string for `location`. */
#define STALLTOP_SDT_STRING_(x) #x
#define STALLTOP_SDT_STRING(x) STALLTOP_SDT_STRING_(x)
#define STALLTOP_SDT_HERE __FILE__ ":" STALLTOP_SDT_STRING(__LINE__)

#if defined(__x86_64__) && defined(__ELF__) && defined(__GNUC__) && !defined(STALLTOP_SDT_DISABLE)
#define STALLTOP_SDT_ENABLED 1
#else
#define STALLTOP_SDT_ENABLED 0
#endif

#if STALLTOP_SDT_ENABLED

/*
 * Names the runtime in the file itself, for a watcher that sees the file only. Once a program, at
 * file scope: STALLTOP_SDT_RUNTIME("csched", "1.0")
 */
#define STALLTOP_SDT_RUNTIME(name, version)                                                        \
	__asm__(".pushsection .note.stalltop,\"\",@note\n"                                         \
		".balign 4\n"                                                                      \
		".4byte 2f-1f, 4f-3f, " STALLTOP_SDT_STRING(                                       \
			STALLTOP_SDT_VERSION) "\n"                                                 \
					      "1: .asciz \"stalltop\"\n"                           \
					      "2: .balign 4\n"                                     \
					      "3: .asciz \"" name "\"\n"                           \
					      ".asciz \"" version "\"\n"                           \
					      "4: .balign 4\n"                                     \
					      ".popsection\n");

/* One a probe and linked object, however many sources include this. */
#define STALLTOP_SDT_SEMAPHORE(probe)                                                              \
	__attribute__((                                                                            \
		weak, used, visibility("hidden"),                                                  \
		section(".probes"))) volatile unsigned short stalltop_##probe##_semaphore = 0;

#define STALLTOP_SDT_WATCHED(probe) __builtin_expect(stalltop_##probe##_semaphore != 0, 0)

/*
 * The note of format "stapsdt" 3: where the nop is, the base that prelink may have moved, the
 * semaphore, provider, name, arguments. "?" puts it into the group of the code that it is about.
 */
#define STALLTOP_SDT_NOTE(probe, args)                                                             \
	"990: nop\n"                                                                               \
	".pushsection .note.stapsdt,\"?\",@note\n"                                                 \
	".balign 4\n"                                                                              \
	".4byte 992f-991f, 994f-993f, 3\n"                                                         \
	"991: .asciz \"stapsdt\"\n"                                                                \
	"992: .balign 4\n"                                                                         \
	"993: .8byte 990b, _.stapsdt.base, %c[semaphore]\n"                                        \
	".asciz \"stalltop\"\n"                                                                    \
	".asciz \"" #probe "\"\n"                                                                  \
	".asciz \"" args "\"\n"                                                                    \
	"994: .balign 4\n"                                                                         \
	".popsection\n"                                                                            \
	".ifndef _.stapsdt.base\n"                                                                 \
	".pushsection .stapsdt.base,\"aG\",@progbits,.stapsdt.base,comdat\n"                       \
	".weak _.stapsdt.base\n"                                                                   \
	".hidden _.stapsdt.base\n"                                                                 \
	"_.stapsdt.base: .space 1\n"                                                               \
	".size _.stapsdt.base, 1\n"                                                                \
	".popsection\n"                                                                            \
	".endif\n"

/* The arguments are where a call would put them, moved there only while somebody watches. */
#define STALLTOP_SDT_FIRE(probe, args, ...)                                                        \
	do {                                                                                       \
		if (STALLTOP_SDT_WATCHED(probe))                                                   \
			__asm__ __volatile__(STALLTOP_SDT_NOTE(probe, args)                        \
					     :                                                     \
					     : [semaphore] "i"(&stalltop_##probe##_semaphore),     \
					       __VA_ARGS__                                         \
					     : "memory");                                          \
	} while (0)

#define STALLTOP_SDT_PROBE1(probe, a) STALLTOP_SDT_FIRE(probe, "8@%%rdi", "D"((uint64_t)(a)))
#define STALLTOP_SDT_PROBE2(probe, a, b)                                                           \
	STALLTOP_SDT_FIRE(probe, "8@%%rdi 8@%%rsi", "D"((uint64_t)(a)), "S"((uint64_t)(b)))
#define STALLTOP_SDT_PROBE3(probe, a, b, c)                                                        \
	STALLTOP_SDT_FIRE(probe, "8@%%rdi 8@%%rsi 8@%%rdx", "D"((uint64_t)(a)),                    \
			  "S"((uint64_t)(b)), "d"((uint64_t)(c)))
#define STALLTOP_SDT_PROBE4(probe, a, b, c, d)                                                     \
	STALLTOP_SDT_FIRE(probe, "8@%%rdi 8@%%rsi 8@%%rdx 8@%%rcx", "D"((uint64_t)(a)),            \
			  "S"((uint64_t)(b)), "d"((uint64_t)(c)), "c"((uint64_t)(d)))

#ifdef __cplusplus
extern "C" {
#endif
STALLTOP_SDT_SEMAPHORE(runtime__start)
STALLTOP_SDT_SEMAPHORE(runtime__stop)
STALLTOP_SDT_SEMAPHORE(worker__start)
STALLTOP_SDT_SEMAPHORE(worker__park)
STALLTOP_SDT_SEMAPHORE(worker__unpark)
STALLTOP_SDT_SEMAPHORE(worker__stop)
STALLTOP_SDT_SEMAPHORE(task__spawn)
STALLTOP_SDT_SEMAPHORE(poll__begin)
STALLTOP_SDT_SEMAPHORE(poll__end)
STALLTOP_SDT_SEMAPHORE(task__wake)
STALLTOP_SDT_SEMAPHORE(task__complete)
STALLTOP_SDT_SEMAPHORE(task__detach)
STALLTOP_SDT_SEMAPHORE(task__drop)
STALLTOP_SDT_SEMAPHORE(queue__depth)
STALLTOP_SDT_SEMAPHORE(blocking__begin)
STALLTOP_SDT_SEMAPHORE(blocking__end)
#ifdef __cplusplus
}
#endif

#else

#define STALLTOP_SDT_RUNTIME(name, version)
#define STALLTOP_SDT_WATCHED(probe) 0
#define STALLTOP_SDT_PROBE1(probe, a) ((void)(a))
#define STALLTOP_SDT_PROBE2(probe, a, b) ((void)(a), (void)(b))
#define STALLTOP_SDT_PROBE3(probe, a, b, c) ((void)(a), (void)(b), (void)(c))
#define STALLTOP_SDT_PROBE4(probe, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))

#endif

/* Whether somebody watches this probe now: stalltop_sdt_watched(task__wake) */
#define stalltop_sdt_watched(probe) STALLTOP_SDT_WATCHED(probe)

#if defined(__GNUC__)
#define STALLTOP_SDT_INLINE static inline __attribute__((always_inline, unused))
#else
#define STALLTOP_SDT_INLINE static inline
#endif

/* The runtime's life: before its first worker starts, after its last one stopped. */
STALLTOP_SDT_INLINE void stalltop_runtime_start(const struct stalltop_sdt_runtime *runtime)
{
	STALLTOP_SDT_PROBE3(runtime__start, (uintptr_t)runtime, (uintptr_t)runtime->name,
			    runtime->workers);
}

STALLTOP_SDT_INLINE void stalltop_runtime_stop(const struct stalltop_sdt_runtime *runtime)
{
	STALLTOP_SDT_PROBE1(runtime__stop, (uintptr_t)runtime);
}

/* A worker thread, on that thread; `index` counts from 0. */
STALLTOP_SDT_INLINE void stalltop_worker_start(const struct stalltop_sdt_runtime *runtime,
					       uint64_t index)
{
	STALLTOP_SDT_PROBE2(worker__start, (uintptr_t)runtime, index);
}

STALLTOP_SDT_INLINE void stalltop_worker_park(const struct stalltop_sdt_runtime *runtime,
					      uint64_t index)
{
	STALLTOP_SDT_PROBE2(worker__park, (uintptr_t)runtime, index);
}

STALLTOP_SDT_INLINE void stalltop_worker_unpark(const struct stalltop_sdt_runtime *runtime,
						uint64_t index)
{
	STALLTOP_SDT_PROBE2(worker__unpark, (uintptr_t)runtime, index);
}

STALLTOP_SDT_INLINE void stalltop_worker_stop(const struct stalltop_sdt_runtime *runtime,
					      uint64_t index)
{
	STALLTOP_SDT_PROBE2(worker__stop, (uintptr_t)runtime, index);
}

/*
 * `task`: not 0, below 2^48, of no other living task of the process: its address, or better a
 * counter. `name` and `location` are static strings: the pair of pointers is the task's type.
 */
STALLTOP_SDT_INLINE void stalltop_task_spawn(const struct stalltop_sdt_runtime *runtime,
					     uint64_t task, const char *name, const char *location)
{
	STALLTOP_SDT_PROBE4(task__spawn, (uintptr_t)runtime, task, (uintptr_t)name,
			    (uintptr_t)location);
}

/* Around each poll, on the thread that polls; polls of a thread are properly nested. */
STALLTOP_SDT_INLINE void stalltop_poll_begin(const struct stalltop_sdt_runtime *runtime,
					     uint64_t task, const char *name, const char *location)
{
	STALLTOP_SDT_PROBE4(poll__begin, (uintptr_t)runtime, task, (uintptr_t)name,
			    (uintptr_t)location);
}

STALLTOP_SDT_INLINE void stalltop_poll_end(const struct stalltop_sdt_runtime *runtime,
					   uint64_t task, uint64_t end)
{
	STALLTOP_SDT_PROBE3(poll__end, (uintptr_t)runtime, task, end);
}

/* The task was put into a run queue, not for the first time; any thread. */
STALLTOP_SDT_INLINE void stalltop_task_wake(const struct stalltop_sdt_runtime *runtime,
					    uint64_t task)
{
	STALLTOP_SDT_PROBE2(task__wake, (uintptr_t)runtime, task);
}

/* It will not be polled again because its last poll was the last. */
STALLTOP_SDT_INLINE void stalltop_task_complete(const struct stalltop_sdt_runtime *runtime,
						uint64_t task)
{
	STALLTOP_SDT_PROBE2(task__complete, (uintptr_t)runtime, task);
}

/* Nobody holds its handle any more. */
STALLTOP_SDT_INLINE void stalltop_task_detach(const struct stalltop_sdt_runtime *runtime,
					      uint64_t task)
{
	STALLTOP_SDT_PROBE2(task__detach, (uintptr_t)runtime, task);
}

/* Its memory is freed: the last that is heard of it. Without `complete` before it was cancelled. */
STALLTOP_SDT_INLINE void stalltop_task_drop(const struct stalltop_sdt_runtime *runtime,
					    uint64_t task)
{
	STALLTOP_SDT_PROBE2(task__drop, (uintptr_t)runtime, task);
}

/* For a runtime that keeps no gauges: how many are in the queue `index` of this kind now. */
STALLTOP_SDT_INLINE void stalltop_queue_depth(const struct stalltop_sdt_runtime *runtime,
					      uint64_t kind, uint64_t index, uint64_t depth)
{
	STALLTOP_SDT_PROBE4(queue__depth, (uintptr_t)runtime, kind, index, depth);
}

/* Work that may block, on a thread of the pool. `work` as `task`. */
STALLTOP_SDT_INLINE void stalltop_blocking_begin(const struct stalltop_sdt_runtime *runtime,
						 uint64_t work, const char *name,
						 const char *location)
{
	STALLTOP_SDT_PROBE4(blocking__begin, (uintptr_t)runtime, work, (uintptr_t)name,
			    (uintptr_t)location);
}

STALLTOP_SDT_INLINE void stalltop_blocking_end(const struct stalltop_sdt_runtime *runtime,
					       uint64_t work)
{
	STALLTOP_SDT_PROBE2(blocking__end, (uintptr_t)runtime, work);
}

#endif

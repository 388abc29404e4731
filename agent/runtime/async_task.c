// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * async-task 4: every spawned future type F with scheduling closure S has one static vtable
 * (src/raw.rs, struct TaskVTable): seven functions, all address-taken, and since 4.3 a pointer to
 * the layout of a task.
 *
 * Rust orders fields as it likes. Compilers since 1.67 or so put the vtable's pointer first in a
 * task's header, older ones keep it behind the state and the awaiter; clone_waker counts a reference
 * in the state word and so shows where it is.
 */
#include "runtime/async_task.h"

#include "runtime/task_name_impl.h"
#include "runtime/vtable.h"
#include "target/insn.h"
#include "util/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum word {
	W_SCHEDULE,
	W_DROP_FUTURE,
	W_GET_OUTPUT,
	W_DROP_REF,
	W_DESTROY,
	W_RUN,
	W_CLONE_WAKER,
	W_LAYOUT,
	W_COUNT
};

#define HEADER_MIN 32	      /* state, awaiter, vtable */
#define METADATA_MAX 4096     /* of a task, in its header */
#define TASK_MAX (1ULL << 31) /* bytes of one task */
#define ALIGN_MAX 4096
#define HANDLE_MAX 16 /* a closure of one pointer, and what aligns the future behind it */
#define ENTRY_BYTES 64
#define ENTRY_INSNS 8

/* Of struct TaskLayout. */
struct layout {
	uint64_t size, schedule, future;
};

/* Words of a header. */
struct header {
	uint8_t vtable, state;
};

static const struct header new_header = {.vtable = 0, .state = 1};
static const struct header old_header = {.vtable = 3, .state = 0};

static bool distinct(const uint64_t *w)
{
	return w[W_RUN] != w[W_DESTROY] && w[W_RUN] != w[W_GET_OUTPUT] &&
	       w[W_RUN] != w[W_CLONE_WAKER] && w[W_SCHEDULE] != w[W_RUN];
}

static const struct vtable_shape shape = {
	.code_words = W_LAYOUT,
	.words = W_COUNT,
	.accept = distinct,
};

/* Before 4.3: without the layout. */
static const struct vtable_shape old_shape = {
	.code_words = W_LAYOUT,
	.words = W_LAYOUT,
	.accept = distinct,
};

static bool power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* {align, size} in either order, then three offsets. An Option of it looks the same. */
static bool layout_read(struct object *object, const struct vtable *table, struct layout *out)
{
	uint64_t w[5], at = table->words[W_LAYOUT] - object->bias, align, offset;

	/* Seven functions in a row have anything behind them, in most of the tables that are none. */
	if (at & 7 || elf_is_code(object->elf, at) ||
	    elf_vaddr_to_offset(object->elf, at, &offset) || object_read(object, at, w, sizeof(w)))
		return false;
	align = w[0] < w[1] ? w[0] : w[1];
	*out = (struct layout){
		.size = w[0] < w[1] ? w[1] : w[0],
		.schedule = w[2],
		.future = w[3],
	};
	return power_of_two(align) && align >= 8 && align <= ALIGN_MAX && out->size % align == 0 &&
	       out->size <= TASK_MAX && out->schedule >= HEADER_MIN &&
	       out->schedule <= METADATA_MAX && out->future >= out->schedule && w[4] == w[3] &&
	       out->future <= out->size;
}

static ssize_t entry_read(const struct object *object, uint64_t function, uint8_t *bytes)
{
	return elf_read_some(object->elf, function, bytes, ENTRY_BYTES);
}

/* lock xadd [rdi + n], rax: how clone_waker begins in every optimised build. */
static bool state_found(const struct object *object, uint64_t clone_waker, struct header *out)
{
	static const uint8_t add[] = {0xf0, 0x48, 0x0f, 0xc1};
	uint8_t bytes[ENTRY_BYTES];
	ssize_t have = entry_read(object, clone_waker, bytes);
	uint64_t at = 0;
	struct insn insn;

	for (int i = 0; i < ENTRY_INSNS && have > 0 && at < (uint64_t)have; i++) {
		if (insn_decode(bytes + at, have - at, clone_waker + at, &insn))
			return false;
		if (insn.len >= 5 && memcmp(bytes + at, add, sizeof(add)) == 0) {
			uint8_t modrm = bytes[at + 4] & 0xc7;

			if (modrm == 0x07) {
				*out = old_header;
				return true;
			}
			*out = new_header;
			return modrm == 0x47 && bytes[at + 5] == 8;
		}
		if (insn.flow != INSN_NEXT)
			return false;
		at += insn.len;
	}
	return false;
}

/* lea rax, [rdi + n]; ret: how get_output is in every optimised build. 0: it is not. */
static uint64_t output_offset(const struct object *object, uint64_t get_output)
{
	uint8_t b[ENTRY_BYTES];
	ssize_t have = entry_read(object, get_output, b);
	uint32_t far;

	if (have >= 5 && memcmp(b, "\x48\x8d\x47", 3) == 0 && b[4] == 0xc3)
		return b[3];
	if (have < 8 || memcmp(b, "\x48\x8d\x87", 3) != 0 || b[7] != 0xc3)
		return 0;
	memcpy(&far, b + 3, sizeof(far));
	return far;
}

struct found {
	struct object *object;
	struct vtable *tables;
	struct layout *layouts;
	size_t count;
	struct header header;
};

/* Keeps the tables with a plausible layout; before 4.3 the code of two functions has to do. */
static void keep_tasks(struct found *f, bool old)
{
	struct header header;
	size_t kept = 0;

	f->layouts = xcalloc(f->count, sizeof(*f->layouts));
	for (size_t i = 0; i < f->count; i++) {
		struct layout *layout = &f->layouts[kept];

		if (!old && !layout_read(f->object, &f->tables[i], layout))
			continue;
		if (old) {
			uint64_t *w = f->tables[i].words;
			uint64_t output = output_offset(f->object, w[W_GET_OUTPUT]);

			if (output < HEADER_MIN || output > METADATA_MAX ||
			    !state_found(f->object, w[W_CLONE_WAKER], &header))
				continue;
			*layout = (struct layout){.schedule = HEADER_MIN, .future = output};
		}
		f->tables[kept++] = f->tables[i];
	}
	f->count = kept;
}

/* One layout holds for all headers of a program: the majority of what the functions show. */
static void vote_header(struct found *f)
{
	size_t old = 0, new = 0;
	struct header header;

	for (size_t i = 0; i < f->count; i++) {
		if (!state_found(f->object, f->tables[i].words[W_CLONE_WAKER], &header))
			continue;
		old += header.state == old_header.state;
		new += header.state == new_header.state;
	}
	f->header = old > new ? old_header : new_header;
}

static void found_clear(struct found *f)
{
	free(f->tables);
	free(f->layouts);
	f->tables = NULL;
	f->layouts = NULL;
	f->count = 0;
}

static int find_tables(struct found *f, const struct vtable_shape *as)
{
	int ret = vtable_scan(f->object, as, &f->tables, &f->count);

	if (!ret)
		keep_tasks(f, as == &old_shape);
	vote_header(f);
	return ret;
}

static void functions_of(const struct vtable *table, const struct layout *layout,
			 struct task_functions *out)
{
	const uint64_t *w = table->words;

	*out = (struct task_functions){
		.poll = w[W_RUN],
		.schedule = w[W_SCHEDULE],
		.named = {w[W_RUN], w[W_DESTROY]},
		.drops = {w[W_RUN], w[W_DROP_FUTURE]},
		.size = layout->size,
	};
}

/* The closure's own pointer tells which executor; where it has none, nothing does. */
static uint8_t handle_word(const struct layout *layout)
{
	uint64_t size = layout->future - layout->schedule;

	if (size < sizeof(uint64_t) || size > HANDLE_MAX || layout->schedule & 7 ||
	    layout->schedule / 8 >= WIRE_HEADER_READ)
		return WIRE_NO_WORD;
	return layout->schedule / 8;
}

static void name_site(struct task_namer *namer, const struct found *f, size_t i,
		      const struct task_functions *functions, struct runtime_site *site)
{
	task_name_site(namer, functions, i, site);
	/* The pool's own scheduling closure captures nothing. */
	if (site->kind == SITE_TASK && f->layouts[i].schedule == f->layouts[i].future &&
	    async_task_is_pool(f->object, functions->schedule))
		site->kind = SITE_BLOCKING;
}

static void fill_sites(const struct found *f, struct task_namer *namer, struct runtime_found *out)
{
	struct task_functions *functions = xcalloc(f->count, sizeof(*functions));

	out->sites = xcalloc(f->count, sizeof(*out->sites));
	out->sites_count = f->count;
	for (size_t i = 0; i < f->count; i++)
		functions_of(&f->tables[i], &f->layouts[i], &functions[i]);
	task_namer_learn(namer, functions, f->count);
	for (size_t i = 0; i < f->count; i++) {
		struct runtime_site *site = &out->sites[i];

		site->vtable = f->tables[i].addr + f->object->bias;
		site->poll = vtable_function(f->object, f->tables[i].words[W_RUN]);
		site->dealloc = vtable_function(f->object, f->tables[i].words[W_DESTROY]);
		site->schedule = f->tables[i].words[W_SCHEDULE];
		site->id_word = WIRE_NO_WORD;
		site->sched_word = handle_word(&f->layouts[i]);
		site->vtable_word = f->header.vtable;
		site->state_word = f->header.state;
		site->size = site->allocated = f->layouts[i].size;
		name_site(namer, f, i, &functions[i], site);
		if (site->kind == SITE_BLOCKING && !out->pools[0])
			async_task_pool_places(f->object, site->schedule, out->pools);
	}
	free(functions);
}

static int name_sites(const struct found *f, struct runtime_found *out, struct err *err)
{
	struct task_namer_options options;
	struct task_namer *namer = NULL;
	int ret;

	task_namer_for(f->object, &async_task_dialect, &options);
	ret = task_namer_open(f->object->elf, &options, &namer, err);
	if (!ret) {
		fill_sites(f, namer, out);
		async_task_spawn_find(f->object, out);
	}
	task_namer_free(namer);
	elf_drop_symbols(f->object->elf);
	return ret;
}

/*
 * What the program itself would call its runtime: the first crate that left traces. Threads of their
 * global executors have these names ("async-std/runtime", cut), unless the program says otherwise.
 */
static const struct {
	const char *crate, *name, *workers;
} shown[] = {
	{"async-std", "async-std", "async-std/runti"},
	{"smol", "smol", "smol-"},
	{"async-global-executor", "async-global-executor", "async-global-ex"},
	{"async-executor", "async-executor", NULL},
	{"async-task", "async-task", NULL},
};

static int name_runtime(const struct elf_file *elf, struct runtime_found *out)
{
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		struct elf_crate crate;
		int ret = elf_find_crate(elf, shown[i].crate, &crate);

		if (ret)
			return ret;
		if (!crate.present)
			continue;
		snprintf(out->name, sizeof(out->name), "%s", shown[i].name);
		snprintf(out->version, sizeof(out->version), "%s", crate.version);
		return 0;
	}
	return -ENOENT;
}

static int detect(struct object *object, struct runtime_found *out, struct err *err)
{
	struct found f = {.object = object};
	struct elf_crate crate = {0};
	int ret;

	memset(out, 0, sizeof(*out));
	out->ops = &async_task_runtime;
	/* The shape alone could be met by chance; with the crate's traces beside it, it never was. */
	ret = elf_find_crate(object->elf, "async-task", &crate);
	if (!ret && !crate.present)
		ret = elf_find_crate(object->elf, "async-executor", &crate);
	if (ret || !crate.present)
		return ret ? ret : -ENOENT;
	ret = find_tables(&f, &shape);
	if (!ret && !f.count) {
		found_clear(&f);
		ret = find_tables(&f, &old_shape);
	}
	if (!ret && !f.count)
		ret = -EAGAIN;
	if (!ret)
		ret = name_runtime(object->elf, out);
	if (!ret)
		ret = name_sites(&f, out, err);
	found_clear(&f);
	return ret;
}

static void state(uint64_t word, struct runtime_state *out)
{
	bool closed = word & ASYNC_TASK_CLOSED, completed = word & ASYNC_TASK_COMPLETED;

	*out = (struct runtime_state){
		.running = wire_running(WIRE_ASYNC_TASK, word),
		.complete = completed,
		.cancelled = closed && !completed,
		/* Completed and closed: the output was taken. */
		.has_handle = (word & ASYNC_TASK_HANDLE) && !(completed && closed),
		.refs = word >> ASYNC_TASK_REF_SHIFT,
	};
	out->ready = (word & ASYNC_TASK_SCHEDULED) && !out->running && !completed && !closed;
}

static const char *worker_names(const struct runtime_found *found)
{
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if (!strcmp(shown[i].name, found->name))
			return shown[i].workers;
	return NULL;
}

const struct runtime_ops async_task_runtime = {
	.name = "async-task",
	.wanted = "smol, async-std and others on async-task 4",
	.family = WIRE_ASYNC_TASK,
	.wakes_handed_over = true,
	.detect = detect,
	.state = state,
	.worker_names = worker_names,
	.queues = &async_task_queues,
	.channels = &async_channels,
};

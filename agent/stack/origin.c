// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whose code a frame is: tables, best first; see origin.h. */
#include "stack/origin.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "util/syscall.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/*
 * Where a runtime enters the task. The frames between the two of one poll differ by version and
 * inlining, so several are marked; the innermost one is the border.
 */
static const char *const boundaries[] = {
	"tokio::runtime::task::raw::poll",
	"tokio::runtime::task::harness::Harness",
	"tokio::runtime::task::harness::poll",
	"tokio::runtime::task::core::Core",
	"async_task::raw::RawTask",
};

/* A name that ends in '*' stands for all that begin like it. */
static const struct {
	const char *crate;
	enum frame_origin origin;
} crates[] = {
	{"std", FRAME_STD},
	{"core", FRAME_STD},
	{"alloc", FRAME_STD},
	{"proc_macro", FRAME_STD},
	{"compiler_builtins", FRAME_STD},
	{"backtrace_rs", FRAME_STD},
	{"panic_unwind", FRAME_STD},
	{"panic_abort", FRAME_STD},
	{"__rust_*", FRAME_STD},
	{"__rustc*", FRAME_STD},
	{"__rdl_*", FRAME_STD},
	{"rust_begin_unwind", FRAME_STD},
	{"rust_panic*", FRAME_STD},
	{"rust_eh_personality", FRAME_STD},
	{"lang_start*", FRAME_STD},

	{"tokio", FRAME_RUNTIME},
	{"tokio_util", FRAME_RUNTIME},
	{"tokio_stream", FRAME_RUNTIME},
	{"async_task", FRAME_RUNTIME},
	{"async_executor", FRAME_RUNTIME},
	{"async_global_executor", FRAME_RUNTIME},
	{"async_std", FRAME_RUNTIME},
	{"async_io", FRAME_RUNTIME},
	{"async_channel", FRAME_RUNTIME},
	{"async_lock", FRAME_RUNTIME},
	{"async_fs", FRAME_RUNTIME},
	{"async_net", FRAME_RUNTIME},
	{"async_process", FRAME_RUNTIME},
	{"async_signal", FRAME_RUNTIME},
	{"smol", FRAME_RUNTIME},
	{"blocking", FRAME_RUNTIME},
	{"futures", FRAME_RUNTIME},
	{"futures_*", FRAME_RUNTIME},
	{"pin_project*", FRAME_RUNTIME},

	{"parking", FRAME_LIBRARY},
	{"parking_lot*", FRAME_LIBRARY},
	{"lock_api", FRAME_LIBRARY},
	{"crossbeam*", FRAME_LIBRARY},
	{"mio", FRAME_LIBRARY},
	{"socket2", FRAME_LIBRARY},
	{"polling", FRAME_LIBRARY},
	{"event_listener*", FRAME_LIBRARY},
	{"concurrent_queue", FRAME_LIBRARY},
	{"once_cell", FRAME_LIBRARY},
	{"hyper", FRAME_LIBRARY},
	{"hyper_*", FRAME_LIBRARY},
	{"h2", FRAME_LIBRARY},
	{"http", FRAME_LIBRARY},
	{"httparse", FRAME_LIBRARY},
	{"axum*", FRAME_LIBRARY},
	{"tower*", FRAME_LIBRARY},
	{"tonic*", FRAME_LIBRARY},
	{"reqwest", FRAME_LIBRARY},
	{"ureq*", FRAME_LIBRARY},
	{"rustls*", FRAME_LIBRARY},
	{"native_tls", FRAME_LIBRARY},
	{"openssl*", FRAME_LIBRARY},
	{"ring", FRAME_LIBRARY},
	{"rusqlite", FRAME_LIBRARY},
	{"libsqlite3_sys", FRAME_LIBRARY},
	{"sqlx*", FRAME_LIBRARY},
	{"diesel*", FRAME_LIBRARY},
	{"postgres*", FRAME_LIBRARY},
	{"redis", FRAME_LIBRARY},
	{"serde*", FRAME_LIBRARY},
	{"bytes", FRAME_LIBRARY},
	{"hashbrown", FRAME_LIBRARY},
	{"rayon*", FRAME_LIBRARY},
	{"tracing*", FRAME_LIBRARY},
	{"log", FRAME_LIBRARY},
	{"regex*", FRAME_LIBRARY},
	{"memchr", FRAME_LIBRARY},
	{"rand*", FRAME_LIBRARY},
	{"chrono", FRAME_LIBRARY},
	{"anyhow", FRAME_LIBRARY},
	{"flume", FRAME_LIBRARY},
	{"dashmap", FRAME_LIBRARY},
	{"pyo3*", FRAME_LIBRARY},
	{"Py*", FRAME_LIBRARY}, /* the interpreter, when it is the main program */
	{"_Py*", FRAME_LIBRARY},
	{"libloading", FRAME_LIBRARY},
	{"addr2line", FRAME_STD},
	{"gimli", FRAME_STD},
	{"rustc_demangle", FRAME_STD},
};

/* Names of the C runtime's own start code, which is linked into every program. */
static const char *const system_functions[] = {
	"_start", "_init", "_fini", "__libc_start_main", "__libc_csu_init", "frame_dummy",
};

static const char *const system_binaries[] = {
	"libc.so.",  "libc-2.",	   "libpthread",  "ld-linux",	"ld-2.",     "libm.so.",
	"libdl.so.", "librt.so.",  "libgcc_s.so", "ld-musl",	"libc.musl", "libresolv.so",
	"libnss_",   "libanl.so.", "libstdc++",	  "libutil.so", "[vdso]",
};

static const struct {
	const char *part;
	enum frame_origin origin;
} folders[] = {
	{"/.cargo/registry/", FRAME_LIBRARY}, {"/registry/src/", FRAME_LIBRARY},
	{"/git/checkouts/", FRAME_LIBRARY},   {"/rustc/", FRAME_STD},
	{"/rustlib/src/rust/", FRAME_STD},
};

static bool starts(const char *text, const char *head)
{
	return strncmp(text, head, strlen(head)) == 0;
}

static bool starts_with_any(const char *text, const char *const *heads, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (starts(text, heads[i]))
			return true;
	return false;
}

static bool ident(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static size_t ident_length(const char *at)
{
	size_t len = 0;

	while (ident(at[len]))
		len++;
	return len;
}

/* Past what stands before the path of a type: references, pointers, "dyn", slices, tuples. */
static const char *skip_sigils(const char *at)
{
	static const char *const words[] = {"mut ", "const ", "dyn "};

	for (;;) {
		size_t i = 0;

		while (*at && strchr("<&*([ ", *at))
			at++;
		while (i < COUNT(words) && !starts(at, words[i]))
			i++;
		if (i == COUNT(words))
			return at;
		at += strlen(words[i]);
	}
}

/* The trait's path in "<T as Trait>", outside nested brackets; NULL: none. */
static const char *trait_of(const char *function)
{
	int depth = 0;

	for (const char *p = function; *p; p++) {
		if (*p == '-' && p[1] == '>')
			p++;
		else if (strchr("<([", *p))
			depth++;
		else if (strchr(">)]", *p) && --depth <= 0)
			return NULL;
		else if (depth == 1 && starts(p, " as "))
			return p + 4;
	}
	return NULL;
}

size_t origin_crate(const char *function, const char **start)
{
	const char *at = skip_sigils(function), *trait;
	size_t len = ident_length(at);

	/* "<&str as ..>", "<F as ..>": a type without a path says nothing of a crate. */
	if (function[0] == '<' && !starts(at + len, "::")) {
		trait = trait_of(function);
		if (trait) {
			at = skip_sigils(trait);
			len = ident_length(at);
		}
	}
	*start = at;
	return len;
}

static bool crate_matches(const char *pattern, const char *crate, size_t len)
{
	size_t want = strlen(pattern);

	if (pattern[want - 1] == '*')
		return len >= want - 1 && memcmp(crate, pattern, want - 1) == 0;
	return len == want && memcmp(crate, pattern, want) == 0;
}

static enum frame_origin by_crate(const char *function)
{
	const char *crate;
	size_t len = origin_crate(function, &crate);

	for (size_t i = 0; i < COUNT(crates); i++)
		if (crate_matches(crates[i].crate, crate, len))
			return crates[i].origin;
	return FRAME_UNKNOWN;
}

static enum frame_origin by_folder(const char *file)
{
	for (size_t i = 0; file && i < COUNT(folders); i++)
		if (strstr(file, folders[i].part))
			return folders[i].origin;
	return FRAME_UNKNOWN;
}

static bool is_system_binary(const char *binary)
{
	const char *slash = binary ? strrchr(binary, '/') : NULL;

	return binary &&
	       starts_with_any(slash ? slash + 1 : binary, system_binaries, COUNT(system_binaries));
}

enum frame_origin origin_find(const struct origin_of *of)
{
	enum frame_origin origin;

	if (is_system_binary(of->binary))
		return FRAME_SYSTEM;
	if (!of->function)
		return FRAME_UNKNOWN;
	if (starts_with_any(skip_sigils(of->function), boundaries, COUNT(boundaries)))
		return FRAME_BOUNDARY;
	origin = by_crate(of->function);
	if (origin == FRAME_UNKNOWN)
		origin = by_folder(of->file);
	if (origin != FRAME_UNKNOWN)
		return origin;
	for (size_t i = 0; i < COUNT(system_functions); i++)
		if (strcmp(of->function, system_functions[i]) == 0)
			return FRAME_SYSTEM;
	return of->main || of->rust ? FRAME_USER : FRAME_LIBRARY;
}

bool origin_is_std(const char *function)
{
	return by_crate(function) == FRAME_STD;
}

/* The folder of a crate within which its sources lie, of the two kinds that are known by path. */
static const char *crate_folder(const char *file)
{
	const char *at = strstr(file, "/library/");

	if (at)
		return at + strlen("/library/");
	at = strstr(file, "/registry/src/");
	at = at ? strchr(at + strlen("/registry/src/"), '/') : NULL;
	return at ? at + 1 : NULL;
}

/* Up to a version: "parking_lot-0.12.3". */
static size_t crate_length(const char *folder, const char *end)
{
	const char *at = folder;

	while (at < end && !(*at == '-' && isdigit((unsigned char)at[1])))
		at++;
	return at - folder;
}

enum frame_origin origin_of_file(const char *file)
{
	const char *crate = crate_folder(file), *end = crate ? strchr(crate, '/') : NULL;
	enum frame_origin origin = FRAME_UNKNOWN;
	char name[64];
	size_t len;

	len = end ? crate_length(crate, end) : 0;
	if (len && len < sizeof(name)) {
		for (size_t i = 0; i < len; i++)
			name[i] = crate[i] == '-' ? '_' : crate[i];
		name[len] = '\0';
		origin = by_crate(name);
	}
	if (origin == FRAME_UNKNOWN)
		origin = by_folder(file);
	return origin == FRAME_UNKNOWN ? FRAME_USER : origin;
}

bool origin_path(const char *file, const char *name, char *out, size_t size)
{
	static const char *const roots[] = {"lib", "mod", "main"};
	const char *crate = file ? crate_folder(file) : NULL;
	const char *src = crate ? strstr(crate, "/src/") : NULL;
	const char *end = src ? strrchr(src, '.') : NULL;
	size_t len;

	if (!end || strcmp(end, ".rs") != 0)
		return false;
	len = crate_length(crate, src);
	if (len + 2 * (size_t)(end - src) + strlen(name) + 4 > size)
		return false;
	for (size_t i = 0; i < len; i++)
		out[i] = crate[i] == '-' ? '_' : crate[i];
	for (src += strlen("/src/"); src < end;) {
		size_t part = strcspn(src, "/.");
		bool root = false;

		for (size_t i = 0; i < COUNT(roots); i++)
			root |= src + part == end && part == strlen(roots[i]) &&
				memcmp(src, roots[i], part) == 0;
		if (!root)
			len += snprintf(out + len, size - len, "::%.*s", (int)part, src);
		src += part + 1;
	}
	snprintf(out + len, size - len, "::%s", name);
	return true;
}

/* A name that the linker gave: line tables shorten those of inlined functions. */
static bool is_c_name(const struct frame *f)
{
	return f->function && !f->inlined &&
	       (f->from == FRAME_FROM_SYMBOL || f->from == FRAME_FROM_DYNSYM) &&
	       !strstr(f->function, "::");
}

/* What the C library's own functions below a system call are called, but for those named as it is. */
static const char *const libc_names[] = {
	"pthread_", "__pthread_", "__lll_",	  "__futex_",
	"__nptl_",  "__libc_",	  "__syscall_cp", "__timedwait",
};

static bool is_libc_name(const char *function)
{
	const char *bare = function + strspn(function, "_");

	return !strcmp(function, "syscall") || syscall_number(bare) >= 0 ||
	       starts_with_any(function, libc_names, COUNT(libc_names));
}

/* Innermost, where the thread waits in the kernel, is the C library, however it was linked. */
static void settle_innermost(struct frame *frames, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct frame *f = &frames[i];

		if (f->origin == FRAME_USER && is_c_name(f) && is_libc_name(f->function))
			f->origin = FRAME_SYSTEM;
		else if (f->origin != FRAME_SYSTEM)
			return;
	}
}

void origin_settle(struct frame *frames, uint32_t count)
{
	enum frame_origin caller = FRAME_USER;

	settle_innermost(frames, count);
	for (uint32_t i = count; i-- > 0;) {
		struct frame *f = &frames[i];

		if (f->origin == FRAME_USER && is_c_name(f)) {
			if (caller == FRAME_STD)
				f->origin = FRAME_SYSTEM;
			else if (caller == FRAME_LIBRARY)
				f->origin = FRAME_LIBRARY;
		}
		if (f->origin != FRAME_SYSTEM)
			caller = f->origin;
	}
}

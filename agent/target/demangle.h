/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rust symbol names: from mangled to readable. Three steps, each usable alone; all text is
 * untrusted, all output is bounded and NUL-terminated. Nothing here sanitises: that is the last
 * step before a terminal (util/sanitize.h).
 *
 *   demangle       _ZN4nine7handler28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE
 *                  -> nine::handler::{{closure}}         legacy and v0; the hash is dropped
 *   name_readable  -> nine::handler                      and what it is: NAME_ASYNC
 *   name_shorten   -> as many columns as there are
 *
 * Rules of name_readable, with "future" when the type is known to be a future:
 *   shop::handler::{{closure}}                      shop::handler                     async
 *   shop::handler::{closure#0}                      shop::handler                     async
 *   shop::handler::{async_fn_env#0}                 shop::handler                     async fn
 *   shop::spawn::{async_block_env#1}                shop::spawn::{async block#1}      async block
 *   shop::main::{{closure}}::{{closure}}            shop::main::{async block}         async block
 *   shop::main::{closure#0}::{closure#2}            shop::main::{async block#2}       async block
 *   shop::load::{closure_env#0}                     shop::load                        closure
 *   shop::load::{{closure}}      (not a future)     shop::load                        closure
 *   shop::{impl#2}::run::{async_fn_env#0}           shop::<impl>::run                 async fn
 *   <shop::A>::run::{closure#0}                     shop::A::run                      async
 *   <shop::A as shop::Job>::run::{closure#0}        <shop::A as shop::Job>::run       async
 *   shop::work::<shop::A>::{closure#0}              shop::work<shop::A>               async
 *   shop::work::{async_fn_env#0}<shop::A>           shop::work<shop::A>               async fn
 *   core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future<Output = ()> + Send>>
 *                                                   Pin<Box<dyn Future<Output = ()> + Send>>
 * A closure directly below its function is the function itself (an async fn's body is one);
 * deeper ones are named, so that two blocks of one function differ where the symbol says which.
 * Paths in core, alloc and std lose their modules; all others stay whole.
 */
#ifndef TARGET_DEMANGLE_H
#define TARGET_DEMANGLE_H

#include <stdbool.h>
#include <stddef.h>

#define DEMANGLE_MAX 4096 /* bytes of output with the NUL; longer names are cut */

enum name_form {
	NAME_OTHER, /* a named type or function */
	NAME_ASYNC, /* async fn or async block: the symbol does not say which */
	NAME_ASYNC_FN,
	NAME_ASYNC_BLOCK,
	NAME_CLOSURE,
};

/* True for a symbol that demangle() would take, by its first bytes alone. */
bool demangle_is_rust(const char *mangled);

/*
 * Demangles into out; 0, -EINVAL when it is no Rust symbol (out is then "").
 * A name that needs more than size bytes, or too much work, is cut: -E2BIG, out holds the start.
 */
int demangle(const char *mangled, char *out, size_t size);

/* Makes a demangled path or type readable by the rules above. */
enum name_form name_readable(const char *demangled, bool future, char *out, size_t size);

/*
 * Fits a readable name into `columns` characters: first generic arguments lose their paths, then
 * they become "<..>", then leading path components go ("..::pool::handler"), at last the head is
 * cut; the tail is what tells names apart. Returns the length in bytes.
 */
size_t name_shorten(const char *name, size_t columns, char *out, size_t size);

/* "async fn", "async block", "async", "closure", "". */
const char *name_form_text(enum name_form form);

#endif

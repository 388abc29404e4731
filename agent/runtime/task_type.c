// SPDX-License-Identifier: LGPL-2.1-or-later
/* Types as demangled text: arguments, and which future is inside the wrappers that everybody uses. */
#include <stdio.h>
#include <string.h>

#include "runtime/task_name_impl.h"
#include "util/xalloc.h"

#define MAX_WRAPPERS 8 /* levels taken off */

/* Head of the type, and which generic argument is the wrapped future. */
static const struct {
	const char *head;
	unsigned int arg;
} wrappers[] = {
	{"tracing::instrument::Instrumented", 0},
	{"tracing::instrument::WithDispatch", 0},
	{"tracing_futures::Instrumented", 0},
	{"tokio::task::unconstrained::Unconstrained", 0},
	{"tokio::task::coop::unconstrained::Unconstrained", 0},
	{"tokio::task::coop::Unconstrained", 0},
	{"tokio::task::coop::Coop", 0},
	{"tokio::task::task_local::TaskLocalFuture", 1},
	{"tokio::time::timeout::Timeout", 0},
	{"tokio::runtime::task::trace::Root", 0},
	{"tokio_util::task::task_tracker::TrackedFuture", 0},
	{"tokio_util::sync::cancellation_token::WithCancellationTokenFuture", 0},
	{"tokio_util::sync::cancellation_token::WithCancellationTokenFutureOwned", 0},
	{"futures_util::abortable::Abortable", 0},
	{"futures_util::future::abortable::Abortable", 0},
	{"futures_util::future::future::Map", 0},
	{"futures_util::future::future::map::Map", 0},
	{"futures_util::future::future::MapInto", 0},
	{"futures_util::future::future::Then", 0},
	{"futures_util::future::future::Inspect", 0},
	{"futures_util::future::future::Flatten", 0},
	{"futures_util::future::future::fuse::Fuse", 0},
	{"futures_util::future::future::shared::Shared", 0},
	{"futures_util::future::future::catch_unwind::CatchUnwind", 0},
	{"futures_util::future::future::remote_handle::Remote", 0},
	{"futures_util::future::try_future::MapErr", 0},
	{"futures_util::future::try_future::MapOk", 0},
	{"futures_util::future::try_future::AndThen", 0},
	{"futures_util::future::try_future::OrElse", 0},
	{"futures_util::future::try_future::UnwrapOrElse", 0},
	{"futures_util::future::try_future::into_future::IntoFuture", 0},
	{"futures_util::future::maybe_done::MaybeDone", 0},
	{"async_compat::Compat", 0},
	{"opentelemetry::context::future_ext::WithContext", 0},
	{"opentelemetry::trace::context::WithContext", 0},
	{"sentry_core::futures::SentryFuture", 0},
	{"core::panic::unwind_safe::AssertUnwindSafe", 0},
	{"async_executor::AsyncCallOnDrop", 0},
	{"async_executor::Executor::spawn", 1},
	{"async_executor::Executor::spawn_inner", 1},
	{"async_std::task::builder::SupportTaskLocals", 0},
	{"async_std::task::spawn_local", 0},
	{"core::pin::Pin", 0},
	{"alloc::boxed::Box", 0},
};

bool span_find(struct text_span s, const char *text)
{
	return memmem(s.at, (size_t)(s.end - s.at), text, strlen(text)) != NULL;
}

static struct text_span trim(struct text_span s)
{
	while (s.at < s.end && *s.at == ' ')
		s.at++;
	while (s.end > s.at && s.end[-1] == ' ')
		s.end--;
	return s;
}

/* Past one piece of a list: the comma or closing bracket at depth 0, NULL when there is none. */
static const char *piece_end(const char *p, const char *end)
{
	int depth = 0;

	for (; p < end; p++) {
		if (*p == '-' && p + 1 < end && p[1] == '>')
			p++;
		else if (strchr("<([{", *p))
			depth++;
		else if (strchr(">)]}", *p) && depth-- == 0)
			return p;
		else if (*p == ',' && depth == 0)
			return p;
	}
	return NULL;
}

struct text_span type_arg(const char *args, const char *end, unsigned int n)
{
	struct text_span s = {args + 1, args + 1};

	for (;;) {
		const char *stop = piece_end(s.at, end);

		if (!stop)
			return (struct text_span){args, args};
		s.end = stop;
		if (n-- == 0)
			return trim(s);
		if (*stop != ',')
			return (struct text_span){args, args};
		s.at = stop + 1;
	}
}

const char *type_args(struct text_span type, const char *head)
{
	size_t len = strlen(head), have = (size_t)(type.end - type.at);
	const char *p = type.at + len;

	if (have < len || memcmp(type.at, head, len) != 0)
		return NULL;
	if (type.end - p > 2 && memcmp(p, "::<", 3) == 0)
		p += 2;
	return p < type.end && *p == '<' ? p : NULL;
}

static struct text_span unwrap_once(struct text_span type)
{
	for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++) {
		const char *args = type_args(type, wrappers[i].head);
		struct text_span inner;

		if (!args)
			continue;
		inner = type_arg(args, type.end, wrappers[i].arg);
		return inner.at < inner.end ? inner : type;
	}
	return type;
}

/* A box of "dyn Future" or a reference names nothing: there the outer type is the better name. */
static bool is_opaque(struct text_span s)
{
	static const char *const starts[] = {"dyn ", "(dyn ", "&"};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		size_t len = strlen(starts[i]);

		if ((size_t)(s.end - s.at) > len && memcmp(s.at, starts[i], len) == 0)
			return true;
	}
	return false;
}

static bool is_box(struct text_span s)
{
	return type_args(s, "core::pin::Pin") || type_args(s, "alloc::boxed::Box");
}

struct text_span task_unwrap(struct text_span type)
{
	struct text_span shown = type, at = type;

	for (unsigned int i = 0; i < MAX_WRAPPERS; i++) {
		struct text_span inner = unwrap_once(at);

		if ((inner.at == at.at && inner.end == at.end) || is_opaque(inner))
			break;
		/* Pin<Box<..>> is shown as a whole, unless something with a name is inside. */
		if (!is_box(at) || !is_box(inner))
			shown = inner;
		at = inner;
	}
	return shown;
}

void evidence_add(struct evidence *e, const char *future, size_t future_len, const char *scheduler,
		  size_t scheduler_len, unsigned int vote)
{
	for (size_t i = 0; i < e->n; i++) {
		struct candidate *c = &e->list[i];

		if (strlen(c->future) != future_len || memcmp(c->future, future, future_len) != 0)
			continue;
		if (c->scheduler && scheduler &&
		    (strlen(c->scheduler) != scheduler_len ||
		     memcmp(c->scheduler, scheduler, scheduler_len) != 0))
			continue;
		c->votes |= vote;
		if (!c->scheduler && scheduler)
			c->scheduler = xstrndup(scheduler, scheduler_len);
		return;
	}
	if (e->n == EVIDENCE_MAX)
		return;
	e->list[e->n++] = (struct candidate){
		.future = xstrndup(future, future_len),
		.scheduler = scheduler ? xstrndup(scheduler, scheduler_len) : NULL,
		.votes = vote,
	};
}

void evidence_add_args(struct evidence *e, const char *args, int future_arg, int scheduler_arg,
		       unsigned int vote)
{
	const char *end = args + strlen(args);
	struct text_span f = type_arg(args, end, (unsigned int)future_arg), s = {args, args};

	if (f.at == f.end)
		return;
	if (scheduler_arg != TASK_NO_ARG)
		s = type_arg(args, end, (unsigned int)scheduler_arg);
	evidence_add(e, f.at, (size_t)(f.end - f.at), s.at < s.end ? s.at : NULL,
		     (size_t)(s.end - s.at), vote);
}

void evidence_clear(struct evidence *e)
{
	for (size_t i = 0; i < e->n; i++) {
		free(e->list[i].future);
		free(e->list[i].scheduler);
	}
	e->n = 0;
}

bool task_name_ends(const char *name, const char *tail)
{
	size_t len = strlen(name), want = strlen(tail);

	return len >= want && strcmp(name + len - want, tail) == 0;
}

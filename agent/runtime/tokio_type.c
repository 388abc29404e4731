// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Future and scheduler types as demangled text: what kind of task, which scheduler, and which
 * future inside the wrappers that everybody uses.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/tokio_name_impl.h"
#include "util/xalloc.h"

#define MAX_WRAPPERS 8	/* levels taken off */
#define BLOCKING_GAP 16 /* id_offset - scheduler_offset with a BlockingSchedule */

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
	{"core::pin::Pin", 0},
	{"alloc::boxed::Box", 0},
};

static const struct {
	const char *part;
	enum runtime_flavor flavor;
} flavors[] = {
	{"scheduler::multi_thread", FLAVOR_MULTI_THREAD},
	{"thread_pool", FLAVOR_MULTI_THREAD},
	{"scheduler::current_thread", FLAVOR_CURRENT_THREAD},
	{"basic_scheduler", FLAVOR_CURRENT_THREAD},
	{"task::local::", FLAVOR_LOCAL},
};

bool tokio_is_blocking(const struct tokio_vtable_words *w)
{
	return w->id_offset - w->scheduler_offset == BLOCKING_GAP;
}

enum runtime_flavor tokio_flavor_of_type(const char *scheduler)
{
	for (size_t i = 0; scheduler && i < sizeof(flavors) / sizeof(flavors[0]); i++)
		if (strstr(scheduler, flavors[i].part))
			return flavors[i].flavor;
	return FLAVOR_UNKNOWN;
}

static bool span_find(struct tokio_span s, const char *text)
{
	return memmem(s.at, (size_t)(s.end - s.at), text, strlen(text)) != NULL;
}

static struct tokio_span trim(struct tokio_span s)
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

/* The n-th argument of the list that opens with the "<" at args; empty when there is none. */
static struct tokio_span argument(const char *args, const char *end, unsigned int n)
{
	struct tokio_span s = {args + 1, args + 1};

	for (;;) {
		const char *stop = piece_end(s.at, end);

		if (!stop)
			return (struct tokio_span){args, args};
		s.end = stop;
		if (n-- == 0)
			return trim(s);
		if (*stop != ',')
			return (struct tokio_span){args, args};
		s.at = stop + 1;
	}
}

/* The "<" after a type's head; v0 may write "::<". NULL when the head is another. */
static const char *args_after(struct tokio_span type, const char *head)
{
	size_t len = strlen(head), have = (size_t)(type.end - type.at);
	const char *p = type.at + len;

	if (have < len || memcmp(type.at, head, len) != 0)
		return NULL;
	if (type.end - p > 2 && memcmp(p, "::<", 3) == 0)
		p += 2;
	return p < type.end && *p == '<' ? p : NULL;
}

static struct tokio_span unwrap_once(struct tokio_span type)
{
	for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++) {
		const char *args = args_after(type, wrappers[i].head);
		struct tokio_span inner;

		if (!args)
			continue;
		inner = argument(args, type.end, wrappers[i].arg);
		return inner.at < inner.end ? inner : type;
	}
	return type;
}

/* A box of "dyn Future" or a reference names nothing: there the outer type is the better name. */
static bool is_opaque(struct tokio_span s)
{
	static const char *const starts[] = {"dyn ", "(dyn ", "&"};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		size_t len = strlen(starts[i]);

		if ((size_t)(s.end - s.at) > len && memcmp(s.at, starts[i], len) == 0)
			return true;
	}
	return false;
}

static bool is_box(struct tokio_span s)
{
	return args_after(s, "core::pin::Pin") || args_after(s, "alloc::boxed::Box");
}

struct tokio_span tokio_unwrap(struct tokio_span type)
{
	struct tokio_span shown = type, at = type;

	for (unsigned int i = 0; i < MAX_WRAPPERS; i++) {
		struct tokio_span inner = unwrap_once(at);

		if ((inner.at == at.at && inner.end == at.end) || is_opaque(inner))
			break;
		/* Pin<Box<..>> is shown as a whole, unless something with a name is inside. */
		if (!is_box(at) || !is_box(inner))
			shown = inner;
		at = inner;
	}
	return shown;
}

enum site_kind tokio_kind_of_type(const char *future, struct tokio_span *inner)
{
	struct tokio_span whole = {future, future + strlen(future)};
	/* With tokio_unstable and tracing the pool's work is wrapped like any other. */
	struct tokio_span type = tokio_unwrap(whole);
	const char *args = args_after(type, "tokio::runtime::blocking::task::BlockingTask");

	*inner = whole;
	if (!args)
		return SITE_TASK;
	*inner = argument(args, type.end, 0);
	if (inner->at == inner->end)
		*inner = type;
	/* Launch::launch, and what block_in_place puts in the place of a worker it takes away. */
	return span_find(*inner, "::multi_thread::worker::") ? SITE_WORKER : SITE_BLOCKING;
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

void evidence_add_args(struct evidence *e, const char *args, bool has_scheduler, unsigned int vote)
{
	const char *end = args + strlen(args);
	struct tokio_span f = argument(args, end, 0), s = {args, args};

	if (f.at == f.end)
		return;
	if (has_scheduler)
		s = argument(args, end, 1);
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

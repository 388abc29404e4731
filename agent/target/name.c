// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Demangled Rust text made readable. The text is cut into paths; a path is cut into components,
 * each with its generic arguments; all of them are spans of the input and nothing is allocated.
 * Whatever the grammar below does not know is copied as it is.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "target/demangle.h"

#define MAX_PARTS 48 /* components of one path; more are copied unread */
#define MAX_DEPTH 24 /* nested generics; deeper ones are copied unread */

struct text {
	char *buf;
	size_t size, len;
};

struct span {
	const char *at, *end;
};

struct part {
	struct span name; /* an identifier, "{...}", or "<...>" at the start of a path */
	struct span args; /* "<...>" or empty */
};

struct path {
	struct part parts[MAX_PARTS];
	size_t n;
};

static void put(struct text *t, const char *s, size_t len)
{
	size_t room = t->size - 1 - t->len;

	if (len > room)
		len = room;
	memcpy(t->buf + t->len, s, len);
	t->len += len;
	t->buf[t->len] = '\0';
}

static void puts_text(struct text *t, const char *s)
{
	put(t, s, strlen(s));
}

static size_t span_len(struct span s)
{
	return (size_t)(s.end - s.at);
}

static bool span_is(struct span s, const char *text)
{
	return span_len(s) == strlen(text) && memcmp(s.at, text, span_len(s)) == 0;
}

static bool span_starts(struct span s, const char *text)
{
	return span_len(s) >= strlen(text) && memcmp(s.at, text, strlen(text)) == 0;
}

static bool ident_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* Past the group that opens at `at` with <, (, [ or {; "->" closes nothing. */
static const char *group_end(const char *at, const char *end)
{
	int depth = 0;

	for (const char *p = at; p < end; p++) {
		if (*p == '-' && p + 1 < end && p[1] == '>')
			p++;
		else if (strchr("<([{", *p))
			depth++;
		else if (strchr(">)]}", *p) && --depth == 0)
			return p + 1;
	}
	return end;
}

static const char *read_part(const char *p, const char *end, struct part *part)
{
	part->name.at = p;
	if (*p == '{' || *p == '<')
		p = group_end(p, end);
	else
		while (p < end && ident_char(*p))
			p++;
	part->name.end = p;
	part->args = (struct span){p, p};
	if (end - p > 2 && memcmp(p, "::<", 3) == 0)
		p += 2;
	if (p < end && *p == '<' && *part->name.at != '<') {
		part->args.at = p;
		p = group_end(p, end);
		part->args.end = p;
	} else {
		p = part->name.end;
	}
	return p;
}

static bool starts_path(const char *p)
{
	return *p == '<' || *p == '{' || ident_char(*p);
}

static const char *read_path(const char *p, const char *end, struct path *path)
{
	path->n = 0;
	while (p < end && starts_path(p) && path->n < MAX_PARTS) {
		p = read_part(p, end, &path->parts[path->n++]);
		if (end - p < 3 || p[0] != ':' || p[1] != ':' || !starts_path(p + 2))
			break;
		p += 2;
	}
	return p;
}

/* Closures */

static const struct {
	const char *start;
	enum name_form form;
} closures[] = {
	{"{{closure}}", NAME_ASYNC},	       {"{closure#", NAME_ASYNC},
	{"{closure_env#", NAME_CLOSURE},       {"{async_fn_env#", NAME_ASYNC_FN},
	{"{async_fn#", NAME_ASYNC_FN},	       {"{async_block_env#", NAME_ASYNC_BLOCK},
	{"{async_block#", NAME_ASYNC_BLOCK},   {"{async_closure_env#", NAME_ASYNC_BLOCK},
	{"{async_closure#", NAME_ASYNC_BLOCK}, {"{async_closure_body#", NAME_ASYNC_BLOCK},
};

/* NAME_ASYNC stands for a closure that may be anything. */
static enum name_form closure_form(struct span s)
{
	for (size_t i = 0; i < sizeof(closures) / sizeof(closures[0]); i++)
		if (span_starts(s, closures[i].start))
			return closures[i].form;
	return NAME_OTHER;
}

static unsigned int closure_number(struct span s)
{
	const char *p = memchr(s.at, '#', span_len(s));
	unsigned int n = 0;

	for (p = p ? p + 1 : s.end; p < s.end && isdigit((unsigned char)*p) && n < 100000; p++)
		n = n * 10 + (unsigned int)(*p - '0');
	return n;
}

static void put_closure(struct text *t, enum name_form form, unsigned int number)
{
	char buf[48];
	const char *what = form == NAME_ASYNC_BLOCK ? "async block" :
			   form == NAME_ASYNC_FN    ? "async fn" :
						      "closure";

	if (number)
		snprintf(buf, sizeof(buf), "::{%s#%u}", what, number);
	else
		snprintf(buf, sizeof(buf), "::{%s}", what);
	puts_text(t, buf);
}

/* The form of a path's last closure, `first` when it hangs directly on a function. */
static enum name_form last_form(struct span s, bool first, bool future)
{
	enum name_form form = closure_form(s);

	if (form != NAME_ASYNC)
		return form;
	if (!future)
		return NAME_CLOSURE;
	/* The body of an async fn is its closure number 0: other ones are blocks. */
	return first && closure_number(s) == 0 ? NAME_ASYNC : NAME_ASYNC_BLOCK;
}

/* Rendering */

static void render(struct text *t, struct span in, unsigned int depth);

static const char *const std_crates[] = {"core", "alloc", "std"};

static bool is_std_type(const struct path *path, size_t n)
{
	if (n < 2 || *path->parts[n - 1].name.at < 'A' || *path->parts[n - 1].name.at > 'Z')
		return false;
	for (size_t i = 0; i < sizeof(std_crates) / sizeof(std_crates[0]); i++)
		if (span_is(path->parts[0].name, std_crates[i]))
			return true;
	return false;
}

static struct span trim(struct span s)
{
	while (s.at < s.end && *s.at == ' ')
		s.at++;
	while (s.end > s.at && s.end[-1] == ' ')
		s.end--;
	return s;
}

/* The end of the piece of a comma-separated list that starts at p. */
static const char *piece_end(const char *p, const char *end)
{
	while (p < end && *p != ',') {
		if (*p == '-' && p + 1 < end && p[1] == '>')
			p += 2;
		else
			p = strchr("<([{", *p) ? group_end(p, end) : p + 1;
	}
	return p < end ? p : end;
}

/* "<A, B>": DWARF names the allocator, symbols do not; it goes. */
static void render_args(struct text *t, struct span args, unsigned int depth)
{
	const char *p = args.at + 1, *end = args.end;
	bool first = true;

	if (span_len(args) < 2)
		return;
	if (end[-1] == '>')
		end--;
	puts_text(t, "<");
	while (p < end) {
		const char *stop = piece_end(p, end);
		struct span piece = trim((struct span){p, stop});

		if (first || !span_is(piece, "alloc::alloc::Global")) {
			puts_text(t, first ? "" : ", ");
			render(t, piece, depth + 1);
			first = false;
		}
		p = stop + 1;
	}
	puts_text(t, ">");
}

/* "<A>" of an inherent method is A; "<A as B>" stays. */
static void render_qualified(struct text *t, struct span s, unsigned int depth)
{
	struct span in = {s.at + 1, s.end > s.at + 1 && s.end[-1] == '>' ? s.end - 1 : s.end};
	const char *p = in.at;

	while (p < in.end && !(in.end - p > 4 && memcmp(p, " as ", 4) == 0))
		p = strchr("<([{", *p) ? group_end(p, in.end) : p + 1;
	if (p >= in.end) {
		render(t, in, depth + 1);
		return;
	}
	puts_text(t, "<");
	render(t, (struct span){in.at, p}, depth + 1);
	puts_text(t, " as ");
	render(t, (struct span){p + 4, in.end}, depth + 1);
	puts_text(t, ">");
}

static void render_part(struct text *t, const struct part *part, unsigned int depth)
{
	if (*part->name.at == '<')
		render_qualified(t, part->name, depth);
	else if (span_starts(part->name, "{impl#") || span_is(part->name, "{{impl}}"))
		puts_text(t, "<impl>");
	else
		put(t, part->name.at, span_len(part->name));
	render_args(t, part->args, depth);
}

/* The path without its closures; DWARF hangs the function's arguments on the last of them. */
static void render_function(struct text *t, const struct path *path, size_t n, unsigned int depth)
{
	size_t from = is_std_type(path, n) ? n - 1 : 0;

	for (size_t i = from; i < n; i++) {
		puts_text(t, i > from ? "::" : "");
		render_part(t, &path->parts[i], depth);
	}
	if (n < path->n && !span_len(path->parts[n - 1].args))
		render_args(t, path->parts[path->n - 1].args, depth);
}

static enum name_form render_path(struct text *t, const struct path *path, bool future,
				  unsigned int depth)
{
	size_t n = path->n, last = path->n - 1;
	enum name_form form;

	while (n > 0 && closure_form(path->parts[n - 1].name) != NAME_OTHER)
		n--;
	if (n == 0 || n == path->n) {
		render_function(t, path, path->n, depth);
		return NAME_OTHER;
	}
	render_function(t, path, n, depth);
	form = last_form(path->parts[last].name, last == n, future);
	for (size_t i = n; i < path->n; i++) {
		unsigned int number = closure_number(path->parts[i].name);
		enum name_form as = i == last ? form : closure_form(path->parts[i].name);

		if (i > n || number)
			put_closure(t, as, number);
	}
	return form;
}

static bool at_binding(const char *p, const char *end)
{
	if (p >= end || !isalpha((unsigned char)*p))
		return false;
	while (p < end && ident_char(*p))
		p++;
	return end - p > 3 && memcmp(p, " = ", 3) == 0;
}

/* Legacy symbols write Future<Output = T> as Future+Output = T, and all bounds without blanks. */
static const char *render_plus(struct text *t, const char *p, const char *end, unsigned int depth)
{
	const char *stop;

	p++;
	while (p < end && *p == ' ')
		p++;
	if (!at_binding(p, end)) {
		while (t->len && t->buf[t->len - 1] == ' ')
			t->len--;
		puts_text(t, " + ");
		return p;
	}
	stop = p;
	while (stop < end && *stop != '+' && *stop != ',')
		stop = strchr("<([{", *stop) ? group_end(stop, end) : stop + 1;
	puts_text(t, "<");
	render(t, (struct span){p, stop}, depth + 1);
	puts_text(t, ">");
	return stop;
}

static const char *render_other(struct text *t, const char *p, const char *end, unsigned int depth)
{
	const char *stop;

	if (*p == '+')
		return render_plus(t, p, end, depth);
	if (*p == '=' && t->len && t->buf[t->len - 1] != ' ') {
		puts_text(t, " = ");
		return p + 1;
	}
	if (*p == '-' && p + 1 < end && p[1] == '>') {
		puts_text(t, "->");
		return p + 2;
	}
	if (*p == '(' && end - p > 5 && memcmp(p + 1, "dyn ", 4) == 0) {
		stop = group_end(p, end);
		render(t, (struct span){p + 1, stop[-1] == ')' ? stop - 1 : stop}, depth + 1);
		return stop;
	}
	put(t, p, 1);
	return p + 1;
}

static void render(struct text *t, struct span in, unsigned int depth)
{
	const char *p = in.at;
	struct path path;

	if (depth > MAX_DEPTH) {
		put(t, in.at, span_len(in));
		return;
	}
	while (p < in.end) {
		if (!starts_path(p)) {
			p = render_other(t, p, in.end, depth);
			continue;
		}
		p = read_path(p, in.end, &path);
		render_path(t, &path, true, depth);
	}
}

enum name_form name_readable(const char *demangled, bool future, char *out, size_t size)
{
	struct span in = {demangled, demangled + strnlen(demangled, DEMANGLE_MAX)};
	struct text t = {out, size, 0};
	struct path path;

	if (!size)
		return NAME_OTHER;
	out[0] = '\0';
	if (in.at < in.end && starts_path(in.at) && read_path(in.at, in.end, &path) == in.end)
		return render_path(&t, &path, future, 0);
	render(&t, in, 0);
	return NAME_OTHER;
}

const char *name_form_text(enum name_form form)
{
	static const char *const texts[] = {
		[NAME_OTHER] = "",
		[NAME_ASYNC] = "async",
		[NAME_ASYNC_FN] = "async fn",
		[NAME_ASYNC_BLOCK] = "async block",
		[NAME_CLOSURE] = "closure",
	};

	return texts[form];
}

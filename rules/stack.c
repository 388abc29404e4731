// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which stack stands for a finding, what it calls, and which stacks are no fault. */
#include "rules/stack.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "rules/judge.h"
#include "rules/kinds.h"
#include "util/syscall.h"

#define PATH_SIZE 512

/* --- names ------------------------------------------------------------------------- */

struct path_out {
	char *s;
	size_t size, len;
};

static void put(struct path_out *out, char c)
{
	if (out->len + 1 < out->size)
		out->s[out->len++] = c;
}

/* The '>' that closes the '<' at `s`; the end of the text when there is none. "->" closes none. */
static const char *close_of(const char *s)
{
	int depth = 0;

	for (const char *p = s; *p; p++) {
		depth += *p == '<';
		depth -= *p == '>' && p > s && p[-1] != '-';
		if (!depth)
			return p;
	}
	return s + strlen(s);
}

/* Where the type in <type as trait> ends, from behind its '<'. */
static const char *type_end(const char *s, const char *end)
{
	for (const char *p = s; p < end; p++) {
		if (*p == '<')
			p = close_of(p);
		else if (!strncmp(p, " as ", 4))
			return p;
	}
	return end;
}

static bool starts_type(const char *s, const char *p)
{
	return p == s || strchr("<&( ", p[-1]);
}

/* Copies a path without generic arguments; a type in <> at its start stands for itself. */
static void put_path(struct path_out *out, const char *s, const char *end)
{
	const char *p = s;

	while (p < end) {
		const char *close = *p == '<' ? close_of(p) : NULL;

		if (!close) {
			put(out, *p++);
			continue;
		}
		if (starts_type(s, p)) {
			const char *type = p + 1;

			while (type < close && strchr("<& ", *type))
				type++;
			if (!strncmp(type, "mut ", 4))
				type += 4;
			put_path(out, type, type_end(type, close));
		} else if (out->len > 2 && !strncmp(out->s + out->len - 2, "::", 2)) {
			out->len -= 2; /* ::<T> */
		}
		p = close < end ? close + 1 : end;
	}
}

void function_path(const char *function, char *out, size_t size)
{
	struct path_out to = {.s = out, .size = size};

	put_path(&to, function, function + strlen(function));
	out[to.len] = '\0';
}

/* How much of the name the pattern covers; the name may go on behind a whole word. */
static bool glob_prefix(const char *pattern, const char *name)
{
	const char *star = NULL, *resume = name;

	for (;;) {
		if (*pattern == '*') {
			star = pattern++;
			resume = name;
		} else if (!*pattern && (star == pattern - 1 ||
					 !(isalnum((unsigned char)*name) || *name == '_') ||
					 pattern[-1] == ':')) {
			return true;
		} else if (*name && (*pattern == '?' || *pattern == *name)) {
			pattern++;
			name++;
		} else if (star && *resume) {
			pattern = star + 1;
			name = ++resume;
		} else {
			return false;
		}
	}
}

/* --- exempt frames ------------------------------------------------------------------ */

/* The pattern's last word, which must be in the name as it is: most names end here, cheaply. */
static const char *last_word(const char *pattern)
{
	const char *word = pattern + strlen(pattern);

	while (word > pattern && (isalnum((unsigned char)word[-1]) || word[-1] == '_'))
		word--;
	return word;
}

static bool name_matches(const char *pattern, const char *function)
{
	char path[PATH_SIZE];

	if (!strstr(function, last_word(pattern)))
		return false;
	function_path(function, path, sizeof(path));
	return glob_prefix(pattern, path);
}

static bool frame_exempt(const struct rule *rule, const struct frame *f)
{
	for (uint32_t i = 0; i < rule->exempt_frames_count; i++)
		if (f->function && name_matches(rule->exempt_frames[i], f->function))
			return true;
	return false;
}

/*
 * Frames around the culprit, outward to the thread's first: a worker that called such a function
 * has given its place to another thread, whatever runs below it. A call may be the culprit's own code,
 * inlined into such a function: it is looked for further in.
 */
static bool row_exempt(const struct rule *rule, const struct site_stack *row)
{
	uint32_t from = row->culprit > 0 && !rule->only_calls ? (uint32_t)row->culprit : 0;

	for (uint32_t i = from; rule->exempt_frames_count && i < row->frames_count; i++)
		if (frame_exempt(rule, &row->frames[i]))
			return true;
	return false;
}

static bool wants(const struct rule *rule, enum stack_kind kind)
{
	static const enum stack_want of[STACK_KINDS] = {
		[STACK_OFF_CPU] = STACK_WANT_OFF_CPU,
		[STACK_ON_CPU] = STACK_WANT_ON_CPU,
		[STACK_REFCOUNT] = STACK_WANT_REFCOUNT,
	};

	if (rule->stack == STACK_WANT_ANY)
		return kind <= STACK_ON_CPU;
	return rule->stack != STACK_WANT_NONE && rule->stack == of[kind];
}

bool stacks_exempt(const struct rule *rule, const struct site *site)
{
	bool any = false;

	if (!rule->exempt_frames_count || !site->stacks)
		return false;
	for (uint32_t i = 0; i < site->stacks->count; i++) {
		const struct site_stack *row = &site->stacks->list[i];

		if (!wants(rule, row->kind))
			continue;
		if (!row_exempt(rule, row))
			return false;
		any = true;
	}
	return any;
}

/* --- well-known calls ------------------------------------------------------------------ */

static const struct rule *calls_of(const struct rule *rule)
{
	return rule->calls_rule ? rule->calls_rule : rule;
}

/* The longest pattern says most. */
static const struct rule_call *call_of_frame(const struct rule *table, const char *path,
					     const struct rule_call *best)
{
	for (uint32_t i = 0; i < table->calls_count; i++) {
		const struct rule_call *call = &table->calls[i];

		if (call->name && (!best || strlen(call->name) > strlen(best->name)) &&
		    glob_prefix(call->name, path))
			best = call;
	}
	return best;
}

/* The outermost frame of the task's own poll: what lies further out is the runtime, or its caller. */
static int32_t poll_frames(const struct site_stack *row)
{
	for (uint32_t i = 0; i < row->frames_count; i++)
		if (row->frames[i].origin == FRAME_BOUNDARY)
			return (int32_t)i;
	return row->culprit;
}

/* Whether the call enters the executor of a runtime that is not of this kind (NULL: of any). */
static bool is_foreign(const struct rule_call *call, const char *kind)
{
	size_t len = kind ? strlen(kind) : 0;

	for (const char *at = call->runtimes; at; at = strchr(at, ' ')) {
		at += *at == ' ';
		if (len && strncmp(at, kind, len) == 0 && (at[len] == ' ' || !at[len]))
			return false;
	}
	return call->runtimes;
}

/*
 * An executor that a poll runs is found further out than what its future does: in all of the poll.
 * `kind` is that of the task's own runtime; NULL not known.
 */
static bool row_in_call(const struct rule *rule, const struct site_stack *row, const char *kind)
{
	int32_t last = poll_frames(row);

	for (int32_t i = 0; i <= last && i < (int32_t)row->frames_count; i++) {
		const struct rule_call *call;
		char path[PATH_SIZE];

		if (!row->frames[i].function)
			continue;
		function_path(row->frames[i].function, path, sizeof(path));
		call = call_of_frame(calls_of(rule), path, NULL);
		if (call && (rule->only_calls != CALLS_FOREIGN || is_foreign(call, kind)))
			return true;
	}
	return false;
}

static bool row_counts(const struct rule *rule, const struct site_stack *row)
{
	return !row_exempt(rule, row) && (!rule->only_calls || row_in_call(rule, row, NULL));
}

bool stacks_in_call(const struct rule *rule, const struct model *m, const struct site *site)
{
	const char *kind = site_runtime_kind(m, site);

	if (!rule->only_calls || rule->exempt_kinds >> site->kind & 1)
		return false;
	for (uint32_t i = 0; site->stacks && i < site->stacks->count; i++) {
		const struct site_stack *row = &site->stacks->list[i];

		if (wants(rule, row->kind) && !row_exempt(rule, row) &&
		    row_in_call(rule, row, kind))
			return true;
	}
	return false;
}

bool stacks_tell_all(const struct site *site)
{
	for (uint32_t i = 0; site->stacks && i < site->stacks->count; i++) {
		const struct site_stack *row = &site->stacks->list[i];

		for (uint32_t k = 0; k < row->frames_count; k++)
			if (row->frames[k].origin == FRAME_USER &&
			    row->frames[k].from == FRAME_FROM_LINE)
				return true;
	}
	return false;
}

/* --- the stack of a finding ----------------------------------------------------------- */

/* Like model_stack(), of the rows in this system call (-1: any) that are a fault. */
static const struct site_stack *heaviest(const struct rule *rule, const struct site *site,
					 enum stack_kind kind, int32_t syscall)
{
	const struct site_stack *best = NULL;

	for (uint32_t i = 0; i < site->stacks->count; i++) {
		const struct site_stack *row = &site->stacks->list[i];

		if (row->kind != kind || (syscall >= 0 && row->syscall != syscall))
			continue;
		/* Last what takes longest: it reads all frames. */
		if (best && site_stack_weight(row) <= site_stack_weight(best))
			continue;
		if (row_counts(rule, row))
			best = row;
	}
	return best;
}

/* The row's part of all that are a fault. */
static double share_of(const struct rule *rule, const struct site *site,
		       const struct site_stack *best)
{
	double all = 0;

	for (uint32_t i = 0; i < site->stacks->count; i++) {
		const struct site_stack *row = &site->stacks->list[i];

		if (row->kind == best->kind && row_counts(rule, row))
			all += (double)site_stack_weight(row);
	}
	return all > 0 ? (double)site_stack_weight(best) / all : 1;
}

static const struct site *site_of(const struct model *m, const struct finding *f)
{
	return model_site(m, f->site != ID_NONE ? f->site : f->culprit);
}

uint64_t finding_stacks(const struct model *m, const struct finding *f)
{
	const struct site *site = site_of(m, f);
	uint64_t taken = 0;

	for (uint32_t k = 0; site && site->stacks && k < STACK_KINDS; k++)
		if (wants(f->rule, (enum stack_kind)k))
			taken += site->stacks->taken[k];
	return taken;
}

const struct site_stack *finding_stack(const struct model *m, const struct finding *f,
				       double *share)
{
	const struct site *site = site_of(m, f);
	enum stack_kind first = f->syscall >= 0 ? STACK_OFF_CPU : STACK_ON_CPU;
	enum stack_kind other = first == STACK_OFF_CPU ? STACK_ON_CPU : STACK_OFF_CPU;
	const struct site_stack *row = NULL;

	if (!site || !site->stacks)
		return NULL;
	if (f->syscall >= 0 && wants(f->rule, STACK_OFF_CPU))
		row = heaviest(f->rule, site, STACK_OFF_CPU, f->syscall);
	if (!row && wants(f->rule, first))
		row = heaviest(f->rule, site, first, -1);
	if (!row && wants(f->rule, other))
		row = heaviest(f->rule, site, other, -1);
	if (!row && wants(f->rule, STACK_REFCOUNT))
		row = heaviest(f->rule, site, STACK_REFCOUNT, -1);
	if (row && share)
		*share = share_of(f->rule, site, row);
	return row;
}

/* --- who spawns ------------------------------------------------------------------------- */

const struct site_stack *site_spawn(const struct site *site, double *share)
{
	const struct site_stack *row = site ? model_stack(site, STACK_SPAWN, share) : NULL;

	return row && row->frames_count ? row : NULL;
}

const struct site_stack *finding_spawn(const struct model *m, const struct finding *f,
				       double *share)
{
	return site_spawn(model_site(m, f->site), share);
}

bool rule_shows_spawn(const struct rule *rule)
{
	for (uint32_t i = 0; i < rule->cases_count; i++)
		if (rule->cases[i].shows_spawn)
			return true;
	return false;
}

const char *site_no_spawn(const struct site *site)
{
	return site->no_spawns ? site->no_spawns : "no spawn of it was seen";
}

/* --- advice ---------------------------------------------------------------------------- */

/* The call below the culprit (or anywhere in the poll) that the rule's table knows; `path` gets its name. */
static const struct rule_call *call_of_row(const struct rule *rule, const struct site_stack *row,
					   char *path, size_t size)
{
	int32_t culprit = row->culprit < 0 ? (int32_t)row->frames_count : row->culprit;
	int32_t last = rule->only_calls ? poll_frames(row) : culprit;
	const struct rule_call *best = NULL;

	/* The culprit itself may be the call: a library that is blamed for want of a user frame. */
	for (int32_t i = 0; i <= last && i < (int32_t)row->frames_count; i++) {
		const struct rule_call *call;
		char name[PATH_SIZE];

		if (!row->frames[i].function)
			continue;
		function_path(row->frames[i].function, name, sizeof(name));
		call = call_of_frame(calls_of(rule), name, best);
		if (call != best)
			snprintf(path, size, "%s", name);
		best = call;
	}
	return best;
}

static const struct rule_call *call_of_syscall(const struct rule *table, int32_t syscall,
					       char *name, size_t size)
{
	for (uint32_t i = 0; syscall >= 0 && i < table->calls_count; i++) {
		if (table->calls[i].name || table->calls[i].syscall != syscall)
			continue;
		snprintf(name, size, "the system call %s", syscall_name(syscall));
		return &table->calls[i];
	}
	return NULL;
}

size_t finding_advice(const struct model *m, const struct finding *f, char *out, size_t size)
{
	const struct rule *table = calls_of(f->rule);
	const struct site_stack *row = table->calls_count ? finding_stack(m, f, NULL) : NULL;
	const struct rule_call *call = NULL;
	char name[PATH_SIZE];
	int len;

	if (row)
		call = call_of_row(f->rule, row, name, sizeof(name));
	if (!call)
		call = call_of_syscall(table, row ? row->syscall : f->syscall, name, sizeof(name));
	if (call)
		len = snprintf(out, size, "In place of %s: %s. %s", name, call->advice,
			       f->rule->advice);
	else
		len = snprintf(out, size, "%s", f->rule->advice);
	return (size_t)len < size ? (size_t)len : size - 1;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Messages of findings: text with {placeholders} and [optional parts].
 *
 * A placeholder is a field of the table or one of the words below. An optional part is left out
 * when a placeholder in it is not known; outside of one it reads n/a. {{ }} [[ ]] stand for the
 * characters themselves. Templates are compiled when loaded; rendering allocates nothing.
 */
#include "rules/kinds.h"
#include "rules/locks.h"
#include "rules/rule_impl.h"
#include "rules/stack.h"
#include "rules/waits.h"

#include <stdio.h>
#include <string.h>

#include "util/fmt.h"
#include "util/sanitize.h"
#include "util/syscall.h"
#include "util/xalloc.h"

#define TEXT_NAME 256
#define SITE_SHOWN 110 /* bytes of a type name: a generic one must not fill the message */

struct render {
	const struct model *m;
	const struct finding *f;
	const struct site_stack *stack; /* of the finding, NULL */
	const struct site_stack *spawn; /* of its tasks, NULL */
	bool so_far;
	char out[768];
	size_t len;
	bool missing; /* a placeholder of the present part was not known */
};

/* Writes the word, "" when it is not known. */
typedef void word_fn(const struct render *r, char *out, size_t size);

/* Keeps the head and the tail, which differ most between types; cuts only between characters. */
static void shorten(char *out, size_t size, const char *name)
{
	size_t len = strlen(name), head = SITE_SHOWN * 2 / 3, tail = len - SITE_SHOWN / 3;

	if (len <= SITE_SHOWN) {
		snprintf(out, size, "%s", name);
		return;
	}
	while (head && (name[head] & 0xc0) == 0x80)
		head--;
	while ((name[tail] & 0xc0) == 0x80)
		tail++;
	snprintf(out, size, "%.*s...%s", (int)head, name, name + tail);
}

static void word_site(const struct render *r, char *out, size_t size)
{
	const struct site *s = model_site(r->m, r->f->site);

	if (s && s->name)
		shorten(out, size, s->name);
	else
		snprintf(out, size, "an unknown task type");
}

static void site_word(const struct render *r, uint32_t id, char *out, size_t size)
{
	const struct site *s = model_site(r->m, id);

	if (s && s->name)
		shorten(out, size, s->name);
}

static void word_culprit(const struct render *r, char *out, size_t size)
{
	site_word(r, r->f->culprit, out, size);
}

static void word_worker(const struct render *r, char *out, size_t size)
{
	const struct worker *w = model_worker(r->m, r->f->target, r->f->tid);

	if (w && w->now.comm && *w->now.comm)
		snprintf(out, size, "%s (tid %u)", w->now.comm, r->f->tid);
	else if (r->f->tid)
		snprintf(out, size, "thread %u", r->f->tid);
}

static void word_runtime(const struct render *r, char *out, size_t size)
{
	const struct runtime *rt = model_runtime(r->m, r->f->runtime);
	const char *name = NULL;
	uint32_t same = 0;

	if (!rt)
		return;
	for (uint32_t i = 0; i < r->m->binaries_count; i++)
		if (r->m->binaries[i].id == rt->binary)
			name = r->m->binaries[i].runtime;
	for (uint32_t i = 0; i < r->m->runtimes_count; i++)
		same += r->m->runtimes[i].id != ID_NONE && r->m->runtimes[i].target == rt->target;
	if (same > 1)
		snprintf(out, size, "%s runtime %u", name ? name : "the", rt->id);
	else
		snprintf(out, size, "%s%sruntime", name ? name : "", name ? " " : "");
}

static void word_runtimes(const struct render *r, char *out, size_t size)
{
	runtime_kinds_text(r->m, r->f->target, out, size);
}

static void word_process(const struct render *r, char *out, size_t size)
{
	const struct target *t = model_target(r->m, r->f->target);

	if (t)
		snprintf(out, size, "%s (pid %u)", t->comm ? t->comm : "process", t->pid);
}

static void word_syscall(const struct render *r, char *out, size_t size)
{
	const char *name = syscall_name(r->f->syscall);

	if (name)
		snprintf(out, size, "%s", name);
	else if (r->f->syscall >= 0)
		snprintf(out, size, "system call %d", r->f->syscall);
	else if (r->stack && r->stack->kernel_fault)
		snprintf(out, size, "a page fault");
}

static void word_count(const struct render *r, char *out, size_t size)
{
	char number[FMT_SIZE];

	snprintf(out, size, "%s", fmt_count(number, sizeof(number), (double)r->f->count));
}

static void word_times(const struct render *r, char *out, size_t size)
{
	char number[FMT_SIZE];

	if (r->f->count > 1)
		snprintf(out, size, "%s times",
			 fmt_count(number, sizeof(number), (double)r->f->count));
}

static void duration_word(const struct render *r, uint64_t ns, char *out, size_t size)
{
	char number[FMT_SIZE];

	if (ns)
		snprintf(out, size, "%s%s", r->f->loose ? "at least " : "",
			 fmt_duration(number, sizeof(number), ns));
}

static void word_worst(const struct render *r, char *out, size_t size)
{
	duration_word(r, r->f->worst_ns, out, size);
}

static void word_total(const struct render *r, char *out, size_t size)
{
	duration_word(r, r->f->total_ns, out, size);
}

static void word_so_far(const struct render *r, char *out, size_t size)
{
	if (r->so_far)
		snprintf(out, size, "so far");
}

static void word_task(const struct render *r, char *out, size_t size)
{
	if (r->f->tasks_count)
		snprintf(out, size, "%llu", (unsigned long long)r->f->tasks[r->f->tasks_count - 1]);
}

/* The frame that the finding blames; a function that the message names anyway, by its line alone. */
static void word_at(const struct render *r, char *out, size_t size)
{
	const struct site *s = model_site(r->m, r->f->site);
	const struct frame *f;

	if (!r->stack || r->stack->culprit < 0)
		return;
	f = &r->stack->frames[r->stack->culprit];
	/* All of the task's code is inlined there: the site names it better than the runtime's function. */
	if (s && f->origin == FRAME_BOUNDARY && !f->line)
		return;
	if (s && f->function && !strcmp(s->name, f->function))
		frame_line_text(f, out, size);
	else
		frame_text(f, out, size);
}

static void word_call(const struct render *r, char *out, size_t size)
{
	if (r->stack && r->stack->call >= 0)
		frame_name(&r->stack->frames[r->stack->call], out, size);
}

static void word_locks(const struct render *r, char *out, size_t size)
{
	locks_text(r->m, r->f->target, r->f->runtime, out, size);
}

void finding_cause_text(const struct model *m, const struct finding *f, char *out, size_t size)
{
	const struct site *s = model_site(m, f->cause.site);
	char name[TEXT_NAME];

	out[0] = '\0';
	if (!f->cause.rule)
		return;
	if (s && s->name)
		shorten(name, sizeof(name), s->name);
	snprintf(out, size, "%s%s%s", f->cause.rule->id, s && s->name ? " of " : "",
		 s && s->name ? name : "");
}

static void word_cause(const struct render *r, char *out, size_t size)
{
	finding_cause_text(r->m, r->f, out, size);
}

/* Who spawns the tasks: the place, and the function where it is known. */
static void word_spawner(const struct render *r, char *out, size_t size)
{
	if (r->spawn)
		spawner_text(r->m, r->spawn, out, size);
}

static const struct backlog *backlog_of(const struct render *r)
{
	const struct site *s = model_site(r->m, r->f->site);

	return s ? model_backlog(r->m, s) : NULL;
}

static void word_receiver(const struct render *r, char *out, size_t size)
{
	const struct backlog *b = backlog_of(r);

	if (b)
		site_word(r, b->now.receiver, out, size);
}

static void word_sender(const struct render *r, char *out, size_t size)
{
	const struct backlog *b = backlog_of(r);

	if (b)
		site_word(r, b->now.sender, out, size);
}

/* Where nobody knows which end it has. */
static void word_holder(const struct render *r, char *out, size_t size)
{
	const struct backlog *b = backlog_of(r);

	if (b && b->now.receiver == ID_NONE && b->now.sender == ID_NONE)
		site_word(r, b->now.site, out, size);
}

static void word_channel(const struct render *r, char *out, size_t size)
{
	const struct backlog *b = backlog_of(r);

	if (b)
		snprintf(out, size, "%s", b->now.library);
}

static void word_message(const struct render *r, char *out, size_t size)
{
	const struct backlog *b = backlog_of(r);

	if (b && b->now.message)
		snprintf(out, size, "%s", b->now.message);
}

static void word_no_message(const struct render *r, char *out, size_t size)
{
	const struct backlog *b = backlog_of(r);

	if (b && !b->now.message && b->now.no_message)
		snprintf(out, size, "%s", b->now.no_message);
}

static void word_waits(const struct render *r, char *out, size_t size)
{
	if (r->f->runtime != ID_NONE)
		wait_cycle_text(r->m, r->f->runtime, out, size);
}

static const struct held_wait *held_of(const struct render *r)
{
	const struct site *s = model_site(r->m, r->f->site);

	return s && s->stacks && s->stacks->held.last_ns ? &s->stacks->held : NULL;
}

static void word_lock(const struct render *r, char *out, size_t size)
{
	const struct held_wait *held = held_of(r);

	if (held)
		snprintf(out, size, "%s", lock_name(held->kind));
}

static void word_lock_holder(const struct render *r, char *out, size_t size)
{
	const struct held_wait *held = held_of(r);

	if (held)
		site_word(r, held->holder, out, size);
}

#define IN(scope) (1u << SCOPE_##scope)
#define EVERYWHERE (IN(POLL) | IN(SITE) | IN(WORKER) | IN(RUNTIME) | IN(TARGET))

static const struct message_word {
	const char *name;
	unsigned scopes;
	word_fn *write;
} words[] = {
	{"site", IN(POLL) | IN(SITE), word_site},
	{"worker", IN(POLL) | IN(WORKER), word_worker},
	{"runtime", IN(POLL) | IN(WORKER) | IN(RUNTIME), word_runtime},
	{"runtimes", EVERYWHERE, word_runtimes},
	{"process", EVERYWHERE, word_process},
	{"syscall", IN(POLL), word_syscall},
	{"task", IN(POLL), word_task},
	{"count", EVERYWHERE, word_count},
	{"times", EVERYWHERE, word_times},
	{"worst", EVERYWHERE, word_worst},
	{"total", IN(POLL), word_total},
	{"so_far", IN(POLL), word_so_far},
	{"culprit", EVERYWHERE, word_culprit},
	{"cause", EVERYWHERE, word_cause},
	{"locks", IN(WORKER) | IN(RUNTIME), word_locks},
	{"lock", IN(SITE), word_lock},
	{"lock_holder", IN(SITE), word_lock_holder},
	{"at", EVERYWHERE, word_at},
	{"call", EVERYWHERE, word_call},
	{"spawner", IN(POLL) | IN(SITE), word_spawner},
	{"waits", IN(RUNTIME), word_waits},
	{"channel", IN(SITE), word_channel},
	{"message", IN(SITE), word_message},
	{"no_message", IN(SITE), word_no_message},
	{"receiver", IN(SITE), word_receiver},
	{"sender", IN(SITE), word_sender},
	{"holder", IN(SITE), word_holder},
};

#define WORDS_COUNT ((int)(sizeof(words) / sizeof(words[0])))

/* --- compile ------------------------------------------------------------------- */

/* Where in the file the character at `at` of the string stands; escapes shift it. */
static size_t raw_offset(const struct case_build *b, const char *s, const char *at)
{
	size_t start = text_value(b->text, b->node), n = 0, i;

	for (const char *p = s; p <= at; p++)
		n += *p == *at;
	for (i = start + 1; i < b->text->len && n; i++)
		n -= b->text->s[i] == *at;
	return n ? start : i - 1;
}

static struct message_part *add_part(struct rule_case *rc, enum part_kind kind)
{
	struct message_part *part;

	if (rc->message_count == MESSAGE_PARTS)
		return NULL;
	part = &rc->message[rc->message_count++];
	*part = (struct message_part){.kind = kind};
	return part;
}

static const char *suggest(const char *name, enum rule_scope scope)
{
	const char *names[128];
	size_t n = 0;

	for (int i = 0; i < WORDS_COUNT; i++)
		if (words[i].scopes & 1u << scope)
			names[n++] = words[i].name;
	for (size_t i = 0; i < fields_count && n < 128; i++)
		if (field_in_scope(&fields[i], scope))
			names[n++] = fields[i].name;
	name = nearest(name, names, n);
	return name ? name : "site";
}

bool case_show(struct rule_case *rc, const struct field *field)
{
	for (uint32_t i = 0; i < rc->shown_count; i++)
		if (rc->shown[i] == field)
			return true;
	if (rc->shown_count == FINDING_VALUES)
		return false;
	rc->shown[rc->shown_count++] = field;
	return true;
}

/* Fills a part for the name; false when no such placeholder exists in this scope. */
static bool resolve_name(struct rule_case *rc, const char *name, struct message_part *part)
{
	const struct field *field = field_find(name);

	if (field && field_in_scope(field, rc->scope)) {
		part->kind = PART_FIELD;
		part->field = field;
		return true;
	}
	for (int i = 0; i < WORDS_COUNT; i++) {
		if (strcmp(words[i].name, name) || !(words[i].scopes & 1u << rc->scope))
			continue;
		part->kind = PART_WORD;
		part->word = i;
		rc->wants_culprit |= words[i].write == word_culprit;
		rc->shows_spawn |= words[i].write == word_spawner;
		return true;
	}
	return false;
}

/* `at` is on the '{'; moves it behind the '}'. */
static int compile_name(const struct case_build *b, const char *s, const char **at, struct err *err)
{
	struct rule_case *rc = b->rule_case;
	size_t len = strcspn(*at + 1, "{}[]");
	struct message_part *part;
	char name[48];

	if ((*at)[1 + len] != '}')
		return text_fail(b->text, err, raw_offset(b, s, *at),
				 "this '{' has no '}'; write {{ for the character itself");
	snprintf(name, sizeof(name), "%.*s", (int)len, *at + 1);
	part = add_part(rc, PART_WORD);
	if (!part)
		return text_fail(b->text, err, raw_offset(b, s, *at),
				 "the message has more than %d parts; make it simpler",
				 MESSAGE_PARTS);
	if (!resolve_name(rc, name, part))
		return text_fail(
			b->text, err, raw_offset(b, s, *at),
			"unknown placeholder {%s} in a message of scope \"%s\"; did you mean {%s}?",
			name, scope_name(rc->scope), suggest(name, rc->scope));
	if (part->kind == PART_FIELD && !case_show(rc, part->field))
		return text_fail(b->text, err, raw_offset(b, s, *at),
				 "the case uses more than %d different fields; use fewer",
				 FINDING_VALUES);
	*at += len + 2;
	return 0;
}

/* One special character that stands alone; `inside` is the state of the optional part. */
static int compile_bracket(const struct case_build *b, const char *s, const char **at, bool *inside,
			   struct err *err)
{
	bool opens = **at == '[';

	if (**at == '}')
		return text_fail(b->text, err, raw_offset(b, s, *at),
				 "this '}' has no '{'; write }} for the character itself");
	if (opens == *inside)
		return text_fail(
			b->text, err, raw_offset(b, s, *at),
			opens ? "an optional part inside another; close the first with ']'" :
				"this ']' has no '['; write ]] for the character itself");
	if (!add_part(b->rule_case, opens ? PART_OPTIONAL : PART_END))
		return text_fail(b->text, err, raw_offset(b, s, *at),
				 "the message has more than %d parts; make it simpler",
				 MESSAGE_PARTS);
	*inside = opens;
	(*at)++;
	return 0;
}

int message_compile(const struct case_build *b, struct err *err)
{
	const char *s = rule_own(b->rule, xstrdup(b->node->valuestring)), *at = s;
	bool inside = false;
	int ret = 0;

	while (*at && !ret) {
		size_t plain = strcspn(at, "{}[]");
		struct message_part *part;

		if (!plain && at[0] == at[1]) {
			at++; /* a doubled bracket: the second one is text */
			plain = 1;
		}
		if (plain) {
			part = add_part(b->rule_case, PART_TEXT);
			if (!part)
				return text_fail(
					b->text, err, text_value(b->text, b->node),
					"the message has more than %d parts; make it simpler",
					MESSAGE_PARTS);
			part->text = at;
			part->len = plain;
			at += plain;
		} else if (*at == '{') {
			ret = compile_name(b, s, &at, err);
		} else {
			ret = compile_bracket(b, s, &at, &inside, err);
		}
	}
	if (!ret && inside)
		ret = text_fail(
			b->text, err, text_value(b->text, b->node),
			"a '[' of this message has no ']'; write [[ for the character itself");
	return ret;
}

/* --- render -------------------------------------------------------------------- */

static void append(struct render *r, const char *text, size_t len)
{
	size_t room = sizeof(r->out) - 1 - r->len;

	if (len > room)
		len = room;
	memcpy(r->out + r->len, text, len);
	r->len += len;
}

static void format_value(char *out, size_t size, const struct field *field, double value,
			 bool at_least)
{
	char number[FMT_SIZE];
	uint64_t whole = value > 0 ? (uint64_t)(value + 0.5) : 0;

	switch (field->unit) {
	case UNIT_NS:
		fmt_duration(number, sizeof(number), whole);
		snprintf(out, size, "%s%s", at_least ? "at least " : "", number);
		break;
	case UNIT_RATIO: fmt_ratio(out, size, value); break;
	case UNIT_BYTES: fmt_bytes(out, size, whole); break;
	case UNIT_BOOL: snprintf(out, size, "%s", value != 0 ? "yes" : "no"); break;
	case UNIT_COUNT: fmt_count(out, size, value); break;
	case UNIT_PER_SECOND:
		snprintf(out, size, "%s/s", fmt_count(number, sizeof(number), value));
		break;
	}
}

static void render_name(struct render *r, const struct message_part *part)
{
	char text[256] = "";

	if (part->kind == PART_WORD)
		words[part->word].write(r, text, sizeof(text));
	for (uint32_t i = 0; part->kind == PART_FIELD && i < r->f->values_count; i++)
		if (r->f->values[i].name == part->field->name)
			format_value(text, sizeof(text), part->field, r->f->values[i].value,
				     r->f->loose && part->field->poll_length);
	if (!*text) {
		r->missing = true;
		snprintf(text, sizeof(text), "n/a");
	}
	append(r, text, strlen(text));
}

void message_render(const struct model *m, const struct rule_case *rc, struct finding *f,
		    const struct site_stack *stack, const struct site_stack *spawn, bool so_far)
{
	struct render r = {.m = m, .f = f, .stack = stack, .spawn = spawn, .so_far = so_far};
	size_t mark = 0;

	for (uint32_t i = 0; i < rc->message_count; i++) {
		const struct message_part *part = &rc->message[i];

		if (part->kind == PART_TEXT) {
			append(&r, part->text, part->len);
		} else if (part->kind == PART_OPTIONAL) {
			mark = r.len;
			r.missing = false;
		} else if (part->kind == PART_END) {
			r.len = r.missing ? mark : r.len;
		} else {
			render_name(&r, part);
		}
	}
	text_sanitize(f->message, sizeof(f->message), r.out, r.len);
}

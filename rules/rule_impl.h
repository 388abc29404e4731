/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A rule as the loader leaves it and the judge runs it; private to rules/.
 *
 * struct rule owns its strings (one arena of pointers, `owned`) and is not changed after loading,
 * but for the values of its parameters (--set). All arrays are of fixed size, so one evaluation is
 * bounded by these constants.
 */
#ifndef RULES_RULE_IMPL_H
#define RULES_RULE_IMPL_H

#include "rules/fields.h"
#include "rules/rule.h"
#include "rules/text.h"

#define RULES_MAX 64 /* claims are a 64-bit mask */
#define RULE_PARAMS 16
#define RULE_CASES 6
#define CASE_LEVELS 3
#define LEVEL_CLAUSES 8
#define CLAUSE_CONDS 8
#define RULE_GLOBS 32
#define RULE_UNLESS 8
#define RULE_CALLS 256
#define MESSAGE_PARTS 48

/* What a literal is: "10ms", "5%", "16KiB", 100, true. */
enum value_kind { VALUE_NUMBER, VALUE_DURATION, VALUE_RATIO, VALUE_BYTES, VALUE_BOOL };

struct param {
	const char *key, *meaning;
	enum value_kind kind;
	double value;
	char text[32];
	bool by_user;		  /* --set or --threshold */
	bool referenced;	  /* something in the rule uses it */
	const struct field *used; /* first field that it is compared with, NULL */
};

struct operand {
	enum { OPERAND_CONST, OPERAND_PARAM, OPERAND_FIELD } from;
	double value; /* the constant, or the factor of the field */
	int param;
	const struct field *field;
};

struct cond {
	const struct field *field;
	uint8_t op; /* index of cond_ops */
	struct operand rhs;
};

/* One of `conds` must hold; a single one is the usual case. */
struct clause {
	struct cond conds[CLAUSE_CONDS];
	uint32_t count;
};

/* All clauses must hold. */
struct level {
	enum severity severity;
	struct clause when[LEVEL_CLAUSES];
	uint32_t count;
};

enum part_kind { PART_TEXT, PART_FIELD, PART_WORD, PART_OPTIONAL, PART_END };

struct message_part {
	enum part_kind kind;
	const char *text; /* PART_TEXT */
	size_t len;
	const struct field *field; /* PART_FIELD */
	int word;		   /* PART_WORD: index of the table in message.c */
};

struct rule_case {
	enum rule_scope scope;
	struct level levels[CASE_LEVELS];
	uint32_t levels_count;
	struct level stays; /* "while": an open finding stays open; count 0: there is none */
	struct operand hold, window, close_after; /* "for", "window", "close_after" */
	const struct field *measure; /* its size makes an occurrence worse than another */
	struct message_part message[MESSAGE_PARTS];
	uint32_t message_count;
	bool wants_culprit;
	bool shows_spawn;			   /* the message says who spawns */
	const struct field *shown[FINDING_VALUES]; /* values of a finding */
	uint32_t shown_count;
};

/* Which stacks of a site tell of the rule's fault. */
enum stack_want {
	STACK_WANT_NONE,
	STACK_WANT_OFF_CPU,
	STACK_WANT_ON_CPU,
	STACK_WANT_ANY, /* of these two */
	STACK_WANT_REFCOUNT,
};

/* A well-known call, by function or by system call, and what to write in its place. */
struct rule_call {
	const char *name; /* pattern for function_path(); NULL: by system call */
	int32_t syscall;
	const char *advice;
	const char *
		runtimes; /* whose executor it enters, names with a space between; NULL: no one's */
};

/* Whether stacks without one of the rule's calls count for nothing. */
enum only_calls {
	CALLS_ALL,
	CALLS_ONLY,
	CALLS_FOREIGN /* that enters another runtime's executor */
};

enum rule_group { GROUP_SITE, GROUP_WORKER, GROUP_RUNTIME, GROUP_TARGET };

/* Another rule, as a file names it. */
struct rule_name {
	const char *id;
	unsigned line, column; /* for the error when there is no such rule */
};

struct rule {
	const char *id, *title, *why, *advice, *example_before, *example_after, *link, *file;
	unsigned id_line, id_column;
	const char *text; /* that it was parsed from */
	size_t text_len;
	bool enabled, builtin;
	uint32_t index; /* in struct rules */
	enum rule_group group;
	struct param params[RULE_PARAMS];
	uint32_t params_count;
	struct rule_case cases[RULE_CASES];
	uint32_t cases_count;
	struct rule_name unless[RULE_UNLESS];
	uint32_t unless_count;
	uint64_t unless_mask;		      /* bits of rule indexes, set when all are loaded */
	struct rule_name causes[RULE_UNLESS]; /* "caused_by", likeliest first */
	const struct rule *cause_rules[RULE_UNLESS]; /* these, set when all are loaded */
	uint32_t causes_count;
	uint32_t turn; /* of a judgement: behind all that it gives way to */
	const char *exempt_sites[RULE_GLOBS], *exempt_threads[RULE_GLOBS];
	const char *exempt_syscalls[RULE_GLOBS], *exempt_frames[RULE_GLOBS];
	uint32_t exempt_sites_count, exempt_threads_count, exempt_syscalls_count;
	uint32_t exempt_frames_count;
	unsigned exempt_kinds; /* bits of enum site_kind */
	bool exempt_handed_off;
	enum stack_want stack;
	struct rule_call calls[RULE_CALLS];
	uint32_t calls_count;
	enum only_calls only_calls;
	struct rule_name calls_from;   /* the rule whose calls these are; id NULL: its own */
	const struct rule *calls_rule; /* that rule, set when all are loaded; NULL: its own */
	char **owned;
	size_t owned_count, owned_cap;
};

struct judge;

struct rules {
	struct rule *list[RULES_MAX];
	uint32_t count;
	struct judge *judge;
};

/* parse.c: one file's text to a rule, or "file:line:column: ...". */
int rule_parse(const char *file, const char *s, size_t len, struct rule **out, struct err *err);
void rule_free(struct rule *rule);
char *rule_own(struct rule *rule, char *text);

/*
 * load.c: adds a text, replacing a rule with the same id unless its bit is in `loaded`, where the
 * new rule's bit is set: two rules of one load with one id are a mistake. Resolves nothing yet.
 */
struct rules *rules_new(void);
int rules_add_text(struct rules *rules, const char *file, const char *s, size_t len,
		   uint64_t *loaded, struct err *err);
/* Turns "unless" ids into bits; fails when one names no rule. */
int rules_resolve(struct rules *rules, struct err *err);

/* value.c */
extern const char *const cond_ops[]; /* ">=", ">", "<=", "<", "==", "!="; NULL at the end */
bool cond_compare(uint8_t op, double left, double right);
/* Reads a string ("10ms", "5%", "16KiB"); -EINVAL when it is none of these. */
int value_parse_text(const char *text, enum value_kind *kind, double *value);
/* "a duration in quotes, such as \"10ms\"" */
const char *value_kind_example(enum value_kind kind);
const char *value_unit_example(enum field_unit unit);
bool value_fits(enum value_kind kind, enum field_unit unit);
double operand_value(const struct rule *rule, const struct operand *op, const struct field_ctx *ctx,
		     bool *known);
/* The name nearest to `word`, NULL when none is near. */
const char *nearest(const char *word, const char *const *names, size_t count);

/* message.c: templates */
struct case_build {
	const struct text *text;
	const cJSON *node; /* the message's string */
	struct rule *rule;
	struct rule_case *rule_case;
};
int message_compile(const struct case_build *b, struct err *err);
void message_render(const struct model *m, const struct rule_case *rc, struct finding *f,
		    const struct site_stack *stack, const struct site_stack *spawn, bool so_far);
/* Adds a field to those that a finding of the case keeps; false when there is no room. */
bool case_show(struct rule_case *rc, const struct field *field);

/* stack.c: every stack that is known of the site, of the rule's kind, is one that it exempts. */
bool stacks_exempt(const struct rule *rule, const struct site *site);
/* A stack of the rule's kind shows one of its calls within a poll of the site, and is no exempt one. */
bool stacks_in_call(const struct rule *rule, const struct model *m, const struct site *site);
/* Its stacks show functions that the compiler has inlined, too: they rest on line tables. */
bool stacks_tell_all(const struct site *site);

/* eval.c */
struct judge *judge_new(void);
void judge_free(struct judge *j);

#endif

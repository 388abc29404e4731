/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What parse.c (objects, keys, the rule), parse_case.c (values, conditions, cases) and
 * parse_stack.c (stacks, well-known calls) share.
 * All return 0 or -EINVAL with "file:line:column: ..." in the parse's err.
 */
#ifndef RULES_PARSE_H
#define RULES_PARSE_H

#include "rules/rule_impl.h"

enum node_type { NODE_STRING, NODE_ARRAY, NODE_OBJECT, NODE_BOOL, NODE_NUMBER, NODE_ANY };

/* A key that an object may have. */
struct key_spec {
	const char *key;
	enum node_type type;
	bool required;
	const char *example; /* what to write when it is missing */
};

#define KEYS_MAX 16

struct parse {
	struct text text;
	struct rule *rule;
	struct err *err;
};

/* Fails at the value. */
int parse_fail(struct parse *p, const cJSON *node, const char *words);
/* Checks the keys of an object and puts their values at the specs' places of `out`. */
int parse_object(struct parse *p, const cJSON *object, const struct key_spec *specs, size_t n,
		 const cJSON **out);
int parse_type(struct parse *p, const cJSON *node, enum node_type type);
/* A copy that the rule owns; NULL stays NULL. */
const char *parse_copy(struct parse *p, const cJSON *node);
/* A list of names of system calls. */
int parse_syscalls(struct parse *p, const cJSON *list);
/* One line of at most `max` bytes, not empty. */
int parse_line(struct parse *p, const cJSON *node, size_t max);
/* The place of a word in `names`. */
int parse_word(struct parse *p, const cJSON *node, const char *what, const char *const *names,
	       size_t n, size_t *index);
/* A literal: "10ms", 100, true; `want` says what would be right. */
int parse_literal(struct parse *p, const cJSON *node, const char *want, enum value_kind *kind,
		  double *value);
/* "stack": nothing when `node` is NULL. */
int parse_stack(struct parse *p, const cJSON *node);
/* "calls", after "stack": a list, or the id of the rule whose list it is; likewise. */
int parse_calls(struct parse *p, const cJSON *node);
int parse_only_calls(struct parse *p, const cJSON *node, const cJSON *calls);
int parse_case(struct parse *p, const cJSON *node);

#endif

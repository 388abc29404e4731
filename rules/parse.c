// SPDX-License-Identifier: LGPL-2.1-or-later
/* One rule file's text to a struct rule; every mistake is named with its place and its remedy. */
#include "rules/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/syscall.h"
#include "util/xalloc.h"

int parse_fail(struct parse *p, const cJSON *node, const char *words)
{
	return text_fail(&p->text, p->err, text_value(&p->text, node), "%s", words);
}

static bool has_type(const cJSON *node, enum node_type type)
{
	const bool results[] = {cJSON_IsString(node), cJSON_IsArray(node),  cJSON_IsObject(node),
				cJSON_IsBool(node),   cJSON_IsNumber(node), true};

	return results[type];
}

int parse_type(struct parse *p, const cJSON *node, enum node_type type)
{
	static const char *const words[] = {"text in quotes",	  "a list: [ ... ]",
					    "an object: { ... }", "true or false",
					    "a number",		  ""};

	if (has_type(node, type))
		return 0;
	return text_fail(&p->text, p->err, text_value(&p->text, node), "%s%s%s needs %s",
			 node->string ? "\"" : "", node->string ? node->string : "this entry",
			 node->string ? "\"" : "", words[type]);
}

static int fail_key(struct parse *p, const cJSON *node, const struct key_spec *specs, size_t n)
{
	const char *names[KEYS_MAX], *near;
	char list[160] = "";

	for (size_t i = 0; i < n; i++) {
		names[i] = specs[i].key;
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
			 specs[i].key);
	}
	near = nearest(node->string, names, n);
	if (near)
		return text_fail(&p->text, p->err, text_key(&p->text, node),
				 "unknown key \"%.40s\"; did you mean \"%s\"?", node->string, near);
	return text_fail(&p->text, p->err, text_key(&p->text, node),
			 "unknown key \"%.40s\"; the keys here are %s", node->string, list);
}

/* Checks the keys of an object and puts their values at the specs' places of `out`. */
int parse_object(struct parse *p, const cJSON *object, const struct key_spec *specs, size_t n,
		 const cJSON **out)
{
	const cJSON *node;
	int ret;

	memset(out, 0, n * sizeof(*out));
	ret = parse_type(p, object, NODE_OBJECT);
	if (ret)
		return ret;
	cJSON_ArrayForEach(node, object) {
		size_t i = 0;

		while (i < n && strcmp(specs[i].key, node->string) != 0)
			i++;
		if (i == n)
			return fail_key(p, node, specs, n);
		if (out[i])
			return text_fail(&p->text, p->err, text_key(&p->text, node),
					 "the key \"%s\" is here twice; remove one", specs[i].key);
		ret = parse_type(p, node, specs[i].type);
		if (ret)
			return ret;
		out[i] = node;
	}
	for (size_t i = 0; i < n; i++)
		if (specs[i].required && !out[i])
			return text_fail(&p->text, p->err, text_value(&p->text, object),
					 "\"%s\" is missing here; write %s", specs[i].key,
					 specs[i].example);
	return 0;
}

char *rule_own(struct rule *rule, char *text)
{
	rule->owned = xgrow(rule->owned, &rule->owned_cap, rule->owned_count + 1,
			    sizeof(*rule->owned));
	rule->owned[rule->owned_count++] = text;
	return text;
}

const char *parse_copy(struct parse *p, const cJSON *node)
{
	return node ? rule_own(p->rule, xstrdup(node->valuestring)) : NULL;
}

int parse_line(struct parse *p, const cJSON *node, size_t max)
{
	const char *s = node->valuestring;

	if (!*s)
		return parse_fail(p, node, "empty text; say something");
	if (s[strcspn(s, "\n\t")])
		return parse_fail(p, node, "this text must be one line without tabs");
	if (strlen(s) > max)
		return text_fail(&p->text, p->err, text_value(&p->text, node),
				 "this text has %zu bytes; at most %zu fit", strlen(s), max);
	return 0;
}

/* Lower-case letters, digits and `extra`; starts with a letter. */
static int check_name(struct parse *p, const char *s, size_t at, char extra)
{
	size_t len = strlen(s);
	bool good = len && len <= 40 && s[0] >= 'a' && s[0] <= 'z';

	for (size_t i = 0; i < len; i++)
		good &= (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
			s[i] == extra;
	if (good)
		return 0;
	return text_fail(&p->text, p->err, at,
			 "bad name \"%.48s\"; use 1 to 40 of a-z, 0-9 and '%c', a letter first", s,
			 extra);
}

int parse_word(struct parse *p, const cJSON *node, const char *what, const char *const *names,
	       size_t n, size_t *index)
{
	const char *near;
	char list[96] = "";

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(names[i], node->valuestring)) {
			*index = i;
			return 0;
		}
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
			 names[i]);
	}
	/* Of one or two characters any other is near. */
	near = strlen(node->valuestring) < 3 ? NULL : nearest(node->valuestring, names, n);
	return text_fail(&p->text, p->err, text_value(&p->text, node), "unknown %s \"%.40s\"; %s%s",
			 what, node->valuestring, near ? "did you mean " : "use one of ",
			 near ? near : list);
}

/* --- the rest of a rule ------------------------------------------------------------ */

static int read_param(struct parse *p, const cJSON *node)
{
	static const struct key_spec specs[] = {
		{"value", NODE_ANY, true, "\"value\": \"10ms\""},
		{"meaning", NODE_STRING, true, "\"meaning\": \"...\""},
	};
	struct param *param = &p->rule->params[p->rule->params_count];
	const cJSON *v[2];
	int ret = check_name(p, node->string, text_key(&p->text, node), '_');

	if (ret)
		return ret;
	if (!strcmp(node->string, "enabled"))
		return text_fail(&p->text, p->err, text_key(&p->text, node),
				 "\"enabled\" is a key of the rule itself; choose another name");
	for (uint32_t i = 0; i < p->rule->params_count; i++)
		if (!strcmp(p->rule->params[i].key, node->string))
			return text_fail(&p->text, p->err, text_key(&p->text, node),
					 "the key \"%s\" is here twice; remove one", node->string);
	ret = parse_object(p, node, specs, 2, v);
	if (!ret)
		ret = parse_literal(p, v[0], "\"10ms\", \"5%\", \"16KiB\", 100 or true",
				    &param->kind, &param->value);
	if (!ret)
		ret = parse_line(p, v[1], 200);
	if (ret)
		return ret;
	param->key = rule_own(p->rule, xstrdup(node->string));
	param->meaning = parse_copy(p, v[1]);
	if (cJSON_IsString(v[0]))
		snprintf(param->text, sizeof(param->text), "%s", v[0]->valuestring);
	else if (cJSON_IsNumber(v[0]))
		snprintf(param->text, sizeof(param->text), "%.15g", v[0]->valuedouble);
	else
		snprintf(param->text, sizeof(param->text), "%s",
			 cJSON_IsTrue(v[0]) ? "true" : "false");
	p->rule->params_count++;
	return 0;
}

static int read_params(struct parse *p, const cJSON *list)
{
	const cJSON *node;
	int ret = 0;

	if (!list)
		return 0;
	cJSON_ArrayForEach(node, list) {
		if (p->rule->params_count == RULE_PARAMS)
			return text_fail(&p->text, p->err, text_key(&p->text, node),
					 "more than %d parameters; use fewer", RULE_PARAMS);
		ret = read_param(p, node);
		if (ret)
			return ret;
	}
	return 0;
}

/* A list of strings into a fixed array. */
static int read_strings(struct parse *p, const cJSON *list, const char **out, uint32_t *count)
{
	const cJSON *node;
	int ret;

	if (!list)
		return 0;
	cJSON_ArrayForEach(node, list) {
		ret = parse_type(p, node, NODE_STRING);
		if (!ret)
			ret = parse_line(p, node, 200);
		if (ret)
			return ret;
		if (*count == RULE_GLOBS)
			return text_fail(&p->text, p->err, text_value(&p->text, node),
					 "more than %d entries; use patterns with *", RULE_GLOBS);
		out[(*count)++] = parse_copy(p, node);
	}
	return 0;
}

int parse_syscalls(struct parse *p, const cJSON *list)
{
	const cJSON *node;

	cJSON_ArrayForEach(node, list) {
		int ret = parse_type(p, node, NODE_STRING);

		if (ret)
			return ret;
		if (syscall_number(node->valuestring) < 0)
			return text_fail(
				&p->text, p->err, text_value(&p->text, node),
				"no system call \"%.40s\"; write its name as in man 2, such as \"futex\"",
				node->valuestring);
	}
	return 0;
}

/* A list of some of `names`, as bits of their numbers. */
static int read_words(struct parse *p, const cJSON *list, const char *what,
		      const char *const *names, size_t count, unsigned *bits)
{
	const cJSON *node;
	size_t which;
	int ret;

	cJSON_ArrayForEach(node, list) {
		ret = parse_type(p, node, NODE_STRING);
		if (!ret)
			ret = parse_word(p, node, what, names, count, &which);
		if (ret)
			return ret;
		*bits |= 1u << which;
	}
	return 0;
}

static int read_exempt(struct parse *p, const cJSON *node)
{
	static const struct key_spec specs[] = {
		{"sites", NODE_ARRAY, false, NULL},    {"threads", NODE_ARRAY, false, NULL},
		{"syscalls", NODE_ARRAY, false, NULL}, {"kinds", NODE_ARRAY, false, NULL},
		{"frames", NODE_ARRAY, false, NULL},   {"polls", NODE_ARRAY, false, NULL},
	};
	static const char *const kinds[] = {"task", "blocking", "worker"};
	static const char *const polls[] = {"handed_off"};
	struct rule *rule = p->rule;
	unsigned handed_off = 0;
	const cJSON *v[6];
	int ret;

	if (!node)
		return 0;
	ret = parse_object(p, node, specs, 6, v);
	if (!ret)
		ret = read_strings(p, v[0], rule->exempt_sites, &rule->exempt_sites_count);
	if (!ret)
		ret = read_strings(p, v[1], rule->exempt_threads, &rule->exempt_threads_count);
	if (!ret)
		ret = read_strings(p, v[2], rule->exempt_syscalls, &rule->exempt_syscalls_count);
	if (!ret)
		ret = parse_syscalls(p, v[2]);
	if (!ret)
		ret = read_words(p, v[3], "kind", kinds, 3, &rule->exempt_kinds);
	if (!ret)
		ret = read_strings(p, v[4], rule->exempt_frames, &rule->exempt_frames_count);
	if (!ret)
		ret = read_words(p, v[5], "sort of poll", polls, 1, &handed_off);
	rule->exempt_handed_off = handed_off;
	if (!ret && v[4] && !rule->stack)
		return text_fail(&p->text, p->err, text_key(&p->text, v[4]),
				 "\"frames\" needs stacks; add \"stack\": \"any\" to the rule");
	return ret;
}

/* Other rules by their ids; `self` says what is wrong with the rule's own. */
static int read_rule_names(struct parse *p, const cJSON *list, struct rule_name *names,
			   uint32_t *count, const char *self)
{
	const cJSON *node;
	int ret;

	cJSON_ArrayForEach(node, list) {
		struct rule_name *name = &names[*count];

		ret = parse_type(p, node, NODE_STRING);
		if (ret)
			return ret;
		if (*count == RULE_UNLESS)
			return text_fail(&p->text, p->err, text_value(&p->text, node),
					 "more than %d rules; use fewer", RULE_UNLESS);
		if (!strcmp(node->valuestring, p->rule->id))
			return parse_fail(p, node, self);
		name->id = parse_copy(p, node);
		text_line_column(&p->text, text_value(&p->text, node), &name->line, &name->column);
		++*count;
	}
	return 0;
}

static int read_example(struct parse *p, const cJSON *node)
{
	static const struct key_spec specs[] = {
		{"before", NODE_STRING, true, "\"before\": \"the code with the fault\""},
		{"after", NODE_STRING, true, "\"after\": \"the code without it\""},
	};
	const cJSON *v[2];
	int ret;

	if (!node)
		return 0;
	ret = parse_object(p, node, specs, 2, v);
	if (ret)
		return ret;
	p->rule->example_before = parse_copy(p, v[0]);
	p->rule->example_after = parse_copy(p, v[1]);
	return 0;
}

enum {
	KEY_ID,
	KEY_TITLE,
	KEY_WHY,
	KEY_ENABLED,
	KEY_GROUP,
	KEY_PARAMS,
	KEY_CASES,
	KEY_UNLESS,
	KEY_CAUSED_BY,
	KEY_EXEMPT,
	KEY_STACK,
	KEY_CALLS,
	KEY_ONLY_CALLS,
	KEY_ADVICE,
	KEY_EXAMPLE,
	KEY_LINK,
	KEY_COUNT
};

static const struct key_spec rule_keys[KEY_COUNT] = {
	[KEY_ID] = {"id", NODE_STRING, true, "\"id\": \"my-rule\""},
	[KEY_TITLE] = {"title", NODE_STRING, true, "\"title\": \"what is wrong, in a few words\""},
	[KEY_WHY] = {"why", NODE_STRING, true, "\"why\": \"what it costs the program\""},
	[KEY_ENABLED] = {"enabled", NODE_BOOL, false, NULL},
	[KEY_GROUP] = {"group", NODE_STRING, false, NULL},
	[KEY_PARAMS] = {"params", NODE_OBJECT, false, NULL},
	[KEY_CASES] = {"cases", NODE_ARRAY, true,
		       "\"cases\": [{\"scope\": ..., \"severity\": ..., \"message\": ...}]"},
	[KEY_UNLESS] = {"unless", NODE_ARRAY, false, NULL},
	[KEY_CAUSED_BY] = {"caused_by", NODE_ARRAY, false, NULL},
	[KEY_EXEMPT] = {"exempt", NODE_OBJECT, false, NULL},
	[KEY_STACK] = {"stack", NODE_STRING, false, NULL},
	[KEY_CALLS] = {"calls", NODE_ANY, false, NULL},
	[KEY_ONLY_CALLS] = {"only_calls", NODE_ANY, false, NULL},
	[KEY_ADVICE] = {"advice", NODE_STRING, true, "\"advice\": \"what to change\""},
	[KEY_EXAMPLE] = {"example", NODE_OBJECT, false, NULL},
	[KEY_LINK] = {"link", NODE_STRING, false, NULL},
};

static int read_head(struct parse *p, const cJSON *const *v)
{
	static const char *const groups[] = {"site", "worker", "runtime", "target"};
	struct rule *rule = p->rule;
	size_t group = GROUP_SITE;
	int ret = check_name(p, v[KEY_ID]->valuestring, text_value(&p->text, v[KEY_ID]), '-');

	if (!ret)
		ret = parse_line(p, v[KEY_TITLE], 100);
	if (!ret)
		ret = parse_line(p, v[KEY_WHY], 1000);
	if (!ret)
		ret = parse_line(p, v[KEY_ADVICE], 2000);
	if (!ret && v[KEY_LINK])
		ret = parse_line(p, v[KEY_LINK], 200);
	if (!ret && v[KEY_GROUP])
		ret = parse_word(p, v[KEY_GROUP], "group", groups, 4, &group);
	if (ret)
		return ret;
	rule->group = (enum rule_group)group;
	rule->enabled = !v[KEY_ENABLED] || cJSON_IsTrue(v[KEY_ENABLED]);
	rule->id = parse_copy(p, v[KEY_ID]);
	text_line_column(&p->text, text_value(&p->text, v[KEY_ID]), &rule->id_line,
			 &rule->id_column);
	rule->title = parse_copy(p, v[KEY_TITLE]);
	rule->why = parse_copy(p, v[KEY_WHY]);
	rule->advice = parse_copy(p, v[KEY_ADVICE]);
	rule->link = parse_copy(p, v[KEY_LINK]);
	return 0;
}

static int read_cases(struct parse *p, const cJSON *list)
{
	const cJSON *node;
	int ret;

	if (!list->child)
		return parse_fail(p, list, "a rule without a case finds nothing; write one");
	cJSON_ArrayForEach(node, list) {
		if (p->rule->cases_count == RULE_CASES)
			return text_fail(&p->text, p->err, text_value(&p->text, node),
					 "more than %d cases; write a second rule", RULE_CASES);
		ret = parse_case(p, node);
		if (ret)
			return ret;
	}
	return 0;
}

/* A parameter without a use is nearly always a typing error elsewhere. */
static int check_used(struct parse *p, const cJSON *params)
{
	const cJSON *node;
	uint32_t i = 0;

	cJSON_ArrayForEach(node, params) {
		if (!p->rule->params[i++].referenced)
			return text_fail(
				&p->text, p->err, text_key(&p->text, node),
				"nothing uses the parameter \"%s\"; write \"$%s\" where it counts",
				node->string, node->string);
	}
	return 0;
}

static int read_rule(struct parse *p)
{
	const cJSON *v[KEY_COUNT];
	int ret = parse_object(p, p->text.root, rule_keys, KEY_COUNT, v);

	if (!ret)
		ret = read_head(p, v);
	if (!ret)
		ret = read_params(p, v[KEY_PARAMS]);
	if (!ret)
		ret = read_cases(p, v[KEY_CASES]);
	if (!ret)
		ret = check_used(p, v[KEY_PARAMS]);
	if (!ret)
		ret = read_rule_names(p, v[KEY_UNLESS], p->rule->unless, &p->rule->unless_count,
				      "a rule cannot give way to itself; remove this");
	if (!ret)
		ret = read_rule_names(p, v[KEY_CAUSED_BY], p->rule->causes, &p->rule->causes_count,
				      "a rule cannot be its own cause; remove this");
	if (!ret)
		ret = parse_stack(p, v[KEY_STACK]);
	if (!ret)
		ret = parse_calls(p, v[KEY_CALLS]);
	if (!ret)
		ret = parse_only_calls(p, v[KEY_ONLY_CALLS], v[KEY_CALLS]);
	if (!ret)
		ret = read_exempt(p, v[KEY_EXEMPT]);
	if (!ret)
		ret = read_example(p, v[KEY_EXAMPLE]);
	return ret;
}

int rule_parse(const char *file, const char *s, size_t len, struct rule **out, struct err *err)
{
	struct parse p = {.err = err};
	int ret = text_open(&p.text, file, s, len, err);

	*out = NULL;
	if (ret)
		return ret;
	p.rule = xcalloc(1, sizeof(*p.rule));
	p.rule->file = rule_own(p.rule, xstrdup(file));
	ret = read_rule(&p);
	text_close(&p.text);
	if (ret) {
		rule_free(p.rule);
		return ret;
	}
	*out = p.rule;
	return 0;
}

void rule_free(struct rule *rule)
{
	if (!rule)
		return;
	for (size_t i = 0; i < rule->owned_count; i++)
		free(rule->owned[i]);
	free(rule->owned);
	free(rule);
}

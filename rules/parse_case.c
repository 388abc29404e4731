// SPDX-License-Identifier: LGPL-2.1-or-later
/* Values, conditions and cases of a rule file. */
#include "rules/parse.h"

#include <stdio.h>
#include <string.h>

/* --- values --------------------------------------------------------------------- */

int parse_literal(struct parse *p, const cJSON *node, const char *want, enum value_kind *kind,
		  double *value)
{
	if (cJSON_IsBool(node)) {
		*kind = VALUE_BOOL;
		*value = cJSON_IsTrue(node);
		return 0;
	}
	if (cJSON_IsNumber(node)) {
		*kind = VALUE_NUMBER;
		*value = node->valuedouble;
		if (*value < 0 || *value > 1e15)
			return parse_fail(p, node, "the number is out of range; use 0 to 1e15");
		return 0;
	}
	if (!cJSON_IsString(node))
		return text_fail(&p->text, p->err, text_value(&p->text, node),
				 "a value is needed here: %s", want);
	if (value_parse_text(node->valuestring, kind, value)) {
		bool bare = *node->valuestring &&
			    !node->valuestring[strspn(node->valuestring, "0123456789.")];

		return text_fail(&p->text, p->err, text_value(&p->text, node),
				 "\"%.40s\" %s; write %s", node->valuestring,
				 bare ? "has no unit" : "is not a value", want);
	}
	return 0;
}

static int read_param_ref(struct parse *p, const cJSON *node, struct operand *op)
{
	const char *names[RULE_PARAMS], *near, *key = node->valuestring + 1;

	for (uint32_t i = 0; i < p->rule->params_count; i++) {
		names[i] = p->rule->params[i].key;
		if (strcmp(names[i], key))
			continue;
		*op = (struct operand){.from = OPERAND_PARAM, .param = (int)i};
		return 0;
	}
	near = nearest(key, names, p->rule->params_count);
	return text_fail(&p->text, p->err, text_value(&p->text, node),
			 "no parameter \"%.40s\" in \"params\"%s%s%s", key,
			 near ? "; did you mean $" : "; add it there", near ? near : "",
			 near ? "?" : "");
}

static int fail_unit(struct parse *p, const cJSON *node, const char *what, enum field_unit unit,
		     enum value_kind kind)
{
	return text_fail(&p->text, p->err, text_value(&p->text, node),
			 "wrong unit: %s takes %s; this is %s", what, value_unit_example(unit),
			 value_kind_example(kind));
}

/* A literal or $parameter that must suit the unit. `field` is what it is compared with, or NULL. */
static int read_operand(struct parse *p, const cJSON *node, const char *what, enum field_unit unit,
			const struct field *field, struct operand *op)
{
	enum value_kind kind;
	struct param *param;
	int ret;

	if (cJSON_IsString(node) && node->valuestring[0] == '$') {
		ret = read_param_ref(p, node, op);
		if (ret)
			return ret;
		param = &p->rule->params[op->param];
		param->referenced = true;
		if (field && !param->used)
			param->used = field;
		kind = param->kind;
	} else {
		op->from = OPERAND_CONST;
		ret = parse_literal(p, node, value_unit_example(unit), &kind, &op->value);
		if (ret)
			return ret;
	}
	return value_fits(kind, unit) ? 0 : fail_unit(p, node, what, unit, kind);
}

/* --- fields and conditions -------------------------------------------------------- */

static int read_field(struct parse *p, const cJSON *node, enum rule_scope scope,
		      const struct field **out)
{
	const char *names[128], *near;
	const struct field *f = field_find(node->valuestring);
	size_t n = 0;

	if (f && !field_in_scope(f, scope))
		return text_fail(
			&p->text, p->err, text_value(&p->text, node),
			"the field \"%s\" is not there in scope \"%s\"; change one of them",
			f->name, scope_name(scope));
	*out = f;
	if (f)
		return 0;
	for (size_t i = 0; i < fields_count && n < 128; i++)
		if (field_in_scope(&fields[i], scope))
			names[n++] = fields[i].name;
	near = nearest(node->valuestring, names, n);
	return text_fail(&p->text, p->err, text_value(&p->text, node),
			 "unknown field \"%.48s\"; %s%s%s", node->valuestring,
			 near ? "did you mean \"" : "see docs/rules.md", near ? near : "",
			 near ? "\"?" : " for their names");
}

/* {"field": "site.poll_p99", "times": 20} */
static int read_field_operand(struct parse *p, const cJSON *node, enum rule_scope scope,
			      const struct field *left, struct operand *op)
{
	static const struct key_spec specs[] = {
		{"field", NODE_STRING, true, "\"field\": \"site.poll_p99\""},
		{"times", NODE_NUMBER, false, NULL},
	};
	const cJSON *v[2];
	int ret = parse_object(p, node, specs, 2, v);

	if (ret)
		return ret;
	op->from = OPERAND_FIELD;
	op->value = v[1] ? v[1]->valuedouble : 1;
	if (op->value < 0 || op->value > 1e9)
		return parse_fail(p, v[1], "the factor is out of range; use 0 to 1e9");
	ret = read_field(p, v[0], scope, &op->field);
	if (ret)
		return ret;
	if (op->field->unit != left->unit)
		return text_fail(
			&p->text, p->err, text_value(&p->text, v[0]),
			"wrong unit: \"%s\" is in %s, \"%s\" in %s; compare like with like",
			left->name, field_unit_name(left->unit), op->field->name,
			field_unit_name(op->field->unit));
	return 0;
}

static int read_cond(struct parse *p, const cJSON *node, struct rule_case *rc, struct cond *cond)
{
	static const struct key_spec specs[] = {
		{"field", NODE_STRING, true, "\"field\": \"poll.blocked\""},
		{"op", NODE_STRING, true, "\"op\": \">=\""},
		{"value", NODE_ANY, true, "\"value\": \"10ms\""},
	};
	const cJSON *v[3];
	size_t op;
	int ret = parse_object(p, node, specs, 3, v);

	if (!ret)
		ret = read_field(p, v[0], rc->scope, &cond->field);
	if (!ret)
		ret = parse_word(p, v[1], "operator", cond_ops, 6, &op);
	if (ret)
		return ret;
	cond->op = (uint8_t)op;
	if (cond->field->unit == UNIT_BOOL && op < 4)
		return parse_fail(p, v[1], "yes or no has no order; use == or !=");
	if (!case_show(rc, cond->field))
		return text_fail(&p->text, p->err, text_value(&p->text, v[0]),
				 "the case uses more than %d different fields; use fewer",
				 FINDING_VALUES);
	if (cJSON_IsObject(v[2]))
		return read_field_operand(p, v[2], rc->scope, cond->field, &cond->rhs);
	return read_operand(p, v[2], cond->field->name, cond->field->unit, cond->field, &cond->rhs);
}

/* A condition, or {"any": [condition, ...]}. */
static int read_clause(struct parse *p, const cJSON *node, struct rule_case *rc,
		       struct clause *clause)
{
	static const struct key_spec specs[] = {{"any", NODE_ARRAY, true, "\"any\": [ ... ]"}};
	const cJSON *list, *one;
	int ret;

	if (!cJSON_IsObject(node) || !node->child || strcmp(node->child->string, "any") != 0) {
		clause->count = 1;
		return read_cond(p, node, rc, &clause->conds[0]);
	}
	ret = parse_object(p, node, specs, 1, &list);
	if (ret)
		return ret;
	if (!list->child)
		return parse_fail(p, list, "an empty list never holds; name a condition");
	cJSON_ArrayForEach(one, list) {
		if (clause->count == CLAUSE_CONDS)
			return text_fail(&p->text, p->err, text_value(&p->text, one),
					 "more than %d alternatives; use fewer", CLAUSE_CONDS);
		ret = read_cond(p, one, rc, &clause->conds[clause->count++]);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_when(struct parse *p, const cJSON *list, struct rule_case *rc, struct level *level)
{
	const cJSON *one;
	int ret;

	if (!list->child)
		return parse_fail(p, list, "an empty list always holds; name a condition");
	cJSON_ArrayForEach(one, list) {
		if (level->count == LEVEL_CLAUSES)
			return text_fail(&p->text, p->err, text_value(&p->text, one),
					 "more than %d conditions; use fewer", LEVEL_CLAUSES);
		ret = read_clause(p, one, rc, &level->when[level->count++]);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_level(struct parse *p, const cJSON *node, struct rule_case *rc)
{
	static const struct key_spec specs[] = {
		{"level", NODE_STRING, true, "\"level\": \"warning\""},
		{"when", NODE_ARRAY, true,
		 "\"when\": [{\"field\": ..., \"op\": ..., \"value\": ...}]"},
	};
	static const char *const names[] = {"info", "warning", "critical"};
	struct level *level = &rc->levels[rc->levels_count];
	const cJSON *v[2];
	size_t severity;
	int ret = parse_object(p, node, specs, 2, v);

	if (!ret)
		ret = parse_word(p, v[0], "level", names, 3, &severity);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < rc->levels_count; i++)
		if (rc->levels[i].severity == severity)
			return parse_fail(p, v[0],
					  "this level is here twice; join them with \"any\"");
	rc->levels_count++;
	level->severity = (enum severity)severity;
	return read_when(p, v[1], rc, level);
}

/* --- cases ------------------------------------------------------------------------ */

static int read_time(struct parse *p, const cJSON *node, double otherwise, struct operand *op)
{
	*op = (struct operand){.from = OPERAND_CONST, .value = otherwise};
	return node ? read_operand(p, node, node->string, UNIT_NS, NULL, op) : 0;
}

static int read_measure(struct parse *p, const cJSON *node, struct rule_case *rc)
{
	int ret;

	rc->measure = rc->levels[0].when[0].conds[0].field;
	if (rc->scope == SCOPE_POLL && (!rc->measure->poll_length))
		rc->measure = field_find("poll.length");
	if (node) {
		ret = read_field(p, node, rc->scope, &rc->measure);
		if (ret)
			return ret;
		if (rc->scope == SCOPE_POLL && rc->measure->unit != UNIT_NS)
			return parse_fail(
				p, node,
				"a poll is measured by a duration, such as \"poll.length\"");
	}
	if (!case_show(rc, rc->measure))
		return text_fail(&p->text, p->err, text_value(&p->text, node ? node : p->text.root),
				 "the case uses more than %d different fields; use fewer",
				 FINDING_VALUES);
	return 0;
}

/* A group must follow from what the case looks at. */
static int check_group(struct parse *p, const cJSON *node, enum rule_scope scope)
{
	static const unsigned has[] = {
		[SCOPE_POLL] = 1 << GROUP_SITE | 1 << GROUP_WORKER | 1 << GROUP_RUNTIME |
			       1 << GROUP_TARGET,
		[SCOPE_SITE] = 1 << GROUP_SITE | 1 << GROUP_TARGET,
		[SCOPE_WORKER] = 1 << GROUP_WORKER | 1 << GROUP_RUNTIME | 1 << GROUP_TARGET,
		[SCOPE_RUNTIME] = 1 << GROUP_RUNTIME | 1 << GROUP_TARGET,
		[SCOPE_TARGET] = 1 << GROUP_TARGET,
	};
	static const char *const names[] = {"site", "worker", "runtime", "target"};

	if (has[scope] >> p->rule->group & 1)
		return 0;
	return text_fail(
		&p->text, p->err, text_value(&p->text, node),
		"scope \"%s\" does not tell the %s; change the scope or \"group\" (now \"%s\")",
		scope_name(scope), names[p->rule->group], names[p->rule->group]);
}

static int read_case_body(struct parse *p, struct rule_case *rc, const cJSON *const *v)
{
	const cJSON *one;
	int ret = 0;

	if (!v[1]->child)
		return parse_fail(p, v[1],
				  "no level; write {\"level\": \"warning\", \"when\": [ ... ]}");
	cJSON_ArrayForEach(one, v[1]) {
		if (rc->levels_count == CASE_LEVELS)
			return parse_fail(p, one,
					  "there are three levels: info, warning, critical");
		ret = read_level(p, one, rc);
		if (ret)
			return ret;
	}
	if (v[3] && rc->scope == SCOPE_POLL)
		return text_fail(
			&p->text, p->err, text_key(&p->text, v[3]),
			"\"for\" has no sense in scope \"poll\"; compare poll.length instead");
	if (v[7] && rc->scope == SCOPE_POLL)
		return text_fail(&p->text, p->err, text_key(&p->text, v[7]),
				 "\"while\" has no sense in scope \"poll\": a poll ends by itself");
	ret = v[7] ? read_when(p, v[7], rc, &rc->stays) : 0;
	if (!ret)
		ret = read_time(p, v[3], 0, &rc->hold);
	if (!ret)
		ret = read_time(p, v[4], 5e9, &rc->window);
	if (!ret)
		ret = read_time(p, v[5], rc->scope == SCOPE_POLL ? 0 : 2e9, &rc->close_after);
	if (!ret)
		ret = read_measure(p, v[6], rc);
	return ret;
}

int parse_case(struct parse *p, const cJSON *node)
{
	static const struct key_spec specs[] = {
		{"scope", NODE_STRING, true, "\"scope\": \"poll\""},
		{"severity", NODE_ARRAY, true,
		 "\"severity\": [{\"level\": \"warning\", \"when\": [ ... ]}]"},
		{"message", NODE_STRING, true, "\"message\": \"{site} ...\""},
		{"for", NODE_ANY, false, NULL},
		{"window", NODE_ANY, false, NULL},
		{"close_after", NODE_ANY, false, NULL},
		{"measure", NODE_STRING, false, NULL},
		{"while", NODE_ARRAY, false, NULL},
	};
	static const char *const scopes[] = {"poll", "site", "worker", "runtime", "target"};
	struct rule_case *rc = &p->rule->cases[p->rule->cases_count++];
	const cJSON *v[8];
	size_t scope;
	int ret = parse_object(p, node, specs, 8, v);

	if (!ret)
		ret = parse_word(p, v[0], "scope", scopes, 5, &scope);
	if (ret)
		return ret;
	rc->scope = (enum rule_scope)scope;
	ret = check_group(p, v[0], rc->scope);
	if (!ret)
		ret = read_case_body(p, rc, v);
	if (!ret)
		ret = parse_line(p, v[2], 400);
	if (!ret) {
		struct case_build build = {&p->text, v[2], p->rule, rc};

		ret = message_compile(&build, p->err);
	}
	return ret;
}

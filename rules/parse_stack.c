// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a rule file says of stacks: which kind, and the well-known calls. */
#include "rules/parse.h"

#include "util/syscall.h"

int parse_stack(struct parse *p, const cJSON *node)
{
	static const char *const names[] = {"off_cpu", "on_cpu", "any", "refcount"};
	size_t want;
	int ret;

	if (!node)
		return 0;
	ret = parse_word(p, node, "kind of stack", names, 4, &want);
	if (!ret)
		p->rule->stack = (enum stack_want)(want + STACK_WANT_OFF_CPU);
	return ret;
}

static int add_call(struct parse *p, const cJSON *node, bool by_syscall, const char *advice,
		    const char *runtimes)
{
	struct rule_call *call = &p->rule->calls[p->rule->calls_count];
	int ret = parse_type(p, node, NODE_STRING);

	if (!ret)
		ret = parse_line(p, node, 200);
	if (ret)
		return ret;
	if (p->rule->calls_count == RULE_CALLS)
		return text_fail(&p->text, p->err, text_value(&p->text, node),
				 "more than %d calls; use patterns with *", RULE_CALLS);
	*call = (struct rule_call){.syscall = -1, .advice = advice, .runtimes = runtimes};
	if (by_syscall)
		call->syscall = syscall_number(node->valuestring);
	else
		call->name = parse_copy(p, node);
	p->rule->calls_count++;
	return 0;
}

static int read_call(struct parse *p, const cJSON *node)
{
	static const struct key_spec specs[] = {
		{"call", NODE_ARRAY, false, NULL},
		{"syscall", NODE_ARRAY, false, NULL},
		{"advice", NODE_STRING, true, "\"advice\": \"what to write in its place\""},
		{"runtime", NODE_STRING, false, NULL},
	};
	const cJSON *v[4], *one;
	const char *advice, *runtimes;
	int ret = parse_object(p, node, specs, 4, v);

	if (!ret)
		ret = parse_line(p, v[2], 300);
	if (!ret && v[3])
		ret = parse_line(p, v[3], 200);
	if (!ret && !v[0] && !v[1])
		return parse_fail(p, node,
				  "no call; write \"call\": [\"std::thread::sleep\"] or "
				  "\"syscall\": [\"flock\"]");
	if (!ret && v[1])
		ret = parse_syscalls(p, v[1]);
	if (ret)
		return ret;
	advice = parse_copy(p, v[2]);
	runtimes = parse_copy(p, v[3]);
	for (size_t i = 0; i < 2; i++)
		cJSON_ArrayForEach(one, v[i]) {
			ret = add_call(p, one, i == 1, advice, runtimes);
			if (ret)
				return ret;
		}
	return 0;
}

int parse_calls(struct parse *p, const cJSON *node)
{
	struct rule_name *from = &p->rule->calls_from;
	const cJSON *one;
	int ret;

	if (!node)
		return 0;
	if (!p->rule->stack)
		return text_fail(&p->text, p->err, text_key(&p->text, node),
				 "\"calls\" needs stacks; add \"stack\": \"any\" to the rule");
	if (cJSON_IsString(node)) {
		from->id = parse_copy(p, node);
		text_line_column(&p->text, text_value(&p->text, node), &from->line, &from->column);
		return 0;
	}
	ret = parse_type(p, node, NODE_ARRAY);
	if (ret)
		return ret;
	cJSON_ArrayForEach(one, node) {
		ret = read_call(p, one);
		if (ret)
			return ret;
	}
	return 0;
}

int parse_only_calls(struct parse *p, const cJSON *node, const cJSON *calls)
{
	static const char *const names[] = {"foreign"};
	size_t want;
	int ret;

	if (!node || cJSON_IsFalse(node))
		return 0;
	p->rule->only_calls = CALLS_ONLY;
	if (!cJSON_IsTrue(node)) {
		ret = parse_type(p, node, NODE_STRING);
		if (!ret)
			ret = parse_word(p, node, "calls", names, 1, &want);
		if (ret)
			return ret;
		p->rule->only_calls = CALLS_FOREIGN;
	}
	if (!calls)
		return text_fail(&p->text, p->err, text_key(&p->text, node),
				 "\"only_calls\" needs \"calls\": a list, or the id of a rule");
	return 0;
}

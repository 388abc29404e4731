// SPDX-License-Identifier: LGPL-2.1-or-later
/* The rule set: built-in rules, files, folders, --set, and what is asked about rules. */
#include "rules/rule_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rules_builtin.h"
#include "util/fmt.h"
#include "util/xalloc.h"

#define FILES_MAX 256 /* *.json of one folder */

/* Below this a source reports polls only when the user asks for them. */
#define POLL_FLOOR_NS 1000000ULL

const char *severity_name(enum severity severity)
{
	static const char *const names[] = {"info", "warning", "critical"};

	return names[severity];
}

const char *evidence_name(enum evidence evidence)
{
	static const char *const names[] = {"traced", "sampled", "inferred"};

	return names[evidence];
}

struct rules *rules_new(void)
{
	struct rules *rules = xcalloc(1, sizeof(*rules));

	rules->judge = judge_new();
	return rules;
}

void rules_forget(struct rules *rules)
{
	judge_free(rules->judge);
	rules->judge = judge_new();
}

void rules_free(struct rules *rules)
{
	if (!rules)
		return;
	for (uint32_t i = 0; i < rules->count; i++)
		rule_free(rules->list[i]);
	judge_free(rules->judge);
	free(rules);
}

static struct rule *find(const struct rules *rules, const char *id)
{
	for (uint32_t i = 0; i < rules->count; i++)
		if (!strcmp(rules->list[i]->id, id))
			return rules->list[i];
	return NULL;
}

int rules_add_text(struct rules *rules, const char *file, const char *s, size_t len,
		   uint64_t *loaded, struct err *err)
{
	struct rule *rule, *old;
	int ret = rule_parse(file, s, len, &rule, err);

	if (ret)
		return ret;
	old = find(rules, rule->id);
	if (old && *loaded >> old->index & 1)
		ret = err_set(err, -EINVAL,
			      "%s:%u:%u: the id \"%s\" is already that of %s; rename one", file,
			      rule->id_line, rule->id_column, rule->id, old->file);
	else if (!old && rules->count == RULES_MAX)
		ret = err_set(err, -EINVAL, "%s:1:1: more than %d rules; remove some", file,
			      RULES_MAX);
	if (ret) {
		rule_free(rule);
		return ret;
	}
	rule->text = rule_own(rule, xstrndup(s, len));
	rule->text_len = strlen(rule->text);
	rule->index = old ? old->index : rules->count++;
	rules->list[rule->index] = rule;
	*loaded |= 1ULL << rule->index;
	rule_free(old);
	return 0;
}

static int resolve_name(const struct rules *rules, const struct rule *rule,
			const struct rule_name *name, const struct rule **out, struct err *err)
{
	*out = find(rules, name->id);
	if (*out)
		return 0;
	return err_set(err, -EINVAL, "%s:%u:%u: no rule \"%s\"; name one of stalltop rules list",
		       rule->file, name->line, name->column, name->id);
}

static int resolve_rule(const struct rules *rules, struct rule *rule, struct err *err)
{
	const struct rule *other;
	int ret = 0;

	rule->unless_mask = 0;
	for (uint32_t i = 0; i < rule->unless_count && !ret; i++) {
		ret = resolve_name(rules, rule, &rule->unless[i], &other, err);
		if (!ret)
			rule->unless_mask |= 1ULL << other->index;
	}
	for (uint32_t i = 0; i < rule->causes_count && !ret; i++)
		ret = resolve_name(rules, rule, &rule->causes[i], &rule->cause_rules[i], err);
	rule->calls_rule = NULL;
	if (!ret && rule->calls_from.id)
		ret = resolve_name(rules, rule, &rule->calls_from, &rule->calls_rule, err);
	return ret;
}

/*
 * How many others lie behind each, the longest way: each round moves it behind one more of those
 * in its mask. Where that does not end, they stand in a circle: returns one of these, else NULL.
 */
static const struct rule *order_by(const struct rules *rules, const uint64_t masks[RULES_MAX],
				   uint32_t turns[RULES_MAX])
{
	const struct rule *moved = NULL;

	memset(turns, 0, RULES_MAX * sizeof(turns[0]));
	for (uint32_t round = 0; round <= rules->count; round++) {
		moved = NULL;
		for (uint32_t i = 0; i < rules->count; i++)
			for (uint32_t k = 0; k < rules->count; k++) {
				if (!(masks[i] >> k & 1) || turns[i] > turns[k])
					continue;
				turns[i] = turns[k] + 1;
				moved = rules->list[i];
			}
		if (!moved)
			return NULL;
	}
	return moved;
}

static int circle(const struct rule *rule, const struct rule_name *name, const char *what,
		  const char *key, struct err *err)
{
	return err_set(err, -EINVAL, "%s:%u:%u: %s of %s; remove one from \"%s\"", rule->file,
		       name->line, name->column, what, rule->id, key);
}

/* A rule is judged after those that it gives way to. */
static int order_rules(const struct rules *rules, struct err *err)
{
	uint64_t unless[RULES_MAX] = {0}, causes[RULES_MAX] = {0};
	uint32_t turns[RULES_MAX];
	const struct rule *bad;

	for (uint32_t i = 0; i < rules->count; i++) {
		const struct rule *rule = rules->list[i];

		unless[i] = rule->unless_mask;
		for (uint32_t k = 0; k < rule->causes_count; k++)
			causes[i] |= 1ULL << rule->cause_rules[k]->index;
	}
	bad = order_by(rules, causes, turns);
	if (bad)
		return circle(bad, &bad->causes[0], "there is a circle in the causes", "caused_by",
			      err);
	bad = order_by(rules, unless, turns);
	if (bad)
		return circle(bad, &bad->unless[0], "some rules give way to each other, with those",
			      "unless", err);
	for (uint32_t i = 0; i < rules->count; i++)
		rules->list[i]->turn = turns[i];
	return 0;
}

int rules_resolve(struct rules *rules, struct err *err)
{
	int ret = 0;

	for (uint32_t i = 0; i < rules->count && !ret; i++)
		ret = resolve_rule(rules, rules->list[i], err);
	return ret ? ret : order_rules(rules, err);
}

int rules_load_builtin(struct rules **out, struct err *err)
{
	struct rules *rules = rules_new();
	uint64_t loaded = 0;
	int ret = 0;

	for (size_t i = 0; i < rules_builtin_count && !ret; i++) {
		char name[96];

		snprintf(name, sizeof(name), "%s.json", rules_builtin[i].name);
		ret = rules_add_text(rules, name, rules_builtin[i].text, rules_builtin[i].len,
				     &loaded, err);
		if (!ret) {
			rules->list[rules->count - 1]->builtin = true;
			rules->list[rules->count - 1]->file = "built-in";
		}
	}
	if (!ret)
		ret = rules_resolve(rules, err);
	if (ret) {
		rules_free(rules);
		rules = NULL;
	}
	*out = rules;
	return ret;
}

int rules_load_texts(struct rules *rules, const struct rule_source *list, size_t count,
		     struct err *err)
{
	uint64_t loaded = 0;
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++)
		ret = rules_add_text(rules, list[i].name, list[i].text, list[i].len, &loaded, err);
	return ret ? ret : rules_resolve(rules, err);
}

bool rules_source(const struct rules *rules, size_t i, struct rule_source *out)
{
	const struct rule *rule = rules->list[i];

	*out = (struct rule_source){rule->file, rule->text, rule->text_len};
	return !rule->builtin;
}

/* --- files ------------------------------------------------------------------------ */

/* The whole file, or one byte more than a rule may have: text_open() names that mistake. */
static int read_file(const char *path, char **text, size_t *len, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		ret = err_set(err, -errno, "%s: %s", path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		ret = err_set(err, -EINVAL,
			      "%s:1:1: not a file; give a rule file or a folder of *.json", path);
		goto out;
	}
	*text = xmalloc(TEXT_MAX_BYTES + 1);
	*len = 0;
	while (*len < TEXT_MAX_BYTES + 1) {
		ssize_t n = read(fd, *text + *len, TEXT_MAX_BYTES + 1 - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			ret = err_set(err, -errno, "%s: %s", path, strerror(errno));
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
out:
	if (fd >= 0)
		close(fd);
	return ret;
}

static int load_file(struct rules *rules, const char *path, uint64_t *loaded, struct err *err)
{
	char *text = NULL;
	size_t len = 0;
	int ret = read_file(path, &text, &len, err);

	if (!ret)
		ret = rules_add_text(rules, path, text, len, loaded, err);
	free(text);
	return ret;
}

static int is_rule_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && !strcmp(entry->d_name + len - 5, ".json");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_folder(struct rules *rules, const char *path, uint64_t *loaded, struct err *err)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, is_rule_file, by_name), ret = 0;

	if (n < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!n)
		ret = err_set(err, -EINVAL,
			      "%s:1:1: no *.json in this folder; put a rule file there", path);
	if (n > FILES_MAX)
		ret = err_set(err, -EINVAL,
			      "%s:1:1: more than %d files; at most %d rules can be loaded", path,
			      FILES_MAX, RULES_MAX);
	for (int i = 0; i < n && !ret; i++) {
		char *file = xasprintf("%s/%s", path, names[i]->d_name);

		ret = load_file(rules, file, loaded, err);
		free(file);
	}
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return ret;
}

int rules_load_path(struct rules *rules, const char *path, struct err *err)
{
	uint64_t loaded = 0;
	struct stat st;
	int ret;

	if (stat(path, &st))
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	ret = S_ISDIR(st.st_mode) ? load_folder(rules, path, &loaded, err) :
				    load_file(rules, path, &loaded, err);
	return ret ? ret : rules_resolve(rules, err);
}

/* --- parameters --------------------------------------------------------------------- */

/* Appends "a, b, c". */
static void list_word(char *list, size_t size, const char *word)
{
	size_t len = strlen(list);

	snprintf(list + len, size - len, "%s%s", len ? ", " : "", word);
}

static int set_enabled(struct rule *rule, const char *value, struct err *err)
{
	if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return err_set(err, -EINVAL, "--set %s.enabled takes true or false, not \"%.40s\"",
			       rule->id, value);
	rule->enabled = value[0] == 't';
	return 0;
}

/* A bare number and true or false are not quoted on the command line. */
static int parse_set_value(const char *text, enum value_kind *kind, double *value)
{
	char *end;

	if (!strcmp(text, "true") || !strcmp(text, "false")) {
		*kind = VALUE_BOOL;
		*value = text[0] == 't';
		return 0;
	}
	if (*text && !text[strspn(text, "0123456789.")] && strlen(text) < 16) {
		*kind = VALUE_NUMBER;
		*value = strtod(text, &end);
		return *end ? -EINVAL : 0;
	}
	return value_parse_text(text, kind, value);
}

static int set_param(const struct rule *rule, struct param *param, const char *text,
		     struct err *err)
{
	enum value_kind kind;
	double value;

	if (parse_set_value(text, &kind, &value) || kind != param->kind)
		return err_set(err, -EINVAL, "--set %s.%s needs %s, not \"%.40s\"", rule->id,
			       param->key, value_kind_example(param->kind), text);
	param->value = value;
	param->by_user = true;
	snprintf(param->text, sizeof(param->text), "%s", text);
	return 0;
}

static int no_such_rule(const struct rules *rules, const char *id, struct err *err)
{
	const char *ids[RULES_MAX], *near;

	for (uint32_t i = 0; i < rules->count; i++)
		ids[i] = rules->list[i]->id;
	near = nearest(id, ids, rules->count);
	return err_set(err, -EINVAL,
		       "--set: no rule \"%s\"%s%s%s; stalltop rules list names them all", id,
		       near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

int rules_set(struct rules *rules, const char *assignment, struct err *err)
{
	const char *equal = strchr(assignment, '='), *dot = strchr(assignment, '.');
	char list[192] = "", id[64], key[64];
	struct rule *rule;

	if (!equal || !dot || dot > equal || dot - assignment > 40 || equal - dot > 40)
		return err_set(
			err, -EINVAL,
			"--set takes RULE.KEY=VALUE, such as blocking-call.warning=5ms, not \"%.60s\"",
			assignment);
	snprintf(id, sizeof(id), "%.*s", (int)(dot - assignment), assignment);
	snprintf(key, sizeof(key), "%.*s", (int)(equal - dot - 1), dot + 1);
	rule = find(rules, id);
	if (!rule)
		return no_such_rule(rules, id, err);
	if (!strcmp(key, "enabled"))
		return set_enabled(rule, equal + 1, err);
	for (uint32_t i = 0; i < rule->params_count; i++) {
		if (!strcmp(rule->params[i].key, key))
			return set_param(rule, &rule->params[i], equal + 1, err);
		list_word(list, sizeof(list), rule->params[i].key);
	}
	list_word(list, sizeof(list), "enabled");
	return err_set(err, -EINVAL, "--set: rule %s has no key \"%s\"; its keys are %s", id, key,
		       list);
}

/* The rules that --threshold is about. */
static const char *const threshold_rules[] = {"blocking-call", "cpu-bound-poll"};
#define THRESHOLD_RULES (sizeof(threshold_rules) / sizeof(threshold_rules[0]))

uint64_t rules_threshold_ns(const struct rules *rules)
{
	for (size_t i = 0; i < THRESHOLD_RULES; i++) {
		const struct rule *rule = find(rules, threshold_rules[i]);

		for (uint32_t k = 0; rule && k < rule->params_count; k++)
			if (!strcmp(rule->params[k].key, "warning"))
				return (uint64_t)rule->params[k].value;
	}
	return 0;
}

int rules_set_threshold(struct rules *rules, uint64_t ns, struct err *err)
{
	char text[48];
	int ret;

	if (!ns || ns > 3600 * 1000000000ULL)
		return err_set(err, -EINVAL,
			       "--threshold takes a duration from 1ns to 1h, such as 5ms");
	for (size_t i = 0; i < THRESHOLD_RULES; i++) {
		snprintf(text, sizeof(text), "%s.warning=%lluns", threshold_rules[i],
			 (unsigned long long)ns);
		ret = rules_set(rules, text, err);
		if (ret)
			return ret;
		snprintf(text, sizeof(text), "%s.critical=%lluns", threshold_rules[i],
			 (unsigned long long)ns * 10);
		ret = rules_set(rules, text, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* How long a poll must be at least for this condition; 0: it does not say. */
static double cond_needs(const struct rule *rule, const struct cond *cond, bool *by_user)
{
	bool known;

	if (!cond->field->poll_length || cond->op > 1 || cond->rhs.from == OPERAND_FIELD)
		return 0;
	*by_user |= cond->rhs.from == OPERAND_PARAM ? rule->params[cond->rhs.param].by_user : false;
	return operand_value(rule, &cond->rhs, NULL, &known);
}

/* All clauses must hold, one condition of each. */
static double level_needs(const struct rule *rule, const struct level *level, bool *by_user)
{
	double needs = 0;

	for (uint32_t i = 0; i < level->count; i++) {
		double least = -1;

		for (uint32_t k = 0; k < level->when[i].count; k++) {
			double one = cond_needs(rule, &level->when[i].conds[k], by_user);

			least = least < 0 || one < least ? one : least;
		}
		needs = least > needs ? least : needs;
	}
	return needs;
}

static uint64_t rule_needs(const struct rule *rule)
{
	uint64_t best = UINT64_MAX;

	for (uint32_t i = 0; i < rule->cases_count; i++) {
		const struct rule_case *rc = &rule->cases[i];

		for (uint32_t k = 0; k < rc->levels_count && rc->scope == SCOPE_POLL; k++) {
			bool by_user = !rule->builtin;
			uint64_t needs = (uint64_t)level_needs(rule, &rc->levels[k], &by_user);

			if (!needs || (!by_user && needs < POLL_FLOOR_NS))
				needs = POLL_FLOOR_NS;
			best = needs < best ? needs : best;
		}
	}
	return best;
}

uint64_t rules_poll_threshold_ns(const struct rules *rules)
{
	uint64_t best = UINT64_MAX;

	for (uint32_t i = 0; i < rules->count; i++) {
		uint64_t needs = rules->list[i]->enabled ? rule_needs(rules->list[i]) : UINT64_MAX;

		best = needs < best ? needs : best;
	}
	return best;
}

/* --- questions ---------------------------------------------------------------------- */

size_t rules_count(const struct rules *rules)
{
	return rules->count;
}

static const char *param_unit(const struct param *param)
{
	static const char *const units[] = {[VALUE_NUMBER] = "count",
					    [VALUE_DURATION] = "ns",
					    [VALUE_RATIO] = "ratio",
					    [VALUE_BYTES] = "bytes",
					    [VALUE_BOOL] = "bool"};

	return param->used ? field_unit_name(param->used->unit) : units[param->kind];
}

void rule_info_of(const struct rule *rule, struct rule_info *out)
{
	*out = (struct rule_info){
		.id = rule->id,
		.title = rule->title,
		.why = rule->why,
		.advice = rule->advice,
		.example_before = rule->example_before,
		.example_after = rule->example_after,
		.link = rule->link,
		.file = rule->file,
		.enabled = rule->enabled,
		.scope = rule->cases[0].scope,
		.params_count = rule->params_count,
	};
	for (uint32_t i = 0; i < rule->params_count; i++) {
		out->params[i].key = rule->params[i].key;
		out->params[i].unit = param_unit(&rule->params[i]);
		out->params[i].text = rule->params[i].text;
		out->params[i].meaning = rule->params[i].meaning;
	}
}

void rules_info(const struct rules *rules, size_t i, struct rule_info *out)
{
	rule_info_of(rules->list[i], out);
}

int rules_find(const struct rules *rules, const char *id, struct rule_info *out)
{
	const struct rule *rule = find(rules, id);

	if (!rule)
		return -ENOENT;
	rule_info_of(rule, out);
	return 0;
}

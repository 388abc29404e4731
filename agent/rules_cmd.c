// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stalltop rules`, and the rules that the options of the other commands ask for. */
#include "commands.h"
#include "util/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int load_rules(const struct opts *opts, struct rules **out, struct err *err)
{
	return load_rules_over(opts, NULL, 0, out, err);
}

int load_rules_over(const struct opts *opts, const struct rule_source *recorded, size_t count,
		    struct rules **out, struct err *err)
{
	struct rules *rules = NULL;
	int ret;

	ret = rules_load_builtin(&rules, err);
	if (!ret && count)
		ret = rules_load_texts(rules, recorded, count, err);
	for (size_t i = 0; i < opts->rules.count && !ret; i++)
		ret = rules_load_path(rules, opts->rules.v[i], err);
	if (!ret && opts->threshold_given)
		ret = rules_set_threshold(rules, opts->threshold_ns, err);
	for (size_t i = 0; i < opts->sets.count && !ret; i++)
		ret = rules_set(rules, opts->sets.v[i], err);
	if (ret) {
		rules_free(rules);
		/* Whatever is wrong with a rule is the configuration's fault: exit code 2. */
		err->code = -EINVAL;
		return -EINVAL;
	}
	*out = rules;
	return 0;
}

static const struct table_column columns[] = {
	{"RULE", TABLE_LEFT, 0},
	{"TITLE", TABLE_LEFT, 60},
	{"FROM", TABLE_LEFT, 0},
};

static void list(const struct rules *rules)
{
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	struct rule_info info;
	char *text;

	for (size_t i = 0; i < rules_count(rules); i++) {
		rules_info(rules, i, &info);
		table_cell(table, info.id);
		table_cell(table, info.title);
		table_cell(table, info.file);
	}
	text = table_render(table, 0, 0);
	fputs(text, stdout);
	free(text);
	table_free(table);
}

static int show(const struct rules *rules, const char *id, struct err *err)
{
	struct rule_info info;

	if (rules_find(rules, id, &info))
		return err_set(err, -EINVAL,
			       "there is no rule %s: `stalltop rules list` names "
			       "them",
			       id);
	printf("%s: %s\nfrom: %s\n\n%s\n\nthresholds (--set %s.KEY=VALUE):\n", info.id, info.title,
	       info.file, info.why, info.id);
	for (size_t i = 0; i < info.params_count; i++)
		printf("  %-16s %-8s %s\n", info.params[i].key, info.params[i].text,
		       info.params[i].meaning ? info.params[i].meaning : "");
	printf("\nadvice: %s\n", info.advice);
	if (info.example_before && info.example_after)
		printf("\nbefore:\n%s\n\nafter:\n%s\n", info.example_before, info.example_after);
	if (info.link)
		printf("\n%s\n", info.link);
	return 0;
}

static int check(struct rules *rules, const char *path, struct err *err)
{
	int ret = rules_load_path(rules, path, err);

	if (ret) {
		err->code = -EINVAL;
		return -EINVAL;
	}
	printf("%s: fine\n", path);
	return 0;
}

enum exit_code command_rules(const struct opts *opts)
{
	struct rules *rules = NULL;
	struct err err = {0};
	int ret;

	if (opts->rules_action == RULES_LIST && (opts->pids_count || opts->name || opts->all))
		return command_watch(opts);
	ret = load_rules(opts, &rules, &err);
	if (!ret && opts->rules_action == RULES_LIST)
		list(rules);
	else if (!ret && opts->rules_action == RULES_SHOW)
		ret = show(rules, opts->rules_arg, &err);
	else if (!ret)
		ret = check(rules, opts->rules_arg, &err);
	rules_free(rules);
	return ret ? report_error(&err) : EXIT_FINE;
}

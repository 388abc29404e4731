// SPDX-License-Identifier: LGPL-2.1-or-later
// libFuzzer: any bytes as a rule file, by itself or beside the built-in rules, which it may name then.
// A file that loads is judged over a small model, so that its conditions and its message run too.
// sources: rules/*.c agent/model/*.c agent/core/*.c
// sources: agent/util/err.c agent/util/fmt.c agent/util/map.c agent/util/sanitize.c
// sources: agent/util/syscall.c agent/util/xalloc.c .output/rules_builtin.c agent/target/name_shorten.c
// libs: -lcjson -lm
// seeds: rules/*.json
#include <stdlib.h>
#include <string.h>

#include "rules/rule_impl.h"

#define SEC 1000000000ULL
#define BESIDE 4 /* one size in so many is read beside the others: they take most of the time */

static struct model *model;

static void apply(enum event_kind kind, struct event event)
{
	event.kind = kind;
	event.target = 0;
	if (model_apply(model, &event))
		abort();
}

static void build(void)
{
	model = model_new();
	apply(EV_TARGET, (struct event){.time_ns = SEC, .as_target = {.pid = 1, .comm = "c"}});
	apply(EV_BINARY, (struct event){.as_binary = {.path = "/b", .runtime = "tokio"}});
	apply(EV_RUNTIME, (struct event){.as_runtime = {.workers = 2}});
	apply(EV_SITE, (struct event){.as_site = {.name = "a::b", .size = 64}});
	apply(EV_SITE_STATS, (struct event){.as_site_stats = {.polls = 9,
							      .busy_ns = SEC,
							      .blocked_ns = SEC / 2,
							      .tasks_valid = true}});
	apply(EV_THREAD, (struct event){.as_thread = {.tid = 5,
						      .comm = "w",
						      .worker = true,
						      .site = ID_NONE,
						      .syscall = -1}});
	apply(EV_POLL, (struct event){.time_ns = 2 * SEC,
				      .as_poll = {.tid = 5,
						  .start_ns = SEC,
						  .length_ns = SEC,
						  .blocked_ns = SEC / 2,
						  .worst_block_ns = SEC / 2}});
	apply(EV_POLL_OPEN, (struct event){.time_ns = 4 * SEC,
					   .as_poll = {.tid = 5,
						       .start_ns = 3 * SEC,
						       .length_ns = SEC,
						       .syscall = 230}});
	for (uint64_t i = 4; i < 12; i++)
		apply(EV_TICK, (struct event){.time_ns = i * SEC});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct finding **list;
	struct rules *rules;
	struct err err = {0};
	char *text;

	if (!model)
		build();
	/* An exact copy: a read behind the end is seen. */
	text = malloc(size ? size : 1);
	if (!text)
		abort();
	memcpy(text, data, size);
	if (size % BESIDE)
		rules = rules_new();
	else if (rules_load_builtin(&rules, &err))
		abort();
	if (rules_load_texts(rules, &(struct rule_source){"fuzz.json", text, size}, 1, &err)) {
		/* Every refusal says where. */
		if (strncmp(err.msg, "fuzz.json:", 10) != 0)
			abort();
	} else {
		rules_eval(rules, model);
		for (size_t i = 0; i < rules_findings(rules, &list); i++)
			if (strpbrk(list[i]->message, "\n\033"))
				abort();
	}
	rules_free(rules);
	free(text);
	return 0;
}

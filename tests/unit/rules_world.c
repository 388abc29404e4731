// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rules_world.h"

void world_open(struct world *w)
{
	static const struct ev_site sites[SITES] = {
		{.site = SITE_HANDLER, .kind = SITE_TASK, .name = "shop::handler", .size = 512},
		{.site = SITE_OTHER, .kind = SITE_TASK, .name = "shop::other", .size = 1024},
		{.site = SITE_POOL, .kind = SITE_BLOCKING, .name = "shop::pool_work"},
		{.site = SITE_LOOP, .kind = SITE_WORKER, .name = "worker loop"},
	};

	*w = (struct world){.m = model_new(), .now = T0};
	assert_int_equal(rules_load_builtin(&w->rules, NULL), 0);
	APPLY(w->m, EV_TARGET, T0, 0, .as_target = {.pid = 4711, .comm = "shop", .cpus = 2});
	APPLY(w->m, EV_BINARY, T0, 0, .as_binary = {.path = "/shop", .runtime = "tokio"});
	APPLY(w->m, EV_RUNTIME, T0, 0, .as_runtime = {.flavor = FLAVOR_MULTI_THREAD, .workers = 2});
	for (uint32_t i = 0; i < SITES; i++)
		APPLY(w->m, EV_SITE, T0, 0, .as_site = sites[i]);
	world_tick(w, 0);
}

void world_close(struct world *w)
{
	rules_free(w->rules);
	model_free(w->m);
}

void world_set(struct world *w, const char *assignment)
{
	struct err err = {0};

	if (rules_set(w->rules, assignment, &err))
		fail_msg("%s", err.msg);
}

void world_rule(struct world *w, const char *text)
{
	struct err err = {0};
	uint64_t loaded = 0;

	if (rules_add_text(w->rules, "test.json", text, strlen(text), &loaded, &err) ||
	    rules_resolve(w->rules, &err))
		fail_msg("%s", err.msg);
}

void world_tick(struct world *w, uint64_t ns)
{
	w->now += ns;
	for (uint32_t i = 0; i < 2; i++)
		APPLY(w->m, EV_THREAD, w->now, 0,
		      .as_thread = {
			      .tid = TID_A + i,
			      .comm = "tokio-runtime-w",
			      .state = w->held >> i & 1 ? THREAD_POLLING : THREAD_PARKED,
			      .worker = true,
			      .site = w->held >> i & 1 ? SITE_HANDLER : ID_NONE,
			      .syscall = -1,
			      .parked_syscall = -1,
			      .first_ns = T0,
			      .poll_start_ns =
				      model_worker(w->m, 0, TID_A + i) &&
						      model_worker(w->m, 0, TID_A + i)->open ?
					      model_worker(w->m, 0, TID_A + i)->poll.start_ns :
					      0,
			      .polls = w->polls[i],
			      .busy_ns = w->busy[i],
			      .blocked_ns = w->blocked[i],
			      .preempted_ns = w->preempted[i],
			      .searching_ns = w->searching[i],
			      .parked_ns = w->now - T0 - w->busy[i] - w->blocked[i] -
					   w->preempted[i] - w->searching[i]});
	TICK(w->m, w->now);
	rules_eval(w->rules, w->m);
}

void world_run(struct world *w, uint64_t ns, uint64_t step)
{
	for (uint64_t end = w->now + ns; w->now < end;)
		world_tick(w, step);
}

struct ev_poll world_poll(const struct world *w, uint32_t tid, uint32_t site, uint64_t length,
			  uint64_t blocked)
{
	return (struct ev_poll){
		.tid = tid,
		.site = site,
		.task_id = 7,
		.start_ns = w->now - length,
		.length_ns = length,
		.blocked_ns = blocked,
		.worst_block_ns = blocked,
		.syscall = blocked ? SYS_CLOCK_NANOSLEEP : -1,
	};
}

void world_closed(struct world *w, struct ev_poll poll)
{
	APPLY(w->m, EV_POLL, w->now, 0, .as_poll = poll);
}

void world_open_poll(struct world *w, uint32_t tid, uint32_t site, uint64_t start, uint64_t blocked)
{
	struct ev_poll poll = world_poll(w, tid, site, w->now - start, blocked);

	poll.off_cpu = blocked > 0;
	APPLY(w->m, EV_POLL_OPEN, w->now, 0, .as_poll = poll);
}

void world_stats(struct world *w, struct ev_site_stats stats)
{
	static const uint64_t hist[HIST_BUCKETS];

	if (!stats.hist)
		stats.hist = hist;
	APPLY(w->m, EV_SITE_STATS, w->now, 0, .as_site_stats = stats);
}

size_t world_count(const struct world *w)
{
	const struct finding **list;

	return rules_findings(w->rules, &list);
}

const struct finding *world_find(const struct world *w, const char *rule, uint32_t site)
{
	const struct finding **list;
	size_t n = rules_findings(w->rules, &list);
	struct rule_info info;

	for (size_t i = 0; i < n; i++) {
		rule_info_of(list[i]->rule, &info);
		if (!strcmp(info.id, rule) && (site == ID_NONE || list[i]->site == site))
			return list[i];
	}
	return NULL;
}

double finding_value_of(const struct finding *f, const char *name)
{
	for (uint32_t i = 0; i < f->values_count; i++)
		if (!strcmp(f->values[i].name, name))
			return f->values[i].value;
	fail_msg("no value %s", name);
	return 0;
}

struct ev_stack world_stack(const struct frame *frames, uint32_t count)
{
	return (struct ev_stack){
		.tid = TID_A,
		.kind = STACK_OFF_CPU,
		.span_ns = 20 * MS,
		.syscall = SYS_CLOCK_NANOSLEEP,
		.frames = frames,
		.frames_count = count,
	};
}

void world_send(struct world *w, struct ev_stack stack)
{
	APPLY(w->m, EV_STACK, w->now, 0, .as_stack = stack);
}

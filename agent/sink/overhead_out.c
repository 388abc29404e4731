// SPDX-License-Identifier: LGPL-2.1-or-later
/* The outcome of --overhead-check; see overhead_out.h. */
#include "sink/overhead_out.h"

#include "sink/json_add.h"
#include "sink/text_block.h"
#include "util/fmt.h"
#include "util/paired.h"

#define WHY 96
#define VALUE (FMT_SIZE + 16)

static const struct {
	const char *name, *unit; /* JSON */
	const char *label;	 /* text */
	double scale;		 /* from the event's values to the unit */
	const char *unseen;
} measures[OVERHEAD_MEASURES] = {
	[OVERHEAD_CPU] = {"cpu_time", "cores", "CPU time", 1e-9, "not read"},
	[OVERHEAD_SWITCHES] = {"switches", "per second", "context switches", 1e-3,
			       "threads ended meanwhile, or the kernel does not count"},
	[OVERHEAD_TAKES] = {"queue_takes", "per second", "run-queue takes", 1e-3,
			    "no run queues that count were recognised"},
	[OVERHEAD_CPU_TAKE] = {"cpu_per_take", "ns", "CPU time a take", 1e-3,
			       "no run queues that count were recognised"},
};

/* Why there is no ratio; NULL: there is one. */
static const char *why_not(const struct ev_overhead *ev, enum overhead_measure which, char out[WHY])
{
	switch (ev->by[which].known) {
	case OVERHEAD_KNOWN: return NULL;
	case OVERHEAD_UNSEEN: return measures[which].unseen;
	case OVERHEAD_LITTLE: return "nearly nothing of it without probes";
	case OVERHEAD_FEW: break;
	}
	snprintf(
		out, WHY,
		"%u rounds of windows; at least %d are needed: give it longer, or a larger --overhead",
		ev->rounds, PAIRED_LEAST);
	return out;
}

static bool differs(const struct ev_compared *c)
{
	return c->low > 1000000 || c->high < 1000000;
}

static const char *value_text(char out[VALUE], enum overhead_measure which, int64_t value)
{
	double scaled = (double)value * measures[which].scale;
	char count[FMT_SIZE];

	if (value < 0)
		snprintf(out, VALUE, "n/a");
	else if (which == OVERHEAD_CPU)
		snprintf(out, VALUE, "%.3f cores", scaled);
	else if (which == OVERHEAD_CPU_TAKE)
		fmt_duration(out, VALUE, (uint64_t)(scaled + 0.5));
	else
		snprintf(out, VALUE, "%s/s", fmt_count(count, sizeof(count), scaled));
	return out;
}

static void print_measure(FILE *out, const struct ev_overhead *ev, enum overhead_measure which)
{
	const struct ev_compared *c = &ev->by[which];
	char without[VALUE], with[VALUE], buf[WHY];
	const char *why = why_not(ev, which, buf);

	fprintf(out, "  %-17s %12s without probes, %12s with: ", measures[which].label,
		value_text(without, which, c->without_probes), value_text(with, which, c->probed));
	if (why)
		fprintf(out, "ratio n/a (%s)\n", why);
	else
		fprintf(out, "x %.4g (%.4g to %.4g)%s\n", (double)c->ratio / 1e6,
			(double)c->low / 1e6, (double)c->high / 1e6,
			differs(c) ? "" : ", not distinguishable");
}

static void print_polls(FILE *out, const struct ev_overhead *ev)
{
	char rate[FMT_SIZE], each[FMT_SIZE];

	fputs("  polls             n/a without probes: only these count them; with: ", out);
	if (!ev->polls) {
		fputs("none\n", out);
		return;
	}
	fprintf(out, "%s/s, %s of CPU time each\n",
		fmt_count(rate, sizeof(rate), (double)ev->polls / (double)ev->probed_ns * 1e9),
		fmt_duration(each, sizeof(each), ev->polls_cpu_ns / ev->polls));
}

static void print_target(FILE *out, const struct target *t)
{
	const struct ev_overhead *ev = &t->overhead;
	char with[FMT_SIZE], without[FMT_SIZE], reason[200];

	fprintf(out,
		"overhead check of process %u: %u rounds, %s with probes and %s without, in turns; "
		"95 %% intervals\n",
		t->pid, ev->rounds, fmt_duration(with, sizeof(with), ev->probed_ns),
		fmt_duration(without, sizeof(without), ev->without_ns));
	if (ev->reason)
		fprintf(out, "  given up: %s\n", text_clean(reason, sizeof(reason), ev->reason));
	if (ev->reason && !ev->rounds)
		return;
	for (int i = 0; i < OVERHEAD_MEASURES; i++)
		print_measure(out, ev, (enum overhead_measure)i);
	print_polls(out, ev);
}

void text_overhead(FILE *out, const struct model *m)
{
	for (uint32_t i = 0; i < m->targets_count; i++)
		if (m->targets[i].id != ID_NONE && m->targets[i].overhead_seen)
			print_target(out, &m->targets[i]);
}

static void add_value(cJSON *o, const char *key, int64_t value, double scale)
{
	json_add_share(o, key, (double)value, scale);
}

static cJSON *measure_object(const struct ev_overhead *ev, enum overhead_measure which)
{
	const struct ev_compared *c = &ev->by[which];
	cJSON *o = cJSON_CreateObject();
	char buf[WHY];
	const char *why = why_not(ev, which, buf);

	json_add_text(o, "measure", measures[which].name);
	json_add_text(o, "unit", measures[which].unit);
	add_value(o, "without_probes", c->without_probes, measures[which].scale);
	add_value(o, "with_probes", c->probed, measures[which].scale);
	add_value(o, "ratio", c->ratio, 1e-6);
	add_value(o, "ratio_low", c->low, 1e-6);
	add_value(o, "ratio_high", c->high, 1e-6);
	if (why)
		cJSON_AddNullToObject(o, "distinguishable");
	else
		cJSON_AddBoolToObject(o, "distinguishable", differs(c));
	json_add_text(o, "unknown_because", why);
	return o;
}

cJSON *json_overhead(const struct target *t)
{
	const struct ev_overhead *ev = &t->overhead;
	cJSON *o = cJSON_CreateObject(), *list;

	cJSON_AddStringToObject(o, "type", "overhead_check");
	json_add_uint(o, "pid", t->pid);
	json_add_uint(o, "rounds", ev->rounds);
	json_add_uint(o, "with_probes_ns", ev->probed_ns);
	json_add_uint(o, "without_probes_ns", ev->without_ns);
	json_add_uint(o, "polls", ev->polls);
	json_add_uint_if(o, "cpu_per_poll_ns", ev->polls,
			 ev->polls ? ev->polls_cpu_ns / ev->polls : 0);
	list = cJSON_AddArrayToObject(o, "measures");
	for (int i = 0; i < OVERHEAD_MEASURES; i++)
		cJSON_AddItemToArray(list, measure_object(ev, (enum overhead_measure)i));
	json_add_text(o, "given_up_because", ev->reason);
	return o;
}

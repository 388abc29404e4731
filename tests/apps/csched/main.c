// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * csched SCENARIO [OPTION]... [A [B [C]]]: runs a scenario until it ends, until a line or the end of
 * the standard input (with --wait), or until SIGINT or SIGTERM; then prints csched's log.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "scenario.h"
#include "trace.h"

#define LIFE_SECONDS 120 /* then the kernel ends it: no test leaves it behind */

struct settings {
	const struct scenario *scenario;
	unsigned int workers, seconds;
	bool wait; /* for a line before the work begins, and for one before the report */
	uint64_t min_ns;
	uint64_t args[SCENARIO_ARGS];
};

static void usage(FILE *out)
{
	fprintf(out, "csched SCENARIO [--workers N] [--seconds N] [--wait] [--log-ms N] "
		     "[A [B [C]]]\n\n");
	for (size_t i = 0; i < scenarios_count; i++)
		fprintf(out, "  %-18s %s\n", scenarios[i].name, scenarios[i].what);
}

static uint64_t number(const char *word)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(word, &end, 10);
	if (errno || end == word || *end || word[0] == '-') {
		fprintf(stderr, "csched: not a number: %s\n", word);
		exit(2);
	}
	return value;
}

static const struct scenario *find(const char *name)
{
	for (size_t i = 0; i < scenarios_count; i++)
		if (!strcmp(name, scenarios[i].name))
			return &scenarios[i];
	fprintf(stderr, "csched: no scenario %s\n", name);
	usage(stderr);
	exit(2);
}

static void parse(int argc, char **argv, struct settings *set)
{
	int args = 0;

	if (argc < 2 || !strcmp(argv[1], "--help")) {
		usage(argc < 2 ? stderr : stdout);
		exit(argc < 2 ? 2 : 0);
	}
	*set = (struct settings){.scenario = find(argv[1]), .min_ns = MS};
	set->workers = set->scenario->workers;
	memcpy(set->args, set->scenario->defaults, sizeof(set->args));
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--wait"))
			set->wait = true;
		else if (!strcmp(argv[i], "--workers") && i + 1 < argc)
			set->workers = (unsigned int)number(argv[++i]);
		else if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			set->seconds = (unsigned int)number(argv[++i]);
		else if (!strcmp(argv[i], "--log-ms") && i + 1 < argc)
			set->min_ns = number(argv[++i]) * MS;
		else if (args < SCENARIO_ARGS)
			set->args[args++] = number(argv[i]);
	}
	if (!set->workers || set->workers > 256) {
		fprintf(stderr, "csched: 1 to 256 workers\n");
		exit(2);
	}
}

/* Waits for a signal, or for a line where that is asked for; `seconds` 0: for ever. */
static void wait_for(int signals, bool line, unsigned int seconds)
{
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
			       {.fd = line ? STDIN_FILENO : -1, .events = POLLIN}};
	struct signalfd_siginfo signal;
	char text[256];

	while (poll(fds, 2, seconds ? (int)seconds * 1000 : -1) < 0 && errno == EINTR)
		;
	/* Taken, so that the next wait is for another one. */
	if (fds[0].revents && read(signals, &signal, sizeof(signal)) < 0)
		perror("csched: signals");
	if (fds[1].revents && read(STDIN_FILENO, text, sizeof(text)) < 0)
		perror("csched: standard input");
}

/* Blocked in all threads, which inherit it: read as a descriptor. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1); /* the scenario has ended */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Joins the scenario's task and tells main(), which sits in poll(2). */
static enum cs_poll tell_the_end(struct cs_task *self, void *state)
{
	if (!cs_join(self, state))
		return CS_PENDING;
	kill(getpid(), SIGUSR1);
	return CS_READY;
}

static void let_go(void *task)
{
	cs_unref(task);
}

static const struct cs_type end_type = CS_TYPE(tell_the_end, let_go);

static void life_limit(void)
{
	const char *env = getenv("STALLTOP_APP_SECONDS");

	alarm(env ? (unsigned int)number(env) : LIFE_SECONDS);
}

int main(int argc, char **argv)
{
	struct cs_task *first, *ticker = NULL;
	struct cs_sched *sched;
	struct settings set;
	uint64_t passed;
	int signals;

	parse(argc, argv, &set);
	life_limit();
	signals = open_signals();
	sched = cs_start(&(struct cs_options){
		.name = set.scenario->name,
		.workers = set.workers,
		.pool_threads = 4,
	});
	cs_settle(sched);
	passed = trace_passed();
	printf("ready pid=%d\n", getpid());
	fflush(stdout);
	if (set.wait)
		wait_for(signals, true, 0);
	/* Where counts are compared nothing else runs. */
	if (!set.scenario->ends)
		ticker = cs_spawn(sched, &ticker_type, run_new(NULL));
	first = cs_spawn(sched, set.scenario->main, run_new(set.args));
	if (set.scenario->ends)
		cs_detach(cs_spawn(sched, &end_type, cs_ref(first)));
	wait_for(signals, false, set.seconds);
	/* Of the scenario alone, if a watcher came after "ready". */
	if (set.scenario->ends) {
		cs_settle(sched);
		printf("{\"done\":true,\"probes\":%" PRIu64 "}\n", trace_passed() - passed);
		fflush(stdout);
	}
	if (set.wait)
		wait_for(signals, true, 0);
	if (ticker)
		cs_detach(ticker);
	cs_detach(first);
	cs_stop(sched);
	close(signals);
	trace_report(stdout, set.min_ns);
	return 0;
}

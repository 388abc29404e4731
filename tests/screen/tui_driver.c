// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The live view over a scripted program, for the screen tests: events with a fixed clock go through
 * the model and the rules into the view, as main does it. Standard input and output are a terminal.
 *
 *   tui_driver [--script shop|stack|empty|hostile|many|two|hop|wakes|stripped|sampled|unread] [--ticks N] [--color auto|always|never]
 *              [--rules PATH] [--run]
 *
 * Descriptor 3, where there is one, takes commands, a line each, answered by "ok":
 * "tick N" (N times 100 ms), "end" (the program ends), "segv", "abort", "exit" (without closing).
 * "sync N I" is answered on the terminal, by the control string "7777;I" (OSC), once N bytes of keys
 * have been read and what they led to was drawn.
 * --rules PATH takes rules from there in place of the built-in ones: the golden screens must not
 * change when the text of a rule does. --run lets the clock run by itself. Exit codes: 0 quit, 3 no live view here, 143 SIGTERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ask.h"
#include "core/sink.h"
#include "model/model.h"
#include "rules/rule_impl.h"
#include "sink/sinks.h"
#include "tui/tui.h"
#include "tui_script.h"
#include "util/err.h"

#define CONTROL_FD 3

/* A question whether all keys so far were read and drawn; not answered yet. */
struct sync {
	bool asked;
	unsigned long keys, id;
};

static struct sync sync_asked;
static size_t keys_read;

/* In place of the one of libc, for curses too: bytes that were read from the terminal are counted. */
ssize_t read(int fd, void *buf, size_t size)
{
	ssize_t n = syscall(SYS_read, fd, buf, size);

	if (n > 0 && isatty(fd))
		keys_read += (size_t)n;
	return n;
}

/* One line from the control descriptor; false: it was closed. */
static bool control(struct script *s, struct sink *sink)
{
	char line[64] = "";
	ssize_t n = read(CONTROL_FD, line, sizeof(line) - 1);

	if (n <= 0)
		return false;
	if (!strncmp(line, "tick ", 5))
		for (long i = strtol(line + 5, NULL, 10); i > 0; i--) {
			script_advance(s);
			sink->ops->snapshot(sink, &s->snap);
		}
	else if (!strncmp(line, "end", 3))
		script_end(s);
	else if (!strncmp(line, "segv", 4))
		*(volatile int *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				      0) = 1;
	else if (!strncmp(line, "abort", 5))
		abort();
	else if (!strncmp(line, "exit", 4))
		exit(7);
	else if (sscanf(line, "sync %lu %lu", &sync_asked.keys, &sync_asked.id) == 2)
		return sync_asked.asked = true;
	sink->ops->snapshot(sink, &s->snap);
	return write(CONTROL_FD, "ok\n", 3) == 3;
}

static int signals_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* false: the program ends. */
static bool on_signal(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGWINCH;
}

/* false: nobody reads. */
static bool answer_sync(struct script *s, struct sink *sink)
{
	char mark[32];
	int n = snprintf(mark, sizeof(mark), "\033]7777;%lu\033\\", sync_asked.id);

	sync_asked.asked = false;
	sink->ops->snapshot(sink, &s->snap);
	return write(STDOUT_FILENO, mark, (size_t)n) == n;
}

/* As main's loop: input, signals, time; a change of size is a reason to draw. */
static int loop(struct script *s, struct sink *sink, bool run)
{
	struct pollfd fds[] = {
		{.fd = sink->ops->fd(sink), .events = POLLIN},
		{.fd = signals_fd(), .events = POLLIN},
		{.fd = fcntl(CONTROL_FD, F_GETFD) < 0 ? -1 : CONTROL_FD, .events = POLLIN},
	};

	for (;;) {
		bool answer = sync_asked.asked && keys_read >= sync_asked.keys;
		int rc = poll(fds, 3, answer ? 0 : run ? 100 : -1);

		if (answer && rc == 0) {
			if (!answer_sync(s, sink))
				return 8;
			continue;
		}
		if (rc < 0 && errno != EINTR)
			return 8;
		if (rc > 0 && fds[1].revents && !on_signal(fds[1].fd))
			return 143;
		if (rc > 0 && fds[2].revents && !control(s, sink))
			fds[2].fd = -1;
		if (rc > 0 && fds[0].revents) {
			rc = sink->ops->input(sink, &s->snap);
			if (rc)
				return rc > 0 ? 0 : 5;
			continue;
		}
		if (rc == 0)
			script_advance(s);
		sink->ops->snapshot(sink, &s->snap);
	}
}

static void report(void *ctx, const struct snapshot *snap, int width, FILE *out)
{
	struct text_sink_opts text = {.width = (unsigned int)width};
	struct sink *sink = text_sink_new(out, &text);

	(void)ctx;
	sink->ops->finish(sink, snap);
	sink->ops->close(sink);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"script", required_argument, NULL, 's'}, {"ticks", required_argument, NULL, 't'},
		{"color", required_argument, NULL, 'c'},  {"run", no_argument, NULL, 'r'},
		{"rules", required_argument, NULL, 'R'},  {0},
	};
	static struct script script = {.name = "shop", .now = SCRIPT_START_NS};
	struct script *s = &script;
	/* A trace would be one like this: what has come does not change with the threshold. */
	static const struct source_ops fixed_ops;
	static struct source fixed = {&fixed_ops};
	static struct asker asker = {.source = &fixed};
	struct tui_opts opts = {
		.in_fd = STDIN_FILENO, .ask = ask_answer, .report = report, .ctx = &asker};
	struct err err = {0};
	const char *rules = NULL;
	struct sink *sink;
	long ticks = 20;
	bool run = false;
	int c, rc;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			s->name = optarg;
		else if (c == 't')
			ticks = strtol(optarg, NULL, 10);
		else if (c == 'c')
			opts.color = !strcmp(optarg, "always") ? TUI_COLOR_ALWAYS :
				     !strcmp(optarg, "never")  ? TUI_COLOR_NEVER :
								 TUI_COLOR_AUTO;
		else if (c == 'R')
			rules = optarg;
		else if (c == 'r')
			run = true;
		else
			return 2;
	}
	if (rules) {
		s->rules = rules_new();
		rc = rules_load_path(s->rules, rules, &err);
	} else {
		rc = rules_load_builtin(&s->rules, &err);
	}
	if (rc) {
		fprintf(stderr, "%s\n", err.msg);
		return 9;
	}
	asker.rules = s->rules;
	sink = tui_sink_new(&opts, &err);
	if (!sink) {
		fprintf(stderr, "%d: %s\n", err.code, err.msg);
		rules_free(s->rules);
		return 3;
	}
	s->model = model_new();
	s->snap = (struct snapshot){
		.model = s->model, .rules = s->rules, .command = "top", .host = "testhost"};
	script_announce(s);
	while (ticks-- > 0)
		script_advance(s);
	rc = sink->ops->open(sink, &s->snap);
	if (!rc)
		rc = loop(s, sink, run);
	sink->ops->close(sink);
	model_free(s->model);
	rules_free(s->rules);
	/* Not where nobody reads: it would wait for that. */
	if (poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, 0) == 1)
		printf("closed %d\n", rc);
	return rc;
}

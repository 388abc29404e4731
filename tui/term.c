// SPDX-License-Identifier: LGPL-2.1-or-later
/* Taking the terminal and giving it back. */
#include "tui/term.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE_DELAY_MS 25 /* how long an Esc may be the start of a function key */
#define SIGNAL_STACK 16384 /* a stack overflow leaves no room on the normal one */

static const int fatal_signals[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,  SIGABRT, SIGTRAP,
				    SIGSYS,  SIGQUIT, SIGINT, SIGTERM, SIGHUP};
#define FATAL_COUNT (sizeof(fatal_signals) / sizeof(fatal_signals[0]))
#define FATAL_POLITE 4 /* the last ones are only ours when nobody else wants them */

static struct {
	volatile sig_atomic_t taken;
	bool exit_registered;
	int in_fd, out_fd;
	FILE *in;
	SCREEN *screen;
	struct termios saved;
	struct sigaction old[FATAL_COUNT];
	bool installed[FATAL_COUNT];
	/* What brings the terminal back, made ready while it is safe to make it. */
	char reset[256];
	size_t reset_length;
	stack_t old_stack;
	char stack[SIGNAL_STACK];
} term;

/* Adds a capability's string without its padding ("$<5/>"): no clock runs in a signal handler. */
static void reset_add(const char *name)
{
	const char *s = tigetstr(name);

	if (!s || s == (const char *)-1)
		return;
	while (*s && term.reset_length < sizeof(term.reset)) {
		const char *end = s[0] == '$' && s[1] == '<' ? strchr(s, '>') : NULL;

		if (end)
			s = end + 1;
		else
			term.reset[term.reset_length++] = *s++;
	}
}

static void reset_prepare(void)
{
	static const char *const names[] = {"sgr0", "op", "rmkx", "cnorm", "rmcup"};

	term.reset_length = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		reset_add(names[i]);
	if (term.reset_length + 2 <= sizeof(term.reset)) {
		memcpy(term.reset + term.reset_length, "\r\n", 2);
		term.reset_length += 2;
	}
}

/* Async-signal-safe: write(2) and tcsetattr(3) only, both on the list of signal-safety(7). */
static void reset_raw(void)
{
	size_t done = 0;

	while (done < term.reset_length) {
		ssize_t n = write(term.out_fd, term.reset + done, term.reset_length - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	tcsetattr(term.in_fd, TCSANOW, &term.saved);
}

static void on_fatal(int signo)
{
	int saved_errno = errno;

	if (term.taken) {
		term.taken = 0;
		reset_raw();
	}
	/* Whoever was there before (a sanitizer, a core dump) gets it now. */
	for (size_t i = 0; i < FATAL_COUNT; i++)
		if (fatal_signals[i] == signo)
			sigaction(signo, &term.old[i], NULL);
	errno = saved_errno;
	raise(signo);
}

static void on_exit_restore(void)
{
	term_close();
}

static void signals_install(void)
{
	struct sigaction action = {.sa_handler = on_fatal, .sa_flags = SA_ONSTACK};
	stack_t stack = {.ss_sp = term.stack, .ss_size = sizeof(term.stack)};

	sigemptyset(&action.sa_mask);
	if (!sigaltstack(NULL, &term.old_stack) && term.old_stack.ss_flags & SS_DISABLE)
		sigaltstack(&stack, NULL);
	for (size_t i = 0; i < FATAL_COUNT; i++) {
		bool polite = i >= FATAL_COUNT - FATAL_POLITE;

		if (sigaction(fatal_signals[i], NULL, &term.old[i]))
			continue;
		if (polite && term.old[i].sa_handler != SIG_DFL)
			continue;
		term.installed[i] = !sigaction(fatal_signals[i], &action, NULL);
	}
}

static void signals_remove(void)
{
	for (size_t i = 0; i < FATAL_COUNT; i++) {
		struct sigaction now;

		if (term.installed[i] && !sigaction(fatal_signals[i], NULL, &now) &&
		    now.sa_handler == on_fatal)
			sigaction(fatal_signals[i], &term.old[i], NULL);
		term.installed[i] = false;
	}
	if (term.old_stack.ss_flags & SS_DISABLE)
		sigaltstack(&term.old_stack, NULL);
}

int term_check(int in_fd, int out_fd, struct err *err)
{
	static const char *const needed[] = {"cup", "ed"};
	const char *name = getenv("TERM");
	int status = 0, rc = 0;

	if (!isatty(in_fd) || !isatty(out_fd))
		return err_set(err, -ENOTTY, "no terminal: the live view needs one for %s",
			       isatty(in_fd) ? "output" : "input");
	if (!name || !*name)
		return err_set(err, -ENOTSUP, "TERM is not set: the live view needs it");
	if (setupterm(name, out_fd, &status) != OK)
		return err_set(err, -ENOTSUP,
			       status < 0 ?
				       "no terminfo database here, needed for TERM=%s" :
				       "the terminal type TERM=%s is unknown or too simple here",
			       name);
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]) && !rc; i++) {
		const char *s = tigetstr(needed[i]);

		if (!s || s == (const char *)-1)
			rc = err_set(err, -ENOTSUP,
				     "the terminal type TERM=%s cannot place the cursor", name);
	}
	del_curterm(cur_term);
	return rc;
}

int term_open(int in_fd, FILE *out, struct err *err)
{
	int copy;

	if (term.taken)
		return err_set(err, -EBUSY, "the terminal is already taken");
	term.in_fd = in_fd;
	term.out_fd = fileno(out);
	if (tcgetattr(in_fd, &term.saved))
		return err_set(err, -errno, "the terminal's settings: %s", strerror(errno));
	copy = dup(in_fd);
	term.in = copy < 0 ? NULL : fdopen(copy, "r");
	if (!term.in) {
		int code = -errno;

		if (copy >= 0)
			close(copy);
		return err_set(err, code, "the terminal's input: %s", strerror(-code));
	}
	/* Before curses: it takes SIGINT and SIGTERM where they are still at their default. */
	signals_install();
	term.screen = newterm(NULL, out, term.in);
	if (!term.screen) {
		signals_remove();
		fclose(term.in);
		term.in = NULL;
		return err_set(err, -ENOTSUP, "the terminal could not be opened for the live view");
	}
	set_term(term.screen);
	term.taken = 1;
	reset_prepare();
	if (!term.exit_registered)
		term.exit_registered = !atexit(on_exit_restore);
	cbreak();
	noecho();
	nonl();
	intrflush(stdscr, FALSE);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_DELAY_MS);
	curs_set(0);
	return 0;
}

void term_close(void)
{
	if (!term.screen)
		return;
	if (term.taken) {
		endwin();
		term.taken = 0;
		tcsetattr(term.in_fd, TCSANOW, &term.saved);
	}
	signals_remove();
	delscreen(term.screen);
	term.screen = NULL;
	fclose(term.in);
	term.in = NULL;
}

bool term_resize(void)
{
	struct winsize size;

	if (ioctl(term.out_fd, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		return false;
	if (size.ws_row == LINES && size.ws_col == COLS)
		return false;
	resize_term(size.ws_row, size.ws_col);
	/* The terminal may have reflowed what was there: this one time draw all of it. */
	clearok(curscr, TRUE);
	return true;
}

bool term_lost(void)
{
	struct pollfd pfd = {.fd = term.in_fd, .events = POLLIN};
	int pending = 0;

	if (poll(&pfd, 1, 0) < 0)
		return errno != EINTR;
	if (pfd.revents & (POLLHUP | POLLERR | POLLNVAL))
		return true;
	return pfd.revents & POLLIN && (ioctl(term.in_fd, FIONREAD, &pending) || !pending);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Taking the terminal and giving it back. */
#include "tui/term.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE_DELAY_MS 25 /* how long an Esc may be the start of a function key */
#define STUCK_MS 200	   /* a terminal that takes nothing for so long is not waited for */
#define SIGNAL_STACK 16384 /* a stack overflow leaves no room on the normal one */

/* Taken also from a handler that is there, which gets it after us. */
static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
/* Of the others all end a program that does not handle them, but these. */
static const int harmless_signals[] = {SIGTSTP, SIGTTIN,  SIGTTOU, SIGCONT,
				       SIGCHLD, SIGWINCH, SIGURG,  SIGALRM};
#define SIGNALS 65 /* real-time ones included */

static struct {
	volatile sig_atomic_t taken, mouse;
	volatile sig_atomic_t closing; /* the loop is over: what ended it is pending no more */
	bool exit_registered;
	int in_fd, out_fd;
	int stop_fd;  /* an eventfd: a SIGTSTP has come */
	int ready_fd; /* an epoll of the input and stop_fd */
	FILE *in;
	SCREEN *screen;
	struct termios saved;
	struct sigaction old[SIGNALS], old_alarm, old_stop;
	bool installed[SIGNALS];
	/* What brings the terminal back, made ready while it is safe to make it. */
	char reset[256];
	size_t reset_length;
	stack_t old_stack;
	char stack[SIGNAL_STACK];
} term = {.stop_fd = -1, .ready_fd = -1};

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

static bool is_writable(int timeout_ms)
{
	struct pollfd pfd = {.fd = term.out_fd, .events = POLLOUT};

	return poll(&pfd, 1, timeout_ms) > 0 && pfd.revents & POLLOUT;
}

bool term_ready(void)
{
	return is_writable(0);
}

static void write_raw(const char *text, size_t length)
{
	size_t done = 0;

	while (done < length && is_writable(0)) {
		ssize_t n = write(term.out_fd, text + done, length - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
}

/* Buttons, in the coding SGR; there is no capability that says this. */
static void mouse_on(void)
{
	static const char text[] = "\033[?1000h\033[?1006h";

	if (term.mouse)
		write_raw(text, sizeof(text) - 1);
}

static void mouse_off(void)
{
	static const char text[] = "\033[?1006l\033[?1000l";

	if (term.mouse)
		write_raw(text, sizeof(text) - 1);
}

/* Async-signal-safe: poll(2), write(2) and tcsetattr(3) only, all on the list of signal-safety(7). */
static void reset_raw(void)
{
	mouse_off();
	write_raw(term.reset, term.reset_length);
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
	sigaction(signo, &term.old[signo], NULL);
	errno = saved_errno;
	raise(signo);
}

/* The signals that end the program are blocked: its loop reads them, and it is in a write. */
static void on_stuck(int signo)
{
	static const int ends[] = {SIGTERM, SIGINT, SIGHUP};
	int saved_errno = errno;
	sigset_t pending;

	(void)signo;
	for (size_t i = 0; !sigpending(&pending) && i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (!term.closing && sigismember(&pending, ends[i]) != 1)
			continue;
		term.taken = 0;
		reset_raw();
		_exit(128 + ends[i]);
	}
	errno = saved_errno;
}

static void stuck_timer(long ms)
{
	struct itimerval every = {{0, ms * 1000}, {0, ms * 1000}};

	setitimer(ITIMER_REAL, &every, NULL);
}

void term_write_begin(void)
{
	stuck_timer(STUCK_MS);
}

void term_write_end(void)
{
	stuck_timer(0);
}

static void on_exit_restore(void)
{
	term_close();
}

/* The loop hears of it by term_fd(): a flag alone may be set between its last look and its wait. */
static void on_stop(int signo)
{
	int saved_errno = errno;

	(void)signo;
	eventfd_write(term.stop_fd, 1);
	errno = saved_errno;
}

/* One that is ignored (the shell has no job control) stays so. */
static void stop_install(void)
{
	struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};

	if (!sigaction(SIGTSTP, NULL, &term.old_stop) && term.old_stop.sa_handler == SIG_DFL)
		sigaction(SIGTSTP, &stop, NULL);
}

static bool is_among(const int *signals, size_t count, int signo)
{
	for (size_t i = 0; i < count; i++)
		if (signals[i] == signo)
			return true;
	return false;
}

#define IS_AMONG(signals, signo) is_among(signals, sizeof(signals) / sizeof((signals)[0]), signo)

static void signals_install(void)
{
	struct sigaction stuck = {.sa_handler = on_stuck, .sa_flags = SA_RESTART};
	struct sigaction action = {.sa_handler = on_fatal, .sa_flags = SA_ONSTACK};
	stack_t stack = {.ss_sp = term.stack, .ss_size = sizeof(term.stack)};

	sigemptyset(&action.sa_mask);
	if (!sigaltstack(NULL, &term.old_stack) && term.old_stack.ss_flags & SS_DISABLE)
		sigaltstack(&stack, NULL);
	sigaction(SIGALRM, &stuck, &term.old_alarm);
	stop_install();
	for (int signo = 1; signo < SIGNALS; signo++) {
		if (IS_AMONG(harmless_signals, signo) || sigaction(signo, NULL, &term.old[signo]))
			continue;
		if (!IS_AMONG(fault_signals, signo) && term.old[signo].sa_handler != SIG_DFL)
			continue;
		term.installed[signo] = !sigaction(signo, &action, NULL);
	}
}

static void signals_remove(void)
{
	term_write_end();
	sigaction(SIGALRM, &term.old_alarm, NULL);
	sigaction(SIGTSTP, &term.old_stop, NULL);
	for (int signo = 1; signo < SIGNALS; signo++) {
		struct sigaction now;

		if (term.installed[signo] && !sigaction(signo, NULL, &now) &&
		    now.sa_handler == on_fatal)
			sigaction(signo, &term.old[signo], NULL);
		term.installed[signo] = false;
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

/* What terminals send, whatever TERM claims that they are: over ssh and in containers it is often another. */
static const struct {
	const char *sequence;
	int key;
} more_keys[] = {
	{"\033[<", TERM_KEY_MOUSE}, {"\033OH", KEY_HOME},   {"\033[H", KEY_HOME},
	{"\033[1~", KEY_HOME},	    {"\033[7~", KEY_HOME},  {"\033OF", KEY_END},
	{"\033[F", KEY_END},	    {"\033[4~", KEY_END},   {"\033[8~", KEY_END},
	{"\033[5~", KEY_PPAGE},	    {"\033[6~", KEY_NPAGE}, {"\033OA", KEY_UP},
	{"\033[A", KEY_UP},	    {"\033OB", KEY_DOWN},   {"\033[B", KEY_DOWN},
	{"\033OC", KEY_RIGHT},	    {"\033[C", KEY_RIGHT},  {"\033OD", KEY_LEFT},
	{"\033[D", KEY_LEFT},	    {"\033[Z", KEY_BTAB},   {"\033OP", KEY_F(1)},
	{"\033[11~", KEY_F(1)},	    {"\033[17~", KEY_F(6)}, {"\033[21~", KEY_F(10)},
};

static void fds_close(void)
{
	int saved_errno = errno;

	if (term.ready_fd >= 0)
		close(term.ready_fd);
	if (term.stop_fd >= 0)
		close(term.stop_fd);
	term.ready_fd = term.stop_fd = -1;
	errno = saved_errno;
}

int term_fd(int in_fd)
{
	struct epoll_event input = {.events = EPOLLIN};

	if (term.ready_fd >= 0)
		return term.ready_fd;
	term.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	term.ready_fd = epoll_create1(EPOLL_CLOEXEC);
	if (term.stop_fd >= 0 && term.ready_fd >= 0 &&
	    !epoll_ctl(term.ready_fd, EPOLL_CTL_ADD, in_fd, &input) &&
	    !epoll_ctl(term.ready_fd, EPOLL_CTL_ADD, term.stop_fd, &input))
		return term.ready_fd;
	fds_close();
	return -1;
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
	if (term_fd(in_fd) < 0)
		return err_set(err, -errno, "the terminal's events: %s", strerror(errno));
	copy = dup(in_fd);
	term.in = copy < 0 ? NULL : fdopen(copy, "r");
	if (!term.in) {
		int code = -errno;

		if (copy >= 0)
			close(copy);
		return err_set(err, code, "the terminal's input: %s", strerror(-code));
	}
	/* Before curses: it takes SIGINT and SIGTERM where they are still at their default, and SIGTSTP,
	 * which it ignores while it draws: a Ctrl-Z in that moment would be lost. */
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
	for (size_t i = 0; i < sizeof(more_keys) / sizeof(more_keys[0]); i++)
		define_key(more_keys[i].sequence, more_keys[i].key);
	set_escdelay(ESCAPE_DELAY_MS);
	curs_set(0);
	return 0;
}

static void give_back(void)
{
	mouse_off();
	/* Stopped by Ctrl-S: what follows would wait for a key that nobody knows of (and TCOON alone ends
	 * only what TCOOFF began). */
	if (!is_writable(0) && !tcflow(term.out_fd, TCOOFF))
		tcflow(term.out_fd, TCOON);
	if (is_writable(STUCK_MS)) {
		term_write_begin();
		endwin();
		term_write_end();
	}
	tcsetattr(term.in_fd, TCSANOW, &term.saved);
}

static void release(void)
{
	term.closing = 1;
	if (term.taken)
		give_back();
	term.closing = term.taken = 0;
	term.mouse = 0;
	signals_remove();
	delscreen(term.screen);
	term.screen = NULL;
	fclose(term.in);
	term.in = NULL;
}

void term_close(void)
{
	if (term.screen)
		release();
	fds_close();
}

void term_stop_when_asked(void)
{
	eventfd_t asked;

	if (eventfd_read(term.stop_fd, &asked))
		return;
	give_back();
	sigaction(SIGTSTP, &term.old_stop, NULL);
	raise(SIGTSTP);
	stop_install();
	/* The next frame draws all of it: others have written to the terminal. */
	reset_prog_mode();
	mouse_on();
	flushinp();
	clearok(curscr, TRUE);
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

bool term_mouse(bool on)
{
	const char *has = tigetstr("kmous");

	mouse_off();
	term.mouse = on && has && has != (const char *)-1;
	mouse_on();
	return term.mouse || !on;
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

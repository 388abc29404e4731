// SPDX-License-Identifier: LGPL-2.1-or-later
/* A process without privileges; see jail.h. */
#include "jail/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define MEMORY_BYTES (1ULL << 30)  /* of its own */
#define ADDRESS_BYTES (8ULL << 30) /* with the files that it has mapped */
#define FILES 2048

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1 /* its shadow takes terabytes of address space */
#else
#define SANITIZED 0
#endif

static int limit_resources(void)
{
	static const struct {
		int what;
		rlim_t value;
	} limits[] = {
		{RLIMIT_CORE, 0},
		{RLIMIT_FSIZE, 0},
		{RLIMIT_NPROC, 0},
		{RLIMIT_NOFILE, FILES},
		{RLIMIT_MEMLOCK, 0},
		{RLIMIT_MSGQUEUE, 0},
		{RLIMIT_DATA, SANITIZED ? RLIM_INFINITY : MEMORY_BYTES},
		{RLIMIT_AS, SANITIZED ? RLIM_INFINITY : ADDRESS_BYTES},
	};

	for (size_t i = 0; i < COUNT(limits); i++) {
		struct rlimit old, new = {limits[i].value, limits[i].value};

		if (getrlimit(limits[i].what, &old))
			return -errno;
		if (old.rlim_max < new.rlim_max)
			new.rlim_cur = new.rlim_max = old.rlim_max;
		if (setrlimit(limits[i].what, &new))
			return -errno;
	}
	return 0;
}

/* Only root can change the user; another user has nothing to lose but capabilities of a file. */
static int drop_user(void)
{
	if (geteuid() != 0)
		return 0;
	/* EINVAL: a user namespace without this user. Losing all capabilities has to do. */
	if ((setgroups(0, NULL) || setresgid(JAIL_USER, JAIL_USER, JAIL_USER) ||
	     setresuid(JAIL_USER, JAIL_USER, JAIL_USER)) &&
	    errno != EINVAL && errno != EPERM)
		return -errno;
	return 0;
}

static int drop_capabilities(void)
{
	cap_t none = cap_init();
	int ret = 0;

	if (!none)
		return -ENOMEM;
	if (cap_set_proc(none))
		ret = -errno;
	cap_free(none);
	return ret;
}

/* Without CAP_SETPCAP the set stays, which no_new_privs makes harmless. */
static void drop_bounding_set(void)
{
	for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++)
		if (cap_drop_bound(cap))
			break;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* What reading from descriptors, memory and the socket takes. */
static const int allowed[] = {
	SCMP_SYS(read),	   SCMP_SYS(readv),	   SCMP_SYS(pread64),
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),	   SCMP_SYS(write),
	SCMP_SYS(close),   SCMP_SYS(fstat),	   SCMP_SYS(lseek),
	SCMP_SYS(munmap),  SCMP_SYS(mremap),	   SCMP_SYS(madvise),
	SCMP_SYS(brk),	   SCMP_SYS(futex),	   SCMP_SYS(exit_group),
	SCMP_SYS(exit),	   SCMP_SYS(rt_sigreturn), SCMP_SYS(clock_gettime),
	SCMP_SYS(poll),	   SCMP_SYS(ppoll),	   SCMP_SYS(restart_syscall),
};

/* What the sanitizers of a test build add. */
static const int sanitizer[] = {
	SCMP_SYS(sigaltstack), SCMP_SYS(getpid),	 SCMP_SYS(gettid),
	SCMP_SYS(sched_yield), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	SCMP_SYS(getrlimit),   SCMP_SYS(prlimit64),	 SCMP_SYS(tgkill),
	SCMP_SYS(getrandom),
};

/* What libdw tries on its way (a path of the file, a split or shared debug file) and can miss. */
static const int refused[] = {
	SCMP_SYS(open),	   SCMP_SYS(openat), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(stat),	   SCMP_SYS(lstat),  SCMP_SYS(access),	 SCMP_SYS(faccessat2),
	SCMP_SYS(getcwd),  SCMP_SYS(ioctl),  SCMP_SYS(socket),	 SCMP_SYS(sysinfo),
	SCMP_SYS(openat2),
};

static int add_all(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t count)
{
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++)
		ret = seccomp_rule_add(ctx, action, calls[i], 0);
	return ret;
}

/* Memory is never made executable; a descriptor is only asked for its state or copied. */
static int add_restricted(scmp_filter_ctx ctx)
{
	static const int memory[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	static const uint64_t control[] = {F_GETFL, F_GETFD, F_DUPFD_CLOEXEC};
	int ret = 0;

	for (size_t i = 0; i < COUNT(memory) && !ret; i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, memory[i], 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	for (size_t i = 0; i < COUNT(control) && !ret; i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				       SCMP_A1(SCMP_CMP_EQ, control[i]));
	/* fstat() of glibc 2.33 and newer: the descriptor itself, "" is the path. */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
				       SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
	return ret;
}

static int filter_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret;

	if (!ctx)
		return -ENOMEM;
	ret = add_all(ctx, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
	if (!ret && SANITIZED)
		ret = add_all(ctx, SCMP_ACT_ALLOW, sanitizer, COUNT(sanitizer));
	if (!ret)
		ret = add_all(ctx, SCMP_ACT_ERRNO(EPERM), refused, COUNT(refused));
	if (!ret)
		ret = add_restricted(ctx);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret;
}

int jail_drop_rights(void)
{
	int ret;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	drop_bounding_set();
	ret = drop_capabilities();
	if (!ret && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		ret = -errno;
	return ret;
}

int jail_enter(void)
{
	int ret = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	ret = limit_resources();
	if (ret)
		return ret;
	drop_bounding_set();
	ret = drop_user();
	if (ret)
		return ret;
	ret = drop_capabilities();
	if (ret)
		return ret;
	/* After the change of user, which resets both. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return -errno;
	return filter_calls();
}

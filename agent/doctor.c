// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `stalltop doctor`: what works here, what is missing, and the one thing that would fix it. Each
 * check is a function that says ok or not, with one sentence; the table of them is last.
 */
#include "attach/calibrate.h"
#include "attach/kernel.h"
#include "attach/link.h"
#include "attach/watch.h"
#include "commands.h"
#include "targets.h"
#include "util/caps.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BTF "/sys/kernel/btf/vmlinux"

struct result {
	bool ok;
	char text[320];
};

static void say(struct result *r, bool ok, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct result *r, bool ok, const char *fmt, ...)
{
	va_list args;

	r->ok = ok;
	va_start(args, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, args);
	va_end(args);
}

static void check_kernel(struct result *r)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	sscanf(u.release, "%u.%u", &major, &minor);
	if (major > 6 || (major == 6 && minor >= 6))
		say(r, true, "Linux %s on %s", u.release, u.machine);
	else
		say(r, false, "Linux %s: multi-uprobe links need 6.6 or newer; boot a newer kernel",
		    u.release);
	if (strcmp(u.machine, "x86_64"))
		say(r, false, "%s: this version of stalltop knows x86-64 only", u.machine);
}

static void check_btf(struct result *r)
{
	if (access(BTF, R_OK) == 0)
		say(r, true, "the kernel describes its types (" BTF ")");
	else
		say(r, false, BTF ": %s; the kernel needs CONFIG_DEBUG_INFO_BTF=y",
		    strerror(errno));
}

static void check_bpf_caps(struct result *r)
{
	bool bpf = caps_have(CAP_BPF), perfmon = caps_have(CAP_PERFMON);

	if ((bpf && perfmon) || caps_have(CAP_SYS_ADMIN))
		say(r, true, "CAP_BPF and CAP_PERFMON, or root");
	else
		say(r, false,
		    "missing %s%s%s: run as root, or `setcap "
		    "cap_bpf,cap_perfmon,cap_sys_ptrace+ep` on the stalltop binary",
		    bpf ? "" : "CAP_BPF", !bpf && !perfmon ? " and " : "",
		    perfmon ? "" : "CAP_PERFMON");
}

static void check_ptrace(struct result *r)
{
	if (caps_have(CAP_SYS_PTRACE))
		say(r, true, "CAP_SYS_PTRACE: processes of every user can be watched");
	else
		say(r, true, "no CAP_SYS_PTRACE: only processes of this user can be watched");
}

static int no_record(void *ctx __attribute__((unused)), void *data __attribute__((unused)),
		     size_t size __attribute__((unused)))
{
	return 0;
}

static void check_load(struct result *r)
{
	struct kernel_opts opts = {
		.level = 2, .sample = true, .stacks = true, .max_sites = 64, .fn = no_record};
	struct kernel *k = NULL;
	struct err err = {0};

	if (kernel_open(&opts, &k, &err)) {
		say(r, false, "%s", err.msg);
		return;
	}
	say(r, true, "the BPF programs load; sampling on %u of %u CPUs", k->sampling, k->cpus);
	kernel_close(k);
}

/* What is watched pays this; other machines, other numbers. */
static void check_cost(struct result *r)
{
	struct calibration c = {0};
	struct err err = {0};

	if (calibrate_all(&c, &err)) {
		say(r, true, "not measured: %s", err.msg);
		return;
	}
	say(r, true,
	    "a poll's probe %" PRIu64 " ns (%" PRIu64 " ns where the kernel single-steps it); off "
	    "the CPU and back inside a poll %" PRIu64 " ns more, %" PRIu64
	    " ns with a copy of its stack; other switches %" PRIu64 " ns",
	    c.hit_ns, c.stepped_hit_ns, c.switch_ns, c.copied_switch_ns, c.other_switch_ns);
}

static void check_yama(struct result *r)
{
	FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = 0;

	if (f && fscanf(f, "%d", &scope) != 1)
		scope = 0;
	if (f)
		fclose(f);
	if (scope == 0 || caps_have(CAP_SYS_PTRACE))
		say(r, scope < 3,
		    scope < 3 ?
			    "memory of targets can be read" :
			    "kernel.yama.ptrace_scope is 3: memory of other processes cannot be read");
	else
		say(r, false,
		    "kernel.yama.ptrace_scope is %d: give stalltop CAP_SYS_PTRACE, or "
		    "`sysctl kernel.yama.ptrace_scope=0`",
		    scope);
}

static void check_jail(struct result *r)
{
	struct detector *detector = NULL;
	struct err err = {0};
	int ret = detector_open(&detector, &err);

	if (!ret)
		ret = detector_check(detector, &err);
	if (ret)
		say(r, false, "%s", err.msg);
	else
		say(r, true, "files of targets are read in a process that has no rights");
	detector_close(detector);
}

static const struct {
	const char *name;
	void (*check)(struct result *r);
} checks[] = {
	{"kernel", check_kernel},	{"type information", check_btf},
	{"BPF rights", check_bpf_caps}, {"ptrace rights", check_ptrace},
	{"target memory", check_yama},	{"BPF programs", check_load},
	{"cost", check_cost},		{"isolation", check_jail},
};

static void print(const struct opts *opts, const char *name, const struct result *r)
{
	cJSON *json;
	char *text;

	if (!opts->json) {
		printf("%-8s %-17s %s\n", r->ok ? "ok" : "MISSING", name, r->text);
		return;
	}
	json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "type", "check");
	cJSON_AddStringToObject(json, "name", name);
	cJSON_AddBoolToObject(json, "ok", r->ok);
	cJSON_AddStringToObject(json, "text", r->text);
	text = cJSON_PrintUnformatted(json);
	if (text)
		puts(text);
	cJSON_free(text);
	cJSON_Delete(json);
}

static bool has_target(const struct opts *opts)
{
	return opts->pids_count || opts->name || opts->all;
}

static int check_target(const struct opts *opts, struct err *err)
{
	struct targets targets;
	struct result r;
	int ret = targets_open(opts, &targets, err);

	if (ret) {
		say(&r, false, "%s", err->msg);
		print(opts, "target", &r);
		return ret;
	}
	for (size_t i = 0; i < targets.count; i++) {
		struct watch *w = targets.watches[i];

		report_notes(w);
		for (size_t j = 0; j < w->count; j++) {
			const struct runtime_found *found = &w->objects[j]->found;
			char types[32];

			say(&r, true, "process %d: %s %s, %s", w->proc->pid,
			    runtime_found_name(found), found->version[0] ? found->version : "n/a",
			    runtime_found_types(found, types, sizeof(types)));
			print(opts, "target", &r);
		}
	}
	report_fetched(targets.debuginfod);
	targets_close(&targets);
	return 0;
}

enum exit_code command_doctor(const struct opts *opts)
{
	struct err err = {0};
	bool ok = true;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct result r = {0};

		checks[i].check(&r);
		print(opts, checks[i].name, &r);
		ok = ok && r.ok;
	}
	if (has_target(opts) && check_target(opts, &err))
		return err.code == -ESRCH ? EXIT_NO_TARGET : EXIT_CANNOT_ATTACH;
	return ok ? EXIT_FINE : EXIT_CANNOT_ATTACH;
}

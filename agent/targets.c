// SPDX-License-Identifier: LGPL-2.1-or-later
/* From what the user named to watches; see targets.h. */
#include "targets.h"

#include "bpf/wire.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define STARTING_TRIES 4
#define STARTING_US 50000
#define MAX_TARGETS (WIRE_MAX_TARGETS - 1) /* the last index is the calibration's */

static int no_runtime(struct watch *watch, struct err *err)
{
	char *note = watch_take_note(watch);
	char exe[256], wanted[256];

	if (note) {
		err_set(err, -ENOTSUP, "process %d: %s", watch->proc->pid, note);
		free(note);
		return -ENOTSUP;
	}
	text_sanitize(exe, sizeof(exe), watch->proc->exe, strlen(watch->proc->exe));
	return err_set(
		err, -ENOTSUP,
		"process %d carries no async runtime that stalltop knows: "
		"with --wait it is watched until it loads one (%zu mapped objects of %s looked "
		"at, for %s)",
		watch->proc->pid, watch->known_count + watch->unsure_count, exe,
		runtimes_wanted(wanted, sizeof(wanted)));
}

static int add(struct targets *targets, pid_t pid, bool unrelocated, bool wait, struct err *err)
{
	struct watch *watch = NULL;
	size_t added;
	int ret;

	if (targets->count == MAX_TARGETS)
		return err_set(err, -E2BIG, "at most %d processes can be watched at once",
			       MAX_TARGETS);
	ret = watch_open(pid, targets->detector, &watch, err);
	if (ret)
		return ret;
	watch->unrelocated = unrelocated;
	ret = watch_scan(watch, &added, err);
	/* Traces of a runtime but no task type: its loader may be at work, just after an exec. */
	for (int i = 0; i < STARTING_TRIES && !ret && !watch->count && watch->unsure_count && !wait;
	     i++) {
		usleep(STARTING_US);
		ret = watch_scan(watch, &added, err);
	}
	/* Another program since: what was seen is worth nothing, and the source looks anew. */
	if (proc_execed(watch->proc) && ret != -EPERM)
		ret = 0;
	else if (!ret && !watch->count && !wait)
		ret = no_runtime(watch, err);
	if (ret && !proc_same(watch->proc))
		ret = err_set(err, -ESRCH, "process %d ended during the attach", pid);
	if (ret) {
		watch_free(watch);
		return ret;
	}
	targets->watches = xgrow(targets->watches, &targets->cap, targets->count + 1,
				 sizeof(*targets->watches));
	targets->watches[targets->count++] = watch;
	return 0;
}

struct search {
	struct targets *targets;
	const char *name; /* NULL: all */
	bool wait;
	unsigned int matched;
	struct err *err; /* of the last one that could not be watched */
};

static int try_process(void *ctx, pid_t pid)
{
	struct search *search = ctx;

	if (pid == getpid() || (search->name && !proc_named(pid, search->name)))
		return 0;
	search->matched++;
	return add(search->targets, pid, false, search->wait, search->err) == -E2BIG ? -E2BIG : 0;
}

static int search(struct targets *targets, const struct opts *opts, struct err *err)
{
	struct search s = {
		.targets = targets,
		.name = opts->name,
		.wait = opts->name && opts->wait,
		.err = err,
	};
	int ret = proc_each(try_process, &s);

	if (ret || targets->count)
		return ret;
	if (opts->name && !s.matched)
		return err_set(err, -ESRCH,
			       "no process is named %s (neither its comm nor its "
			       "executable)",
			       opts->name);
	if (!opts->name)
		return err_set(err, -ESRCH,
			       "no process here carries a runtime that can be "
			       "watched: `stalltop list` shows what there is");
	return err->code ? err->code : -ENOTSUP;
}

static int launch(struct targets *targets, const struct opts *opts, struct err *err)
{
	int ret = launch_start(opts->argv, opts->json, &targets->launch, err);

	if (ret) {
		targets->launch.pid = 0;
		return ret;
	}
	return add(targets, targets->launch.pid, targets->launch.unrelocated, true, err);
}

int targets_open(const struct opts *opts, struct targets *out, struct err *err)
{
	int ret = 0;

	*out = (struct targets){0};
	ret = detector_open(&out->detector, err);
	if (!ret && opts->debuginfod)
		ret = debuginfod_open(&out->debuginfod, err);
	if (!ret && opts->debuginfod)
		ret = detector_fetch(out->detector, out->debuginfod, err);
	if (!ret && opts->argv)
		ret = launch(out, opts, err);
	else if (!ret && opts->pids_count == 0)
		ret = search(out, opts, err);
	for (size_t i = 0; i < opts->pids_count && !ret; i++)
		ret = add(out, opts->pids[i], false, opts->wait, err);
	if (ret)
		targets_close(out);
	return ret;
}

void targets_close(struct targets *targets)
{
	for (size_t i = 0; i < targets->count; i++)
		watch_free(targets->watches[i]);
	free(targets->watches);
	if (targets->launch.pid)
		launch_end(targets->launch.pid, 0);
	detector_close(targets->detector);
	debuginfod_close(targets->debuginfod);
	*targets = (struct targets){0};
}

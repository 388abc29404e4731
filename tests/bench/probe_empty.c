// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * probe_empty [--pair] PID: puts an empty program on every task poll of a process, exactly where
 * stalltop puts its own, says "attached N", and detaches when its standard input ends. The yardstick
 * of the cost benchmark. With --pair a program at the entry and one at the return, as a script for
 * bpftrace would: what timing a function commonly costs.
 */
#include "attach/link.h"
#include "attach/plan.h"
#include "attach/watch.h"
#include "bench_empty.skel.h"
#include "bench_pair.skel.h"
#include "util/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The places of all polls; for free(3). */
static struct link_site *sites_of(const struct watch_object *object, size_t *count)
{
	struct link_site *sites;
	struct plan plan;

	plan_make(&plan, object->object, &object->found, 1);
	sites = xcalloc(plan.count, sizeof(*sites));
	*count = 0;
	for (size_t i = 0; i < plan.count; i++)
		if (!plan.probes[i].refused)
			sites[(*count)++] = (struct link_site){.offset = plan.probes[i].offset};
	plan_clear(&plan);
	return sites;
}

static int attach(int prog, const struct watch_object *object, struct link_set *links,
		  struct err *err)
{
	size_t count;
	struct link_site *sites = sites_of(object, &count);
	int ret = link_attach(links, prog, object->object->path, object->object->proc->pid, sites,
			      count, err);

	free(sites);
	return ret;
}

/* The links end with the process. */
static int attach_pairs(struct bench_pair_bpf *skel, const struct watch_object *object, size_t *all,
			struct err *err)
{
	const struct object *o = object->object;
	size_t count;
	struct link_site *sites = sites_of(object, &count);
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, entry, .retprobe = false);
		LIBBPF_OPTS(bpf_uprobe_opts, end, .retprobe = true);

		if (!bpf_program__attach_uprobe_opts(skel->progs.on_entry, o->proc->pid, o->path,
						     sites[i].offset, &entry) ||
		    !bpf_program__attach_uprobe_opts(skel->progs.on_return, o->proc->pid, o->path,
						     sites[i].offset, &end))
			ret = err_set(err, -errno, "cannot probe: %s", strerror(errno));
	}
	*all += count;
	free(sites);
	return ret;
}

int main(int argc, char **argv)
{
	bool pairs = argc == 3 && !strcmp(argv[1], "--pair");
	struct bench_empty_bpf *skel = bench_empty_bpf__open();
	struct bench_pair_bpf *pair = bench_pair_bpf__open_and_load();
	struct link_set links = {0};
	struct detector *detector = NULL;
	struct watch *watch = NULL;
	struct err err = {0};
	size_t added, paired = 0;
	int ret;
	char c;

	if (detect_child_wanted(argc, argv))
		return detect_child_main();
	if (argc != 2 + pairs || !skel || !pair)
		return 2;
	bpf_program__set_expected_attach_type(skel->progs.on_poll, BPF_ATTACH_TRACE_UPROBE_MULTI);
	ret = bench_empty_bpf__load(skel);
	if (!ret)
		ret = detector_open(&detector, &err);
	if (!ret)
		ret = watch_open(atoi(argv[argc - 1]), detector, &watch, &err);
	if (!ret)
		ret = watch_scan(watch, &added, &err);
	for (size_t i = 0; !ret && i < watch->count; i++)
		ret = pairs ? attach_pairs(pair, watch->objects[i], &paired, &err) :
			      attach(bpf_program__fd(skel->progs.on_poll), watch->objects[i],
				     &links, &err);
	if (ret) {
		fprintf(stderr, "probe_empty: %s\n", err.msg);
		return 1;
	}
	printf("attached %zu\n", links.attached + paired);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	link_detach(&links);
	watch_free(watch);
	detector_close(detector);
	bench_empty_bpf__destroy(skel);
	bench_pair_bpf__destroy(pair);
	return 0;
}

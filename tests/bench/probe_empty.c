// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * probe_empty PID: puts an empty program on every task poll of a process, exactly where stalltop
 * puts its own, says "attached N", and detaches when its standard input ends. The yardstick of the
 * cost benchmark.
 */
#include "attach/link.h"
#include "attach/plan.h"
#include "attach/watch.h"
#include "bench_empty.skel.h"
#include "util/xalloc.h"

#include <stdio.h>
#include <unistd.h>

static int attach(int prog, const struct watch_object *object, struct link_set *links,
		  struct err *err)
{
	struct link_site *sites;
	struct plan plan;
	size_t n = 0;
	int ret;

	plan_make(&plan, object->object, &object->found, 1);
	sites = xcalloc(plan.count, sizeof(*sites));
	for (size_t i = 0; i < plan.count; i++)
		if (!plan.probes[i].refused)
			sites[n++] = (struct link_site){.offset = plan.probes[i].offset};
	ret = link_attach(links, prog, object->object->path, object->object->proc->pid, sites, n,
			  err);
	free(sites);
	plan_clear(&plan);
	return ret;
}

int main(int argc, char **argv)
{
	struct bench_empty_bpf *skel = bench_empty_bpf__open();
	struct link_set links = {0};
	struct watch *watch = NULL;
	struct err err = {0};
	size_t added;
	int ret;
	char c;

	if (argc != 2 || !skel)
		return 2;
	bpf_program__set_expected_attach_type(skel->progs.on_poll, BPF_ATTACH_TRACE_UPROBE_MULTI);
	ret = bench_empty_bpf__load(skel);
	if (!ret)
		ret = watch_open(atoi(argv[1]), &watch, &err);
	if (!ret)
		ret = watch_scan(watch, &added, &err);
	for (size_t i = 0; !ret && i < watch->count; i++)
		ret = attach(bpf_program__fd(skel->progs.on_poll), watch->objects[i], &links, &err);
	if (ret) {
		fprintf(stderr, "probe_empty: %s\n", err.msg);
		return 1;
	}
	printf("attached %zu\n", links.attached);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	link_detach(&links);
	watch_free(watch);
	bench_empty_bpf__destroy(skel);
	return 0;
}

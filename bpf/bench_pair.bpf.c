// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a script for bpftrace does to time a function: a time kept by thread at the entry, taken off
 * at a return probe, into a histogram. For tests/bench.
 */
#include "kernel.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* thread */
	__type(value, __u64);
} starts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} lengths SEC(".maps");

SEC("uprobe")
int on_entry(struct pt_regs *ctx __attribute__((unused)))
{
	__u64 thread = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();

	bpf_map_update_elem(&starts, &thread, &now, BPF_ANY);
	return 0;
}

SEC("uretprobe")
int on_return(struct pt_regs *ctx __attribute__((unused)))
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *start = bpf_map_lookup_elem(&starts, &thread), *count, length;
	__u32 bucket = 0;

	if (!start)
		return 0;
	length = bpf_ktime_get_ns() - *start;
	for (int i = 0; i < 63 && length > 1; i++) {
		length >>= 1;
		bucket++;
	}
	count = bpf_map_lookup_elem(&lengths, &bucket);
	if (count)
		*count += 1;
	bpf_map_delete_elem(&starts, &thread);
	return 0;
}

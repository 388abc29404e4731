// SPDX-License-Identifier: GPL-2.0-only
/* A uprobe program that does nothing: what the trap alone costs, for tests/bench. */
#include "kernel.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("uprobe")
int on_poll(struct pt_regs *ctx)
{
	return 0;
}

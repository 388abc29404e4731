// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the channels of all runtimes have in common. */
#include "runtime/channel.h"

#define LINE 128 /* CachePadded on x86-64 */
#define MAX_REFS (1ULL << 24)

bool channel_address(uint64_t addr)
{
	return channel_pointer(addr) && addr % LINE == 0;
}

bool channel_arc(const uint64_t *words)
{
	return words[0] && words[0] < MAX_REFS && words[1] && words[1] < MAX_REFS;
}

void channel_prove(struct channel *c)
{
	uint64_t apart = c->depth > c->proven_depth ? c->depth - c->proven_depth :
						      c->proven_depth - c->depth;

	if (apart < CHANNEL_APART || c->proofs >= CHANNEL_PROOFS)
		return;
	c->proofs++;
	c->proven_depth = c->depth;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a task's header says. Where it keeps what is data of its site (struct wire_site); what the
 * state word means is a matter of the site's family (wire.h).
 */
#ifndef BPF_HEADER_H
#define BPF_HEADER_H

#include "maps.bpf.h"

/*
 * The header of a task and the first words of its core. Kept below 64 bytes: from there on the
 * kernel's copy uses `rep movsb`, which is slower than the words one by one.
 */
struct task_words {
	__u64 w[WIRE_HEADER_READ + 1]; /* the last one is WIRE_NO_WORD: 0 */
};

static __always_inline bool words_read(struct task_words *words, __u64 header)
{
	words->w[WIRE_NO_WORD] = 0;
	return !bpf_probe_read_user(words->w, WIRE_HEADER_READ * sizeof(__u64),
				    (const void *)header);
}

/* Without an id the address stands for one, and when the task there was first polled. */
static __always_inline bool has_ids(const struct wire_site *cfg)
{
	return cfg->id_word != WIRE_NO_WORD;
}

static __always_inline __u64 vtable_of(const struct task_words *words, const struct wire_site *cfg)
{
	return words->w[cfg->vtable_word & 7];
}

static __always_inline __u64 state_of(const struct task_words *words, const struct wire_site *cfg)
{
	return words->w[cfg->state_word & 7];
}

static __always_inline bool words_alive(const struct task_words *words, const struct wire_site *cfg,
					__u64 header)
{
	return wire_alive(cfg->family, state_of(words, cfg), words->w[(cfg->state_word + 1) & 7],
			  header);
}

static __always_inline void poll_fill(struct wire_poll *poll, const struct task_words *words,
				      const struct wire_site *cfg)
{
	if (has_ids(cfg))
		poll->task_id = words->w[cfg->id_word & 7];
	poll->sched = words->w[cfg->sched_word & 7];
	if (!poll->sched)
		poll->sched = WIRE_SCHED_UNKNOWN;
}

#endif

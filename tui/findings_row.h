/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A row of the findings view, as it was read: view_findings.c fills it and writes its detail,
 * findings_columns.c shows it in columns. Times are nanoseconds of the model's clock.
 */
#ifndef TUI_FINDINGS_ROW_H
#define TUI_FINDINGS_ROW_H

#include "tui/proof.h"
#include "tui/view.h"

struct row {
	struct finding finding; /* a copy; its rule lives as long as the program */
	uint64_t key;
	uint32_t pid;
	uint64_t now_ns;
	uint64_t open_ns; /* how long what is open lasts */
	uint64_t live_ns; /* what stalls now: its length so far; 0 nothing */
	char where[NAME_SIZE];
	char process[64], runtime[64], worker[64];
	char culprit[96];  /* the line to blame, else its function; "" not known */
	char victims[512]; /* who waited meanwhile */
	char cause[256];   /* what it is an effect of */
	const char *rule_id;
	struct proof proof; /* nothing for those beyond STACKS_READ */
};

#define FINDINGS_COLUMNS 14
extern const struct column findings_columns[FINDINGS_COLUMNS];

static inline uint64_t row_ago(const struct row *row, uint64_t then)
{
	return row->now_ns > then ? row->now_ns - then : 0;
}

#endif

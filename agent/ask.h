/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What keys of the live view ask of the program: the view itself changes neither rules nor source.
 * Borrows what it is given. Each answer is one line for the user, also when the wish cannot be met.
 */
#ifndef ASK_H
#define ASK_H

#include "core/source.h"
#include "recording.h"
#include "rules/rule.h"
#include "tui/tui.h"

struct asker {
	struct rules *rules;
	struct source *source;
	struct recording *recording; /* NULL: none is kept */
};

/* For tui_opts.ask; `ctx` is a struct asker. */
void ask_answer(void *ctx, enum tui_ask what, char *answer, size_t size);

/* The step of 1, 2, 5, 10, 20, 50 ... above or below, within the range of the keys. */
uint64_t threshold_step(uint64_t ns, bool up);

#endif

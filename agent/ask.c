// SPDX-License-Identifier: LGPL-2.1-or-later
/* Keys of the live view that change what is watched; see ask.h. */
#include "ask.h"

#include "util/fmt.h"

#include <stdio.h>

/* Below, the source reports polls that are the normal work of a busy program. */
#define THRESHOLD_LEAST 100000ULL
#define THRESHOLD_MOST 10000000000ULL

uint64_t threshold_step(uint64_t ns, bool up)
{
	static const unsigned int steps[] = {1, 2, 5};
	uint64_t before = THRESHOLD_LEAST, step = THRESHOLD_LEAST;

	for (uint64_t decade = THRESHOLD_LEAST; step < THRESHOLD_MOST; decade *= 10)
		for (int i = 0; i < 3 && step < THRESHOLD_MOST; i++) {
			step = decade * steps[i];
			if (up ? step > ns : step >= ns)
				return up ? step : before;
			before = step;
		}
	return THRESHOLD_MOST;
}

static void change_threshold(struct asker *asker, bool up, char *answer, size_t size)
{
	uint64_t now = rules_threshold_ns(asker->rules), ns = threshold_step(now, up);
	char text[FMT_SIZE], critical[FMT_SIZE];
	struct err err = {0};

	fmt_duration(text, sizeof(text), ns);
	fmt_duration(critical, sizeof(critical), 10 * ns);
	if (ns == now) {
		snprintf(answer, size, "the threshold stays at %s: --threshold sets others", text);
		return;
	}
	if (rules_set_threshold(asker->rules, ns, &err)) {
		snprintf(answer, size, "%s", err.msg);
		return;
	}
	if (asker->source->ops->set_threshold)
		asker->source->ops->set_threshold(asker->source,
						  rules_poll_threshold_ns(asker->rules));
	snprintf(answer, size,
		 "threshold %s: blocking-call and cpu-bound-poll warn from there, %s is critical",
		 text, critical);
}

void ask_answer(void *ctx, enum tui_ask what, char *answer, size_t size)
{
	struct asker *asker = ctx;

	switch (what) {
	case TUI_ASK_THRESHOLD_UP: change_threshold(asker, true, answer, size); break;
	case TUI_ASK_THRESHOLD_DOWN: change_threshold(asker, false, answer, size); break;
	case TUI_ASK_WRITE:
		if (asker->recording)
			recording_write(asker->recording, "asked for", answer, size);
		else
			snprintf(answer, size, "no trace is kept here");
		break;
	}
}

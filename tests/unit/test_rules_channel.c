// SPDX-License-Identifier: LGPL-2.1-or-later
/* unbounded-channel: what grows, and what only looks like it. */
#include "rules_world.h"

#define RULE "unbounded-channel"

struct flow {
	uint64_t sent, received;
	uint32_t receiver, sender;
	const char *message, *no_message;
};

static void tell(struct world *w, const struct flow *f)
{
	APPLY(w->m, EV_CHANNEL, w->now, 0,
	      .as_channel = {.key = 0x1000,
			     .site = f->receiver != ID_NONE ? f->receiver : SITE_OTHER,
			     .receiver = f->receiver,
			     .sender = f->sender,
			     .depth = f->sent - f->received,
			     .sent = f->sent,
			     .received = f->received,
			     .senders = 2,
			     .message_bytes = 24,
			     .library = "tokio::sync::mpsc",
			     .message = f->message,
			     .no_message = f->no_message});
}

/* `in` and `out` messages a second, told five times a second. */
static void run(struct world *w, struct flow *f, uint32_t seconds, uint64_t in, uint64_t out)
{
	for (uint32_t i = 0; i < seconds * 5; i++) {
		f->sent += in / 5;
		f->received += out / 5;
		if (f->received > f->sent)
			f->received = f->sent;
		tell(w, f);
		world_tick(w, 200 * MS);
	}
}

static void test_grows(void **state)
{
	struct flow f = {.receiver = SITE_HANDLER, .sender = SITE_OTHER};
	const struct finding *found;
	struct world w;

	(void)state;
	world_open(&w);
	run(&w, &f, 5, 5000, 1000);
	assert_null(world_find(&w, RULE, ID_NONE)); /* deep for 2 s */
	run(&w, &f, 10, 5000, 1000);
	found = world_find(&w, RULE, SITE_HANDLER);
	assert_non_null(found);
	assert_int_equal(found->severity, SEVERITY_WARNING);
	assert_true(found->open);
	assert_non_null(strstr(found->message,
			       "messages wait in an unbounded tokio::sync::mpsc channel, received "
			       "by shop::handler, sent by "));
	assert_non_null(strstr(found->message, "5.00k/s sent and 1.00k/s received; senders: 2"));
	assert_true(finding_value_of(found, "site.channel_bytes") >= 10000.0 * 24);
	/* It no longer grows, but is as deep: the same finding; then it is emptied. */
	run(&w, &f, 5, 1000, 1000);
	assert_true(found->open);
	run(&w, &f, 10, 0, 100000);
	assert_false(found->open);
	assert_int_equal(found->count, 1);
	world_close(&w);
}

static void test_message(void **state)
{
	struct flow f = {.receiver = SITE_HANDLER,
			 .sender = SITE_OTHER,
			 .no_message = "no debug information tells it"};
	const struct finding *found;
	struct world w;

	(void)state;
	world_open(&w);
	run(&w, &f, 15, 5000, 1000);
	found = world_find(&w, RULE, SITE_HANDLER);
	assert_non_null(strstr(found->message, "in an unbounded tokio::sync::mpsc channel, rec"));
	assert_non_null(strstr(found->message,
			       "; the type of a message is n/a: no debug information tells it"));
	f.message = "shop::Order";
	f.no_message = NULL;
	run(&w, &f, 5, 5000, 1000);
	assert_non_null(strstr(found->message, "tokio::sync::mpsc channel of shop::Order, rec"));
	assert_null(strstr(found->message, "n/a"));
	world_close(&w);
}

static void test_critical(void **state)
{
	struct flow f = {.receiver = ID_NONE, .sender = SITE_OTHER};
	const struct finding *found;
	struct world w;

	(void)state;
	world_open(&w);
	run(&w, &f, 15, 200000, 0);
	found = world_find(&w, RULE, SITE_OTHER);
	assert_non_null(found);
	assert_int_equal(found->severity, SEVERITY_CRITICAL);
	assert_null(strstr(found->message, "received by"));
	world_close(&w);
}

/* Deep, and as deep as before. */
static void test_steady(void **state)
{
	struct flow f = {.receiver = SITE_HANDLER, .sender = ID_NONE, .sent = 50000};
	struct world w;

	(void)state;
	world_open(&w);
	run(&w, &f, 20, 1000, 1000);
	assert_int_equal(world_count(&w), 0);
	world_close(&w);
}

/* Filled for some seconds, emptied in one, again and again; slower and slower. */
static void test_bursts(void **state)
{
	struct flow f = {.receiver = SITE_HANDLER, .sender = SITE_OTHER};
	struct world w;

	(void)state;
	world_open(&w);
	for (uint32_t seconds = 2; seconds < 8; seconds++)
		for (int n = 0; n < 3; n++) {
			run(&w, &f, seconds, 10000, 0);
			run(&w, &f, 1, 0, 1000000);
		}
	/* And one as long as nothing before: it was seen to be emptied from nearly that depth. */
	run(&w, &f, 12, 10000, 0);
	assert_int_equal(world_count(&w), 0);
	/* That is more than twice as much as it ever came down from. */
	run(&w, &f, 10, 10000, 0);
	assert_int_equal(world_count(&w), 1);
	world_close(&w);
}

static void test_gone(void **state)
{
	struct flow f = {.receiver = SITE_HANDLER, .sender = ID_NONE};
	const struct finding *found;
	struct world w;

	(void)state;
	world_open(&w);
	run(&w, &f, 15, 5000, 0);
	found = world_find(&w, RULE, SITE_HANDLER);
	assert_true(found && found->open);
	assert_int_equal(w.m->backlogs_count, 1);
	world_run(&w, 10 * SEC, 200 * MS);
	assert_false(found->open);
	assert_int_equal(w.m->backlogs_count, 0);
	world_close(&w);
}

static void test_hostile(void **state)
{
	struct model *m = watched();

	(void)state;
	REFUSED(m, EV_CHANNEL, T0, 0, .as_channel = {.site = ID_NONE});
	REFUSED(m, EV_CHANNEL, T0, 0, .as_channel = {.site = 2});
	REFUSED(m, EV_CHANNEL, T0, 0, .as_channel = {.receiver = 9});
	REFUSED(m, EV_CHANNEL, T0, 0, .as_channel = {.sender = 2});
	REFUSED(m, EV_CHANNEL, T0, 9, .as_channel = {.site = 0});
	REFUSED(m, EV_CHANNEL, T0, 0, .as_channel = {.sent = 1, .received = 2});
	REFUSED(m, EV_CHANNEL_SCAN, T0, 9, .as_channel_scan = {0});
	for (uint64_t i = 0; i < 2 * MODEL_MAX_BACKLOGS; i++)
		APPLY(m, EV_CHANNEL, T0, 0, .as_channel = {.key = i, .library = "l"});
	assert_int_equal(m->backlogs_count, MODEL_MAX_BACKLOGS);
	REFUSED(m, EV_CHANNEL, T0, 0, .as_channel = {.key = 1, .sent = 2, .received = 3});
	TICK(m, T0 + SEC);
	/* Another program in the same process has none of them. */
	APPLY(m, EV_TARGET_END, T0 + SEC, 0, .as_target_end = {.reason = TARGET_EXECED});
	APPLY(m, EV_TARGET, T0 + SEC, 0, .as_target = {.pid = 100, .comm = "app"});
	assert_int_equal(m->backlogs_count, 0);
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),	 cmocka_unit_test(test_grows),
		cmocka_unit_test(test_critical), cmocka_unit_test(test_steady),
		cmocka_unit_test(test_bursts),	 cmocka_unit_test(test_gone),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

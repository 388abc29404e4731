// SPDX-License-Identifier: LGPL-2.1-or-later
/* Channels in memory: our own, laid out like those of Tokio and of async-channel. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/async_task.h"
#include "runtime/channel.h"

#define LINE_WORDS 16
#define MESSAGE_WORDS 3
#define HEADER (32 * MESSAGE_WORDS) /* words of messages before it */
#define BLOCK_WORDS (HEADER + 4)
#define BLOCKS 400

enum { TX = LINE_WORDS, WAKER = 2 * LINE_WORDS, REST = 3 * LINE_WORDS };
enum { SEMAPHORE = REST + 4, SENDERS, WEAK, RX, BOUND = RX + 4 };

struct world {
	_Alignas(128) uint64_t w[4 * LINE_WORDS];
	uint64_t blocks[BLOCKS][BLOCK_WORDS];
	uint64_t room; /* of a bounded channel; 0: none */
	struct memory memory;
};

static uint64_t addr_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* Each block is used once: block i begins at message 32 i. */
static void world_set(struct world *w, uint64_t received, uint64_t sent)
{
	uint64_t last = sent / 32;

	memset(w->blocks, 0x5a, sizeof(w->blocks));
	for (uint64_t i = 0; i <= last; i++) {
		uint64_t *header = &w->blocks[i][HEADER];

		header[0] = 32 * i;
		header[1] = i == last ? 0 : addr_of(w->blocks[i + 1]);
		header[2] = i == last ? (1ULL << sent % 32) - 1 : 0x1ffffffffULL;
		header[3] = 0;
	}
	w->w[TX] = addr_of(w->blocks[last]);
	w->w[TX + 1] = sent;
	w->w[RX] = w->w[RX + 1] = addr_of(w->blocks[received / 32]);
	w->w[RX + 2] = received;
	w->w[SEMAPHORE] = w->room ? (w->room - (sent - received)) << 1 : (sent - received) << 1;
	w->w[BOUND] = w->room;
}

static struct world *world_new(uint64_t room)
{
	struct world *w = aligned_alloc(128, sizeof(*w));

	memset(w, 0, sizeof(*w));
	w->room = room;
	w->w[0] = 4; /* two senders, a weak one, the receiver */
	w->w[1] = 1;
	w->w[SENDERS] = 2;
	w->w[WEAK] = 1;
	assert_int_equal(memory_open(&w->memory, getpid(), NULL), 0);
	return w;
}

static void world_free(struct world *w)
{
	memory_close(&w->memory);
	free(w);
}

static struct channel fitted(struct world *w)
{
	struct channel c;

	assert_int_equal(tokio_channels.fit(&w->memory, addr_of(w->w), &c), 0);
	assert_int_equal(c.message_bytes, 8 * MESSAGE_WORDS);
	return c;
}

static void sampled(struct world *w, struct channel *c, uint64_t received, uint64_t sent)
{
	world_set(w, received, sent);
	assert_int_equal(tokio_channels.sample(&w->memory, c), 0);
	assert_int_equal(c->received, received);
	assert_int_equal(c->sent, sent);
	assert_int_equal(c->depth, sent - received);
}

static void tokio_unbounded(void **state)
{
	struct world *w = world_new(0);
	struct channel c;

	(void)state;
	world_set(w, 40, 1000);
	c = fitted(w);
	sampled(w, &c, 40, 1000);
	sampled(w, &c, 50, 1050); /* too near to the last depth to prove anything */
	sampled(w, &c, 60, 2000);
	assert_false(channel_unbounded(&c));
	sampled(w, &c, 70, 3000);
	assert_true(channel_unbounded(&c));
	assert_int_equal(c.senders, 2);
	/* Messages on their way are counted before they are in the list. */
	world_set(w, 80, 3500);
	w->w[SEMAPHORE] += 4 << 1;
	assert_int_equal(tokio_channels.sample(&w->memory, &c), 0);
	assert_true(channel_unbounded(&c));
	world_free(w);
}

/* A message that is the block's own start index, and zeros behind it, look like a header. */
static void tokio_lookalike(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	world_set(w, 70, 70);
	memset(w->blocks[2], 0, HEADER * sizeof(w->blocks[2][0]));
	w->blocks[2][0] = 64;
	fitted(w);
	world_free(w);
}

/* A receiver that has not taken the first message yet: its blocks alone are the proof. */
static void tokio_untouched(void **state)
{
	struct world *w = world_new(0);
	struct channel c;

	(void)state;
	world_set(w, 0, 100);
	assert_int_equal(tokio_channels.fit(&w->memory, addr_of(w->w), &c), -ENOENT);
	world_set(w, 0, 1000);
	fitted(w);
	/* In the only block: the messages that are ready. */
	world_set(w, 3, 20);
	fitted(w);
	w->blocks[0][HEADER + 2] ^= 1 << 5;
	assert_int_equal(tokio_channels.fit(&w->memory, addr_of(w->w), &c), -ENOENT);
	world_free(w);
}

static void tokio_bounded(void **state)
{
	struct world *w = world_new(12000);
	struct channel c;

	(void)state;
	world_set(w, 64, 1000);
	c = fitted(w);
	for (uint64_t sent = 1000; sent < 12000; sent += 500) {
		sampled(w, &c, 64, sent);
		assert_false(channel_unbounded(&c));
	}
	assert_true(c.bounded);
	world_free(w);
}

static void tokio_waker(void **state)
{
	struct world *w = world_new(0);
	struct channel c;

	(void)state;
	world_set(w, 70, 70);
	c = fitted(w);
	sampled(w, &c, 70, 70);
	assert_int_equal(c.waiters_count, 0);
	w->w[WAKER + 1] = addr_of(&c);
	w->w[WAKER + 2] = addr_of(w);
	sampled(w, &c, 70, 70);
	assert_int_equal(c.waiters_count, 2);
	w->w[WAKER + 1] = 0; /* it was taken: what is left says nothing */
	sampled(w, &c, 70, 70);
	assert_int_equal(c.waiters_count, 0);
	world_free(w);
}

static void tokio_stale(void **state)
{
	struct world *w = world_new(0);
	struct channel c;

	(void)state;
	world_set(w, 100, 1000);
	c = fitted(w);
	sampled(w, &c, 100, 1000);
	world_set(w, 100, 900); /* counts never fall */
	assert_int_equal(tokio_channels.sample(&w->memory, &c), -ESTALE);
	world_set(w, 100, 1100);
	w->blocks[3][HEADER] = 128; /* the head is another block than the index says */
	assert_int_equal(tokio_channels.sample(&w->memory, &c), -ESTALE);
	world_set(w, 100, 1100);
	w->w[0] = 0;
	assert_int_equal(tokio_channels.sample(&w->memory, &c), -ESTALE);
	world_free(w);
}

/* Each of these once, on what would be a channel. */
static void tokio_refused(void **state)
{
	static const struct {
		uint32_t word;
		uint64_t value;
	} wrong[] = {
		{0, 0},		{1, 1ULL << 40},     {TX, 12},	     {TX + 1, 1ULL << 50}, {RX, 0},
		{RX + 2, 2000}, {RX + 2, 1000 - 32}, {RX + 1, 4096},
	};
	struct world *w = world_new(0);
	struct channel c;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		world_set(w, 100, 1000);
		w->w[0] = 4;
		w->w[1] = 1;
		w->w[wrong[i].word] = wrong[i].value;
		assert_int_equal(tokio_channels.fit(&w->memory, addr_of(w->w), &c), -ENOENT);
	}
	assert_int_equal(tokio_channels.fit(&w->memory, addr_of(w->w) + 8, &c), -ENOENT);
	assert_int_equal(tokio_channels.fit(&w->memory, 1ULL << 40, &c), -ENOENT);
	world_free(w);
}

static uint64_t queue_index(uint64_t messages)
{
	return (messages / 31 * 32 + messages % 31) << 1;
}

static void async_set(uint64_t *w, uint64_t received, uint64_t sent)
{
	w[2 * LINE_WORDS] = queue_index(received) | 1;
	w[3 * LINE_WORDS] = queue_index(sent);
}

static void async_unbounded(void **state)
{
	_Alignas(128) uint64_t w[ASYNC_QUEUE_WORDS + LINE_WORDS] = {3, 1};
	struct memory memory;
	struct channel c;

	(void)state;
	assert_int_equal(memory_open(&memory, getpid(), NULL), 0);
	w[LINE_WORDS] = 2; /* unbounded */
	w[2 * LINE_WORDS + 1] = w[3 * LINE_WORDS + 1] = addr_of(w);
	async_set(w, 5, 1000);
	/* An executor's run queue has no such ends. */
	assert_int_equal(async_channels.fit(&memory, addr_of(w), &c), -ENOENT);
	w[ASYNC_QUEUE_WORDS + 4] = 2;
	w[ASYNC_QUEUE_WORDS + 5] = 1;
	assert_int_equal(async_channels.fit(&memory, addr_of(w), &c), 0);
	assert_int_equal(c.depth, 995);
	assert_int_equal(c.receivers, 1);
	for (uint64_t sent = 1200; sent <= 1600; sent += 200) {
		assert_false(channel_unbounded(&c) && sent < 1600);
		async_set(w, 5, sent);
		assert_int_equal(async_channels.sample(&memory, &c), 0);
		assert_int_equal(c.depth, sent - 5);
	}
	assert_true(channel_unbounded(&c));
	assert_int_equal(c.senders, 2);
	async_set(w, 5, 1500);
	assert_int_equal(async_channels.sample(&memory, &c), -ESTALE);
	async_set(w, 5, 1600);
	w[LINE_WORDS] = 1; /* bounded */
	assert_int_equal(async_channels.sample(&memory, &c), -ESTALE);
	assert_int_equal(async_channels.fit(&memory, addr_of(w), &c), -ENOENT);
	memory_close(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokio_unbounded), cmocka_unit_test(tokio_untouched),
		cmocka_unit_test(tokio_bounded),   cmocka_unit_test(tokio_waker),
		cmocka_unit_test(tokio_lookalike), cmocka_unit_test(tokio_stale),
		cmocka_unit_test(tokio_refused),   cmocka_unit_test(async_unbounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

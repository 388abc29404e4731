// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "runtime/tokio_check.h"

#define ARC_COUNTERS 16
#define NEAR_MAX 2    /* minors around an unknown or unfitting one */
#define CHECK_TRIES 4 /* a check races with the runtime it looks at */
#define SHIFT_MAX 512
#define FITS_MAX 16

const enum tokio_field fit_size_field[TOKIO_ROOTS] = {
	TOKIO_MULTI_SIZE,
	TOKIO_CURRENT_SIZE,
	TOKIO_LOCAL_SIZE,
};
static const enum tokio_field align_of[TOKIO_ROOTS] = {
	TOKIO_MULTI_ALIGN,
	TOKIO_CURRENT_ALIGN,
	TOKIO_LOCAL_ALIGN,
};
uint64_t fit_data(uint64_t handle, const struct fit *fit)
{
	int16_t align = fit->layout->off[align_of[fit->root]];

	return handle + (uint64_t)(align > ARC_COUNTERS ? align : ARC_COUNTERS);
}

/* The handle and a little more, in case features made it larger; at a mapping's end, just it. */
static int read_handle(const struct memory *m, const struct tokio_query *query,
		       const struct fit *fit, struct block *b)
{
	size_t size = (size_t)fit->layout->off[fit_size_field[fit->root]];
	uint64_t addr = fit_data(query->handle, fit);

	if (!block_read(m, b, addr, size + SHIFT_MAX))
		return 0;
	return block_read(m, b, addr, size);
}

/* Fits of one layout and root: the place of the table, or any one shift; two are one too many. */
static bool fit_layout(const struct memory *m, const struct tokio_query *query, struct fit *fit,
		       struct block *b)
{
	int16_t align = fit->layout->off[align_of[fit->root]];
	struct fit found = *fit;
	size_t hits = 0;

	if (!tokio_layout_has(fit->layout, fit->root) || align < 1 || read_handle(m, query, fit, b))
		return false;
	fit->shift = 0;
	if (tokio_fit_scheduler(m, query, b, fit))
		return true;
	if (fit->root == TOKIO_ROOT_LOCAL)
		return false;
	align = align < 8 ? 8 : align;
	for (int shift = -SHIFT_MAX; shift <= SHIFT_MAX; shift += align) {
		fit->shift = shift;
		if (!shift || !tokio_fit_scheduler(m, query, b, fit))
			continue;
		found = *fit;
		hits++;
	}
	*fit = found;
	return hits == 1;
}

/*
 * Counters at rest are zeros, and zeros are everywhere: a row of another version can fit one by
 * chance, most easily when it may be shifted. The pool's many invariants make that impossible; a
 * LocalSet, which has none, takes the owner id of one of its tasks.
 */
static bool fit_certain(const struct fit *fit)
{
	if (fit->root == TOKIO_ROOT_LOCAL)
		return fit->proven;
	if (fit->root == TOKIO_ROOT_MULTI && !fit->shift)
		return true;
	return fit->pool >= 0 && (fit->proven || !fit->shift);
}

static bool fit_complete(const struct memory *m, const struct tokio_query *query, struct fit *fit,
			 struct block *b)
{
	if (!fit_layout(m, query, fit, b))
		return false;
	fit->pool = -1;
	if (fit->root != TOKIO_ROOT_LOCAL)
		tokio_fit_pool(m, query, b, fit);
	return fit_certain(fit);
}

static size_t fit_all(const struct memory *m, const struct tokio_query *query,
		      const struct tokio_layout *const *layouts, size_t n, struct fit *fits,
		      struct block *b)
{
	size_t found = 0;

	for (size_t i = 0; i < n && found < FITS_MAX; i++) {
		for (int root = 0; root < TOKIO_ROOTS && found < FITS_MAX; root++) {
			fits[found] = (struct fit){.layout = layouts[i],
						   .root = (enum tokio_root)root};
			if (fit_complete(m, query, &fits[found], b))
				found++;
		}
	}
	return found;
}

/* Layouts of the target itself, of its version, then of neighbours: the first group that fits. */
static size_t fit_search(const struct memory *m, const struct tokio_query *query, struct fit *fits,
			 struct block *b)
{
	const struct tokio_layout *layouts[TOKIO_LAYOUT_CANDIDATES];
	size_t n, found;

	if (query->layout) {
		found = fit_all(m, query, &query->layout, 1, fits, b);
		if (found)
			return found;
	}
	for (unsigned int near = 0; near <= NEAR_MAX; near++) {
		n = tokio_layout_candidates(&query->version, query->unstable, near, layouts,
					    TOKIO_LAYOUT_CANDIDATES);
		found = fit_all(m, query, layouts, n, fits, b);
		if (found)
			return found;
	}
	return 0;
}

static bool same_place(const struct fit *a, const struct fit *b, enum tokio_field first,
		       enum tokio_field last)
{
	for (int field = first; field <= (int)last; field++)
		if (fit_off(a, (enum tokio_field)field) != fit_off(b, (enum tokio_field)field))
			return false;
	return fit_data(0, a) == fit_data(0, b);
}

/* What two fits of one flavour do not agree on is not known. */
static void merge_fit(struct fit_choice *c, const struct fit *other)
{
	static const struct {
		enum tokio_field inject, inject_last, tasks, local, local_last;
	} ranges[TOKIO_ROOTS] = {
		{TOKIO_MULTI_INJECT_LEN, TOKIO_MULTI_INJECT_CLOSED, TOKIO_MULTI_OWNED_COUNT,
		 TOKIO_MULTI_REMOTES, TOKIO_MULTI_REMOTES_LEN},
		{TOKIO_CURRENT_INJECT_LEN, TOKIO_CURRENT_DEQUE_PTR, TOKIO_CURRENT_OWNED_COUNT,
		 TOKIO_CURRENT_DEPTH, TOKIO_CURRENT_DEPTH},
		{TOKIO_LOCAL_REMOTE_LEN, TOKIO_LOCAL_REMOTE_PTR, TOKIO_LOCAL_OWNED_HEAD,
		 TOKIO_LOCAL_RUN_LEN, TOKIO_LOCAL_RUN_PTR},
	};
	enum tokio_root root = c->fit.root;

	if (!same_place(&c->fit, other, ranges[root].inject, ranges[root].inject_last))
		c->inject_ambiguous = true;
	if (!same_place(&c->fit, other, ranges[root].tasks, ranges[root].tasks))
		c->tasks_ambiguous = true;
	if (!same_place(&c->fit, other, ranges[root].local, ranges[root].local_last))
		c->local_ambiguous = true;
}

static bool same_counters(const struct tokio_layout *a, const struct tokio_layout *b)
{
	return a->off[TOKIO_POOL_SIZE] == b->off[TOKIO_POOL_SIZE] &&
	       a->off[TOKIO_POOL_THREADS] == b->off[TOKIO_POOL_THREADS] &&
	       a->off[TOKIO_POOL_IDLE] == b->off[TOKIO_POOL_IDLE] &&
	       a->off[TOKIO_POOL_QUEUE] == b->off[TOKIO_POOL_QUEUE];
}

/* Keeps every layout of the pool that fitted; two places for it are one too many. */
static void take_pools(struct fit_choice *c, const struct fit *fits, size_t n)
{
	c->fit.pool = -1;
	for (size_t i = 0; i < n; i++) {
		bool known = false;

		if (fits[i].pool < 0)
			continue;
		if (c->fit.pool >= 0 && c->fit.pool != fits[i].pool) {
			c->fit.pool = -1;
			c->pool_count = 0;
			return;
		}
		c->fit.pool = fits[i].pool;
		for (size_t j = 0; j < c->pool_count; j++)
			known = known || same_counters(&c->pools[j], fits[i].layout);
		if (!known && c->pool_count < TOKIO_POOLS)
			c->pools[c->pool_count++] = *fits[i].layout;
	}
}

/* One flavour only, or nothing. */
static int take_fits(struct fit_choice *c, const struct fit *fits, size_t n, struct err *err)
{
	for (size_t i = 1; i < n; i++)
		if (fits[i].root != fits[0].root || fits[i].workers != fits[0].workers)
			return err_set(err, -ENOENT,
				       "the handle looks like two kinds of Tokio scheduler");
	c->fit = fits[0];
	c->layout = *fits[0].layout;
	c->fit.layout = &c->layout;
	for (size_t i = 1; i < n; i++)
		merge_fit(c, &fits[i]);
	take_pools(c, fits, n);
	return 0;
}

int tokio_fit_choose(const struct memory *m, const struct tokio_query *query,
		     struct fit_choice *choice, struct block *scratch, struct err *err)
{
	struct fit fits[FITS_MAX];
	size_t found = 0;

	memset(choice, 0, sizeof(*choice));
	for (int i = 0; i < CHECK_TRIES && !found; i++)
		found = fit_search(m, query, fits, scratch);
	if (!found)
		return err_set(err, -ENOENT, "no known layout of Tokio %u.%u.%u fits this process",
			       query->version.major, query->version.minor, query->version.patch);
	return take_fits(choice, fits, found, err);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading ahead; see ahead.h. */
#include "detect/ahead.h"

#include "util/xalloc.h"

#include <errno.h>
#include <string.h>

#define USER_END (1ULL << 47)

void ahead_reset(struct ahead *ahead)
{
	for (size_t i = 0; ahead->windows && i < AHEAD_WINDOWS; i++)
		ahead->windows[i].start = ahead->windows[i].end = ahead->windows[i].used = 0;
}

void ahead_free(struct ahead *ahead)
{
	free(ahead->windows);
	ahead->windows = NULL;
}

static void place_window(struct ahead_window *window, const struct elf_range *within, uint64_t addr)
{
	uint64_t first = within->start / AHEAD_PAGE * AHEAD_PAGE;
	uint64_t end = (within->end / AHEAD_PAGE + (within->end % AHEAD_PAGE != 0)) * AHEAD_PAGE;

	window->start = addr / AHEAD_PAGE * AHEAD_PAGE;
	window->end = window->start + AHEAD_PAGE;
	if (addr < first || addr >= end)
		return;
	window->start = first;
	window->end = end;
	if (end - first <= AHEAD_BYTES)
		return;
	addr = addr / AHEAD_BYTES * AHEAD_BYTES;
	window->start = addr < first ? first : addr;
	window->end = end - addr < AHEAD_BYTES ? end : addr + AHEAD_BYTES;
}

/* The window that has the address, or the one that was not used for longest. */
static struct ahead_window *choose(struct ahead *ahead, uint64_t addr)
{
	struct ahead_window *oldest = &ahead->windows[0];

	for (size_t i = 0; i < AHEAD_WINDOWS; i++) {
		struct ahead_window *window = &ahead->windows[i];

		if (addr >= window->start && addr < window->end)
			return window;
		if (window->used < oldest->used)
			oldest = window;
	}
	oldest->start = oldest->end = 0;
	return oldest;
}

/* As many as one window has of them; returns how many, or -errno. */
static ssize_t read_some(struct ahead *ahead, const struct elf_range *within, uint64_t addr,
			 uint8_t *buf, size_t len)
{
	struct ahead_window *window = choose(ahead, addr);
	int ret;

	if (window->start == window->end) {
		place_window(window, within, addr);
		window->present = 0;
		ret = ahead->fetch(ahead->ctx, window);
		if (ret) {
			window->start = window->end = 0;
			return ret;
		}
	}
	window->used = ++ahead->reads;
	if (len > window->end - addr)
		len = window->end - addr;
	for (uint64_t page = (addr - window->start) / AHEAD_PAGE;
	     page * AHEAD_PAGE < addr + len - window->start; page++)
		if (!(window->present & 1U << page))
			return -EFAULT;
	memcpy(buf, window->bytes + (addr - window->start), len);
	return (ssize_t)len;
}

int ahead_read(struct ahead *ahead, const struct elf_range *within, uint64_t addr, void *buf,
	       size_t len)
{
	uint8_t *to = buf;
	ssize_t got;

	if (addr >= USER_END || len > USER_END - addr)
		return -EFAULT;
	if (!ahead->windows)
		ahead->windows = xcalloc(AHEAD_WINDOWS, sizeof(*ahead->windows));
	for (; len; len -= (size_t)got, to += got, addr += (uint64_t)got) {
		got = read_some(ahead, within, addr, to, len);
		if (got < 0)
			return (int)got;
	}
	return 0;
}

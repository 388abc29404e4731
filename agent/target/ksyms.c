// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of the kernel's functions; see ksyms.h. */
#include "target/ksyms.h"

#include "util/xalloc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SYMBOLS 1000000
#define READ_AT_ONCE 65536
#define FUNCTION_MAX (1u << 20) /* an address further from a symbol is not in its function */

struct ksym {
	uint64_t addr;
	uint32_t name; /* in names */
};

struct ksyms {
	struct ksym *list;
	size_t count, cap;
	bool jumbled; /* not in the order of addresses, as most kernels list them */
	char *names;
	size_t len, names_cap;
};

static void add(struct ksyms *k, uint64_t addr, const char *name, size_t len)
{
	k->list = xgrow(k->list, &k->cap, k->count + 1, sizeof(*k->list));
	k->names = xgrow(k->names, &k->names_cap, k->len + len + 1, 1);
	k->jumbled |= k->count && k->list[k->count - 1].addr > addr;
	k->list[k->count++] = (struct ksym){.addr = addr, .name = (uint32_t)k->len};
	memcpy(k->names + k->len, name, len);
	k->names[k->len + len] = '\0';
	k->len += len + 1;
}

/* "ffffffff81000000 T _text", a module's name behind it. What the compiler adds (.isra.0) goes. */
static bool take_line(struct ksyms *k, const char *line)
{
	char *end;
	uint64_t addr = strtoull(line, &end, 16);

	if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ')
		return false;
	if (addr && strchr("tTwW", end[1]) && k->count < MAX_SYMBOLS)
		add(k, addr, end + 3, strcspn(end + 3, ".\t \n"));
	return true;
}

static int by_address(const void *a, const void *b)
{
	const struct ksym *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

int ksyms_open(struct ksyms **out, struct err *err)
{
	struct ksyms *k = xcalloc(1, sizeof(*k));
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[1024];

	if (file)
		setvbuf(file, NULL, _IOFBF, READ_AT_ONCE);
	while (file && fgets(line, sizeof(line), file))
		take_line(k, line);
	if (file)
		fclose(file);
	if (!k->count) {
		ksyms_free(k);
		return err_set(
			err, -EACCES,
			"the kernel hides its addresses (/proc/kallsyms): run as root, or set "
			"kernel.kptr_restrict to 0");
	}
	if (k->jumbled)
		qsort(k->list, k->count, sizeof(*k->list), by_address);
	*out = k;
	return 0;
}

void ksyms_free(struct ksyms *k)
{
	if (!k)
		return;
	free(k->list);
	free(k->names);
	free(k);
}

const char *ksyms_name(const struct ksyms *k, uint64_t addr)
{
	size_t low = 0, high = k->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (k->list[middle].addr <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || addr - k->list[low - 1].addr > FUNCTION_MAX)
		return NULL;
	return k->names + k->list[low - 1].name;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "target/elf.h"
#include "target/elf_impl.h"
#include "util/xalloc.h"

#ifndef DT_RELR
#define DT_RELR 36
#define DT_RELRSZ 35
#endif

#define CHUNK 4096 /* entries read at once */

/* Word at offset becomes base + addend. */
struct reloc {
	uint64_t offset;
	uint64_t addend;
};

struct elf_relocs {
	struct reloc *rela; /* sorted by offset */
	size_t n_rela, cap_rela;
	uint64_t *relr; /* sorted; the addend is the word in the file */
	size_t n_relr, cap_relr;
};

void elf_drop_relocs(struct elf_file *f)
{
	if (!f->relocs)
		return;
	free(f->relocs->rela);
	free(f->relocs->relr);
	free(f->relocs);
	f->relocs = NULL;
}

static void add_rela(const struct elf_file *f, const struct elf_dynamic *d, struct elf_relocs *r,
		     const Elf64_Rela *in)
{
	uint64_t addend = (uint64_t)in->r_addend;
	Elf64_Sym sym;

	if (ELF64_R_TYPE(in->r_info) == R_X86_64_64) {
		uint64_t at = d->symtab + ELF64_R_SYM(in->r_info) * sizeof(sym);

		if (!d->symtab || elf_read(f, at, &sym, sizeof(sym)) != 0 ||
		    sym.st_shndx == SHN_UNDEF || sym.st_shndx == SHN_ABS)
			return;
		addend += sym.st_value;
	} else if (ELF64_R_TYPE(in->r_info) != R_X86_64_RELATIVE) {
		return;
	}
	r->rela = xgrow(r->rela, &r->cap_rela, r->n_rela + 1, sizeof(*r->rela));
	r->rela[r->n_rela++] = (struct reloc){in->r_offset, addend};
}

static int load_rela(const struct elf_file *f, const struct elf_dynamic *d, struct elf_relocs *r)
{
	uint64_t n = d->relasz / sizeof(Elf64_Rela);
	Elf64_Rela *chunk;
	int ret = 0;

	if (!d->rela || !n)
		return 0;
	if (n > ELF_MAX_RELOCS)
		return -EINVAL;
	chunk = xcalloc(CHUNK, sizeof(*chunk));
	for (uint64_t i = 0; i < n && !ret; i += CHUNK) {
		size_t k = n - i < CHUNK ? n - i : CHUNK;

		ret = elf_read(f, d->rela + i * sizeof(*chunk), chunk, k * sizeof(*chunk));
		for (size_t j = 0; j < k && !ret; j++)
			add_rela(f, d, r, &chunk[j]);
	}
	free(chunk);
	return ret;
}

static bool add_relr(struct elf_relocs *r, uint64_t at)
{
	if (r->n_relr >= ELF_MAX_RELOCS)
		return false;
	r->relr = xgrow(r->relr, &r->cap_relr, r->n_relr + 1, sizeof(*r->relr));
	r->relr[r->n_relr++] = at;
	return true;
}

/* An even entry is an address; an odd one a bitmap of the 63 words after the last. */
static int add_relr_entry(struct elf_relocs *r, uint64_t entry, uint64_t *where)
{
	if (!(entry & 1)) {
		*where = entry + 8;
		return add_relr(r, entry) ? 0 : -EINVAL;
	}
	for (unsigned int bit = 1; bit < 64; bit++)
		if (((entry >> bit) & 1) && !add_relr(r, *where + (bit - 1) * 8))
			return -EINVAL;
	*where += 63 * 8;
	return 0;
}

static int load_relr(const struct elf_file *f, const struct elf_dynamic *d, struct elf_relocs *r)
{
	uint64_t n = d->relrsz / sizeof(uint64_t), where = 0;
	uint64_t *chunk;
	int ret = 0;

	if (!d->relr || !n)
		return 0;
	if (n > ELF_MAX_RELOCS)
		return -EINVAL;
	chunk = xcalloc(CHUNK, sizeof(*chunk));
	for (uint64_t i = 0; i < n && !ret; i += CHUNK) {
		size_t k = n - i < CHUNK ? n - i : CHUNK;

		ret = elf_read(f, d->relr + i * sizeof(*chunk), chunk, k * sizeof(*chunk));
		for (size_t j = 0; j < k && !ret; j++)
			ret = add_relr_entry(r, chunk[j], &where);
	}
	free(chunk);
	return ret;
}

static int by_offset(const void *a, const void *b)
{
	const struct reloc *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int load_relocs(struct elf_file *f, struct err *err)
{
	struct elf_dynamic d;
	int ret;

	if (f->relocs)
		return 0;
	f->relocs = xcalloc(1, sizeof(*f->relocs));
	elf_read_dynamic(f, &d);
	ret = load_rela(f, &d, f->relocs);
	if (!ret)
		ret = load_relr(f, &d, f->relocs);
	if (ret) {
		elf_drop_relocs(f);
		return err_set(err, ret, "its relocations cannot be read");
	}
	if (f->relocs->n_rela)
		qsort(f->relocs->rela, f->relocs->n_rela, sizeof(*f->relocs->rela), by_offset);
	if (f->relocs->n_relr)
		qsort(f->relocs->relr, f->relocs->n_relr, sizeof(*f->relocs->relr), by_value);
	return 0;
}

/* Index of the first of n sorted entries, `stride` bytes each and led by a u64, at or over at. */
static size_t lower_bound(const void *list, size_t n, size_t stride, uint64_t at)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		uint64_t v;

		memcpy(&v, (const char *)list + mid * stride, sizeof(v));
		if (v < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int elf_relocated_read(struct elf_file *f, uint64_t base, uint64_t vaddr, void *buf, size_t len,
		       struct err *err)
{
	const struct elf_relocs *r;
	uint64_t last, word;
	int ret = elf_read(f, vaddr, buf, len);

	if (ret)
		return err_set(err, ret, "no data at 0x%llx", (unsigned long long)vaddr);
	ret = load_relocs(f, err);
	if (ret || len < sizeof(word))
		return ret;
	r = f->relocs;
	last = vaddr + len - sizeof(word);
	for (size_t i = lower_bound(r->relr, r->n_relr, sizeof(*r->relr), vaddr);
	     i < r->n_relr && r->relr[i] <= last; i++) {
		memcpy(&word, (char *)buf + (r->relr[i] - vaddr), sizeof(word));
		word += base;
		memcpy((char *)buf + (r->relr[i] - vaddr), &word, sizeof(word));
	}
	for (size_t i = lower_bound(r->rela, r->n_rela, sizeof(*r->rela), vaddr);
	     i < r->n_rela && r->rela[i].offset <= last; i++) {
		word = base + r->rela[i].addend;
		memcpy((char *)buf + (r->rela[i].offset - vaddr), &word, sizeof(word));
	}
	return 0;
}

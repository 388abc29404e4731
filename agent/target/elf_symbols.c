// SPDX-License-Identifier: LGPL-2.1-or-later
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "target/elf.h"
#include "target/elf_impl.h"
#include "util/xalloc.h"

#define CHUNK 4096 /* symbols read at once */
#define GNU_HASH_MAX_CHAIN (1u << 22)
#define CONTAINS_BACK 64 /* entries looked at before an address: bounds overlapping symbols */

struct strings {
	char *data; /* the last byte is NUL */
	size_t size;
	bool dynamic; /* of .dynsym */
};

struct elf_symtab {
	struct elf_symbol *list;
	size_t n, cap;
	struct strings *strings;
	size_t n_strings;
};

/* One table in the file: n entries at offset, names in a string table. */
struct table {
	uint64_t offset, n;
	uint64_t str_offset, str_size;
	bool dynamic;
};

void elf_read_dynamic(const struct elf_file *f, struct elf_dynamic *out)
{
	uint64_t n = (f->dynamic.end - f->dynamic.start) / sizeof(Elf64_Dyn);
	struct {
		int64_t tag;
		uint64_t *value;
	} wanted[] = {
		{DT_SYMTAB, &out->symtab}, {DT_STRTAB, &out->strtab},	  {DT_STRSZ, &out->strsz},
		{DT_HASH, &out->hash},	   {DT_GNU_HASH, &out->gnu_hash}, {DT_RELA, &out->rela},
		{DT_RELASZ, &out->relasz}, {DT_RELR, &out->relr},	  {DT_RELRSZ, &out->relrsz},
	};

	memset(out, 0, sizeof(*out));
	for (uint64_t i = 0; i < n && i < ELF_MAX_DYNAMIC; i++) {
		Elf64_Dyn d;

		if (elf_read(f, f->dynamic.start + i * sizeof(d), &d, sizeof(d)) != 0 ||
		    d.d_tag == DT_NULL)
			return;
		for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++)
			if (wanted[k].tag == d.d_tag)
				*wanted[k].value = d.d_un.d_val;
	}
}

static const struct strings *load_strings(struct elf_file *f, struct elf_symtab *t,
					  const struct table *tab)
{
	struct strings *s;
	char *data;

	if (!tab->str_size || tab->str_size > ELF_MAX_STRTAB || tab->str_offset > f->size ||
	    tab->str_size > f->size - tab->str_offset)
		return NULL;
	data = xmalloc(tab->str_size);
	if (elf_pread(f, tab->str_offset, data, tab->str_size) != 0) {
		free(data);
		return NULL;
	}
	data[tab->str_size - 1] = '\0';
	t->strings = xreallocarray(t->strings, t->n_strings + 1, sizeof(*s));
	s = &t->strings[t->n_strings++];
	*s = (struct strings){data, tab->str_size, tab->dynamic};
	return s;
}

static void add_symbol(const struct elf_file *f, struct elf_symtab *t, const struct strings *s,
		       const Elf64_Sym *sym)
{
	unsigned int type = ELF64_ST_TYPE(sym->st_info);
	size_t left, len;

	if ((type != STT_FUNC && type != STT_GNU_IFUNC) || sym->st_shndx == SHN_UNDEF ||
	    !sym->st_name || sym->st_name >= s->size || t->n >= ELF_MAX_SYMBOLS ||
	    !elf_is_code(f, sym->st_value))
		return;
	left = s->size - sym->st_name;
	if (left > ELF_MAX_SYMBOL_NAME)
		left = ELF_MAX_SYMBOL_NAME;
	len = strnlen(s->data + sym->st_name, left);
	if (!len || len == ELF_MAX_SYMBOL_NAME)
		return;
	t->list = xgrow(t->list, &t->cap, t->n + 1, sizeof(*t->list));
	t->list[t->n++] = (struct elf_symbol){sym->st_value, sym->st_size, s->data + sym->st_name};
}

/* `f` is where the code is, `from` where the table is: they differ for a separate debug file. */
static int load_table(const struct elf_file *f, struct elf_file *from, struct elf_symtab *t,
		      const struct table *tab)
{
	const struct strings *s;
	Elf64_Sym *chunk;
	int ret = 0;

	if (!tab->n || tab->n > ELF_MAX_SYMBOLS || tab->offset > from->size ||
	    tab->n * sizeof(Elf64_Sym) > from->size - tab->offset)
		return -EINVAL;
	s = load_strings(from, t, tab);
	if (!s)
		return -EINVAL;
	chunk = xcalloc(CHUNK, sizeof(*chunk));
	for (uint64_t i = 0; i < tab->n && !ret; i += CHUNK) {
		size_t k = tab->n - i < CHUNK ? tab->n - i : CHUNK;

		ret = elf_pread(from, tab->offset + i * sizeof(*chunk), chunk, k * sizeof(*chunk));
		for (size_t j = 0; j < k && !ret; j++)
			add_symbol(f, t, s, &chunk[j]);
	}
	free(chunk);
	return ret;
}

static bool section_table(const struct elf_file *f, uint32_t type, struct table *tab)
{
	struct elf_section sec, str;
	uint32_t name;

	for (uint32_t i = 1; i < f->shnum; i++) {
		if (elf_section_at(f, i, &sec, &name) != 0)
			return false;
		if (sec.type != type || elf_section_at(f, sec.link, &str, &name) != 0)
			continue;
		*tab = (struct table){sec.offset, sec.size / sizeof(Elf64_Sym), str.offset,
				      str.size, type == SHT_DYNSYM};
		return true;
	}
	return false;
}

/* DT_GNU_HASH holds no count: the last chain ends at the last symbol. */
static uint64_t gnu_hash_count(const struct elf_file *f, uint64_t at)
{
	struct {
		uint32_t nbuckets, symoffset, bloom, shift;
	} h;
	uint64_t buckets, chain;
	uint32_t last = 0, word;

	if (elf_read(f, at, &h, sizeof(h)) != 0 || h.nbuckets > GNU_HASH_MAX_CHAIN)
		return 0;
	buckets = at + sizeof(h) + (uint64_t)h.bloom * 8;
	chain = buckets + (uint64_t)h.nbuckets * 4;
	for (uint32_t i = 0; i < h.nbuckets; i++) {
		if (elf_read(f, buckets + (uint64_t)i * 4, &word, sizeof(word)) != 0)
			return 0;
		if (word > last)
			last = word;
	}
	if (last < h.symoffset)
		return h.symoffset;
	for (uint32_t i = last; i - last < GNU_HASH_MAX_CHAIN; i++) {
		if (elf_read(f, chain + (uint64_t)(i - h.symoffset) * 4, &word, sizeof(word)) != 0)
			return 0;
		if (word & 1)
			return (uint64_t)i + 1;
	}
	return 0;
}

static bool dynamic_table(const struct elf_file *f, struct table *tab)
{
	struct elf_dynamic d;
	uint32_t hash[2];
	uint64_t n = 0;

	elf_read_dynamic(f, &d);
	if (!d.symtab || !d.strtab)
		return false;
	if (d.hash && elf_read(f, d.hash, hash, sizeof(hash)) == 0)
		n = hash[1];
	else if (d.gnu_hash)
		n = gnu_hash_count(f, d.gnu_hash);
	*tab = (struct table){.n = n, .str_size = d.strsz, .dynamic = true};
	return n && elf_vaddr_to_offset(f, d.symtab, &tab->offset) == 0 &&
	       elf_vaddr_to_offset(f, d.strtab, &tab->str_offset) == 0;
}

static int by_address(const void *a, const void *b)
{
	const struct elf_symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void sort_symbols(struct elf_symtab *t)
{
	size_t out = 0;

	if (t->n)
		qsort(t->list, t->n, sizeof(*t->list), by_address);
	for (size_t i = 0; i < t->n; i++)
		if (!out || by_address(&t->list[out - 1], &t->list[i]) != 0)
			t->list[out++] = t->list[i];
	t->n = out;
}

static void load_from(const struct elf_file *f, struct elf_file *from, struct elf_symtab *t)
{
	struct table tab;

	if (section_table(from, SHT_SYMTAB, &tab))
		load_table(f, from, t, &tab);
	if (section_table(from, SHT_DYNSYM, &tab) || dynamic_table(from, &tab))
		load_table(f, from, t, &tab);
	sort_symbols(t);
}

void elf_without_symbols(struct elf_file *f)
{
	elf_drop_symbols(f);
	f->symtab = xcalloc(1, sizeof(*f->symtab));
}

int elf_load_symbols(struct elf_file *f, struct err *err)
{
	if (!f->symtab) {
		f->symtab = xcalloc(1, sizeof(*f->symtab));
		load_from(f, f, f->symtab);
	}
	if (!f->symtab->n)
		return err_set(err, -ENOENT, "no function symbols");
	return 0;
}

int elf_add_symbols(struct elf_file *f, struct elf_file *debug, struct err *err)
{
	size_t before;

	elf_load_symbols(f, NULL);
	before = f->symtab->n;
	load_from(f, debug, f->symtab);
	if (f->symtab->n == before)
		return err_set(err, -ENOENT, "the debug file adds no function symbols");
	return 0;
}

void elf_drop_symbols(struct elf_file *f)
{
	if (!f->symtab)
		return;
	for (size_t i = 0; i < f->symtab->n_strings; i++)
		free(f->symtab->strings[i].data);
	free(f->symtab->strings);
	free(f->symtab->list);
	free(f->symtab);
	f->symtab = NULL;
}

const struct elf_symbol *elf_symbols(struct elf_file *f, size_t *n)
{
	elf_load_symbols(f, NULL);
	*n = f->symtab->n;
	return f->symtab->n ? f->symtab->list : NULL;
}

/* Index of the first symbol above addr. */
static size_t upper_bound(const struct elf_symtab *t, uint64_t addr)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->list[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static size_t first_of_address(const struct elf_symtab *t, size_t i)
{
	while (i > 0 && t->list[i - 1].addr == t->list[i].addr)
		i--;
	return i;
}

const struct elf_symbol *elf_symbol_at(struct elf_file *f, uint64_t addr)
{
	const struct elf_symtab *t;
	size_t end, i;

	elf_load_symbols(f, NULL);
	t = f->symtab;
	end = upper_bound(t, addr);
	for (i = end; i > 0 && end - i < CONTAINS_BACK; i--) {
		const struct elf_symbol *s = &t->list[i - 1];

		if (s->size ? addr - s->addr < s->size : elf_is_code(f, addr))
			return &t->list[first_of_address(t, i - 1)];
	}
	return NULL;
}

bool elf_symbol_exported(const struct elf_file *f, const struct elf_symbol *symbol)
{
	const struct elf_symtab *t = f->symtab;

	for (size_t i = 0; t && i < t->n_strings; i++) {
		const struct strings *s = &t->strings[i];

		if (symbol->name >= s->data && symbol->name < s->data + s->size)
			return s->dynamic;
	}
	return false;
}

size_t elf_symbols_at(struct elf_file *f, uint64_t addr, const struct elf_symbol **first)
{
	const struct elf_symtab *t;
	size_t end, start;

	elf_load_symbols(f, NULL);
	t = f->symtab;
	end = upper_bound(t, addr);
	*first = NULL;
	if (!end || t->list[end - 1].addr != addr)
		return 0;
	start = first_of_address(t, end - 1);
	*first = &t->list[start];
	return end - start;
}

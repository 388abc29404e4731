// SPDX-License-Identifier: LGPL-2.1-or-later
/* Static probes of an ELF file; see note.h. */
#include "target/note.h"

#include "util/xalloc.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STAPSDT_SECTION ".note.stapsdt"
#define STAPSDT_BASE ".stapsdt.base"
#define STAPSDT_OWNER "stapsdt"
#define STAPSDT_TYPE 3

/* --- arguments ------------------------------------------------------------------------ */

struct reg_name {
	const char *names[4]; /* by size: 8, 4, 2, 1 bytes */
	uint8_t number;
};

static const struct reg_name reg_names[] = {
	{{"rax", "eax", "ax", "al"}, 0},       {{"rdx", "edx", "dx", "dl"}, 1},
	{{"rcx", "ecx", "cx", "cl"}, 2},       {{"rbx", "ebx", "bx", "bl"}, 3},
	{{"rsi", "esi", "si", "sil"}, 4},      {{"rdi", "edi", "di", "dil"}, 5},
	{{"rbp", "ebp", "bp", "bpl"}, 6},      {{"rsp", "esp", "sp", "spl"}, 7},
	{{"r8", "r8d", "r8w", "r8b"}, 8},      {{"r9", "r9d", "r9w", "r9b"}, 9},
	{{"r10", "r10d", "r10w", "r10b"}, 10}, {{"r11", "r11d", "r11w", "r11b"}, 11},
	{{"r12", "r12d", "r12w", "r12b"}, 12}, {{"r13", "r13d", "r13w", "r13b"}, 13},
	{{"r14", "r14d", "r14w", "r14b"}, 14}, {{"r15", "r15d", "r15w", "r15b"}, 15},
};

/* The text that is looked at: never beyond `end`. */
struct cursor {
	const char *at, *end;
};

static bool take(struct cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

/* A decimal or 0x number with a sign; false: there is none, or it has no room. */
static bool take_number(struct cursor *c, int64_t *out)
{
	bool minus = take(c, '-'), any = false;
	uint64_t value = 0, base = 10;

	if (c->end - c->at > 2 && c->at[0] == '0' && c->at[1] == 'x') {
		base = 16;
		c->at += 2;
	}
	for (; c->at < c->end; c->at++, any = true) {
		char ch = *c->at;
		uint64_t digit;

		if (ch >= '0' && ch <= '9')
			digit = (uint64_t)(ch - '0');
		else if (base == 16 && ch >= 'a' && ch <= 'f')
			digit = (uint64_t)(ch - 'a') + 10;
		else
			break;
		if (value > (UINT64_MAX - digit) / base)
			return false;
		value = value * base + digit;
	}
	*out = (int64_t)(minus ? 0 - value : value);
	return any;
}

static bool take_reg(struct cursor *c, uint8_t *number)
{
	size_t len = 0;

	if (!take(c, '%'))
		return false;
	while (c->at + len < c->end && c->at[len] != ')' && c->at[len] != ',')
		len++;
	for (size_t i = 0; i < sizeof(reg_names) / sizeof(reg_names[0]); i++) {
		for (int size = 0; size < 4; size++) {
			const char *name = reg_names[i].names[size];

			if (strlen(name) != len || memcmp(name, c->at, len))
				continue;
			c->at += len;
			*number = reg_names[i].number;
			return true;
		}
	}
	return false;
}

/* What follows "N@": $5, %rax, -8(%rbp), (%rax). */
static bool take_operand(struct cursor *c, struct note_arg *out)
{
	if (take(c, '$')) {
		out->kind = NOTE_ARG_CONST;
		return take_number(c, &out->value);
	}
	if (c->at < c->end && *c->at == '%') {
		out->kind = NOTE_ARG_REG;
		return take_reg(c, &out->reg);
	}
	out->kind = NOTE_ARG_MEM;
	if (c->at < c->end && *c->at != '(' && !take_number(c, &out->value))
		return false;
	return take(c, '(') && take_reg(c, &out->reg) && take(c, ')') && out->value >= INT32_MIN &&
	       out->value <= INT32_MAX;
}

void note_arg_parse(const char *text, size_t len, struct note_arg *out)
{
	struct cursor c = {text, text + len};
	int64_t size = 0;
	bool good;

	memset(out, 0, sizeof(*out));
	good = take_number(&c, &size) && take(&c, '@');
	out->is_signed = size < 0;
	size = size < 0 ? -size : size;
	if (good && (size == 1 || size == 2 || size == 4 || size == 8))
		good = take_operand(&c, out) && c.at == c.end;
	else
		good = false;
	out->size = good ? (uint8_t)size : 0;
	if (!good)
		out->kind = NOTE_ARG_UNKNOWN;
}

static void parse_args(const char *text, struct note_probe *probe)
{
	size_t len;

	for (; *text && probe->args_count < NOTE_MAX_ARGS; text += len) {
		text += strspn(text, " ");
		len = strcspn(text, " ");
		if (len)
			note_arg_parse(text, len, &probe->args[probe->args_count++]);
	}
}

/* --- notes ----------------------------------------------------------------------------- */

/* A section of notes in memory, and the one that is looked at. */
struct notes {
	char *bytes;
	size_t size, next;
	const char *owner, *desc;
	uint32_t type;
	size_t desc_len;
};

static int notes_load(const struct elf_file *elf, const char *name, struct notes *notes,
		      struct err *err)
{
	struct elf_section section;
	int ret = elf_section(elf, name, &section);

	memset(notes, 0, sizeof(*notes));
	if (ret || section.type != SHT_NOTE || !section.size)
		return -ENOENT;
	if (section.size > NOTE_MAX_SECTION) {
		err_set(err, -EINVAL, "section %s is too large", name);
		return -EINVAL;
	}
	notes->bytes = xmalloc(section.size + 1);
	notes->size = section.size;
	ret = elf_pread(elf, section.offset, notes->bytes, section.size);
	if (ret) {
		free(notes->bytes);
		notes->bytes = NULL;
		err_set(err, -EINVAL, "section %s cannot be read", name);
		return -EINVAL;
	}
	notes->bytes[section.size] = '\0';
	return 0;
}

/* The next note; false at the end, also at one whose lengths lie. Both parts are padded to 4. */
static bool notes_next(struct notes *notes)
{
	Elf64_Nhdr head;
	size_t name_room, desc_room, left = notes->size - notes->next;

	if (left < sizeof(head))
		return false;
	memcpy(&head, notes->bytes + notes->next, sizeof(head));
	left -= sizeof(head);
	name_room = ((size_t)head.n_namesz + 3) / 4 * 4;
	desc_room = ((size_t)head.n_descsz + 3) / 4 * 4;
	if (name_room > left || head.n_descsz > left - name_room)
		return false;
	notes->owner = notes->bytes + notes->next + sizeof(head);
	notes->desc = notes->owner + name_room;
	notes->desc_len = head.n_descsz;
	notes->type = head.n_type;
	notes->next += sizeof(head) + name_room;
	notes->next += desc_room < notes->size - notes->next ? desc_room :
							       notes->size - notes->next;
	/* An owner is a string with its NUL; another kind of name is of no interest here. */
	if (!head.n_namesz || notes->owner[head.n_namesz - 1])
		notes->owner = "";
	return true;
}

/* The string at *at within the description; NULL: it does not end there. */
static const char *desc_string(const struct notes *notes, size_t *at)
{
	const char *begin = notes->desc + *at;
	const char *end = *at < notes->desc_len ? memchr(begin, 0, notes->desc_len - *at) : NULL;

	if (!end)
		return NULL;
	*at += (size_t)(end - begin) + 1;
	return begin;
}

static bool writable(const struct elf_file *elf, uint64_t vaddr)
{
	for (size_t i = 0; i < elf->n_loads; i++) {
		const struct elf_segment *load = &elf->loads[i];

		if (vaddr >= load->vaddr && vaddr - load->vaddr < load->filesz)
			return (load->flags & PF_W) && load->filesz - (vaddr - load->vaddr) >= 2;
	}
	return false;
}

/* False: it is broken. `base` is where .stapsdt.base lies now; 0: there is none. */
static bool probe_fill(const struct elf_file *elf, const struct notes *notes, uint64_t base,
		       struct note_probe *probe)
{
	uint64_t words[3];
	size_t at = sizeof(words);
	const char *provider, *name, *args;

	memset(probe, 0, sizeof(*probe));
	if (notes->desc_len < sizeof(words))
		return false;
	memcpy(words, notes->desc, sizeof(words));
	provider = desc_string(notes, &at);
	name = provider ? desc_string(notes, &at) : NULL;
	args = name ? desc_string(notes, &at) : NULL;
	if (!args || strlen(provider) >= NOTE_NAME || strlen(name) >= NOTE_NAME)
		return false;
	snprintf(probe->provider, sizeof(probe->provider), "%s", provider);
	snprintf(probe->name, sizeof(probe->name), "%s", name);
	/* Prelink moves the file's addresses, not those in notes. */
	if (base && words[1])
		words[0] += base - words[1];
	probe->pc = words[0];
	if (!elf_is_code(elf, probe->pc))
		return false;
	if (words[2]) {
		probe->semaphore = base && words[1] ? words[2] + base - words[1] : words[2];
		if (!writable(elf, probe->semaphore) ||
		    elf_vaddr_to_offset(elf, probe->semaphore, &probe->semaphore_offset))
			return false;
	}
	parse_args(args, probe);
	return true;
}

/* Whether the note is a probe of this provider, without trusting the rest of it. */
static bool is_of(const struct notes *notes, const char *provider)
{
	size_t at = 3 * sizeof(uint64_t);
	const char *name;

	if (strcmp(notes->owner, STAPSDT_OWNER) || notes->type != STAPSDT_TYPE)
		return false;
	name = desc_string(notes, &at);
	return name && !strcmp(name, provider);
}

int note_probes(const struct elf_file *elf, const char *provider, struct note_probe **out,
		size_t *count, size_t *bad, struct err *err)
{
	struct elf_section base = {0};
	struct note_probe *probes = NULL;
	size_t n = 0, cap = 0, broken = 0;
	struct notes notes;
	int ret = notes_load(elf, STAPSDT_SECTION, &notes, err);

	*out = NULL;
	*count = 0;
	if (ret)
		return ret;
	elf_section(elf, STAPSDT_BASE, &base);
	while (n < NOTE_MAX_PROBES && notes_next(&notes)) {
		if (!is_of(&notes, provider))
			continue;
		probes = xgrow(probes, &cap, n + 1, sizeof(*probes));
		if (probe_fill(elf, &notes, base.addr, &probes[n]))
			n++;
		else
			broken++;
	}
	free(notes.bytes);
	if (bad)
		*bad = broken;
	if (!n) {
		free(probes);
		return -ENOENT;
	}
	*out = probes;
	*count = n;
	return 0;
}

int note_of(const struct elf_file *elf, const char *section, const char *owner, uint32_t *type,
	    char *buf, size_t size, size_t *len)
{
	struct notes notes;
	int ret = notes_load(elf, section, &notes, NULL);

	if (ret)
		return -ENOENT;
	ret = -ENOENT;
	while (ret && notes_next(&notes)) {
		if (strcmp(notes.owner, owner))
			continue;
		*len = notes.desc_len < size - 1 ? notes.desc_len : size - 1;
		memcpy(buf, notes.desc, *len);
		buf[*len] = '\0';
		*type = notes.type;
		ret = 0;
	}
	free(notes.bytes);
	return ret;
}

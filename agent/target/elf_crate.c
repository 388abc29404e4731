// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "target/elf.h"
#include "util/xalloc.h"

#define CHUNK (1u << 20) /* bytes of the file read at once */
#define OVERLAP 128	 /* kept from the chunk before: longer than any match with its context */
#define BEFORE 8	 /* bytes looked at before a match */
#define MAX_VERSIONS 8

struct counts {
	const char *crate;
	size_t crate_len;
	struct {
		char text[ELF_CRATE_VERSION];
		unsigned int seen;
	} list[MAX_VERSIONS];
	size_t n;
	bool present;
};

static void count_version(struct counts *c, const char *version, size_t len)
{
	size_t i;

	c->present = true;
	for (i = 0; i < c->n; i++)
		if (strlen(c->list[i].text) == len && memcmp(c->list[i].text, version, len) == 0)
			break;
	if (i == MAX_VERSIONS)
		return;
	if (i == c->n) {
		memcpy(c->list[i].text, version, len);
		c->list[i].text[len] = '\0';
		c->n++;
	}
	c->list[i].seen++;
}

/* Bytes of "1.54.1" or "1.2.0-beta.1+x" at p; 0 when there is none. */
static size_t version_len(const char *p, size_t left)
{
	size_t n = 0, dots = 0;

	while (n < left && n < ELF_CRATE_VERSION - 1 &&
	       (isalnum((unsigned char)p[n]) || strchr(".-+", p[n] ? p[n] : '/'))) {
		dots += p[n] == '.';
		n++;
	}
	return n && isdigit((unsigned char)p[0]) && dots >= 2 ? n : 0;
}

static bool is_src(const char *p, size_t left)
{
	return left >= 4 && (p[0] == '/' || p[0] == '\\') && memcmp(p + 1, "src", 3) == 0;
}

/* What may stand before a crate's name in a path: a separator, "crates__tokio-1.0.0" (Bazel). */
static bool starts_component(const char *begin, const char *at)
{
	if (at == begin)
		return true;
	if (at[-1] == '_')
		return at - begin >= 2 && at[-2] == '_';
	return !isalnum((unsigned char)at[-1]) && at[-1] != '-' && at[-1] != '.';
}

/* `after` is what follows the crate's name; a path separator must come before a bare name. */
static void look_at(struct counts *c, const char *begin, const char *at, const char *end)
{
	const char *after = at + c->crate_len;
	size_t left = (size_t)(end - after), n;

	if (!starts_component(begin, at))
		return;
	if (is_src(after, left) && at > begin && (at[-1] == '/' || at[-1] == '\\')) {
		c->present = true;
		return;
	}
	if (!left || *after != '-')
		return;
	n = version_len(after + 1, left - 1);
	if (n && is_src(after + 1 + n, left - 1 - n))
		count_version(c, after + 1, n);
}

/* Matches that start in [from, to); what is around them may lie in [begin, end). */
static void scan(struct counts *c, const char *begin, const char *from, const char *to,
		 const char *end)
{
	const char *at = from;

	while (at < to) {
		at = memmem(at, (size_t)(end - at), c->crate, c->crate_len);
		if (!at || at >= to)
			return;
		look_at(c, begin, at, end);
		at += c->crate_len;
	}
}

static int scan_segment(const struct elf_file *f, const struct elf_segment *s, char *buf,
			struct counts *c)
{
	uint64_t at = 0;
	size_t kept = 0;

	while (at < s->filesz) {
		size_t n = s->filesz - at < CHUNK ? s->filesz - at : CHUNK;
		size_t have = kept + n, stop;
		int ret = elf_pread(f, s->offset + at, buf + kept, n);

		if (ret)
			return ret;
		at += n;
		/* A match near the end waits for the next chunk, with what comes before it. */
		stop = at < s->filesz && have > OVERLAP - BEFORE ? have - (OVERLAP - BEFORE) : have;
		scan(c, buf, buf + (kept ? BEFORE : 0), buf + stop, buf + have);
		kept = have < OVERLAP ? have : OVERLAP;
		memmove(buf, buf + have - kept, kept);
	}
	return 0;
}

static void pick(const struct counts *c, struct elf_crate *out)
{
	size_t best = 0;

	out->present = c->present;
	if (!c->n)
		return;
	for (size_t i = 1; i < c->n; i++)
		if (c->list[i].seen > c->list[best].seen)
			best = i;
	memcpy(out->version, c->list[best].text, sizeof(out->version));
	if (c->n > 1)
		memcpy(out->other, c->list[best ? 0 : 1].text, sizeof(out->other));
}

int elf_find_crate(const struct elf_file *f, const char *crate, struct elf_crate *out)
{
	struct counts c = {.crate = crate, .crate_len = strlen(crate)};
	bool separate_code = false;
	char *buf;
	int ret = 0;

	memset(out, 0, sizeof(*out));
	if (!c.crate_len || c.crate_len > OVERLAP / 2)
		return -EINVAL;
	buf = xmalloc(CHUNK + OVERLAP);
	for (size_t i = 0; i < f->n_loads; i++)
		separate_code |= !(f->loads[i].flags & (PF_X | PF_W));
	for (size_t i = 0; i < f->n_loads && !ret; i++) {
		bool code = f->loads[i].flags & PF_X;

		if (!(f->loads[i].flags & PF_W) && !(code && separate_code))
			ret = scan_segment(f, &f->loads[i], buf, &c);
	}
	free(buf);
	pick(&c, out);
	return ret;
}

bool elf_find_crate_version(const struct elf_file *f, const char *crate, char *buf, size_t size)
{
	struct elf_crate found;

	if (elf_find_crate(f, crate, &found) != 0 || !found.present) {
		if (size)
			buf[0] = '\0';
		return false;
	}
	if (size) {
		strncpy(buf, found.version, size - 1);
		buf[size - 1] = '\0';
	}
	return true;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lines of a source file; see source_text.h. */
#include "util/source_text.h"

#include "util/sanitize.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAB "    "

static bool is_source(const char *file)
{
	static const char *const ends[] = {".rs", ".c", ".h", ".cc", ".cpp", ".hpp", ".inc"};
	size_t len = strlen(file);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (len > strlen(ends[i]) && !strcmp(file + len - strlen(ends[i]), ends[i]))
			return true;
	return false;
}

/* O_NONBLOCK: a fifo must not hold us before it is known to be one. */
static FILE *open_source(const char *folder, const char *file)
{
	char path[PATH_MAX];
	struct stat st;
	FILE *in;
	int fd;

	if (file[0] != '/' && (!folder || folder[0] != '/'))
		return NULL;
	if (snprintf(path, sizeof(path), "%s%s%s", file[0] == '/' ? "" : folder,
		     file[0] == '/' ? "" : "/", file) >= (int)sizeof(path))
		return NULL;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	in = !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size <= SOURCE_TEXT_MAX ?
		     fdopen(fd, "r") :
		     NULL;
	if (!in)
		close(fd);
	return in;
}

/* One line, cut; false at the end of the file or of what may be read. */
static bool take_line(FILE *in, uint32_t *left, char *out, size_t size)
{
	size_t used = 0;
	int c;

	if (!*left)
		return false;
	while (*left && (c = getc_unlocked(in)) != EOF && c != '\n') {
		--*left;
		if (c == '\t' && used + strlen(TAB) < size) {
			memcpy(out + used, TAB, strlen(TAB));
			used += strlen(TAB);
		} else if (c != '\t' && c != '\r' && used + 1 < size) {
			out[used++] = (char)c;
		}
	}
	out[used] = '\0';
	if (*left)
		--*left;
	return used || !feof(in);
}

uint32_t source_text(const char *folder, const char *file, uint32_t line, uint32_t around,
		     source_text_fn *fn, void *ctx)
{
	FILE *in = file && line && is_source(file) ? open_source(folder, file) : NULL;
	char raw[SOURCE_TEXT_LINE], clean[4 * SOURCE_TEXT_LINE];
	uint32_t left = SOURCE_TEXT_MAX, given = 0;

	if (!in)
		return 0;
	for (uint32_t n = 1; n <= line + around && take_line(in, &left, raw, sizeof(raw)); n++) {
		if (n + around < line)
			continue;
		text_sanitize(clean, sizeof(clean), raw, strlen(raw));
		fn(ctx, n, clean, n == line);
		given++;
	}
	fclose(in);
	return given;
}

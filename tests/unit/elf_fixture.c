// SPDX-License-Identifier: LGPL-2.1-or-later
#include "elf_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/tokio.h"
#include "util/xalloc.h"

#define SOURCE "tests/unit/fixtures/tasks.S"

void elf_fixture_run(const struct fixture *fx, const char *command)
{
	char *line = xasprintf("cd %s && { %s; } >log 2>&1 || { cat log; false; }", fx->dir,
			       command);
	int ret = system(line);

	free(line);
	assert_int_equal(ret, 0);
}

void fixture_make(struct fixture *fx, const char *link_flags)
{
	char source[4096];
	char *command;

	assert_non_null(realpath(SOURCE, source));
	snprintf(fx->dir, sizeof(fx->dir), "/tmp/stalltop-unit-XXXXXX");
	assert_non_null(mkdtemp(fx->dir));
	snprintf(fx->so, sizeof(fx->so), "%s/tasks.so", fx->dir);
	command = xasprintf("gcc -nostdlib -Wl,--build-id=sha1 %s -o tasks.so '%s'", link_flags,
			    source);
	elf_fixture_run(fx, command);
	free(command);
}

struct elf_file *elf_fixture_c(struct fixture *fx, const char *source, const char *flags)
{
	struct elf_file *elf = NULL;
	char include[4096], *path, *command;
	FILE *file;

	assert_non_null(realpath("include", include));
	snprintf(fx->dir, sizeof(fx->dir), "/tmp/stalltop-unit-XXXXXX");
	assert_non_null(mkdtemp(fx->dir));
	path = xasprintf("%s/a.c", fx->dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(source, file);
	fclose(file);
	free(path);
	command = xasprintf("gcc -shared -fPIC -O2 -nostdlib -I'%s' %s -o a.so a.c", include,
			    flags);
	elf_fixture_run(fx, command);
	free(command);
	assert_int_equal(elf_open(fixture_path(fx, "a.so"), &elf, NULL), 0);
	return elf;
}

const char *fixture_path(struct fixture *fx, const char *name)
{
	snprintf(fx->out, sizeof(fx->out), "%s/%s", fx->dir, name);
	return fx->out;
}

void fixture_done(const struct fixture *fx)
{
	char *line = xasprintf("rm -rf '%s'", fx->dir);

	assert_int_equal(system(line), 0);
	free(line);
}

static int looks_like_vtable(struct elf_file *f, const uint64_t *w)
{
	for (int i = 0; i < 7; i++)
		if (!elf_is_code(f, w[i]))
			return 0;
	return w[8] == 32 && w[9] > w[8] && w[7] > w[9] && w[7] < 4096;
}

size_t fixture_vtables(struct elf_file *f, struct task_functions *out)
{
	struct elf_range r[ELF_MAX_RANGES];
	size_t n = elf_table_ranges(f, r, ELF_MAX_RANGES), found = 0;

	for (size_t i = 0; i < n; i++) {
		size_t len = r[i].end - r[i].start;
		uint64_t w[10];
		char *buf = xmalloc(len);

		assert_int_equal(elf_relocated_read(f, 0, r[i].start, buf, len, NULL), 0);
		for (size_t at = 0; at + sizeof(w) <= len; at += 8) {
			memcpy(w, buf + at, sizeof(w));
			if (looks_like_vtable(f, w) && found < FIXTURE_VTABLES)
				tokio_functions(w, &out[found++]);
		}
		free(buf);
	}
	return found;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Prints the Tokio layout that the debug information of a file describes, a field a line. */
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/tokio_layout.h"

int main(int argc, char **argv)
{
	struct tokio_layout layout;
	struct err err = {0};
	Dwarf *dwarf;
	int fd;

	if (argc != 2)
		return 2;
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	dwarf = fd < 0 ? NULL : dwarf_begin(fd, DWARF_C_READ);
	if (!dwarf || tokio_layout_from_dwarf(dwarf, &layout, &err)) {
		fprintf(stderr, "%s: %s\n", argv[1], err.msg[0] ? err.msg : "no debug information");
		return 1;
	}
	for (int i = 0; i < TOKIO_FIELD_COUNT; i++)
		printf("%s %d\n", tokio_field_names[i], layout.off[i]);
	dwarf_end(dwarf);
	close(fd);
	return 0;
}

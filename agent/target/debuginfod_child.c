// SPDX-License-Identifier: LGPL-2.1-or-later
/* The process that fetches debug files; see debuginfod.h. */
#include "target/debuginfod.h"

#include "jail/jail.h"
#include "jail/peer.h"
#include "target/debuginfod_wire.h"
#include "target/elf.h"
#include "util/xalloc.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libdebuginfod.so.1"

/* Of elfutils/debuginfod.h; the same since 0.178, its first version. */
struct library {
	void *(*begin)(void);
	int (*find)(void *client, const unsigned char *build_id, int length, char **path);
	void *client;
};

static void load(struct library *library)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return;
	*(void **)&library->begin = dlsym(handle, "debuginfod_begin");
	*(void **)&library->find = dlsym(handle, "debuginfod_find_debuginfo");
	if (library->begin && library->find)
		library->client = library->begin();
}

static int find(const struct library *library, const char *hex)
{
	unsigned char id[ELF_BUILD_ID_HEX / 2];
	size_t length = strlen(hex) / 2;

	if (!library->client)
		return -ELIBACC;
	for (size_t i = 0; i < length; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &id[i]) != 1)
			return -EINVAL;
	return library->find(library->client, id, (int)length, NULL);
}

bool debuginfod_child_wanted(int argc, char **argv)
{
	return child_wanted(argc, argv, DEBUGINFOD_CHILD);
}

int debuginfod_child_main(void)
{
	uint8_t *in = xmalloc(PACKET_MAX);
	struct library library = {0};
	char build_id[ELF_BUILD_ID_HEX];
	struct packet packet;
	int fds[] = {-1, -1};

	if (jail_drop_rights())
		return 1;
	load(&library);
	while (packet_receive(CHILD_SOCKET, in, false, &packet) == 0) {
		struct packet_head head = {.type = DEBUGINFOD_ANSWER};

		if (packet.length != sizeof(build_id))
			break;
		memcpy(build_id, packet.payload, sizeof(build_id));
		if (!elf_build_id_valid(build_id))
			break;
		fds[0] = find(&library, build_id);
		head.count = fds[0] < 0 ? (uint32_t)-fds[0] : 0;
		if (packet_send(CHILD_SOCKET, &head, NULL, 0, fds))
			break;
		if (fds[0] >= 0)
			close(fds[0]);
	}
	_exit(0);
}

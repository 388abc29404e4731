/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages between the agent and the process that fetches debug files (jail/packet.h). */
#ifndef TARGET_DEBUGINFOD_WIRE_H
#define TARGET_DEBUGINFOD_WIRE_H

#include "jail/packet.h"

#define DEBUGINFOD_CHILD "stalltop-fetch"

enum debuginfod_type {
	DEBUGINFOD_WANT = PACKET_READY + 1, /* agent: a build-id in hex, ELF_BUILD_ID_HEX bytes */
	DEBUGINFOD_ANSWER,		    /* child: the file, or count is an errno */
};

#endif

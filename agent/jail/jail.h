/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes everything from this process that reading a hostile ELF file does not need: capabilities,
 * user and groups, files, new privileges, memory without end, and all system calls but those that
 * read from open descriptors and manage memory. There is no way back.
 */
#ifndef JAIL_JAIL_H
#define JAIL_JAIL_H

#define JAIL_USER 65534 /* nobody */

/* 0, or -errno with the process in an unknown state: it must end. */
int jail_enter(void);

/*
 * Less than that, for one that needs the network and the files of its user: no capability, no way
 * to get one, no end later than the agent's.
 */
int jail_drop_rights(void);

#endif

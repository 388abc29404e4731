/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exit codes: a contract with scripts. Values are never changed or given another meaning.
 * A target that ends while it is watched is no error.
 */
#ifndef EXIT_H
#define EXIT_H

enum exit_code {
	EXIT_FINE = 0,		/* no finding at the level asked */
	EXIT_FINDINGS = 1,	/* check: findings at or above --fail-on */
	EXIT_USAGE = 2,		/* command line, rule file or configuration */
	EXIT_CANNOT_ATTACH = 3, /* privilege, kernel or unsupported target */
	EXIT_NO_TARGET = 4,	/* no such process, or gone before the attach */
	EXIT_LOSS = 5,		/* more events lost than --max-loss */
	EXIT_BAD_TRACE = 6,	/* trace corrupt or of an unknown version */
	EXIT_CANNOT_WRITE = 7,	/* a trace or a page: disk full, read-only, ... */
	EXIT_SIGINT = 130,	/* after a clean detach */
	EXIT_SIGTERM = 143,
};

#endif

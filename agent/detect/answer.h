/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads what the process without rights says it found, which may be any bytes: counts, lengths and
 * values are checked, addresses must be code of the object that is mapped as such, and every text
 * is sanitised. -EINVAL: no honest process says that.
 */
#ifndef DETECT_ANSWER_H
#define DETECT_ANSWER_H

#include "detect/detect.h"
#include "detect/wire.h"

struct detect_answer {
	struct runtime_found found[DETECT_RUNTIMES];
	size_t count;			       /* of those; what comes next is of the last */
	uint32_t told;			       /* sites that it announced */
	uint32_t sites, probes, spawns, marks; /* of it that are still to come */
	uint32_t dropped;		       /* that lie outside the mapped code */
	size_t texts;			       /* bytes of all strings */
};

int answer_image(struct object *object, const struct packet *packet);
int answer_found(struct detect_answer *answer, const struct packet *packet);
int answer_sites(struct detect_answer *answer, const struct object *object,
		 const struct packet *packet);
int answer_probes(struct detect_answer *answer, const struct object *object,
		  const struct packet *packet);
int answer_spawns(struct detect_answer *answer, const struct object *object,
		  const struct packet *packet);
int answer_marks(struct detect_answer *answer, const struct object *object,
		 const struct packet *packet);
/* After the last: 0 when all that was announced has come. */
int answer_complete(const struct detect_answer *answer);
void answer_clear(struct detect_answer *answer);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who waited while a finding's polls held the workers: taken from the model with each occurrence, and
 * kept with the finding, longest wait first. Every number is a lower bound.
 */
#ifndef RULES_VICTIMS_H
#define RULES_VICTIMS_H

#include "rules/rule.h"

/* Those of the runtime that were seen waiting since that time. */
void victims_take(struct finding *f, const struct model *m, uint32_t runtime, uint64_t since_ns);
/* Adds those of another part of the same finding. */
void victims_merge(struct finding *f, const struct finding *from);
/* "12 tasks of shop::checkout, at least 123 ms"; "" when the type is not known any more. */
void victim_text(const struct model *m, const struct victim *v, char *out, size_t size);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What --overhead-check has measured, for people and as a JSON object (docs/json-schema.md). Only of
 * targets of which `overhead_seen` is set.
 */
#ifndef SINK_OVERHEAD_OUT_H
#define SINK_OVERHEAD_OUT_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "model/model.h"

/* Nothing where nothing was asked for. */
void text_overhead(FILE *out, const struct model *m);
cJSON *json_overhead(const struct target *t);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The objects of a report, for NDJSON and for the page; docs/json-schema.md has each. */
#ifndef SINK_REPORT_OBJECT_H
#define SINK_REPORT_OBJECT_H

#include <cjson/cJSON.h>

#include "sink/report.h"

/* Takes the object; -errno ends the report. */
typedef int (*object_fn)(void *ctx, cJSON *object);

/* Every object, verdict first after the header, footer last. */
int report_objects(const struct report *r, object_fn fn, void *ctx);

#endif

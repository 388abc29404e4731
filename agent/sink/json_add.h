/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Adds a member to a cJSON object. cJSON keeps numbers as doubles; integers go in as text, so that
 * ids and nanosecond counts stay exact up to 2^64 - 1. What is not known becomes null.
 */
#ifndef SINK_JSON_ADD_H
#define SINK_JSON_ADD_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

void json_add_uint(cJSON *o, const char *key, uint64_t value);
void json_add_int(cJSON *o, const char *key, int64_t value);
/* null unless known. */
void json_add_uint_if(cJSON *o, const char *key, bool known, uint64_t value);
/* A value that uses -1 for "not known". */
void json_add_depth(cJSON *o, const char *key, int64_t value);
/* Sanitised; NULL: null. */
void json_add_text(cJSON *o, const char *key, const char *value);
/* Whole numbers stay whole; cJSON writes others with up to 17 digits, and NaN as null. */
void json_add_number(cJSON *o, const char *key, double value);
/* `value` times `scale`; negative: not known. */
void json_add_share(cJSON *o, const char *key, double value, double scale);

#endif

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Members of JSON objects; see json_add.h. */
#include "sink/json_add.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/sanitize.h"

void json_add_uint(cJSON *o, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	cJSON_AddRawToObject(o, key, text);
}

void json_add_int(cJSON *o, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	cJSON_AddRawToObject(o, key, text);
}

void json_add_uint_if(cJSON *o, const char *key, bool known, uint64_t value)
{
	if (known)
		json_add_uint(o, key, value);
	else
		cJSON_AddNullToObject(o, key);
}

void json_add_depth(cJSON *o, const char *key, int64_t value)
{
	json_add_uint_if(o, key, value >= 0, (uint64_t)value);
}

void json_add_text(cJSON *o, const char *key, const char *value)
{
	char *clean;

	if (!value) {
		cJSON_AddNullToObject(o, key);
		return;
	}
	clean = text_sanitize_dup(value);
	cJSON_AddStringToObject(o, key, clean);
	free(clean);
}

void json_add_number(cJSON *o, const char *key, double value)
{
	if (value == floor(value) && fabs(value) < 9e18)
		json_add_int(o, key, (int64_t)value);
	else
		cJSON_AddNumberToObject(o, key, value);
}

void json_add_share(cJSON *o, const char *key, double value, double scale)
{
	if (value >= 0)
		json_add_number(o, key, value * scale);
	else
		cJSON_AddNullToObject(o, key);
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Literals, units and comparisons of rules. */
#include "rules/rule_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/fmt.h"

const char *const cond_ops[] = {">=", ">", "<=", "<", "==", "!=", NULL};

bool cond_compare(uint8_t op, double left, double right)
{
	const bool results[] = {left >= right, left > right,  left <= right,
				left < right,  left == right, left != right};

	return results[op];
}

/* A plain decimal number and where it ends; no sign, no exponent, no hexadecimal. */
static bool read_number(const char *text, double *value, const char **rest)
{
	double fraction = 0.1;
	size_t digits = 0;

	*value = 0;
	for (; *text >= '0' && *text <= '9'; text++, digits++)
		*value = *value * 10 + (*text - '0');
	if (*text == '.' && digits)
		for (text++; *text >= '0' && *text <= '9'; text++, fraction /= 10)
			*value += fraction * (*text - '0');
	*rest = text;
	return digits && digits < 16;
}

int value_parse_text(const char *text, enum value_kind *kind, double *value)
{
	static const struct {
		const char *suffix;
		enum value_kind kind;
		double factor;
	} suffixes[] = {
		{"%", VALUE_RATIO, 0.01},
		{"B", VALUE_BYTES, 1},
		{"KiB", VALUE_BYTES, 1024},
		{"MiB", VALUE_BYTES, 1024.0 * 1024},
		{"GiB", VALUE_BYTES, 1024.0 * 1024 * 1024},
	};
	const char *rest;
	uint64_t ns;

	if (!read_number(text, value, &rest) || !*rest)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (strcmp(rest, suffixes[i].suffix))
			continue;
		*kind = suffixes[i].kind;
		*value *= suffixes[i].factor;
		return 0;
	}
	if (parse_duration(text, &ns))
		return -EINVAL;
	*kind = VALUE_DURATION;
	*value = (double)ns;
	return 0;
}

const char *value_kind_example(enum value_kind kind)
{
	static const char *const examples[] = {
		[VALUE_NUMBER] = "a number, such as 100",
		[VALUE_DURATION] = "a duration, such as \"10ms\"",
		[VALUE_RATIO] = "a share, such as \"5%\"",
		[VALUE_BYTES] = "a size, such as \"16KiB\"",
		[VALUE_BOOL] = "true or false",
	};

	return examples[kind];
}

static enum value_kind kind_of_unit(enum field_unit unit)
{
	static const enum value_kind kinds[] = {
		[UNIT_NS] = VALUE_DURATION,	  [UNIT_COUNT] = VALUE_NUMBER,
		[UNIT_RATIO] = VALUE_RATIO,	  [UNIT_BYTES] = VALUE_BYTES,
		[UNIT_PER_SECOND] = VALUE_NUMBER, [UNIT_BOOL] = VALUE_BOOL,
	};

	return kinds[unit];
}

const char *value_unit_example(enum field_unit unit)
{
	return value_kind_example(kind_of_unit(unit));
}

bool value_fits(enum value_kind kind, enum field_unit unit)
{
	return kind_of_unit(unit) == kind;
}

double operand_value(const struct rule *rule, const struct operand *op, const struct field_ctx *ctx,
		     bool *known)
{
	double value = 0;

	*known = true;
	if (op->from == OPERAND_CONST)
		return op->value;
	if (op->from == OPERAND_PARAM)
		return rule->params[op->param].value;
	*known = field_get(op->field, ctx, &value);
	return value * op->value;
}

#define NEAREST_MAX 32

/* Levenshtein distance of two short words. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NEAREST_MAX + 1], la = strlen(a), lb = strlen(b);

	if (la > NEAREST_MAX || lb > NEAREST_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[lb];
}

const char *nearest(const char *word, const char *const *names, size_t count)
{
	size_t limit = strlen(word) / 2 + 1, best_distance = limit + 1;
	const char *best = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t d = distance(word, names[i]);

		if (d < best_distance) {
			best_distance = d;
			best = names[i];
		}
	}
	return best;
}

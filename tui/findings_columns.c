// SPDX-License-Identifier: LGPL-2.1-or-later
/* The columns of the findings: what stands in them, and the orders by them. */
#include "tui/findings_row.h"

#include <stdio.h>
#include <string.h>

static void cell_severity(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	cell->role = row->finding.open ? severity_role(row->finding.severity) : ROLE_DIM;
	snprintf(cell->text, sizeof(cell->text), "%s", severity_name(row->finding.severity));
}

static void cell_rule(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s", ((const struct row *)row)->rule_id);
}

static void cell_where(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	cell->name = true;
	snprintf(cell->text, sizeof(cell->text), "%s", ((const struct row *)row)->where);
}

static void cell_worker(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s", ((const struct row *)row)->worker);
}

static void cell_culprit(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	cell->name = true;
	snprintf(cell->text, sizeof(cell->text), "%s", row->culprit[0] ? row->culprit : "-");
}

static void cell_now(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	cell->role = row->live_ns ? severity_role(row->finding.severity) : ROLE_DIM;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->live_ns	   ? CELL_TIME(row->live_ns) :
		 row->finding.open ? "open" :
				     "closed");
}

static void cell_open(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->finding.open ? CELL_TIME(row->open_ns) : "-");
}

static void cell_worst(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;
	uint64_t worst = row->finding.worst_ns > row->live_ns ? row->finding.worst_ns :
								row->live_ns;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s%s", row->finding.loose && worst ? ">" : "",
		 worst ? CELL_TIME(worst) : "-");
}

static void cell_total(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->finding.total_ns ? CELL_TIME(row->finding.total_ns) : "-");
}

static void cell_count(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	fmt_count(cell->text, sizeof(cell->text), (double)((const struct row *)row)->finding.count);
}

static void cell_last(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->finding.open ? "now" : CELL_TIME(row_ago(row, row->finding.last_ns)));
}

static void cell_first(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	cell_duration(cell->text, sizeof(cell->text), row_ago(row, row->finding.first_ns));
}

static void cell_message(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	cell->role = ROLE_DIM;
	snprintf(cell->text, sizeof(cell->text), "%s", ((const struct row *)row)->finding.message);
}

CELL_PID
VALUE_BY(severity, row->finding.severity)
VALUE_BY(now, row->live_ns ? (double)row->live_ns : (double)row->finding.open - 1)
VALUE_BY(open, row->open_ns)
VALUE_BY(worst, row->finding.worst_ns)
VALUE_BY(total, row->finding.total_ns)
VALUE_BY(count, row->finding.count)
VALUE_BY(last, row->finding.open ? row->now_ns : row->finding.last_ns)
VALUE_BY(first, row->finding.first_ns)

static int by_rule(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->rule_id, ((const struct row *)b)->rule_id);
}

static int by_where(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->where, ((const struct row *)b)->where);
}

static int by_culprit(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->culprit, ((const struct row *)b)->culprit);
}

const struct column findings_columns[FINDINGS_COLUMNS] = {
	{.title = "SEVERITY",
	 .meaning = "the worst that the rule has said",
	 .width = 8,
	 .descending = true,
	 .cell = cell_severity,
	 .value = value_severity},
	{.title = "RULE",
	 .meaning = "see: stalltop rules show RULE",
	 .width = 18,
	 .cell = cell_rule,
	 .compare = by_rule},
	COLUMN_PID,
	{.title = "WHERE",
	 .meaning = "future type, worker, runtime or process",
	 .width = 14,
	 .grow = 2,
	 .cell = cell_where,
	 .compare = by_where},
	{.title = "CULPRIT",
	 .meaning = "line to blame, else the function; -: no stack shows one",
	 .width = 18,
	 .grow = 1,
	 .most = 44,
	 .from = 110,
	 .cell = cell_culprit,
	 .compare = by_culprit},
	{.title = "NOW",
	 .meaning = "length so far of the stall that lasts; open: seen again and again; closed",
	 .width = 8,
	 .right = true,
	 .descending = true,
	 .cell = cell_now,
	 .value = value_now},
	{.title = "WORST",
	 .meaning = "longest single occurrence",
	 .width = 8,
	 .right = true,
	 .descending = true,
	 .cell = cell_worst,
	 .value = value_worst},
	{.title = "TOTAL",
	 .meaning = "all occurrences together",
	 .width = 8,
	 .from = 130,
	 .right = true,
	 .descending = true,
	 .cell = cell_total,
	 .value = value_total},
	{.title = "COUNT",
	 .meaning = "occurrences",
	 .width = 5,
	 .right = true,
	 .descending = true,
	 .cell = cell_count,
	 .value = value_count},
	{.title = "LAST",
	 .meaning = "time since it was last seen",
	 .width = 8,
	 .from = 90,
	 .right = true,
	 .descending = true,
	 .cell = cell_last,
	 .value = value_last},
	{.title = "FIRST",
	 .meaning = "time since it was first seen",
	 .width = 8,
	 .from = 110,
	 .right = true,
	 .cell = cell_first,
	 .value = value_first},
	{.title = "OPEN FOR",
	 .meaning = "how long the finding has been open",
	 .width = 8,
	 .from = 140,
	 .right = true,
	 .descending = true,
	 .cell = cell_open,
	 .value = value_open},
	{.title = "WORKER",
	 .meaning = "thread that it was last seen on",
	 .width = 26,
	 .from = 150,
	 .cell = cell_worker},
	{.title = "MESSAGE",
	 .meaning = "what was found",
	 .width = 30,
	 .from = 220,
	 .grow = 3,
	 .cell = cell_message},
};

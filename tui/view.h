/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A view: one file, one struct view_ops, no knowledge of the others.
 *
 * read() copies what the view shows out of a snapshot: nothing of the model is kept by pointer, so
 * draw() may run at any time, also while the display is paused and the model has moved on. Rules
 * and their texts live as long as the program and may be pointed to. A view holds cursor, order and
 * filter and changes nothing else. Adding a view: one file and one line in screen.c.
 *
 * Most views are a grid of rows with a detail of one row; view_grid_draw() and view_grid_request()
 * do all of it from `grid` and `detail`.
 */
#ifndef TUI_VIEW_H
#define TUI_VIEW_H

#include "core/sink.h"
#include "model/model.h"
#include "rules/rule.h"
#include "tui/draw.h"
#include "tui/grid.h"
#include "tui/lines.h"
#include "tui/request.h"
#include "util/fmt.h"

#define NAME_SIZE 256 /* of a site, in rows; longer ones are cut */
#define SHARES_OVER 5 /* seconds that shares and rates look back */

struct view;

struct view_ops {
	const char *title;	      /* on its tab */
	const char *hint;	      /* its own keys, for the status line; NULL: those of a grid */
	enum request request_open;    /* the key that leads here */
	const struct grid_spec *grid; /* NULL: the view draws for itself */
	/* Makes `state`. May be NULL. */
	void (*open)(struct view *view);
	void (*read)(struct view *view, const struct snapshot *snap);
	void (*draw)(struct view *view, const struct canvas *canvas, const struct area *area);
	/* false: not for this view. */
	bool (*request)(struct view *view, enum request request);
	void (*close)(struct view *view);
	/* The number on the tab, cheap; NULL: none. 0 is not shown. */
	size_t (*badge)(const struct view *view, const struct snapshot *snap);

	/* For view_grid_draw(); each may be NULL. */
	void (*detail)(const struct view *view, const void *row, struct lines *out);
	/* Said in place of the rows when there are none. */
	void (*empty)(const struct view *view, struct lines *out);
	/* Below the grid: about the selected row (NULL: none), or a legend. */
	void (*footer)(const struct view *view, const void *row, struct lines *out);
	int footer_rows; /* and what the grid leaves free */
};

struct view {
	const struct view_ops *ops;
	void *state;
	uint64_t now_ns; /* of the last read() */
	struct grid grid;
	struct lines lines; /* text of the detail, or of a view without a grid */
	struct lines below;
	bool detail;	 /* the detail is open */
	bool utf8;	 /* what the terminal can show */
	bool full_stack; /* no frame is folded */
	size_t badge;	 /* as ops->badge() said last */
	uint32_t only;	 /* the one process that is shown; ID_NONE: all */
};

extern const struct view_ops view_findings, view_workers, view_sites, view_tasks, view_timeline,
	view_self;

void view_open(struct view *view, const struct view_ops *ops, bool utf8, bool full_stack);
void view_read(struct view *view, const struct snapshot *snap);
void view_badge(struct view *view, const struct snapshot *snap);
void view_draw(struct view *view, const struct canvas *canvas, const struct area *area);
bool view_request(struct view *view, enum request request);
void view_close(struct view *view);

void view_grid_draw(struct view *view, const struct canvas *canvas, const struct area *area);
bool view_grid_request(struct view *view, enum request request);
/* Writes the detail that is open anew, from the row as it was read. */
void view_detail_refresh(struct view *view);
/* The text that read() left in view->lines, scrolled. */
void view_lines_draw(struct view *view, const struct canvas *canvas, const struct area *area);
bool view_lines_request(struct view *view, enum request request);

/*
 * The help is made from the key table and the columns of the view it was called from; `replay`:
 * with the keys for a trace.
 */
void help_fill(struct lines *out, const struct view *from, bool replay);

/* What belongs to no process is shown with each. */
static inline bool is_shown(uint32_t only, uint32_t target)
{
	return only == ID_NONE || target == ID_NONE || target == only;
}

/* --- what several views say --- */

/* Role and word ("critical") of a severity. */
enum role severity_role(enum severity severity);
const char *thread_state_text(const struct ev_thread *thread, bool ended);
enum role thread_state_role(enum thread_state state);
const char *flavor_text(enum runtime_flavor flavor);
/* "tokio 1.54.1 multi-thread", "tokio (version n/a)". */
char *runtime_text(const struct model *m, const struct runtime *r, char *out, size_t size);
/* The site's name, or "n/a". */
const char *site_text(const struct model *m, uint32_t site);

/*
 * Rate a second over the last `seconds`, or over as many as are known; negative: too little
 * history. `s` may be NULL.
 */
double series_rate_known(const struct series *s, uint32_t seconds);

/* The values of a series as they are, scaled to the largest. */
void spark_read(struct spark *spark, const struct model *m, const struct series *s);
/* Shares of each second of a worker's cumulative time. */
void spark_read_shares(struct spark *spark, const struct model *m, const struct series *s);

/* fmt_* in an argument list: the text lives to the end of the block. */
#define FMT_DURATION(ns) fmt_duration((char[FMT_SIZE]){0}, FMT_SIZE, ns)
#define FMT_COUNT(n) fmt_count((char[FMT_SIZE]){0}, FMT_SIZE, n)
#define FMT_BYTES(n) fmt_bytes((char[FMT_SIZE]){0}, FMT_SIZE, n)
#define FMT_RATIO(r) fmt_ratio((char[FMT_SIZE]){0}, FMT_SIZE, r)
/* For cells: "12m20s" in place of "12 min 20 s", at most eight columns. */
#define CELL_TIME(ns) cell_duration((char[FMT_SIZE]){0}, FMT_SIZE, ns)
char *cell_duration(char *out, size_t size, uint64_t ns);
/* "n/a" where the number is negative. */
#define FMT_KNOWN(n) ((n) < 0 ? "n/a" : FMT_COUNT((double)(n)))

/* value_NAME(): a number that stands in the `row` of a view, for the order by a column. */
#define VALUE_BY(name, expression)                                                                 \
	static double value_##name(const void *row_)                                               \
	{                                                                                          \
		const struct row *row = row_;                                                      \
                                                                                                   \
		return (double)(expression);                                                       \
	}

/*
 * Why tasks are not followed now; "" where they are: what is in the table of tasks, then, is of
 * before.
 */
#define WHY_SIZE 192
char *tasks_unknown_text(const struct model *m, char *out, size_t size);
/* Not where its polls are sampled: what it does between two that were seen nobody knows. */
bool thread_state_known(const struct ev_thread *thread);

/* The process of a row, in the views whose `row` has a `pid`: shown while there are several. */
#define CELL_PID                                                                                   \
	static void cell_pid(const void *context, const void *row, struct cell *cell)              \
	{                                                                                          \
		(void)context;                                                                     \
		snprintf(cell->text, sizeof(cell->text), "%u", ((const struct row *)row)->pid);    \
	}                                                                                          \
	VALUE_BY(pid, row->pid)
#define COLUMN_PID                                                                                 \
	{                                                                                          \
		.title = "PID", .meaning = "process, where several are watched", .width = 7,       \
		.several = true, .right = true, .cell = cell_pid, .value = value_pid               \
	}
bool has_several(const struct model *m);
/* 0: of no process. */
uint32_t target_pid(const struct model *m, uint32_t target);

/* Parts of a worker's bar, in this order; also the legend. */
#define SHARE_PARTS 5
extern const struct bar_part share_parts[SHARE_PARTS];
extern const char *const share_names[SHARE_PARTS];
/* "█ busy  B blocked ..." */
void shares_legend(const struct view *view, struct lines *out);

#endif

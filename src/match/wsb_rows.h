/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The rows of one event, its `data` and its `old`, and the columns that are
 * looked for in them.
 *
 * Columns are kept once, with a count, as a tree of keys in which a node is
 * known by a keyed hash of its keys alone.  A row is walked at most once, when
 * the first column of it is wanted, and whatever the tree names is noted on
 * the way: so the cost is that of the row's keys, however many columns are in
 * use.  Of a repeated key the last one counts.
 *
 * Whatever many conditions would find out about a value anew, each event finds
 * out once: its decoded bytes, its number, its hash, and what each distinct
 * costly condition says to it.
 *
 * The memory is used again from event to event.
 */

#ifndef WSB_ROWS_H
#define WSB_ROWS_H


#include "wsb_memo.h"


#define WSB_ROW_NEW               0       /* data: after the write */
#define WSB_ROW_OLD               1       /* old: before it */


typedef struct wsb_rows_s  wsb_rows_t;


/* NULL: no memory. */
wsb_rows_t *wsb_rows_create(const uint8_t key[16]);
void wsb_rows_destroy(wsb_rows_t *rows);

/* Counts a use of the column, which is given as in a wsb_where_t. */
wsb_rc_t wsb_rows_add_path(wsb_rows_t *rows, wsb_str_t path, uint32_t *id);
void wsb_rows_remove_path(wsb_rows_t *rows, uint32_t id);

/* The hash of a column, in use or not. */
wsb_key_t wsb_rows_path_hash(const wsb_rows_t *rows, wsb_str_t path);

/* Its id, or UINT32_MAX: it is not in use. */
uint32_t wsb_rows_path_id(const wsb_rows_t *rows, const wsb_key_t *hash);

/* The hash of one that is. */
const wsb_key_t *wsb_rows_path_key(const wsb_rows_t *rows, uint32_t id);

/* The hash of column and value.  0: no value is equal to this one. */
int wsb_rows_value_hash(const wsb_rows_t *rows, const wsb_key_t *path,
    const wsb_value_t *value, wsb_key_t *hash);

/* Columns and nodes between them. */
size_t wsb_rows_paths(const wsb_rows_t *rows);


/*
 * The next event, whose bytes must stay while it is asked about; NULL: one
 * without rows.  Nothing is parsed yet.  WSB_NOMEM: it has no rows.
 */

wsb_rc_t wsb_rows_begin(wsb_rows_t *rows, const wsb_event_t *ev);

/*
 * A field of the event, as text; null: it has none.  Good until the next call
 * for a field.
 */
wsb_subject_t *wsb_rows_field(wsb_rows_t *rows, wsb_field_t field);

/* Is there such a row? */
int wsb_rows_present(const wsb_rows_t *rows, unsigned row);

/*
 * Is it that of an entity that is deleted, or updated; may its old be another
 * row; is its data a part of the row?
 */
int wsb_rows_deleted(const wsb_rows_t *rows);
int wsb_rows_updated(const wsb_rows_t *rows);
int wsb_rows_unsure(const wsb_rows_t *rows);
int wsb_rows_part(const wsb_rows_t *rows);

/* The column's value, null if it is missing; good until the next event. */
wsb_subject_t *wsb_rows_value(wsb_rows_t *rows, unsigned row, uint32_t id);

/*
 * Counts a use of a costly condition; path: the id of its column, if it has
 * one.
 */
wsb_rc_t wsb_rows_add_memo(wsb_rows_t *rows,
    const wsb_condition_t *condition, uint32_t path, uint32_t *id);
void wsb_rows_remove_memo(wsb_rows_t *rows, uint32_t id);

/* Does it hold?  Asked once for each row of an event. */
int wsb_rows_ask(wsb_rows_t *rows, unsigned row, uint32_t id,
    const wsb_condition_t *condition, uint32_t path);

/* How many bytes have been looked at, in all. */
uint64_t wsb_rows_work(const wsb_rows_t *rows);

/* wsb_rows_value_hash() of it, or NULL. */
const wsb_key_t *wsb_rows_hash(wsb_rows_t *rows, unsigned row, uint32_t id);


#endif /* WSB_ROWS_H */

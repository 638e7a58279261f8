/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_rows.h"
#include "wsb_column.h"
#include "../event/wsb_uuid.h"


/* A buffer for escaped strings that is larger is not kept for smaller rows. */

#define WSB_ROWS_KEEP   65536
#define WSB_ROWS_ROUND  4096


/*
 * The value of a key in a row.  turn: when it was noted, which is good if it
 * is later than that of the object in which it stands.
 */

typedef struct {
    uint64_t              turn;
    wsb_subject_t         subject;
    wsb_key_t             hash;
    unsigned              decoded:1;
    unsigned              hashed:1;       /* hash has been looked at */
    unsigned              equal:1;        /* there is one */
} wsb_cell_t;


typedef struct {
    wsb_str_t             text;           /* data NULL: no such row */
    wsb_cell_t           *cells;
    unsigned              walked:1;
} wsb_row_t;


struct wsb_rows_s {
    wsb_columns_t         columns;
    uint32_t              ncells;         /* of each row */

    const wsb_event_t    *event;
    wsb_subject_t         field;          /* the last that was asked for */
    wsb_subject_t         none;           /* of a column that is missing */
    uint8_t               norm[WSB_UUID_LEN];

    wsb_row_t             row[2];
    uint64_t              turn;
    uint64_t              begun;          /* the turn of this event */
    uint64_t              work;

    wsb_memos_t           memos;

    uint8_t              *buf;            /* of decoded strings */
    size_t                size;
    size_t                len;
};


static int wsb_rows_acts(const wsb_rows_t *rows, const char *action);
static wsb_rc_t wsb_rows_grow(wsb_rows_t *rows);
static void wsb_rows_walk(wsb_rows_t *rows, wsb_row_t *row, uint32_t id,
    unsigned depth);
static wsb_cell_t *wsb_rows_cell(wsb_rows_t *rows, unsigned row,
    uint32_t id);
static wsb_str_t wsb_rows_decode(wsb_rows_t *rows, wsb_str_t string);
static uint8_t *wsb_rows_unescape(const uint8_t **pos, const uint8_t *last,
    uint8_t *dst);


wsb_rows_t *
wsb_rows_create(const uint8_t key[16])
{
    wsb_rows_t  *rows;

    rows = wsb_malloc(sizeof(wsb_rows_t));
    if (rows == NULL) {
        return NULL;
    }

    memset(rows, 0, sizeof(wsb_rows_t));

    if (wsb_column_init(&rows->columns, key) != WSB_OK
        || wsb_rows_grow(rows) != WSB_OK
        || wsb_memo_init(&rows->memos) != WSB_OK)
    {
        wsb_rows_destroy(rows);
        return NULL;
    }

    return rows;
}


void
wsb_rows_destroy(wsb_rows_t *rows)
{
    wsb_memo_done(&rows->memos);
    wsb_column_done(&rows->columns);
    wsb_free(rows->row[WSB_ROW_NEW].cells);
    wsb_free(rows->row[WSB_ROW_OLD].cells);
    wsb_free(rows->buf);
    wsb_free(rows);
}


wsb_rc_t
wsb_rows_add_path(wsb_rows_t *rows, wsb_str_t path, uint32_t *id)
{
    if (wsb_column_add(&rows->columns, path, id) != WSB_OK) {
        return WSB_NOMEM;
    }

    if (wsb_rows_grow(rows) != WSB_OK) {
        wsb_column_remove(&rows->columns, *id);
        return WSB_NOMEM;
    }

    return WSB_OK;
}


/* Each column has a cell in each row. */

static wsb_rc_t
wsb_rows_grow(wsb_rows_t *rows)
{
    void       *p;
    unsigned    i;
    uint32_t    n;
    wsb_row_t  *row;

    n = rows->columns.nalloc;

    if (rows->ncells == n) {
        return WSB_OK;
    }

    for (i = 0; i < 2; i++) {
        row = &rows->row[i];

        p = wsb_realloc(row->cells, n * sizeof(wsb_cell_t));
        if (p == NULL) {
            return WSB_NOMEM;
        }

        row->cells = p;
        memset(row->cells + rows->ncells, 0,
               (n - rows->ncells) * sizeof(wsb_cell_t));
    }

    rows->ncells = n;

    return WSB_OK;
}


void
wsb_rows_remove_path(wsb_rows_t *rows, uint32_t id)
{
    wsb_column_remove(&rows->columns, id);
}


wsb_key_t
wsb_rows_path_hash(const wsb_rows_t *rows, wsb_str_t path)
{
    return wsb_column_path_hash(&rows->columns, path);
}


uint32_t
wsb_rows_path_id(const wsb_rows_t *rows, const wsb_key_t *hash)
{
    return wsb_column_find(&rows->columns, hash);
}


const wsb_key_t *
wsb_rows_path_key(const wsb_rows_t *rows, uint32_t id)
{
    return &rows->columns.column[id].hash;
}


int
wsb_rows_value_hash(const wsb_rows_t *rows, const wsb_key_t *path,
    const wsb_value_t *value, wsb_key_t *hash)
{
    if (!wsb_value_hash(rows->columns.key, value, hash)) {
        return 0;
    }

    hash->h[0] ^= path->h[0];
    hash->h[1] ^= path->h[1];

    return 1;
}


size_t
wsb_rows_paths(const wsb_rows_t *rows)
{
    return rows->columns.nused - 1;
}


wsb_rc_t
wsb_rows_begin(wsb_rows_t *rows, const wsb_event_t *ev)
{
    size_t       size;
    uint8_t     *buf;
    unsigned     i;
    wsb_row_t   *row;

    static const wsb_field_t  field[2] = { WSB_DATA, WSB_OLD };

    size = 0;

    rows->event = ev;
    rows->len = 0;
    rows->begun = ++rows->turn;

    for (i = 0; i < 2; i++) {
        row = &rows->row[i];
        row->text.data = NULL;
        row->walked = 0;
        row->cells[0].turn = rows->turn;

        if (ev == NULL || ev->field[field[i]].data == NULL) {
            continue;
        }

        row->text = ev->field[field[i]];

        if (memchr(row->text.data, '\\', row->text.len) != NULL) {
            size += row->text.len;
        }
    }

    if (size <= rows->size
        && (rows->size <= WSB_ROWS_KEEP || size > rows->size / 4))
    {
        return WSB_OK;
    }

    wsb_free(rows->buf);
    rows->buf = NULL;
    rows->size = 0;

    if (size == 0) {
        return WSB_OK;
    }

    size = (size + WSB_ROWS_ROUND - 1) & ~(size_t) (WSB_ROWS_ROUND - 1);

    buf = wsb_malloc(size);

    if (buf == NULL) {
        rows->row[WSB_ROW_NEW].text.data = NULL;
        rows->row[WSB_ROW_OLD].text.data = NULL;
        return WSB_NOMEM;
    }

    rows->buf = buf;
    rows->size = size;

    return WSB_OK;
}


wsb_subject_t *
wsb_rows_field(wsb_rows_t *rows, wsb_field_t field)
{
    wsb_str_t  text = wsb_null_string;

    if (rows->event != NULL) {
        text = wsb_key_value(rows->event, field);
    }

    if (field == WSB_ENTITY_ID && text.data != NULL) {
        text = wsb_uuid_norm(text, rows->norm);
    }

    rows->field.value.type = text.len == 0 ? WSB_JSON_NULL : WSB_JSON_STRING;
    rows->field.value.text = text;
    rows->field.parsed = 0;

    return &rows->field;
}


int
wsb_rows_present(const wsb_rows_t *rows, unsigned row)
{
    return rows->row[row].text.data != NULL;
}


int
wsb_rows_deleted(const wsb_rows_t *rows)
{
    return wsb_rows_acts(rows, "deleted");
}


int
wsb_rows_updated(const wsb_rows_t *rows)
{
    return wsb_rows_acts(rows, "updated");
}


static int
wsb_rows_acts(const wsb_rows_t *rows, const char *action)
{
    const wsb_str_t  *field;

    if (rows->event == NULL) {
        return 0;
    }

    field = rows->event->field;

    return field[WSB_ACTION].data != NULL
           && wsb_str_eq(&field[WSB_ACTION], action)
           && field[WSB_KIND].data != NULL
           && wsb_str_eq(&field[WSB_KIND], "entity");
}


int
wsb_rows_unsure(const wsb_rows_t *rows)
{
    return rows->event != NULL && (rows->event->flags & WSB_EVENT_UNSURE);
}


int
wsb_rows_part(const wsb_rows_t *rows)
{
    return rows->event != NULL && (rows->event->flags & WSB_EVENT_PART);
}


wsb_subject_t *
wsb_rows_value(wsb_rows_t *rows, unsigned row, uint32_t id)
{
    wsb_cell_t  *cell;

    cell = wsb_rows_cell(rows, row, id);

    if (cell == NULL) {
        memset(&rows->none, 0, sizeof(wsb_subject_t));
        return &rows->none;
    }

    if (!cell->decoded) {
        cell->decoded = 1;

        if (cell->subject.value.type == WSB_JSON_STRING) {
            cell->subject.value.text = wsb_rows_decode(rows,
                                                cell->subject.value.text);
        }
    }

    return &cell->subject;
}


const wsb_key_t *
wsb_rows_hash(wsb_rows_t *rows, unsigned row, uint32_t id)
{
    wsb_cell_t     *cell;
    wsb_subject_t  *subject;

    cell = wsb_rows_cell(rows, row, id);

    if (cell == NULL) {
        return NULL;
    }

    if (!cell->hashed) {
        subject = wsb_rows_value(rows, row, id);

        cell->hashed = 1;
        cell->equal = wsb_rows_value_hash(rows, wsb_rows_path_key(rows, id),
                                          &subject->value, &cell->hash);
    }

    return cell->equal ? &cell->hash : NULL;
}


wsb_rc_t
wsb_rows_add_memo(wsb_rows_t *rows, const wsb_condition_t *condition,
    uint32_t path, uint32_t *id)
{
    const wsb_key_t  *hash;

    static const wsb_key_t  none;

    hash = condition->field ? &none : &rows->columns.column[path].hash;

    return wsb_memo_add(&rows->memos, rows->columns.key, condition, hash,
                        id);
}


void
wsb_rows_remove_memo(wsb_rows_t *rows, uint32_t id)
{
    wsb_memo_remove(&rows->memos, id);
}


int
wsb_rows_ask(wsb_rows_t *rows, unsigned row, uint32_t id,
    const wsb_condition_t *condition, uint32_t path)
{
    wsb_key_t         own;
    wsb_memo_t       *memo;
    wsb_subject_t    *subject;
    const wsb_key_t  *hash;

    memo = &rows->memos.memo[id];

    if (memo->turn[row] == rows->begun) {
        return memo->holds[row];
    }

    hash = NULL;

    if (condition->field) {
        subject = wsb_rows_field(rows, condition->path);

        if (condition->op == WSB_WHERE_IN
            && wsb_value_hash(rows->columns.key, &subject->value, &own))
        {
            hash = &own;
        }

    } else {
        subject = wsb_rows_value(rows, row, path);

        if (condition->op == WSB_WHERE_IN) {
            hash = wsb_rows_hash(rows, row, path);
        }
    }

    rows->work += subject->value.text.len;

    memo->turn[row] = rows->begun;
    memo->holds[row] = wsb_memo_ask(memo, condition, subject, hash);

    return memo->holds[row];
}


uint64_t
wsb_rows_work(const wsb_rows_t *rows)
{
    return rows->work;
}


/* Notes the members of an object, the row itself or one of its values. */

static void
wsb_rows_walk(wsb_rows_t *rows, wsb_row_t *row, uint32_t id, unsigned depth)
{
    size_t             len;
    uint32_t           child;
    wsb_key_t          hash;
    wsb_str_t          name;
    wsb_cell_t        *cell;
    wsb_json_t         object, key, value;
    wsb_json_walk_t    walk;

    object.type = WSB_JSON_OBJECT;
    object.text = id == 0 ? row->text
                              : row->cells[id].subject.value.text;

    wsb_json_enter(&walk, &object);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        len = rows->len;
        name = wsb_rows_decode(rows, key.text);
        rows->len = len;

        hash = wsb_column_hash(&rows->columns, depth,
                               &rows->columns.column[id].hash, name.data,
                               name.len);

        child = wsb_column_find(&rows->columns, &hash);

        if (child == WSB_COLUMN_NONE) {
            continue;
        }

        cell = &row->cells[child];

        cell->turn = ++rows->turn;
        cell->subject.value.type = value.type;
        cell->subject.value.text = value.text;
        cell->subject.parsed = 0;
        cell->decoded = 0;
        cell->hashed = 0;

        if (value.type == WSB_JSON_OBJECT
            && rows->columns.column[child].keys != 0)
        {
            wsb_rows_walk(rows, row, child, depth + 1);
        }
    }
}


/* NULL: the row has no such column. */

static wsb_cell_t *
wsb_rows_cell(wsb_rows_t *rows, unsigned n, uint32_t id)
{
    uint32_t     parent, up;
    wsb_row_t   *row;

    row = &rows->row[n];

    if (row->text.data == NULL) {
        return NULL;
    }

    if (!row->walked) {
        row->walked = 1;
        rows->work += row->text.len;

        if (row->text.len != 0 && row->text.data[0] == '{') {
            wsb_rows_walk(rows, row, 0, 0);
        }
    }

    /* a key that came again has left those below the first one behind */

    for (up = id; up != 0; up = parent) {
        parent = rows->columns.column[up].parent;

        if (row->cells[up].turn <= row->cells[parent].turn) {
            return NULL;
        }
    }

    return &row->cells[id];
}


/*
 * The decoded bytes of a string, in the buffer if it has escapes.  What has
 * no UTF-8, as a lone surrogate, becomes what a generous encoder would write:
 * no condition can ask for that.
 */

static wsb_str_t
wsb_rows_decode(wsb_rows_t *rows, wsb_str_t string)
{
    uint8_t        *dst;
    wsb_str_t       s;
    const uint8_t  *p, *last, *slash;

    p = string.data + 1;
    last = string.data + string.len - 1;

    s.data = p;
    s.len = last - p;

    slash = memchr(p, '\\', s.len);

    if (slash == NULL) {
        return s;
    }

    dst = rows->buf + rows->len;
    s.data = dst;

    while (p < last) {

        if (*p == '\\') {
            dst = wsb_rows_unescape(&p, last, dst);

        } else {
            *dst++ = *p++;
        }
    }

    s.len = dst - s.data;
    rows->len += s.len;

    return s;
}


static uint8_t *
wsb_rows_unescape(const uint8_t **pos, const uint8_t *last, uint8_t *dst)
{
    int             c;
    uint8_t         buf[4];
    unsigned        n;
    const uint8_t  *p;

    p = wsb_json_unescape(*pos, last, buf, &n);

    if (p != NULL) {
        memcpy(dst, buf, n);
        *pos = p;
        return dst + n;
    }

    c = wsb_json_hex4(*pos + 2, last);
    *pos += 6;

    if (c == 0) {
        *dst++ = '\0';
        return dst;
    }

    *dst++ = 0xe0 | c >> 12;
    *dst++ = 0x80 | (c >> 6 & 0x3f);
    *dst++ = 0x80 | (c & 0x3f);

    return dst;
}

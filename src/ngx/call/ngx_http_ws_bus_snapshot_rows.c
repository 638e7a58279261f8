/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The rows of a snapshot that meet conditions which the backend has not been
 * asked for; the others are judged once more with them.
 */

#include "ngx_http_ws_bus_snapshot.h"


/*
 * Bytes that are looked at in one turn, about: 1 MB of short rows with the
 * dearest conditions that a connection can have take 20 MB, and 15 ms.
 */
#define NGX_HTTP_WS_BUS_SNAPSHOT_WORK  (32 * 1024 * 1024)


typedef struct {
    wsb_index_t                 *index;
    wsb_sub_t                    sub;
    wsb_plan_t                  *plan;
    wsb_filter_t                 filter;
    const uint8_t               *key;
    ngx_uint_t                   met;
} ngx_http_ws_bus_snapshot_rows_t;


static wsb_rc_t ngx_http_ws_bus_snapshot_rows_begin(
    ngx_http_ws_bus_snapshot_rows_t *rows, ngx_http_ws_bus_ask_t *ask);
static void ngx_http_ws_bus_snapshot_rows_end(
    ngx_http_ws_bus_snapshot_rows_t *rows);
static void ngx_http_ws_bus_snapshot_rows_one(
    ngx_http_ws_bus_snapshot_rows_t *rows, wsb_result_t *result,
    const wsb_json_t *body);
static void ngx_http_ws_bus_snapshot_rows_many(
    ngx_http_ws_bus_snapshot_rows_t *rows, ngx_pool_t *pool,
    wsb_result_t *result, const wsb_json_t *body);
static wsb_rc_t ngx_http_ws_bus_snapshot_rows_copy(
    ngx_http_ws_bus_snapshot_rows_t *rows, const wsb_json_t *body,
    wsb_text_t *text, uint64_t *count);
static wsb_rc_t ngx_http_ws_bus_snapshot_rows_judge(
    ngx_http_ws_bus_snapshot_rows_t *rows, const wsb_json_t *row);
static void ngx_http_ws_bus_snapshot_rows_met(void *ctx, wsb_node_t *node,
    wsb_change_t change);


void
ngx_http_ws_bus_snapshot_rows(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, const wsb_json_t *body)
{
    ngx_http_ws_bus_snapshot_rows_t  rows;

    if (ngx_http_ws_bus_snapshot_rows_begin(&rows, ask) != WSB_OK) {
        ngx_http_ws_bus_snapshot_fail(result, "read_error", "no memory");

    } else if (ask->rows) {
        ngx_http_ws_bus_snapshot_rows_many(&rows, ask->call->pool, result,
                                           body);

    } else if (body != NULL) {
        ngx_http_ws_bus_snapshot_rows_one(&rows, result, body);
    }

    ngx_http_ws_bus_snapshot_rows_end(&rows);
}


/* A list of one subscription, which rows are put to as events. */

static wsb_rc_t
ngx_http_ws_bus_snapshot_rows_begin(ngx_http_ws_bus_snapshot_rows_t *rows,
    ngx_http_ws_bus_ask_t *ask)
{
    wsb_rc_t            rc;
    wsb_json_t          where;
    wsb_json_error_t    wrong;
    wsb_where_error_t   err;

    static const wsb_str_t  none = wsb_null_string;
    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    ngx_memzero(rows, sizeof(ngx_http_ws_bus_snapshot_rows_t));

    rows->key = ask->bus->zone->key;

    rc = wsb_json_parse(ask->kept->op.request.where, &limits, &where, &wrong);

    if (rc == WSB_OK) {
        rc = wsb_where_parse(&where, &rows->filter.where, &err);
    }

    if (rc != WSB_OK) {
        return rc;
    }

    rows->plan = wsb_plan_create(rows->key, none, &rows->filter, NULL);
    rows->index = wsb_index_create(rows->key);

    return rows->plan != NULL && rows->index != NULL
               ? wsb_index_add(rows->index, rows->plan, &rows->sub)
               : WSB_NOMEM;
}


static void
ngx_http_ws_bus_snapshot_rows_end(ngx_http_ws_bus_snapshot_rows_t *rows)
{
    if (rows->sub.node != NULL) {
        wsb_index_remove(rows->index, &rows->sub);
    }

    if (rows->index != NULL) {
        wsb_index_destroy(rows->index);
    }

    wsb_free(rows->plan);
    wsb_free(rows->filter.where);
}


static void
ngx_http_ws_bus_snapshot_rows_one(ngx_http_ws_bus_snapshot_rows_t *rows,
    wsb_result_t *result, const wsb_json_t *body)
{
    static const wsb_str_t  null = wsb_string("null");

    if (ngx_http_ws_bus_snapshot_rows_judge(rows, body) != WSB_OK) {
        ngx_http_ws_bus_snapshot_fail(result, "read_error", "no memory");

    } else if (!rows->met) {
        result->data = null;
    }
}


static void
ngx_http_ws_bus_snapshot_rows_many(ngx_http_ws_bus_snapshot_rows_t *rows,
    ngx_pool_t *pool, wsb_result_t *result, const wsb_json_t *body)
{
    u_char      *p;
    uint64_t     count;
    wsb_rc_t     rc;
    wsb_text_t   text;

    if (body == NULL || body->type != WSB_JSON_ARRAY) {
        ngx_http_ws_bus_snapshot_fail(result, "read_error",
                    "the backend's answer is no array, so that where cannot "
                    "be judged");
        return;
    }

    ngx_memzero(&text, sizeof(wsb_text_t));

    rc = ngx_http_ws_bus_snapshot_rows_copy(rows, body, &text, &count);

    p = rc == WSB_OK ? ngx_pnalloc(pool, text.len) : NULL;

    if (p != NULL) {
        ngx_memcpy(p, text.data, text.len);

        result->data.data = p;
        result->data.len = text.len;
        result->count = count;
        result->total = count;

    } else if (rc == WSB_FULL) {
        ngx_http_ws_bus_snapshot_fail(result, "too_large",
                    "the backend's answer has too much for this server to "
                    "judge where by");

    } else {
        ngx_http_ws_bus_snapshot_fail(result, "read_error", "no memory");
    }

    wsb_text_done(&text);
}


/* WSB_FULL: it is more than one turn may look at. */

static wsb_rc_t
ngx_http_ws_bus_snapshot_rows_copy(ngx_http_ws_bus_snapshot_rows_t *rows,
    const wsb_json_t *body, wsb_text_t *text, uint64_t *count)
{
    wsb_json_t       row;
    wsb_json_walk_t  walk;

    *count = 0;

    wsb_text_lit(text, "[");

    wsb_json_enter(&walk, body);

    while (wsb_json_element(&walk, &row) == WSB_OK) {

        if (ngx_http_ws_bus_snapshot_rows_judge(rows, &row) != WSB_OK) {
            return WSB_NOMEM;
        }

        if (wsb_index_work(rows->index) > NGX_HTTP_WS_BUS_SNAPSHOT_WORK) {
            return WSB_FULL;
        }

        if (rows->met) {
            wsb_text_lit(text, *count ? "," : "");
            wsb_text_str(text, row.text);
            (*count)++;
        }
    }

    wsb_text_lit(text, "]");

    return text->failed ? WSB_NOMEM : WSB_OK;
}


/* WSB_NOMEM: nobody knows. */

static wsb_rc_t
ngx_http_ws_bus_snapshot_rows_judge(ngx_http_ws_bus_snapshot_rows_t *rows,
    const wsb_json_t *row)
{
    wsb_event_t  ev;
    wsb_parts_t  parts;

    static const wsb_str_t  entity = wsb_string("entity");

    ngx_memzero(&ev, sizeof(wsb_event_t));

    ev.field[WSB_KIND] = entity;
    ev.field[WSB_DATA] = row->text;

    wsb_key_parts(rows->key, &ev, &parts);

    rows->met = 0;

    return wsb_index_match(rows->index, &parts, &ev,
                           ngx_http_ws_bus_snapshot_rows_met, rows);
}


static void
ngx_http_ws_bus_snapshot_rows_met(void *ctx, wsb_node_t *node,
    wsb_change_t change)
{
    ngx_http_ws_bus_snapshot_rows_t  *rows = ctx;

    rows->met = 1;
}

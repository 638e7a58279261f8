/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What ws_bus_restrict says of a request for records.
 */

#include "ngx_http_ws_bus_backend.h"

#include "../../json/wsb_repeats.h"


static ngx_int_t ngx_http_ws_bus_backend_rights_fields(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_rights_data(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_rights_patch(
    ngx_http_ws_bus_backend_t *b, const wsb_json_t *row);
static ngx_int_t ngx_http_ws_bus_backend_rights_touch(
    const wsb_forced_t *forced, ngx_uint_t n, wsb_str_t key,
    const wsb_json_t *value, wsb_forced_t *touched, ngx_uint_t *ntouched);
static ngx_uint_t ngx_http_ws_bus_backend_columns(
    ngx_http_ws_bus_ask_t *ask, wsb_forced_t *forced, ngx_uint_t columns);
static void ngx_http_ws_bus_backend_event(const wsb_op_request_t *req,
    wsb_event_t *ev);
static ngx_int_t ngx_http_ws_bus_backend_force(ngx_http_ws_bus_backend_t *b);


/* A backend that cannot be told to change a row only if it meets conditions. */

ngx_uint_t
ngx_http_ws_bus_backend_rights_look(ngx_http_ws_bus_backend_t *b)
{
    wsb_forced_t  forced[WSB_RESTRICT_CONDITIONS];

    return (b->req->operation == WSB_UPDATE
            || b->req->operation == WSB_DELETE)
           && b->ask->conf->style != WSB_REST_POSTGREST
           && ngx_http_ws_bus_backend_columns(b->ask, forced, 1) != 0;
}


/*
 * Conditions on the event's fields are judged here; those on columns go into
 * the query, or are judged on the row that is written, or on the one that
 * comes back.
 */

ngx_int_t
ngx_http_ws_bus_backend_rights(ngx_http_ws_bus_backend_t *b)
{
    ngx_int_t      rc;
    ngx_uint_t     postgrest;
    wsb_forced_t   forced[WSB_RESTRICT_CONDITIONS];

    if (b->ask->asker->nforced == 0 && b->ask->hooked == NULL
        && b->ask->nadded == 0)
    {
        return NGX_OK;
    }

    rc = ngx_http_ws_bus_backend_rights_fields(b);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_ws_bus_backend_columns(b->ask, forced, 1) == 0) {
        return NGX_OK;
    }

    postgrest = (b->ask->conf->style == WSB_REST_POSTGREST);

    if (b->req->data.data != NULL) {
        rc = ngx_http_ws_bus_backend_rights_data(b);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    switch (b->req->operation) {

    case WSB_CREATE:
        return NGX_OK;

    case WSB_READ:
        if (b->req->record_id.data != NULL && !postgrest) {

            if (b->rest.ncolumns != 0) {
                return ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                        "this connection is restricted, and reads a record "
                        "with all its columns or not at all");
            }

            b->ask->judged = 1;
            return NGX_OK;
        }

        break;

    case WSB_META:
        break;

    default: /* WSB_UPDATE, WSB_DELETE */

        if (!postgrest) {
            /* its row is judged before it is changed */
            return NGX_OK;
        }
    }

    return ngx_http_ws_bus_backend_force(b);
}


static ngx_int_t
ngx_http_ws_bus_backend_rights_fields(ngx_http_ws_bus_backend_t *b)
{
    ngx_int_t     rc;
    ngx_uint_t    n;
    wsb_event_t   ev;
    wsb_forced_t  forced[WSB_RESTRICT_CONDITIONS];

    n = ngx_http_ws_bus_backend_columns(b->ask, forced, 0);

    ngx_http_ws_bus_backend_event(b->req, &ev);

    if (ev.field[WSB_SCHEMA].data == NULL
        && b->ask->asker->client->context != NULL)
    {
        ev.field[WSB_SCHEMA] = b->ask->asker->client->context->schema;
    }

    rc = ngx_http_ws_bus_restrict_meets(b->ask->bus->zone->key, forced, n,
                                        &ev);

    return rc != NGX_DECLINED
               ? rc
               : ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                        "this connection is restricted to others");
}


/* The conditions on columns, or those on fields of the event. */

static ngx_uint_t
ngx_http_ws_bus_backend_columns(ngx_http_ws_bus_ask_t *ask,
    wsb_forced_t *forced, ngx_uint_t columns)
{
    ngx_uint_t    i, k, n, count;
    wsb_forced_t *f, all[WSB_RESTRICT_CONDITIONS];

    static const char *const  fields[] = {
        "kind", "entity_type", "action", "event_type", "entity_id", "schema",
        "section", NULL
    };

    n = 0;
    count = ngx_http_ws_bus_hook_forced(ask, all);

    for (i = 0; i < count; i++) {
        f = &all[i];

        for (k = 0; fields[k] != NULL; k++) {
            if (wsb_str_eq(&f->field, fields[k])) {
                break;
            }
        }

        if ((fields[k] == NULL) == columns) {
            forced[n++] = *f;
        }
    }

    return n;
}


ngx_uint_t
ngx_http_ws_bus_backend_rights_columns(ngx_http_ws_bus_ask_t *ask,
    wsb_forced_t *forced)
{
    return ngx_http_ws_bus_backend_columns(ask, forced, 1);
}


/* A record as an event would tell it, but for its row. */

static void
ngx_http_ws_bus_backend_event(const wsb_op_request_t *req, wsb_event_t *ev)
{
    static const wsb_str_t  kind = wsb_string("entity");
    static const wsb_str_t  actions[] = {
        wsb_string("read"), wsb_string("created"), wsb_string("updated"),
        wsb_string("deleted"), wsb_string("read")
    };

    ngx_memzero(ev, sizeof(wsb_event_t));

    ev->field[WSB_KIND] = kind;
    ev->field[WSB_ENTITY_TYPE] = req->entity;
    ev->field[WSB_ENTITY_ID] = req->record_id;
    ev->field[WSB_SCHEMA] = req->schema;
    ev->field[WSB_ACTION] = actions[req->operation];
}


ngx_int_t
ngx_http_ws_bus_backend_judge(ngx_http_ws_bus_ask_t *ask,
    const wsb_json_t *row)
{
    ngx_uint_t    n;
    wsb_event_t   ev;
    wsb_forced_t  forced[WSB_RESTRICT_CONDITIONS];

    if (ask->asker == NULL) {
        return NGX_DECLINED;
    }

    /* of a key that comes twice the client may take the other one */

    if (row->type != WSB_JSON_OBJECT || wsb_repeats(row)) {
        return NGX_DECLINED;
    }

    n = ngx_http_ws_bus_backend_columns(ask, forced, 1);

    ngx_http_ws_bus_backend_event(&ask->kept->op.request, &ev);
    ev.field[WSB_DATA] = row->text;

    return ngx_http_ws_bus_restrict_meets(ask->bus->zone->key, forced, n,
                                          &ev);
}


/*
 * A new row must be one that the connection could see, and so must a row once
 * it is changed.
 */

static ngx_int_t
ngx_http_ws_bus_backend_rights_data(ngx_http_ws_bus_backend_t *b)
{
    ngx_int_t         rc;
    wsb_json_t        row;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    if (wsb_json_parse(b->req->data, &limits, &row, &err) != WSB_OK) {
        return NGX_ERROR;
    }

    if (b->req->operation == WSB_UPDATE
        && b->ask->conf->update == NGX_HTTP_PATCH)
    {
        return ngx_http_ws_bus_backend_rights_patch(b, &row);
    }

    rc = ngx_http_ws_bus_backend_judge(b->ask, &row);

    return rc != NGX_DECLINED
               ? rc
               : ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                    "this connection is restricted, and the new record is "
                    "none that it could see");
}


/*
 * Of the changed row, what is not in the patch is judged with the old row: by
 * the query, or by a look at it.  What is in it is judged here, if it is such
 * that all backends make the same of it: some merge objects and take null for
 * nothing (RFC 7396), others put either in the place of what was there.
 */

static ngx_int_t
ngx_http_ws_bus_backend_rights_patch(ngx_http_ws_bus_backend_t *b,
    const wsb_json_t *row)
{
    size_t           len;
    uint8_t          name[6 * WSB_REST_NAME + 2];    /* all escaped */
    ngx_int_t        rc;
    wsb_str_t        key;
    ngx_uint_t       n, ntouched;
    wsb_json_t       member, value;
    wsb_event_t      ev;
    wsb_forced_t     forced[WSB_RESTRICT_CONDITIONS];
    wsb_forced_t     touched[WSB_RESTRICT_CONDITIONS];
    wsb_json_walk_t  walk;

    if (row->type != WSB_JSON_OBJECT || wsb_repeats(row)) {
        return ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                        "this connection is restricted, and changes a record "
                        "by an object without repeated keys");
    }

    n = ngx_http_ws_bus_backend_columns(b->ask, forced, 1);
    ntouched = 0;

    wsb_json_enter(&walk, row);

    while (wsb_json_member(&walk, &member, &value) == WSB_OK) {

        if (member.text.len > sizeof(name)) {
            return ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                        "this connection is restricted, and cannot change a "
                        "column with a name of that length");
        }

        if (wsb_json_decode(&member, name, &len) != WSB_OK) {
            /* no text: of no condition */
            len = 0;
        }

        key.data = name;
        key.len = len;

        if (ngx_http_ws_bus_backend_rights_touch(forced, n, key, &value,
                                                 touched, &ntouched)
            != NGX_OK)
        {
            return ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                        "this connection is restricted, and cannot change a "
                        "column that it is restricted by like this");
        }
    }

    if (ntouched == 0) {
        return NGX_OK;
    }

    ngx_http_ws_bus_backend_event(b->req, &ev);
    ev.field[WSB_DATA] = row->text;

    rc = ngx_http_ws_bus_restrict_meets(b->ask->bus->zone->key, touched,
                                        ntouched, &ev);

    return rc != NGX_DECLINED
               ? rc
               : ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                    "this connection is restricted, and the changed record is "
                    "none that it could see");
}


/* Adds the conditions on this column, of at most WSB_RESTRICT_CONDITIONS. */

static ngx_int_t
ngx_http_ws_bus_backend_rights_touch(const wsb_forced_t *forced, ngx_uint_t n,
    wsb_str_t key, const wsb_json_t *value, wsb_forced_t *touched,
    ngx_uint_t *ntouched)
{
    wsb_str_t   column;
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        column = forced[i].field;

        if (column.len > 5 && ngx_strncmp(column.data, "data.", 5) == 0) {
            column.data += 5;
            column.len -= 5;
        }

        /* "a\.b" may be any name: its row is not changed by a patch */

        if (memchr(column.data, '\\', column.len) != NULL) {
            return NGX_DECLINED;
        }

        /* of "a.b" an object "a" may hold another one */

        if (column.len > key.len && column.data[key.len] == '.') {
            column.len = key.len;
        }

        if (!wsb_rest_same(column, key)) {
            continue;
        }

        if (column.len != key.len
            || ngx_memcmp(column.data, key.data, key.len) != 0
            || value->type == WSB_JSON_NULL
            || value->type == WSB_JSON_OBJECT
            || value->type == WSB_JSON_ARRAY)
        {
            return NGX_DECLINED;
        }

        touched[(*ntouched)++] = forced[i];
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_backend_force(ngx_http_ws_bus_backend_t *b)
{
    wsb_rc_t          rc;
    ngx_uint_t        i, n;
    wsb_forced_t      forced[WSB_RESTRICT_CONDITIONS];
    wsb_rest_error_t  err;

    n = ngx_http_ws_bus_backend_columns(b->ask, forced, 1);

    for (i = 0; i < n; i++) {
        rc = wsb_rest_force(&b->rest, &forced[i], &err);

        if (rc == WSB_CONFLICT) {
            ngx_cpystrn(b->ask->text, (u_char *) err.text,
                        sizeof(b->ask->text));

            return ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                                                  (char *) b->ask->text);
        }
    }

    return NGX_OK;
}

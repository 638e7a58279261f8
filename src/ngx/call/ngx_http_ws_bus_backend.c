/*
 * A request for records as a call: which location, which method, and what the
 * backend's style makes of the rest.  What a client says cannot lead it
 * elsewhere, and what it may not see it is not asked for.
 */

#include "ngx_http_ws_bus_call.h"

#include "../../json/wsb_repeats.h"


typedef struct {
    ngx_http_ws_bus_ask_t       *ask;
    ngx_http_ws_bus_call_t      *call;
    const wsb_op_request_t      *req;
    wsb_result_t                *result;
    wsb_rest_t                   rest;
    wsb_text_t                   path;
    wsb_text_t                   args;
} ngx_http_ws_bus_backend_t;


static ngx_int_t ngx_http_ws_bus_backend_values(ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_value(ngx_http_ws_bus_backend_t *b,
    ngx_uint_t n, const uint8_t *data, size_t len, ngx_uint_t encoded);
static ngx_int_t ngx_http_ws_bus_backend_check(ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_location(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_options(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_rights(ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_rights_fields(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_rights_data(
    ngx_http_ws_bus_backend_t *b);
static ngx_uint_t ngx_http_ws_bus_backend_columns(
    ngx_http_ws_bus_asker_t *asker, wsb_forced_t *forced, ngx_uint_t columns);
static void ngx_http_ws_bus_backend_event(const wsb_op_request_t *req,
    wsb_event_t *ev);
static ngx_int_t ngx_http_ws_bus_backend_force(ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_uri(ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_request(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_header(ngx_http_ws_bus_backend_t *b,
    const char *name, const char *value);
static ngx_int_t ngx_http_ws_bus_backend_refuse(ngx_http_ws_bus_backend_t *b,
    const char *code, const char *text);


ngx_int_t
ngx_http_ws_bus_backend_call(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result)
{
    ngx_int_t                   rc;
    ngx_http_ws_bus_backend_t  *b;
    ngx_http_ws_bus_backend_t   backend;

    b = &backend;

    ngx_memzero(b, sizeof(ngx_http_ws_bus_backend_t));
    wsb_result_init(result);

    b->ask = ask;
    b->req = &ask->kept->op.request;
    b->result = result;

    b->call = ngx_http_ws_bus_call_create(ask->asker->caller,
                                          ngx_cycle->log);
    if (b->call == NULL) {
        return ngx_http_ws_bus_backend_refuse(b,
                               wsb_operation_error(b->req->operation),
                               "no memory");
    }

    rc = ngx_http_ws_bus_backend_check(b);

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_backend_values(b);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_backend_location(b);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_backend_options(b);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_backend_uri(b);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_backend_request(b);
    }

    wsb_rest_done(&b->rest);
    wsb_text_done(&b->path);
    wsb_text_done(&b->args);

    if (rc == NGX_OK) {
        ask->call = b->call;
        return NGX_OK;
    }

    ngx_http_ws_bus_call_destroy(b->call);

    if (rc == NGX_ERROR) {
        (void) ngx_http_ws_bus_backend_refuse(b,
                               wsb_operation_error(b->req->operation),
                               "no memory");
    }

    return NGX_DECLINED;
}


/* text is static. */

static ngx_int_t
ngx_http_ws_bus_backend_refuse(ngx_http_ws_bus_backend_t *b,
    const char *code, const char *text)
{
    b->result->code = code;
    b->result->text.data = (const uint8_t *) text;
    b->result->text.len = ngx_strlen(text);

    return NGX_DECLINED;
}


/* Has it what its operation needs, and nothing that it would not heed? */

static ngx_int_t
ngx_http_ws_bus_backend_check(ngx_http_ws_bus_backend_t *b)
{
    const char              *text;
    const wsb_op_request_t  *req;

    req = b->req;
    text = NULL;

    switch (req->operation) {

    case WSB_CREATE:
        text = req->data.data == NULL ? "a create must have data"
             : req->record_id.data != NULL
                   ? "a create takes no id of a record: it stands in data"
                   : NULL;
        break;

    case WSB_UPDATE:
        text = req->data.data == NULL ? "an update must have data"
             : req->record_id.data == NULL
                   ? "an update must have the id of a record" : NULL;
        break;

    case WSB_DELETE:
        text = req->record_id.data == NULL
                   ? "a delete must have the id of a record"
             : req->data.data != NULL ? "a delete takes no data" : NULL;
        break;

    case WSB_META:
        text = req->record_id.data != NULL
                   ? "a meta takes no id of a record" : NULL;
        break;

    default: /* WSB_READ */
        break;
    }

    return text ? ngx_http_ws_bus_backend_refuse(b, "invalid_message", text)
                : NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_backend_values(ngx_http_ws_bus_backend_t *b)
{
    wsb_str_t                 schema;
    const char               *name;
    ngx_http_ws_bus_client_t *wc;

    wc = b->ask->asker->client;
    name = wsb_operation_names[b->req->operation];

    schema = b->req->schema;

    if (schema.data == NULL && wc->context != NULL) {
        schema = wc->context->schema;
    }

    if (schema.len != 0) {
        b->ask->schema.data = ngx_pnalloc(b->call->pool, schema.len);
        if (b->ask->schema.data == NULL) {
            return NGX_ERROR;
        }

        b->ask->schema.len = schema.len;
        ngx_memcpy(b->ask->schema.data, schema.data, schema.len);
    }

    if (ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_OPERATION,
                                      (const uint8_t *) name,
                                      ngx_strlen(name), 0)
        != NGX_OK
        || ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_SCHEMA,
                                         schema.data, schema.len, 1)
           != NGX_OK
        || ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_ENTITY,
                                         b->req->entity.data,
                                         b->req->entity.len, 1)
           != NGX_OK
        || ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_RECORD_ID,
                                         b->req->record_id.data,
                                         b->req->record_id.len, 1)
           != NGX_OK
        || ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_TENANT,
                                         wc->tenant.data, wc->tenant.len, 0)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* what $ws_bus_connection_id looks at */

    b->call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].data =
                               ngx_pnalloc(b->call->pool, sizeof(wc->id));

    if (b->call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].data == NULL) {
        return NGX_ERROR;
    }

    b->call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].len = sizeof(wc->id);
    ngx_memcpy(b->call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].data,
               wc->id, sizeof(wc->id));

    ngx_http_set_ctx(b->call->main,
                     b->call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].data,
                     ngx_http_ws_bus_client_module);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_backend_value(ngx_http_ws_bus_backend_t *b, ngx_uint_t n,
    const uint8_t *data, size_t len, ngx_uint_t encoded)
{
    ngx_int_t    rc;
    wsb_str_t    s;
    wsb_text_t   text;
    ngx_str_t   *value;

    value = &b->call->value[n];

    if (data == NULL) {
        return NGX_OK;
    }

    s.data = data;
    s.len = len;

    ngx_memzero(&text, sizeof(wsb_text_t));

    if (encoded) {
        wsb_rest_encode(&text, s);

    } else {
        wsb_text_str(&text, s);
    }

    rc = NGX_ERROR;

    if (!text.failed) {
        value->data = ngx_pnalloc(b->call->pool, text.len + 1);

        if (value->data != NULL) {
            value->len = text.len;
            rc = NGX_OK;

            if (text.len != 0) {
                ngx_memcpy(value->data, text.data, text.len);
            }
        }
    }

    wsb_text_done(&text);

    return rc;
}


/* ws_bus_backend: whom this entity is asked of. */

static ngx_int_t
ngx_http_ws_bus_backend_location(ngx_http_ws_bus_backend_t *b)
{
    u_char     *p;
    ngx_str_t   uri;

    b->call->main->method = NGX_HTTP_GET;
    ngx_str_set(&b->call->main->method_name, "GET");

    if (ngx_http_complex_value(b->call->main, b->ask->conf->backend, &uri)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (uri.len == 0) {
        return ngx_http_ws_bus_backend_refuse(b, "model_not_found",
                                              "there is no such entity");
    }

    p = ngx_strlchr(uri.data, uri.data + uri.len, '?');

    if (p != NULL) {
        wsb_text_add(&b->args, p + 1, uri.data + uri.len - p - 1);
        uri.len = p - uri.data;
    }

    wsb_text_add(&b->path, uri.data, uri.len);

    return b->path.failed || b->args.failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_backend_options(ngx_http_ws_bus_backend_t *b)
{
    wsb_rc_t                 rc;
    ngx_int_t                n;
    wsb_str_t                id;
    wsb_json_t               options;
    wsb_rest_error_t         err;
    const wsb_op_request_t  *req;

    req = b->req;

    ngx_memzero(&options, sizeof(wsb_json_t));

    if (req->options.data != NULL) {
        options.type = WSB_JSON_OBJECT;
        options.text = req->options;
    }

    rc = wsb_rest_options(&b->rest, &options, &err);

    if (rc == WSB_OK
        && (req->operation != WSB_READ || req->record_id.data != NULL)
        && (b->rest.nfilters != 0 || b->rest.nsorts != 0
            || b->rest.limit != WSB_REST_NONE
            || b->rest.offset != WSB_REST_NONE
            || (b->rest.ncolumns != 0 && req->operation != WSB_READ)))
    {
        return ngx_http_ws_bus_backend_refuse(b, "invalid_message",
                    "filters, columns, sort, limit and offset are for a read "
                    "of many records; of one, columns alone");
    }

    if (rc == WSB_OK) {
        n = ngx_http_ws_bus_backend_rights(b);

        if (n != NGX_OK) {
            return n;
        }

        b->ask->rows = (req->operation == WSB_READ
                        && req->record_id.data == NULL);
        b->ask->paged = (b->rest.limit != WSB_REST_NONE
                         || b->rest.offset != WSB_REST_NONE);

        id = req->record_id;

        rc = wsb_rest_query(&b->rest, b->ask->conf->style, id, &b->path,
                            &b->args, &err);
    }

    if (rc == WSB_OK) {
        return NGX_OK;
    }

    if (rc != WSB_ERROR) {
        return NGX_ERROR;
    }

    /* the result outlives the call */

    ngx_cpystrn(b->ask->text, (u_char *) err.text, sizeof(b->ask->text));

    return ngx_http_ws_bus_backend_refuse(b, "invalid_message",
                                          (char *) b->ask->text);
}


/*
 * What ws_bus_restrict says.  Conditions on the event's fields are judged
 * here; those on columns go into the query, or are judged on the row that is
 * written, or on the one that comes back.
 */

static ngx_int_t
ngx_http_ws_bus_backend_rights(ngx_http_ws_bus_backend_t *b)
{
    ngx_int_t      rc;
    ngx_uint_t     postgrest;
    wsb_forced_t   forced[WSB_RESTRICT_CONDITIONS];

    if (b->ask->asker->nforced == 0) {
        return NGX_OK;
    }

    rc = ngx_http_ws_bus_backend_rights_fields(b);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_ws_bus_backend_columns(b->ask->asker, forced, 1) == 0) {
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
            return ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                        "this connection is restricted, and a backend of "
                        "this style cannot be told to change a record only "
                        "if it meets conditions");
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

    n = ngx_http_ws_bus_backend_columns(b->ask->asker, forced, 0);

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
ngx_http_ws_bus_backend_columns(ngx_http_ws_bus_asker_t *asker,
    wsb_forced_t *forced, ngx_uint_t columns)
{
    ngx_uint_t    i, k, n;
    wsb_forced_t *f;

    static const char *const  fields[] = {
        "kind", "entity_type", "action", "event_type", "entity_id", "schema",
        "section", NULL
    };

    n = 0;

    for (i = 0; i < asker->nforced; i++) {
        f = &asker->forced[i];

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

    n = ngx_http_ws_bus_backend_columns(ask->asker, forced, 1);

    ngx_http_ws_bus_backend_event(&ask->kept->op.request, &ev);
    ev.field[WSB_DATA] = row->text;

    return ngx_http_ws_bus_restrict_meets(ask->bus->zone->key, forced, n,
                                          &ev);
}


/*
 * A new row must be one that the connection could see.  A change must leave
 * alone what that hangs on, since the rest of the row is not known here.
 */

static ngx_int_t
ngx_http_ws_bus_backend_rights_data(ngx_http_ws_bus_backend_t *b)
{
    size_t            len;
    uint8_t           name[WSB_REST_NAME + 1];
    ngx_int_t         rc;
    wsb_str_t         key, column;
    ngx_uint_t        i, n;
    wsb_json_t        row, member, value;
    wsb_forced_t      forced[WSB_RESTRICT_CONDITIONS];
    wsb_json_walk_t   walk;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    if (wsb_json_parse(b->req->data, &limits, &row, &err) != WSB_OK) {
        return NGX_ERROR;
    }

    if (b->req->operation == WSB_CREATE
        || b->ask->conf->update == NGX_HTTP_PUT)
    {
        rc = ngx_http_ws_bus_backend_judge(b->ask, &row);

        return rc != NGX_DECLINED
                   ? rc
                   : ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                        "this connection is restricted, and the new record "
                        "is none that it could see");
    }

    if (row.type != WSB_JSON_OBJECT || wsb_repeats(&row)) {
        return ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                        "this connection is restricted, and changes a record "
                        "by an object without repeated keys");
    }

    n = ngx_http_ws_bus_backend_columns(b->ask->asker, forced, 1);

    wsb_json_enter(&walk, &row);

    while (wsb_json_member(&walk, &member, &value) == WSB_OK) {

        if (member.text.len > sizeof(name)
            || wsb_json_decode(&member, name, &len) != WSB_OK)
        {
            /* longer than any column, or no text: of no condition */
            len = 0;
        }

        key.data = name;
        key.len = len;

        for (i = 0; i < n; i++) {
            column = forced[i].field;

            if (column.len > 5
                && ngx_strncmp(column.data, "data.", 5) == 0)
            {
                column.data += 5;
                column.len -= 5;
            }

            /* of "a.b" an object "a" may hold another one */

            if (column.len > key.len && column.data[key.len] == '.') {
                column.len = key.len;
            }

            if (wsb_rest_same(column, key)) {
                return ngx_http_ws_bus_backend_refuse(b, "unauthorized",
                        "this connection is restricted, and cannot change a "
                        "column that it is restricted by");
            }
        }
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

    n = ngx_http_ws_bus_backend_columns(b->ask->asker, forced, 1);

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


/*
 * nginx takes the URI of a subrequest as it is after decoding, and does not
 * collapse it.  So what would be another path to the location, or to the
 * backend, is looked for here, whoever has written it.
 */

static ngx_int_t
ngx_http_ws_bus_backend_uri(ngx_http_ws_bus_backend_t *b)
{
    u_char                  *p, *dst, *src, *last, *segment;
    ngx_str_t               *uri;
    ngx_http_ws_bus_call_t  *call;

    static const char  text[] =
        "entity or id cannot be carried in a path: it has a slash, a NUL, or "
        "is . or ..";

    call = b->call;
    uri = &call->uri;

    uri->data = ngx_pnalloc(call->pool, b->path.len + 1);
    call->args.data = ngx_pnalloc(call->pool, b->args.len + 1);

    if (uri->data == NULL || call->args.data == NULL) {
        return NGX_ERROR;
    }

    last = b->path.data + b->path.len;

    for (p = b->path.data; p + 2 < last; p++) {
        if (p[0] == '%'
            && ((p[1] == '2' && (p[2] | 0x20) == 'f')
                || (p[1] == '0' && p[2] == '0')))
        {
            return ngx_http_ws_bus_backend_refuse(b, "invalid_message", text);
        }
    }

    src = b->path.data;
    dst = uri->data;

    ngx_unescape_uri(&dst, &src, b->path.len, 0);

    uri->len = dst - uri->data;
    last = dst;

    for (segment = uri->data, p = segment; p <= last; p++) {

        if (p < last && *p != '/') {
            continue;
        }

        if ((p - segment == 1 && segment[0] == '.')
            || (p - segment == 2 && segment[0] == '.' && segment[1] == '.'))
        {
            return ngx_http_ws_bus_backend_refuse(b, "invalid_message", text);
        }

        segment = p + 1;
    }

    call->args.len = b->args.len;

    if (b->args.len != 0) {
        ngx_memcpy(call->args.data, b->args.data, b->args.len);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_backend_request(ngx_http_ws_bus_backend_t *b)
{
    u_char                   *p;
    ngx_int_t                 rc;
    ngx_http_ws_bus_call_t   *call;
    ngx_http_ws_bus_asker_t  *asker;

    call = b->call;
    asker = b->ask->asker;

    switch (b->req->operation) {

    case WSB_CREATE:
        call->method = NGX_HTTP_POST;
        ngx_str_set(&call->method_name, "POST");
        break;

    case WSB_UPDATE:
        call->method = b->ask->conf->update;

        if (call->method == NGX_HTTP_PUT) {
            ngx_str_set(&call->method_name, "PUT");

        } else {
            ngx_str_set(&call->method_name, "PATCH");
        }

        break;

    case WSB_DELETE:
        call->method = NGX_HTTP_DELETE;
        ngx_str_set(&call->method_name, "DELETE");
        break;

    default:
        call->method = NGX_HTTP_GET;
        ngx_str_set(&call->method_name, "GET");
    }

    if (b->req->data.data != NULL
        && b->req->operation != WSB_READ && b->req->operation != WSB_META)
    {
        call->body.data = ngx_pnalloc(call->pool, b->req->data.len);
        if (call->body.data == NULL) {
            return NGX_ERROR;
        }

        call->body.len = b->req->data.len;
        ngx_memcpy(call->body.data, b->req->data.data, b->req->data.len);

        ngx_str_set(&call->content_type, "application/json");
    }

    /* no two calls of a bus have the same */

    p = ngx_pnalloc(call->pool, 32 + 1 + NGX_INT_T_LEN + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(p, "%*s-%ui", (size_t) 32, asker->id + 5, ++asker->ncalls)
        = '\0';

    rc = ngx_http_ws_bus_backend_header(b, "X-Request-ID", (char *) p);

    if (rc == NGX_OK && b->ask->conf->style != WSB_REST_POSTGREST) {
        rc = ngx_http_ws_bus_backend_header(b, "Accept",
                           "application/json, application/problem+json");

    } else if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_backend_header(b, "Accept",
                 b->ask->rows || b->req->operation == WSB_META
                 || b->req->operation == WSB_CREATE
                     ? "application/json"
                     : "application/vnd.pgrst.object+json");

        if (rc == NGX_OK && b->req->operation != WSB_META) {
            rc = ngx_http_ws_bus_backend_header(b, "Prefer",
                     b->req->operation == WSB_READ ? "count=exact"
                                               : "return=representation");
        }
    }

    call->timeout = b->ask->conf->timeout;
    call->max_body = b->ask->conf->max_body;
    call->done = ngx_http_ws_bus_asker_done;
    call->data = b->ask;

    return rc;
}


static ngx_int_t
ngx_http_ws_bus_backend_header(ngx_http_ws_bus_backend_t *b,
    const char *name, const char *value)
{
    ngx_http_ws_bus_call_header_t  *h;

    h = ngx_array_push(&b->call->headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->name.data = (u_char *) name;
    h->name.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return NGX_OK;
}

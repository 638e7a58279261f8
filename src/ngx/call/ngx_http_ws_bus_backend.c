/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A request for records as a call: which location, which method, and what the
 * backend's style makes of the rest.  What a client says cannot lead it
 * elsewhere, and what it may not see it is not asked for.
 */

#include "ngx_http_ws_bus_backend.h"


static ngx_int_t ngx_http_ws_bus_backend_check(ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_location(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_options(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_request(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_headers(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_postgrest(
    ngx_http_ws_bus_backend_t *b);
static ngx_int_t ngx_http_ws_bus_backend_header(ngx_http_ws_bus_backend_t *b,
    const char *name, const char *value);
static ngx_str_t ngx_http_ws_bus_backend_etag(ngx_http_ws_bus_call_t *call);


ngx_int_t
ngx_http_ws_bus_backend_call(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result)
{
    ngx_int_t                   rc;
    ngx_http_ws_bus_backend_t  *b;
    ngx_http_ws_bus_backend_t   backend;

    b = &backend;

    ngx_memzero(&b->path, sizeof(wsb_text_t));
    ngx_memzero(&b->args, sizeof(wsb_text_t));
    b->rest.memory = NULL;

    wsb_result_init(result);

    b->ask = ask;
    b->req = &ask->kept->op.request;
    b->result = result;

    ask->check = !ask->checked && ngx_http_ws_bus_backend_rights_look(b);
    ask->judged = ask->check;

    b->operation = ask->check ? WSB_READ : b->req->operation;
    b->name = wsb_operation_names[b->operation];

    b->call = ngx_http_ws_bus_call_create(ask->asker->caller,
                                          ngx_cycle->log);
    if (b->call == NULL) {
        return ngx_http_ws_bus_backend_refuse(b,
                               wsb_operation_error(b->req->operation),
                               "no memory");
    }

    /* what variables look at, from the first one on */

    b->call->done = ngx_http_ws_bus_asker_done;
    b->call->data = ask;
    b->call->metadata = ngx_http_ws_bus_asker_meta(ask->asker, b->call->pool);

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


ngx_int_t
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


/* ws_bus_backend: whom this entity is asked of. */

static ngx_int_t
ngx_http_ws_bus_backend_location(ngx_http_ws_bus_backend_t *b)
{
    u_char                    *p;
    ngx_str_t                  uri;
    ngx_http_complex_value_t  *value;

    b->call->main->method = NGX_HTTP_GET;
    ngx_str_set(&b->call->main->method_name, "GET");

    value = b->ask->kept->op.type == WSB_OP_SNAPSHOT
                ? b->ask->conf->snapshots : b->ask->conf->backend;

    if (ngx_http_complex_value(b->call->main, value, &uri) != NGX_OK) {
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
    ngx_int_t                n, rc;
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

    b->ask->here = 0;

    rc = b->ask->kept->op.type == WSB_OP_SNAPSHOT
             ? ngx_http_ws_bus_backend_select(b, &options, &err)
             : wsb_rest_options(&b->rest, &options, &err);

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

        b->ask->rows = (b->operation == WSB_READ
                        && req->record_id.data == NULL);
        b->ask->paged = (b->rest.limit != WSB_REST_NONE
                         || b->rest.offset != WSB_REST_NONE);

        id = req->record_id;

        rc = wsb_rest_query(&b->rest, b->ask->conf->style, id, &b->path,
                            &b->args, &err);
    }

    if (rc == WSB_OK && req->args.len != 0) {
        wsb_text_lit(&b->args, b->args.len ? "&" : "");
        wsb_text_str(&b->args, req->args);

        b->ask->paged = 1;
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
 * nginx takes the URI of a subrequest as it is after decoding, and does not
 * collapse it.  So what would be another path to the location, or to the
 * backend, is looked for here, whoever has written it: for some a semicolon
 * ends a segment, and "..;" goes up.
 */

ngx_int_t
ngx_http_ws_bus_backend_uri(ngx_http_ws_bus_backend_t *b)
{
    u_char                  *p, *dst, *src, *last, *segment;
    ngx_str_t               *uri;
    ngx_http_ws_bus_call_t  *call;

    static const char  text[] =
        "entity or id cannot be carried in a path: it has a slash, a "
        "backslash, a semicolon or a NUL, or is . or ..";

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
                || (p[1] == '3' && (p[2] | 0x20) == 'b')
                || (p[1] == '5' && (p[2] | 0x20) == 'c')
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
    ngx_http_ws_bus_call_t  *call;

    call = b->call;

    switch (b->operation) {

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
        && b->operation != WSB_READ && b->operation != WSB_META)
    {
        call->body.data = ngx_pnalloc(call->pool, b->req->data.len);
        if (call->body.data == NULL) {
            return NGX_ERROR;
        }

        call->body.len = b->req->data.len;
        ngx_memcpy(call->body.data, b->req->data.data, b->req->data.len);

        ngx_str_set(&call->content_type, "application/json");
    }

    call->timeout = b->ask->conf->timeout;
    call->max_body = b->ask->conf->max_body;
    call->uncached = b->ask->check;

    return ngx_http_ws_bus_backend_headers(b);
}


static ngx_int_t
ngx_http_ws_bus_backend_headers(ngx_http_ws_bus_backend_t *b)
{
    u_char                   *p;
    ngx_int_t                 rc;
    ngx_http_ws_bus_asker_t  *asker;

    asker = b->ask->asker;

    /* no two calls of a bus have the same */

    p = ngx_pnalloc(b->call->pool, 32 + 1 + NGX_INT_T_LEN + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(p, "%*s-%ui", (size_t) 32, asker->id + 5, ++asker->ncalls)
        = '\0';

    rc = ngx_http_ws_bus_backend_header(b, "X-Request-ID", (char *) p);

    if (rc == NGX_OK && b->ask->check) {
        rc = ngx_http_ws_bus_backend_header(b, "Cache-Control", "no-cache");
    }

    if (rc == NGX_OK && b->ask->etag.len != 0) {

        p = ngx_pnalloc(b->call->pool, b->ask->etag.len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_cpystrn(p, b->ask->etag.data, b->ask->etag.len + 1);
        rc = ngx_http_ws_bus_backend_header(b, "If-Match", (char *) p);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return b->ask->conf->style == WSB_REST_POSTGREST
               ? ngx_http_ws_bus_backend_postgrest(b)
               : ngx_http_ws_bus_backend_header(b, "Accept",
                           "application/json, application/problem+json");
}


static ngx_int_t
ngx_http_ws_bus_backend_postgrest(ngx_http_ws_bus_backend_t *b)
{
    ngx_int_t  rc;

    rc = ngx_http_ws_bus_backend_header(b, "Accept",
             b->ask->rows || b->operation == WSB_META
             || b->operation == WSB_CREATE
                 ? "application/json"
                 : "application/vnd.pgrst.object+json");

    if (rc != NGX_OK || b->operation == WSB_META) {
        return rc;
    }

    return ngx_http_ws_bus_backend_header(b, "Prefer",
                                          b->operation == WSB_READ
                                              ? "count=exact"
                                              : "return=representation");
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


/*
 * A change that depends on the row is two calls: one that looks at the row,
 * and the change itself, which a backend that gives strong ETags (RFC 9110,
 * section 8.8.3) makes only of the row that was looked at.
 */

ngx_int_t
ngx_http_ws_bus_backend_next(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result)
{
    ngx_int_t                rc;
    ngx_http_ws_bus_call_t  *call;

    call = ask->call;

    if (ask->check) {
        ngx_http_ws_bus_answer(ask, result);

        if (result->code != NULL || ask->asker == NULL) {
            return NGX_DECLINED;
        }

        ask->checks++;
        ask->checked = 1;
        ask->etag = ngx_http_ws_bus_backend_etag(call);
        ask->matched = (ask->etag.len != 0);

    } else if (call->end == NGX_HTTP_WS_BUS_CALL_ANSWERED
               && call->status == NGX_HTTP_PRECONDITION_FAILED
               && ask->matched && ask->asker != NULL
               && ask->checks < NGX_HTTP_WS_BUS_CHECKS_MAX)
    {
        ask->checked = 0;

    } else {
        return NGX_DONE;
    }

    rc = ngx_http_ws_bus_backend_call(ask, result);

    ngx_str_null(&ask->etag);

    return rc;
}


/* A strong one; len 0: there is none. */

static ngx_str_t
ngx_http_ws_bus_backend_etag(ngx_http_ws_bus_call_t *call)
{
    ngx_str_t  etag, *found;

    static const ngx_str_t  name = ngx_string("ETag");

    ngx_str_null(&etag);

    found = ngx_http_ws_bus_response_header(call, &name);

    if (found != NULL && found->len >= 2 && found->len <= 512
        && found->data[0] == '"' && found->data[found->len - 1] == '"')
    {
        etag = *found;
    }

    return etag;
}

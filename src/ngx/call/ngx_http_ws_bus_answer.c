/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A backend's answer as the client's: its status becomes a code, its body
 * passes as it is.
 */

#include "ngx_http_ws_bus_snapshot.h"


static void ngx_http_ws_bus_answer_success(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, const wsb_json_t *body);
static void ngx_http_ws_bus_answer_rows(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, const wsb_json_t *body);
static void ngx_http_ws_bus_answer_failure(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, const wsb_json_t *body);
static void ngx_http_ws_bus_answer_problem(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, const wsb_json_t *body);
static void ngx_http_ws_bus_answer_later(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);
static ngx_int_t ngx_http_ws_bus_answer_called(ngx_http_ws_bus_ask_t *ask,
    ngx_http_ws_bus_called_t *called);
static ngx_uint_t ngx_http_ws_bus_answer_unknown(ngx_http_ws_bus_call_t *call);
static wsb_str_t ngx_http_ws_bus_answer_header(ngx_http_ws_bus_call_t *call,
    const char *name);
static void ngx_http_ws_bus_answer_code(wsb_result_t *result,
    const char *code, const char *text);


static ngx_inline ngx_uint_t
ngx_http_ws_bus_answer_reads(ngx_http_ws_bus_ask_t *ask)
{
    return ask->kept->op.request.operation == WSB_READ
           || ask->kept->op.request.operation == WSB_META;
}


void
ngx_http_ws_bus_answer(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result)
{
    wsb_str_t                text;
    wsb_json_t               body;
    const char              *error;
    ngx_uint_t               known;
    wsb_json_error_t         err;
    ngx_http_ws_bus_call_t  *call;

    static const uint8_t  bom[] = { 0xef, 0xbb, 0xbf };

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    call = ask->call;
    error = wsb_operation_error(ask->kept->op.request.operation);

    wsb_result_init(result);

    result->status = call->status;

    switch (call->end) {

    case NGX_HTTP_WS_BUS_CALL_ANSWERED:
        break;

    case NGX_HTTP_WS_BUS_CALL_TIMEOUT:
        ngx_http_ws_bus_answer_code(result, "timeout",
                    ngx_http_ws_bus_answer_reads(ask)
                        ? "the backend did not answer in time"
                        : "the backend did not answer in time: what was asked "
                          "for may be done or not");
        return;

    case NGX_HTTP_WS_BUS_CALL_TOO_LARGE:
        ngx_http_ws_bus_answer_code(result, "too_large",
                    "the backend's answer is larger than this server passes "
                    "on");
        return;

    case NGX_HTTP_WS_BUS_CALL_BUSY:
        ngx_http_ws_bus_answer_code(result, "too_many_requests",
                    "too many answers are on their way");
        result->retry_after = 1;
        return;

    default:
        ngx_http_ws_bus_answer_code(result, error,
                    "the backend's answer broke off");
        return;
    }

    known = 0;
    text.len = 0;

    if (ngx_http_ws_bus_response_inflate(call) == NGX_OK) {
        text.data = call->answer.data;
        text.len = call->answer.len;

        if (text.len >= sizeof(bom)
            && ngx_memcmp(text.data, bom, sizeof(bom)) == 0)
        {
            text.data += sizeof(bom);
            text.len -= sizeof(bom);
        }

        known = text.len != 0
                && wsb_json_parse(text, &limits, &body, &err) == WSB_OK;
    }

    if (call->status < 200 || call->status > 299) {
        ngx_http_ws_bus_answer_failure(ask, result, known ? &body : NULL);
        return;
    }

    if (!known && call->answer.len != 0
        && ngx_http_ws_bus_answer_reads(ask))
    {
        ngx_http_ws_bus_answer_code(result, error,
                                    "the backend's answer is no JSON");
        return;
    }

    ngx_http_ws_bus_answer_success(ask, result, known ? &body : NULL);
}


static void
ngx_http_ws_bus_answer_success(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, const wsb_json_t *body)
{
    static const wsb_str_t  null = wsb_string("null");

    if (ask->judged && (body == NULL
                        || ngx_http_ws_bus_backend_judge(ask, body)
                           != NGX_OK))
    {
        /* nothing of it is told, not even that it exists */

        result->status = NGX_HTTP_NOT_FOUND;
        ngx_http_ws_bus_answer_code(result,
                    wsb_operation_error(ask->kept->op.request.operation),
                    "there is no such record");
        return;
    }

    result->data = body ? body->text : null;

    if (ask->here) {
        ngx_http_ws_bus_snapshot_rows(ask, result, body);

    } else if (ask->rows) {
        ngx_http_ws_bus_answer_rows(ask, result, body);

    } else if (ask->kept->op.request.operation == WSB_READ) {
        result->total = 1;
    }
}


static void
ngx_http_ws_bus_answer_rows(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result,
    const wsb_json_t *body)
{
    uint64_t         total;
    wsb_json_t       row;
    wsb_json_walk_t  walk;

    total = wsb_rest_total(ngx_http_ws_bus_answer_header(ask->call,
                                                         "Content-Range"),
                           ngx_http_ws_bus_answer_header(ask->call,
                                                         "X-Total-Count"));

    result->total = total == WSB_REST_NONE ? WSB_RESULT_NONE : total;

    if (body == NULL || body->type != WSB_JSON_ARRAY) {
        return;
    }

    result->count = 0;

    wsb_json_enter(&walk, body);

    while (wsb_json_element(&walk, &row) == WSB_OK) {
        result->count++;
    }

    if (result->total == WSB_RESULT_NONE && !ask->paged
        && result->status == NGX_HTTP_OK)
    {
        result->total = result->count;
    }
}


static void
ngx_http_ws_bus_answer_failure(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, const wsb_json_t *body)
{
    const char  *error;

    error = wsb_operation_error(ask->kept->op.request.operation);

    switch (result->status) {

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        ngx_http_ws_bus_answer_code(result, "unauthorized",
                                    "the backend does not allow it");
        break;

    case NGX_HTTP_BAD_REQUEST:
    case NGX_HTTP_CONFLICT:
    case NGX_HTTP_PRECONDITION_FAILED:
    case 422:
        ngx_http_ws_bus_answer_code(result, "validation_error",
                                    "the backend does not accept it");
        break;

    case NGX_HTTP_NOT_FOUND:
    case 410:
        ngx_http_ws_bus_answer_code(result, error,
                                    "there is no such record");

        if (ask->judged) {
            /* the same as one that the client may not see */
            result->status = NGX_HTTP_NOT_FOUND;
            return;
        }

        break;

    case 406:
        if (ask->conf->style == WSB_REST_POSTGREST && !ask->rows) {
            /* not exactly one row */
            result->status = NGX_HTTP_NOT_FOUND;
            ngx_http_ws_bus_answer_code(result, error,
                                        "there is no such record");
            return;
        }

        ngx_http_ws_bus_answer_code(result, error, "the backend has failed");
        break;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        ngx_http_ws_bus_answer_code(result, "too_large",
                                    "the backend takes no request as large");
        break;

    case NGX_HTTP_TOO_MANY_REQUESTS:
        ngx_http_ws_bus_answer_code(result, "too_many_requests",
                                    "the backend takes no more requests now");
        ngx_http_ws_bus_answer_later(ask, result);
        break;

    case NGX_HTTP_GATEWAY_TIME_OUT:
        ngx_http_ws_bus_answer_code(result, "timeout",
                                    "the backend did not answer in time");
        return;

    default:
        ngx_http_ws_bus_answer_code(result, error,
                                    result->status >= 300
                                    && result->status < 400
                                        ? "the backend answers elsewhere, "
                                          "which is not followed"
                                        : "the backend has failed");

        if (result->status == NGX_HTTP_SERVICE_UNAVAILABLE) {
            ngx_http_ws_bus_answer_later(ask, result);
        }

        return;
    }

    if (body != NULL) {
        ngx_http_ws_bus_answer_problem(ask, result, body);
    }
}


/*
 * What it says: RFC 9457, or what others have instead.  Of 5xx nothing: that
 * is for its own log.
 */

static void
ngx_http_ws_bus_answer_problem(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, const wsb_json_t *body)
{
    result->details = body->text;

    ngx_http_ws_bus_answer_words(body, ask->call->pool, &result->text);
}


void
ngx_http_ws_bus_answer_words(const wsb_json_t *body, ngx_pool_t *pool,
    wsb_str_t *text)
{
    u_char      *p;
    size_t       len;
    ngx_uint_t   i;
    wsb_json_t   value;

    static const char *const  names[] = {
        "detail", "message", "error", "title", NULL
    };

    if (body->type != WSB_JSON_OBJECT) {
        return;
    }

    for (i = 0; names[i] != NULL; i++) {

        if (wsb_json_get(body, names[i], &value) != WSB_OK
            || value.type != WSB_JSON_STRING || value.text.len > 1024)
        {
            continue;
        }

        p = ngx_pnalloc(pool, value.text.len);

        if (p != NULL && wsb_json_decode(&value, p, &len) == WSB_OK
            && len != 0)
        {
            text->data = p;
            text->len = len;
            return;
        }
    }
}


/* Retry-After in seconds; a date is not understood. */

static void
ngx_http_ws_bus_answer_later(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result)
{
    ngx_int_t  n;
    wsb_str_t  value;

    value = ngx_http_ws_bus_answer_header(ask->call, "Retry-After");

    n = value.len != 0 && value.len < 9
            ? ngx_atoi((u_char *) value.data, value.len) : NGX_ERROR;

    if (n != NGX_ERROR) {
        result->retry_after = n;
    }
}


static wsb_str_t
ngx_http_ws_bus_answer_header(ngx_http_ws_bus_call_t *call, const char *name)
{
    ngx_str_t   n, *value;
    wsb_str_t   s = wsb_null_string;

    n.data = (u_char *) name;
    n.len = ngx_strlen(name);

    value = ngx_http_ws_bus_response_header(call, &n);

    if (value != NULL) {
        s.data = value->data;
        s.len = value->len;
    }

    return s;
}


static void
ngx_http_ws_bus_answer_code(wsb_result_t *result, const char *code,
    const char *text)
{
    result->code = code;
    result->text.data = (const uint8_t *) text;
    result->text.len = ngx_strlen(text);
}


void
ngx_http_ws_bus_answer_send(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result)
{
    wsb_text_t                 text;
    ngx_time_t                *tp;
    ngx_http_ws_bus_client_t  *wc;

    wc = ask->kept->client;

    if (wc == NULL) {
        return;
    }

    tp = ngx_timeofday();
    result->time = (uint64_t) tp->sec * 1000 + tp->msec;

    ngx_memzero(&text, sizeof(wsb_text_t));

    if (ask->kept->op.type == WSB_OP_SNAPSHOT) {
        ngx_http_ws_bus_snapshot_send(ask, result);
        return;
    }

    if (ask->kept->op.type == WSB_OP_REQUEST) {
        wc->conf->codec->response(&text, &ask->kept->op, result);

    } else if (wc->conf->codec->error != NULL) {
        wc->conf->codec->error(&text, wc->context, ask->kept->op.id,
                               result->code, result->text);
    }

    (void) ngx_http_ws_bus_op_answer(ask->kept, &text);
}


void
ngx_http_ws_bus_answer_count(ngx_http_ws_bus_ask_t *ask)
{
    ngx_http_ws_bus_call_t           *call;
    ngx_http_ws_bus_called_t          called;
    ngx_http_ws_bus_call_counters_t  *counters;

    call = ask->call;
    counters = ngx_http_ws_bus_call_counters(ask->bus->worker);

    counters->calls_running--;

    switch (call->end) {

    case NGX_HTTP_WS_BUS_CALL_TIMEOUT:
        counters->calls_timed_out++;
        break;

    case NGX_HTTP_WS_BUS_CALL_TOO_LARGE:
    case NGX_HTTP_WS_BUS_CALL_BUSY:
        counters->calls_too_large++;
        break;

    case NGX_HTTP_WS_BUS_CALL_CANCELLED:
        counters->calls_cancelled++;
        break;

    case NGX_HTTP_WS_BUS_CALL_FAILED:
        counters->calls_failed++;
        break;

    default: /* NGX_HTTP_WS_BUS_CALL_ANSWERED */
        if (call->status >= 500) {
            counters->calls_failed++;
        }
    }

    if (!ngx_http_ws_bus_answer_reads(ask) && !ask->check && !ask->hooking
        && ngx_http_ws_bus_answer_unknown(call))
    {
        counters->changes_unknown++;

        ngx_log_error(NGX_LOG_WARN, &call->log, 0,
                      "it is not known whether a change was made: "
                      "subscribers are told a gap");

        if (ngx_http_ws_bus_answer_called(ask, &called) == NGX_OK) {
            ngx_http_ws_bus_mutation_unknown(call->request, &called);
        }
    }
}


/*
 * A backend that was sent the request, and whose answer is not known, may have
 * done what it was asked for; so may one behind a gateway that gave up.
 */

static ngx_uint_t
ngx_http_ws_bus_answer_unknown(ngx_http_ws_bus_call_t *call)
{
    ngx_http_upstream_t  *u;

    u = call->request ? call->request->upstream : NULL;

    if (u != NULL && !u->request_sent) {
        return 0;
    }

    return call->status == 0
           || call->status == NGX_HTTP_BAD_GATEWAY
           || call->status == NGX_HTTP_GATEWAY_TIME_OUT;
}


/* It has been made as soon as the backend has said so, whatever came then. */

void
ngx_http_ws_bus_answer_event(ngx_http_ws_bus_ask_t *ask)
{
    wsb_str_t                  location;
    ngx_http_ws_bus_call_t    *call;
    ngx_http_ws_bus_called_t   called;

    call = ask->call;

    if (call->status < 200 || call->status > 299
        || ngx_http_ws_bus_answer_called(ask, &called) != NGX_OK)
    {
        return;
    }

    called.response = call->answer;
    called.lost = (call->end != NGX_HTTP_WS_BUS_CALL_ANSWERED);

    location = ngx_http_ws_bus_answer_header(call, "Location");

    if (call->proper != NULL) {
        location.data = call->proper->location.data;
        location.len = call->proper->location.len;
    }

    called.location.data = (u_char *) location.data;
    called.location.len = location.len;

    ngx_http_ws_bus_mutation_called(call->request, &called);
}


/* What is told of a change, but for its answer.  NGX_DECLINED: nothing is. */

static ngx_int_t
ngx_http_ws_bus_answer_called(ngx_http_ws_bus_ask_t *ask,
    ngx_http_ws_bus_called_t *called)
{
    u_char                           *p, *id;
    const wsb_op_request_t           *req;
    ngx_http_ws_bus_call_t           *call;
    ngx_http_ws_bus_source_loc_conf_t  *scf;

    call = ask->call;
    req = &ask->kept->op.request;

    if (ngx_http_ws_bus_answer_reads(ask) || req->untold
        || call->request == NULL)
    {
        return NGX_DECLINED;
    }

    scf = ngx_http_get_module_loc_conf(call->request,
                                       ngx_http_ws_bus_source_module);

    if (scf->capture == NULL && !ask->conf->event) {
        return NGX_DECLINED;
    }

    ngx_memzero(called, sizeof(ngx_http_ws_bus_called_t));

    called->bus = scf->capture ? scf->capture : ask->bus;
    called->method = call->method;
    called->tenant = call->value[NGX_HTTP_WS_BUS_CALL_TENANT];
    called->schema = ask->schema;
    called->entity.data = (u_char *) req->entity.data;
    called->entity.len = req->entity.len;
    called->id.data = (u_char *) req->record_id.data;
    called->id.len = req->record_id.len;
    called->request_id.data = (u_char *) ask->kept->op.id.data;
    called->request_id.len = ask->kept->op.id.len;
    called->request = call->body;

    id = call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].data;

    p = ngx_pnalloc(call->pool, sizeof("conn_") - 1 + 32);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    called->cause.data = p;
    called->cause.len = sizeof("conn_") - 1 + 32;
    ngx_hex_dump(ngx_cpymem(p, "conn_", 5), id, 16);

    return NGX_OK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Hooks before a connection: a request that would make a client waits for
 * them, and is then handled as if it had just come, with what they have said
 * of it.
 */

#include "ngx_http_ws_bus_call.h"

#include <sys/random.h>


/* Lives in the request's pool.  Its cleanup is how it is found again. */

typedef struct {
    ngx_http_request_t          *request;
    ngx_http_ws_bus_call_loc_conf_t  *conf;
    ngx_http_ws_bus_zone_t      *bus;
    ngx_http_ws_bus_caller_t    *caller;
    ngx_http_ws_bus_call_t      *call;        /* under way, or NULL */
    ngx_http_ws_bus_hook_t      *hook;        /* whose it is */
    ngx_uint_t                   next;
    ngx_int_t                    status;      /* NGX_DONE: they run still */
    wsb_refused_t                refused;     /* what the protocol calls it */
    wsb_text_t                   metadata;    /* malloc'd */
    u_char                       id[16];
} ngx_http_ws_bus_connect_t;


static ngx_http_ws_bus_connect_t *ngx_http_ws_bus_connect_find(
    ngx_http_request_t *r);
static ngx_http_ws_bus_connect_t *ngx_http_ws_bus_connect_create(
    ngx_http_request_t *r, ngx_http_ws_bus_call_loc_conf_t *conf);
static ngx_int_t ngx_http_ws_bus_connect_call(ngx_http_ws_bus_connect_t *cn);
static ngx_int_t ngx_http_ws_bus_connect_make(ngx_http_ws_bus_connect_t *cn);
static ngx_int_t ngx_http_ws_bus_connect_values(
    ngx_http_ws_bus_connect_t *cn, ngx_http_ws_bus_call_t *call);
static void ngx_http_ws_bus_connect_done(ngx_http_ws_bus_call_t *call);
static ngx_int_t ngx_http_ws_bus_connect_answer(
    ngx_http_ws_bus_connect_t *cn);
static ngx_int_t ngx_http_ws_bus_connect_take(ngx_http_ws_bus_connect_t *cn,
    wsb_hook_answer_t *answer, const char **why);
static void ngx_http_ws_bus_connect_cleanup(void *data);


ngx_int_t
ngx_http_ws_bus_connect(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_http_ws_bus_connect_t         *cn;
    ngx_http_ws_bus_call_loc_conf_t   *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_call_module);

    if (!(conf->phases & (1 << NGX_HTTP_WS_BUS_HOOK_BEFORE_CONNECT))
        || r != r->main)
    {
        return NGX_OK;
    }

    cn = ngx_http_ws_bus_connect_find(r);

    if (cn != NULL && cn->conf == conf) {

        /* they have run; an internal redirect has taken the context */

        ngx_http_set_ctx(r, cn->id, ngx_http_ws_bus_client_module);
        return cn->status;
    }

    /* else error_page has led here: this location asks for itself */

    cn = ngx_http_ws_bus_connect_create(r, conf);

    if (cn == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (cn->bus->worker == NULL || cn->bus->worker->slot == -1) {
        return cn->status;
    }

    rc = ngx_http_ws_bus_connect_call(cn);

    cn->status = rc;

    if (rc != NGX_DONE) {
        return rc;
    }

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static ngx_http_ws_bus_connect_t *
ngx_http_ws_bus_connect_find(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    for (cln = r->main->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_ws_bus_connect_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


wsb_str_t
ngx_http_ws_bus_connect_metadata(ngx_http_request_t *r)
{
    wsb_str_t                   metadata;
    ngx_http_ws_bus_connect_t  *cn;

    cn = ngx_http_ws_bus_connect_find(r);

    metadata.data = cn ? cn->metadata.data : NULL;
    metadata.len = cn ? cn->metadata.len : 0;

    return metadata;
}


static ngx_http_ws_bus_connect_t *
ngx_http_ws_bus_connect_create(ngx_http_request_t *r,
    ngx_http_ws_bus_call_loc_conf_t *conf)
{
    ngx_http_cleanup_t                 *cln;
    ngx_http_ws_bus_connect_t          *cn;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    cn = ngx_pcalloc(r->pool, sizeof(ngx_http_ws_bus_connect_t));
    if (cn == NULL) {
        return NULL;
    }

    cn->request = r;
    cn->conf = conf;
    cn->bus = ccf->zone;
    cn->status = NGX_HTTP_SERVICE_UNAVAILABLE;
    cn->refused = WSB_REFUSED_FAILED;

    if (getrandom(cn->id, sizeof(cn->id), 0) != sizeof(cn->id)) {
        return NULL;
    }

    /* a UUID of version 4, without its hyphens */

    cn->id[6] = (cn->id[6] & 0x0f) | 0x40;
    cn->id[8] = (cn->id[8] & 0x3f) | 0x80;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_ws_bus_connect_cleanup;
    cln->data = cn;

    cn->caller = ngx_http_ws_bus_caller_create(r, conf->headers);

    if (cn->caller == NULL) {
        return NULL;
    }

    /* it will be the client's */

    ngx_http_set_ctx(r, cn->id, ngx_http_ws_bus_client_module);

    return cn;
}


/* The next one.  NGX_DONE: it is called; NGX_OK: there is none; or a status. */

static ngx_int_t
ngx_http_ws_bus_connect_call(ngx_http_ws_bus_connect_t *cn)
{
    ngx_http_ws_bus_hook_t           *hook;
    ngx_http_ws_bus_call_counters_t  *counters;

    hook = cn->conf->hooks->elts;

    while (cn->next < cn->conf->hooks->nelts) {

        cn->hook = &hook[cn->next++];

        if (cn->hook->phase != NGX_HTTP_WS_BUS_HOOK_BEFORE_CONNECT) {
            continue;
        }

        if (ngx_http_ws_bus_connect_make(cn) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        counters = ngx_http_ws_bus_call_counters(cn->bus->worker);
        counters->calls++;
        counters->calls_running++;

        ngx_http_ws_bus_call_start(cn->call);

        return NGX_DONE;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_connect_make(ngx_http_ws_bus_connect_t *cn)
{
    u_char                   id[NGX_HTTP_WS_BUS_HOOK_ID];
    u_char                   name[sizeof("conn_") - 1 + 32];
    u_char                  *p;
    wsb_hook_t               told;
    ngx_http_ws_bus_call_t  *call;

    call = ngx_http_ws_bus_call_create(cn->caller, ngx_cycle->log);
    if (call == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&told, sizeof(wsb_hook_t));

    ngx_hex_dump(ngx_cpymem(name, "conn_", 5), cn->id, sizeof(cn->id));

    p = ngx_hex_dump(id, cn->id, sizeof(cn->id));

    told.phase = ngx_http_ws_bus_hook_names[cn->hook->phase];
    told.id.data = id;
    told.id.len = ngx_sprintf(p, "-c%ui", cn->next) - id;
    told.connection_id.data = name;
    told.connection_id.len = sizeof(name);
    told.metadata.data = cn->metadata.data;
    told.metadata.len = cn->metadata.len;
    told.uri.data = cn->caller->uri.data;
    told.uri.len = cn->caller->uri.len;

    p = ngx_pnalloc(call->pool, sizeof(cn->id) + cn->metadata.len);

    if (p == NULL) {
        ngx_http_ws_bus_call_destroy(call);
        return NGX_ERROR;
    }

    /* what $ws_bus_connection_id and $ws_bus_meta_ look at */

    ngx_memcpy(p, cn->id, sizeof(cn->id));
    ngx_http_set_ctx(call->main, p, ngx_http_ws_bus_client_module);

    if (cn->metadata.data != NULL) {
        call->metadata.data = p + sizeof(cn->id);
        call->metadata.len = cn->metadata.len;
        ngx_memcpy(p + sizeof(cn->id), cn->metadata.data, cn->metadata.len);
    }

    if (ngx_http_ws_bus_connect_values(cn, call) != NGX_OK) {
        ngx_http_ws_bus_call_destroy(call);
        return NGX_ERROR;
    }

    if (ngx_http_ws_bus_hook_told_fill(call, cn->hook, cn->conf, cn->caller,
                                       &told)
        != NGX_OK)
    {
        ngx_http_ws_bus_call_destroy(call);
        return NGX_ERROR;
    }

    call->done = ngx_http_ws_bus_connect_done;
    call->data = cn;

    cn->call = call;

    return NGX_OK;
}


/* Of which entity and section it will be, if the protocol has these. */

static ngx_int_t
ngx_http_ws_bus_connect_values(ngx_http_ws_bus_connect_t *cn,
    ngx_http_ws_bus_call_t *call)
{
    u_char                             *p;
    ngx_uint_t                          i;
    ngx_str_t                           name, value[2];
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    static const ngx_uint_t  which[] = {
        NGX_HTTP_WS_BUS_CALL_ENTITY, NGX_HTTP_WS_BUS_CALL_SECTION
    };

    ccf = ngx_http_get_module_loc_conf(cn->request,
                                       ngx_http_ws_bus_client_module);

    if (ccf->codec->refuse == NULL) {
        return NGX_OK;
    }

    if (ngx_http_ws_bus_section_of(cn->request, &name, &value[0]) != NGX_OK
        || ngx_http_ws_bus_section_of_uri(cn->request, &value[1]) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < 2; i++) {

        p = ngx_pnalloc(call->pool, 3 * value[i].len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        call->value[which[i]].data = p;
        call->value[which[i]].len =
            (u_char *) ngx_escape_uri(p, value[i].data, value[i].len,
                                      NGX_ESCAPE_URI_COMPONENT)
            - p;
    }

    return NGX_OK;
}


static void
ngx_http_ws_bus_connect_done(ngx_http_ws_bus_call_t *call)
{
    ngx_int_t                           rc;
    ngx_connection_t                   *c;
    ngx_http_request_t                 *r;
    ngx_http_ws_bus_connect_t          *cn;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    static ngx_str_t  none = ngx_null_string;

    cn = call->data;
    r = cn->request;
    c = r->connection;

    ngx_http_ws_bus_call_counters(cn->bus->worker)->calls_running--;

    rc = ngx_http_ws_bus_connect_answer(cn);

    cn->call = NULL;

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_connect_call(cn);
    }

    if (rc == NGX_DONE) {
        return;
    }

    cn->status = rc;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (rc != NGX_OK && ccf->codec->refuse != NULL) {
        rc = ngx_http_ws_bus_refuse(r, cn->refused, &none);

        if (rc != NGX_DONE) {
            ngx_http_finalize_request(r, rc);
        }

    } else {
        ngx_http_finalize_request(r, rc == NGX_OK ? ccf->handler(r) : rc);
    }

    ngx_http_run_posted_requests(c);
}


/* NGX_OK, or the status to answer with. */

static ngx_int_t
ngx_http_ws_bus_connect_answer(ngx_http_ws_bus_connect_t *cn)
{
    ngx_int_t           rc;
    wsb_str_t           text;
    const char         *why;
    wsb_hook_answer_t   answer;

    rc = ngx_http_ws_bus_hook_read(cn->call, &answer, cn->request->pool,
                                   &text, &why);
    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_connect_take(cn, &answer, &why);
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_ws_bus_refusal_log(cn->request, NGX_LOG_INFO,
                                    "websocket handshake refused by the hook "
                                    "\"before_connect\": %ui",
                                    cn->call->status);

        cn->refused = cn->call->status == NGX_HTTP_UNAUTHORIZED
                          ? WSB_REFUSED_TOKEN
                    : cn->call->status == NGX_HTTP_NOT_FOUND
                          ? WSB_REFUSED_NOT_FOUND : WSB_REFUSED_RIGHT;

        return cn->call->status == NGX_HTTP_UNAUTHORIZED
                   ? NGX_HTTP_UNAUTHORIZED : NGX_HTTP_FORBIDDEN;
    }

    cn->refused = cn->call->end == NGX_HTTP_WS_BUS_CALL_TIMEOUT
                      ? WSB_REFUSED_TIMEOUT : WSB_REFUSED_FAILED;

    cn->call->log.action = "asking a hook";

    ngx_log_error(NGX_LOG_ERR, &cn->call->log, 0,
                  "the hook \"before_connect\" failed: %s", why);

    return cn->hook->open ? NGX_OK : NGX_HTTP_SERVICE_UNAVAILABLE;
}


/* Metadata alone: there is nothing else to be changed yet. */

static ngx_int_t
ngx_http_ws_bus_connect_take(ngx_http_ws_bus_connect_t *cn,
    wsb_hook_answer_t *answer, const char **why)
{
    wsb_str_t   old;
    wsb_text_t  text;

    if (answer->metadata.text.data == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&text, sizeof(wsb_text_t));

    old.data = cn->metadata.data;
    old.len = cn->metadata.len;

    *why = "no memory";

    if (wsb_hook_merge(&text, old, &answer->metadata, why) != WSB_OK) {
        wsb_text_done(&text);
        return NGX_ERROR;
    }

    wsb_text_done(&cn->metadata);
    cn->metadata = text;

    return NGX_OK;
}


/* The request ends, perhaps before its hooks do. */

static void
ngx_http_ws_bus_connect_cleanup(void *data)
{
    ngx_http_ws_bus_connect_t  *cn = data;

    if (cn->call != NULL) {
        cn->call->done = NULL;
        ngx_http_ws_bus_call_counters(cn->bus->worker)->calls_running--;
        ngx_http_ws_bus_call_cancel(cn->call);
        cn->call = NULL;
    }

    if (cn->caller != NULL) {
        ngx_http_ws_bus_caller_free(cn->caller);
        cn->caller = NULL;
    }

    wsb_text_done(&cn->metadata);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The publish location: a body of events, appended as one batch.
 */

#include "ngx_http_ws_bus_publish.h"


#define NGX_HTTP_WS_BUS_PARK_TIME  100    /* ms, a publisher at most */


/* A request that waits, in its pool. */

typedef struct {
    ngx_http_ws_bus_paused_t     paused;
    ngx_http_request_t          *request;
    ngx_event_t                  event;
} ngx_http_ws_bus_parked_t;


/* A request whose batch is submitted, in its pool. */

typedef struct {
    ngx_http_ws_bus_done_t       done;
    ngx_http_request_t          *request;
    wsb_batch_t                  batch;
} ngx_http_ws_bus_publish_t;


static ngx_int_t ngx_http_ws_bus_publish_cors(ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_publish_encoding(ngx_http_request_t *r);
static void ngx_http_ws_bus_publish_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_publish_park(ngx_http_request_t *r,
    ngx_http_ws_bus_worker_t *w);
static void ngx_http_ws_bus_publish_resume(ngx_http_ws_bus_paused_t *paused);
static void ngx_http_ws_bus_publish_parked_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_publish_parked_cleanup(void *data);
static void ngx_http_ws_bus_publish_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_publish_inflate(ngx_http_request_t *r,
    wsb_str_t *body, uint8_t **plain);
static ngx_int_t ngx_http_ws_bus_publish_tenant(ngx_http_request_t *r,
    wsb_str_t *tenant);
static ngx_int_t ngx_http_ws_bus_publish_body(ngx_http_request_t *r,
    wsb_str_t body);
static ngx_int_t ngx_http_ws_bus_publish_dropped(ngx_http_request_t *r,
    const wsb_ignored_t *ignored);
static ngx_int_t ngx_http_ws_bus_publish_key(ngx_http_request_t *r,
    ngx_str_t *key);
static void ngx_http_ws_bus_publish_done(ngx_http_ws_bus_done_t *done,
    wsb_rc_t rc, const wsb_appended_t *appended);
static ngx_int_t ngx_http_ws_bus_publish_accepted(ngx_http_request_t *r,
    const wsb_appended_t *appended, const wsb_ignored_t *ignored);
static ngx_int_t ngx_http_ws_bus_publish_answered(ngx_http_request_t *r,
    const char *title, const char *detail);
static ngx_int_t ngx_http_ws_bus_publish_problem(ngx_http_request_t *r,
    ngx_uint_t status, const char *title, const char *detail, long index);


ngx_int_t
ngx_http_ws_bus_publish_handler(ngx_http_request_t *r)
{
    ngx_int_t                           rc;
    wsb_format_t                        format;
    ngx_http_ws_bus_source_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_source_module);

    ngx_http_ws_bus_turn();

    if (!slcf->publish_any && !ngx_http_ws_bus_http_local(r)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "ws bus publish refused: the peer is not on loopback");
        rc = ngx_http_discard_request_body(r);

        return rc == NGX_OK
               ? ngx_http_ws_bus_publish_problem(r, NGX_HTTP_FORBIDDEN,
                                              "Forbidden",
                                              "Only loopback may publish here",
                                              -1)
               : rc;
    }

    if (slcf->publish_any) {
        rc = ngx_http_ws_bus_publish_cors(r);

        if (rc != NGX_OK) {
            /* NGX_DECLINED: it has been answered */
            return rc == NGX_DECLINED ? NGX_OK : rc;
        }
    }

    if (r->method != NGX_HTTP_POST) {

        if (ngx_http_ws_bus_http_add_header(r, "Allow", "POST") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        rc = ngx_http_discard_request_body(r);

        return rc == NGX_OK
               ? ngx_http_ws_bus_publish_problem(r, NGX_HTTP_NOT_ALLOWED,
                                            "Method not allowed",
                                            "Events are published by POST", -1)
               : rc;
    }

    if (ngx_http_ws_bus_publish_body_encoding(r) == NGX_HTTP_WS_BUS_OTHER) {
        return ngx_http_ws_bus_publish_encoding(r);
    }

    if (ngx_http_ws_bus_publish_body_format(r, &format) != NGX_OK) {
        rc = ngx_http_discard_request_body(r);

        return rc == NGX_OK
               ? ngx_http_ws_bus_publish_problem(r,
                                               NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                               "Unsupported media type",
                                               "Send application/json, "
                                               "application/x-ndjson or "
                                               "application/cloudevents+json",
                                               -1)
               : rc;
    }

    /* one piece of memory, if it fits in client_body_buffer_size */
    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r,
                                         ngx_http_ws_bus_publish_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/*
 * A page may publish where ws_bus_origin lets it in, and then from nowhere
 * else; a backend has no Origin.
 */

static ngx_int_t
ngx_http_ws_bus_publish_cors(ngx_http_request_t *r)
{
    ngx_int_t                           rc;
    ngx_str_t                          *origin;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    static const ngx_str_t  name = ngx_string("Origin");

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    origin = ngx_http_ws_bus_http_find_header(&r->headers_in.headers, &name);

    if (ccf->origins == NULL || origin == NULL) {
        return NGX_OK;
    }

    rc = ngx_http_ws_bus_origin_check(r, origin, 1);

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_cors(r, origin, 1, "Retry-After");
    }

    if (rc == NGX_OK && ngx_http_ws_bus_http_preflight(r)) {
        rc = ngx_http_ws_bus_cors_preflight(r, "POST",
                                            "Authorization, Content-Type, "
                                            "Idempotency-Key");
    }

    return rc;
}


static ngx_int_t
ngx_http_ws_bus_publish_encoding(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    if (ngx_http_ws_bus_http_add_header(r, "Accept-Encoding",
                                        "gzip") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_discard_request_body(r);

    return rc == NGX_OK
           ? ngx_http_ws_bus_publish_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                         "Unsupported content encoding",
                                         "Send the body as it is, or with one "
                                         "Content-Encoding: gzip", -1)
           : rc;
}


static void
ngx_http_ws_bus_publish_body_handler(ngx_http_request_t *r)
{
    ngx_http_ws_bus_source_loc_conf_t  *slcf;

    ngx_http_ws_bus_turn();

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_source_module);

    if (ngx_http_ws_bus_append_busy(slcf->publish)
        && ngx_http_ws_bus_publish_park(r, slcf->publish->worker) == NGX_OK)
    {
        return;
    }

    ngx_http_ws_bus_publish_request(r);
}


/*
 * Publishers that wait for their answers must not outrun delivery: else the
 * lag grows until it is a gap for everybody.  The wait is bounded, so that
 * one slow worker does not stop publishing.
 */

static ngx_int_t
ngx_http_ws_bus_publish_park(ngx_http_request_t *r, ngx_http_ws_bus_worker_t *w)
{
    ngx_http_cleanup_t        *cln;
    ngx_http_ws_bus_parked_t  *parked;

    parked = ngx_pcalloc(r->pool, sizeof(ngx_http_ws_bus_parked_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (parked == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_ws_bus_publish_parked_cleanup;
    cln->data = parked;

    parked->request = r;
    parked->paused.resume = ngx_http_ws_bus_publish_resume;
    parked->event.handler = ngx_http_ws_bus_publish_parked_handler;
    parked->event.log = r->connection->log;
    parked->event.data = parked;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ws bus publish waits for delivery zone:\"%V\"",
                   &w->bus->name);

    ngx_http_ws_bus_worker_pause(w, &parked->paused);
    ngx_add_timer(&parked->event, NGX_HTTP_WS_BUS_PARK_TIME);

    return NGX_OK;
}


static void
ngx_http_ws_bus_publish_resume(ngx_http_ws_bus_paused_t *paused)
{
    ngx_event_t               *ev;
    ngx_http_ws_bus_parked_t  *parked;

    parked = (ngx_http_ws_bus_parked_t *) paused;

    ev = &parked->event;
    ngx_post_event(ev, &ngx_posted_next_events);
}


/* Delivery has caught up, or the wait is over. */

static void
ngx_http_ws_bus_publish_parked_handler(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_ws_bus_parked_t  *parked;

    parked = ev->data;
    r = parked->request;
    c = r->connection;

    ngx_http_ws_bus_publish_parked_cleanup(parked);

    ngx_http_ws_bus_turn();

    ngx_http_ws_bus_publish_request(r);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_ws_bus_publish_parked_cleanup(void *data)
{
    ngx_http_ws_bus_parked_t  *parked = data;

    ngx_http_ws_bus_worker_unpause(&parked->paused);

    if (parked->event.timer_set) {
        ngx_del_timer(&parked->event);
    }

    if (parked->event.posted) {
        ngx_delete_posted_event(&parked->event);
    }
}


static void
ngx_http_ws_bus_publish_request(ngx_http_request_t *r)
{
    uint8_t    *plain;
    ngx_int_t   rc;
    wsb_str_t   body;

    plain = NULL;

    rc = ngx_http_ws_bus_http_read_body(r, NGX_MAX_SIZE_T_VALUE, &body);

    if (rc == NGX_OK
        && ngx_http_ws_bus_publish_body_encoding(r) == NGX_HTTP_WS_BUS_GZIP)
    {
        rc = ngx_http_ws_bus_publish_inflate(r, &body, &plain);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_publish_body(r, body);
    }

    wsb_free(plain);

    if (rc == NGX_AGAIN) {
        /* submitted: the request ends with that, and may be gone by now */
        return;
    }

    ngx_http_finalize_request(r, rc == NGX_DONE ? NGX_OK : rc);
}


/* NGX_DONE: it has been refused. */

static ngx_int_t
ngx_http_ws_bus_publish_inflate(ngx_http_request_t *r, wsb_str_t *body,
    uint8_t **plain)
{
    ngx_int_t                           rc;
    ngx_http_ws_bus_source_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_source_module);

    rc = ngx_http_ws_bus_publish_body_inflate(r, body,
                              2 * wsb_log_max_batch(&slcf->publish->zone->log),
                              plain);

    switch (rc) {

    case NGX_DECLINED:
        rc = ngx_http_ws_bus_publish_problem(r,
                                     NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                     "Too large", "The decoded body is larger "
                                     "than client_max_body_size, or than the "
                                     "history", -1);
        break;

    case NGX_HTTP_BAD_REQUEST:
        rc = ngx_http_ws_bus_publish_problem(r, NGX_HTTP_BAD_REQUEST,
                                     "Malformed gzip", "Content-Encoding says "
                                     "gzip, but the body is none, or is cut "
                                     "off", -1);
        break;

    default:
        return rc;
    }

    return rc == NGX_OK ? NGX_DONE : rc;
}


/* NGX_AGAIN: it has been submitted. */

static ngx_int_t
ngx_http_ws_bus_publish_body(ngx_http_request_t *r, wsb_str_t body)
{
    wsb_rc_t                            rc;
    wsb_str_t                           idem;
    wsb_text_t                          text;
    ngx_int_t                           err;
    ngx_str_t                           key;
    wsb_zone_t                         *zone;
    wsb_format_t                        format;
    wsb_problem_t                       problem;
    wsb_idem_request_t                  req;
    wsb_publish_conf_t                  conf;
    ngx_http_ws_bus_publish_t          *pub;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;
    ngx_http_ws_bus_source_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_source_module);
    zone = slcf->publish->zone;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    ngx_memzero(&conf, sizeof(wsb_publish_conf_t));

    wsb_zone_batch(zone, &conf.batch);
    conf.bare = ccf->codec->bare;
    conf.topic = ccf->codec->topic;

    if (ccf->codec->targeted) {
        conf.target = ngx_http_ws_bus_publish_body_target(r);

        if (conf.target == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    err = ngx_http_ws_bus_publish_tenant(r, &conf.tenant);

    if (err == NGX_OK) {
        err = ngx_http_ws_bus_publish_key(r, &key);
    }

    if (err != NGX_OK) {
        return err == NGX_DONE ? NGX_OK : err;
    }

    pub = ngx_pcalloc(r->pool, sizeof(ngx_http_ws_bus_publish_t));
    if (pub == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    pub->done.handler = ngx_http_ws_bus_publish_done;
    pub->request = r;

    (void) ngx_http_ws_bus_publish_body_format(r, &format);

    ngx_memzero(&text, sizeof(wsb_text_t));

    if (format == WSB_FORMAT_JSON) {
        err = ngx_http_ws_bus_publish_body_cloud(r, body, &text);

        if (err == NGX_ERROR) {
            wsb_text_done(&text);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (err == NGX_OK) {
            format = WSB_FORMAT_CLOUDEVENTS;
            body.data = text.data;
            body.len = text.len;
        }
    }

    rc = wsb_publish_parse(&pub->batch, format, body, &conf, &problem);

    if (rc == WSB_OK && key.len != 0) {
        idem.data = key.data;
        idem.len = key.len;

        wsb_idem_request(&req, zone->key, conf.tenant, idem, body);
    }

    wsb_text_done(&text);

    if (rc != WSB_OK) {
        return ngx_http_ws_bus_publish_problem(r, problem.status, problem.title,
                                               problem.detail, problem.index);
    }

    if (pub->batch.nentries == 0) {
        err = ngx_http_ws_bus_publish_dropped(r, pub->batch.ignored);
        wsb_batch_done(&pub->batch);
        return err;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ws bus publish bytes:%uz events:%uz key:%ui", body.len,
                   pub->batch.nentries, (ngx_uint_t) (key.len != 0));

    ngx_http_ws_bus_append_submit(slcf->publish, &pub->batch,
                                  key.len != 0 ? &req : NULL, NULL,
                                  &pub->done);
    return NGX_AGAIN;
}


/* All of it was of actions that nobody hears of. */

static ngx_int_t
ngx_http_ws_bus_publish_dropped(ngx_http_request_t *r,
    const wsb_ignored_t *ignored)
{
    u_char      *p;
    size_t       len;
    wsb_text_t   text;

    ngx_memzero(&text, sizeof(wsb_text_t));

    wsb_text_lit(&text, "{\"published\":0,\"subscribers\":0");
    wsb_ignored_text(&text, ignored);
    wsb_text_lit(&text, "}");

    len = text.len;
    p = text.failed ? NULL : ngx_pnalloc(r->pool, len);

    if (p != NULL) {
        ngx_memcpy(p, text.data, len);
    }

    wsb_text_done(&text);

    return p ? ngx_http_ws_bus_http_send_body(r, NGX_HTTP_OK,
                                              "application/json", p, len)
             : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* The Idempotency-Key; empty: there is none. */

static ngx_int_t
ngx_http_ws_bus_publish_key(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_str_null(key);
    n = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_ws_bus_http_header_is(&h[i], "Idempotency-Key")) {
                *key = h[i].value;
                n++;
            }
        }
    }

    if (n > 1 || (n == 1 && (key->len == 0 || key->len > WSB_IDEM_KEY_MAX))) {
        return ngx_http_ws_bus_publish_answered(r, "Bad Idempotency-Key",
                                            "Send one Idempotency-Key of 1 to "
                                            "256 bytes");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_publish_tenant(ngx_http_request_t *r, wsb_str_t *tenant)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_http_ws_bus_tenant_of(r, &value);

    if (rc == NGX_HTTP_BAD_REQUEST) {
        return ngx_http_ws_bus_publish_answered(r, "No tenant",
                                              "The tenant of this location is "
                                              "empty, too long or not UTF-8");
    }

    tenant->data = value.data;
    tenant->len = value.len;

    return rc;
}


static void
ngx_http_ws_bus_publish_done(ngx_http_ws_bus_done_t *done, wsb_rc_t rc,
    const wsb_appended_t *appended)
{
    ngx_int_t                   err;
    ngx_http_request_t         *r;
    ngx_http_ws_bus_publish_t  *pub;

    pub = (ngx_http_ws_bus_publish_t *) done;
    r = pub->request;

    switch (rc) {

    case WSB_OK:
    case WSB_DONE:
        err = ngx_http_ws_bus_publish_accepted(r, appended,
                                               pub->batch.ignored);
        break;

    case WSB_CONFLICT:
        err = ngx_http_ws_bus_publish_problem(r, 422, "Idempotency-Key reused",
                                          "This Idempotency-Key was used with "
                                          "another body", -1);
        break;

    default:
        err = NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    wsb_batch_done(&pub->batch);

    ngx_http_finalize_request(r, err);
}


static ngx_int_t
ngx_http_ws_bus_publish_accepted(ngx_http_request_t *r,
    const wsb_appended_t *appended, const wsb_ignored_t *ignored)
{
    u_char                             *p, *start;
    uint64_t                            epoch;
    wsb_text_t                          text;
    ngx_http_ws_bus_source_loc_conf_t  *slcf;

    static const char  published[] = "{\"published\":";
    static const char  first_id[] = ",\"first_id\":\"";
    static const char  last_id[] = "\",\"last_id\":\"";
    static const char  subscribers[] = "\",\"subscribers\":";

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_source_module);
    epoch = slcf->publish->zone->epoch;

    ngx_memzero(&text, sizeof(wsb_text_t));

    wsb_ignored_text(&text, ignored);

    start = ngx_pnalloc(r->pool, 128 + 2 * WSB_ID_LEN + 2 * NGX_INT64_LEN
                                 + text.len);

    if (start == NULL) {
        wsb_text_done(&text);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* ngx_sprintf() would take longer than the append */

    p = ngx_cpymem(start, published, sizeof(published) - 1);
    p += wsb_text_digits(p, appended->last - appended->first + 1);
    p = ngx_cpymem(p, first_id, sizeof(first_id) - 1);
    p += wsb_id(p, epoch, appended->first);
    p = ngx_cpymem(p, last_id, sizeof(last_id) - 1);
    p += wsb_id(p, epoch, appended->last);
    p = ngx_cpymem(p, subscribers, sizeof(subscribers) - 1);
    p += wsb_text_digits(p, appended->subscribers);

    if (text.len != 0) {
        p = ngx_cpymem(p, text.data, text.len);
    }

    *p++ = '}';

    wsb_text_done(&text);

    return ngx_http_ws_bus_http_send_body(r, NGX_HTTP_OK, "application/json",
                                          start, p - start);
}


/* A 400, by which the request is done: NGX_DONE if it could be sent. */

static ngx_int_t
ngx_http_ws_bus_publish_answered(ngx_http_request_t *r, const char *title,
    const char *detail)
{
    ngx_int_t  rc;

    rc = ngx_http_ws_bus_publish_problem(r, NGX_HTTP_BAD_REQUEST, title,
                                         detail, -1);

    return rc == NGX_OK ? NGX_DONE : rc;
}


static ngx_int_t
ngx_http_ws_bus_publish_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *title, const char *detail, long index)
{
    ngx_http_ws_bus_source_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_source_module);

    if (slcf->publish->worker != NULL) {
        ngx_http_ws_bus_source_counters(slcf->publish->worker)
            ->refused_publishes++;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "ws bus publish refused with %ui: %s", status, detail);

    return ngx_http_ws_bus_http_send_problem(r, status, title, detail, index);
}

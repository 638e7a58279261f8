/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Tells hooks of connections: what is due goes out as one array, one call at a
 * time, and again until it is answered.  What a worker has left that is gone,
 * another tells.
 */

#include "ngx_http_ws_bus_notice.h"

#include "../../event/wsb_timestamp.h"


#define NGX_HTTP_WS_BUS_TELLER_BATCH   500
#define NGX_HTTP_WS_BUS_TELLER_BYTES   (256 * 1024)
#define NGX_HTTP_WS_BUS_TELLER_WAIT    20     /* ms, for more to come */
#define NGX_HTTP_WS_BUS_TELLER_PAUSE   500    /* ms, the first */
#define NGX_HTTP_WS_BUS_TELLER_LONGEST 60000
#define NGX_HTTP_WS_BUS_TELLER_ANSWER  65536  /* bytes, of no interest */


/* malloc'd, of a teller */

typedef struct {
    ngx_queue_t                  queue;
    wsb_notice_t                 notice;
    uint64_t                     due;
} ngx_http_ws_bus_teller_item_t;


static void ngx_http_ws_bus_teller_found(void *data,
    const wsb_notice_t *notice, uint64_t hook, uint64_t due);
static void ngx_http_ws_bus_teller_tick(ngx_event_t *ev);
static void ngx_http_ws_bus_teller_arm(ngx_http_ws_bus_teller_t *teller,
    ngx_msec_t wait);
static void ngx_http_ws_bus_teller_handler(ngx_event_t *ev);
static ngx_uint_t ngx_http_ws_bus_teller_gather(
    ngx_http_ws_bus_teller_t *teller, wsb_text_t *text, uint64_t *next);
static ngx_int_t ngx_http_ws_bus_teller_gather_one(
    ngx_http_ws_bus_teller_item_t *item, wsb_text_t *text);
static ngx_int_t ngx_http_ws_bus_teller_call(
    ngx_http_ws_bus_teller_t *teller, wsb_text_t *text);
static ngx_int_t ngx_http_ws_bus_teller_caller(
    ngx_http_ws_bus_teller_t *teller);
static void ngx_http_ws_bus_teller_done(ngx_http_ws_bus_call_t *call);
static const char *ngx_http_ws_bus_teller_failed(
    ngx_http_ws_bus_call_t *call, u_char buf[32]);
static void ngx_http_ws_bus_teller_told(ngx_http_ws_bus_teller_t *teller,
    ngx_uint_t told);
static ngx_http_ws_bus_call_counters_t *ngx_http_ws_bus_teller_counters(
    ngx_http_ws_bus_teller_t *teller);
static void ngx_http_ws_bus_teller_count(ngx_http_ws_bus_teller_t *teller,
    ngx_int_t n);


ngx_http_ws_bus_notice_memory_t  ngx_http_ws_bus_notice_memory;

static ngx_event_t       ngx_http_ws_bus_teller_timer;
static ngx_connection_t  ngx_http_ws_bus_teller_dumb;
static ngx_uint_t        ngx_http_ws_bus_teller_unknown;


ngx_int_t
ngx_http_ws_bus_teller_init_process(ngx_cycle_t *cycle)
{
    wsb_rc_t                           rc;
    ngx_uint_t                         i;
    ngx_event_t                       *ev;
    ngx_http_ws_bus_teller_t         **teller;
    ngx_http_ws_bus_notice_memory_t   *m;
    ngx_http_ws_bus_call_main_conf_t  *kmcf;

    m = &ngx_http_ws_bus_notice_memory;

    kmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_ws_bus_call_module);

    if (kmcf == NULL || kmcf->shm_zone == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    m->shpool = (ngx_slab_pool_t *) kmcf->shm_zone->shm.addr;

    ngx_shmtx_lock(&m->shpool->mutex);
    rc = wsb_notice_join_locked(m->shpool->data, (uint32_t) ngx_pid);
    ngx_shmtx_unlock(&m->shpool->mutex);

    if (rc != WSB_OK) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "too many workers: this one tells hooks of no "
                      "connection");
        return NGX_OK;
    }

    m->table = m->shpool->data;

    teller = kmcf->tellers.elts;

    for (i = 0; i < kmcf->tellers.nelts; i++) {
        ngx_queue_init(&teller[i]->waiting);
        ngx_queue_init(&teller[i]->sent);

        teller[i]->event.handler = ngx_http_ws_bus_teller_handler;
        teller[i]->event.data = teller[i];
        teller[i]->event.log = cycle->log;
    }

    ngx_http_ws_bus_teller_dumb.fd = (ngx_socket_t) -1;

    ev = &ngx_http_ws_bus_teller_timer;

    ev->handler = ngx_http_ws_bus_teller_tick;
    ev->data = &ngx_http_ws_bus_teller_dumb;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_WS_BUS_NOTICE_TICK);

    return NGX_OK;
}


/* Whoever sees it first tells what the dead have left. */

static void
ngx_http_ws_bus_teller_tick(ngx_event_t *ev)
{
    ngx_time_t                       *tp;
    ngx_uint_t                        n;
    ngx_http_ws_bus_notice_memory_t  *m;

    ngx_http_ws_bus_turn();

    if (ngx_exiting) {
        return;
    }

    ngx_add_timer(ev, NGX_HTTP_WS_BUS_NOTICE_TICK);

    m = &ngx_http_ws_bus_notice_memory;

    if (!wsb_notice_orphaned(m->table, ngx_http_ws_bus_worker_gone)) {
        return;
    }

    tp = ngx_timeofday();
    n = 0;
    ngx_http_ws_bus_teller_unknown = 0;

    ngx_shmtx_lock(&m->shpool->mutex);

    (void) wsb_notice_sweep_locked(m->table, (uint32_t) ngx_pid,
                                   ngx_current_msec,
                                   (uint64_t) tp->sec * 1000 + tp->msec,
                                   ngx_http_ws_bus_worker_gone,
                                   ngx_http_ws_bus_teller_found, &n);

    ngx_shmtx_unlock(&m->shpool->mutex);

    if (n != 0) {
        ngx_log_error(NGX_LOG_NOTICE, ev->log, 0,
                      "this worker tells hooks of %ui connections of workers "
                      "that are gone", n);
    }

    if (ngx_http_ws_bus_teller_unknown != 0) {
        ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                      "hooks that are not configured any more are not told of "
                      "%ui connections", ngx_http_ws_bus_teller_unknown);
    }
}


/* With the mutex held. */

static void
ngx_http_ws_bus_teller_found(void *data, const wsb_notice_t *notice,
    uint64_t hook, uint64_t due)
{
    ngx_uint_t                         i, *n = data;
    ngx_http_ws_bus_teller_t         **teller;
    ngx_http_ws_bus_call_main_conf_t  *kmcf;

    kmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_ws_bus_call_module);
    teller = kmcf->tellers.elts;

    for (i = 0; i < kmcf->tellers.nelts; i++) {

        if (teller[i]->hash == hook) {
            (*n)++;
            ngx_http_ws_bus_teller_add(teller[i], notice, due);
            return;
        }
    }

    ngx_http_ws_bus_teller_unknown++;

    wsb_notice_drop_locked(ngx_http_ws_bus_notice_memory.table, notice,
                           (uint32_t) ngx_pid);
}


void
ngx_http_ws_bus_teller_add(ngx_http_ws_bus_teller_t *teller,
    const wsb_notice_t *notice, uint64_t due)
{
    ngx_http_ws_bus_teller_item_t  *item;

    item = ngx_alloc(sizeof(ngx_http_ws_bus_teller_item_t), ngx_cycle->log);

    if (item == NULL) {
        /* when this process ends, another one tells it */
        return;
    }

    item->notice = *notice;
    item->due = due;

    ngx_queue_insert_tail(&teller->waiting, &item->queue);
    ngx_http_ws_bus_teller_count(teller, 1);

    ngx_http_ws_bus_teller_arm(teller, due > ngx_current_msec
                                           ? (ngx_msec_t)
                                             (due - ngx_current_msec)
                                           : 0);
}


/* NULL: this process has no slot in the zone, or none yet. */

static ngx_http_ws_bus_call_counters_t *
ngx_http_ws_bus_teller_counters(ngx_http_ws_bus_teller_t *teller)
{
    ngx_http_ws_bus_worker_t  *w;

    w = teller->bus->worker;

    return w != NULL && w->counters != NULL ? ngx_http_ws_bus_call_counters(w)
                                            : NULL;
}


static void
ngx_http_ws_bus_teller_count(ngx_http_ws_bus_teller_t *teller, ngx_int_t n)
{
    ngx_http_ws_bus_call_counters_t  *counters;

    counters = ngx_http_ws_bus_teller_counters(teller);

    if (counters != NULL) {
        counters->notices_waiting += n;
    }
}


/* It looks at what is due after `wait`, or earlier. */

static void
ngx_http_ws_bus_teller_arm(ngx_http_ws_bus_teller_t *teller, ngx_msec_t wait)
{
    ngx_event_t  *ev;

    ev = &teller->event;

    if (teller->call != NULL || (teller->pause != 0 && ev->timer_set)) {
        return;
    }

    wait = ngx_max(wait, NGX_HTTP_WS_BUS_TELLER_WAIT);

    if (ev->timer_set) {

        if ((ngx_msec_int_t) (ev->timer.key - ngx_current_msec - wait) <= 0) {
            return;
        }

        ngx_del_timer(ev);
    }

    /* when nginx stops, it is told before; else another worker tells it */

    ev->cancelable = !ngx_exiting || ngx_http_ws_bus_worker_succeeded()
                     || teller->pause != 0;

    ngx_add_timer(ev, wait);
}


static void
ngx_http_ws_bus_teller_handler(ngx_event_t *ev)
{
    uint64_t                   next;
    ngx_int_t                  rc;
    ngx_uint_t                 n;
    wsb_text_t                 text;
    ngx_http_ws_bus_teller_t  *teller;

    teller = ev->data;

    ngx_http_ws_bus_turn();

    ngx_memzero(&text, sizeof(wsb_text_t));

    n = ngx_http_ws_bus_teller_gather(teller, &text, &next);

    rc = n ? ngx_http_ws_bus_teller_call(teller, &text) : NGX_OK;

    wsb_text_done(&text);

    if (rc != NGX_OK) {
        ngx_http_ws_bus_teller_told(teller, 0);

        teller->pause = NGX_HTTP_WS_BUS_TELLER_PAUSE;
        ngx_http_ws_bus_teller_arm(teller, teller->pause);
        return;
    }

    if (n == 0 && next != UINT64_MAX) {
        ngx_http_ws_bus_teller_arm(teller,
                                   (ngx_msec_t) (next - ngx_current_msec));
    }
}


/*
 * What is due is sent, as much as one call takes.  Returns how many; *next:
 * when the next one of the others is due, in case none is now.
 */

static ngx_uint_t
ngx_http_ws_bus_teller_gather(ngx_http_ws_bus_teller_t *teller,
    wsb_text_t *text, uint64_t *next)
{
    ngx_int_t                         rc;
    ngx_uint_t                        n;
    ngx_queue_t                      *q;
    ngx_http_ws_bus_teller_item_t    *item;
    ngx_http_ws_bus_notice_memory_t  *m;

    m = &ngx_http_ws_bus_notice_memory;

    n = 0;
    *next = UINT64_MAX;

    ngx_shmtx_lock(&m->shpool->mutex);

    for (q = ngx_queue_head(&teller->waiting);
         q != ngx_queue_sentinel(&teller->waiting)
         && n < NGX_HTTP_WS_BUS_TELLER_BATCH
         && text->len < NGX_HTTP_WS_BUS_TELLER_BYTES;
         /* void */)
    {
        item = ngx_queue_data(q, ngx_http_ws_bus_teller_item_t, queue);
        q = ngx_queue_next(q);

        if (item->due > ngx_current_msec) {
            *next = ngx_min(*next, item->due);
            continue;
        }

        rc = ngx_http_ws_bus_teller_gather_one(item, text);

        if (rc == NGX_ERROR) {
            break;
        }

        ngx_queue_remove(&item->queue);

        if (rc == NGX_DECLINED) {
            ngx_free(item);
            ngx_http_ws_bus_teller_count(teller, -1);
            continue;
        }

        ngx_queue_insert_tail(&teller->sent, &item->queue);
        n++;
    }

    ngx_shmtx_unlock(&m->shpool->mutex);

    wsb_text_lit(text, "]");

    return n;
}


/* NGX_DECLINED: there is nothing to be told.  With the mutex held. */

static ngx_int_t
ngx_http_ws_bus_teller_gather_one(ngx_http_ws_bus_teller_item_t *item,
    wsb_text_t *text)
{
    uint8_t   time[64];
    size_t    len;
    uint64_t  at;
    wsb_rc_t  rc;

    len = text->len;

    if (len == 0) {
        wsb_text_lit(text, "[");

    } else {
        wsb_text_lit(text, ",");
    }

    rc = wsb_notice_send_locked(ngx_http_ws_bus_notice_memory.table,
                                &item->notice, (uint32_t) ngx_pid, text, &at);

    if (rc != WSB_OK) {
        text->len = len;
        return rc == WSB_NOTFOUND ? NGX_DECLINED : NGX_ERROR;
    }

    /* into the object, in place of its brace */

    text->len--;

    wsb_text_lit(text, ",\"time\":\"");
    wsb_text_add(text, time, wsb_timestamp(at, time));
    wsb_text_lit(text, "\"}");

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_teller_call(ngx_http_ws_bus_teller_t *teller,
    wsb_text_t *text)
{
    u_char                            id[NGX_HTTP_WS_BUS_HOOK_ID];
    wsb_str_t                         name;
    ngx_http_ws_bus_call_t           *call;
    ngx_http_ws_bus_call_counters_t  *counters;

    if (text->failed || ngx_http_ws_bus_teller_counters(teller) == NULL
        || ngx_http_ws_bus_teller_caller(teller) != NGX_OK)
    {
        return NGX_ERROR;
    }

    call = ngx_http_ws_bus_call_create(teller->caller, ngx_cycle->log);
    if (call == NULL) {
        return NGX_ERROR;
    }

    name.data = id;
    name.len = ngx_sprintf(id, "%P-%ui", ngx_pid, ++teller->ncalls) - id;

    call->body.data = ngx_pnalloc(call->pool, text->len);

    if (call->body.data == NULL
        || ngx_http_ws_bus_hook_told_request(call, teller->hook, teller->conf,
                                             name)
           != NGX_OK)
    {
        ngx_http_ws_bus_call_destroy(call);
        return NGX_ERROR;
    }

    ngx_memcpy(call->body.data, text->data, text->len);
    call->body.len = text->len;

    call->max_body = NGX_HTTP_WS_BUS_TELLER_ANSWER;
    call->done = ngx_http_ws_bus_teller_done;
    call->data = teller;

    teller->call = call;

    counters = ngx_http_ws_bus_teller_counters(teller);
    counters->calls++;
    counters->calls_running++;

    ngx_http_ws_bus_call_start(call);

    return NGX_OK;
}


/*
 * The call is nobody's in particular: it comes from nginx itself.  Its server
 * is that of the hook, its listening socket any of http.
 */

static ngx_int_t
ngx_http_ws_bus_teller_caller(ngx_http_ws_bus_teller_t *teller)
{
    ngx_uint_t                 i;
    ngx_listening_t           *ls;
    ngx_http_port_t           *port;
    struct sockaddr_in        *sin;
    ngx_http_addr_conf_t      *addr;
    ngx_http_ws_bus_caller_t  *caller;
    ngx_http_core_srv_conf_t  *cscf;

    if (teller->caller != NULL) {
        return NGX_OK;
    }

    ls = ngx_cycle->listening.elts;

    for (i = 0; i < ngx_cycle->listening.nelts; i++) {
        if (ls[i].handler == ngx_http_init_connection) {
            break;
        }
    }

    if (i == ngx_cycle->listening.nelts) {
        return NGX_ERROR;
    }

    caller = ngx_calloc(sizeof(ngx_http_ws_bus_caller_t), ngx_cycle->log);
    if (caller == NULL) {
        return NGX_ERROR;
    }

    port = ls[i].servers;

#if (NGX_HAVE_INET6)
    addr = ls[i].sockaddr->sa_family == AF_INET6
               ? &((ngx_http_in6_addr_t *) port->addrs)[0].conf
               : &((ngx_http_in_addr_t *) port->addrs)[0].conf;
#else
    addr = &((ngx_http_in_addr_t *) port->addrs)[0].conf;
#endif

    cscf = teller->srv_conf[ngx_http_core_module.ctx_index];

    caller->main_conf = cscf->ctx->main_conf;
    caller->srv_conf = teller->srv_conf;
    caller->loc_conf = teller->loc_conf;
    caller->http_connection.addr_conf = addr;
    caller->http_connection.conf_ctx = cscf->ctx;
    caller->listening = &ls[i];
    caller->host = cscf->server_name;

    sin = (struct sockaddr_in *) &caller->sockaddr;
    sin->sin_family = AF_INET;
    sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    caller->socklen = sizeof(struct sockaddr_in);
    ngx_str_set(&caller->addr_text, "127.0.0.1");

    caller->local_socklen = ngx_min(ls[i].socklen, sizeof(ngx_sockaddr_t));
    ngx_memcpy(&caller->local, ls[i].sockaddr, caller->local_socklen);

    teller->caller = caller;

    return NGX_OK;
}


static void
ngx_http_ws_bus_teller_done(ngx_http_ws_bus_call_t *call)
{
    u_char                            buf[32];
    const char                       *why;
    ngx_http_ws_bus_teller_t         *teller;
    ngx_http_ws_bus_call_counters_t  *counters;

    teller = call->data;
    teller->call = NULL;

    counters = ngx_http_ws_bus_teller_counters(teller);
    counters->calls_running--;

    why = ngx_http_ws_bus_teller_failed(call, buf);

    ngx_http_ws_bus_teller_told(teller, why == NULL);

    if (why == NULL) {
        teller->pause = 0;

    } else {
        counters->calls_timed_out +=
                              (call->end == NGX_HTTP_WS_BUS_CALL_TIMEOUT);
        counters->calls_failed +=
                              (call->end != NGX_HTTP_WS_BUS_CALL_TIMEOUT);

        teller->pause = teller->pause
                            ? ngx_min(teller->pause * 2,
                                      NGX_HTTP_WS_BUS_TELLER_LONGEST)
                            : NGX_HTTP_WS_BUS_TELLER_PAUSE;

        call->log.action = "telling a hook";

        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "the hook \"%s\" failed: %s; it is told again in %M ms",
                      ngx_http_ws_bus_hook_names[teller->hook->phase], why,
                      teller->pause);
    }

    if (!ngx_queue_empty(&teller->waiting)) {
        ngx_http_ws_bus_teller_arm(teller, teller->pause);
    }
}


/* NULL: it has been told.  What the answer says is not looked at. */

static const char *
ngx_http_ws_bus_teller_failed(ngx_http_ws_bus_call_t *call, u_char buf[32])
{
    switch (call->end) {

    case NGX_HTTP_WS_BUS_CALL_TIMEOUT:
        return "it did not answer in time";

    case NGX_HTTP_WS_BUS_CALL_ANSWERED:
    case NGX_HTTP_WS_BUS_CALL_TOO_LARGE:
        break;

    default:
        if (call->status < NGX_HTTP_SPECIAL_RESPONSE) {
            return "its answer broke off";
        }
    }

    if (call->status >= NGX_HTTP_OK
        && call->status < NGX_HTTP_SPECIAL_RESPONSE)
    {
        return NULL;
    }

    *ngx_sprintf(buf, "its status is %ui", call->status) = '\0';

    return (const char *) buf;
}


/* What was sent has been told, or waits again, in the same order. */

static void
ngx_http_ws_bus_teller_told(ngx_http_ws_bus_teller_t *teller, ngx_uint_t told)
{
    ngx_queue_t                      *q;
    ngx_http_ws_bus_teller_item_t    *item;
    ngx_http_ws_bus_call_counters_t  *counters;
    ngx_http_ws_bus_notice_memory_t  *m;

    m = &ngx_http_ws_bus_notice_memory;
    counters = ngx_http_ws_bus_teller_counters(teller);

    ngx_shmtx_lock(&m->shpool->mutex);

    while (!ngx_queue_empty(&teller->sent)) {

        q = ngx_queue_last(&teller->sent);
        ngx_queue_remove(q);

        item = ngx_queue_data(q, ngx_http_ws_bus_teller_item_t, queue);

        wsb_notice_told_locked(m->table, &item->notice, (uint32_t) ngx_pid,
                               told);

        if (!told) {
            ngx_queue_insert_head(&teller->waiting, q);
            continue;
        }

        ngx_free(item);

        ngx_http_ws_bus_teller_count(teller, -1);

        if (counters != NULL) {
            counters->notices_told++;
        }
    }

    ngx_shmtx_unlock(&m->shpool->mutex);
}

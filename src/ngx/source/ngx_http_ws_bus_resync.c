/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Mutations that nobody can tell: what was sent to a backend, and how it ended
 * is not known, or cannot be said by an event.
 *
 * A resync makes every subscriber of its tenant and type ask anew, so they are
 * collected for a moment: a client that breaks off requests all the time
 * causes one, not one each.  Until it is appended each counts as a mutation
 * under way, so that a death tells it.
 */

#include "ngx_http_ws_bus_source.h"


#define NGX_HTTP_WS_BUS_RESYNC_WAIT     500     /* ms */
#define NGX_HTTP_WS_BUS_RESYNC_TYPES    8       /* of a tenant; then all */
#define NGX_HTTP_WS_BUS_RESYNC_MAX      64      /* then all tenants */


/* Of a type, or, with len 0, of all of the tenant's; or of all tenants. */

typedef struct {
    ngx_queue_t                  queue;
    ngx_http_ws_bus_zone_t      *bus;
    ngx_uint_t                   every;
    ngx_str_t                    tenant;      /* both behind this */
    ngx_str_t                    type;
} ngx_http_ws_bus_resync_t;


static ngx_http_ws_bus_resync_t *ngx_http_ws_bus_resync_find(
    ngx_http_ws_bus_zone_t *bus, const ngx_str_t *tenant, ngx_str_t *type);
static void ngx_http_ws_bus_resync_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_resync_append(ngx_http_ws_bus_resync_t *rs);
static void ngx_http_ws_bus_resync_every(ngx_http_ws_bus_zone_t *bus);
static void ngx_http_ws_bus_resync_done(ngx_http_ws_bus_done_t *done,
    wsb_rc_t rc, const wsb_appended_t *appended);


static ngx_inline ngx_uint_t
ngx_http_ws_bus_resync_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


/* Of this process. */

static ngx_queue_t  ngx_http_ws_bus_resyncs;
static ngx_uint_t   ngx_http_ws_bus_resync_n;
static ngx_event_t  ngx_http_ws_bus_resync_event;


void
ngx_http_ws_bus_resync_init_process(ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    ngx_queue_init(&ngx_http_ws_bus_resyncs);
    ngx_http_ws_bus_resync_n = 0;

    /* not cancelable: a worker that drains waits for it */

    ev = &ngx_http_ws_bus_resync_event;
    ngx_memzero(ev, sizeof(ngx_event_t));
    ev->handler = ngx_http_ws_bus_resync_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_no_connection;
}


ngx_uint_t
ngx_http_ws_bus_resync_begin(ngx_http_ws_bus_zone_t *bus)
{
    if (bus->worker == NULL || bus->worker->slot == -1) {
        return 0;
    }

    wsb_slot_mutation_begin(bus->zone, (unsigned) bus->worker->slot);

    return 1;
}


void
ngx_http_ws_bus_resync_end(ngx_http_ws_bus_zone_t *bus)
{
    wsb_slot_mutation_end(bus->zone, (unsigned) bus->worker->slot);
}


void
ngx_http_ws_bus_resync(ngx_http_ws_bus_zone_t *bus, const ngx_str_t *tenant,
    const ngx_str_t *entity)
{
    u_char                    *p;
    ngx_str_t                  type;
    ngx_http_ws_bus_resync_t  *rs;

    type = *entity;

    if (ngx_http_ws_bus_resync_find(bus, tenant, &type) != NULL) {
        return;
    }

    rs = ngx_alloc(sizeof(ngx_http_ws_bus_resync_t) + tenant->len + type.len,
                   ngx_cycle->log);

    if (rs == NULL) {
        ngx_http_ws_bus_resync_every(bus);
        return;
    }

    p = (u_char *) (rs + 1);

    rs->bus = bus;
    rs->every = (ngx_http_ws_bus_resync_n >= NGX_HTTP_WS_BUS_RESYNC_MAX);
    rs->tenant.data = p;
    rs->tenant.len = tenant->len;
    rs->type.data = p + tenant->len;
    rs->type.len = type.len;

    if (tenant->len != 0) {
        ngx_memcpy(rs->tenant.data, tenant->data, tenant->len);
    }

    if (type.len != 0) {
        ngx_memcpy(rs->type.data, type.data, type.len);
    }

    /* a worker that exits before its time leaves it to whoever reclaims */

    if (!ngx_http_ws_bus_resync_begin(bus)) {
        ngx_http_ws_bus_resync_append(rs);
        ngx_free(rs);
        return;
    }

    ngx_queue_insert_tail(&ngx_http_ws_bus_resyncs, &rs->queue);
    ngx_http_ws_bus_resync_n++;

    if (!ngx_http_ws_bus_resync_event.timer_set) {
        ngx_add_timer(&ngx_http_ws_bus_resync_event,
                      NGX_HTTP_WS_BUS_RESYNC_WAIT);
    }
}


/* One that covers it; with too many types of a tenant, type becomes all. */

static ngx_http_ws_bus_resync_t *
ngx_http_ws_bus_resync_find(ngx_http_ws_bus_zone_t *bus,
    const ngx_str_t *tenant, ngx_str_t *type)
{
    ngx_uint_t                 n;
    ngx_queue_t               *q;
    ngx_http_ws_bus_resync_t  *rs;

    n = 0;

    for (q = ngx_queue_head(&ngx_http_ws_bus_resyncs);
         q != ngx_queue_sentinel(&ngx_http_ws_bus_resyncs);
         q = ngx_queue_next(q))
    {
        rs = ngx_queue_data(q, ngx_http_ws_bus_resync_t, queue);

        if (rs->bus == bus && rs->every) {
            return rs;
        }

        if (rs->bus != bus
            || !ngx_http_ws_bus_resync_same(&rs->tenant, tenant))
        {
            continue;
        }

        if (rs->type.len == 0
            || ngx_http_ws_bus_resync_same(&rs->type, type))
        {
            return rs;
        }

        n++;
    }

    if (n >= NGX_HTTP_WS_BUS_RESYNC_TYPES) {
        type->len = 0;
    }

    return NULL;
}


static void
ngx_http_ws_bus_resync_handler(ngx_event_t *ev)
{
    ngx_queue_t               *q;
    ngx_http_ws_bus_resync_t  *rs;

    while (!ngx_queue_empty(&ngx_http_ws_bus_resyncs)) {
        q = ngx_queue_head(&ngx_http_ws_bus_resyncs);
        ngx_queue_remove(q);

        rs = ngx_queue_data(q, ngx_http_ws_bus_resync_t, queue);

        ngx_http_ws_bus_resync_append(rs);
        ngx_http_ws_bus_resync_end(rs->bus);
        ngx_free(rs);
    }

    ngx_http_ws_bus_resync_n = 0;
}


static void
ngx_http_ws_bus_resync_append(ngx_http_ws_bus_resync_t *rs)
{
    wsb_rc_t                rc;
    wsb_batch_t             batch;
    wsb_event_t             ev;
    wsb_batch_conf_t        conf;
    ngx_http_ws_bus_done_t  done;

    static const wsb_str_t  entity = wsb_string("entity");

    if (rs->every) {
        ngx_http_ws_bus_resync_every(rs->bus);
        return;
    }

    ngx_memzero(&ev, sizeof(wsb_event_t));
    ngx_memzero(&batch, sizeof(wsb_batch_t));

    ev.flags = WSB_EVENT_RESYNC;
    ev.field[WSB_KIND] = entity;

    if (rs->tenant.len != 0) {
        ev.field[WSB_TENANT].data = rs->tenant.data;
        ev.field[WSB_TENANT].len = rs->tenant.len;
    }

    if (rs->type.len != 0) {
        ev.field[WSB_ENTITY_TYPE].data = rs->type.data;
        ev.field[WSB_ENTITY_TYPE].len = rs->type.len;
    }

    wsb_zone_batch(rs->bus->zone, &conf);

    rc = wsb_batch_add(&batch, &ev, &conf);

    if (rc == WSB_OK) {
        done.handler = ngx_http_ws_bus_resync_done;
        ngx_http_ws_bus_append_submit(rs->bus, &batch, NULL, NULL, &done);

    } else {
        ngx_http_ws_bus_resync_every(rs->bus);
    }

    wsb_batch_done(&batch);
}


/* Which they are cannot be kept. */

static void
ngx_http_ws_bus_resync_every(ngx_http_ws_bus_zone_t *bus)
{
    wsb_appended_t  appended;

    ngx_shmtx_lock(&bus->shpool->mutex);
    wsb_append_resync_locked(bus->zone, (uint64_t) ngx_time() * 1000,
                             &appended);
    ngx_shmtx_unlock(&bus->shpool->mutex);

    ngx_http_ws_bus_wake(bus, &appended);
}


/* It is small, and has no key: there is nothing that could go wrong. */

static void
ngx_http_ws_bus_resync_done(ngx_http_ws_bus_done_t *done, wsb_rc_t rc,
    const wsb_appended_t *appended)
{
    if (rc != WSB_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "ws_bus resync: not appended");
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * This process's part in each zone: its slot, and what it does now and then.
 *
 * A worker that fails at its start would not be started again by the master.
 * So each thing that is missing costs what it is needed for, and no more: a
 * worker without a zone or a slot refuses the clients of that zone, and looks
 * for a slot at each tick.
 *
 * The tick repairs what a death has left behind: a wake that was never sent,
 * and the slots of the dead, some of which have no successor that would sweep
 * them when it starts.
 */

#include "ngx_http_ws_bus_core.h"


#define NGX_HTTP_WS_BUS_SWEEP  4          /* ticks */
#define NGX_HTTP_WS_BUS_SWEPT  16         /* slots at a time */


static ngx_int_t ngx_http_ws_bus_worker_create(ngx_cycle_t *cycle,
    ngx_http_ws_bus_zone_t *bus);
static void ngx_http_ws_bus_worker_enter(ngx_http_ws_bus_worker_t *w,
    ngx_log_t *log);
static void ngx_http_ws_bus_worker_tick_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_worker_sweep(ngx_http_ws_bus_worker_t *w);


/* Counted by the master, inherited by its workers. */

static ngx_uint_t    ngx_http_ws_bus_worker_gen;

/* Of this process.  NULL: it takes part in no zone. */

static ngx_array_t  *ngx_http_ws_bus_worker_zones;

static ngx_event_t   ngx_http_ws_bus_worker_tick;
static ngx_uint_t    ngx_http_ws_bus_worker_ticks;


ngx_connection_t  ngx_http_ws_bus_no_connection = {
    .fd = (ngx_socket_t) -1
};


/* Runs in the master before it forks, also for "nginx -t". */

ngx_int_t
ngx_http_ws_bus_worker_init_module(ngx_cycle_t *cycle)
{
    ngx_http_ws_bus_worker_gen++;

    /* after a reload it is the code that runs, not the file on the disk */

    if (!ngx_test_config) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "ws_bus " NGX_HTTP_WS_BUS_VERSION);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_ws_bus_worker_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_event_t                   *ev;
    ngx_http_ws_bus_zone_t       **bus;
    ngx_http_ws_bus_main_conf_t   *wmcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        /* a cache manager takes no part */
        return NGX_OK;
    }

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ws_bus_module);

    if (wmcf == NULL || wmcf->zones.nelts == 0) {
        return NGX_OK;
    }

    ngx_http_ws_bus_worker_zones = &wmcf->zones;

    bus = wmcf->zones.elts;

    for (i = 0; i < wmcf->zones.nelts; i++) {
        if (ngx_http_ws_bus_worker_create(cycle, bus[i]) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                          "no memory for ws_bus zone \"%V\": this worker "
                          "refuses its clients", &bus[i]->name);
        }
    }

    ngx_http_ws_bus_turn_init(cycle);
    ngx_http_ws_bus_wake_listen(cycle);

    ev = &ngx_http_ws_bus_worker_tick;
    ev->handler = ngx_http_ws_bus_worker_tick_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_no_connection;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_WS_BUS_TICK);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_worker_create(ngx_cycle_t *cycle, ngx_http_ws_bus_zone_t *bus)
{
    ngx_http_ws_bus_worker_t  *w;

    w = ngx_pcalloc(cycle->pool, sizeof(ngx_http_ws_bus_worker_t));
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->bus = bus;
    w->zone = bus->zone;
    w->shpool = bus->shpool;
    w->counters = w->idle;

    /* its handler is set by the room client */

    w->event.log = cycle->log;
    w->event.data = w;

    ngx_queue_init(&w->paused);

    bus->worker = w;

    ngx_http_ws_bus_worker_enter(w, cycle->log);

    if (w->slot == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "no worker slot of ws_bus zone \"%V\" is free: %d "
                      "processes have one, or the zone is full; this worker "
                      "refuses its clients until one is free",
                      &bus->name, WSB_SLOTS);
    }

    return NGX_OK;
}


static void
ngx_http_ws_bus_worker_enter(ngx_http_ws_bus_worker_t *w, ngx_log_t *log)
{
    ngx_shmtx_lock(&w->shpool->mutex);

    w->slot = wsb_slot_enter_locked(w->zone, (uint32_t) ngx_pid,
                                    ngx_http_ws_bus_worker_gen,
                                    ngx_http_ws_bus_worker_gone, &w->hand);

    ngx_shmtx_unlock(&w->shpool->mutex);

    if (w->slot == -1) {
        return;
    }

    w->counters = wsb_zone_slot(w->zone, (unsigned) w->slot)->counters;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, log, 0,
                   "ws bus zone \"%V\": slot %i, from event %uL on",
                   &w->bus->name, w->slot, w->hand.next.seq);

    /* it sleeps until the first event that concerns it */

    if (wsb_slot_arm(w->zone, (unsigned) w->slot)) {
        ngx_post_event(&w->event, &ngx_posted_events);
    }
}


/* What it leaves in order, nobody need sweep. */

void
ngx_http_ws_bus_worker_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                 i;
    ngx_http_ws_bus_worker_t  *w;

    i = 0;

    while ((w = ngx_http_ws_bus_worker_next(&i)) != NULL) {
        ngx_shmtx_lock(&w->shpool->mutex);
        wsb_slot_reclaim_locked(w->zone, (unsigned) w->slot,
                                (uint32_t) ngx_pid);
        ngx_shmtx_unlock(&w->shpool->mutex);
    }
}


ngx_http_ws_bus_worker_t *
ngx_http_ws_bus_worker_next(ngx_uint_t *i)
{
    ngx_http_ws_bus_zone_t    **bus;
    ngx_http_ws_bus_worker_t   *w;

    if (ngx_http_ws_bus_worker_zones == NULL) {
        return NULL;
    }

    bus = ngx_http_ws_bus_worker_zones->elts;

    while (*i < ngx_http_ws_bus_worker_zones->nelts) {
        w = bus[(*i)++]->worker;

        if (w != NULL && w->slot != -1) {
            return w;
        }
    }

    return NULL;
}


/*
 * The lock is needed only if something is pending: whatever else is in the
 * log concerns nobody here.
 */

void
ngx_http_ws_bus_worker_take(ngx_http_ws_bus_worker_t *w)
{
    if (!wsb_slot_pending(w->zone, (unsigned) w->slot)) {
        return;
    }

    ngx_shmtx_lock(&w->shpool->mutex);
    wsb_slot_take_locked(w->zone, (unsigned) w->slot, &w->hand);
    ngx_shmtx_unlock(&w->shpool->mutex);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "ws bus zone \"%V\": takes events %uL to %uL",
                   &w->bus->name, w->hand.next.seq, w->hand.end);
}


/*
 * A publisher that dies after it has disarmed this worker, and before it has
 * sent the signal, leaves it asleep with events pending, and nobody else would
 * wake it.  So what is pending is looked at whatever armed says, and a worker
 * that is not armed gets to arm itself.
 */

static void
ngx_http_ws_bus_worker_tick_handler(ngx_event_t *ev)
{
    ngx_uint_t                  i, sweep;
    ngx_http_ws_bus_zone_t    **bus;
    ngx_http_ws_bus_worker_t   *w;

    ngx_http_ws_bus_worker_ticks++;

    sweep = (ngx_http_ws_bus_worker_ticks % NGX_HTTP_WS_BUS_SWEEP == 0);

    if (sweep) {
        ngx_http_ws_bus_wake_listen((ngx_cycle_t *) ngx_cycle);
    }

    bus = ngx_http_ws_bus_worker_zones->elts;

    for (i = 0; i < ngx_http_ws_bus_worker_zones->nelts; i++) {
        w = bus[i]->worker;

        if (w == NULL) {
            continue;
        }

        if (w->slot == -1) {
            ngx_http_ws_bus_worker_enter(w, ngx_cycle->log);
            continue;
        }

        if (wsb_slot_pending(w->zone, (unsigned) w->slot)
            || !wsb_slot_armed(w->zone, (unsigned) w->slot)
            || !wsb_hand_empty(&w->hand))
        {
            ngx_post_event(&w->event, &ngx_posted_events);
        }

        if (sweep) {
            ngx_http_ws_bus_worker_sweep(w);
        }
    }

    ngx_add_timer(ev, NGX_HTTP_WS_BUS_TICK);
}


/*
 * Each worker looks at those behind its own slot, in a circle: so what all of
 * them look at grows with the number of workers, not with its square.
 */

static void
ngx_http_ws_bus_worker_sweep(ngx_http_ws_bus_worker_t *w)
{
    uint32_t     pid;
    unsigned     i, n;
    wsb_slot_t  *slot;

    i = (unsigned) w->slot;

    for (n = 0; n < NGX_HTTP_WS_BUS_SWEPT; n++) {

        i = wsb_zone_next(w->zone, i + 1);

        if (i == WSB_SLOTS) {
            i = wsb_zone_next(w->zone, 0);
        }

        if (i == WSB_SLOTS || i == (unsigned) w->slot) {
            return;
        }

        slot = wsb_zone_slot(w->zone, i);
        pid = slot->pid;

        if (pid == 0 || !ngx_http_ws_bus_worker_gone(pid)) {
            continue;
        }

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "ws bus zone \"%V\": worker %P is gone, its slot is "
                      "reclaimed", &w->bus->name, (ngx_pid_t) pid);

        /* by now a successor may live there: reclaim looks at the pid */

        ngx_shmtx_lock(&w->shpool->mutex);
        wsb_slot_reclaim_locked(w->zone, i, pid);
        ngx_shmtx_unlock(&w->shpool->mutex);
    }
}


int
ngx_http_ws_bus_worker_gone(uint32_t pid)
{
    return kill((pid_t) pid, 0) == -1 && ngx_errno == ESRCH;
}


/*
 * Is a newer generation of workers at work?  If so, this one drains because
 * of a reload, and its clients can come back at once.
 */

ngx_uint_t
ngx_http_ws_bus_worker_succeeded(void)
{
    unsigned                  i;
    wsb_slot_t               *slot;
    ngx_uint_t                n;
    ngx_http_ws_bus_zone_t  **bus;

    if (ngx_http_ws_bus_worker_zones == NULL) {
        return 0;
    }

    bus = ngx_http_ws_bus_worker_zones->elts;

    for (n = 0; n < ngx_http_ws_bus_worker_zones->nelts; n++) {

        for (i = wsb_zone_next(bus[n]->zone, 0);
             i < WSB_SLOTS;
             i = wsb_zone_next(bus[n]->zone, i + 1))
        {
            slot = wsb_zone_slot(bus[n]->zone, i);

            if (slot->pid != 0
                && slot->generation > ngx_http_ws_bus_worker_gen
                && !ngx_http_ws_bus_worker_gone(slot->pid))
            {
                return 1;
            }
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_ws_bus_worker_generation(void)
{
    return ngx_http_ws_bus_worker_gen;
}


void
ngx_http_ws_bus_worker_pause(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_paused_t *paused)
{
    ngx_queue_insert_tail(&w->paused, &paused->queue);
    paused->queued = 1;
}


void
ngx_http_ws_bus_worker_unpause(ngx_http_ws_bus_paused_t *paused)
{
    if (paused->queued) {
        ngx_queue_remove(&paused->queue);
        paused->queued = 0;
    }
}


void
ngx_http_ws_bus_worker_resume(ngx_http_ws_bus_worker_t *w)
{
    ngx_queue_t               *q, waiting;
    ngx_http_ws_bus_paused_t  *paused;

    if (ngx_queue_empty(&w->paused)) {
        return;
    }

    /* who pauses again in its resume() waits until the next time */

    ngx_queue_init(&waiting);
    ngx_queue_add(&waiting, &w->paused);
    ngx_queue_init(&w->paused);

    while (!ngx_queue_empty(&waiting)) {
        q = ngx_queue_head(&waiting);

        paused = ngx_queue_data(q, ngx_http_ws_bus_paused_t, queue);

        ngx_http_ws_bus_worker_unpause(paused);

        paused->resume(paused);
    }
}

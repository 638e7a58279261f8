/*
 * Sleeping and waking, and this process's slot in each zone.
 *
 * A worker has one eventfd for all zones.  They are made by the master, so
 * that every worker of every generation has those of all others; one is
 * chosen by nginx's process slot, which a successor inherits.
 */

#include "ngx_http_ws_bus_module.h"

#include <sys/eventfd.h>


#define NGX_HTTP_WS_BUS_TICK   250        /* ms */
#define NGX_HTTP_WS_BUS_SWEEP  4          /* ticks */


static ngx_int_t ngx_http_ws_bus_create_worker(ngx_cycle_t *cycle,
    ngx_http_ws_bus_zone_t *bus);
static ngx_int_t ngx_http_ws_bus_enter(ngx_cycle_t *cycle,
    ngx_http_ws_bus_worker_t *w);
static ngx_int_t ngx_http_ws_bus_listen(ngx_cycle_t *cycle);
static void ngx_http_ws_bus_eventfd_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_tick_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_sweep(ngx_http_ws_bus_worker_t *w);
static void ngx_http_ws_bus_turn_handler(ngx_event_t *ev);


/* Made in the master, inherited by all workers; -1: not made. */

static int                      ngx_http_ws_bus_eventfd[NGX_MAX_PROCESSES];
static ngx_uint_t               ngx_http_ws_bus_neventfd;
static ngx_uint_t               ngx_http_ws_bus_generation;

/* Of this process. */

static ngx_array_t             *ngx_http_ws_bus_zones;
static ngx_connection_t         ngx_http_ws_bus_dummy;   /* debug log wants */
static ngx_event_t              ngx_http_ws_bus_tick;
static ngx_uint_t               ngx_http_ws_bus_ticks;
static ngx_event_t              ngx_http_ws_bus_turn_event;
static uint64_t                 ngx_http_ws_bus_turn_start;


/*
 * Runs in the master before it forks, also for "nginx -t".  On a reload the
 * workers of the old cycle do not get the eventfds that are new: they are
 * made for more processes than there are, and what a missing one misses the
 * timer repairs.
 */

ngx_int_t
ngx_http_ws_bus_wake_init_module(ngx_cycle_t *cycle)
{
    int                           fd;
    ngx_uint_t                    n;
    ngx_core_conf_t              *ccf;
    ngx_http_ws_bus_main_conf_t  *wmcf;

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ws_bus_module);

    if (wmcf == NULL || wmcf->zones.nelts == 0 || ngx_test_config) {
        return NGX_OK;
    }

    ngx_http_ws_bus_generation++;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    n = 4 * ccf->worker_processes + 16;

    if (n > NGX_MAX_PROCESSES) {
        n = NGX_MAX_PROCESSES;
    }

    while (ngx_http_ws_bus_neventfd < n) {

        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
        if (fd == -1) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                          "eventfd() failed");
            return NGX_ERROR;
        }

        ngx_http_ws_bus_eventfd[ngx_http_ws_bus_neventfd++] = fd;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_ws_bus_wake_init_process(ngx_cycle_t *cycle)
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

    ngx_http_ws_bus_heartbeat_init(cycle);

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ws_bus_module);

    if (wmcf == NULL || wmcf->zones.nelts == 0) {
        return NGX_OK;
    }

    ngx_http_ws_bus_zones = &wmcf->zones;
    ngx_http_ws_bus_dummy.fd = (ngx_socket_t) -1;

    ev = &ngx_http_ws_bus_turn_event;
    ev->handler = ngx_http_ws_bus_turn_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_dummy;

    bus = wmcf->zones.elts;

    for (i = 0; i < wmcf->zones.nelts; i++) {
        if (ngx_http_ws_bus_create_worker(cycle, bus[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_ws_bus_listen(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    ev = &ngx_http_ws_bus_tick;
    ev->handler = ngx_http_ws_bus_tick_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_dummy;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_WS_BUS_TICK);

    ngx_http_ws_bus_watch_init_process(cycle, wmcf);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_create_worker(ngx_cycle_t *cycle, ngx_http_ws_bus_zone_t *bus)
{
    ngx_http_ws_bus_worker_t  *w;

    w = ngx_pcalloc(cycle->pool, sizeof(ngx_http_ws_bus_worker_t));
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->bus = bus;
    w->zone = bus->zone;
    w->shpool = bus->shpool;

    w->event.handler = ngx_http_ws_bus_work_handler;
    w->event.log = cycle->log;
    w->event.data = w;

    w->leave_event.handler = ngx_http_ws_bus_leave_handler;
    w->leave_event.log = cycle->log;
    w->leave_event.data = w;

    if (ngx_http_ws_bus_fanout_init(w) != NGX_OK) {
        return NGX_ERROR;
    }

    bus->worker = w;

    return ngx_http_ws_bus_enter(cycle, w);
}


static ngx_int_t
ngx_http_ws_bus_enter(ngx_cycle_t *cycle, ngx_http_ws_bus_worker_t *w)
{
    ngx_shmtx_lock(&w->shpool->mutex);

    w->slot = wsb_slot_enter_locked(w->zone, (uint32_t) ngx_pid,
                                    (uint32_t) ngx_process_slot,
                                    ngx_http_ws_bus_generation,
                                    ngx_http_ws_bus_gone, &w->hand);

    ngx_shmtx_unlock(&w->shpool->mutex);

    if (w->slot == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "all %d worker slots of ws_bus zone \"%V\" are taken: "
                      "this worker refuses its clients until one is free",
                      WSB_SLOTS, &w->bus->name);
        return NGX_OK;
    }

    /* it sleeps until the first event that concerns it */

    if (wsb_slot_arm(w->zone, (unsigned) w->slot)) {
        ngx_post_event(&w->event, &ngx_posted_events);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_listen(ngx_cycle_t *cycle)
{
    ngx_connection_t  *c;

    if ((ngx_uint_t) ngx_process_slot >= ngx_http_ws_bus_neventfd) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "ws_bus has no eventfd for process slot %P: "
                      "events from other workers arrive up to %d ms late",
                      (ngx_pid_t) ngx_process_slot, NGX_HTTP_WS_BUS_TICK);
        return NGX_OK;
    }

    c = ngx_get_connection(ngx_http_ws_bus_eventfd[ngx_process_slot],
                           cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->read->handler = ngx_http_ws_bus_eventfd_handler;
    c->read->log = cycle->log;
    c->write->log = cycle->log;

    /* not a client: nginx neither closes nor reports it at exit */
    c->read->channel = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT,
                      (ngx_event_flags & NGX_USE_CLEAR_EVENT)
                          ? NGX_CLEAR_EVENT : 0)
        != NGX_OK)
    {
        ngx_free_connection(c);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* An exiting worker leaves its slots to nobody's sweep. */

void
ngx_http_ws_bus_wake_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_ws_bus_zone_t    **bus;
    ngx_http_ws_bus_worker_t   *w;

    if (ngx_http_ws_bus_zones == NULL) {
        return;
    }

    ngx_http_ws_bus_watch_exit_process();

    bus = ngx_http_ws_bus_zones->elts;

    for (i = 0; i < ngx_http_ws_bus_zones->nelts; i++) {
        w = bus[i]->worker;

        if (w == NULL || w->slot == -1) {
            continue;
        }

        ngx_shmtx_lock(&w->shpool->mutex);
        wsb_slot_reclaim_locked(w->zone, (unsigned) w->slot,
                                (uint32_t) ngx_pid);
        ngx_shmtx_unlock(&w->shpool->mutex);
    }
}


void
ngx_http_ws_bus_wake(ngx_http_ws_bus_zone_t *bus,
    const wsb_appended_t *appended)
{
    uint64_t                   bits, one;
    unsigned                   i, slot, process;
    ngx_http_ws_bus_worker_t  *w;

    w = bus->worker;
    one = 1;

    for (i = 0; i < WSB_SLOTS / 64; i++) {

        for (bits = appended->slots[i]; bits != 0; bits &= bits - 1) {
            slot = i * 64 + (unsigned) __builtin_ctzll(bits);

            if (!wsb_slot_disarm(bus->zone, slot)) {
                continue;
            }

            if (w != NULL && w->slot == (ngx_int_t) slot) {
                ngx_post_event(&w->event, &ngx_posted_events);
                continue;
            }

            process = wsb_zone_slot(bus->zone, slot)->process;

            /* a full counter wakes as well: EAGAIN is no failure */

            if (process < ngx_http_ws_bus_neventfd
                && write(ngx_http_ws_bus_eventfd[process], &one,
                         sizeof(one))
                   == -1
                && ngx_errno != NGX_EAGAIN)
            {
                ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                              "ws bus write() to eventfd failed");
            }
        }
    }
}


static void
ngx_http_ws_bus_eventfd_handler(ngx_event_t *ev)
{
    uint64_t                    n;
    ngx_uint_t                  i;
    ngx_connection_t           *c;
    ngx_http_ws_bus_zone_t    **bus;
    ngx_http_ws_bus_worker_t   *w;

    c = ev->data;

    if (!(ngx_event_flags & NGX_USE_CLEAR_EVENT)
        && read(c->fd, &n, sizeof(n)) == -1 && ngx_errno != NGX_EAGAIN)
    {
        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno,
                      "ws bus read() of eventfd failed");
    }

    bus = ngx_http_ws_bus_zones->elts;

    for (i = 0; i < ngx_http_ws_bus_zones->nelts; i++) {
        w = bus[i]->worker;

        if (w->slot == -1) {
            continue;
        }

        /*
         * Also with nothing pending: what this wake is for may have been
         * taken with an earlier one, but it has disarmed the worker, which
         * must arm itself again.
         */

        if (wsb_slot_pending(w->zone, (unsigned) w->slot)) {
            ngx_http_ws_bus_counters(w)->wakeups++;
        }

        ngx_post_event(&w->event, &ngx_posted_events);
    }
}


/*
 * Repairs a wake that died with its writer: it looks at what is pending,
 * whatever armed says, and arms the worker if that writer had disarmed it.
 * And it sweeps the slots of the dead, some of which have no successor.
 */

static void
ngx_http_ws_bus_tick_handler(ngx_event_t *ev)
{
    ngx_uint_t                  i;
    ngx_http_ws_bus_zone_t    **bus;
    ngx_http_ws_bus_worker_t   *w;

    bus = ngx_http_ws_bus_zones->elts;
    ngx_http_ws_bus_ticks++;

    for (i = 0; i < ngx_http_ws_bus_zones->nelts; i++) {
        w = bus[i]->worker;

        if (w->slot == -1) {
            (void) ngx_http_ws_bus_enter((ngx_cycle_t *) ngx_cycle, w);
            continue;
        }

        if (wsb_slot_pending(w->zone, (unsigned) w->slot)
            || !wsb_slot_armed(w->zone, (unsigned) w->slot)
            || !wsb_hand_empty(&w->hand))
        {
            ngx_post_event(&w->event, &ngx_posted_events);
        }

        if (ngx_http_ws_bus_ticks % NGX_HTTP_WS_BUS_SWEEP == 0) {
            ngx_http_ws_bus_sweep(w);
        }
    }

    ngx_add_timer(ev, NGX_HTTP_WS_BUS_TICK);
}


static void
ngx_http_ws_bus_sweep(ngx_http_ws_bus_worker_t *w)
{
    uint32_t     pid;
    unsigned     i;
    wsb_slot_t  *slot;

    for (i = 0; i < w->zone->nslots && i < WSB_SLOTS; i++) {
        slot = wsb_zone_slot(w->zone, i);
        pid = slot->pid;

        if (pid == 0 || !ngx_http_ws_bus_gone(pid)) {
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
ngx_http_ws_bus_gone(uint32_t pid)
{
    return kill((pid_t) pid, 0) == -1 && ngx_errno == ESRCH;
}


/*
 * Is a newer generation of workers at work?  If so, this one drains because
 * of a reload, and its clients can come back at once.
 */

ngx_uint_t
ngx_http_ws_bus_succeeded(void)
{
    unsigned                   i;
    wsb_slot_t                *slot;
    ngx_uint_t                 n;
    ngx_http_ws_bus_zone_t   **bus;

    if (ngx_http_ws_bus_zones == NULL) {
        return 0;
    }

    bus = ngx_http_ws_bus_zones->elts;

    for (n = 0; n < ngx_http_ws_bus_zones->nelts; n++) {

        for (i = 0; i < bus[n]->zone->nslots && i < WSB_SLOTS; i++) {
            slot = wsb_zone_slot(bus[n]->zone, i);

            if (slot->pid != 0
                && slot->generation > ngx_http_ws_bus_generation
                && !ngx_http_ws_bus_gone(slot->pid))
            {
                return 1;
            }
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_ws_bus_my_generation(void)
{
    return ngx_http_ws_bus_generation;
}


uint64_t
ngx_http_ws_bus_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


/*
 * A turn is measured from the first handler of ours that runs in it to an
 * event that is posted then, and waits until it is the last.
 */

void
ngx_http_ws_bus_turn(void)
{
    if (ngx_http_ws_bus_turn_start == 0 && ngx_http_ws_bus_zones != NULL) {
        ngx_http_ws_bus_turn_start = ngx_http_ws_bus_now();
        ngx_post_event(&ngx_http_ws_bus_turn_event, &ngx_posted_events);
    }
}


uint64_t
ngx_http_ws_bus_turn_began(void)
{
    return ngx_http_ws_bus_turn_start ? ngx_http_ws_bus_turn_start
                                      : ngx_http_ws_bus_now();
}


static void
ngx_http_ws_bus_turn_handler(ngx_event_t *ev)
{
    uint64_t                     took;
    ngx_uint_t                   i;
    wsb_counters_t              *counters;
    ngx_http_ws_bus_zone_t     **bus;
    ngx_http_ws_bus_worker_t    *w;

    if (!ngx_queue_empty(&ngx_posted_events)) {
        ngx_post_event(ev, &ngx_posted_events);
        return;
    }

    took = ngx_http_ws_bus_now() - ngx_http_ws_bus_turn_start;
    ngx_http_ws_bus_turn_start = 0;

    bus = ngx_http_ws_bus_zones->elts;

    for (i = 0; i < ngx_http_ws_bus_zones->nelts; i++) {
        w = bus[i]->worker;

        if (w->slot == -1) {
            continue;
        }

        counters = ngx_http_ws_bus_counters(w);

        if (took > counters->longest_turn) {
            counters->longest_turn = took;
        }
    }
}

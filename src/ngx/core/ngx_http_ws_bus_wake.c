/*
 * Sleeping and waking, and this process's slot in each zone.
 *
 * A worker is woken, for all zones, by a signal that it has blocked and reads
 * from a signalfd.  All that others need for it is its pid, which stands in
 * its slot: the master makes nothing, no worker has a descriptor for another,
 * and it makes no difference which of the two was started first.
 *
 * The signal is SIGURG, since a process that does not want it ignores it: a
 * pid may be a stranger's by the time it is signalled.  It goes to the main
 * thread, as another may not have blocked it.
 */

#include "ngx_http_ws_bus_core.h"

#include <sys/signalfd.h>
#include <sys/syscall.h>


#define NGX_HTTP_WS_BUS_TICK   250        /* ms */
#define NGX_HTTP_WS_BUS_SWEEP  4          /* ticks */
#define NGX_HTTP_WS_BUS_SWEPT  16         /* slots at a time */

#define NGX_HTTP_WS_BUS_WAKE   SIGURG


static ngx_int_t ngx_http_ws_bus_worker_create(ngx_cycle_t *cycle,
    ngx_http_ws_bus_zone_t *bus);
static void ngx_http_ws_bus_worker_enter(ngx_http_ws_bus_worker_t *w,
    ngx_log_t *log);
static void ngx_http_ws_bus_wake_listen(ngx_cycle_t *cycle);
static void ngx_http_ws_bus_wake_not_listening(ngx_log_t *log, ngx_err_t err,
    const char *what);
static void ngx_http_ws_bus_wake_signal(ngx_http_ws_bus_zone_t *bus,
    unsigned slot);
static void ngx_http_ws_bus_wake_signal_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_worker_tick_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_worker_sweep(ngx_http_ws_bus_worker_t *w);
static void ngx_http_ws_bus_turn_handler(ngx_event_t *ev);


/* Counted by the master, inherited by its workers. */

static ngx_uint_t               ngx_http_ws_bus_worker_gen;

/* Of this process. */

static ngx_array_t             *ngx_http_ws_bus_zones;
static ngx_connection_t         ngx_http_ws_bus_dummy;   /* debug log wants */
static ngx_event_t              ngx_http_ws_bus_tick;
static ngx_uint_t               ngx_http_ws_bus_ticks;
static ngx_event_t              ngx_http_ws_bus_turn_event;
static uint64_t                 ngx_http_ws_bus_turn_start;
static ngx_uint_t               ngx_http_ws_bus_listening;
static ngx_uint_t               ngx_http_ws_bus_logged;  /* not listening */


/* Runs in the master before it forks, also for "nginx -t". */

ngx_int_t
ngx_http_ws_bus_wake_init_module(ngx_cycle_t *cycle)
{
    ngx_http_ws_bus_worker_gen++;

    return NGX_OK;
}


/*
 * A worker that fails here would not be started again.  So each thing that is
 * missing costs what it is needed for, and no more: a worker without a zone or
 * a slot refuses the clients of that zone, one without a wake is late.
 */

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
        if (ngx_http_ws_bus_worker_create(cycle, bus[i]) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                          "no memory for ws_bus zone \"%V\": this worker "
                          "refuses its clients", &bus[i]->name);
        }
    }

    ngx_http_ws_bus_wake_listen(cycle);

    ev = &ngx_http_ws_bus_tick;
    ev->handler = ngx_http_ws_bus_worker_tick_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_dummy;
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

    ngx_log_debug2(NGX_LOG_DEBUG_EVENT, log, 0,
                   "ws bus zone \"%V\": slot %i", &w->bus->name, w->slot);

    /* it sleeps until the first event that concerns it */

    if (wsb_slot_arm(w->zone, (unsigned) w->slot)) {
        ngx_post_event(&w->event, &ngx_posted_events);
    }
}


static void
ngx_http_ws_bus_wake_listen(ngx_cycle_t *cycle)
{
    int                fd;
    sigset_t           set;
    ngx_connection_t  *c;

    sigemptyset(&set);
    sigaddset(&set, NGX_HTTP_WS_BUS_WAKE);

    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1) {
        ngx_http_ws_bus_wake_not_listening(cycle->log, ngx_errno,
                                           "sigprocmask() failed");
        return;
    }

    if (cycle->free_connection_n == 0) {
        /* before nginx closes a client's, and logs it, for this */
        ngx_http_ws_bus_wake_not_listening(cycle->log, 0,
                                         "none of worker_connections is free");
        return;
    }

    fd = signalfd(-1, &set, SFD_NONBLOCK|SFD_CLOEXEC);

    if (fd == -1) {
        ngx_http_ws_bus_wake_not_listening(cycle->log, ngx_errno,
                                           "signalfd() failed");
        return;
    }

    c = ngx_get_connection(fd, cycle->log);

    if (c == NULL) {
        ngx_http_ws_bus_wake_not_listening(cycle->log, 0,
                                           "no connection for its signals");
        (void) close(fd);
        return;
    }

    c->read->handler = ngx_http_ws_bus_wake_signal_handler;
    c->read->log = cycle->log;
    c->write->log = cycle->log;

    /* not a client: nginx neither closes nor reports it at exit */
    c->read->channel = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT,
                      (ngx_event_flags & NGX_USE_CLEAR_EVENT)
                          ? NGX_CLEAR_EVENT : 0)
        != NGX_OK)
    {
        ngx_http_ws_bus_wake_not_listening(cycle->log, 0,
                                           "no event for its signals");
        ngx_free_connection(c);
        (void) close(fd);
        return;
    }

    ngx_http_ws_bus_listening = 1;
}


/* It is tried again each second, and said once. */

static void
ngx_http_ws_bus_wake_not_listening(ngx_log_t *log, ngx_err_t err,
    const char *what)
{
    if (ngx_http_ws_bus_logged) {
        return;
    }

    ngx_http_ws_bus_logged = 1;

    ngx_log_error(NGX_LOG_ALERT, log, err,
                  "%s: until this is mended, the clients of this worker get "
                  "the events of ws_bus from others up to %d ms late",
                  what, NGX_HTTP_WS_BUS_TICK);
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
    uint64_t                   bits;
    unsigned                   i, slot;
    ngx_http_ws_bus_worker_t  *w;

    w = bus->worker;

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

            ngx_http_ws_bus_wake_signal(bus, slot);
        }
    }
}


static void
ngx_http_ws_bus_wake_signal(ngx_http_ws_bus_zone_t *bus, unsigned slot)
{
    pid_t              pid;
    static ngx_uint_t  logged;

    pid = (pid_t) wsb_zone_slot(bus->zone, slot)->pid;

    /* pid 0, and one that is gone: the slot was left meanwhile, or will be */

    if (pid == 0
        || syscall(SYS_tgkill, pid, pid, NGX_HTTP_WS_BUS_WAKE) == 0
        || ngx_errno == ESRCH || logged)
    {
        return;
    }

    /* it may run as another user, for one, if "user" was changed */

    logged = 1;

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                  "ws_bus cannot signal worker %P: its clients, and perhaps "
                  "those of others, get the events of this worker up to "
                  "%d ms late", pid, NGX_HTTP_WS_BUS_TICK);
}


static void
ngx_http_ws_bus_wake_signal_handler(ngx_event_t *ev)
{
    ngx_uint_t                  i;
    ngx_connection_t           *c;
    ngx_http_ws_bus_zone_t    **bus;
    ngx_http_ws_bus_worker_t   *w;
    struct signalfd_siginfo     info[2];

    c = ev->data;

    /*
     * A signal that is still pending is not sent again: so it is read before
     * anything is looked at.  Two may be, one of them for all threads.
     */

    if (read(c->fd, info, sizeof(info)) == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno,
                      "ws bus read() of signalfd failed");
    }

    bus = ngx_http_ws_bus_zones->elts;

    for (i = 0; i < ngx_http_ws_bus_zones->nelts; i++) {
        w = bus[i]->worker;

        if (w == NULL || w->slot == -1) {
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
ngx_http_ws_bus_worker_tick_handler(ngx_event_t *ev)
{
    ngx_uint_t                  i;
    ngx_http_ws_bus_zone_t    **bus;
    ngx_http_ws_bus_worker_t   *w;

    bus = ngx_http_ws_bus_zones->elts;
    ngx_http_ws_bus_ticks++;

    if (!ngx_http_ws_bus_listening
        && ngx_http_ws_bus_ticks % NGX_HTTP_WS_BUS_SWEEP == 0)
    {
        ngx_http_ws_bus_wake_listen((ngx_cycle_t *) ngx_cycle);
    }

    for (i = 0; i < ngx_http_ws_bus_zones->nelts; i++) {
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

        if (ngx_http_ws_bus_ticks % NGX_HTTP_WS_BUS_SWEEP == 0) {
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

    if (ngx_http_ws_bus_zones == NULL) {
        return 0;
    }

    bus = ngx_http_ws_bus_zones->elts;

    for (n = 0; n < ngx_http_ws_bus_zones->nelts; n++) {

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


uint64_t
ngx_http_ws_bus_turn_now(void)
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
        ngx_http_ws_bus_turn_start = ngx_http_ws_bus_turn_now();
        ngx_post_event(&ngx_http_ws_bus_turn_event, &ngx_posted_events);
    }
}


uint64_t
ngx_http_ws_bus_turn_began(void)
{
    return ngx_http_ws_bus_turn_start ? ngx_http_ws_bus_turn_start
                                      : ngx_http_ws_bus_turn_now();
}


static void
ngx_http_ws_bus_turn_handler(ngx_event_t *ev)
{
    uint64_t                    took;
    ngx_uint_t                  i;
    wsb_counters_t             *counters;
    ngx_http_ws_bus_zone_t    **bus;
    ngx_http_ws_bus_worker_t   *w;

    if (!ngx_queue_empty(&ngx_posted_events)) {
        ngx_post_event(ev, &ngx_posted_events);
        return;
    }

    took = ngx_http_ws_bus_turn_now() - ngx_http_ws_bus_turn_start;
    ngx_http_ws_bus_turn_start = 0;

    bus = ngx_http_ws_bus_zones->elts;

    for (i = 0; i < ngx_http_ws_bus_zones->nelts; i++) {
        w = bus[i]->worker;

        if (w == NULL || w->slot == -1) {
            continue;
        }

        counters = ngx_http_ws_bus_counters(w);

        if (took > counters->longest_turn) {
            counters->longest_turn = took;
        }
    }
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
    ngx_queue_t               *q;
    ngx_http_ws_bus_paused_t  *paused;

    while (!ngx_queue_empty(&w->paused)) {
        q = ngx_queue_head(&w->paused);

        paused = ngx_queue_data(q, ngx_http_ws_bus_paused_t, queue);

        ngx_http_ws_bus_worker_unpause(paused);

        paused->resume(paused);
    }
}

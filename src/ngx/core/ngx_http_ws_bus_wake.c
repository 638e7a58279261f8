/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Waking: how a worker learns that there are events for it.
 *
 * A worker is woken, for all zones at once, by a signal that it has blocked
 * and reads from a signalfd.  All that others need for it is its pid, which
 * stands in its slot.  So the master prepares nothing, no worker has a
 * descriptor for another, and it makes no difference which of the two was
 * started first.
 *
 * The signal is SIGURG, since a process that does not want it ignores it: a
 * pid may be a stranger's by the time it is signalled.  It goes to the main
 * thread alone: it is the one that has blocked it, another thread may not
 * have.
 *
 * A worker that cannot listen, or cannot be signalled, finds its events at
 * its next tick.
 */

#include "ngx_http_ws_bus_core.h"

#include <sys/signalfd.h>
#include <sys/syscall.h>


#define NGX_HTTP_WS_BUS_WAKE   SIGURG


static void ngx_http_ws_bus_wake_not_listening(ngx_log_t *log, ngx_err_t err,
    const char *what);
static void ngx_http_ws_bus_wake_signal(ngx_http_ws_bus_zone_t *bus,
    unsigned slot);
static void ngx_http_ws_bus_wake_signal_handler(ngx_event_t *ev);


/* Of this process. */

static ngx_uint_t  ngx_http_ws_bus_wake_listening;
static ngx_uint_t  ngx_http_ws_bus_wake_logged;   /* that it is not */


void
ngx_http_ws_bus_wake_listen(ngx_cycle_t *cycle)
{
    int                fd;
    sigset_t           set;
    ngx_connection_t  *c;

    if (ngx_http_ws_bus_wake_listening) {
        return;
    }

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

    ngx_http_ws_bus_wake_listening = 1;
}


/* It is tried again each second, and said once. */

static void
ngx_http_ws_bus_wake_not_listening(ngx_log_t *log, ngx_err_t err,
    const char *what)
{
    if (ngx_http_ws_bus_wake_logged) {
        return;
    }

    ngx_http_ws_bus_wake_logged = 1;

    ngx_log_error(NGX_LOG_ALERT, log, err,
                  "%s: until this is mended, the clients of this worker get "
                  "the events of ws_bus from others up to %d ms late",
                  what, NGX_HTTP_WS_BUS_TICK);
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
                ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                               "ws bus zone \"%V\": slot %ud is awake",
                               &bus->name, slot);
                continue;
            }

            ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                           "ws bus zone \"%V\": wakes slot %ud for events "
                           "%uL to %uL", &bus->name, slot, appended->first,
                           appended->last);

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
    ngx_uint_t                 i, pending;
    ngx_connection_t          *c;
    ngx_http_ws_bus_worker_t  *w;
    struct signalfd_siginfo    info[2];

    c = ev->data;

    /*
     * The kernel drops a signal that is sent while the same one is unread: so
     * it is read before anything is looked at, or what its sender has appended
     * could be missed.  Two may be unread: one of this thread, and one that a
     * stranger has sent to the process.
     */

    if (read(c->fd, info, sizeof(info)) == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno,
                      "ws bus read() of signalfd failed");
    }

    i = 0;

    while ((w = ngx_http_ws_bus_worker_next(&i)) != NULL) {

        /*
         * Also with nothing pending: what this wake is for may have been
         * taken with an earlier one, but it has disarmed the worker, which
         * must arm itself again.
         */

        pending = wsb_slot_pending(w->zone, (unsigned) w->slot);

        if (pending) {
            ngx_http_ws_bus_module_counters(w)->wakeups++;
        }

        ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ev->log, 0,
                       "ws bus zone \"%V\": slot %i is woken, pending: %ui",
                       &w->bus->name, w->slot, pending);

        ngx_post_event(&w->event, &ngx_posted_events);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * "use level;": an event method that tells of what can be read or written as
 * long as it can be, as poll and select do. For tests: Debian's nginx has
 * epoll only.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <poll.h>


#define NGX_LEVEL_FILES  65536


typedef struct {
    ngx_connection_t  *connection;
    struct pollfd      poll;           /* events: those that are wanted */
} ngx_level_file_t;


static ngx_int_t ngx_level_init(ngx_cycle_t *cycle, ngx_msec_t timer);
static void ngx_level_done(ngx_cycle_t *cycle);
static ngx_int_t ngx_level_add(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t flags);
static ngx_int_t ngx_level_del(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t flags);
static ngx_int_t ngx_level_process(ngx_cycle_t *cycle, ngx_msec_t timer,
    ngx_uint_t flags);
static void ngx_level_post(ngx_event_t *ev);


static ngx_str_t           ngx_level_name = ngx_string("level");

static ngx_event_module_t  ngx_level_ctx = {
    &ngx_level_name,
    NULL,
    NULL,
    { ngx_level_add, ngx_level_del, ngx_level_add, ngx_level_del, NULL, NULL,
      NULL, ngx_level_process, ngx_level_init, ngx_level_done }
};

static ngx_module_t  ngx_level_module = {
    NGX_MODULE_V1,
    &ngx_level_ctx,
    NULL,
    NGX_EVENT_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};

ngx_module_t  *ngx_modules[] = { &ngx_level_module, NULL };
char          *ngx_module_names[] = { "ngx_level_module", NULL };
char          *ngx_module_order[] = { NULL };


static ngx_level_file_t  ngx_level_files[NGX_LEVEL_FILES];
static struct pollfd     ngx_level_list[NGX_LEVEL_FILES];
static int               ngx_level_end;     /* no descriptor is so large */


static ngx_int_t
ngx_level_init(ngx_cycle_t *cycle, ngx_msec_t timer)
{
    ngx_io = ngx_os_io;
    ngx_event_actions = ngx_level_ctx.actions;
    ngx_event_flags = NGX_USE_LEVEL_EVENT;

    return NGX_OK;
}


static void
ngx_level_done(ngx_cycle_t *cycle)
{
}


static ngx_int_t
ngx_level_add(ngx_event_t *ev, ngx_int_t event, ngx_uint_t flags)
{
    ngx_connection_t  *c = ev->data;

    if (c->fd >= NGX_LEVEL_FILES) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, 0, "too many files");
        return NGX_ERROR;
    }

    ngx_level_end = ngx_max(ngx_level_end, c->fd + 1);

    ngx_level_files[c->fd].connection = c;
    ngx_level_files[c->fd].poll.fd = c->fd;
    ngx_level_files[c->fd].poll.events |= ev->write ? POLLOUT : POLLIN;

    ev->active = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_level_del(ngx_event_t *ev, ngx_int_t event, ngx_uint_t flags)
{
    ngx_connection_t  *c = ev->data;

    if (c->fd < NGX_LEVEL_FILES) {
        ngx_level_files[c->fd].poll.events &= ev->write ? ~POLLOUT : ~POLLIN;
    }

    ev->active = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_level_process(ngx_cycle_t *cycle, ngx_msec_t timer, ngx_uint_t flags)
{
    int                ready, i, n;
    short              got;
    ngx_err_t          err;
    ngx_connection_t  *c;

    n = 0;

    for (i = 0; i < ngx_level_end; i++) {
        if (ngx_level_files[i].poll.events != 0) {
            ngx_level_list[n++] = ngx_level_files[i].poll;
        }
    }

    ready = poll(ngx_level_list, (nfds_t) n, (int) timer);

    err = ready == -1 ? ngx_errno : 0;

    if (flags & NGX_UPDATE_TIME || ngx_event_timer_alarm) {
        ngx_time_update();
    }

    if (err == NGX_EINTR) {
        ngx_event_timer_alarm = 0;
        return NGX_OK;
    }

    if (err) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, err, "poll() failed");
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        got = ngx_level_list[i].revents;
        c = ngx_level_files[ngx_level_list[i].fd].connection;

        if (got & (POLLERR|POLLHUP|POLLNVAL)) {
            got |= POLLIN|POLLOUT;
        }

        if (got & POLLIN) {
            ngx_level_post(c->read);
        }

        if (got & POLLOUT) {
            ngx_level_post(c->write);
        }
    }

    return NGX_OK;
}


static void
ngx_level_post(ngx_event_t *ev)
{
    if (!ev->active) {
        return;
    }

    ev->ready = 1;
    ev->available = -1;

    if (ev->accept) {
        ngx_post_event(ev, &ngx_posted_accept_events);

    } else {
        ngx_post_event(ev, &ngx_posted_events);
    }
}

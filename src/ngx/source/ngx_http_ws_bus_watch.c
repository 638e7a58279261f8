/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Directories whose files are watched: a change becomes an event of the
 * tenant that the file stands for.
 *
 * One worker looks after a directory: it has the lease.  What inotify says is
 * only a hint that it is time to look: the names, times and sizes that are
 * found then are compared with those of the last look, which lie in shared
 * memory.  So it does not matter what a hint has missed, nor who looked
 * before.
 *
 * Only names and stat() are used, in the event loop: directories are small
 * and local.
 */

#include "ngx_http_ws_bus_watch.h"

#include <sys/inotify.h>


#define NGX_HTTP_WS_BUS_WATCH_TICK    250     /* ms */
#define NGX_HTTP_WS_BUS_WATCH_BLIND   4       /* ticks between looks */
#define NGX_HTTP_WS_BUS_WATCH_READS   16


static char *ngx_http_ws_bus_watch_ignore(ngx_conf_t *cf,
    ngx_http_ws_bus_watch_t *w, ngx_str_t *list);
static char *ngx_http_ws_bus_watch_zone(ngx_conf_t *cf,
    ngx_http_ws_bus_watch_t *w);
static char *ngx_http_ws_bus_watch_memory(ngx_conf_t *cf,
    ngx_http_ws_bus_watch_t *w);
static ngx_int_t ngx_http_ws_bus_watch_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static void ngx_http_ws_bus_watch_tick_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_watch_tick(ngx_http_ws_bus_watch_t *w);
static void ngx_http_ws_bus_watch_take(ngx_http_ws_bus_watch_t *w);
static void ngx_http_ws_bus_watch_listen(ngx_http_ws_bus_watch_t *w);
static void ngx_http_ws_bus_watch_read_handler(ngx_event_t *rev);
static ngx_uint_t ngx_http_ws_bus_watch_hint(ngx_http_ws_bus_watch_t *w,
    const struct inotify_event *e);
static void ngx_http_ws_bus_watch_look_handler(ngx_event_t *ev);


static const wsb_str_t  ngx_http_ws_bus_watch_ignored[] = {
    wsb_string("schema.json"),
    wsb_string("default.json")
};

/* Of this process. */

static ngx_array_t      *ngx_http_ws_bus_watches;
static ngx_event_t       ngx_http_ws_bus_watch_ticks;


char *
ngx_http_ws_bus_watch_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_source_main_conf_t  *smcf = conf;

    u_char                    *p;
    ngx_str_t                 *value, s;
    wsb_str_t                  tenant;
    ngx_int_t                  files;
    ngx_uint_t                 i;
    ngx_http_ws_bus_watch_t   *w, **place;

    value = cf->args->elts;

    w = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_watch_t));
    place = ngx_array_push(&smcf->watches);

    if (w == NULL || place == NULL) {
        return NGX_CONF_ERROR;
    }

    *place = w;

    w->dir = value[1];
    w->file = cf->conf_file->file.name.data;
    w->line = cf->conf_file->line;

    while (w->dir.len > 1 && w->dir.data[w->dir.len - 1] == '/') {
        w->dir.data[--w->dir.len] = '\0';
    }

    if (w->dir.len == 0
        || ngx_conf_full_name(cf->cycle, &w->dir, 0) != NGX_OK)
    {
        return "needs a directory";
    }

    ngx_str_set(&w->pattern, "*.json");
    w->conf.ignore = ngx_http_ws_bus_watch_ignored;
    w->conf.nignore = 2;
    w->files = WSB_WATCH_FILES;

    for (i = 2; i < cf->args->nelts; i++) {

        p = (u_char *) ngx_strchr(value[i].data, '=');
        s.data = p ? p + 1 : value[i].data;
        s.len = value[i].data + value[i].len - s.data;

        tenant.data = s.data;
        tenant.len = s.len;

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0 && s.len != 0) {
            w->zone = s;

        } else if (ngx_strncmp(value[i].data, "pattern=", 8) == 0
                   && s.len != 0
                   && ngx_strlchr(s.data, s.data + s.len, '/') == NULL)
        {
            w->pattern = s;

        } else if (ngx_strncmp(value[i].data, "tenant=", 7) == 0
                   && s.len != 0 && s.len <= WSB_TENANT_MAX
                   && wsb_text_valid(tenant))
        {
            if (ngx_strcmp(s.data, "stem") != 0) {
                w->conf.tenant = tenant;
            }

        } else if (ngx_strncmp(value[i].data, "files=", 6) == 0
                   && (files = ngx_atoi(s.data, s.len)) >= 1
                   && files <= WSB_WATCH_FILES_MAX)
        {
            w->files = (uint32_t) files;

        } else if (ngx_strncmp(value[i].data, "ignore=", 7) == 0) {

            if (ngx_http_ws_bus_watch_ignore(cf, w, &s) != NGX_CONF_OK) {
                return NGX_CONF_ERROR;
            }

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"ws_bus_watch\": after the directory write "
                               "\"zone=name\", \"pattern=*.json\" (of names, "
                               "without \"/\"), \"tenant=stem\" or "
                               "\"tenant=value\" (UTF-8, at most 256 bytes), "
                               "\"files=number\" (1 to %d), "
                               "\"ignore=name,name\"", &value[i],
                               WSB_WATCH_FILES_MAX);
            return NGX_CONF_ERROR;
        }
    }

    w->conf.pattern = (const char *) w->pattern.data;

    return NGX_CONF_OK;
}


/* An empty list ignores nothing. */

static char *
ngx_http_ws_bus_watch_ignore(ngx_conf_t *cf, ngx_http_ws_bus_watch_t *w,
    ngx_str_t *list)
{
    u_char     *p, *last, *end;
    size_t      n;
    wsb_str_t  *names;

    last = list->data + list->len;
    n = 1;

    for (p = list->data; p < last; p++) {
        n += (*p == ',');
    }

    names = ngx_palloc(cf->pool, n * sizeof(wsb_str_t));
    if (names == NULL) {
        return NGX_CONF_ERROR;
    }

    n = 0;

    for (p = list->data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, ',');
        end = end ? end : last;

        if (end != p) {
            names[n].data = p;
            names[n++].len = end - p;
        }
    }

    w->conf.ignore = names;
    w->conf.nignore = n;

    return NGX_CONF_OK;
}


/* After the whole block: the zones may be declared behind it. */

char *
ngx_http_ws_bus_watch_check_all(ngx_conf_t *cf,
    ngx_http_ws_bus_source_main_conf_t *smcf)
{
    ngx_uint_t                 i;
    ngx_http_ws_bus_watch_t  **w;

    w = smcf->watches.elts;

    for (i = 0; i < smcf->watches.nelts; i++) {
        if (ngx_http_ws_bus_watch_zone(cf, w[i]) != NGX_CONF_OK
            || ngx_http_ws_bus_watch_memory(cf, w[i]) != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_watch_zone(ngx_conf_t *cf, ngx_http_ws_bus_watch_t *w)
{
    ngx_uint_t                     i;
    ngx_http_ws_bus_zone_t       **bus;
    ngx_http_ws_bus_main_conf_t   *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ws_bus_module);
    bus = wmcf->zones.elts;

    for (i = 0; i < wmcf->zones.nelts; i++) {

        if (w->zone.len == 0
                ? wmcf->zones.nelts == 1
                : (bus[i]->name.len == w->zone.len
                   && ngx_strncmp(bus[i]->name.data, w->zone.data,
                                  w->zone.len)
                      == 0))
        {
            w->bus = bus[i];
            return NGX_CONF_OK;
        }
    }

    if (w->zone.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ws_bus_watch\" of \"%V\" in %s:%ui does not say "
                      "which zone it is for, and there is not just one: add "
                      "\"zone=name\"", &w->dir, w->file, w->line);

    } else {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown zone \"%V\" in \"ws_bus_watch\" in %s:%ui: "
                      "declare it by \"ws_bus_zone zone=%V:64m;\"",
                      &w->zone, w->file, w->line, &w->zone);
    }

    return NGX_CONF_ERROR;
}


/*
 * The name of its memory has all that selects the files: a directive that is
 * changed by a reload begins anew.
 */

static char *
ngx_http_ws_bus_watch_memory(ngx_conf_t *cf, ngx_http_ws_bus_watch_t *w)
{
    size_t      i, len, size;
    u_char     *p;
    ngx_str_t   name;

    len = sizeof("ws_bus_watch::::::") + NGX_INT32_LEN + w->bus->name.len
          + w->dir.len + w->pattern.len + w->conf.tenant.len;

    for (i = 0; i < w->conf.nignore; i++) {
        len += w->conf.ignore[i].len + 1;
    }

    name.data = ngx_pnalloc(cf->pool, len);
    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_sprintf(name.data, "ws_bus_watch:%V:%V:%V:%uD:%*s",
                    &w->bus->name, &w->dir, &w->pattern, w->files,
                    w->conf.tenant.len, w->conf.tenant.data);

    for (i = 0; i < w->conf.nignore; i++) {
        p = ngx_sprintf(p, "%c%*s", i ? ',' : ':', w->conf.ignore[i].len,
                        w->conf.ignore[i].data);
    }

    name.len = p - name.data;

    /* and what the slab allocator takes for itself, of each page */

    size = wsb_watch_size(w->files);
    size = ngx_align(size + size / 64 + 16 * ngx_pagesize, ngx_pagesize);

    w->shm_zone = ngx_shared_memory_add(cf, &name, size,
                                        &ngx_http_ws_bus_source_module);
    if (w->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (w->shm_zone->data != NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ws_bus_watch\" of \"%V\" in %s:%ui is written "
                      "twice: remove one", &w->dir, w->file, w->line);
        return NGX_CONF_ERROR;
    }

    w->shm_zone->init = ngx_http_ws_bus_watch_init_zone;
    w->shm_zone->data = w;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_ws_bus_watch_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_ws_bus_watch_t  *w;

    w = shm_zone->data;
    w->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data == NULL && !shm_zone->shm.exists) {

        w->shared = ngx_slab_alloc(w->shpool, wsb_watch_size(w->files));
        if (w->shared == NULL) {
            return NGX_ERROR;
        }

        wsb_watch_init(w->shared, w->files);
        w->shpool->data = w->shared;

        return NGX_OK;
    }

    w->shared = w->shpool->data;

    if (w->shared == NULL || !wsb_watch_valid(w->shared, w->files)) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "the memory of \"ws_bus_watch\" of \"%V\" was laid out "
                      "by another version of the module: restart nginx, a "
                      "reload cannot change it", &w->dir);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_ws_bus_watch_init_process(ngx_cycle_t *cycle,
    ngx_http_ws_bus_source_main_conf_t *smcf)
{
    ngx_uint_t                 i;
    ngx_event_t               *ev;
    ngx_http_ws_bus_watch_t  **w;

    if (smcf->watches.nelts == 0) {
        return;
    }

    ngx_http_ws_bus_watches = &smcf->watches;

    w = smcf->watches.elts;

    for (i = 0; i < smcf->watches.nelts; i++) {
        ev = &w[i]->look;
        ev->handler = ngx_http_ws_bus_watch_look_handler;
        ev->log = cycle->log;
        ev->data = w[i];
        ev->cancelable = 1;
    }

    ev = &ngx_http_ws_bus_watch_ticks;
    ev->handler = ngx_http_ws_bus_watch_tick_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_no_connection;
    ev->cancelable = 1;

    /* at once, but when the process is ready */
    ngx_post_event(ev, &ngx_posted_events);
}


void
ngx_http_ws_bus_watch_exit_process(void)
{
    ngx_uint_t                 i;
    ngx_http_ws_bus_watch_t  **w;

    if (ngx_http_ws_bus_watches == NULL) {
        return;
    }

    w = ngx_http_ws_bus_watches->elts;

    for (i = 0; i < ngx_http_ws_bus_watches->nelts; i++) {
        if (w[i]->term != 0) {
            ngx_http_ws_bus_watch_leave(w[i]);
        }
    }
}


static void
ngx_http_ws_bus_watch_tick_handler(ngx_event_t *ev)
{
    ngx_uint_t                 i;
    ngx_http_ws_bus_watch_t  **w;

    w = ngx_http_ws_bus_watches->elts;

    for (i = 0; i < ngx_http_ws_bus_watches->nelts; i++) {
        ngx_http_ws_bus_watch_tick(w[i]);
    }

    ngx_add_timer(ev, NGX_HTTP_WS_BUS_WATCH_TICK);
}


static void
ngx_http_ws_bus_watch_tick(ngx_http_ws_bus_watch_t *w)
{
    struct stat  st;

    if (w->term == 0) {

        if (!ngx_exiting) {
            ngx_http_ws_bus_watch_take(w);
        }

        return;
    }

    if ((ngx_exiting && ngx_http_ws_bus_worker_succeeded())
        || !wsb_lease_beat(&w->shared->lease, (uint32_t) ngx_pid, w->term,
                           ngx_current_msec))
    {
        /* of a newer configuration, which may not have it any more */
        ngx_http_ws_bus_watch_leave(w);
        return;
    }

    /* inotify follows what was opened, not the path: a link may be turned */

    if (w->blind
            ? ++w->ticks % NGX_HTTP_WS_BUS_WATCH_BLIND == 0
            : (stat((char *) w->dir.data, &st) == -1
               || st.st_dev != w->dev || st.st_ino != w->ino))
    {
        ngx_http_ws_bus_watch_look(w);
    }
}


static void
ngx_http_ws_bus_watch_take(ngx_http_ws_bus_watch_t *w)
{
    uint32_t  pid;
    uint64_t  generation;

    pid = (uint32_t) ngx_pid;
    generation = ngx_http_ws_bus_worker_generation();

    if (!wsb_lease_free(&w->shared->lease, pid, generation, ngx_current_msec,
                        ngx_http_ws_bus_worker_gone))
    {
        return;
    }

    ngx_shmtx_lock(&w->shpool->mutex);

    /* 0: somebody has been faster */

    w->term = wsb_lease_take_locked(&w->shared->lease, pid, generation,
                                    ngx_current_msec,
                                    ngx_http_ws_bus_worker_gone);

    ngx_shmtx_unlock(&w->shpool->mutex);

    if (w->term == 0) {
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "ws_bus_watch: this worker looks after \"%V\"", &w->dir);

    w->logged = 0;

    ngx_http_ws_bus_watch_listen(w);
    ngx_http_ws_bus_watch_look(w);
}


void
ngx_http_ws_bus_watch_leave(ngx_http_ws_bus_watch_t *w)
{
    ngx_shmtx_lock(&w->shpool->mutex);
    wsb_lease_leave_locked(&w->shared->lease, (uint32_t) ngx_pid, w->term);
    ngx_shmtx_unlock(&w->shpool->mutex);

    w->term = 0;
    w->burst.pending = 0;

    if (w->look.timer_set) {
        ngx_del_timer(&w->look);
    }

    if (w->connection != NULL) {
        ngx_close_connection(w->connection);
        w->connection = NULL;
    }
}


/* Without inotify, which has its limits, we look once a second. */

static void
ngx_http_ws_bus_watch_listen(ngx_http_ws_bus_watch_t *w)
{
    int                fd;
    ngx_uint_t         i;
    ngx_connection_t  *c;

    for (i = 0; i < NGX_HTTP_WS_BUS_WATCH_DIRS; i++) {
        w->wd[i] = -1;
    }

    fd = inotify_init1(IN_NONBLOCK|IN_CLOEXEC);
    if (fd == -1) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "inotify_init1() failed: \"%V\" is looked at once a "
                      "second", &w->dir);
        return;
    }

    c = ngx_get_connection(fd, ngx_cycle->log);
    if (c == NULL) {
        (void) close(fd);
        return;
    }

    c->data = w;
    c->log = ngx_cycle->log;
    c->read->handler = ngx_http_ws_bus_watch_read_handler;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;

    /* not a client: nginx neither closes nor reports it at exit */
    c->read->channel = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT,
                      (ngx_event_flags & NGX_USE_CLEAR_EVENT)
                          ? NGX_CLEAR_EVENT : 0)
        != NGX_OK)
    {
        ngx_close_connection(c);
        return;
    }

    w->connection = c;
}


static void
ngx_http_ws_bus_watch_read_handler(ngx_event_t *rev)
{
    char                        *p;
    ssize_t                      n;
    ngx_uint_t                   i;
    ngx_connection_t            *c;
    ngx_http_ws_bus_watch_t     *w;
    const struct inotify_event  *e;
    char                         buf[4096]
                 __attribute__((aligned(__alignof__(struct inotify_event))));

    c = rev->data;
    w = c->data;

    ngx_http_ws_bus_turn();

    for (i = 0; i < NGX_HTTP_WS_BUS_WATCH_READS; i++) {

        n = read(c->fd, buf, sizeof(buf));

        if (n <= 0) {

            if (n == -1 && ngx_errno != NGX_EAGAIN) {
                ngx_log_error(NGX_LOG_ALERT, rev->log, ngx_errno,
                              "read() of inotify failed");
            }

            break;
        }

        for (p = buf; p < buf + n; p += sizeof(*e) + e->len) {
            e = (const struct inotify_event *) p;

            if (ngx_http_ws_bus_watch_hint(w, e)) {
                wsb_watch_heard(&w->burst, ngx_current_msec);
            }
        }
    }

    if (i == NGX_HTTP_WS_BUS_WATCH_READS) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }

    if (w->burst.pending && !w->look.timer_set) {
        ngx_add_timer(&w->look, WSB_WATCH_QUIET);
    }
}


/*
 * Is it worth a look?  Also one of our folders, or a link in place of one, or
 * a link through which files are reached ("..data"); and, without a name, the
 * directory itself, or that the kernel has lost events.
 */

static ngx_uint_t
ngx_http_ws_bus_watch_hint(ngx_http_ws_bus_watch_t *w,
    const struct inotify_event *e)
{
    ngx_uint_t  i;

    if (e->len == 0
        || ngx_strncmp(e->name, "..", 2) == 0
        || wsb_watch_wanted(&w->conf, e->name))
    {
        return 1;
    }

    for (i = 1; i < NGX_HTTP_WS_BUS_WATCH_DIRS; i++) {
        if (ngx_strcmp(e->name, ngx_http_ws_bus_watch_folders[i]) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_ws_bus_watch_look_handler(ngx_event_t *ev)
{
    uint64_t                  due;
    ngx_http_ws_bus_watch_t  *w;

    w = ev->data;

    ngx_http_ws_bus_turn();

    due = wsb_watch_due(&w->burst);

    if (due > ngx_current_msec) {
        ngx_add_timer(ev, due - ngx_current_msec);
        return;
    }

    ngx_http_ws_bus_watch_look(w);
}

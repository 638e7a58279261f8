/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A look at a watched directory: what is there is listed, compared with what
 * was there before, and the differences are published.
 */

#include "ngx_http_ws_bus_watch.h"

#include <sys/inotify.h>
#include <dirent.h>


#define NGX_HTTP_WS_BUS_WATCH_BATCH   256     /* events appended at once */

#define NGX_HTTP_WS_BUS_WATCH_MASK                                           \
    (IN_CREATE|IN_DELETE|IN_MOVED_FROM|IN_MOVED_TO|IN_MODIFY|IN_CLOSE_WRITE  \
     |IN_ATTRIB|IN_DELETE_SELF|IN_MOVE_SELF|IN_ONLYDIR)


typedef struct {
    ngx_http_ws_bus_done_t       done;
    wsb_rc_t                     rc;
} ngx_http_ws_bus_told_t;


static void ngx_http_ws_bus_watch_trouble(ngx_http_ws_bus_watch_t *w,
    ngx_err_t err, const char *what, const char *path);
static ngx_int_t ngx_http_ws_bus_watch_names(ngx_http_ws_bus_watch_t *w,
    wsb_watch_names_t *names);
static ngx_int_t ngx_http_ws_bus_watch_folder(ngx_http_ws_bus_watch_t *w,
    ngx_uint_t i, wsb_watch_names_t *names);
static void ngx_http_ws_bus_watch_unfollowed(ngx_http_ws_bus_watch_t *w,
    ngx_uint_t i, int fd, const struct dirent *de);
static void ngx_http_ws_bus_watch_add(ngx_http_ws_bus_watch_t *w,
    ngx_uint_t i, const char *path);
static ngx_int_t ngx_http_ws_bus_watch_list(ngx_http_ws_bus_watch_t *w,
    wsb_watch_names_t *names, wsb_watch_list_t *list);
static ngx_int_t ngx_http_ws_bus_watch_stat(int fd, const char *path,
    wsb_watch_stat_t *state);
static void ngx_http_ws_bus_watch_compare(ngx_http_ws_bus_watch_t *w,
    wsb_watch_list_t *list);
static ngx_int_t ngx_http_ws_bus_watch_tell(ngx_http_ws_bus_watch_t *w,
    wsb_watch_diff_t *diff);
static void ngx_http_ws_bus_watch_told(ngx_http_ws_bus_done_t *done,
    wsb_rc_t rc, const wsb_appended_t *appended);
static void ngx_http_ws_bus_watch_event(ngx_http_ws_bus_watch_t *w,
    wsb_event_t *ev, wsb_str_t path, const char *action);


const char  *const ngx_http_ws_bus_watch_folders[] = {
    NULL, "private", "examples"
};


void
ngx_http_ws_bus_watch_look(ngx_http_ws_bus_watch_t *w)
{
    wsb_watch_list_t   list;
    wsb_watch_names_t  names;

    w->burst.pending = 0;
    w->blind = (w->connection == NULL);
    w->trouble = 0;

    if (w->look.timer_set) {
        ngx_del_timer(&w->look);
    }

    ngx_memzero(&names, sizeof(wsb_watch_names_t));
    ngx_memzero(&list, sizeof(wsb_watch_list_t));

    list.max = w->files;
    list.data = ngx_alloc(wsb_watch_bytes(w->files), ngx_cycle->log);

    if (list.data == NULL
        || ngx_http_ws_bus_watch_names(w, &names) != NGX_OK
        || ngx_http_ws_bus_watch_list(w, &names, &list) != NGX_OK)
    {
        /* what is not known has not changed */
        w->blind = 1;

    } else {
        ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "ws bus watch dir:\"%V\" files:%uD blind:%d", &w->dir,
                       list.n, w->blind);

        ngx_http_ws_bus_watch_compare(w, &list);
    }

    wsb_watch_names_done(&names);

    if (list.data != NULL) {
        ngx_free(list.data);
    }

    if (w->logged && !w->trouble) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "ws_bus_watch: \"%V\" is watched again", &w->dir);
    }

    w->logged = w->trouble;
}


/* What lasts is logged once. */

static void
ngx_http_ws_bus_watch_trouble(ngx_http_ws_bus_watch_t *w, ngx_err_t err,
    const char *what, const char *path)
{
    w->trouble = 1;

    if (!w->logged) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "ws_bus_watch: %s: \"%s\"", what, path);
    }
}


static ngx_int_t
ngx_http_ws_bus_watch_names(ngx_http_ws_bus_watch_t *w,
    wsb_watch_names_t *names)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_WS_BUS_WATCH_DIRS; i++) {

        rc = ngx_http_ws_bus_watch_folder(w, i, names);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK || i != 0) {
            continue;
        }

        /* without the directory there are no files */

        w->blind = 1;

        ngx_http_ws_bus_watch_trouble(w, 0, "there is no such directory, it "
                                      "is looked for once a second",
                                      (char *) w->dir.data);
        return NGX_OK;
    }

    wsb_watch_sort(names);

    return NGX_OK;
}


/*
 * Adds what is in one of the three.  inotify comes first: what happens while
 * we read is a hint for the next look.  NGX_DECLINED: there is no such
 * directory.
 */

static ngx_int_t
ngx_http_ws_bus_watch_folder(ngx_http_ws_bus_watch_t *w, ngx_uint_t i,
    wsb_watch_names_t *names)
{
    DIR            *dir;
    u_char          path[NGX_MAX_PATH];
    wsb_rc_t        rc;
    ngx_err_t       err;
    const char     *folder;
    struct stat     st;
    struct dirent  *de;

    folder = ngx_http_ws_bus_watch_folders[i];

    *ngx_snprintf(path, sizeof(path) - 1, folder ? "%V/%s" : "%V", &w->dir,
                  folder) = '\0';

    ngx_http_ws_bus_watch_add(w, i, (char *) path);

    dir = opendir((char *) path);

    if (dir == NULL) {
        err = ngx_errno;

        if (err == NGX_ENOENT || err == NGX_ENOTDIR) {
            return NGX_DECLINED;
        }

        ngx_http_ws_bus_watch_trouble(w, err, "opendir() failed",
                                      (char *) path);
        return NGX_ERROR;
    }

    if (i == 0 && fstat(dirfd(dir), &st) == 0) {
        w->dev = st.st_dev;
        w->ino = st.st_ino;
    }

    rc = WSB_OK;

    for (ngx_set_errno(0); (de = readdir(dir)) != NULL; ngx_set_errno(0)) {

        ngx_http_ws_bus_watch_unfollowed(w, i, dirfd(dir), de);

        if (!wsb_watch_wanted(&w->conf, de->d_name)) {
            continue;
        }

        if (de->d_type == DT_LNK) {
            /* inotify does not see what happens to what it leads to */
            w->blind = 1;
        }

        rc = wsb_watch_name(names, folder, de->d_name);

        if (rc != WSB_OK) {
            break;
        }
    }

    err = de == NULL ? ngx_errno : 0;

    (void) closedir(dir);

    if (rc == WSB_OK && err == 0) {
        return NGX_OK;
    }

    ngx_http_ws_bus_watch_trouble(w, err,
                                  rc == WSB_FULL ? "more than 65536 files"
                                                 : "readdir() failed",
                                  (char *) path);
    return NGX_ERROR;
}


/* Who puts files there waits for events that never come. */

static void
ngx_http_ws_bus_watch_unfollowed(ngx_http_ws_bus_watch_t *w, ngx_uint_t i,
    int fd, const struct dirent *de)
{
    u_char       path[NGX_MAX_PATH];
    ngx_uint_t   n;
    struct stat  st;

    if (de->d_name[0] == '.'
        || (de->d_type != DT_DIR && de->d_type != DT_LNK
            && de->d_type != DT_UNKNOWN))
    {
        return;
    }

    for (n = 1; i == 0 && n < NGX_HTTP_WS_BUS_WATCH_DIRS; n++) {
        if (ngx_strcmp(de->d_name, ngx_http_ws_bus_watch_folders[n]) == 0) {
            return;
        }
    }

    if (de->d_type != DT_DIR
        && (fstatat(fd, de->d_name, &st, 0) == -1 || !S_ISDIR(st.st_mode)))
    {
        return;
    }

    *ngx_snprintf(path, sizeof(path) - 1, i ? "%V/%s/%s" : "%V/%s%s", &w->dir,
                  i ? ngx_http_ws_bus_watch_folders[i] : "",
                  de->d_name) = '\0';

    if (wsb_watch_name_folder(w->shared, (char *) path)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "ws_bus_watch: the folder \"%s\" is not followed: of "
                      "\"%V\" only \"private\" and \"examples\" are", path,
                      &w->dir);
    }
}


/* The same directory again is the same watch. */

static void
ngx_http_ws_bus_watch_add(ngx_http_ws_bus_watch_t *w, ngx_uint_t i,
    const char *path)
{
    int        wd;
    ngx_err_t  err;

    if (w->connection == NULL) {
        return;
    }

    wd = inotify_add_watch(w->connection->fd, path,
                           NGX_HTTP_WS_BUS_WATCH_MASK);

    if (wd == -1) {
        err = ngx_errno;

        /* if it is not there, the directory above tells when it is */

        if (err != NGX_ENOENT && err != NGX_ENOTDIR) {
            w->blind = 1;
            ngx_http_ws_bus_watch_trouble(w, err, "inotify_add_watch() "
                                          "failed, it is looked at once a "
                                          "second", path);
        }
    }

    if (w->wd[i] != -1 && w->wd[i] != wd) {
        /* perhaps the kernel has removed it */
        (void) inotify_rm_watch(w->connection->fd, w->wd[i]);
    }

    w->wd[i] = wd;
}


static ngx_int_t
ngx_http_ws_bus_watch_list(ngx_http_ws_bus_watch_t *w,
    wsb_watch_names_t *names, wsb_watch_list_t *list)
{
    int                fd;
    size_t             i;
    ngx_int_t          rc;
    const char        *path;
    wsb_watch_stat_t   state;

    if (names->n == 0) {
        return NGX_OK;
    }

    fd = open((char *) w->dir.data, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    for (i = 0; i < names->n; i++) {
        path = wsb_watch_path(names, i);

        rc = ngx_http_ws_bus_watch_stat(fd, path, &state);

        if (rc == NGX_DECLINED) {
            rc = NGX_OK;
            continue;
        }

        if (rc == NGX_ERROR) {
            ngx_http_ws_bus_watch_trouble(w, ngx_errno, "fstatat() failed",
                                          path);
            break;
        }

        if (wsb_watch_add(list, path, &state) != WSB_OK) {
            ngx_http_ws_bus_watch_trouble(w, 0, "too many files, in the order "
                                          "of names these are not watched "
                                          "from here on; write \"files=\" for "
                                          "more", path);
            break;
        }
    }

    (void) close(fd);

    return rc;
}


/* NGX_DECLINED: it is gone again, or no file. */

static ngx_int_t
ngx_http_ws_bus_watch_stat(int fd, const char *path, wsb_watch_stat_t *state)
{
    ngx_err_t    err;
    struct stat  st;

    if (fstatat(fd, path, &st, 0) == -1) {
        err = ngx_errno;

        if (err == NGX_ENOENT || err == NGX_ENOTDIR) {
            return NGX_DECLINED;
        }

        /* a link that leads where we cannot go is as good as none */

        if (fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0
            && S_ISLNK(st.st_mode))
        {
            return NGX_DECLINED;
        }

        /* what is there, but cannot be looked at, must not seem deleted */

        ngx_set_errno(err);

        return NGX_ERROR;
    }

    if (!S_ISREG(st.st_mode)) {
        return NGX_DECLINED;
    }

    state->mtime = (uint64_t) st.st_mtim.tv_sec * 1000000000
                   + (uint64_t) st.st_mtim.tv_nsec;
    state->ctime = (uint64_t) st.st_ctim.tv_sec * 1000000000
                   + (uint64_t) st.st_ctim.tv_nsec;
    state->size = (uint64_t) st.st_size;
    state->ino = (uint64_t) st.st_ino;
    state->dev = (uint64_t) st.st_dev;

    return NGX_OK;
}


/*
 * Told and noted under one hold of the mutex, so that nobody who takes the
 * directory over tells it again.  Who dies in between has told it, and the
 * next owner tells it once more: nothing is lost.  The mutex of the bus is
 * taken within; never the other way round.
 */

static void
ngx_http_ws_bus_watch_compare(ngx_http_ws_bus_watch_t *w,
    wsb_watch_list_t *list)
{
    ngx_int_t         rc;
    ngx_uint_t        mine;
    wsb_watch_diff_t  diff;
    wsb_watch_list_t  was;

    ngx_memzero(&diff, sizeof(wsb_watch_diff_t));

    diff.was = &was;
    diff.is = list;
    rc = NGX_OK;

    ngx_shmtx_lock(&w->shpool->mutex);

    mine = wsb_lease_held_locked(&w->shared->lease, (uint32_t) ngx_pid,
                                 w->term);

    if (mine) {

        /* what was there when we began is no change */

        if (wsb_watch_get_locked(w->shared, &was)) {
            rc = ngx_http_ws_bus_watch_tell(w, &diff);
        }

        if (rc == NGX_OK) {
            wsb_watch_set_locked(w->shared, list);
        }
    }

    ngx_shmtx_unlock(&w->shpool->mutex);

    if (!mine) {
        ngx_http_ws_bus_watch_leave(w);

    } else if (rc != NGX_OK) {
        w->blind = 1;
        ngx_http_ws_bus_watch_trouble(w, 0, "changes could not be published, "
                                      "they are tried again",
                                      (char *) w->dir.data);
    }
}


static ngx_int_t
ngx_http_ws_bus_watch_tell(ngx_http_ws_bus_watch_t *w, wsb_watch_diff_t *diff)
{
    wsb_rc_t                 rc;
    wsb_str_t                path;
    const char              *action;
    ngx_uint_t               more;
    wsb_batch_t              batch;
    wsb_event_t              ev;
    wsb_batch_conf_t         conf;
    ngx_http_ws_bus_told_t   told;

    ngx_memzero(&batch, sizeof(wsb_batch_t));

    wsb_zone_batch(w->bus->zone, &conf);

    told.done.handler = ngx_http_ws_bus_watch_told;

    do {
        more = wsb_watch_next(diff, &path, &action) == WSB_OK;
        rc = WSB_OK;

        if (more) {
            ngx_http_ws_bus_watch_event(w, &ev, path, action);
            rc = wsb_batch_add(&batch, &ev, &conf);
        }

        /* one that is too long, or the rest */

        if (batch.nentries == NGX_HTTP_WS_BUS_WATCH_BATCH
            || rc == WSB_ERROR
            || (!more && batch.nentries != 0))
        {
            if (batch.nentries != 0) {
                ngx_http_ws_bus_append_submit(w->bus, &batch, NULL, NULL,
                                              &told.done);

                if (told.rc != WSB_OK) {
                    wsb_batch_done(&batch);
                    return NGX_ERROR;
                }
            }

            wsb_batch_done(&batch);

            if (rc == WSB_ERROR) {
                rc = wsb_batch_add(&batch, &ev, &conf);
            }
        }

    } while (more && rc == WSB_OK);

    wsb_batch_done(&batch);

    return rc == WSB_OK ? NGX_OK : NGX_ERROR;
}


/* At once: what is told is noted in the same hold. */

static void
ngx_http_ws_bus_watch_told(ngx_http_ws_bus_done_t *done, wsb_rc_t rc,
    const wsb_appended_t *appended)
{
    ngx_http_ws_bus_told_t  *told = (ngx_http_ws_bus_told_t *) done;

    told->rc = rc;
}


static void
ngx_http_ws_bus_watch_event(ngx_http_ws_bus_watch_t *w, wsb_event_t *ev,
    wsb_str_t path, const char *action)
{
    static const wsb_str_t  entity = wsb_string("entity");
    static const wsb_str_t  config = wsb_string("config");

    ngx_memzero(ev, sizeof(wsb_event_t));

    ev->field[WSB_KIND] = entity;
    ev->field[WSB_ENTITY_TYPE] = config;
    ev->field[WSB_ENTITY_ID] = path;
    ev->field[WSB_TENANT] = wsb_watch_tenant(&w->conf, path);
    ev->field[WSB_ACTION].data = (const uint8_t *) action;
    ev->field[WSB_ACTION].len = ngx_strlen(action);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "ws bus watch dir:\"%V\" %s:\"%*s\"", &w->dir, action,
                   path.len, path.data);
}

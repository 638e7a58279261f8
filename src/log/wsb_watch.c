/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE                       /* memrchr(), qsort_r() */
#endif

#include "wsb_watch.h"

#include <fnmatch.h>


typedef struct {
    wsb_watch_stat_t      stat;
    uint64_t              len;
    uint8_t               path[];         /* padded to 8 */
} wsb_watch_file_t;


/* Room for one more, of the longest path, that a cut list does not hold. */

#define WSB_WATCH_LAST                                                       \
    ((sizeof(wsb_watch_file_t) + WSB_WATCH_NAME + 16 + 7) & ~(size_t) 7)


static const wsb_watch_file_t *wsb_watch_file(const wsb_watch_list_t *list,
    size_t pos);
static const wsb_watch_file_t *wsb_watch_cut(const wsb_watch_list_t *list);
static const wsb_watch_file_t *wsb_watch_at(const uint8_t *data, size_t left);
static size_t wsb_watch_file_size(size_t len);
static int wsb_watch_order(const wsb_watch_file_t *a,
    const wsb_watch_file_t *b);
static int wsb_watch_before(const void *a, const void *b, void *bytes);


int
wsb_watch_wanted(const wsb_watch_conf_t *conf, const char *name)
{
    size_t     i;
    wsb_str_t  s;

    s.data = (const uint8_t *) name;
    s.len = strlen(name);

    if (s.len == 0
        || s.len > WSB_WATCH_NAME
        || name[0] == '.'
        || fnmatch(conf->pattern, name, FNM_PERIOD) != 0)
    {
        return 0;
    }

    for (i = 0; i < conf->nignore; i++) {
        if (wsb_str_eq(&conf->ignore[i], name)) {
            return 0;
        }
    }

    return wsb_text_valid(s);
}


wsb_str_t
wsb_watch_tenant(const wsb_watch_conf_t *conf, wsb_str_t path)
{
    const uint8_t  *p;

    if (conf->tenant.data != NULL) {
        return conf->tenant;
    }

    p = memrchr(path.data, '/', path.len);

    if (p != NULL) {
        path.len -= p + 1 - path.data;
        path.data = p + 1;
    }

    p = memrchr(path.data, '.', path.len);

    if (p != NULL) {
        path.len = p - path.data;
    }

    return path;
}


wsb_rc_t
wsb_watch_name(wsb_watch_names_t *names, const char *folder,
    const char *name)
{
    void    *p;
    size_t   n;

    if (names->n == WSB_WATCH_NAMES) {
        return WSB_FULL;
    }

    if (names->n == names->nalloc) {
        n = names->nalloc ? 2 * names->nalloc : 64;

        p = wsb_realloc(names->offset, n * sizeof(uint32_t));
        if (p == NULL) {
            return WSB_NOMEM;
        }

        names->offset = p;
        names->nalloc = n;
    }

    names->offset[names->n] = (uint32_t) names->bytes.len;

    if (folder != NULL) {
        wsb_text_lit(&names->bytes, folder);
        wsb_text_lit(&names->bytes, "/");
    }

    wsb_text_add(&names->bytes, name, strlen(name) + 1);

    if (names->bytes.failed) {
        return WSB_NOMEM;
    }

    names->n++;

    return WSB_OK;
}


void
wsb_watch_sort(wsb_watch_names_t *names)
{
    if (names->n > 1) {
        qsort_r(names->offset, names->n, sizeof(uint32_t), wsb_watch_before,
                names->bytes.data);
    }
}


static int
wsb_watch_before(const void *a, const void *b, void *bytes)
{
    return strcmp((char *) bytes + *(const uint32_t *) a,
                  (char *) bytes + *(const uint32_t *) b);
}


const char *
wsb_watch_path(const wsb_watch_names_t *names, size_t i)
{
    return (const char *) names->bytes.data + names->offset[i];
}


void
wsb_watch_names_done(wsb_watch_names_t *names)
{
    wsb_free(names->offset);
    wsb_text_done(&names->bytes);
    memset(names, 0, sizeof(wsb_watch_names_t));
}


size_t
wsb_watch_bytes(uint32_t max)
{
    return (size_t) max * WSB_WATCH_EACH + WSB_WATCH_LAST;
}


wsb_rc_t
wsb_watch_add(wsb_watch_list_t *list, const char *path,
    const wsb_watch_stat_t *st)
{
    size_t             len, need, room;
    wsb_watch_file_t  *file;

    len = strlen(path);
    need = wsb_watch_file_size(len);
    room = wsb_watch_bytes(list->max) - WSB_WATCH_LAST - list->len;

    if (need > WSB_WATCH_LAST) {
        /* no name is that long: see wsb_watch_wanted() */
        return WSB_ERROR;
    }

    file = (wsb_watch_file_t *) (list->data + list->len);

    file->stat = *st;
    file->len = len;
    memcpy(file->path, path, len);

    if (list->n == list->max || need > room) {
        list->cut = need;
        return WSB_FULL;
    }

    list->len += need;
    list->n++;

    return WSB_OK;
}


static size_t
wsb_watch_file_size(size_t len)
{
    return (sizeof(wsb_watch_file_t) + len + 7) & ~(size_t) 7;
}


wsb_rc_t
wsb_watch_next(wsb_watch_diff_t *diff, wsb_str_t *path, const char **action)
{
    int                      order;
    const wsb_watch_file_t  *was, *is, *file, *unknown;

    for ( ;; ) {
        was = wsb_watch_file(diff->was, diff->was_pos);
        is = wsb_watch_file(diff->is, diff->is_pos);

        if (was == NULL && is == NULL) {
            return WSB_DONE;
        }

        order = was == NULL ? 1 : is == NULL ? -1 : wsb_watch_order(was, is);

        if (order <= 0) {
            diff->was_pos += wsb_watch_file_size(was->len);
        }

        if (order >= 0) {
            diff->is_pos += wsb_watch_file_size(is->len);
        }

        if (order == 0) {

            if (memcmp(&was->stat, &is->stat, sizeof(wsb_watch_stat_t)) == 0) {
                continue;
            }

            *action = "modified";
            file = is;

        } else {
            file = order < 0 ? was : is;

            /* may the other list only not have had room for it? */

            unknown = wsb_watch_cut(order < 0 ? diff->is : diff->was);

            if (unknown != NULL && wsb_watch_order(file, unknown) >= 0) {
                continue;
            }

            *action = order < 0 ? "deleted" : "created";
        }

        path->data = file->path;
        path->len = file->len;

        return WSB_OK;
    }
}


/* What lies in shared memory is not believed to be what we have written. */

static const wsb_watch_file_t *
wsb_watch_file(const wsb_watch_list_t *list, size_t pos)
{
    return pos > list->len ? NULL
                           : wsb_watch_at(list->data + pos, list->len - pos);
}


static const wsb_watch_file_t *
wsb_watch_cut(const wsb_watch_list_t *list)
{
    return list->cut == 0 ? NULL
                          : wsb_watch_at(list->data + list->len, list->cut);
}


static const wsb_watch_file_t *
wsb_watch_at(const uint8_t *data, size_t left)
{
    const wsb_watch_file_t  *file;

    if (left < sizeof(wsb_watch_file_t)) {
        return NULL;
    }

    file = (const wsb_watch_file_t *) data;

    if (file->len > left || wsb_watch_file_size(file->len) > left) {
        return NULL;
    }

    return file;
}


static int
wsb_watch_order(const wsb_watch_file_t *a, const wsb_watch_file_t *b)
{
    int     order;
    size_t  len;

    len = a->len < b->len ? a->len : b->len;
    order = memcmp(a->path, b->path, len);

    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}


void
wsb_watch_heard(wsb_watch_burst_t *burst, uint64_t now)
{
    if (!burst->pending) {
        burst->pending = 1;
        burst->first = now;
    }

    burst->last = now;
}


uint64_t
wsb_watch_due(const wsb_watch_burst_t *burst)
{
    uint64_t  quiet, longest;

    quiet = burst->last + WSB_WATCH_QUIET;
    longest = burst->first + WSB_WATCH_LONGEST;

    return quiet < longest ? quiet : longest;
}


size_t
wsb_watch_size(uint32_t max)
{
    return sizeof(wsb_watch_t) + 2 * wsb_watch_bytes(max);
}


void
wsb_watch_init(wsb_watch_t *w, uint32_t max)
{
    memset(w, 0, sizeof(wsb_watch_t));

    w->max = max;
    w->layout = WSB_WATCH_LAYOUT;
    w->magic = WSB_WATCH_MAGIC;
}


int
wsb_watch_valid(const wsb_watch_t *w, uint32_t max)
{
    return w->magic == WSB_WATCH_MAGIC && w->layout == WSB_WATCH_LAYOUT
           && w->max == max;
}


int
wsb_watch_get_locked(wsb_watch_t *w, wsb_watch_list_t *list)
{
    size_t    bytes;
    unsigned  i;

    memset(list, 0, sizeof(wsb_watch_list_t));

    bytes = wsb_watch_bytes(w->max);
    i = __atomic_load_n(&w->current, __ATOMIC_ACQUIRE) - 1;

    list->data = w->data;
    list->max = w->max;

    if (i > 1) {
        return 0;
    }

    list->data = w->data + i * bytes;

    if (w->len[i] <= bytes && w->cut[i] <= bytes - w->len[i]) {
        list->len = w->len[i];
        list->cut = w->cut[i];
        list->n = w->n[i];
    }

    return 1;
}


/* The other list is written, then it is the one that counts. */

void
wsb_watch_set_locked(wsb_watch_t *w, const wsb_watch_list_t *list)
{
    unsigned  i;

    i = w->current == 1 ? 1 : 0;

    memcpy(w->data + i * wsb_watch_bytes(w->max), list->data,
           list->len + list->cut);

    w->len[i] = list->len;
    w->cut[i] = list->cut;
    w->n[i] = list->n;

    __atomic_store_n(&w->current, i + 1, __ATOMIC_RELEASE);
}


/* FNV-1a: two that are the same to it are named as one. */

int
wsb_watch_name_folder(wsb_watch_t *w, const char *path)
{
    uint32_t  i, hash;

    hash = 2166136261u;

    while (*path) {
        hash = (hash ^ (uint8_t) *path++) * 16777619u;
    }

    for (i = 0; i < w->nfolders && i < WSB_WATCH_FOLDERS; i++) {
        if (w->folders[i] == hash) {
            return 0;
        }
    }

    if (i == WSB_WATCH_FOLDERS) {
        return 0;
    }

    w->folders[i] = hash;
    w->nfolders = i + 1;

    return 1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Files of a directory: which of them count, what has changed since they were
 * last looked at, and when to look again.
 *
 * The list of the last look is in shared memory, where the next process finds
 * it that looks after the directory.
 */

#ifndef WSB_WATCH_H
#define WSB_WATCH_H


#include "wsb_lease.h"
#include "../json/wsb_text.h"


#define WSB_WATCH_MAGIC           0x6863746177627377ULL
#define WSB_WATCH_LAYOUT          3

#define WSB_WATCH_FILES           4096    /* of a list, by default */
#define WSB_WATCH_FILES_MAX       65536
#define WSB_WATCH_EACH            88      /* bytes for each: 40 of its path */
#define WSB_WATCH_NAMES           65536   /* that match, before it is cut */
#define WSB_WATCH_FOLDERS         64      /* that are named in the log */
#define WSB_WATCH_NAME            240     /* bytes of one, without folder */

#define WSB_WATCH_QUIET           100     /* ms without a change: look */
#define WSB_WATCH_LONGEST         500     /* or this long after the first */


typedef struct {
    const char           *pattern;        /* of fnmatch() */
    const wsb_str_t      *ignore;         /* names */
    size_t                nignore;
    wsb_str_t             tenant;         /* data NULL: the stem */
} wsb_watch_conf_t;


/*
 * Does a file of this name count?  It must match, not be ignored, not begin
 * with a dot, and be something that an event can carry.
 */
int wsb_watch_wanted(const wsb_watch_conf_t *conf, const char *name);

/* Of the file at this path: part of it, or the configured one. */
wsb_str_t wsb_watch_tenant(const wsb_watch_conf_t *conf, wsb_str_t path);


/* Paths as they are found; malloc'd. */

typedef struct {
    wsb_text_t            bytes;          /* each ends with a NUL */
    uint32_t             *offset;
    size_t                n;
    size_t                nalloc;
} wsb_watch_names_t;

/* folder is NULL or a name.  NOMEM, or FULL after WSB_WATCH_NAMES. */
wsb_rc_t wsb_watch_name(wsb_watch_names_t *names, const char *folder,
    const char *name);

/* In the order of their bytes: what is cut off is always the same. */
void wsb_watch_sort(wsb_watch_names_t *names);
const char *wsb_watch_path(const wsb_watch_names_t *names, size_t i);
void wsb_watch_names_done(wsb_watch_names_t *names);


/* What tells one state of a file from another. */

typedef struct {
    uint64_t              mtime;          /* ns */
    uint64_t              ctime;          /* ns */
    uint64_t              size;
    uint64_t              ino;
    uint64_t              dev;
} wsb_watch_stat_t;


/*
 * What was seen of them.  data has wsb_watch_bytes(max), aligned to 8.  Of a
 * list that was cut, the path of the first file that is not in it lies behind
 * len: nothing is known of that one and of those after it.
 */

typedef struct {
    uint8_t              *data;
    uint32_t              max;            /* files */
    uint32_t              len;
    uint32_t              n;
    uint32_t              cut;            /* bytes behind len; 0: it is whole */
} wsb_watch_list_t;

/* Bytes of a list of so many files. */
size_t wsb_watch_bytes(uint32_t max);

/*
 * In ascending order of paths.  FULL: it is as long as it may be, and is cut
 * here; it must be the last call.
 */
wsb_rc_t wsb_watch_add(wsb_watch_list_t *list, const char *path,
    const wsb_watch_stat_t *st);


/*
 * A walk over the differences of two lists.  What one of them does not know
 * is no difference.
 */

typedef struct {
    const wsb_watch_list_t  *was;
    const wsb_watch_list_t  *is;
    size_t                   was_pos;
    size_t                   is_pos;
} wsb_watch_diff_t;

/* OK, or DONE.  action is "created", "modified" or "deleted". */
wsb_rc_t wsb_watch_next(wsb_watch_diff_t *diff, wsb_str_t *path,
    const char **action);


/*
 * Changes that follow each other at once are one.  Milliseconds of any clock
 * that does not go back; zeroed at first.
 */

typedef struct {
    uint64_t              first;
    uint64_t              last;
    int                   pending;
} wsb_watch_burst_t;

void wsb_watch_heard(wsb_watch_burst_t *burst, uint64_t now);

/* When to look, if something is pending. */
uint64_t wsb_watch_due(const wsb_watch_burst_t *burst);


/*
 * What the processes share: who looks after the directory, and two lists, one
 * of which counts.  All of it is changed under a mutex, but for what the
 * lease says of itself.  A death at any point leaves the old list or the new
 * one.
 */

typedef struct {
    uint64_t              magic;
    uint32_t              layout;
    uint32_t              max;            /* files of a list */
    wsb_lease_t           lease;
    uint32_t              current;        /* list + 1; 0: never looked at */
    uint32_t              len[2];
    uint32_t              n[2];
    uint32_t              cut[2];
    uint32_t              nfolders;
    uint32_t              folders[WSB_WATCH_FOLDERS];    /* named: hashes */
    uint8_t               data[] __attribute__((aligned(8)));
} wsb_watch_t;

/* Bytes of all of it. */
size_t wsb_watch_size(uint32_t max);

void wsb_watch_init(wsb_watch_t *w, uint32_t max);
int wsb_watch_valid(const wsb_watch_t *w, uint32_t max);

/* The list that counts, in place.  0: there is none yet, it is empty. */
int wsb_watch_get_locked(wsb_watch_t *w, wsb_watch_list_t *list);
void wsb_watch_set_locked(wsb_watch_t *w, const wsb_watch_list_t *list);

/*
 * Is this folder to be named in the log?  Once each, as long as the directive
 * stays the same, and WSB_WATCH_FOLDERS at most.  Only for the owner.
 */
int wsb_watch_name_folder(wsb_watch_t *w, const char *path);


#endif /* WSB_WATCH_H */

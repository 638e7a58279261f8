/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Notices: what is to be told of connections, later, and must not be lost with
 * the process that was to tell it.
 *
 * A table of cells in shared memory.  A notice is live while its connection
 * is, due from its end on (or at once, if it tells of the beginning), sent
 * while the call that tells it is under way, and free again when the answer
 * is there.  Who writes a notice is its owner; when that process has died, a
 * sweep gives its notices to another, and those that were live are due.
 *
 * Everything named _locked is called with the mutex of that memory held.  A
 * process may die at any instruction of it: a notice is there as a whole or
 * not at all, and cells that belong to none are found by the next sweep.
 */

#ifndef WSB_NOTICE_H
#define WSB_NOTICE_H


#include "../wsb.h"
#include "../json/wsb_text.h"


#define WSB_DOMAIN_NOTICES        82      /* of wsb_hash(): see wsb_quota.h */

#define WSB_NOTICE_CELL           256     /* bytes */
#define WSB_NOTICE_HEAD           192     /* bytes of text in a first cell, */
#define WSB_NOTICE_REST           248     /* and in each of the others */
#define WSB_NOTICE_TEXT           8192    /* bytes of a notice's text */
#define WSB_NOTICE_WORKERS        512
#define WSB_NOTICE_CELLS_MAX      (1 << 24)


typedef enum {
    WSB_NOTICE_FREE = 0,
    WSB_NOTICE_LIVE,
    WSB_NOTICE_DUE,
    WSB_NOTICE_SENT,
    WSB_NOTICE_CHAINED                    /* a cell that is no first one */
} wsb_notice_state_t;


typedef struct {
    uint32_t              state;          /* written last, changed alone */
    uint32_t              next;           /* cell + 1 of its rest, or 0 */
    uint32_t              pid;            /* of its owner */
    uint32_t              len;            /* of the text */
    uint64_t              number;         /* no two notices have the same */
    uint64_t              hook;           /* by whom it is told: a hash */
    uint64_t              key;            /* whose it is: a hash; 0: nobody's */
    uint64_t              due;            /* ms of the processes' clock */
    uint64_t              at;             /* ms since 1970: when it happened */
    uint32_t              delay;          /* ms, from its end until it is due */
    uint32_t              pad;
    uint8_t               text[WSB_NOTICE_HEAD];
} wsb_notice_cell_t;


typedef struct {
    uint32_t              state;
    uint32_t              next;
    uint8_t               text[WSB_NOTICE_REST];
} wsb_notice_rest_t;


/* Behind it the cells, a stack of free ones, and hints for keys. */

typedef struct {
    uint64_t              layout;
    uint32_t              ncells;
    uint32_t              nfree;
    uint32_t              nhints;         /* a power of two */
    uint32_t              pad;
    uint64_t              number;         /* of the latest notice */
    uint32_t              pids[WSB_NOTICE_WORKERS];
} wsb_notices_t;


/* Which notice; number 0: none.  It may be another's by now. */

typedef struct {
    uint64_t              number;
    uint32_t              cell;
} wsb_notice_t;


/* Of a notice to be added. */

typedef struct {
    uint32_t              pid;
    uint64_t              hook;
    uint64_t              key;
    uint64_t              due;            /* 0: it is live */
    uint64_t              at;
    uint32_t              delay;
    wsb_str_t             text;
} wsb_notice_new_t;


/* How many cells fit into so many bytes; 0: none. */
uint32_t wsb_notice_table_cells(size_t size);

/* All zero before. */
void wsb_notice_table_init(wsb_notices_t *table, uint32_t ncells);
int wsb_notice_table_valid(const wsb_notices_t *table, uint32_t ncells);

/* This process owns notices from now on.  WSB_FULL: too many do. */
wsb_rc_t wsb_notice_join_locked(wsb_notices_t *table, uint32_t pid);

/* WSB_FULL: there is no room.  WSB_ERROR: the text is too long. */
wsb_rc_t wsb_notice_add_locked(wsb_notices_t *table,
    const wsb_notice_new_t *add, wsb_notice_t *notice);

/* Its connection has ended.  WSB_NOTFOUND: it is not there, or not live. */
wsb_rc_t wsb_notice_end_locked(wsb_notices_t *table,
    const wsb_notice_t *notice, uint32_t pid, uint64_t due, uint64_t at);

/*
 * Takes back a notice about this key that is due and not yet sent, if one
 * is found: a hint may have been overwritten.
 */
int wsb_notice_cancel_locked(wsb_notices_t *table, uint64_t hook,
    uint64_t key);

/*
 * Its text is added to t, and it is sent.  WSB_NOTFOUND: it is not there, or
 * not this process's.  WSB_NOMEM: it is as it was.
 */
wsb_rc_t wsb_notice_send_locked(wsb_notices_t *table,
    const wsb_notice_t *notice, uint32_t pid, wsb_text_t *t, uint64_t *at);

/* The answer: it has been told, or it is due again.  Nothing: not there. */
void wsb_notice_told_locked(wsb_notices_t *table, const wsb_notice_t *notice,
    uint32_t pid, int told);

/* It is not to be told, whatever its state. */
void wsb_notice_drop_locked(wsb_notices_t *table, const wsb_notice_t *notice,
    uint32_t pid);

/*
 * If a process of the table has died, its notices are this one's, those that
 * were live are due after their delay, and each is told to fn, in no order.
 * Returns how many processes had died.
 */
typedef void (*wsb_notice_found_pt)(void *data, const wsb_notice_t *notice,
    uint64_t hook, uint64_t due);

unsigned wsb_notice_sweep_locked(wsb_notices_t *table, uint32_t pid,
    uint64_t now, uint64_t at, int (*gone)(uint32_t pid),
    wsb_notice_found_pt fn, void *data);

/* Has one died?  Without the mutex. */
int wsb_notice_orphaned(const wsb_notices_t *table,
    int (*gone)(uint32_t pid));


#endif /* WSB_NOTICE_H */

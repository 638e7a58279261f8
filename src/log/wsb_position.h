/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Positions: the arithmetic of where a client and its subscriptions stand.
 *
 * A client has one position, a seq and an ordinal: every frame before it has
 * been handed to its transport.  A frame belongs to a record and to one of
 * the client's subscriptions; within a record the subscriptions come in the
 * order of their ordinals.  Each subscription has a `from`: records before it
 * are not for it.
 *
 * What a subscription has not been sent begins at its *next*; resuming, gaps
 * and last_id use nothing else.  All is private to the process that owns the
 * client; nothing here reads shared memory.
 */

#ifndef WSB_POSITION_H
#define WSB_POSITION_H


#include "../wsb.h"


typedef struct {
    uint64_t              seq;
    uint32_t              ordinal;        /* of the next frame; 0: the first */
} wsb_position_t;


/*
 * A bit of `from`: the subscription waits for a snapshot, and no record is for
 * it.  What it has not been sent begins at the rest of `from`, or later.
 */

#define WSB_POSITION_WAITS        ((uint64_t) 1 << 63)


/* Where a subscription begins. */

typedef enum {
    WSB_SINCE_NONE = 0,             /* with what is published from now on */
    WSB_SINCE_NOW,                  /* the same, and it is resume-aware */
    WSB_SINCE_FIRST,                /* with the oldest event retained */
    WSB_SINCE_ID                    /* after this event */
} wsb_since_t;


/* What a subscription gets that begins somewhere. */

typedef struct {
    uint64_t              from;           /* the first record it may get */
    int                   recovered;      /* 1, 0, or -1: not asked for */
    uint64_t              gap;            /* up to here some may be missing;
                                             with recovered 0 only */
} wsb_start_t;


/* The first seq that this subscription has not been sent. */

static inline uint64_t
wsb_position_next(wsb_position_t at, uint64_t from, uint32_t ordinal)
{
    uint64_t  seq = at.seq;

    if (ordinal < at.ordinal) {
        /* its frame of this record has been sent, or was none */
        seq++;
    }

    return from > seq ? from : seq;
}


/*
 * Of a client that is pushed to with nothing queued: where its worker stands.
 * next is the first record that the worker has not done; at_head is the head
 * if nothing there concerns the worker, else 0.
 */

static inline wsb_position_t
wsb_position_pushed(uint64_t next, uint64_t at_head)
{
    wsb_position_t  at = { next, 0 };

    if (at_head >= next) {
        at.seq = at_head + 1;
    }

    return at;
}


/*
 * Where a subscription begins that was counted in when the head was `head`.
 * epoch and seq are those of `since`, log_epoch that of the log; oldest is the
 * oldest record retained, head + 1 if there is none.
 */

wsb_start_t wsb_position_start(wsb_since_t since, uint64_t epoch,
    uint64_t seq, uint64_t log_epoch, uint64_t oldest, uint64_t head);

/*
 * A client goes back to `from` for one of its subscriptions: true, its
 * position must become that, before which `from` of each other subscription
 * has been raised to its next.  Never forward.
 */

static inline int
wsb_position_rewinds(wsb_position_t at, uint64_t from)
{
    return from <= at.seq;
}

/*
 * The ring has overtaken a client: the last record that is lost to it.  It
 * goes on behind that, in the middle of what is retained, so that it is not
 * overtaken again at once.
 */

uint64_t wsb_position_overtaken(wsb_position_t at, uint64_t oldest,
    uint64_t head);


#endif /* WSB_POSITION_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What costly conditions have answered for the event in hand.
 *
 * Each distinct condition is kept once, with a count, and known by a keyed
 * hash of its column and itself.  It is asked once for each row of an event,
 * however many filters have it.  Of a long `in` the values are kept in the
 * order of their hashes.
 */

#ifndef WSB_MEMO_H
#define WSB_MEMO_H


#include "wsb_where.h"


#define WSB_MEMO_NONE             UINT32_MAX

#define WSB_DOMAIN_MEMO           83      /* of wsb_hash(): see wsb_value.h */


/* A value of an `in`, and where it is among them. */

typedef struct {
    uint32_t              hash;
    uint16_t              offset;
} wsb_choice_t;


typedef struct {
    wsb_key_t             hash;
    uint64_t              turn[2];        /* of the answer for each row */
    wsb_choice_t         *choices;        /* of an `in`, or NULL */
    uint32_t              next;           /* in the bucket, or free */
    uint32_t              uses;
    uint8_t               holds[2];
} wsb_memo_t;


typedef struct {
    wsb_memo_t           *memo;
    uint32_t             *buckets;
    uint32_t              n;              /* ever in use at once */
    uint32_t              nalloc;         /* buckets, too: a power of two */
    uint32_t              free;
} wsb_memos_t;


wsb_rc_t wsb_memo_init(wsb_memos_t *memos);
void wsb_memo_done(wsb_memos_t *memos);

/* path: the hash of the column, all zero for a field of the event. */
wsb_rc_t wsb_memo_add(wsb_memos_t *memos, const uint8_t key[16],
    const wsb_condition_t *condition, const wsb_key_t *path, uint32_t *id);
void wsb_memo_remove(wsb_memos_t *memos, uint32_t id);

/*
 * Does it hold?  hash: that of column and value, NULL: it is equal to nothing;
 * looked at for an `in` alone.
 */
int wsb_memo_ask(wsb_memo_t *memo, const wsb_condition_t *condition,
    wsb_subject_t *subject, const wsb_key_t *hash);


#endif /* WSB_MEMO_H */

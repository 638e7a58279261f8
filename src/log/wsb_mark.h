/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Marks: how far a source has come whose messages may come to it again.
 *
 * A source is an outside order of messages with offsets, such as a partition
 * of a topic.  The mark of a batch is prepared before its commit and settled
 * by the head of the log, by the same writer or, after its death, by the next
 * one: so it commits with the batch, as t/model/mark.pml has it.
 *
 * All functions are for the holder of the zone's mutex.
 */

#ifndef WSB_MARK_H
#define WSB_MARK_H


#include "wsb_lease.h"
#include "../event/wsb_key.h"


#define WSB_MARKS                 128


/* In the zone. */

typedef struct {
    wsb_key_t             id;             /* h[0] 0: free; stored last */
    uint64_t              next;           /* offsets below it are in the log */
} wsb_mark_t;


typedef struct {
    uint32_t              pending;        /* place + 1 of one in between */
    uint32_t              pad;
    uint64_t              seq;            /* the last of its batch */
    uint64_t              offset;
    wsb_mark_t            mark[WSB_MARKS];
} wsb_marks_t;


/* What a batch comes with. */

typedef struct {
    wsb_key_t             id;             /* see wsb_mark_id() */
    uint64_t              offset;         /* of the batch's last message */
    uint64_t              end;            /* the first offset that the source
                                             has not; 0: it does not say */
    const wsb_lease_t    *lease;          /* of the source, or NULL: then the */
    uint32_t              pid;            /* owner, */
    uint64_t              term;           /* as it took it over */
} wsb_mark_request_t;


wsb_key_t wsb_mark_id(const uint8_t key[16], wsb_str_t source,
    uint32_t partition);

/*
 * WSB_OK        it is to be appended
 * WSB_DONE      it is in the log
 * WSB_CONFLICT  somebody else owns the source by now
 * WSB_FULL      there are too many sources
 *
 * A source that ends before its mark has been made anew: the mark is void.
 */

wsb_rc_t wsb_mark_look_locked(const wsb_marks_t *marks,
    const wsb_mark_request_t *req);

/* Before the commit of a batch that ends with this seq; look said WSB_OK. */
void wsb_mark_prepare_locked(wsb_marks_t *marks,
    const wsb_mark_request_t *req, uint64_t last);

/* Behind each commit, and before each append. */
void wsb_mark_settle_locked(wsb_marks_t *marks, uint64_t head);

/* Where its owner begins: the first offset that is not in the log. */
uint64_t wsb_mark_next_locked(const wsb_marks_t *marks, const wsb_key_t *id);


#endif /* WSB_MARK_H */

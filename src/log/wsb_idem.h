/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Idempotency keys: what a repeated publish request is answered.
 *
 * The zone remembers the last n requests that had a key, in a ring.  Look-up,
 * append and entry are one critical section.  The entry is filled before the
 * append is committed and is counted in after it: whoever finds one that was
 * left in between (its writer died) sees by the head of the log which it was.
 *
 * All functions are for the holder of the mutex.
 */

#ifndef WSB_IDEM_H
#define WSB_IDEM_H


#include "../event/wsb_key.h"


#define WSB_IDEM_KEY_MAX          256     /* bytes of an Idempotency-Key */


/* A request, as hashes: of tenant and key, and of the body. */

typedef struct {
    wsb_key_t             id;
    wsb_key_t             body;
} wsb_idem_request_t;


typedef struct {
    uint64_t              id;             /* second word of the id */
    uint64_t              body;           /* first word of the body */
    uint64_t              first;          /* seq */
    uint32_t              count;          /* of events */
    uint32_t              subscribers;
} wsb_idem_answer_t;


/* In the zone; behind it n words of ids (0: free) and n answers. */

typedef struct {
    uint32_t              n;              /* 0: none are remembered */
    uint32_t              next;           /* where the next one goes */
    uint32_t              pending;        /* place + 1 of one in between */
    uint32_t              pad;
} wsb_idem_t;


/* Bytes that the memory of n requests takes. */
size_t wsb_idem_size(size_t n);
void wsb_idem_init(wsb_idem_t *idem, size_t n);

/* tenant and key of the request, and its body, under the key of the zone. */
void wsb_idem_request(wsb_idem_request_t *req, const uint8_t key[16],
    wsb_str_t tenant, wsb_str_t idem_key, wsb_str_t body);

/*
 * WSB_OK        answer is what the same request was answered
 * WSB_NOTFOUND  it is new
 * WSB_CONFLICT  the key was used with another body
 */

wsb_rc_t wsb_idem_find_locked(const wsb_idem_t *idem,
    const wsb_idem_request_t *req, wsb_idem_answer_t *answer);

/*
 * Before the commit: fills an entry, of which nothing is known until
 * settle().  first and count are what will be appended.
 */

void wsb_idem_prepare_locked(wsb_idem_t *idem, const wsb_idem_request_t *req,
    uint64_t first, uint32_t count, uint32_t subscribers);

/*
 * Counts the prepared entry in if its events are in the log, whose head is
 * given, else forgets it.  Called behind each commit, and before each append,
 * in case that the last writer died before it could.
 */

void wsb_idem_settle_locked(wsb_idem_t *idem, uint64_t head);


#endif /* WSB_IDEM_H */

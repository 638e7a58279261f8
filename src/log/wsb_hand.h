/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a worker has in hand.
 */

#ifndef WSB_HAND_H
#define WSB_HAND_H


#include "wsb_log.h"


/*
 * In its private memory: it has done everything before `next`, and the
 * records from there to `end` may concern it.
 */

typedef struct {
    wsb_cursor_t          next;
    uint64_t              end;            /* seq; below next: nothing */
} wsb_hand_t;


static inline int
wsb_hand_empty(const wsb_hand_t *hand)
{
    return hand->next.seq > hand->end;
}


#endif /* WSB_HAND_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Leases: which process runs a source of events, when any of several could.
 *
 * The lease is in shared memory.  It is taken over when its owner is gone, of
 * an older generation, or has not shown itself for WSB_LEASE_TIME.  So an
 * owner that was only stalled may find that somebody else runs the source by
 * now: whatever an owner writes, it writes under the mutex, and asks
 * wsb_lease_held_locked() first, in the same hold, with the term that it was
 * given.  Terms grow with each take-over, and no two owners have had the
 * same.
 *
 * A death at any point leaves a lease that somebody takes over.
 */

#ifndef WSB_LEASE_H
#define WSB_LEASE_H


#include "../wsb.h"


#define WSB_LEASE_TIME            3000    /* ms */


/* All zero: nobody's.  Times are of a clock that all processes share. */

typedef struct {
    uint32_t              owner;          /* pid; 0: nobody */
    uint32_t              pad;
    uint64_t              term;           /* of the last owner; 0: none yet */
    uint64_t              generation;     /* of the owner */
    uint64_t              beat;           /* when it was last seen, ms */
} wsb_lease_t;


/*
 * May a process of this generation, which does not hold it, take it over?
 * gone() tells whether a pid has died.  Also without the mutex, as a hint.
 */

int wsb_lease_free(const wsb_lease_t *lease, uint32_t pid,
    uint64_t generation, uint64_t now, int (*gone)(uint32_t pid));

/* Takes it over if that is so: the term, or 0. */
uint64_t wsb_lease_take_locked(wsb_lease_t *lease, uint32_t pid,
    uint64_t generation, uint64_t now, int (*gone)(uint32_t pid));

/* Is it still this process that took it over with this term? */
int wsb_lease_held_locked(const wsb_lease_t *lease, uint32_t pid,
    uint64_t term);

/*
 * The owner shows itself, without the mutex.  False: it is the owner no more,
 * and must stop.
 */

int wsb_lease_beat(wsb_lease_t *lease, uint32_t pid, uint64_t term,
    uint64_t now);

/* Gives it back, if it is still held. */
void wsb_lease_leave_locked(wsb_lease_t *lease, uint32_t pid, uint64_t term);


#endif /* WSB_LEASE_H */

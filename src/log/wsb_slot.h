/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Slots: how a worker takes part in a bus, sleeps and is woken.
 */

#ifndef WSB_SLOT_H
#define WSB_SLOT_H


#include "wsb_hand.h"
#include "wsb_zone.h"


/*
 * Takes the first free slot for this process, when it has reclaimed those of
 * the dead.  `gone` tells whether a pid has died.  Returns the slot, or -1:
 * all are taken by living processes, or no chunk is free to hold more.
 *
 * The worker then stands behind the head, with nothing in hand, not armed.
 * A death in the middle leaves a slot that is swept.
 */

typedef int  (*wsb_gone_pt)(uint32_t pid);

int wsb_slot_enter_locked(wsb_zone_t *zone, uint32_t pid, uint64_t generation,
    wsb_gone_pt gone, wsb_hand_t *hand);

/*
 * Empties the slot, if it still holds this pid: table, pending_from, armed,
 * the chunks, the pid last, and its bit of those in use.  Who dies in between
 * is swept again.
 *
 * If mutations were under way in it, a resync is appended before: workers that
 * sleep find it by their timers.
 */

void wsb_slot_reclaim_locked(wsb_zone_t *zone, unsigned slot, uint32_t pid);

/*
 * Takes what is pending: afterwards everything up to the head that concerns
 * this worker, and that it has not done, is in its hand.
 */

void wsb_slot_take_locked(wsb_zone_t *zone, unsigned slot, wsb_hand_t *hand);

/*
 * Before going to sleep, with nothing in hand.  True: something is pending,
 * take again instead.  Without the mutex; the owner alone.
 */

int wsb_slot_arm(wsb_zone_t *zone, unsigned slot);

/*
 * By a publisher, after unlocking, for each slot that it concerned.  True:
 * the worker sleeps, and this caller is the one to wake it.
 */

int wsb_slot_disarm(wsb_zone_t *zone, unsigned slot);

/* What the timer looks at.  Without the mutex. */
int wsb_slot_pending(const wsb_zone_t *zone, unsigned slot);


static inline int
wsb_slot_armed(const wsb_zone_t *zone, unsigned slot)
{
    return (int) __atomic_load_n(&wsb_zone_slot(zone, slot)->armed,
                                 __ATOMIC_RELAXED);
}


/*
 * May a worker with nothing in hand say that it has done everything up to
 * the head?  Returns the head's seq if so, else 0.  Without the mutex: the
 * head is read first, pending_from after it, never the other way round.
 */

uint64_t wsb_slot_at_head(const wsb_zone_t *zone, unsigned slot);


/*
 * A mutation is counted before it is sent, and counted off when its event is
 * in the log, or when it is known that there is none.  Who dies in between has
 * it told as a resync: see t/model/resync.pml.  The owner alone, without the
 * mutex.
 */

static inline void
wsb_slot_mutation_begin(wsb_zone_t *zone, unsigned slot)
{
    __atomic_add_fetch(&wsb_zone_slot(zone, slot)->underway, 1,
                       __ATOMIC_SEQ_CST);
}


static inline void
wsb_slot_mutation_end(wsb_zone_t *zone, unsigned slot)
{
    __atomic_sub_fetch(&wsb_zone_slot(zone, slot)->underway, 1,
                       __ATOMIC_SEQ_CST);
}


#endif /* WSB_SLOT_H */

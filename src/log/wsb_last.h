/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Last rows: where the newest record of an entity lies.
 *
 * A table of sets of three, fixed at the zone's init.  What it says are hints
 * only: an entity that it does not know may have records, and who follows a
 * hint compares what is found with the entity, and whether it is retained.
 * But a hint that is there is never an older record of the entity than its
 * newest: see t/model/last.pml.
 *
 * Hints are written under the zone's mutex before the records are committed.
 * Who dies in between leaves `pending`, and the next writer clears those that
 * lead behind the head.
 */

#ifndef WSB_LAST_H
#define WSB_LAST_H


#include "wsb_log.h"
#include "../event/wsb_batch.h"


#define WSB_LAST_WAYS             3


typedef struct {
    uint64_t              seq[WSB_LAST_WAYS];   /* 0: free; stored last */
    uint64_t              pos[WSB_LAST_WAYS];
    uint32_t              tag[WSB_LAST_WAYS];   /* bits of the key */
    uint32_t              pad;
} __attribute__((aligned(64))) wsb_last_set_t;


/* In the zone.  nsets and sets are constant. */

typedef struct {
    uint64_t              nsets;
    uint64_t              sets;           /* from this struct, in bytes */
    uint32_t              pending;        /* 1: hints may lead nowhere */
    uint32_t              pad;

    /*
     * Of each kin, and of all: the last resync, or one that was not committed.
     * What a record said before it is not sure any longer.
     */
    uint64_t              every;
    uint64_t              resync[WSB_KIN];
} wsb_last_t;


/* Bytes of the table for a ring of this size: a 32nd of it. */
size_t wsb_last_size(size_t ring);

/* sets is aligned to 64 and belongs to the same mapping as last. */
void wsb_last_init(wsb_last_t *last, void *sets, size_t ring);


/* The last resync of this kin; 0: none. */
uint64_t wsb_last_resync(const wsb_last_t *last, unsigned kin);

/* Was there a resync of this kin since? */
int wsb_last_unsure(const wsb_last_t *last, unsigned kin, uint64_t seq);

/*
 * Where the newest record of the entity with this key is; seq 0: not known.
 * Without the mutex it is a guess: whoever builds upon it looks again under
 * the mutex, and takes it only if it is the same.
 */

wsb_cursor_t wsb_last_find(const wsb_last_t *last, const wsb_key_t *key);


/*
 * For the holder of the mutex.
 *
 * settle: before anything else; head is that of the log.
 * note: a record that is going to be committed; it takes the place of the
 *     entity's former one, or of the oldest record in the set.
 * done: all that were noted are committed.
 * resync: one that is going to be committed; kin WSB_KIN: of all.
 */

void wsb_last_settle_locked(wsb_last_t *last, uint64_t head);
void wsb_last_note_locked(wsb_last_t *last, const wsb_key_t *key,
    uint64_t seq, uint64_t pos);
void wsb_last_done_locked(wsb_last_t *last);
void wsb_last_resync_locked(wsb_last_t *last, unsigned kin, uint64_t seq);


#endif /* WSB_LAST_H */

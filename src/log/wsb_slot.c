/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_slot.h"
#include "wsb_append.h"
#include "wsb_chunk.h"


static int wsb_slot_free_locked(wsb_zone_t *zone);
static void wsb_slot_tell_locked(wsb_zone_t *zone, wsb_slot_t *slot);
static wsb_rc_t wsb_slot_block_locked(wsb_zone_t *zone, unsigned block);


int
wsb_slot_enter_locked(wsb_zone_t *zone, uint32_t pid, uint64_t generation,
    wsb_gone_pt gone, wsb_hand_t *hand)
{
    int          n;
    unsigned     i;
    wsb_slot_t  *slot;

    for (i = wsb_zone_next(zone, 0);
         i < WSB_SLOTS;
         i = wsb_zone_next(zone, i + 1))
    {
        slot = wsb_zone_slot(zone, i);

        if (slot->pid != 0 && (slot->pid == pid || gone(slot->pid))) {
            wsb_slot_reclaim_locked(zone, i, slot->pid);
        }
    }

    n = wsb_slot_free_locked(zone);

    if (n == -1) {
        return -1;
    }

    zone->used[n / 64] |= (uint64_t) 1 << n % 64;

    WSB_STEP("slot in use");

    slot = wsb_zone_slot(zone, (unsigned) n);

    slot->generation = generation;
    slot->draining = 0;
    slot->underway = 0;

    hand->next = wsb_log_end(&zone->log);
    hand->end = hand->next.seq - 1;
    slot->cursor = hand->end;

    WSB_STEP("slot filled");

    /* release: the compiler must not leave a store above behind it */
    __atomic_store_n(&slot->pid, pid, __ATOMIC_RELEASE);

    return n;
}


/* The first slot that nobody lives in, or -1. */

static int
wsb_slot_free_locked(wsb_zone_t *zone)
{
    unsigned  i;

    for (i = 0; i < WSB_SLOTS; i++) {

        /*
         * Its bit is set and there is no pid: a process died while it entered
         * or left.  Nobody lives there, and no sweep would find it.
         */

        if (wsb_zone_next(zone, i) != i || wsb_zone_slot(zone, i)->pid == 0) {
            break;
        }
    }

    if (i == WSB_SLOTS
        || wsb_slot_block_locked(zone, i / WSB_BLOCK_SLOTS) != WSB_OK)
    {
        return -1;
    }

    return (int) i;
}


/* The memory of a block of slots, if it has none yet. */

static wsb_rc_t
wsb_slot_block_locked(wsb_zone_t *zone, unsigned block)
{
    uint32_t  i, chunk, *owner;
    uint64_t  off;

    if (zone->block[block] != 0) {
        return WSB_OK;
    }

    /*
     * A process that died after it had taken a chunk for this block, and
     * before it had noted the chunk as the block, has left it owned for good.
     */

    owner = wsb_zone_owners(zone);

    for (i = 0; i < zone->nchunks; i++) {
        if (owner[i] == WSB_SLOTS + block + 1) {
            owner[i] = 0;
        }
    }

    chunk = wsb_chunk_take_locked(zone, WSB_SLOTS + block);
    if (chunk == 0) {
        return WSB_FULL;
    }

    off = zone->chunks + (uint64_t) (chunk - 1) * WSB_CHUNK_SIZE;

    /* release: what is in it has been cleared */
    __atomic_store_n(&zone->block[block], (uint32_t) (off / 64),
                     __ATOMIC_RELEASE);

    WSB_STEP("block of slots");

    return WSB_OK;
}


void
wsb_slot_reclaim_locked(wsb_zone_t *zone, unsigned n, uint32_t pid)
{
    uint32_t     i, *owner;
    uint64_t     value;
    wsb_slot_t  *slot;

    slot = wsb_zone_slot(zone, n);

    if (slot->pid != pid) {
        /* a successor lives here */
        return;
    }

    wsb_slot_tell_locked(zone, slot);

    slot->nentries = 0;
    slot->masks = 0;
    slot->maybe = 0;
    slot->depth = 0;
    memset(slot->nmask, 0, sizeof(slot->nmask));
    memset(slot->dir, 0, sizeof(slot->dir));
    slot->texts = 0;
    slot->ntexts = 0;

    WSB_STEP("table root cleared");

    __atomic_store_n(&slot->pending_from, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->armed, 0, __ATOMIC_SEQ_CST);

    /*
     * The owner words tell which chunks are of this slot, not its directory:
     * a process that died while it changed the directory may have left chunks
     * that stand in none.
     */

    owner = wsb_zone_owners(zone);

    for (i = 0; i < zone->nchunks; i++) {
        if (owner[i] == n + 1) {
            owner[i] = 0;

            WSB_STEP("chunk freed");
        }
    }

    wsb_chunk_recount_locked(zone);

    slot->cursor = 0;

    for (i = 0; i < WSB_COUNTERS; i++) {

        /* cleared first: a death now loses it, and counts nothing twice */

        value = __atomic_exchange_n(&slot->counters[i], 0, __ATOMIC_RELAXED);

        WSB_STEP("counter cleared");

        if (zone->kept & (uint64_t) 1 << i) {
            zone->past[i] += value;
        }
    }

    WSB_STEP("counters kept");

    __atomic_store_n(&slot->pid, 0, __ATOMIC_RELEASE);

    WSB_STEP("slot emptied");

    __atomic_store_n(&zone->used[n / 64],
                     zone->used[n / 64] & ~((uint64_t) 1 << n % 64),
                     __ATOMIC_RELEASE);
}


/*
 * What nobody knows any more.  Told first, and once more if this process dies
 * before it is forgotten.
 */

static void
wsb_slot_tell_locked(wsb_zone_t *zone, wsb_slot_t *slot)
{
    wsb_appended_t  out;

    if (__atomic_load_n(&slot->underway, __ATOMIC_ACQUIRE) == 0) {
        return;
    }

    wsb_append_resync_locked(zone, 0, &out);

    WSB_STEP("resync appended");

    __atomic_store_n(&slot->underway, 0, __ATOMIC_RELEASE);
}


void
wsb_slot_take_locked(wsb_zone_t *zone, unsigned n, wsb_hand_t *hand)
{
    uint64_t       pending;
    wsb_slot_t    *slot;
    wsb_cursor_t   end;

    slot = wsb_zone_slot(zone, n);
    pending = slot->pending_from;
    end = wsb_log_end(&zone->log);

    if (wsb_hand_empty(hand)) {

        if (pending == 0 || pending >= end.seq) {
            /*
             * Nothing, or a record that is not in the log: its publisher died
             * after it had noted the record here, and before the commit.
             */
            hand->next = end;

        } else if (pending > hand->next.seq) {
            /* what is skipped concerned no subscription of this worker */
            hand->next.seq = pending;
            hand->next.pos = WSB_LOG_POS_UNKNOWN;
        }
    }

    hand->end = end.seq - 1;

    WSB_STEP("taken");

    __atomic_store_n(&slot->pending_from, 0, __ATOMIC_RELAXED);
}


int
wsb_slot_arm(wsb_zone_t *zone, unsigned n)
{
    wsb_slot_t  *slot;

    slot = wsb_zone_slot(zone, n);

    __atomic_store_n(&slot->armed, 1, __ATOMIC_SEQ_CST);

    /*
     * The store must be seen before the look: else a publisher finds the
     * worker awake, and the worker finds nothing pending.
     */

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    WSB_STEP("armed");

    return __atomic_load_n(&slot->pending_from, __ATOMIC_SEQ_CST) != 0;
}


int
wsb_slot_disarm(wsb_zone_t *zone, unsigned n)
{
    wsb_slot_t  *slot;

    slot = wsb_zone_slot(zone, n);

    /*
     * pending_from was stored before the mutex was unlocked, which is a full
     * barrier.  So either the worker is found armed here, or it arms itself
     * later and finds what is pending: see wsb_slot_arm().
     */

    return (int) __atomic_exchange_n(&slot->armed, 0, __ATOMIC_SEQ_CST);
}


int
wsb_slot_pending(const wsb_zone_t *zone, unsigned n)
{
    return __atomic_load_n(&wsb_zone_slot(zone, n)->pending_from,
                           __ATOMIC_RELAXED) != 0;
}


uint64_t
wsb_slot_at_head(const wsb_zone_t *zone, unsigned n)
{
    uint64_t  head;

    head = wsb_log_head(&zone->log);

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    WSB_STEP("head read");

    return wsb_slot_pending(zone, n) ? 0 : head;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_lease.h"


int
wsb_lease_free(const wsb_lease_t *lease, uint32_t pid, uint64_t generation,
    uint64_t now, int (*gone)(uint32_t pid))
{
    uint32_t  owner;
    uint64_t  beat;

    owner = __atomic_load_n(&lease->owner, __ATOMIC_ACQUIRE);
    beat = __atomic_load_n(&lease->beat, __ATOMIC_RELAXED);

    /* one that had our pid before us is as dead as one that is gone */

    if (owner == 0 || owner == pid || gone(owner)) {
        return 1;
    }

    /* a pid may be a stranger's by now: that is why a lease runs out */

    return __atomic_load_n(&lease->generation, __ATOMIC_RELAXED) < generation
           || (now > beat && now - beat > WSB_LEASE_TIME);
}


/*
 * The pid first: who dies after it is found to be gone, and who had the lease
 * before has lost it with that store.  The term before the rest, which only
 * says when the next take-over may be.
 */

uint64_t
wsb_lease_take_locked(wsb_lease_t *lease, uint32_t pid, uint64_t generation,
    uint64_t now, int (*gone)(uint32_t pid))
{
    uint64_t  term;

    if (!wsb_lease_free(lease, pid, generation, now, gone)) {
        return 0;
    }

    term = lease->term + 1;

    __atomic_store_n(&lease->owner, pid, __ATOMIC_RELEASE);

    WSB_STEP("lease owned");

    __atomic_store_n(&lease->term, term, __ATOMIC_RELEASE);

    WSB_STEP("lease term");

    __atomic_store_n(&lease->generation, generation, __ATOMIC_RELEASE);

    WSB_STEP("lease generation");

    __atomic_store_n(&lease->beat, now, __ATOMIC_RELEASE);

    WSB_STEP("lease beat");

    return term;
}


int
wsb_lease_held_locked(const wsb_lease_t *lease, uint32_t pid, uint64_t term)
{
    return __atomic_load_n(&lease->owner, __ATOMIC_ACQUIRE) == pid
           && __atomic_load_n(&lease->term, __ATOMIC_RELAXED) == term;
}


/* If it is lost meanwhile, the next owner's time is ours: as good as its. */

int
wsb_lease_beat(wsb_lease_t *lease, uint32_t pid, uint64_t term, uint64_t now)
{
    if (!wsb_lease_held_locked(lease, pid, term)) {
        return 0;
    }

    __atomic_store_n(&lease->beat, now, __ATOMIC_RELAXED);

    WSB_STEP("lease beat");

    return 1;
}


void
wsb_lease_leave_locked(wsb_lease_t *lease, uint32_t pid, uint64_t term)
{
    if (wsb_lease_held_locked(lease, pid, term)) {
        __atomic_store_n(&lease->owner, 0, __ATOMIC_RELEASE);

        WSB_STEP("lease left");
    }
}

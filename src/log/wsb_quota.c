/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_quota.h"


wsb_key_t
wsb_quota_key(const uint8_t key[16], unsigned domain, wsb_str_t name,
    wsb_str_t value)
{
    wsb_key_t  k, n;

    /* the value under a name: neither runs into the other */

    n = wsb_hash(key, domain, name.data, name.len);
    k = wsb_hash((const uint8_t *) n.h, domain, value.data, value.len);

    return k;
}


wsb_rc_t
wsb_quota_take_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_quota_t *quota, unsigned n)
{
    return wsb_quota_take_many_locked(zone, slot, quota, n, 1);
}


void
wsb_quota_give_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_quota_t *quota, unsigned n)
{
    wsb_quota_give_many_locked(zone, slot, quota, n, 1);
}


wsb_rc_t
wsb_quota_take_many_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_quota_t *quota, unsigned n, uint32_t amount)
{
    unsigned  i;
    uint32_t  more;
    wsb_rc_t  rc;

    rc = WSB_OK;

    for (i = 0; i < n; i++) {
        more = quota[i].weighs ? amount : 1;

        if (more == 0) {
            continue;
        }

        if (quota[i].max != WSB_QUOTA_NONE
            && wsb_interest_count_locked(zone, &quota[i].key) + more
               > quota[i].max)
        {
            rc = WSB_CONFLICT;
            break;
        }

        rc = wsb_interest_take_locked(zone, slot, &quota[i].key, more);
        if (rc != WSB_OK) {
            break;
        }
    }

    if (rc != WSB_OK) {
        wsb_quota_give_many_locked(zone, slot, quota, i, amount);
    }

    return rc;
}


void
wsb_quota_give_many_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_quota_t *quota, unsigned n, uint32_t amount)
{
    unsigned  i;
    uint32_t  less;

    for (i = 0; i < n; i++) {
        less = quota[i].weighs ? amount : 1;

        if (less != 0) {
            wsb_interest_give_locked(zone, slot, &quota[i].key, less);
        }
    }
}


uint32_t
wsb_quota_reserve_locked(wsb_zone_t *zone, const wsb_quota_t *quota,
    unsigned n, uint32_t own)
{
    unsigned  i;
    uint32_t  little, reserve;

    little = wsb_quota_little(zone);
    reserve = zone->nchunks / WSB_INTEREST_SHARE;

    /* while there is much, nobody need be asked */

    if (own > little || zone->nfree / 2 > reserve) {
        return reserve;
    }

    for (i = 0; i < n; i++) {
        if (quota[i].weighs
            && wsb_interest_count_locked(zone, &quota[i].key) > little)
        {
            return reserve;
        }
    }

    return 0;
}


/* About one in 256 of the keys that fit in. */

uint32_t
wsb_quota_little(const wsb_zone_t *zone)
{
    uint32_t  n;

    n = zone->nchunks / 4;

    return n > WSB_QUOTA_LITTLE ? n : WSB_QUOTA_LITTLE;
}

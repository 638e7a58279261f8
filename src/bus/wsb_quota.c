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
    wsb_rc_t  rc;

    if (amount == 0) {
        return WSB_OK;
    }

    rc = WSB_OK;

    for (i = 0; i < n; i++) {

        if (quota[i].max != WSB_QUOTA_NONE
            && wsb_interest_count_locked(zone, &quota[i].key) + amount
               > quota[i].max)
        {
            rc = WSB_CONFLICT;
            break;
        }

        rc = wsb_interest_take_locked(zone, slot, &quota[i].key, amount);

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

    for (i = 0; amount != 0 && i < n; i++) {
        wsb_interest_give_locked(zone, slot, &quota[i].key, amount);
    }
}

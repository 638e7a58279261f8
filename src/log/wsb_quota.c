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
    unsigned  i;
    wsb_rc_t  rc;

    rc = WSB_OK;

    for (i = 0; i < n; i++) {

        if (quota[i].max != WSB_QUOTA_NONE
            && wsb_interest_count_locked(zone, &quota[i].key)
               >= quota[i].max)
        {
            rc = WSB_CONFLICT;
            break;
        }

        rc = wsb_interest_add_locked(zone, slot, &quota[i].key, 1,
                                     WSB_MASK_COUNT);
        if (rc != WSB_OK) {
            break;
        }
    }

    if (rc != WSB_OK) {
        wsb_quota_give_locked(zone, slot, quota, i);
    }

    return rc;
}


void
wsb_quota_give_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_quota_t *quota, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        wsb_interest_remove_locked(zone, slot, &quota[i].key, 1);
    }
}

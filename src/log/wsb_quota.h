/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Quotas: how many connections, keys of subscriptions, or comparisons a key
 * may have in a zone; and what is kept of the registry for those who have
 * little.
 *
 * Each worker counts its own in the interest table of its slot, under keys
 * that no event has; the sum over the slots is what counts.  So what a worker
 * held is given back with its slot, however it died.
 */

#ifndef WSB_QUOTA_H
#define WSB_QUOTA_H


#include "wsb_interest.h"


#define WSB_QUOTA_NONE            UINT32_MAX    /* only counted */

#define WSB_DOMAIN_CONNECTIONS    78      /* of wsb_hash(): see wsb_key.h */
#define WSB_DOMAIN_SUBSCRIPTIONS  79
#define WSB_DOMAIN_KEYS           80
#define WSB_DOMAIN_COMPARISONS    81

#define WSB_QUOTA_LITTLE          128     /* in a small zone */


typedef struct {
    wsb_key_t             key;
    uint32_t              max;
    uint32_t              weighs;         /* what is taken is counted, not who
                                             takes it */
} wsb_quota_t;


/*
 * The key of a value: name is the expression by which it was found, so that
 * equal values of two expressions are counted apart.  Both may be empty.
 * Without a name, a value is a tenant, for its status page; without a value,
 * either, it is the whole zone.
 */

wsb_key_t wsb_quota_key(const uint8_t key[16], unsigned domain,
    wsb_str_t name, wsb_str_t value);

/*
 * Counts one in under each of the n keys, or none of them:
 *
 *   WSB_CONFLICT  one of them has as many as it may
 *   WSB_FULL      there is no chunk left
 *
 * By the owner of the slot, under the mutex, as what it takes it gives.  A
 * death in the middle leaves counts that are reclaimed with the slot.
 */

wsb_rc_t wsb_quota_take_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_quota_t *quota, unsigned n);
void wsb_quota_give_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_quota_t *quota, unsigned n);

/* The same, but so many, perhaps none, where what is taken is counted. */
wsb_rc_t wsb_quota_take_many_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_quota_t *quota, unsigned n, uint32_t amount);
void wsb_quota_give_many_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_quota_t *quota, unsigned n, uint32_t amount);

/*
 * How many chunks must stay free when keys are added for who has `own` of
 * them then: none, if that is little, and little is what each of those quotas
 * has that count keys.
 */

uint32_t wsb_quota_reserve_locked(wsb_zone_t *zone, const wsb_quota_t *quota,
    unsigned n, uint32_t own);

/* How much little is. */
uint32_t wsb_quota_little(const wsb_zone_t *zone);


#endif /* WSB_QUOTA_H */

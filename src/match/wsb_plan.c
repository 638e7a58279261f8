/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_plan.h"


static wsb_plan_t *wsb_plan_make(wsb_parts_t *parts,
    const wsb_set_t sets[WSB_NROUTING], const wsb_where_t *where);
static unsigned wsb_plan_spread(const unsigned number[WSB_NROUTING]);
static void wsb_plan_keys(wsb_plan_t *plan, wsb_parts_t *parts,
    const wsb_set_t sets[WSB_NROUTING], unsigned n);
static uint32_t wsb_plan_only(const wsb_key_t *hash);
static wsb_key_t wsb_plan_id(const uint8_t key[16], const wsb_plan_t *plan);


wsb_plan_t *
wsb_plan_create(const uint8_t key[16], wsb_str_t tenant,
    const wsb_filter_t *filter, const wsb_restrict_t *forced)
{
    unsigned             i, j;
    wsb_set_t            sets[WSB_NROUTING];
    wsb_key_t            hash;
    wsb_plan_t          *plan;
    wsb_parts_t          parts;
    const wsb_where_t   *where;
    wsb_where_t         *joined;

    for (i = 0; i < WSB_NROUTING; i++) {
        sets[i].n = 0;

        for (j = 0; j < filter->n[i] && j < WSB_FILTER_VALUES; j++) {
            hash = wsb_key_part(key, i, filter->value[i][j]);
            wsb_set_add(&sets[i], &hash);
        }
    }

    where = filter->where;
    joined = NULL;

    if (forced != NULL) {

        if (wsb_restrict_apply(forced, sets, where, &joined) != WSB_OK) {
            return NULL;
        }

        where = joined ? joined : where;
    }

    parts.tenant = wsb_key_tenant(key, tenant);

    plan = wsb_plan_make(&parts, sets, where);

    wsb_free(joined);

    if (plan != NULL) {
        plan->id = wsb_plan_id(key, plan);
    }

    return plan;
}


static wsb_plan_t *
wsb_plan_make(wsb_parts_t *parts, const wsb_set_t sets[WSB_NROUTING],
    const wsb_where_t *where)
{
    size_t       size;
    unsigned     i, n, spread, number[WSB_NROUTING];
    wsb_plan_t  *plan;

    for (i = 0; i < WSB_NROUTING; i++) {
        number[i] = sets[i].n;
    }

    spread = wsb_plan_spread(number);

    n = 1;
    size = sizeof(wsb_plan_t);

    for (i = 0; i < WSB_NROUTING; i++) {

        if (spread & 1u << i) {
            n *= sets[i].n;

        } else {
            size += sets[i].n * sizeof(wsb_key_t);
        }
    }

    size += n * sizeof(wsb_key_t);

    if (where != NULL) {
        size += where->size;
    }

    plan = wsb_malloc(size);
    if (plan == NULL) {
        return NULL;
    }

    memset(plan, 0, sizeof(wsb_plan_t));

    plan->mask = spread;

    for (i = 0; i < WSB_NROUTING; i++) {
        if (!(spread & 1u << i)) {
            plan->nrest[i] = sets[i].n;
        }
    }

    wsb_plan_keys(plan, parts, sets, n);

    if (where != NULL) {
        memcpy((uint8_t *) plan + wsb_plan_routing(plan), where, where->size);
        plan->where = where->size;
    }

    return plan;
}


void
wsb_plan_live(wsb_plan_t *plan)
{
    if (plan->where != 0 && !plan->live) {
        plan->live = 1;
        plan->id.h[0] = ~plan->id.h[0];
    }
}


unsigned
wsb_plan_values(const wsb_filter_t *filter)
{
    unsigned  i, n, rest, spread;

    spread = wsb_plan_spread(filter->n);
    n = 1;
    rest = 0;

    for (i = 0; i < WSB_NROUTING; i++) {

        if (spread & 1u << i) {
            n *= filter->n[i];

        } else {
            rest += filter->n[i];
        }
    }

    return n + rest;
}


size_t
wsb_plan_size(const wsb_plan_t *plan)
{
    return wsb_plan_routing(plan) + plan->where;
}


size_t
wsb_plan_routing(const wsb_plan_t *plan)
{
    size_t    n;
    unsigned  i;

    n = plan->nkeys;

    for (i = 0; i < WSB_NROUTING; i++) {
        n += plan->nrest[i];
    }

    return sizeof(wsb_plan_t) + n * sizeof(wsb_key_t);
}


int
wsb_plan_rest(const wsb_plan_t *plan, const wsb_parts_t *parts)
{
    int               found;
    unsigned          i;
    const wsb_key_t  *rest;

    rest = plan->keys + plan->nkeys;

    for (i = 0; i < WSB_NROUTING; i++) {

        if (plan->nrest[i] == 0) {
            continue;
        }

        if (!(parts->present & 1u << i)) {
            return 0;
        }

        wsb_set_find(rest, plan->nrest[i], &parts->part[i], &found);

        if (!found) {
            return 0;
        }

        rest += plan->nrest[i];
    }

    return 1;
}


int
wsb_plan_concerns(const wsb_plan_t *plan, unsigned mask,
    const uint32_t only[WSB_ENTITY_TYPE + 1], const wsb_parts_t *parts)
{
    int               found;
    unsigned          i;
    const wsb_key_t  *rest;

    rest = plan ? plan->keys + plan->nkeys : NULL;

    for (i = 0; i <= WSB_ENTITY_TYPE; i++) {

        if ((mask & parts->present & 1u << i) && only[i] != 0
            && only[i] != wsb_plan_only(&parts->part[i]))
        {
            return 0;
        }

        if (plan == NULL || plan->nrest[i] == 0) {
            continue;
        }

        if (parts->present & 1u << i) {
            wsb_set_find(rest, plan->nrest[i], &parts->part[i], &found);

            if (!found) {
                return 0;
            }
        }

        rest += plan->nrest[i];
    }

    return 1;
}


static uint32_t
wsb_plan_only(const wsb_key_t *hash)
{
    uint32_t  bits;

    bits = (uint32_t) hash->h[1];

    return bits != 0 ? bits : 1;
}


int
wsb_plan_match(const wsb_plan_t *plan, const wsb_parts_t *parts)
{
    int        found;
    wsb_key_t  key;

    if ((plan->mask & parts->present) != plan->mask) {
        return 0;
    }

    key = wsb_key(parts, plan->mask);

    wsb_set_find(plan->keys, plan->nkeys, &key, &found);

    return found && wsb_plan_rest(plan, parts);
}


/* The fields of which each combination of values gets a key, as bits. */

static unsigned
wsb_plan_spread(const unsigned number[WSB_NROUTING])
{
    unsigned  i, n, field, spread;

    static const uint8_t  order[WSB_NROUTING] = {
        WSB_ENTITY_ID, WSB_ENTITY_TYPE, WSB_ACTION, WSB_KIND
    };

    n = 1;
    spread = 0;

    for (i = 0; i < WSB_NROUTING; i++) {
        field = order[i];

        if (number[field] != 0 && n * number[field] <= WSB_FILTER_VALUES) {
            n *= number[field];
            spread |= 1u << field;
        }
    }

    return spread;
}


static void
wsb_plan_keys(wsb_plan_t *plan, wsb_parts_t *parts,
    const wsb_set_t sets[WSB_NROUTING], unsigned n)
{
    unsigned    i, j, nth;
    wsb_set_t   keys;
    wsb_key_t   key, *rest;

    keys.n = 0;

    for (i = 0; i < n; i++) {
        nth = i;

        for (j = 0; j < WSB_NROUTING; j++) {
            if (plan->mask & 1u << j) {
                parts->part[j] = sets[j].hash[nth % sets[j].n];
                nth /= sets[j].n;
            }
        }

        key = wsb_key(parts, plan->mask);
        wsb_set_add(&keys, &key);
    }

    for (j = 0; j <= WSB_ENTITY_TYPE; j++) {
        if ((plan->mask & 1u << j) && sets[j].n == 1) {
            plan->only[j] = wsb_plan_only(&sets[j].hash[0]);
        }
    }

    plan->nkeys = keys.n;
    memcpy(plan->keys, keys.hash, keys.n * sizeof(wsb_key_t));

    rest = plan->keys + keys.n;

    for (i = 0; i < WSB_NROUTING; i++) {
        memcpy(rest, sets[i].hash, plan->nrest[i] * sizeof(wsb_key_t));
        rest += plan->nrest[i];
    }
}


static wsb_key_t
wsb_plan_id(const uint8_t key[16], const wsb_plan_t *plan)
{
    size_t  from = offsetof(wsb_plan_t, mask);

    return wsb_hash(key, WSB_DOMAIN_FILTER, (const uint8_t *) plan + from,
                    wsb_plan_size(plan) - from);
}

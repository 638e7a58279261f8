/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The plan by which a filter is matched.
 */

#ifndef WSB_PLAN_H
#define WSB_PLAN_H


#include "wsb_filter.h"
#include "wsb_restrict.h"


/*
 * A plan is one malloc'd block that owns all it needs.  Its keys are those
 * of the routing fields alone, and so is what is said below of matching: the
 * conditions are for the index.
 *
 * A filter's arrays (entity_id, then entity_type, action, kind) are spread
 * over keys, one for each combination of their values, while these are not
 * more than 128; values of the others stay as hashes to be compared with the
 * event's parts.  So an event has at most one of the keys, and hardly a plan
 * needs more than its keys.  Equal filters have equal ids: order and
 * repetition of values and of conditions do not count.
 */

typedef struct {
    wsb_key_t             id;
    uint16_t              mask;           /* of its keys */
    uint16_t              nkeys;          /* 1..128 */
    uint16_t              nrest[WSB_NROUTING];   /* hashes, field by field */
    uint32_t              where:31;       /* bytes of a wsb_where_t, or 0 */
    uint32_t              live:1;         /* see wsb_plan_live() */

    /* bits of the hash of the only kind and type of its keys, else 0 */
    uint32_t              only[WSB_ENTITY_TYPE + 1];

    wsb_key_t             keys[];         /* nkeys, sorted, then the rest,
                                             then the conditions */
} wsb_plan_t;


/*
 * forced: NULL, or what the event must meet besides.  A filter that it leaves
 * nothing of gets a plan that never matches.  NULL: no memory, or the
 * conditions of both are too many.  Freed with wsb_free().
 */
wsb_plan_t *wsb_plan_create(const uint8_t key[16], wsb_str_t tenant,
    const wsb_filter_t *filter, const wsb_restrict_t *forced);

/*
 * It is of subscriptions with a snapshot: with conditions, these have nodes of
 * their own, since they are told of rows that nobody knows.
 */
void wsb_plan_live(wsb_plan_t *plan);

/* How many keys a plan for it has, and hashes behind them. */
unsigned wsb_plan_values(const wsb_filter_t *filter);

/* Bytes of the block, and without the conditions. */
size_t wsb_plan_size(const wsb_plan_t *plan);
size_t wsb_plan_routing(const wsb_plan_t *plan);


static inline const wsb_where_t *
wsb_plan_where(const wsb_plan_t *plan)
{
    return plan->where == 0
               ? NULL
               : (const wsb_where_t *) ((const uint8_t *) plan
                                        + wsb_plan_routing(plan));
}


/* One key says all of the routing: nothing else is to be remembered. */

static inline int
wsb_plan_simple(const wsb_plan_t *plan)
{
    unsigned  i, rest = 0;

    for (i = 0; i < WSB_NROUTING; i++) {
        rest += plan->nrest[i];
    }

    return plan->nkeys == 1 && rest == 0;
}


/* Do the arrays that are not spread over keys match? */
int wsb_plan_rest(const wsb_plan_t *plan, const wsb_parts_t *parts);

/*
 * May events match of which only kind and type are known, as these parts say?
 * Of one that is absent it is assumed.  mask and only are those of the plan,
 * which is NULL if it is simple.
 */

int wsb_plan_concerns(const wsb_plan_t *plan, unsigned mask,
    const uint32_t only[WSB_ENTITY_TYPE + 1], const wsb_parts_t *parts);

/* Does the whole routing match, keys too? */
int wsb_plan_match(const wsb_plan_t *plan, const wsb_parts_t *parts);


#endif /* WSB_PLAN_H */

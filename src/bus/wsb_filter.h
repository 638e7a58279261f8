/*
 * What a subscription asks for, and the plan by which it is matched.
 */

#ifndef WSB_FILTER_H
#define WSB_FILTER_H


#include "wsb_key.h"


#define WSB_FILTER_VALUES         128     /* in one array */


/*
 * For each routing field the values of which one must be the event's; none:
 * a wildcard.  The values belong to whoever made the filter.
 */

typedef struct {
    wsb_str_t            *value[WSB_NROUTING];
    unsigned              n[WSB_NROUTING];
    unsigned              array[WSB_NROUTING];   /* it was written as one */
} wsb_filter_t;


/*
 * A plan is one malloc'd block that owns all it needs.
 *
 * A filter's arrays (entity_id, then entity_type, action, kind) are spread
 * over keys, one for each combination of their values, while these are not
 * more than 128; values of the others stay as hashes to be compared with the
 * event's parts.  So an event has at most one of the keys, and hardly a plan
 * needs more than its keys.  Equal filters have equal ids: order and
 * repetition of values do not count.
 */

typedef struct {
    wsb_key_t             id;
    uint16_t              mask;           /* of its keys */
    uint16_t              nkeys;          /* 1..128 */
    uint16_t              nrest[WSB_NROUTING];   /* hashes, field by field */
    wsb_key_t             keys[];         /* nkeys, sorted, then the rest */
} wsb_plan_t;


/* NULL: no memory.  Freed with wsb_free(). */
wsb_plan_t *wsb_plan_create(const uint8_t key[16], wsb_str_t tenant,
    const wsb_filter_t *filter);

/* Bytes of the block. */
size_t wsb_plan_size(const wsb_plan_t *plan);


/* One key says it all: nothing else is to be compared or remembered. */

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

/* Does the whole plan match, keys too? */
int wsb_plan_match(const wsb_plan_t *plan, const wsb_parts_t *parts);


#endif /* WSB_FILTER_H */

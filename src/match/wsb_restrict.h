/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Forced conditions: what every subscription of a connection must meet, and
 * no client can widen.
 *
 * A condition names a field of the event or a column of its payload:
 *
 *   kind entity_type action event_type entity_id schema section
 *                    the event's field; of a link the entity id is its link_id
 *   anything else    a column, as in a `where`; "data." in front of it says so
 *                    even if it has one of the names above
 *
 * The value is text.  eq and in compare it with a text by bytes, with a number
 * by value if it is one without an exponent and without a needless zero, and
 * true and false are booleans as well; an `in` takes a list with commas, of
 * which nothing is trimmed.  neq is met by what is equal in none of JSON's
 * spellings.  gt gte lt lte take a number as a number.  What is no scalar
 * meets nothing.
 * eq and in of the four routing fields narrow the plan's keys, everything else
 * is joined to the conditions, behind those of the client.
 */

#ifndef WSB_RESTRICT_H
#define WSB_RESTRICT_H


#include "wsb_set.h"
#include "../json/wsb_text.h"
#include "wsb_where.h"


#define WSB_RESTRICT_CONDITIONS   16
#define WSB_RESTRICT_VALUE        4096    /* bytes of one value */
#define WSB_RESTRICT_BYTES        16384   /* of all that is joined */


typedef struct {
    wsb_str_t             field;
    wsb_str_t             op;             /* "eq", "neq", ... */
    wsb_str_t             value;
} wsb_forced_t;


typedef struct wsb_restrict_s  wsb_restrict_t;


/*
 * Of n conditions, all of which must hold.  The key is that of the plans.
 * Freed with wsb_restrict_free().  WSB_ERROR: err says what is wrong with
 * which of them, never with a value in it; WSB_NOMEM.
 */

wsb_rc_t wsb_restrict_create(const uint8_t key[16],
    const wsb_forced_t *conditions, unsigned n, wsb_restrict_t **forced,
    wsb_where_error_t *err);

void wsb_restrict_free(wsb_restrict_t *forced);

/* Adds a value as it stands in the pattern of a `like` that means it alone. */

void wsb_restrict_literal(wsb_text_t *t, wsb_str_t value);

/*
 * Narrows the sets of the routing fields, of which an empty one is a wildcard,
 * and joins its conditions to the client's, which may be NULL.  *joined is
 * NULL if there is nothing to join, else freed with wsb_free().
 */

wsb_rc_t wsb_restrict_apply(const wsb_restrict_t *forced,
    wsb_set_t sets[WSB_NROUTING], const wsb_where_t *where,
    wsb_where_t **joined);


#endif /* WSB_RESTRICT_H */

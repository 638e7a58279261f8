/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a subscription asks for.
 */

#ifndef WSB_FILTER_H
#define WSB_FILTER_H


#include "wsb_set.h"
#include "wsb_where.h"


/*
 * For each routing field the values of which one must be the event's; none:
 * a wildcard.  Besides, conditions on the payload.  All belongs to whoever
 * made the filter.
 */

typedef struct {
    wsb_str_t            *value[WSB_NROUTING];
    unsigned              n[WSB_NROUTING];
    unsigned              array[WSB_NROUTING];   /* it was written as one */
    wsb_where_t          *where;          /* NULL: none */
    wsb_str_t             where_text;     /* as written, if it was */
    unsigned              where_inside;   /* among the fields */
} wsb_filter_t;


#endif /* WSB_FILTER_H */

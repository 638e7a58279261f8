/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A subscription in a query string, for who cannot send a message: as the
 * `subscribe` message of the bus protocol that says the same.
 */

#ifndef WSB_QUERY_H
#define WSB_QUERY_H


#include "../json/wsb_text.h"


#define WSB_QUERY_VALUES          128     /* of all fields together */
#define WSB_QUERY_LIMIT           10000
#define WSB_QUERY_WAIT            3600    /* seconds */


typedef struct {
    wsb_str_t             since;          /* of a header: goes before the
                                             query's; data NULL: none */
    int64_t               wait;           /* seconds; -1: not asked for */
    uint64_t              limit;          /* events; 0: not asked for */
} wsb_query_t;


/*
 * Adds the message to t.  What is not of a subscription is passed over.
 * WSB_ERROR: *why is static text, and what t holds is of no use; WSB_NOMEM.
 */
wsb_rc_t wsb_query_subscribe(wsb_text_t *t, wsb_str_t args,
    wsb_query_t *query, const char **why);


#endif /* WSB_QUERY_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_index.h"


/* What wsb_index_bytes() counts; see docs/directives.md. */

#define WSB_INDEX_SUB       128
#define WSB_INDEX_VALUE     48           /* of a filter, or found by */
#define WSB_INDEX_GROUP     176          /* a value, with conditions */
#define WSB_INDEX_COLUMN    256          /* a key of a column */


size_t
wsb_index_bytes(const wsb_filter_t *filter)
{
    size_t              n, values, bytes;
    unsigned            i, k;
    wsb_str_t           path;
    const uint8_t      *p;
    wsb_condition_t     condition;
    const wsb_where_t  *where;

    n = wsb_plan_values(filter);
    bytes = WSB_INDEX_SUB + n * WSB_INDEX_VALUE;

    where = filter->where;

    if (where == NULL) {
        return bytes;
    }

    values = 1;
    p = where->bytes;

    for (i = 0; i < where->nconditions; i++) {
        p = wsb_where_next(p, &condition);

        if (condition.nvalues > values && n * condition.nvalues
                                          <= WSB_NODE_KEYS)
        {
            values = condition.nvalues;
        }
    }

    bytes += n * (values - 1) * WSB_INDEX_VALUE + n * WSB_INDEX_GROUP
             + where->size;

    for (i = 0; i < where->npaths; i++) {
        path = wsb_where_path(where, i);

        for (k = 0; k < path.len; k++) {
            bytes += path.data[k] == '\0' ? WSB_INDEX_COLUMN : 0;
        }
    }

    return bytes;
}

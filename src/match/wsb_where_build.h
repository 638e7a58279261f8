/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What the parser of conditions collects, and the block that is made of it.
 */

#ifndef WSB_WHERE_BUILD_H
#define WSB_WHERE_BUILD_H


#include "wsb_where.h"


typedef struct {
    size_t                offset;
    size_t                len;
} wsb_span_t;


/*
 * Values, conditions and groups are collected as bytes, and each kind sorted,
 * before the next larger thing is made of them.  In a condition the column
 * is still a text here: columns are numbered when all is sorted.
 */

typedef struct {
    wsb_text_t            values;         /* of one condition */
    wsb_span_t            value[WSB_WHERE_VALUES];
    unsigned              nvalues;

    wsb_text_t            conditions;     /* of one group */
    wsb_span_t            condition[WSB_WHERE_CONDITIONS];
    unsigned              nconditions;

    wsb_text_t            groups;
    wsb_span_t            group[WSB_WHERE_CONDITIONS];
    unsigned              ngroups;

    unsigned              never;          /* a group has no condition */
    unsigned              element;        /* of the array */
    wsb_where_error_t    *err;
} wsb_where_parser_t;


/* Where it belongs in the sorted spans; 0: it is among them. */
int wsb_where_build_insert(const wsb_text_t *t, wsb_span_t *spans, unsigned *n,
    wsb_span_t span);

/* Makes a group of the conditions collected. */
void wsb_where_build_group(wsb_where_parser_t *ps);

/* WSB_NOMEM: there is none. */
wsb_rc_t wsb_where_build_block(wsb_where_parser_t *ps, wsb_where_t **where);


static inline void
wsb_where_build_add16(wsb_text_t *t, size_t n)
{
    uint8_t  buf[2] = { n & 0xff, n >> 8 & 0xff };

    wsb_text_add(t, buf, 2);
}


static inline void
wsb_where_build_set16(wsb_text_t *t, size_t offset, size_t n)
{
    if (!t->failed) {
        t->data[offset] = n & 0xff;
        t->data[offset + 1] = n >> 8 & 0xff;
    }
}


static inline int
wsb_where_build_failed(const wsb_where_parser_t *ps)
{
    return ps->values.failed || ps->conditions.failed || ps->groups.failed;
}


#endif /* WSB_WHERE_BUILD_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_where_build.h"


static void wsb_where_build_condition(wsb_text_t *t, wsb_text_t *paths,
    wsb_where_t *head, const uint8_t **pos);


int
wsb_where_build_insert(const wsb_text_t *t, wsb_span_t *spans, unsigned *n,
    wsb_span_t span)
{
    int       order;
    size_t    len;
    unsigned  low, high, mid;

    low = 0;
    high = *n;

    while (low < high) {
        mid = (low + high) / 2;

        len = spans[mid].len < span.len ? spans[mid].len : span.len;
        order = memcmp(t->data + spans[mid].offset, t->data + span.offset,
                       len);

        if (order == 0 && spans[mid].len == span.len) {
            return 0;
        }

        if (order < 0 || (order == 0 && spans[mid].len < span.len)) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    memmove(&spans[low + 1], &spans[low], (*n - low) * sizeof(wsb_span_t));

    spans[low] = span;
    ++*n;

    return 1;
}


void
wsb_where_build_group(wsb_where_parser_t *ps)
{
    unsigned      i;
    wsb_span_t    span;
    wsb_text_t   *t;

    t = &ps->groups;
    span.offset = t->len;

    if (ps->nconditions == 0) {
        ps->never = 1;
        return;
    }

    for (i = 0; i < ps->nconditions; i++) {
        span.len = t->len;

        wsb_text_add(t, ps->conditions.data + ps->condition[i].offset,
                     ps->condition[i].len);

        if (t->failed) {
            return;
        }

        if (i > 0) {
            t->data[span.len] |= WSB_WHERE_JOINED;
        }
    }

    span.len = t->len - span.offset;

    if (!wsb_where_build_insert(t, ps->group, &ps->ngroups, span)) {
        t->len = span.offset;
    }

    ps->conditions.len = 0;
    ps->nconditions = 0;
}


wsb_rc_t
wsb_where_build_block(wsb_where_parser_t *ps, wsb_where_t **where)
{
    unsigned        i;
    wsb_text_t      t, paths;
    wsb_where_t     head;
    const uint8_t  *p, *last;

    static const uint8_t  never = WSB_WHERE_NEVER;

    memset(&t, 0, sizeof(wsb_text_t));
    memset(&paths, 0, sizeof(wsb_text_t));
    memset(&head, 0, sizeof(wsb_where_t));

    if (ps->never) {
        ps->ngroups = 0;
        head.nconditions = 1;
        wsb_text_add(&t, &never, 1);
    }

    for (i = 0; i < ps->ngroups; i++) {
        p = ps->groups.data + ps->group[i].offset;
        last = p + ps->group[i].len;

        while (p < last) {
            wsb_where_build_condition(&t, &paths, &head, &p);
        }
    }

    if (!t.failed && !paths.failed) {
        head.len = t.len;
        head.size = sizeof(wsb_where_t) + t.len + paths.len;

        *where = wsb_malloc(head.size);
    }

    if (*where != NULL) {
        memcpy(*where, &head, sizeof(wsb_where_t));
        memcpy((*where)->bytes, t.data, t.len);

        if (paths.len != 0) {
            memcpy((*where)->bytes + t.len, paths.data, paths.len);
        }
    }

    wsb_text_done(&t);
    wsb_text_done(&paths);

    return *where != NULL ? WSB_OK : WSB_NOMEM;
}


/* Adds the one at *pos, with the number of its column. */

static void
wsb_where_build_condition(wsb_text_t *t, wsb_text_t *paths, wsb_where_t *head,
    const uint8_t **pos)
{
    uint8_t         code[2];
    unsigned        n;
    wsb_str_t       path;
    const uint8_t  *p, *values;

    p = *pos;

    path.data = p + 3;
    path.len = wsb_where_get16(p + 1);

    code[0] = p[0];
    code[1] = wsb_where_number(head, paths, path);

    values = path.data + path.len;
    p = values;
    n = 1;

    if ((code[0] & WSB_WHERE_OP) == WSB_WHERE_IN) {
        n = wsb_where_get16(p);
        p += 2;
    }

    *pos = wsb_where_skip(p, n);

    wsb_text_add(t, code, 2);
    wsb_text_add(t, values, *pos - values);

    head->nconditions++;
}

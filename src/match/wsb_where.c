/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_where.h"


static unsigned wsb_where_digits(const wsb_condition_t *condition);
static wsb_order_t wsb_where_compare(const uint8_t *p,
    wsb_subject_t *subject);
static void wsb_where_copy(wsb_where_t *dst, wsb_text_t *paths,
    const wsb_where_t *src, unsigned flags, unsigned field);


wsb_where_op_t
wsb_where_operator(wsb_str_t name)
{
    wsb_where_op_t  op;

    static const char *const  names[] = {
        NULL, "eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "in"
    };

    for (op = WSB_WHERE_EQ; op <= WSB_WHERE_IN; op++) {
        if (wsb_str_eq(&name, names[op])) {
            return op;
        }
    }

    return WSB_WHERE_NEVER;
}


unsigned
wsb_where_cost(const wsb_where_t *where)
{
    unsigned          cost;
    wsb_value_t       pattern;
    const uint8_t    *p, *last;
    wsb_condition_t   condition, next;

    p = where->bytes;
    last = p + where->len;
    cost = 0;

    while (p < last) {
        p = wsb_where_next(p, &condition);

        next.joined = 0;

        if (p < last) {
            (void) wsb_where_next(p, &next);
        }

        if (condition.forced || condition.field
            || condition.op == WSB_WHERE_NEVER)
        {
            continue;
        }

        if (condition.op == WSB_WHERE_LIKE
            || condition.op == WSB_WHERE_ILIKE)
        {
            (void) wsb_where_value(condition.values, &pattern);
            cost += wsb_like_cost(pattern.text);
            continue;
        }

        cost += wsb_where_digits(&condition);

        if (condition.joined || next.joined
            || (condition.op != WSB_WHERE_EQ
                && condition.op != WSB_WHERE_IN))
        {
            cost += 1 + (condition.nvalues - 1) / WSB_WHERE_LIST;
        }
    }

    return cost;
}


static unsigned
wsb_where_digits(const wsb_condition_t *condition)
{
    size_t          len;
    unsigned        i, n;
    const uint8_t  *p;

    p = condition->values;
    n = 0;

    for (i = 0; i < condition->nvalues; i++) {
        len = wsb_where_get16(p + 1);

        if (*p != WSB_JSON_STRING && len != 0) {
            n += (len - 1) / WSB_WHERE_DIGITS;
        }

        p += 3 + len;
    }

    return n;
}


wsb_key_t
wsb_where_id(const uint8_t key[16], const wsb_where_t *where)
{
    return wsb_hash(key, WSB_DOMAIN_WHERE, where, where->size);
}


wsb_str_t
wsb_where_path(const wsb_where_t *where, unsigned i)
{
    wsb_str_t       path;
    const uint8_t  *p;

    p = where->bytes + where->len;

    while (i-- > 0) {
        p += 2 + wsb_where_get16(p);
    }

    path.data = p + 2;
    path.len = wsb_where_get16(p);

    return path;
}


const uint8_t *
wsb_where_next(const uint8_t *p, wsb_condition_t *condition)
{
    condition->op = *p & WSB_WHERE_OP;
    condition->joined = (*p & WSB_WHERE_JOINED) != 0;
    condition->forced = (*p & WSB_WHERE_FORCED) != 0;
    condition->field = (*p & WSB_WHERE_FIELD) != 0;
    p++;

    if (condition->op == WSB_WHERE_NEVER) {
        condition->path = 0;
        condition->nvalues = 0;
        condition->values = p;
        return p;
    }

    condition->path = *p++;
    condition->nvalues = condition->op != WSB_WHERE_ABSENT;

    if (condition->op == WSB_WHERE_IN) {
        condition->nvalues = wsb_where_get16(p);
        p += 2;
    }

    condition->values = p;

    return wsb_where_skip(p, condition->nvalues);
}


const uint8_t *
wsb_where_value(const uint8_t *p, wsb_value_t *value)
{
    value->type = p[0] & WSB_WHERE_TYPE;
    value->text.len = wsb_where_get16(p + 1);
    value->text.data = p + 3;

    return value->text.data + value->text.len;
}


int
wsb_where_holds(const wsb_condition_t *condition, wsb_subject_t *subject)
{
    unsigned        i;
    wsb_order_t     order;
    wsb_value_t     v;
    const uint8_t  *p;

    if (condition->op == WSB_WHERE_ABSENT) {
        return subject->value.type == WSB_JSON_NULL;
    }

    if (condition->op == WSB_WHERE_NEVER
        || subject->value.type == WSB_JSON_NULL)
    {
        return 0;
    }

    /* an array that holds the secret is unequal to it: see neq */

    if (condition->forced && (subject->value.type == WSB_JSON_ARRAY
                              || subject->value.type == WSB_JSON_OBJECT))
    {
        return 0;
    }

    p = condition->values;

    if (condition->op == WSB_WHERE_LIKE || condition->op == WSB_WHERE_ILIKE)
    {
        (void) wsb_where_value(p, &v);

        return wsb_value_is_scalar(&subject->value)
               && wsb_like_match(v.text, subject->value.text,
                                 condition->op == WSB_WHERE_ILIKE);
    }

    if (condition->op == WSB_WHERE_EQ || condition->op == WSB_WHERE_IN) {

        for (i = 1; !wsb_where_equal(condition, p, subject); i++) {

            if (i >= condition->nvalues) {
                return 0;
            }

            p = wsb_where_skip(p, 1);
        }

        return 1;
    }

    order = wsb_where_compare(p, subject);

    switch (condition->op) {

    case WSB_WHERE_NEQ:
        return order != WSB_EQUAL;

    case WSB_WHERE_GT:
        return order == WSB_GREATER;

    case WSB_WHERE_GTE:
        return order == WSB_GREATER || order == WSB_EQUAL;

    case WSB_WHERE_LT:
        return order == WSB_LESS;

    default: /* WSB_WHERE_LTE */
        return order == WSB_LESS || order == WSB_EQUAL;
    }
}


/*
 * A forced value is text, and may be somebody's name: it is a number only as
 * that is usually written, so that a user "1e1" is not user 10.
 */

int
wsb_where_equal(const wsb_condition_t *condition, const uint8_t *p,
    wsb_subject_t *subject)
{
    wsb_value_t  v;

    if (wsb_where_compare(p, subject) != WSB_EQUAL) {
        return 0;
    }

    if (!condition->forced || subject->value.type != WSB_JSON_NUMBER) {
        return 1;
    }

    (void) wsb_where_value(p, &v);

    return v.type != WSB_JSON_STRING || wsb_value_plain(v.text);
}


static wsb_order_t
wsb_where_compare(const uint8_t *p, wsb_subject_t *subject)
{
    wsb_value_t  v;

    (void) wsb_where_value(p, &v);

    /* a long text that is no number is not looked through to find that out */

    if (*p == WSB_JSON_STRING && subject->value.type != WSB_JSON_STRING) {
        return WSB_UNEQUAL;
    }

    return wsb_value_subject_compare(subject, &v);
}


const uint8_t *
wsb_where_skip(const uint8_t *p, unsigned n)
{
    while (n-- > 0) {
        p += 3 + wsb_where_get16(p + 1);
    }

    return p;
}


wsb_rc_t
wsb_where_join(const wsb_where_t *a, const wsb_where_t *b, unsigned flags,
    wsb_field_t field, wsb_where_t **where)
{
    size_t       len;
    wsb_text_t   paths;
    wsb_where_t *dst;

    len = b->len + (a ? a->len : 0);

    if (len > UINT16_MAX
        || b->nconditions + (a ? a->nconditions : 0) > UINT8_MAX
        || b->npaths + (a ? a->npaths : 0) > UINT8_MAX)
    {
        return WSB_ERROR;
    }

    /* no column is longer in there than it was */

    dst = wsb_malloc(b->size + (a ? a->size : 0));
    if (dst == NULL) {
        return WSB_NOMEM;
    }

    memset(dst, 0, sizeof(wsb_where_t));
    memset(&paths, 0, sizeof(wsb_text_t));

    if (a != NULL) {
        wsb_where_copy(dst, &paths, a, 0, 0);
    }

    wsb_where_copy(dst, &paths, b, flags, field);

    if (paths.failed) {
        wsb_free(dst);
        return WSB_NOMEM;
    }

    if (paths.len != 0) {
        memcpy(dst->bytes + dst->len, paths.data, paths.len);
    }

    dst->size = sizeof(wsb_where_t) + dst->len + paths.len;

    wsb_text_done(&paths);

    *where = dst;

    return WSB_OK;
}


wsb_rc_t
wsb_where_field(const wsb_where_t *a, wsb_field_t field,
    const wsb_str_t *texts, unsigned n, int absent, wsb_where_t **where)
{
    size_t        size;
    uint8_t      *p;
    unsigned      i;
    wsb_rc_t      rc;
    wsb_where_t  *b;

    size = sizeof(wsb_where_t) + 6;

    for (i = 0; i < n; i++) {

        if (texts[i].len > UINT16_MAX) {
            return WSB_ERROR;
        }

        size += 3 + texts[i].len;
    }

    if (size > UINT16_MAX) {
        return WSB_ERROR;
    }

    b = wsb_malloc(size);
    if (b == NULL) {
        return WSB_NOMEM;
    }

    memset(b, 0, sizeof(wsb_where_t));
    p = b->bytes;

    if (n != 0) {
        b->nconditions++;

        *p++ = WSB_WHERE_FIELD | (n == 1 ? WSB_WHERE_EQ : WSB_WHERE_IN);
        *p++ = field;

        if (n != 1) {
            *p++ = n & 0xff;
            *p++ = n >> 8 & 0xff;
        }
    }

    for (i = 0; i < n; i++) {
        *p++ = WSB_JSON_STRING;
        *p++ = texts[i].len & 0xff;
        *p++ = texts[i].len >> 8 & 0xff;

        if (texts[i].len != 0) {
            memcpy(p, texts[i].data, texts[i].len);
            p += texts[i].len;
        }
    }

    if (absent) {
        b->nconditions++;

        *p++ = WSB_WHERE_FIELD | WSB_WHERE_ABSENT
               | (n != 0 ? WSB_WHERE_JOINED : 0);
        *p++ = field;
    }

    b->len = p - b->bytes;
    b->size = sizeof(wsb_where_t) + b->len;

    rc = wsb_where_join(a, b, 0, 0, where);

    wsb_free(b);

    return rc;
}


static void
wsb_where_copy(wsb_where_t *dst, wsb_text_t *paths, const wsb_where_t *src,
    unsigned flags, unsigned field)
{
    uint8_t          *q;
    const uint8_t    *p, *next;
    wsb_condition_t   condition;

    p = src->bytes;

    while (p < src->bytes + src->len) {
        next = wsb_where_next(p, &condition);
        q = dst->bytes + dst->len;

        memcpy(q, p, next - p);
        q[0] |= flags;

        if (condition.op != WSB_WHERE_NEVER && !condition.field) {
            q[1] = flags & WSB_WHERE_FIELD
                       ? field
                       : wsb_where_number(dst, paths,
                                          wsb_where_path(src,
                                                         condition.path));
        }

        dst->len += next - p;
        dst->nconditions++;

        p = next;
    }
}


unsigned
wsb_where_number(wsb_where_t *where, wsb_text_t *paths, wsb_str_t path)
{
    uint8_t         n[2] = { path.len & 0xff, path.len >> 8 & 0xff };
    unsigned        i;
    const uint8_t  *p;

    p = paths->data;

    for (i = 0; i < where->npaths && !paths->failed; i++) {

        if (wsb_where_get16(p) == path.len
            && memcmp(p + 2, path.data, path.len) == 0)
        {
            return i;
        }

        p += 2 + wsb_where_get16(p);
    }

    wsb_text_add(paths, n, 2);
    wsb_text_add(paths, path.data, path.len);

    return where->npaths++;
}

#include "wsb_where.h"


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
    condition->op = *p & ~WSB_WHERE_JOINED;
    condition->joined = (*p & WSB_WHERE_JOINED) != 0;
    p++;

    if (condition->op == WSB_WHERE_NEVER) {
        condition->path = 0;
        condition->nvalues = 0;
        condition->values = p;
        return p;
    }

    condition->path = *p++;
    condition->nvalues = 1;

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
    value->type = p[0];
    value->text.len = wsb_where_get16(p + 1);
    value->text.data = p + 3;

    return value->text.data + value->text.len;
}


int
wsb_where_holds(const wsb_condition_t *condition, const wsb_value_t *value)
{
    unsigned        i;
    wsb_order_t     order;
    wsb_value_t     v;
    const uint8_t  *p;

    if (condition->op == WSB_WHERE_NEVER || value->type == WSB_JSON_NULL) {
        return 0;
    }

    p = wsb_where_value(condition->values, &v);

    if (condition->op == WSB_WHERE_LIKE || condition->op == WSB_WHERE_ILIKE)
    {
        return wsb_value_like(value, v.text,
                              condition->op == WSB_WHERE_ILIKE);
    }

    order = wsb_value_compare(value, &v);

    switch (condition->op) {

    case WSB_WHERE_EQ:
        return order == WSB_EQUAL;

    case WSB_WHERE_NEQ:
        return order != WSB_EQUAL;

    case WSB_WHERE_GT:
        return order == WSB_GREATER;

    case WSB_WHERE_GTE:
        return order == WSB_GREATER || order == WSB_EQUAL;

    case WSB_WHERE_LT:
        return order == WSB_LESS;

    case WSB_WHERE_LTE:
        return order == WSB_LESS || order == WSB_EQUAL;

    default: /* WSB_WHERE_IN */
        break;
    }

    for (i = 1; order != WSB_EQUAL && i < condition->nvalues; i++) {
        p = wsb_where_value(p, &v);
        order = wsb_value_compare(value, &v);
    }

    return order == WSB_EQUAL;
}


const uint8_t *
wsb_where_skip(const uint8_t *p, unsigned n)
{
    while (n-- > 0) {
        p += 3 + wsb_where_get16(p + 1);
    }

    return p;
}

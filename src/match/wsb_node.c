/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_node.h"


static void wsb_node_found(const wsb_node_t *node,
    wsb_condition_t *condition);
static unsigned wsb_node_values(const wsb_rows_t *rows,
    const wsb_key_t *path, const wsb_condition_t *condition,
    wsb_key_t hash[WSB_WHERE_VALUES]);
static wsb_rc_t wsb_node_terms_create(wsb_rows_t *rows, wsb_node_t *node,
    const wsb_where_t *where, unsigned found);
static wsb_rc_t wsb_node_memos_create(wsb_rows_t *rows, wsb_terms_t *terms);
static void wsb_node_release_paths(wsb_rows_t *rows, wsb_terms_t *terms);
static unsigned wsb_node_costly(const wsb_where_t *where);


wsb_rc_t
wsb_node_shape(wsb_shape_t *shape, const wsb_rows_t *rows,
    const wsb_plan_t *plan, unsigned n)
{
    unsigned            i;
    wsb_key_t           path;
    const uint8_t      *p;
    wsb_condition_t     condition, next;
    const wsb_where_t  *where;

    where = wsb_plan_where(plan);
    p = where->bytes;

    for (i = 0; i <= n; i++) {
        p = wsb_where_next(p, &condition);
    }

    if (condition.joined || condition.field
        || (condition.op != WSB_WHERE_EQ && condition.op != WSB_WHERE_IN)
        || plan->nkeys * condition.nvalues > WSB_NODE_KEYS)
    {
        return WSB_ERROR;
    }

    if (i < where->nconditions) {
        (void) wsb_where_next(p, &next);

        if (next.joined) {
            return WSB_ERROR;
        }
    }

    path = wsb_rows_path_hash(rows, wsb_where_path(where, condition.path));

    shape->found = n;
    shape->path = condition.path;
    shape->nhashes = wsb_node_values(rows, &path, &condition, shape->hash);

    return WSB_OK;
}


/*
 * Sorted and without repetitions: 1 and "1.0" are two values of an `in`, and
 * one to be found by.
 */

static unsigned
wsb_node_values(const wsb_rows_t *rows, const wsb_key_t *path,
    const wsb_condition_t *condition, wsb_key_t hash[WSB_WHERE_VALUES])
{
    unsigned        i, k, n;
    wsb_key_t       h;
    wsb_value_t     value;
    const uint8_t  *p;

    n = 0;
    p = condition->values;

    for (i = 0; i < condition->nvalues; i++) {
        p = wsb_where_value(p, &value);

        if (!wsb_rows_value_hash(rows, path, &value, &h)) {
            continue;
        }

        for (k = n; k > 0 && wsb_key_less(&h, &hash[k - 1]); k--) {
            /* void */
        }

        if (k > 0 && wsb_key_eq(&h, &hash[k - 1])) {
            continue;
        }

        memmove(&hash[k + 1], &hash[k], (n - k) * sizeof(wsb_key_t));
        hash[k] = h;
        n++;
    }

    return n;
}


wsb_node_t *
wsb_node_create(wsb_rows_t *rows, const wsb_plan_t *plan,
    const wsb_shape_t *shape)
{
    size_t              size;
    unsigned            i, k, n, nlinks, nplaces, nfound;
    wsb_node_t         *node;
    const wsb_where_t  *where;

    where = wsb_plan_where(plan);

    n = shape->nhashes ? shape->nhashes : 1;

    nlinks = shape->kind == WSB_NODE_LISTED ? 1 : plan->nkeys * n;
    nplaces = shape->kind == WSB_NODE_LISTED ? plan->nkeys * n : 0;
    nfound = shape->nhashes != 0 ? plan->nkeys : 0;

    size = sizeof(wsb_node_t) + nlinks * sizeof(wsb_link_t)
           + (nplaces + nfound) * sizeof(wsb_place_t);

    if (shape->kind != WSB_NODE_PLAIN) {
        size += sizeof(wsb_terms_t);
    }

    if (where != NULL) {
        size += where->npaths * sizeof(uint32_t) + where->len
                + wsb_node_costly(where) * sizeof(uint32_t);
    }

    node = wsb_malloc(size);
    if (node == NULL) {
        return NULL;
    }

    memset(node, 0, sizeof(wsb_node_t));

    node->nlinks = nlinks;
    node->nplaces = nplaces;
    node->nfound = nfound;
    node->mask = plan->mask;
    node->live = plan->live;
    node->kind = shape->kind;
    memcpy(node->only, plan->only, sizeof(node->only));

    if (!wsb_plan_simple(plan)) {
        size = wsb_plan_routing(plan);

        node->plan = wsb_malloc(size);
        if (node->plan == NULL) {
            wsb_free(node);
            return NULL;
        }

        memcpy(node->plan, plan, size);
        node->plan->where = 0;
    }

    for (i = 0; i < nlinks; i++) {
        node->link[i].owner = node;

        switch (shape->kind) {

        case WSB_NODE_PLAIN:
            node->link[i].key = plan->keys[i];
            break;

        case WSB_NODE_VALUE:
            k = i / n;
            node->link[i].key = wsb_node_key_below(&plan->keys[k],
                                                   &shape->hash[i % n]);
            break;

        default: /* WSB_NODE_LISTED */
            node->link[i].key = plan->id;
            break;
        }
    }

    if (shape->kind != WSB_NODE_PLAIN
        && wsb_node_terms_create(rows, node, where, shape->found) != WSB_OK)
    {
        wsb_node_destroy(node);
        return NULL;
    }

    return node;
}


static wsb_rc_t
wsb_node_terms_create(wsb_rows_t *rows, wsb_node_t *node,
    const wsb_where_t *where, unsigned found)
{
    wsb_str_t     path;
    wsb_terms_t  *terms;

    terms = wsb_node_terms(node);

    terms->len = 0;
    terms->npaths = 0;
    terms->found = found;

    if (where == NULL) {
        return WSB_OK;
    }

    terms->len = where->len;

    while (terms->npaths < where->npaths) {
        path = wsb_where_path(where, terms->npaths);

        if (wsb_rows_add_path(rows, path, &terms->path[terms->npaths])
            != WSB_OK)
        {
            wsb_node_release_paths(rows, terms);
            return WSB_NOMEM;
        }

        terms->npaths++;
    }

    memcpy(wsb_node_terms_bytes(terms), where->bytes, where->len);

    if (wsb_node_memos_create(rows, terms) != WSB_OK) {
        wsb_node_release(rows, node);
        return WSB_NOMEM;
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_node_memos_create(wsb_rows_t *rows, wsb_terms_t *terms)
{
    uint8_t          *memo;
    uint32_t          id, path;
    wsb_rc_t          rc;
    const uint8_t    *p, *last;
    wsb_condition_t   condition;

    p = wsb_node_terms_bytes(terms);
    last = p + terms->len;
    memo = wsb_node_terms_memos(terms);
    rc = WSB_OK;

    while (p < last) {
        p = wsb_where_next(p, &condition);

        if (!wsb_where_costly(&condition)) {
            continue;
        }

        /* those behind one that failed are none */

        id = WSB_MEMO_NONE;
        path = condition.field ? 0 : terms->path[condition.path];

        if (rc == WSB_OK) {
            rc = wsb_rows_add_memo(rows, &condition, path, &id);
        }

        memcpy(memo, &id, sizeof(uint32_t));
        memo += sizeof(uint32_t);
    }

    return rc;
}


static unsigned
wsb_node_costly(const wsb_where_t *where)
{
    unsigned          n;
    const uint8_t    *p, *last;
    wsb_condition_t   condition;

    p = where->bytes;
    last = p + where->len;
    n = 0;

    while (p < last) {
        p = wsb_where_next(p, &condition);
        n += wsb_where_costly(&condition);
    }

    return n;
}


void
wsb_node_release(wsb_rows_t *rows, wsb_node_t *node)
{
    uint32_t          id;
    wsb_terms_t      *terms;
    const uint8_t    *p, *last, *memo;
    wsb_condition_t   condition;

    if (node->kind == WSB_NODE_PLAIN) {
        return;
    }

    terms = wsb_node_terms(node);

    p = wsb_node_terms_bytes(terms);
    last = p + terms->len;
    memo = wsb_node_terms_memos(terms);

    while (p < last) {
        p = wsb_where_next(p, &condition);

        if (wsb_where_costly(&condition)) {
            memcpy(&id, memo, sizeof(uint32_t));
            memo += sizeof(uint32_t);

            if (id != WSB_MEMO_NONE) {
                wsb_rows_remove_memo(rows, id);
            }
        }
    }

    wsb_node_release_paths(rows, terms);
}


static void
wsb_node_release_paths(wsb_rows_t *rows, wsb_terms_t *terms)
{
    while (terms->npaths > 0) {
        wsb_rows_remove_path(rows, terms->path[--terms->npaths]);
    }
}


void
wsb_node_destroy(wsb_node_t *node)
{
    if (node->nalloc != 0) {
        wsb_free(node->subs.many);
    }

    wsb_free(node->plan);
    wsb_free(node);
}


wsb_rc_t
wsb_node_add(wsb_node_t *node, wsb_sub_t *sub)
{
    uint32_t     n;
    wsb_sub_t  **subs;

    if (node->nsubs == (node->nalloc ? node->nalloc : 1)) {
        n = node->nalloc ? node->nalloc * 2 : 4;

        subs = wsb_realloc(node->nalloc ? node->subs.many : NULL,
                           n * sizeof(wsb_sub_t *));
        if (subs == NULL) {
            return WSB_NOMEM;
        }

        if (node->nalloc == 0) {
            subs[0] = node->subs.one;
        }

        node->subs.many = subs;
        node->nalloc = n;
    }

    sub->node = node;
    sub->index = node->nsubs;

    wsb_node_subs(node)[node->nsubs++] = sub;

    return WSB_OK;
}


/* A LISTED one needs no look: its link has the id of the whole plan. */

int
wsb_node_equal(const wsb_rows_t *rows, const wsb_node_t *node,
    const wsb_plan_t *plan)
{
    unsigned            i;
    wsb_key_t           path;
    wsb_terms_t        *terms;
    const wsb_where_t  *where;

    if (node->kind == WSB_NODE_LISTED) {
        return 1;
    }

    if (node->live != plan->live) {
        return 0;
    }

    if (node->plan != NULL || !wsb_plan_simple(plan)) {
        return node->plan != NULL && wsb_key_eq(&node->plan->id, &plan->id);
    }

    if (node->kind == WSB_NODE_PLAIN) {
        return 1;
    }

    where = wsb_plan_where(plan);
    terms = wsb_node_terms(node);

    if (terms->len != where->len || terms->npaths != where->npaths
        || memcmp(wsb_node_terms_bytes(terms), where->bytes, where->len) != 0)
    {
        return 0;
    }

    for (i = 0; i < terms->npaths; i++) {
        path = wsb_rows_path_hash(rows, wsb_where_path(where, i));

        if (!wsb_key_eq(&path, wsb_rows_path_key(rows, terms->path[i]))) {
            return 0;
        }
    }

    return 1;
}


int
wsb_node_under(const wsb_node_t *node, const wsb_key_t *key)
{
    unsigned      i;
    wsb_place_t  *place;

    if (node->kind != WSB_NODE_LISTED) {

        for (i = 0; i < node->nlinks; i++) {
            if (wsb_key_eq(&node->link[i].key, key)) {
                return 1;
            }
        }

        return 0;
    }

    place = wsb_node_places(node);

    for (i = 0; i < node->nplaces; i++) {
        if (wsb_key_eq(&place[i].group->key, key)) {
            return 1;
        }
    }

    return 0;
}


int
wsb_node_found_under(const wsb_node_t *node, const wsb_key_t *key)
{
    unsigned      i;
    wsb_place_t  *place;

    place = wsb_node_places(node) + node->nplaces;

    for (i = 0; i < node->nfound; i++) {
        if (wsb_key_eq(&place[i].group->key, key)) {
            return 1;
        }
    }

    return 0;
}


int
wsb_node_forced(const wsb_node_t *node)
{
    wsb_terms_t      *terms;
    const uint8_t    *p, *last;
    wsb_condition_t   condition;

    terms = wsb_node_terms(node);

    p = wsb_node_terms_bytes(terms);
    last = p + terms->len;

    while (p < last) {
        p = wsb_where_next(p, &condition);

        if (condition.forced && !condition.field) {
            return 1;
        }
    }

    return 0;
}


int
wsb_node_holds(const wsb_node_t *node, wsb_rows_t *rows, unsigned row,
    unsigned forced)
{
    int               holds;
    uint32_t          id, path;
    wsb_terms_t      *terms;
    const uint8_t    *p, *last, *memo;
    wsb_condition_t   condition;

    terms = wsb_node_terms(node);

    p = wsb_node_terms_bytes(terms);
    last = p + terms->len;
    memo = last;
    id = WSB_MEMO_NONE;
    holds = 1;

    while (p < last) {
        p = wsb_where_next(p, &condition);

        if (wsb_where_costly(&condition)) {
            memcpy(&id, memo, sizeof(uint32_t));
            memo += sizeof(uint32_t);
        }

        if (forced && !condition.forced) {
            continue;
        }

        if (!condition.joined) {

            if (!holds) {
                return 0;
            }

            holds = 0;
        }

        if (holds || condition.op == WSB_WHERE_NEVER) {
            continue;
        }

        path = condition.field ? 0 : terms->path[condition.path];

        if (wsb_where_costly(&condition)) {
            holds = wsb_rows_ask(rows, row, id, &condition, path);

        } else if (condition.field) {
            holds = wsb_where_holds(&condition,
                                    wsb_rows_field(rows, condition.path));

        } else {
            holds = wsb_where_holds(&condition,
                                    wsb_rows_value(rows, row, path));
        }
    }

    return holds;
}


uint32_t
wsb_node_path(const wsb_node_t *node)
{
    wsb_condition_t  condition;

    wsb_node_found(node, &condition);

    return wsb_node_terms(node)->path[condition.path];
}


unsigned
wsb_node_hashes(const wsb_node_t *node, const wsb_rows_t *rows,
    wsb_key_t hash[WSB_WHERE_VALUES])
{
    uint32_t          path;
    wsb_condition_t   condition;

    if (node->kind == WSB_NODE_PLAIN
        || wsb_node_terms(node)->found == WSB_NODE_NONE)
    {
        return 0;
    }

    wsb_node_found(node, &condition);
    path = wsb_node_terms(node)->path[condition.path];

    return wsb_node_values(rows, wsb_rows_path_key(rows, path), &condition,
                           hash);
}


static void
wsb_node_found(const wsb_node_t *node, wsb_condition_t *condition)
{
    unsigned        i;
    wsb_terms_t    *terms;
    const uint8_t  *p;

    terms = wsb_node_terms(node);
    p = wsb_node_terms_bytes(terms);

    for (i = 0; i <= terms->found; i++) {
        p = wsb_where_next(p, condition);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_shape.h"


static wsb_node_t *wsb_shape_under(const wsb_links_t *links,
    const wsb_rows_t *rows, const wsb_key_t *key, const wsb_plan_t *plan);
static unsigned wsb_shape_cost(const wsb_links_t *links,
    const wsb_rows_t *rows, const wsb_plan_t *plan, const wsb_shape_t *shape);
static int wsb_shape_few(const wsb_links_t *links, const wsb_plan_t *plan,
    const wsb_shape_t *shape);


wsb_node_t *
wsb_shape_find(const wsb_links_t *links, const wsb_rows_t *rows,
    const wsb_plan_t *plan, wsb_shape_t *shape)
{
    unsigned            n, cost, best, found;
    wsb_key_t           key;
    wsb_node_t         *node;
    const wsb_where_t  *where;

    where = wsb_plan_where(plan);

    shape->kind = WSB_NODE_PLAIN;
    shape->found = WSB_NODE_NONE;
    shape->nhashes = 0;

    if (where == NULL && wsb_plan_simple(plan)) {
        return wsb_shape_under(links, rows, &plan->keys[0], plan);
    }

    node = wsb_shape_under(links, rows, &plan->id, plan);

    if (where == NULL) {

        if (node == NULL) {
            node = wsb_shape_under(links, rows, &plan->keys[0], plan);
        }

        /* of those that are simple a key has one; of these, any number */

        if (node == NULL && !wsb_shape_few(links, plan, shape)) {
            shape->kind = WSB_NODE_LISTED;
        }

        return node;
    }

    found = WSB_NODE_NONE;
    best = 0;

    for (n = 0; node == NULL && n < where->nconditions; n++) {

        if (wsb_node_shape(shape, rows, plan, n) != WSB_OK) {
            continue;
        }

        key = wsb_node_key_below(&plan->keys[0], &shape->hash[0]);
        node = wsb_shape_under(links, rows, &key, plan);

        cost = wsb_shape_cost(links, rows, plan, shape);

        if (found == WSB_NODE_NONE || cost < best) {
            best = cost;
            found = n;
        }
    }

    if (node != NULL) {
        return node;
    }

    shape->kind = WSB_NODE_LISTED;
    shape->found = WSB_NODE_NONE;
    shape->nhashes = 0;

    if (found != WSB_NODE_NONE) {
        (void) wsb_node_shape(shape, rows, plan, found);

        if (wsb_shape_few(links, plan, shape)) {
            shape->kind = WSB_NODE_VALUE;
        }
    }

    return NULL;
}


static wsb_node_t *
wsb_shape_under(const wsb_links_t *links, const wsb_rows_t *rows,
    const wsb_key_t *key, const wsb_plan_t *plan)
{
    wsb_link_t  *link;

    for (link = wsb_links_find(links, key);
         link != NULL;
         link = wsb_links_next(link))
    {
        if (link->owner != NULL
            && wsb_node_equal(rows, link->owner, plan))
        {
            return link->owner;
        }
    }

    return NULL;
}


/* Those below the same values, a look-up more for each event, more values. */

static unsigned
wsb_shape_cost(const wsb_links_t *links, const wsb_rows_t *rows,
    const wsb_plan_t *plan, const wsb_shape_t *shape)
{
    unsigned      i, n, cost;
    uint32_t      id;
    wsb_key_t     key, path;
    wsb_group_t  *group;

    cost = 0;

    for (i = 0; i < shape->nhashes; i++) {
        key = wsb_node_key_below(&plan->keys[0], &shape->hash[i]);
        n = wsb_group_below(links, &key);
        cost = n > cost ? n : cost;
    }

    path = wsb_rows_path_hash(rows,
                              wsb_where_path(wsb_plan_where(plan),
                                             shape->path));

    id = wsb_rows_path_id(rows, &path);
    group = wsb_group_find(links, &plan->keys[0]);

    cost += group == NULL
            || wsb_group_find_use(group, id) == WSB_GROUP_NONE;

    return 2 * cost + (shape->nhashes > 1);
}


/* Where many have one key, a chain of links would be too long. */

static int
wsb_shape_few(const wsb_links_t *links, const wsb_plan_t *plan,
    const wsb_shape_t *shape)
{
    unsigned   i, k, n;
    wsb_key_t  key;

    n = shape->nhashes ? shape->nhashes : 1;

    for (k = 0; k < plan->nkeys; k++) {
        for (i = 0; i < n; i++) {
            key = plan->keys[k];

            if (shape->nhashes != 0) {
                key = wsb_node_key_below(&key, &shape->hash[i]);
            }

            if (wsb_group_linked(links, &key) >= WSB_NODE_RUN) {
                return 0;
            }
        }
    }

    return 1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_index.h"
#include "wsb_group.h"
#include "wsb_shape.h"


struct wsb_index_s {
    wsb_links_t           links;
    wsb_rows_t           *rows;           /* of the event in hand */
    size_t                nnodes;
    size_t                nconditional;   /* nodes with conditions */
    size_t                nlive;          /* of these, with snapshots */
    size_t                nmask[WSB_MASKS];      /* nodes with each mask */
    uint64_t              evaluations;
    uint64_t              work;           /* bytes of conditions */
};


/*
 * Of which row an event takes the place is not known, or not for sure: then a
 * list may hold what it should not.  Who has no snapshot is told of rows that
 * are gone, who has one of changed ones, too.
 */

#define WSB_INDEX_KNOWN     0
#define WSB_INDEX_UPDATED   1
#define WSB_INDEX_DELETED   2


typedef struct {
    wsb_index_t          *index;
    const wsb_parts_t    *parts;
    wsb_match_pt          fn;
    void                 *ctx;
} wsb_matching_t;


static wsb_rc_t wsb_index_link(wsb_index_t *index, wsb_node_t *node,
    const wsb_plan_t *plan, const wsb_shape_t *shape);
static void wsb_index_unlink(wsb_index_t *index, wsb_node_t *node,
    const wsb_key_t *keys, unsigned nuses, unsigned nplaces);
static void wsb_index_match_group(const wsb_matching_t *m,
    const wsb_group_t *group);
static void wsb_index_match_value(const wsb_matching_t *m,
    const wsb_key_t *key, const wsb_key_t *seen);
static void wsb_index_match_list(const wsb_matching_t *m,
    const wsb_list_t *list, const wsb_key_t *seen);
static void wsb_index_match_live(const wsb_matching_t *m,
    const wsb_group_t *group);
static unsigned wsb_index_unknown(const wsb_index_t *index);
static void wsb_index_match_node(const wsb_matching_t *m, wsb_node_t *node);
static int wsb_index_change(wsb_index_t *index, const wsb_node_t *node,
    wsb_change_t *change);
static int wsb_index_change_unknown(wsb_index_t *index,
    const wsb_node_t *node, unsigned unknown, wsb_change_t *change);
static int wsb_index_holds(wsb_index_t *index, const wsb_node_t *node,
    unsigned row);


wsb_index_t *
wsb_index_create(const uint8_t key[16])
{
    wsb_index_t  *index;

    index = wsb_malloc(sizeof(wsb_index_t));
    if (index == NULL) {
        return NULL;
    }

    memset(index, 0, sizeof(wsb_index_t));

    index->rows = wsb_rows_create(key);

    if (index->rows == NULL) {
        wsb_free(index);
        return NULL;
    }

    if (wsb_links_init(&index->links) != WSB_OK) {
        wsb_rows_destroy(index->rows);
        wsb_free(index);
        return NULL;
    }

    return index;
}


void
wsb_index_destroy(wsb_index_t *index)
{
    size_t        i;
    wsb_link_t   *link, *next;
    wsb_node_t   *node;
    wsb_group_t  *group;

    for (i = 0; i < index->links.level + index->links.split; i++) {

        for (link = index->links.bucket[i]; link != NULL; link = next) {
            next = link->next;
            node = link->owner;

            if (node == NULL) {
                group = (wsb_group_t *) link;

                wsb_free(group->list[WSB_GROUP_LISTED].elts);
                wsb_free(group->list[WSB_GROUP_FOUND].elts);
                wsb_free(group->uses);
                wsb_free(group);

            } else if (--node->nlinks == 0) {

                /* the node goes with the last of its links */

                wsb_node_destroy(node);
            }
        }
    }

    wsb_links_done(&index->links);
    wsb_rows_destroy(index->rows);
    wsb_free(index);
}


wsb_rc_t
wsb_index_add(wsb_index_t *index, const wsb_plan_t *plan, wsb_sub_t *sub)
{
    wsb_node_t   *node;
    wsb_shape_t   shape;

    node = wsb_shape_find(&index->links, index->rows, plan, &shape);

    if (node != NULL) {
        return wsb_node_add(node, sub);
    }

    node = wsb_node_create(index->rows, plan, &shape);

    if (node == NULL) {
        return WSB_NOMEM;
    }

    if (wsb_index_link(index, node, plan, &shape) != WSB_OK) {
        wsb_node_release(index->rows, node);
        wsb_node_destroy(node);
        return WSB_NOMEM;
    }

    index->nnodes++;
    index->nmask[node->mask]++;
    index->nconditional += wsb_node_asks(node);
    index->nlive += node->live;

    /* for the first one there is room */

    return wsb_node_add(node, sub);
}


void
wsb_index_remove(wsb_index_t *index, wsb_sub_t *sub)
{
    unsigned      i, n;
    wsb_key_t     keys[WSB_FILTER_VALUES];
    wsb_sub_t    *last, **subs;
    wsb_node_t   *node;

    node = sub->node;
    sub->node = NULL;

    subs = wsb_node_subs(node);

    last = subs[--node->nsubs];
    subs[sub->index] = last;
    last->index = sub->index;

    if (node->nsubs != 0) {
        return;
    }

    n = node->kind == WSB_NODE_PLAIN ? 0 : wsb_index_node_keys(index, node,
                                                               keys);

    wsb_index_unlink(index, node, keys, n, node->nplaces);

    for (i = 0; i < node->nlinks; i++) {
        wsb_links_remove(&index->links, &node->link[i]);
    }

    index->nnodes--;
    index->nmask[node->mask]--;
    index->nconditional -= wsb_node_asks(node);
    index->nlive -= node->live;

    wsb_node_release(index->rows, node);
    wsb_node_destroy(node);
}


wsb_rc_t
wsb_index_match(wsb_index_t *index, const wsb_parts_t *parts,
    const wsb_event_t *ev, wsb_match_pt fn, void *ctx)
{
    unsigned         mask;
    wsb_key_t        key;
    wsb_link_t      *link;
    wsb_matching_t   m;

    if (wsb_index_begin(index, ev) != WSB_OK) {
        return WSB_NOMEM;
    }

    m.index = index;
    m.parts = parts;
    m.fn = fn;
    m.ctx = ctx;

    for (mask = 0; mask < WSB_MASKS; mask++) {

        if (index->nmask[mask] == 0 || (mask & parts->present) != mask) {
            continue;
        }

        key = wsb_key(parts, mask);

        for (link = wsb_links_find(&index->links, &key);
             link != NULL;
             link = wsb_links_next(link))
        {
            if (link->owner == NULL) {
                wsb_index_match_group(&m, (wsb_group_t *) link);

            } else {
                wsb_index_match_node(&m, link->owner);
            }
        }
    }

    return WSB_OK;
}


wsb_rc_t
wsb_index_begin(wsb_index_t *index, const wsb_event_t *ev)
{
    return wsb_rows_begin(index->rows, index->nconditional ? ev : NULL);
}


int
wsb_index_node_matches(wsb_index_t *index, const wsb_node_t *node,
    const wsb_parts_t *parts, wsb_change_t *change)
{
    int               under;
    unsigned          row, unknown;
    uint32_t          path;
    wsb_key_t         key, below;
    const wsb_key_t  *hash;

    *change = WSB_CHANGE_NONE;

    if ((node->mask & parts->present) != node->mask) {
        return 0;
    }

    key = wsb_key(parts, node->mask);

    if (node->kind == WSB_NODE_PLAIN) {
        return wsb_node_under(node, &key)
               && (node->plan == NULL || wsb_plan_rest(node->plan, parts));
    }

    if (wsb_node_terms(node)->found == WSB_NODE_NONE) {
        under = wsb_node_under(node, &key);

    } else {
        unknown = wsb_index_unknown(index);
        under = (unknown == WSB_INDEX_DELETED
                 || (unknown == WSB_INDEX_UPDATED && node->live))
                && wsb_node_found_under(node, &key);
        path = wsb_node_path(node);

        for (row = WSB_ROW_NEW; !under && row <= WSB_ROW_OLD; row++) {
            hash = wsb_rows_hash(index->rows, row, path);

            if (hash != NULL) {
                below = wsb_node_key_below(&key, hash);
                under = wsb_node_under(node, &below);
            }
        }
    }

    return under
           && (node->plan == NULL || wsb_plan_rest(node->plan, parts))
           && (!wsb_node_asks(node)
               || wsb_index_change(index, node, change));
}


int
wsb_index_node_concerns(const wsb_node_t *node, const wsb_parts_t *parts)
{
    return wsb_plan_concerns(node->plan, node->mask, node->only, parts);
}


unsigned
wsb_index_node_keys(const wsb_index_t *index, const wsb_node_t *node,
    wsb_key_t keys[WSB_FILTER_VALUES])
{
    unsigned      i, n, step;
    wsb_key_t     hash[WSB_WHERE_VALUES], none;
    wsb_place_t  *place;

    memset(&none, 0, sizeof(wsb_key_t));

    n = wsb_node_hashes(node, index->rows, hash);
    step = n == 0 ? 1 : n;

    if (n == 0) {
        hash[0] = none;
    }

    place = wsb_node_places(node);

    n = node->kind == WSB_NODE_LISTED ? node->nplaces : node->nlinks;

    /* all values of one routing key stand together */

    for (i = 0; i < n / step; i++) {
        keys[i] = wsb_node_key_below(node->kind == WSB_NODE_LISTED
                                         ? &place[i * step].group->key
                                         : &node->link[i * step].key,
                                     &hash[0]);
    }

    return i;
}


size_t
wsb_index_nodes(const wsb_index_t *index)
{
    return index->nnodes;
}


uint64_t
wsb_index_evaluations(const wsb_index_t *index)
{
    return index->evaluations;
}


uint64_t
wsb_index_work(const wsb_index_t *index)
{
    return index->work + wsb_rows_work(index->rows);
}


/* WSB_NOMEM: nothing has changed. */

static wsb_rc_t
wsb_index_link(wsb_index_t *index, wsb_node_t *node, const wsb_plan_t *plan,
    const wsb_shape_t *shape)
{
    unsigned   i, k, n, nuses;
    wsb_key_t  key;

    nuses = 0;
    k = 0;

    while (shape->nhashes != 0 && nuses < plan->nkeys) {

        if (wsb_group_use(&index->links, &plan->keys[nuses],
                          wsb_node_path(node))
            != WSB_OK)
        {
            goto failed;
        }

        if (wsb_group_list(&index->links, &plan->keys[nuses], node,
                           node->nplaces + nuses)
            != WSB_OK)
        {
            wsb_group_unuse(&index->links, &plan->keys[nuses],
                            wsb_node_path(node));
            goto failed;
        }

        nuses++;
    }

    n = shape->nhashes ? shape->nhashes : 1;

    for ( /* void */ ; k < node->nplaces; k++) {
        key = plan->keys[k / n];

        if (shape->nhashes != 0) {
            key = wsb_node_key_below(&key, &shape->hash[k % n]);
        }

        if (wsb_group_list(&index->links, &key, node, k) != WSB_OK) {
            goto failed;
        }
    }

    for (i = 0; i < node->nlinks; i++) {
        wsb_links_insert(&index->links, &node->link[i]);
    }

    return WSB_OK;

failed:

    wsb_index_unlink(index, node, plan->keys, nuses, k);

    return WSB_NOMEM;
}


/* Out of groups; a node that is found by no column has no uses. */

static void
wsb_index_unlink(wsb_index_t *index, wsb_node_t *node, const wsb_key_t *keys,
    unsigned nuses, unsigned nplaces)
{
    while (nplaces > 0) {
        wsb_group_unlist(&index->links, node, --nplaces);
    }

    if (node->kind == WSB_NODE_PLAIN
        || wsb_node_terms(node)->found == WSB_NODE_NONE)
    {
        return;
    }

    while (nuses > 0) {
        nuses--;
        wsb_group_unlist(&index->links, node, node->nplaces + nuses);
        wsb_group_unuse(&index->links, &keys[nuses], wsb_node_path(node));
    }
}


/*
 * What is found by a value of the row before the write, and would have been
 * found by that of the row after it, has been.
 */

static void
wsb_index_match_group(const wsb_matching_t *m, const wsb_group_t *group)
{
    uint32_t          i, path;
    unsigned          unknown;
    wsb_key_t         key, seen;
    wsb_rows_t       *rows;
    const wsb_key_t  *fresh, *old;

    rows = m->index->rows;

    wsb_index_match_list(m, &group->list[WSB_GROUP_LISTED], NULL);

    unknown = group->nuses ? wsb_index_unknown(m->index) : WSB_INDEX_KNOWN;

    if (unknown == WSB_INDEX_DELETED) {
        wsb_index_match_list(m, &group->list[WSB_GROUP_FOUND], NULL);
        wsb_index_match_list(m, &group->list[WSB_GROUP_LIVE], NULL);
        return;
    }

    for (i = 0; i < group->nuses; i++) {
        path = group->uses[i].path;

        fresh = wsb_rows_hash(rows, WSB_ROW_NEW, path);

        if (fresh != NULL) {
            seen = wsb_node_key_below(&group->link.key, fresh);
            wsb_index_match_value(m, &seen, NULL);
        }

        old = wsb_rows_hash(rows, WSB_ROW_OLD, path);

        if (old != NULL && (fresh == NULL || !wsb_key_eq(fresh, old))) {
            key = wsb_node_key_below(&group->link.key, old);
            wsb_index_match_value(m, &key, fresh ? &seen : NULL);
        }
    }

    if (unknown == WSB_INDEX_UPDATED) {
        wsb_index_match_live(m, group);
    }
}


/* Those that no value of the event has found: any may have the row. */

static void
wsb_index_match_live(const wsb_matching_t *m, const wsb_group_t *group)
{
    uint32_t           i;
    const wsb_list_t  *list;

    list = &group->list[WSB_GROUP_LIVE];

    for (i = 0; i < list->n; i++) {
        if (!wsb_group_finds(group, m->index->rows, list->elts[i].node)) {
            wsb_index_match_node(m, list->elts[i].node);
        }
    }
}


static void
wsb_index_match_value(const wsb_matching_t *m, const wsb_key_t *key,
    const wsb_key_t *seen)
{
    wsb_link_t   *link;
    wsb_node_t   *node;
    wsb_group_t  *group;

    for (link = wsb_links_find(&m->index->links, key);
         link != NULL;
         link = wsb_links_next(link))
    {
        if (link->owner != NULL) {
            node = link->owner;

            if (seen == NULL || !wsb_node_under(node, seen)) {
                wsb_index_match_node(m, node);
            }

            continue;
        }

        group = (wsb_group_t *) link;

        wsb_index_match_list(m, &group->list[WSB_GROUP_LISTED], seen);
    }
}


static void
wsb_index_match_list(const wsb_matching_t *m, const wsb_list_t *list,
    const wsb_key_t *seen)
{
    uint32_t     i;
    wsb_node_t  *node;

    for (i = 0; i < list->n; i++) {
        node = list->elts[i].node;

        if (seen == NULL || !wsb_node_under(node, seen)) {
            wsb_index_match_node(m, node);
        }
    }
}


static unsigned
wsb_index_unknown(const wsb_index_t *index)
{
    if (wsb_rows_present(index->rows, WSB_ROW_OLD)
        && !wsb_rows_unsure(index->rows))
    {
        return WSB_INDEX_KNOWN;
    }

    if (wsb_rows_deleted(index->rows)) {
        return WSB_INDEX_DELETED;
    }

    return index->nlive != 0 && wsb_rows_updated(index->rows)
               ? WSB_INDEX_UPDATED : WSB_INDEX_KNOWN;
}


static void
wsb_index_match_node(const wsb_matching_t *m, wsb_node_t *node)
{
    wsb_change_t  change;

    change = WSB_CHANGE_NONE;

    if ((node->plan == NULL || wsb_plan_rest(node->plan, m->parts))
        && (!wsb_node_asks(node)
            || wsb_index_change(m->index, node, &change)))
    {
        m->fn(m->ctx, node, change);
    }
}


static int
wsb_index_change(wsb_index_t *index, const wsb_node_t *node,
    wsb_change_t *change)
{
    int       fresh, old;
    unsigned  unknown;

    *change = WSB_CHANGE_NONE;

    fresh = wsb_index_holds(index, node, WSB_ROW_NEW);

    if (wsb_node_terms(node)->npaths == 0) {
        return fresh;
    }

    old = wsb_index_holds(index, node, WSB_ROW_OLD);

    if (!fresh && !old) {
        unknown = wsb_index_unknown(index);

        if (unknown == WSB_INDEX_DELETED
            || (unknown == WSB_INDEX_UPDATED && node->live))
        {
            return wsb_index_change_unknown(index, node, unknown, change);
        }
    }

    if (!wsb_rows_present(index->rows, WSB_ROW_OLD)) {
        return fresh;
    }

    if (!fresh) {

        /* an absent row has no column: whatever is forced hides it */

        *change = wsb_node_holds(node, index->rows, WSB_ROW_NEW, 1)
                      ? WSB_CHANGE_LEFT
                      : WSB_CHANGE_LEFT_HIDDEN;

    } else if (!old && !wsb_rows_deleted(index->rows)) {
        *change = WSB_CHANGE_ENTERED;
    }

    return fresh || old;
}


/* Whoever may have the row must not keep it; nor must it be said too much. */

static int
wsb_index_change_unknown(wsb_index_t *index, const wsb_node_t *node,
    unsigned unknown, wsb_change_t *change)
{
    if (node->live
        && (wsb_node_forced(node)
            || (unknown == WSB_INDEX_UPDATED
                && (wsb_rows_part(index->rows)
                    || !wsb_rows_present(index->rows, WSB_ROW_NEW)))))
    {
        *change = WSB_CHANGE_ANEW;
        return 1;
    }

    if (wsb_node_forced(node)) {
        return 0;
    }

    *change = unknown == WSB_INDEX_DELETED ? WSB_CHANGE_LEFT_HIDDEN
                                           : WSB_CHANGE_LEFT_UNKNOWN;

    return wsb_node_holds(node, index->rows, WSB_ROW_NEW, 1);
}


static int
wsb_index_holds(wsb_index_t *index, const wsb_node_t *node, unsigned row)
{
    /* what is asked of the event alone needs no row */

    if (wsb_node_terms(node)->npaths != 0
        && !wsb_rows_present(index->rows, row))
    {
        return 0;
    }

    index->evaluations++;
    index->work += wsb_node_terms(node)->len;

    return wsb_node_holds(node, index->rows, row, 0);
}

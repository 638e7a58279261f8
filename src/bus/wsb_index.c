#include "wsb_index.h"


/*
 * Linear hashing: buckets below `split` have been divided already and are
 * chosen with one bit more.
 */

struct wsb_index_s {
    wsb_link_t          **bucket;
    size_t                nalloc;
    size_t                level;          /* a power of two */
    size_t                split;          /* 0..level - 1 */
    size_t                nlinks;
    size_t                nnodes;
    size_t                nmask[WSB_MASKS];      /* nodes with each mask */
};


#define WSB_INDEX_MIN  64


static wsb_link_t **wsb_index_bucket(wsb_index_t *index,
    const wsb_key_t *key);
static void wsb_index_grow(wsb_index_t *index);
static void wsb_index_shrink(wsb_index_t *index);
static wsb_node_t *wsb_index_find(wsb_index_t *index,
    const wsb_plan_t *plan);
static wsb_node_t *wsb_node_create(const wsb_plan_t *plan);
static void wsb_node_destroy(wsb_node_t *node);
static wsb_rc_t wsb_node_add(wsb_node_t *node, wsb_sub_t *sub);


wsb_index_t *
wsb_index_create(void)
{
    size_t        i;
    wsb_index_t  *index;

    index = wsb_malloc(sizeof(wsb_index_t));
    if (index == NULL) {
        return NULL;
    }

    memset(index, 0, sizeof(wsb_index_t));

    index->bucket = wsb_malloc(WSB_INDEX_MIN * sizeof(wsb_link_t *));
    if (index->bucket == NULL) {
        wsb_free(index);
        return NULL;
    }

    for (i = 0; i < WSB_INDEX_MIN; i++) {
        index->bucket[i] = NULL;
    }

    index->nalloc = WSB_INDEX_MIN;
    index->level = WSB_INDEX_MIN;

    return index;
}


void
wsb_index_destroy(wsb_index_t *index)
{
    size_t       i;
    wsb_link_t  *link, *next;

    for (i = 0; i < index->level + index->split; i++) {

        for (link = index->bucket[i]; link != NULL; link = next) {
            next = link->next;

            /* the node goes with the last of its links */

            if (--link->node->nlinks == 0) {
                wsb_node_destroy(link->node);
            }
        }
    }

    wsb_free(index->bucket);
    wsb_free(index);
}


wsb_rc_t
wsb_index_add(wsb_index_t *index, const wsb_plan_t *plan, wsb_sub_t *sub)
{
    unsigned      i;
    wsb_link_t   *link, **bucket;
    wsb_node_t   *node;

    node = wsb_index_find(index, plan);

    if (node != NULL) {
        return wsb_node_add(node, sub);
    }

    node = wsb_node_create(plan);

    if (node == NULL || wsb_node_add(node, sub) != WSB_OK) {

        if (node != NULL) {
            wsb_node_destroy(node);
        }

        return WSB_NOMEM;
    }

    for (i = 0; i < node->nlinks; i++) {
        link = &node->link[i];
        bucket = wsb_index_bucket(index, &link->key);

        link->next = *bucket;
        *bucket = link;

        index->nlinks++;
        wsb_index_grow(index);
    }

    index->nnodes++;
    index->nmask[node->mask]++;

    return WSB_OK;
}


void
wsb_index_remove(wsb_index_t *index, wsb_sub_t *sub)
{
    unsigned      i;
    wsb_sub_t    *last, **subs;
    wsb_link_t  **p;
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

    for (i = 0; i < node->nlinks; i++) {
        p = wsb_index_bucket(index, &node->link[i].key);

        while (*p != &node->link[i]) {
            p = &(*p)->next;
        }

        *p = node->link[i].next;

        index->nlinks--;

        /* links go one by one, and buckets must keep up with a quarter */

        wsb_index_shrink(index);
        wsb_index_shrink(index);
        wsb_index_shrink(index);
        wsb_index_shrink(index);
    }

    index->nnodes--;
    index->nmask[node->mask]--;

    wsb_node_destroy(node);
}


void
wsb_index_match(wsb_index_t *index, const wsb_parts_t *parts,
    wsb_match_pt fn, void *ctx)
{
    unsigned     mask;
    wsb_key_t    key;
    wsb_link_t  *link;
    wsb_node_t  *node;

    for (mask = 0; mask < WSB_MASKS; mask++) {

        if (index->nmask[mask] == 0 || (mask & parts->present) != mask) {
            continue;
        }

        key = wsb_key(parts, mask);

        for (link = *wsb_index_bucket(index, &key);
             link != NULL;
             link = link->next)
        {
            if (!wsb_key_eq(&link->key, &key)) {
                continue;
            }

            node = link->node;

            if (node->plan == NULL || wsb_plan_rest(node->plan, parts)) {
                fn(ctx, node);
            }
        }
    }
}


int
wsb_node_match(const wsb_node_t *node, const wsb_parts_t *parts)
{
    unsigned   i;
    wsb_key_t  key;

    if ((node->mask & parts->present) != node->mask) {
        return 0;
    }

    key = wsb_key(parts, node->mask);

    for (i = 0; i < node->nlinks; i++) {
        if (wsb_key_eq(&node->link[i].key, &key)) {
            return node->plan == NULL || wsb_plan_rest(node->plan, parts);
        }
    }

    return 0;
}


size_t
wsb_index_nodes(const wsb_index_t *index)
{
    return index->nnodes;
}


static wsb_link_t **
wsb_index_bucket(wsb_index_t *index, const wsb_key_t *key)
{
    size_t  i;

    i = key->h[0] & (index->level - 1);

    if (i < index->split) {
        i = key->h[0] & (2 * index->level - 1);
    }

    return &index->bucket[i];
}


/* Divides one bucket.  Without memory the chains just get longer. */

static void
wsb_index_grow(wsb_index_t *index)
{
    size_t        n;
    wsb_link_t   *link, *next, **bucket, **low, **high;

    n = index->level + index->split;

    if (index->nlinks <= n) {
        return;
    }

    if (n == index->nalloc) {
        bucket = wsb_realloc(index->bucket, 2 * n * sizeof(wsb_link_t *));
        if (bucket == NULL) {
            return;
        }

        index->bucket = bucket;
        index->nalloc = 2 * n;
    }

    low = &index->bucket[index->split];
    high = &index->bucket[n];

    link = *low;
    *low = NULL;
    *high = NULL;

    for ( /* void */ ; link != NULL; link = next) {
        next = link->next;
        bucket = link->key.h[0] & index->level ? high : low;
        link->next = *bucket;
        *bucket = link;
    }

    if (++index->split == index->level) {
        index->level *= 2;
        index->split = 0;
    }
}


/* Joins one pair of buckets when most of them are empty. */

static void
wsb_index_shrink(wsb_index_t *index)
{
    size_t        n;
    wsb_link_t  **p, **bucket;

    n = index->level + index->split;

    if (n == WSB_INDEX_MIN || index->nlinks >= n / 4) {
        return;
    }

    if (index->split == 0) {
        index->level /= 2;
        index->split = index->level;
    }

    index->split--;

    p = &index->bucket[index->split];

    while (*p != NULL) {
        p = &(*p)->next;
    }

    *p = index->bucket[n - 1];

    if (n - 1 == index->nalloc / 4) {
        bucket = wsb_realloc(index->bucket,
                             index->nalloc / 2 * sizeof(wsb_link_t *));
        if (bucket != NULL) {
            index->bucket = bucket;
            index->nalloc /= 2;
        }
    }
}


static wsb_node_t *
wsb_index_find(wsb_index_t *index, const wsb_plan_t *plan)
{
    wsb_link_t  *link;
    wsb_node_t  *node;

    for (link = *wsb_index_bucket(index, &plan->keys[0]);
         link != NULL;
         link = link->next)
    {
        if (!wsb_key_eq(&link->key, &plan->keys[0])) {
            continue;
        }

        node = link->node;

        if (node->plan != NULL) {
            if (wsb_key_eq(&node->plan->id, &plan->id)) {
                return node;
            }

        } else if (wsb_plan_simple(plan)) {
            return node;
        }
    }

    return NULL;
}


static wsb_node_t *
wsb_node_create(const wsb_plan_t *plan)
{
    size_t       size;
    unsigned     i;
    wsb_node_t  *node;

    node = wsb_malloc(sizeof(wsb_node_t) + plan->nkeys * sizeof(wsb_link_t));
    if (node == NULL) {
        return NULL;
    }

    memset(node, 0, sizeof(wsb_node_t));

    if (!wsb_plan_simple(plan)) {
        size = wsb_plan_size(plan);

        node->plan = wsb_malloc(size);
        if (node->plan == NULL) {
            wsb_free(node);
            return NULL;
        }

        memcpy(node->plan, plan, size);
    }

    node->mask = plan->mask;
    node->nlinks = plan->nkeys;

    for (i = 0; i < plan->nkeys; i++) {
        node->link[i].node = node;
        node->link[i].key = plan->keys[i];
    }

    return node;
}


static void
wsb_node_destroy(wsb_node_t *node)
{
    if (node->nalloc != 0) {
        wsb_free(node->subs.many);
    }

    wsb_free(node->plan);
    wsb_free(node);
}


static wsb_rc_t
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

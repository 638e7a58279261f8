/*
 * The match index of one worker: which of its subscriptions get an event.
 *
 * A node is a distinct filter; equal filters share it.  Its keys stand in one
 * hash, which an event is looked up in at most 16 times, however many
 * subscriptions there are.  The hash grows a bucket at a time, so that no
 * subscribe pays for all.
 *
 * Private memory of the worker, malloc'd.
 */

#ifndef WSB_INDEX_H
#define WSB_INDEX_H


#include "wsb_filter.h"


typedef struct wsb_node_s   wsb_node_t;
typedef struct wsb_link_s   wsb_link_t;
typedef struct wsb_index_s  wsb_index_t;


/*
 * Owned by its connection, which removes it from the index before it frees
 * it.  from: only records with this seq or a later one go to it.
 */

typedef struct {
    wsb_node_t           *node;
    void                 *owner;          /* the connection */
    uint64_t              from;
    uint32_t              ordinal;        /* its number on the connection */
    uint32_t              index;          /* in the node's subs */
} wsb_sub_t;


struct wsb_link_s {
    wsb_link_t           *next;           /* in the bucket */
    wsb_node_t           *node;
    wsb_key_t             key;
};


struct wsb_node_s {
    union {
        wsb_sub_t        *one;            /* nalloc 0 */
        wsb_sub_t       **many;
    } subs;
    uint32_t              nsubs;
    uint32_t              nalloc;
    wsb_plan_t           *plan;           /* NULL: one key says it all */
    uint32_t              text;           /* handle, see wsb_interest.h */
    uint16_t              mask;
    uint16_t              nlinks;
    wsb_link_t            link[];
};


wsb_index_t *wsb_index_create(void);
void wsb_index_destroy(wsb_index_t *index);

/*
 * Adds the subscription to the node of the plan, which is made if there is
 * none.  The plan stays the caller's.  WSB_NOMEM: nothing has changed.
 */

wsb_rc_t wsb_index_add(wsb_index_t *index, const wsb_plan_t *plan,
    wsb_sub_t *sub);

/* Takes it out; a node without subscriptions is freed. */
void wsb_index_remove(wsb_index_t *index, wsb_sub_t *sub);

/* Calls fn for each node that matches, which must not change the index. */

typedef void  (*wsb_match_pt)(void *ctx, wsb_node_t *node);

void wsb_index_match(wsb_index_t *index, const wsb_parts_t *parts,
    wsb_match_pt fn, void *ctx);

/* Does this node match?  The same answer, for one subscription. */
int wsb_node_match(const wsb_node_t *node, const wsb_parts_t *parts);

/* Bytes that the index holds for its buckets, and the nodes in it. */
size_t wsb_index_nodes(const wsb_index_t *index);


static inline wsb_sub_t **
wsb_node_subs(wsb_node_t *node)
{
    return node->nalloc == 0 ? &node->subs.one : node->subs.many;
}


#endif /* WSB_INDEX_H */

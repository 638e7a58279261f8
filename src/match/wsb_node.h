/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A node of the match index: a distinct filter, and who subscribes to it.
 *
 *   PLAIN    no conditions; linked under its routing keys
 *   VALUE    found by an eq or an `in`; linked under each routing key XOR the
 *            hash of column and value
 *   LISTED   linked under the id of its plan, so that an equal plan finds it,
 *            and listed in groups: below the same keys as a VALUE or a PLAIN
 *            one, if too many are linked there; or the routing keys, if it has
 *            conditions and no value finds it
 *
 * One that is found by a value has a place in the group of each routing key,
 * too: of an event with no row, any may be meant.
 *
 * Behind the links of a node come its places in groups, then its terms.
 */

#ifndef WSB_NODE_H
#define WSB_NODE_H


#include "wsb_links.h"
#include "wsb_plan.h"
#include "wsb_rows.h"


typedef struct wsb_node_s   wsb_node_t;


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
    uint32_t              bytes;          /* the owner's: see index_bytes */
    uint32_t              cost:31;        /* see wsb_where_cost() */
    uint32_t              live:1;         /* the owner's: it has a snapshot */
} wsb_sub_t;


struct wsb_node_s {
    union {
        wsb_sub_t        *one;            /* nalloc 0 */
        wsb_sub_t       **many;
    } subs;
    uint32_t              nsubs;
    uint32_t              nalloc:31;
    uint32_t              live:1;         /* of subscriptions with a snapshot,
                                             and of no others */
    wsb_plan_t           *plan;           /* NULL: one key says it all */
    uint32_t              text;           /* handle, see wsb_interest.h */
    unsigned              nlinks:9;
    unsigned              nplaces:9;      /* where it is listed; then, */
    unsigned              nfound:8;       /* where it is found by a value */
    unsigned              mask:4;
    unsigned              kind:2;
    uint32_t              only[WSB_ENTITY_TYPE + 1];  /* as its plan's */
    wsb_link_t            link[];
};


#define WSB_NODE_PLAIN            0
#define WSB_NODE_VALUE            1
#define WSB_NODE_LISTED           2

#define WSB_NODE_KEYS             256     /* routing keys times values */
#define WSB_NODE_NONE             255     /* no condition to be found by */
#define WSB_NODE_RUN              8       /* linked below one key */


/* Where it is listed: see wsb_group.h, of whose groups only this is known. */

typedef struct {
    wsb_link_t           *group;
    uint32_t              index;          /* among its listed */
} wsb_place_t;


/* The conditions, with columns by the ids of wsb_rows.h. */

typedef struct {
    uint16_t              len;            /* bytes of the conditions */
    uint8_t               npaths;
    uint8_t               found;          /* by which condition, or NONE */
    uint32_t              path[];         /* ids; then the conditions; then
                                             an id for each that is costly */
} wsb_terms_t;


/* How a new node is to be found. */

typedef struct {
    unsigned              kind;
    unsigned              found;          /* by which condition, or NONE */
    unsigned              path;           /* its column */
    unsigned              nhashes;        /* of it; 0: by none */
    wsb_key_t             hash[WSB_WHERE_VALUES];
} wsb_shape_t;


static inline wsb_sub_t **
wsb_node_subs(wsb_node_t *node)
{
    return node->nalloc == 0 ? &node->subs.one : node->subs.many;
}


static inline wsb_place_t *
wsb_node_places(const wsb_node_t *node)
{
    return (wsb_place_t *) &node->link[node->nlinks];
}


static inline wsb_terms_t *
wsb_node_terms(const wsb_node_t *node)
{
    return (wsb_terms_t *) &wsb_node_places(node)[node->nplaces
                                                  + node->nfound];
}


static inline uint8_t *
wsb_node_terms_bytes(const wsb_terms_t *terms)
{
    return (uint8_t *) &terms->path[terms->npaths];
}


/* Not aligned. */

static inline uint8_t *
wsb_node_terms_memos(const wsb_terms_t *terms)
{
    return wsb_node_terms_bytes(terms) + terms->len;
}


static inline wsb_key_t
wsb_node_key_below(const wsb_key_t *key, const wsb_key_t *hash)
{
    wsb_key_t  k;

    k.h[0] = key->h[0] ^ hash->h[0];
    k.h[1] = key->h[1] ^ hash->h[1];

    return k;
}


/* Has it conditions?  A LISTED one may have none. */

static inline int
wsb_node_asks(const wsb_node_t *node)
{
    return node->kind != WSB_NODE_PLAIN && wsb_node_terms(node)->len != 0;
}


/* By its condition number n; WSB_ERROR: that one finds nothing. */
wsb_rc_t wsb_node_shape(wsb_shape_t *shape, const wsb_rows_t *rows,
    const wsb_plan_t *plan, unsigned n);

/* Links are filled in, places are not.  NULL: no memory. */
wsb_node_t *wsb_node_create(wsb_rows_t *rows, const wsb_plan_t *plan,
    const wsb_shape_t *shape);

/* Of a node that is out of the hash and of all groups; uses of columns. */
void wsb_node_release(wsb_rows_t *rows, wsb_node_t *node);
void wsb_node_destroy(wsb_node_t *node);

wsb_rc_t wsb_node_add(wsb_node_t *node, wsb_sub_t *sub);

/* Is the one linked under the key of this plan the plan's? */
int wsb_node_equal(const wsb_rows_t *rows, const wsb_node_t *node,
    const wsb_plan_t *plan);

/* Is it linked or listed under this key? */
int wsb_node_under(const wsb_node_t *node, const wsb_key_t *key);

/* Is it found by values below this routing key? */
int wsb_node_found_under(const wsb_node_t *node, const wsb_key_t *key);

/* Is a condition on a column forced upon it? */
int wsb_node_forced(const wsb_node_t *node);

/* Do the conditions hold for this row?  Or those alone that are forced? */
int wsb_node_holds(const wsb_node_t *node, wsb_rows_t *rows, unsigned row,
    unsigned forced);

/* The column by whose values it is found. */
uint32_t wsb_node_path(const wsb_node_t *node);

/* The hashes by which it is found; 0: by routing keys alone. */
unsigned wsb_node_hashes(const wsb_node_t *node, const wsb_rows_t *rows,
    wsb_key_t hash[WSB_WHERE_VALUES]);


#endif /* WSB_NODE_H */

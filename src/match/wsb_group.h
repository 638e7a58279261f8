/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Groups of the match index: what hangs below a key besides the nodes that
 * are linked under it.
 *
 * Below a routing key: how many nodes are found by which column, so that an
 * event asks for no other; nodes that no value finds; and those that one
 * does, for events of whose row nothing is known.  Below the key of a value:
 * nodes that are too many to be linked.
 */

#ifndef WSB_GROUP_H
#define WSB_GROUP_H


#include "wsb_node.h"


/* How many nodes are found by this column. */

typedef struct {
    uint32_t              path;
    uint32_t              count;
} wsb_use_t;


/* Of more uses than these, one is found by a hash and not by a walk. */

#define WSB_GROUP_USES            8
#define WSB_GROUP_NONE            UINT32_MAX


typedef struct {
    wsb_node_t           *node;
    uint32_t              place;          /* which of the node's */
} wsb_listed_t;


typedef struct {
    wsb_listed_t         *elts;
    uint32_t              n;
    uint32_t              nalloc;
} wsb_list_t;

#define WSB_GROUP_LISTED          0       /* to be evaluated */
#define WSB_GROUP_FOUND           1       /* by a value */
#define WSB_GROUP_LIVE            2       /* the same, with a snapshot */
#define WSB_GROUP_LISTS           3


/* Lives in the hash of links while there is anything in it. */

typedef struct {
    wsb_link_t            link;           /* owner NULL */
    wsb_list_t            list[WSB_GROUP_LISTS];
    wsb_use_t            *uses;           /* then the hash, see group.c */
    uint32_t              nuses;
    uint32_t              nuses_alloc;
} wsb_group_t;


/* NULL: nothing is below this key. */
wsb_group_t *wsb_group_find(const wsb_links_t *links, const wsb_key_t *key);

/* How many nodes are linked or listed below it; how many are linked. */
unsigned wsb_group_below(const wsb_links_t *links, const wsb_key_t *key);
unsigned wsb_group_linked(const wsb_links_t *links, const wsb_key_t *key);

/*
 * place is one of the node's: the first nplaces are among the listed, the
 * others among the found.  WSB_NOMEM: nothing has changed.
 */
wsb_rc_t wsb_group_list(wsb_links_t *links, const wsb_key_t *key,
    wsb_node_t *node, unsigned place);
void wsb_group_unlist(wsb_links_t *links, wsb_node_t *node, unsigned place);

/* Is this one, which a value finds, found by one of the event's rows? */
int wsb_group_finds(const wsb_group_t *group, wsb_rows_t *rows,
    const wsb_node_t *node);

/* Which of its uses is that of the column, or WSB_GROUP_NONE. */
uint32_t wsb_group_find_use(const wsb_group_t *group, uint32_t path);

wsb_rc_t wsb_group_use(wsb_links_t *links, const wsb_key_t *key,
    uint32_t path);
void wsb_group_unuse(wsb_links_t *links, const wsb_key_t *key,
    uint32_t path);


#endif /* WSB_GROUP_H */

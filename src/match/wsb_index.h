/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The match index of one worker: which of its subscriptions get an event.
 *
 * A node is a distinct filter; equal filters share it.  One hash finds them
 * by routing keys, of which an event has at most 16, however many
 * subscriptions there are.
 *
 * Nodes with conditions hang below a group, which is found by the routing
 * key.  One of whose conditions all must hold, and one of them is an eq or an
 * `in`, is found by the value: in the same hash, under the routing key XOR
 * the hash of column and value.  So an event costs one look-up for each
 * column that its groups are asked for, whatever the number of values, and
 * only nodes that are found, or have no such condition, are evaluated, once
 * for each row of the event.
 *
 * Private memory of the worker, malloc'd.
 */

#ifndef WSB_INDEX_H
#define WSB_INDEX_H


#include "wsb_node.h"


typedef struct wsb_index_s  wsb_index_t;


/* The key is that of the plans. */
wsb_index_t *wsb_index_create(const uint8_t key[16]);
void wsb_index_destroy(wsb_index_t *index);

/*
 * Adds the subscription to the node of the plan, which is made if there is
 * none.  The plan stays the caller's.  WSB_NOMEM: nothing has changed.
 */

wsb_rc_t wsb_index_add(wsb_index_t *index, const wsb_plan_t *plan,
    wsb_sub_t *sub);

/*
 * The bytes that a subscription to this filter takes, if nobody shares it.
 * What is forced does not count, since it is not the client's.
 */
size_t wsb_index_bytes(const wsb_filter_t *filter);

/* Takes it out; a node without subscriptions is freed. */
void wsb_index_remove(wsb_index_t *index, wsb_sub_t *sub);

/*
 * Calls fn for each node that matches, which must not change the index.
 *
 * Conditions are asked of the event's `data`, and of its `old` if it has one:
 *
 *   data matches                  old matches, or is absent   NONE
 *   data matches                  old does not                ENTERED
 *   data does not, or is absent   old matches                 LEFT
 *
 * or LEFT_HIDDEN, if it is a forced condition that the new row does not meet.
 *
 * So an event without `data`, as of a deletion, leaves the filters that its
 * `old` matched.  An entity that is deleted enters none; without `old`, or
 * with one that is not sure, it may have been in any: it is LEFT_HIDDEN to all
 * that neither row matches, unless a condition on a column is forced upon
 * them.  With neither row, any other event matches no condition.  To nodes
 * without conditions the change is always NONE.
 *
 * To nodes of subscriptions with a snapshot, an entity that is updated is
 * LEFT_UNKNOWN then, if its new row does not match.  It is ANEW if nobody
 * knows that one, either, or if a column's condition is forced upon them; one
 * that is deleted is, too, if one is.
 *
 * ev may be NULL if no node has conditions.  WSB_NOMEM: fn was not called.
 */

typedef void  (*wsb_match_pt)(void *ctx, wsb_node_t *node,
    wsb_change_t change);

wsb_rc_t wsb_index_match(wsb_index_t *index, const wsb_parts_t *parts,
    const wsb_event_t *ev, wsb_match_pt fn, void *ctx);

/*
 * Does this node match?  The same answer, for one subscription.  The event is
 * told first, once for all nodes, and must stay until the last is asked.
 */

wsb_rc_t wsb_index_begin(wsb_index_t *index, const wsb_event_t *ev);
int wsb_index_node_matches(wsb_index_t *index, const wsb_node_t *node,
    const wsb_parts_t *parts, wsb_change_t *change);

/* May it match events of which only kind and type are known? */
int wsb_index_node_concerns(const wsb_node_t *node, const wsb_parts_t *parts);

/* The routing keys of the node's plan; returns how many. */
unsigned wsb_index_node_keys(const wsb_index_t *index, const wsb_node_t *node,
    wsb_key_t keys[WSB_FILTER_VALUES]);

/* The nodes in it; how often conditions were evaluated, of how many. */
size_t wsb_index_nodes(const wsb_index_t *index);
uint64_t wsb_index_evaluations(const wsb_index_t *index);

/* What matching has cost so far: how many bytes it has looked at, about. */
uint64_t wsb_index_work(const wsb_index_t *index);


#endif /* WSB_INDEX_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * How a node of the match index is to be found.
 */

#ifndef WSB_SHAPE_H
#define WSB_SHAPE_H


#include "wsb_group.h"


/*
 * The node of this plan, or else the shape of a new one: it is found by that
 * of its conditions below which the fewest are evaluated together with it.
 * So clients that share a state, each with an id of its own, come to be found
 * by their ids.
 */

wsb_node_t *wsb_shape_find(const wsb_links_t *links, const wsb_rows_t *rows,
    const wsb_plan_t *plan, wsb_shape_t *shape);


#endif /* WSB_SHAPE_H */

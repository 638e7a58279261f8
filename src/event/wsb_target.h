/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * How events are read that may say whom they are for: see
 * wsb_publish_target.c.
 */

#ifndef WSB_TARGET_H
#define WSB_TARGET_H


#include "../wsb.h"


/*
 * Another name of an entity, which lives as long as the body does; empty:
 * there is none.  WSB_NOMEM.
 */
typedef wsb_rc_t  (*wsb_target_find_pt)(void *ctx, wsb_str_t name,
    wsb_str_t *entity);


typedef struct {
    wsb_str_t             entity;         /* of events that name none */
    const wsb_str_t      *actions;        /* others are dropped; of none, any */
    unsigned              nactions;
    wsb_target_find_pt    find;           /* what an entity's name is here */
    void                 *ctx;
} wsb_target_t;


#endif /* WSB_TARGET_H */

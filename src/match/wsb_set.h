/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A sorted set of hashes: the distinct values of one field.
 */

#ifndef WSB_SET_H
#define WSB_SET_H


#include "../event/wsb_key.h"


#define WSB_FILTER_VALUES         128     /* in one array */


typedef struct {
    unsigned              n;
    wsb_key_t             hash[WSB_FILTER_VALUES];
} wsb_set_t;


/* Nothing is added to a full one: who fills it bounds what he adds. */
void wsb_set_add(wsb_set_t *set, const wsb_key_t *hash);

/* Keeps what is among these n, which are sorted. */
void wsb_set_keep(wsb_set_t *set, const wsb_key_t *hash, unsigned n);

/* Where it is among n sorted ones, or belongs. */
unsigned wsb_set_find(const wsb_key_t *set, unsigned n,
    const wsb_key_t *hash, int *found);


#endif /* WSB_SET_H */

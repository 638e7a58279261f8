/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Routing keys.
 *
 * A filter that names some of the four routing fields and leaves the others
 * open (wildcards) is found by one look-up under a 128-bit keyed hash of
 * (tenant, the fields named, which ones).  An event so has at most 16 keys,
 * one for each subset of the fields it has.  The key of the hash is random
 * and belongs to the zone: no client can aim at a collision, so equal keys
 * are equal filters.
 */

#ifndef WSB_KEY_H
#define WSB_KEY_H


#include "wsb_event.h"
#include "wsb_hash.h"


#define WSB_MASKS                 16      /* bit i: routing field i is named */


/* The hashes of an event's parts, from which any of its keys is made. */

typedef struct {
    wsb_key_t             tenant;
    wsb_key_t             part[WSB_NROUTING];
    unsigned              present;        /* bit i: the event has field i */
} wsb_parts_t;


/* Domains 64 and above are free for others. */

#define WSB_DOMAIN_TENANT         1
#define WSB_DOMAIN_FILTER         2
#define WSB_DOMAIN_FIELD          16      /* + wsb_field_t */


/* Of a tenant: absent and empty are the same, "no tenant". */
wsb_key_t wsb_key_tenant(const uint8_t key[16], wsb_str_t tenant);

/* Of the value of one routing field (an entity id is normed here). */
wsb_key_t wsb_key_part(const uint8_t key[16], wsb_field_t field,
    wsb_str_t value);

/* What filters compare with: of a link the entity id is its link_id. */
wsb_str_t wsb_key_value(const wsb_event_t *ev, wsb_field_t field);

/* All parts of an event. */
void wsb_key_parts(const uint8_t key[16], const wsb_event_t *ev,
    wsb_parts_t *parts);

/* The key for a mask that is a subset of parts->present. */
wsb_key_t wsb_key(const wsb_parts_t *parts, unsigned mask);


static inline int
wsb_key_eq(const wsb_key_t *a, const wsb_key_t *b)
{
    return a->h[0] == b->h[0] && a->h[1] == b->h[1];
}


/* The order of sets of them. */

static inline int
wsb_key_less(const wsb_key_t *a, const wsb_key_t *b)
{
    return a->h[0] != b->h[0] ? a->h[0] < b->h[0] : a->h[1] < b->h[1];
}


#endif /* WSB_KEY_H */

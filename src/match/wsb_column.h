/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The columns that are looked for in rows.
 *
 * Each is kept once, with a count, in a tree of keys, and each key is known by
 * a keyed hash of itself and of those above it: "a.b" is "b" below "a".
 */

#ifndef WSB_COLUMN_H
#define WSB_COLUMN_H


#include "wsb_where.h"


#define WSB_COLUMN_NONE           UINT32_MAX


/* A key in the tree; the first of them, 0, is the row itself. */

typedef struct {
    wsb_key_t             hash;
    uint32_t              parent;
    uint32_t              next;           /* in the bucket, or free */
    uint32_t              uses;           /* and keys below it */
    uint32_t              keys;           /* below it */
} wsb_column_t;


typedef struct {
    uint8_t               key[16];        /* of the hashes */
    wsb_column_t         *column;
    uint32_t              n;              /* ever in use at once */
    uint32_t              nalloc;
    uint32_t              nused;
    uint32_t              free;

    uint32_t             *buckets;
    uint32_t              nbuckets;       /* a power of two */
} wsb_columns_t;


/* WSB_NOMEM: to be done, all the same. */
wsb_rc_t wsb_column_init(wsb_columns_t *columns, const uint8_t key[16]);
void wsb_column_done(wsb_columns_t *columns);

/* Counts a use of the column, which is given as in a wsb_where_t. */
wsb_rc_t wsb_column_add(wsb_columns_t *columns, wsb_str_t path, uint32_t *id);
void wsb_column_remove(wsb_columns_t *columns, uint32_t id);

/* The hash of a column, in use or not. */
wsb_key_t wsb_column_path_hash(const wsb_columns_t *columns, wsb_str_t path);


/* The two that each key of a row takes. */

static inline uint32_t
wsb_column_find(const wsb_columns_t *columns, const wsb_key_t *hash)
{
    uint32_t  id;

    id = columns->buckets[hash->h[0] & (columns->nbuckets - 1)];

    while (id != WSB_COLUMN_NONE
           && !wsb_key_eq(&columns->column[id].hash, hash))
    {
        id = columns->column[id].next;
    }

    return id;
}


/* A key has another hash at each depth: "a.b" is not "b.a". */

static inline wsb_key_t
wsb_column_hash(const wsb_columns_t *columns, unsigned depth,
    const wsb_key_t *parent, const uint8_t *key, size_t len)
{
    wsb_key_t  hash;

    hash = wsb_hash(columns->key, WSB_DOMAIN_COLUMN + depth, key, len);

    hash.h[0] ^= parent->h[0];
    hash.h[1] ^= parent->h[1];

    return hash;
}


#endif /* WSB_COLUMN_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_column.h"


#define WSB_COLUMN_MIN  16               /* a power of two */


static wsb_rc_t wsb_column_add_key(wsb_columns_t *columns, uint32_t parent,
    const wsb_key_t *hash, uint32_t *id);
static wsb_rc_t wsb_column_grow(wsb_columns_t *columns);
static void wsb_column_rehash(wsb_columns_t *columns);
static void wsb_column_release(wsb_columns_t *columns, uint32_t id);


wsb_rc_t
wsb_column_init(wsb_columns_t *columns, const uint8_t key[16])
{
    uint32_t   id;
    wsb_key_t  hash;

    memset(columns, 0, sizeof(wsb_columns_t));
    memcpy(columns->key, key, 16);
    memset(&hash, 0, sizeof(wsb_key_t));

    columns->free = WSB_COLUMN_NONE;

    if (wsb_column_add_key(columns, WSB_COLUMN_NONE, &hash, &id) != WSB_OK) {
        return WSB_NOMEM;
    }

    columns->column[id].uses = 1;

    return WSB_OK;
}


void
wsb_column_done(wsb_columns_t *columns)
{
    wsb_free(columns->column);
    wsb_free(columns->buckets);
}


wsb_rc_t
wsb_column_add(wsb_columns_t *columns, wsb_str_t path, uint32_t *id)
{
    size_t          len;
    unsigned        depth;
    uint32_t        parent;
    wsb_key_t       hash;
    const uint8_t  *p, *last;

    p = path.data;
    last = p + path.len;

    *id = 0;

    for (depth = 0; p < last; depth++) {
        parent = *id;
        len = strlen((const char *) p);

        hash = wsb_column_hash(columns, depth, &columns->column[parent].hash,
                               p, len);

        *id = wsb_column_find(columns, &hash);

        if (*id == WSB_COLUMN_NONE
            && wsb_column_add_key(columns, parent, &hash, id) != WSB_OK)
        {
            /* what was made on the way has no use yet */

            wsb_column_release(columns, parent);
            return WSB_NOMEM;
        }

        p += len + 1;
    }

    columns->column[*id].uses++;

    return WSB_OK;
}


void
wsb_column_remove(wsb_columns_t *columns, uint32_t id)
{
    columns->column[id].uses--;
    wsb_column_release(columns, id);
}


wsb_key_t
wsb_column_path_hash(const wsb_columns_t *columns, wsb_str_t path)
{
    size_t          len;
    unsigned        depth;
    wsb_key_t       hash;
    const uint8_t  *p, *last;

    p = path.data;
    last = p + path.len;
    hash = columns->column[0].hash;

    for (depth = 0; p < last; depth++) {
        len = strlen((const char *) p);
        hash = wsb_column_hash(columns, depth, &hash, p, len);
        p += len + 1;
    }

    return hash;
}


static wsb_rc_t
wsb_column_add_key(wsb_columns_t *columns, uint32_t parent,
    const wsb_key_t *hash, uint32_t *id)
{
    uint32_t      *bucket;
    wsb_column_t  *column;

    if (columns->free != WSB_COLUMN_NONE) {
        *id = columns->free;
        columns->free = columns->column[*id].next;

    } else {
        if (columns->n == columns->nalloc
            && wsb_column_grow(columns) != WSB_OK)
        {
            return WSB_NOMEM;
        }

        *id = columns->n++;
    }

    column = &columns->column[*id];
    bucket = &columns->buckets[hash->h[0] & (columns->nbuckets - 1)];

    column->hash = *hash;
    column->parent = parent;
    column->uses = 0;
    column->keys = 0;
    column->next = *bucket;
    *bucket = *id;

    if (parent != WSB_COLUMN_NONE) {
        columns->column[parent].uses++;
        columns->column[parent].keys++;
    }

    columns->nused++;

    return WSB_OK;
}


static wsb_rc_t
wsb_column_grow(wsb_columns_t *columns)
{
    void      *p;
    uint32_t   n;

    n = columns->nalloc == 0 ? WSB_COLUMN_MIN : 2 * columns->nalloc;

    if (n > INT32_MAX) {
        return WSB_NOMEM;
    }

    p = wsb_realloc(columns->column, n * sizeof(wsb_column_t));
    if (p == NULL) {
        return WSB_NOMEM;
    }

    columns->column = p;

    p = wsb_realloc(columns->buckets, n * sizeof(uint32_t));
    if (p == NULL) {
        return WSB_NOMEM;
    }

    columns->buckets = p;
    columns->nbuckets = n;
    columns->nalloc = n;

    wsb_column_rehash(columns);

    return WSB_OK;
}


static void
wsb_column_rehash(wsb_columns_t *columns)
{
    uint32_t   i, *bucket;

    for (i = 0; i < columns->nbuckets; i++) {
        columns->buckets[i] = WSB_COLUMN_NONE;
    }

    /* it grows only when none is free */

    for (i = 0; i < columns->n; i++) {
        bucket = &columns->buckets[columns->column[i].hash.h[0]
                                   & (columns->nbuckets - 1)];

        columns->column[i].next = *bucket;
        *bucket = i;
    }
}


/* Frees the key, and those above it, as far as they have no use. */

static void
wsb_column_release(wsb_columns_t *columns, uint32_t id)
{
    uint32_t      *p;
    wsb_column_t  *column;

    while (columns->column[id].uses == 0) {
        column = &columns->column[id];
        p = &columns->buckets[column->hash.h[0] & (columns->nbuckets - 1)];

        while (*p != id) {
            p = &columns->column[*p].next;
        }

        *p = column->next;

        column->next = columns->free;
        columns->free = id;
        columns->nused--;

        id = column->parent;
        columns->column[id].uses--;
        columns->column[id].keys--;
    }
}

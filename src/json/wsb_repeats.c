/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_repeats.h"
#include "wsb_text.h"


/* The keys of an object that is open lie behind those of the one around it. */

typedef struct {
    wsb_str_t            *keys;
    size_t                n;
    size_t                nalloc;
    uint8_t              *decoded;        /* those with escapes */
    size_t                used;
} wsb_repeats_t;


static int wsb_repeats_in(wsb_repeats_t *rep, const wsb_json_t *value);
static int wsb_repeats_object(wsb_repeats_t *rep, const wsb_json_t *object);
static wsb_rc_t wsb_repeats_add(wsb_repeats_t *rep, const wsb_json_t *key);
static int wsb_repeats_compare(const void *one, const void *two);


int
wsb_repeats(const wsb_json_t *value)
{
    int            found;
    wsb_repeats_t  rep;

    memset(&rep, 0, sizeof(wsb_repeats_t));

    /* an escape is never longer when it is decoded */

    if (memchr(value->text.data, '\\', value->text.len) != NULL) {
        rep.decoded = wsb_malloc(value->text.len);

        if (rep.decoded == NULL) {
            return 1;
        }
    }

    found = wsb_repeats_in(&rep, value);

    wsb_free(rep.keys);
    wsb_free(rep.decoded);

    return found;
}


/* Nested as deep as the parser has let it be. */

static int
wsb_repeats_in(wsb_repeats_t *rep, const wsb_json_t *value)
{
    wsb_json_t       element;
    wsb_json_walk_t  walk;

    if (value->type == WSB_JSON_OBJECT) {
        return wsb_repeats_object(rep, value);
    }

    if (value->type != WSB_JSON_ARRAY) {
        return 0;
    }

    wsb_json_enter(&walk, value);

    while (wsb_json_element(&walk, &element) == WSB_OK) {
        if (wsb_repeats_in(rep, &element)) {
            return 1;
        }
    }

    return 0;
}


static int
wsb_repeats_object(wsb_repeats_t *rep, const wsb_json_t *object)
{
    size_t           i, first;
    wsb_json_t       key, value;
    wsb_json_walk_t  walk;

    first = rep->n;

    wsb_json_enter(&walk, object);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {
        if (wsb_repeats_add(rep, &key) != WSB_OK
            || wsb_repeats_in(rep, &value))
        {
            return 1;
        }
    }

    if (rep->n - first > 1) {
        qsort(rep->keys + first, rep->n - first, sizeof(wsb_str_t),
              wsb_repeats_compare);
    }

    for (i = first + 1; i < rep->n; i++) {
        if (wsb_repeats_compare(&rep->keys[i - 1], &rep->keys[i]) == 0) {
            return 1;
        }
    }

    rep->n = first;

    return 0;
}


static wsb_rc_t
wsb_repeats_add(wsb_repeats_t *rep, const wsb_json_t *key)
{
    void       *p;
    size_t      n, len;
    wsb_str_t  *s;

    if (rep->n == rep->nalloc) {
        n = rep->nalloc ? 2 * rep->nalloc : 64;

        if (n > WSB_REPEATS_KEYS) {
            return WSB_ERROR;
        }

        p = wsb_realloc(rep->keys, n * sizeof(wsb_str_t));
        if (p == NULL) {
            return WSB_NOMEM;
        }

        rep->keys = p;
        rep->nalloc = n;
    }

    s = &rep->keys[rep->n];

    if (memchr(key->text.data, '\\', key->text.len) == NULL) {
        s->data = key->text.data + 1;
        s->len = key->text.len - 2;

    } else {
        if (wsb_json_decode(key, rep->decoded + rep->used, &len) != WSB_OK) {
            return WSB_ERROR;
        }

        s->data = rep->decoded + rep->used;
        s->len = len;

        rep->used += len;
    }

    rep->n++;

    return WSB_OK;
}


static int
wsb_repeats_compare(const void *one, const void *two)
{
    int               order;
    size_t            len;
    const wsb_str_t  *a = one, *b = two;

    len = a->len < b->len ? a->len : b->len;
    order = memcmp(a->data, b->data, len);

    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

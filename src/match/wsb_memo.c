/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_memo.h"


#define WSB_MEMOS_MIN      16             /* a power of two */

static wsb_rc_t wsb_memo_grow(wsb_memos_t *memos);
static void wsb_memo_link(wsb_memos_t *memos, uint32_t id);
static wsb_choice_t *wsb_memo_choices(const uint8_t key[16],
    const wsb_condition_t *condition, const wsb_key_t *path);
static int wsb_memo_order(const void *a, const void *b);


static inline uint32_t
wsb_memo_short(const wsb_key_t *hash)
{
    return (uint32_t) hash->h[1];
}


wsb_rc_t
wsb_memo_init(wsb_memos_t *memos)
{
    memset(memos, 0, sizeof(wsb_memos_t));
    memos->free = WSB_MEMO_NONE;

    return wsb_memo_grow(memos);
}


void
wsb_memo_done(wsb_memos_t *memos)
{
    uint32_t  i;

    for (i = 0; i < memos->n; i++) {
        wsb_free(memos->memo[i].choices);
    }

    wsb_free(memos->memo);
    wsb_free(memos->buckets);
}


wsb_rc_t
wsb_memo_add(wsb_memos_t *memos, const uint8_t key[16],
    const wsb_condition_t *condition, const wsb_key_t *path, uint32_t *id)
{
    uint8_t         head[2];
    uint32_t        i;
    wsb_key_t       hash, values;
    wsb_memo_t     *memo;
    wsb_choice_t   *choices;
    const uint8_t  *end;

    /* what it says, under what is asked of what */

    head[0] = condition->op | (condition->forced ? WSB_WHERE_FORCED : 0)
              | (condition->field ? WSB_WHERE_FIELD : 0);
    head[1] = condition->field ? condition->path : 0;

    hash = wsb_hash(key, WSB_DOMAIN_MEMO, head, 2);

    end = wsb_where_skip(condition->values, condition->nvalues);
    values = wsb_hash((const uint8_t *) hash.h, WSB_DOMAIN_MEMO,
                      condition->values, end - condition->values);

    hash.h[0] = values.h[0] ^ path->h[0];
    hash.h[1] = values.h[1] ^ path->h[1];

    i = memos->buckets[hash.h[0] & (memos->nalloc - 1)];

    while (i != WSB_MEMO_NONE && !wsb_key_eq(&memos->memo[i].hash, &hash)) {
        i = memos->memo[i].next;
    }

    if (i != WSB_MEMO_NONE) {
        memos->memo[i].uses++;
        *id = i;
        return WSB_OK;
    }

    if (memos->free == WSB_MEMO_NONE && memos->n == memos->nalloc
        && wsb_memo_grow(memos) != WSB_OK)
    {
        return WSB_NOMEM;
    }

    choices = NULL;

    if (condition->op == WSB_WHERE_IN) {
        choices = wsb_memo_choices(key, condition, path);

        if (choices == NULL) {
            return WSB_NOMEM;
        }
    }

    if (memos->free != WSB_MEMO_NONE) {
        *id = memos->free;
        memos->free = memos->memo[*id].next;

    } else {
        *id = memos->n++;
    }

    memo = &memos->memo[*id];

    memset(memo, 0, sizeof(wsb_memo_t));

    memo->hash = hash;
    memo->choices = choices;
    memo->uses = 1;

    wsb_memo_link(memos, *id);

    return WSB_OK;
}


void
wsb_memo_remove(wsb_memos_t *memos, uint32_t id)
{
    uint32_t    *p;
    wsb_memo_t  *memo;

    memo = &memos->memo[id];

    if (--memo->uses != 0) {
        return;
    }

    p = &memos->buckets[memo->hash.h[0] & (memos->nalloc - 1)];

    while (*p != id) {
        p = &memos->memo[*p].next;
    }

    *p = memo->next;

    wsb_free(memo->choices);
    memo->choices = NULL;

    memo->next = memos->free;
    memos->free = id;
}


int
wsb_memo_ask(wsb_memo_t *memo, const wsb_condition_t *condition,
    wsb_subject_t *subject, const wsb_key_t *hash)
{
    uint32_t       want;
    unsigned       low, high, mid;
    wsb_choice_t  *choices;

    choices = memo->choices;

    if (choices == NULL) {
        return wsb_where_holds(condition, subject);
    }

    if (hash == NULL) {
        return 0;
    }

    want = wsb_memo_short(hash);

    low = 0;
    high = condition->nvalues;

    while (low < high) {
        mid = (low + high) / 2;

        if (choices[mid].hash < want) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    for ( /* void */ ;
         low < condition->nvalues && choices[low].hash == want;
         low++)
    {
        if (wsb_where_equal(condition,
                            condition->values + choices[low].offset,
                            subject))
        {
            return 1;
        }
    }

    return 0;
}


static wsb_rc_t
wsb_memo_grow(wsb_memos_t *memos)
{
    void      *p;
    uint32_t   i, n;

    n = memos->nalloc == 0 ? WSB_MEMOS_MIN : 2 * memos->nalloc;

    if (n > INT32_MAX) {
        return WSB_NOMEM;
    }

    p = wsb_realloc(memos->memo, n * sizeof(wsb_memo_t));
    if (p == NULL) {
        return WSB_NOMEM;
    }

    memos->memo = p;

    p = wsb_realloc(memos->buckets, n * sizeof(uint32_t));
    if (p == NULL) {
        return WSB_NOMEM;
    }

    memos->buckets = p;
    memos->nalloc = n;

    for (i = 0; i < n; i++) {
        memos->buckets[i] = WSB_MEMO_NONE;
    }

    /* it grows only when none is free */

    for (i = 0; i < memos->n; i++) {
        wsb_memo_link(memos, i);
    }

    return WSB_OK;
}


static void
wsb_memo_link(wsb_memos_t *memos, uint32_t id)
{
    uint32_t    *bucket;
    wsb_memo_t  *memo;

    memo = &memos->memo[id];
    bucket = &memos->buckets[memo->hash.h[0] & (memos->nalloc - 1)];

    memo->next = *bucket;
    *bucket = id;
}


static wsb_choice_t *
wsb_memo_choices(const uint8_t key[16], const wsb_condition_t *condition,
    const wsb_key_t *path)
{
    unsigned        i;
    wsb_key_t       hash;
    wsb_value_t     value;
    const uint8_t  *p;
    wsb_choice_t   *choices;

    choices = wsb_malloc(condition->nvalues * sizeof(wsb_choice_t));
    if (choices == NULL) {
        return NULL;
    }

    p = condition->values;

    for (i = 0; i < condition->nvalues; i++) {
        choices[i].offset = p - condition->values;

        p = wsb_where_value(p, &value);

        /* each is a scalar: it has a hash */

        memset(&hash, 0, sizeof(wsb_key_t));
        (void) wsb_value_hash(key, &value, &hash);

        hash.h[1] ^= path->h[1];
        choices[i].hash = wsb_memo_short(&hash);
    }

    qsort(choices, condition->nvalues, sizeof(wsb_choice_t), wsb_memo_order);

    return choices;
}


static int
wsb_memo_order(const void *a, const void *b)
{
    uint32_t  x, y;

    x = ((const wsb_choice_t *) a)->hash;
    y = ((const wsb_choice_t *) b)->hash;

    return x < y ? -1 : x > y;
}

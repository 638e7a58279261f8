/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_links.h"


#define WSB_LINKS_MIN  64


static void wsb_links_grow(wsb_links_t *links);
static void wsb_links_shrink(wsb_links_t *links);


wsb_rc_t
wsb_links_init(wsb_links_t *links)
{
    size_t  i;

    memset(links, 0, sizeof(wsb_links_t));

    links->bucket = wsb_malloc(WSB_LINKS_MIN * sizeof(wsb_link_t *));
    if (links->bucket == NULL) {
        return WSB_NOMEM;
    }

    for (i = 0; i < WSB_LINKS_MIN; i++) {
        links->bucket[i] = NULL;
    }

    links->nalloc = WSB_LINKS_MIN;
    links->level = WSB_LINKS_MIN;

    return WSB_OK;
}


void
wsb_links_done(wsb_links_t *links)
{
    wsb_free(links->bucket);
}


void
wsb_links_insert(wsb_links_t *links, wsb_link_t *link)
{
    wsb_link_t  **bucket;

    bucket = wsb_links_bucket(links, &link->key);

    link->next = *bucket;
    *bucket = link;

    links->nlinks++;
    wsb_links_grow(links);
}


void
wsb_links_remove(wsb_links_t *links, wsb_link_t *link)
{
    unsigned      i;
    wsb_link_t  **p;

    p = wsb_links_bucket(links, &link->key);

    while (*p != link) {
        p = &(*p)->next;
    }

    *p = link->next;

    links->nlinks--;

    /* links go one by one, and buckets must keep up with a quarter */

    for (i = 0; i < 4; i++) {
        wsb_links_shrink(links);
    }
}


/* Divides one bucket. */

static void
wsb_links_grow(wsb_links_t *links)
{
    size_t        n;
    wsb_link_t   *link, *next, **bucket, **low, **high;

    n = links->level + links->split;

    if (links->nlinks <= n) {
        return;
    }

    if (n == links->nalloc) {
        bucket = wsb_realloc(links->bucket, 2 * n * sizeof(wsb_link_t *));
        if (bucket == NULL) {
            return;
        }

        links->bucket = bucket;
        links->nalloc = 2 * n;
    }

    low = &links->bucket[links->split];
    high = &links->bucket[n];

    link = *low;
    *low = NULL;
    *high = NULL;

    for ( /* void */ ; link != NULL; link = next) {
        next = link->next;
        bucket = link->key.h[0] & links->level ? high : low;
        link->next = *bucket;
        *bucket = link;
    }

    if (++links->split == links->level) {
        links->level *= 2;
        links->split = 0;
    }
}


/* Joins one pair of buckets when most of them are empty. */

static void
wsb_links_shrink(wsb_links_t *links)
{
    size_t        n;
    wsb_link_t  **p, **bucket;

    n = links->level + links->split;

    if (n == WSB_LINKS_MIN || links->nlinks >= n / 4) {
        return;
    }

    if (links->split == 0) {
        links->level /= 2;
        links->split = links->level;
    }

    links->split--;

    p = &links->bucket[links->split];

    while (*p != NULL) {
        p = &(*p)->next;
    }

    *p = links->bucket[n - 1];

    if (n - 1 == links->nalloc / 4) {
        bucket = wsb_realloc(links->bucket,
                             links->nalloc / 2 * sizeof(wsb_link_t *));
        if (bucket != NULL) {
            links->bucket = bucket;
            links->nalloc /= 2;
        }
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A hash of links by 128-bit keys, of which there may be several with one
 * key.  It grows and shrinks a bucket at a time (linear hashing), so that no
 * single call pays for all.
 *
 * Whoever owns the links embeds them; here they are only chained.
 */

#ifndef WSB_LINKS_H
#define WSB_LINKS_H


#include "../event/wsb_key.h"


typedef struct wsb_link_s  wsb_link_t;

struct wsb_link_s {
    wsb_link_t           *next;           /* in the bucket */
    void                 *owner;
    wsb_key_t             key;
};


/*
 * Buckets below `split` have been divided already and are chosen with one
 * bit more.
 */

typedef struct {
    wsb_link_t          **bucket;
    size_t                nalloc;
    size_t                level;          /* a power of two */
    size_t                split;          /* 0..level - 1 */
    size_t                nlinks;
} wsb_links_t;


wsb_rc_t wsb_links_init(wsb_links_t *links);
void wsb_links_done(wsb_links_t *links);

/* Needs no memory: without it the chains just get longer. */
void wsb_links_insert(wsb_links_t *links, wsb_link_t *link);
void wsb_links_remove(wsb_links_t *links, wsb_link_t *link);


static inline wsb_link_t **
wsb_links_bucket(const wsb_links_t *links, const wsb_key_t *key)
{
    size_t  i;

    i = key->h[0] & (links->level - 1);

    if (i < links->split) {
        i = key->h[0] & (2 * links->level - 1);
    }

    return &links->bucket[i];
}


/* The first link with this key, and the next one behind a link; or NULL. */

static inline wsb_link_t *
wsb_links_same(wsb_link_t *link, const wsb_key_t *key)
{
    while (link != NULL && !wsb_key_eq(&link->key, key)) {
        link = link->next;
    }

    return link;
}


static inline wsb_link_t *
wsb_links_find(const wsb_links_t *links, const wsb_key_t *key)
{
    return wsb_links_same(*wsb_links_bucket(links, key), key);
}


static inline wsb_link_t *
wsb_links_next(const wsb_link_t *link)
{
    return wsb_links_same(link->next, &link->key);
}


#endif /* WSB_LINKS_H */

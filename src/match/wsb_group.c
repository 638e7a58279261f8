/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_group.h"


static wsb_group_t *wsb_group_make(wsb_links_t *links, const wsb_key_t *key);
static void wsb_group_drop(wsb_links_t *links, wsb_group_t *group);
static wsb_list_t *wsb_group_list_of(wsb_group_t *group,
    const wsb_node_t *node, unsigned place);
static uint32_t *wsb_group_places(const wsb_group_t *group, uint32_t path,
    uint32_t *home);
static uint32_t *wsb_group_place(const wsb_group_t *group, uint32_t path);
static void wsb_group_unplace(wsb_group_t *group, uint32_t *place);
static wsb_rc_t wsb_group_resize_uses(wsb_group_t *group, uint32_t n);


wsb_group_t *
wsb_group_find(const wsb_links_t *links, const wsb_key_t *key)
{
    wsb_link_t  *link;

    link = wsb_links_find(links, key);

    while (link != NULL && link->owner != NULL) {
        link = wsb_links_next(link);
    }

    return (wsb_group_t *) link;
}


unsigned
wsb_group_below(const wsb_links_t *links, const wsb_key_t *key)
{
    unsigned     n;
    wsb_link_t  *link;

    n = 0;

    for (link = wsb_links_find(links, key);
         link != NULL;
         link = wsb_links_next(link))
    {
        n += link->owner != NULL
                 ? 1
                 : ((wsb_group_t *) link)->list[WSB_GROUP_LISTED].n;
    }

    return n < INT32_MAX / 4 ? n : INT32_MAX / 4;
}


unsigned
wsb_group_linked(const wsb_links_t *links, const wsb_key_t *key)
{
    unsigned     n;
    wsb_link_t  *link;

    n = 0;

    for (link = wsb_links_find(links, key);
         link != NULL;
         link = wsb_links_next(link))
    {
        n += link->owner != NULL;
    }

    return n;
}


static wsb_group_t *
wsb_group_make(wsb_links_t *links, const wsb_key_t *key)
{
    wsb_group_t  *group;

    group = wsb_group_find(links, key);

    if (group != NULL) {
        return group;
    }

    group = wsb_malloc(sizeof(wsb_group_t));
    if (group == NULL) {
        return NULL;
    }

    memset(group, 0, sizeof(wsb_group_t));

    group->link.key = *key;

    wsb_links_insert(links, &group->link);

    return group;
}


/* Gives back what is empty, and the group with the last of it. */

static void
wsb_group_drop(wsb_links_t *links, wsb_group_t *group)
{
    unsigned  i;

    for (i = 0; i < WSB_GROUP_LISTS; i++) {
        if (group->list[i].n == 0) {
            wsb_free(group->list[i].elts);
            group->list[i].elts = NULL;
            group->list[i].nalloc = 0;
        }
    }

    if (group->nuses == 0) {
        wsb_free(group->uses);
        group->uses = NULL;
        group->nuses_alloc = 0;
    }

    if (group->list[WSB_GROUP_LISTED].n == 0
        && group->list[WSB_GROUP_FOUND].n == 0
        && group->list[WSB_GROUP_LIVE].n == 0
        && group->nuses == 0)
    {
        wsb_links_remove(links, &group->link);
        wsb_free(group);
    }
}


static wsb_list_t *
wsb_group_list_of(wsb_group_t *group, const wsb_node_t *node, unsigned place)
{
    return &group->list[place < node->nplaces ? WSB_GROUP_LISTED
                        : node->live ? WSB_GROUP_LIVE : WSB_GROUP_FOUND];
}


wsb_rc_t
wsb_group_list(wsb_links_t *links, const wsb_key_t *key, wsb_node_t *node,
    unsigned place)
{
    void         *p;
    uint32_t      n;
    wsb_list_t   *list;
    wsb_group_t  *group;

    group = wsb_group_make(links, key);

    if (group == NULL) {
        return WSB_NOMEM;
    }

    list = wsb_group_list_of(group, node, place);

    if (list->n == list->nalloc) {
        n = list->nalloc ? 2 * list->nalloc : 1;

        p = wsb_realloc(list->elts, n * sizeof(wsb_listed_t));
        if (p == NULL) {
            wsb_group_drop(links, group);
            return WSB_NOMEM;
        }

        list->elts = p;
        list->nalloc = n;
    }

    list->elts[list->n].node = node;
    list->elts[list->n].place = place;

    wsb_node_places(node)[place].group = &group->link;
    wsb_node_places(node)[place].index = list->n++;

    return WSB_OK;
}


void
wsb_group_unlist(wsb_links_t *links, wsb_node_t *node, unsigned place)
{
    void          *p;
    wsb_list_t    *list;
    wsb_group_t   *group;
    wsb_place_t   *at;
    wsb_listed_t   last;

    at = &wsb_node_places(node)[place];
    group = (wsb_group_t *) at->group;
    list = wsb_group_list_of(group, node, place);

    last = list->elts[--list->n];

    list->elts[at->index] = last;
    wsb_node_places(last.node)[last.place].index = at->index;

    if (list->n < list->nalloc / 4) {
        p = wsb_realloc(list->elts, list->nalloc / 2 * sizeof(wsb_listed_t));

        if (p != NULL) {
            list->elts = p;
            list->nalloc /= 2;
        }
    }

    wsb_group_drop(links, group);
}


/*
 * The hash of the uses stands behind them: numbers of uses, from 1, in twice
 * as many places as there are uses, probed one by one.  The key of the group
 * is a keyed hash, so that nobody can choose columns that meet.
 */

static uint32_t *
wsb_group_places(const wsb_group_t *group, uint32_t path, uint32_t *home)
{
    uint64_t  h;

    h = (path ^ group->link.key.h[1]) * 0x9e3779b97f4a7c15ULL;

    *home = (uint32_t) (h >> 32) & (2 * group->nuses_alloc - 1);

    return (uint32_t *) &group->uses[group->nuses_alloc];
}


/* The place in which the column is, or into which it would come. */

static uint32_t *
wsb_group_place(const wsb_group_t *group, uint32_t path)
{
    uint32_t  i, *places;

    places = wsb_group_places(group, path, &i);

    while (places[i] != 0 && group->uses[places[i] - 1].path != path) {
        i = (i + 1) & (2 * group->nuses_alloc - 1);
    }

    return &places[i];
}


/* Whatever stands behind the hole, and may be in it, moves up. */

static void
wsb_group_unplace(wsb_group_t *group, uint32_t *place)
{
    uint32_t  i, hole, home, mask, *places;

    mask = 2 * group->nuses_alloc - 1;
    places = (uint32_t *) &group->uses[group->nuses_alloc];

    hole = (uint32_t) (place - places);

    for (i = (hole + 1) & mask; places[i] != 0; i = (i + 1) & mask) {

        (void) wsb_group_places(group, group->uses[places[i] - 1].path,
                                &home);

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            places[hole] = places[i];
            hole = i;
        }
    }

    places[hole] = 0;
}


uint32_t
wsb_group_find_use(const wsb_group_t *group, uint32_t path)
{
    uint32_t  i;

    if (group->nuses_alloc > WSB_GROUP_USES) {
        i = *wsb_group_place(group, path);
        return i != 0 ? i - 1 : WSB_GROUP_NONE;
    }

    for (i = 0; i < group->nuses; i++) {
        if (group->uses[i].path == path) {
            return i;
        }
    }

    return WSB_GROUP_NONE;
}


/* n is a power of two, and not less than there are. */

static wsb_rc_t
wsb_group_resize_uses(wsb_group_t *group, uint32_t n)
{
    void      *p;
    size_t     size;
    uint32_t   i;

    size = n * sizeof(wsb_use_t);

    if (n > WSB_GROUP_USES) {
        size += 2 * n * sizeof(uint32_t);
    }

    p = wsb_realloc(group->uses, size);
    if (p == NULL) {
        return WSB_NOMEM;
    }

    group->uses = p;
    group->nuses_alloc = n;

    if (n > WSB_GROUP_USES) {
        memset(&group->uses[n], 0, 2 * n * sizeof(uint32_t));

        for (i = 0; i < group->nuses; i++) {
            *wsb_group_place(group, group->uses[i].path) = i + 1;
        }
    }

    return WSB_OK;
}


wsb_rc_t
wsb_group_use(wsb_links_t *links, const wsb_key_t *key, uint32_t path)
{
    uint32_t      i;
    wsb_group_t  *group;

    group = wsb_group_make(links, key);

    if (group == NULL) {
        return WSB_NOMEM;
    }

    i = wsb_group_find_use(group, path);

    if (i != WSB_GROUP_NONE) {
        group->uses[i].count++;
        return WSB_OK;
    }

    if (group->nuses == group->nuses_alloc
        && wsb_group_resize_uses(group, group->nuses ? 2 * group->nuses : 1)
           != WSB_OK)
    {
        wsb_group_drop(links, group);
        return WSB_NOMEM;
    }

    i = group->nuses++;

    group->uses[i].path = path;
    group->uses[i].count = 1;

    if (group->nuses_alloc > WSB_GROUP_USES) {
        *wsb_group_place(group, path) = i + 1;
    }

    return WSB_OK;
}


void
wsb_group_unuse(wsb_links_t *links, const wsb_key_t *key, uint32_t path)
{
    uint32_t      i, last;
    wsb_group_t  *group;

    group = wsb_group_find(links, key);

    i = wsb_group_find_use(group, path);

    if (--group->uses[i].count != 0) {
        return;
    }

    last = group->nuses - 1;

    if (group->nuses_alloc > WSB_GROUP_USES) {

        /* the places are found by the columns: these stay until then */

        wsb_group_unplace(group, wsb_group_place(group, path));

        if (last != i) {
            *wsb_group_place(group, group->uses[last].path) = i + 1;
        }
    }

    group->uses[i] = group->uses[last];
    group->nuses = last;

    if (last != 0 && last < group->nuses_alloc / 4) {
        (void) wsb_group_resize_uses(group, group->nuses_alloc / 2);
    }

    wsb_group_drop(links, group);
}


int
wsb_group_finds(const wsb_group_t *group, wsb_rows_t *rows,
    const wsb_node_t *node)
{
    unsigned          row;
    uint32_t          path;
    wsb_key_t         key;
    const wsb_key_t  *hash;

    path = wsb_node_path(node);

    for (row = WSB_ROW_NEW; row <= WSB_ROW_OLD; row++) {
        hash = wsb_rows_hash(rows, row, path);

        if (hash != NULL) {
            key = wsb_node_key_below(&group->link.key, hash);

            if (wsb_node_under(node, &key)) {
                return 1;
            }
        }
    }

    return 0;
}

#include "wsb_group.h"
#include "wsb_node.h"


static wsb_group_t *wsb_group_make(wsb_links_t *links, const wsb_key_t *key);
static void wsb_group_drop(wsb_links_t *links, wsb_group_t *group);


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
        n += link->owner != NULL ? 1 : ((wsb_group_t *) link)->nlisted;
    }

    return n < INT32_MAX / 4 ? n : INT32_MAX / 4;
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
    if (group->nlisted == 0) {
        wsb_free(group->listed);
        group->listed = NULL;
        group->nalloc = 0;
    }

    if (group->nuses == 0) {
        wsb_free(group->uses);
        group->uses = NULL;
        group->nuses_alloc = 0;
    }

    if (group->nlisted == 0 && group->nuses == 0) {
        wsb_links_remove(links, &group->link);
        wsb_free(group);
    }
}


wsb_rc_t
wsb_group_list(wsb_links_t *links, const wsb_key_t *key, wsb_node_t *node,
    unsigned place)
{
    void         *p;
    uint32_t      n;
    wsb_group_t  *group;

    group = wsb_group_make(links, key);

    if (group == NULL) {
        return WSB_NOMEM;
    }

    if (group->nlisted == group->nalloc) {
        n = group->nalloc ? 2 * group->nalloc : 1;

        p = wsb_realloc(group->listed, n * sizeof(wsb_listed_t));
        if (p == NULL) {
            wsb_group_drop(links, group);
            return WSB_NOMEM;
        }

        group->listed = p;
        group->nalloc = n;
    }

    group->listed[group->nlisted].node = node;
    group->listed[group->nlisted].place = place;

    wsb_node_places(node)[place].group = group;
    wsb_node_places(node)[place].index = group->nlisted++;

    return WSB_OK;
}


void
wsb_group_unlist(wsb_links_t *links, wsb_node_t *node, unsigned place)
{
    void          *p;
    wsb_group_t   *group;
    wsb_place_t   *at;
    wsb_listed_t   last;

    at = &wsb_node_places(node)[place];
    group = at->group;

    last = group->listed[--group->nlisted];

    group->listed[at->index] = last;
    wsb_node_places(last.node)[last.place].index = at->index;

    if (group->nlisted < group->nalloc / 4) {
        p = wsb_realloc(group->listed,
                        group->nalloc / 2 * sizeof(wsb_listed_t));

        if (p != NULL) {
            group->listed = p;
            group->nalloc /= 2;
        }
    }

    wsb_group_drop(links, group);
}


wsb_rc_t
wsb_group_use(wsb_links_t *links, const wsb_key_t *key, uint32_t path)
{
    void         *p;
    uint32_t      i, n;
    wsb_group_t  *group;

    group = wsb_group_make(links, key);

    if (group == NULL) {
        return WSB_NOMEM;
    }

    for (i = 0; i < group->nuses; i++) {
        if (group->uses[i].path == path) {
            group->uses[i].count++;
            return WSB_OK;
        }
    }

    if (group->nuses == group->nuses_alloc) {
        n = group->nuses_alloc ? 2 * group->nuses_alloc : 1;

        p = wsb_realloc(group->uses, n * sizeof(wsb_use_t));
        if (p == NULL) {
            wsb_group_drop(links, group);
            return WSB_NOMEM;
        }

        group->uses = p;
        group->nuses_alloc = n;
    }

    group->uses[group->nuses].path = path;
    group->uses[group->nuses++].count = 1;

    return WSB_OK;
}


void
wsb_group_unuse(wsb_links_t *links, const wsb_key_t *key, uint32_t path)
{
    uint32_t      i;
    wsb_group_t  *group;

    group = wsb_group_find(links, key);

    for (i = 0; group->uses[i].path != path; i++) {
        /* void */
    }

    if (--group->uses[i].count == 0) {
        group->uses[i] = group->uses[--group->nuses];
    }

    wsb_group_drop(links, group);
}

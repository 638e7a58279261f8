/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The match index against brute force.  The file under test is included, so
 * that its buckets can be walked and its allocations fail.
 */

#include <stddef.h>

static void *test_malloc(size_t size);
static void *test_realloc(void *p, size_t size);
static void test_free(void *p);

#define wsb_malloc   test_malloc
#define wsb_realloc  test_realloc
#define wsb_free     test_free

#include "../../../src/match/wsb_value.c"
#include "../../../src/match/wsb_where.c"
#include "../../../src/match/wsb_memo.c"
#include "../../../src/match/wsb_column.c"
#include "../../../src/match/wsb_rows.c"
#include "../../../src/match/wsb_links.c"
#include "../../../src/match/wsb_group.c"
#include "../../../src/match/wsb_node.c"
#include "../../../src/match/wsb_shape.c"
#include "../../../src/match/wsb_index.c"
#include "tap.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>


#define SUBS      1500
#define ROUNDS    30000
#define MANY      60000
#define CLIENTS   100000
#define CROWD     3000
#define VALUES    5


static uint64_t  random_state = 88172645463325252ULL;

static unsigned
rnd(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return (unsigned) ((random_state >> 11) % n);
}

#include "where_ref.h"


/* A filter over small numbers: 0 is a wildcard, or an absent field. */

typedef struct {
    unsigned       tenant;
    unsigned       n[WSB_NROUTING];
    unsigned       value[WSB_NROUTING][WSB_FILTER_VALUES];
    ref_where_t    where;                 /* n 0: none */
} numbers_t;


typedef struct {
    wsb_sub_t      sub;                   /* node NULL: not in the index */
    numbers_t      filter;
    wsb_where_t   *where;                 /* the same */
    unsigned       seen;
    unsigned       wanted;
    wsb_change_t   change;
    wsb_change_t   wanted_change;
} client_t;


static const uint8_t  secret[] = "0123456789abcdef";

static size_t         allocated, bytes, fail_at;
static unsigned       node_calls;

static client_t       clients[SUBS];


static void *
test_malloc(size_t size)
{
    void  *p;

    if (fail_at != 0 && --fail_at == 0) {
        return NULL;
    }

    p = malloc(size);
    allocated += p != NULL;
    bytes += p != NULL ? malloc_usable_size(p) + 8 : 0;

    return p;
}


static void *
test_realloc(void *old, size_t size)
{
    void  *p;

    if (fail_at != 0 && --fail_at == 0) {
        return NULL;
    }

    bytes -= old != NULL ? malloc_usable_size(old) + 8 : 0;
    p = realloc(old, size);
    allocated += p != NULL && old == NULL;
    bytes += p != NULL ? malloc_usable_size(p) + 8 : 0;

    return p;
}


static void
test_free(void *p)
{
    allocated -= p != NULL;
    bytes -= p != NULL ? malloc_usable_size(p) + 8 : 0;
    free(p);
}


static wsb_str_t
text(unsigned n)
{
    static char      texts[1024][8];
    static unsigned  i;
    wsb_str_t        s;

    /* as many as a filter can hold at once */

    i = (i + 1) % 1024;
    s.len = (size_t) snprintf(texts[i], sizeof(texts[i]), "v%u", n);
    s.data = (const uint8_t *) texts[i];

    return s;
}


static wsb_where_t *
where_of(const ref_where_t *w)
{
    char                buf[REF_TEXT];
    wsb_str_t           s;
    wsb_json_t          value;
    wsb_where_t        *where;
    wsb_json_error_t    err;
    wsb_where_error_t   where_err;

    static const wsb_json_limits_t  limits = { 32, 32 };

    if (w->n == 0) {
        return NULL;
    }

    s.len = (size_t) (ref_where_text(w, buf) - buf);
    s.data = (uint8_t *) buf;

    if (wsb_json_parse(s, &limits, &value, &err) != WSB_OK
        || wsb_where_parse(&value, &where, &where_err) != WSB_OK)
    {
        abort();
    }

    return where;
}


/* The other parts of the bus allocate by malloc(), and so does this. */

static wsb_plan_t *
plan_of(const numbers_t *f)
{
    unsigned      i, k;
    wsb_str_t     values[WSB_NROUTING][WSB_FILTER_VALUES], tenant;
    wsb_plan_t   *plan;
    wsb_filter_t  filter;

    memset(&filter, 0, sizeof(wsb_filter_t));

    for (i = 0; i < WSB_NROUTING; i++) {
        filter.n[i] = f->n[i];
        filter.array[i] = f->n[i] > 1;
        filter.value[i] = values[i];

        for (k = 0; k < f->n[i]; k++) {
            values[i][k] = text(f->value[i][k]);
        }
    }

    tenant = text(f->tenant);

    filter.where = where_of(&f->where);

    plan = wsb_plan_create(secret, tenant, &filter, NULL);
    if (plan == NULL) {
        abort();
    }

    free(filter.where);

    return plan;
}


static void
random_filter(numbers_t *f, unsigned values)
{
    unsigned  i, k;

    memset(f, 0, sizeof(numbers_t));

    switch (rnd(4)) {

    case 0:
        ref_random_where(&f->where, 1);
        break;

    case 1:
        ref_random_where(&f->where, rnd(10) ? 3 : REF_MAX);
        break;
    }

    f->tenant = rnd(2);

    for (i = 0; i < WSB_NROUTING; i++) {

        switch (rnd(5)) {

        case 0:
            f->n[i] = 1 + rnd(values);
            break;

        case 1:
        case 2:
            f->n[i] = 1;
            break;
        }

        if (rnd(200) == 0) {
            f->n[i] = WSB_FILTER_VALUES;
        }

        for (k = 0; k < f->n[i]; k++) {
            f->value[i][k] = 1 + rnd(f->n[i] > 10 ? 500 : values);
        }
    }
}


static void
parts_of(const numbers_t *e, wsb_parts_t *parts)
{
    unsigned     i;
    wsb_event_t  ev;

    memset(&ev, 0, sizeof(wsb_event_t));
    ev.field[WSB_TENANT] = text(e->tenant);

    for (i = 0; i < WSB_NROUTING; i++) {
        if (e->n[i] != 0) {
            ev.field[i] = text(e->value[i][0]);
        }
    }

    wsb_key_parts(secret, &ev, parts);
}


static void
random_event(numbers_t *e, unsigned values)
{
    unsigned  i;

    memset(e, 0, sizeof(numbers_t));
    e->tenant = rnd(2);

    for (i = 0; i < WSB_NROUTING; i++) {
        e->n[i] = rnd(8) != 0;
        e->value[i][0] = 1 + rnd(rnd(10) ? values : 500);
    }
}


static int
has(const numbers_t *f, unsigned field, unsigned value)
{
    unsigned  k;

    for (k = 0; k < f->n[field]; k++) {
        if (f->value[field][k] == value) {
            return 1;
        }
    }

    return 0;
}


static int
matches(const numbers_t *f, const numbers_t *e)
{
    unsigned  i;

    if (f->tenant != e->tenant) {
        return 0;
    }

    for (i = 0; i < WSB_NROUTING; i++) {
        if (f->n[i] != 0 && (e->n[i] == 0 || !has(f, i, e->value[i][0]))) {
            return 0;
        }
    }

    return 1;
}


static int
equal(const numbers_t *a, const numbers_t *b)
{
    unsigned  i, k;

    if (a->tenant != b->tenant) {
        return 0;
    }

    for (i = 0; i < WSB_NROUTING; i++) {

        if ((a->n[i] == 0) != (b->n[i] == 0)) {
            return 0;
        }

        for (k = 0; k < a->n[i]; k++) {
            if (!has(b, i, a->value[i][k])) {
                return 0;
            }
        }

        for (k = 0; k < b->n[i]; k++) {
            if (!has(a, i, b->value[i][k])) {
                return 0;
            }
        }
    }

    return 1;
}


static int
same_where(const wsb_where_t *a, const wsb_where_t *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }

    return a->size == b->size && memcmp(a, b, a->size) == 0;
}


static void
on_match(void *ctx, wsb_node_t *node, wsb_change_t change)
{
    unsigned    i;
    client_t   *c;
    wsb_sub_t **subs;

    (void) ctx;

    node_calls++;
    subs = wsb_node_subs(node);

    for (i = 0; i < node->nsubs; i++) {
        c = subs[i]->owner;
        c->seen++;
        c->change = change;
    }
}


static void
want(client_t *c, const numbers_t *e, const ref_row_t row[2], int deleted,
    int unsure)
{
    int  fresh, old;

    c->seen = 0;
    c->wanted = c->sub.node != NULL && matches(&c->filter, e);
    c->wanted_change = WSB_CHANGE_NONE;

    if (!c->wanted || c->filter.where.n == 0) {
        return;
    }

    fresh = ref_match(&c->filter.where, &row[0]);
    old = ref_match(&c->filter.where, &row[1]);

    c->wanted = fresh || old;

    if (row[1].present && fresh != old) {
        c->wanted_change = !fresh ? WSB_CHANGE_LEFT
                           : deleted ? WSB_CHANGE_NONE
                           : WSB_CHANGE_ENTERED;
    }

    /* one that no row can meet asks for no column */

    if (deleted && (!row[1].present || unsure) && !fresh && !old
        && wsb_node_terms(c->sub.node)->npaths != 0)
    {
        c->wanted = 1;
        c->wanted_change = WSB_CHANGE_LEFT_HIDDEN;
    }
}


static const char *
match_fault(wsb_index_t *index, unsigned values)
{
    int           deleted, unsure;
    char          texts[2][4096];
    unsigned      i;
    numbers_t     e;
    ref_row_t     row[2];
    client_t     *c;
    wsb_event_t   ev;
    wsb_parts_t   parts;
    wsb_change_t  change;

    static const wsb_str_t  entity = wsb_string("entity");
    static const wsb_str_t  actions[2] = {
        wsb_string("updated"), wsb_string("deleted")
    };

    random_event(&e, values);
    parts_of(&e, &parts);

    memset(&ev, 0, sizeof(wsb_event_t));

    /* what it is found by is in the parts */

    deleted = rnd(4) == 0;
    ev.field[WSB_KIND] = entity;
    ev.field[WSB_ACTION] = actions[deleted];

    unsure = rnd(4) == 0;
    ev.flags = unsure ? WSB_EVENT_UNSURE : 0;

    for (i = 0; i < 2; i++) {
        ref_random_row(&row[i]);

        if (row[i].present) {
            ev.field[i ? WSB_OLD : WSB_DATA].data = (uint8_t *) texts[i];
            ev.field[i ? WSB_OLD : WSB_DATA].len =
                        (size_t) (ref_row_text(&row[i], texts[i]) - texts[i]);
        }
    }

    for (i = 0; i < SUBS; i++) {
        want(&clients[i], &e, row, deleted, unsure);
    }

    if (wsb_index_match(index, &parts, &ev, on_match, NULL) != WSB_OK) {
        return "there is no memory";
    }

    if (wsb_index_begin(index, &ev) != WSB_OK) {
        return "there is no memory";
    }

    for (i = 0; i < SUBS; i++) {
        c = &clients[i];

        if (c->seen != c->wanted) {
            return c->seen < c->wanted ? "a subscription is left out"
                   : c->wanted ? "a subscription is matched twice"
                   : "a subscription is matched that should not";
        }

        if (c->wanted && c->change != c->wanted_change) {
            return "a change is wrong";
        }

        if (c->sub.node != NULL
            && ((unsigned) wsb_index_node_matches(index, c->sub.node, &parts,
                                                  &change)
                != c->wanted
                || (c->wanted && change != c->wanted_change)))
        {
            return "one node is matched otherwise";
        }
    }

    return NULL;
}


static const char *
group_fault(wsb_index_t *index, wsb_group_t *group)
{
    unsigned      i, k, uses;
    wsb_place_t  *place;
    wsb_list_t   *list;

    if (group->list[0].n == 0 && group->list[1].n == 0 && group->nuses == 0) {
        return "an empty group";
    }

    if (wsb_group_find(&index->links, &group->link.key) != group) {
        return "two groups below one key";
    }

    for (k = 0; k < 2; k++) {
        list = &group->list[k];

        for (i = 0; i < list->n; i++) {
            place = &wsb_node_places(list->elts[i].node)
                                                      [list->elts[i].place];

            if (place->group != &group->link || place->index != i
                || (list->elts[i].place < list->elts[i].node->nplaces)
                   != (k == WSB_GROUP_LISTED))
            {
                return "a node in the wrong place of a group";
            }
        }
    }

    uses = 0;

    for (i = 0; i < group->nuses; i++) {
        uses += group->uses[i].count;

        if (group->uses[i].count == 0) {
            return "a column without a use";
        }
    }

    if (uses != group->list[WSB_GROUP_FOUND].n) {
        return "a node that is found, and not for what is unknown";
    }

    return NULL;
}


/* Every link where it is looked for, every number right. */

static const char *
index_fault(wsb_index_t *index)
{
    size_t         i, n, links, ends, uses, conditional, mask[WSB_MASKS];
    unsigned       k;
    wsb_key_t      keys[WSB_FILTER_VALUES];
    wsb_link_t    *link;
    wsb_node_t    *node;
    wsb_links_t   *l;
    wsb_group_t   *group;
    const char    *fault;

    l = &index->links;
    n = l->level + l->split;
    links = 0;
    ends = 0;
    uses = 0;
    conditional = 0;
    memset(mask, 0, sizeof(mask));

    if (l->split >= l->level || n > l->nalloc
        || n < WSB_LINKS_MIN || l->level & (l->level - 1))
    {
        return "numbers of buckets";
    }

    for (i = 0; i < n; i++) {
        for (link = l->bucket[i]; link != NULL; link = link->next) {

            if (wsb_links_bucket(l, &link->key) != &l->bucket[i]) {
                return "a link in the wrong bucket";
            }

            node = link->owner;
            links++;

            if (node == NULL) {
                group = (wsb_group_t *) link;
                fault = group_fault(index, group);

                if (fault != NULL) {
                    return fault;
                }

                for (k = 0; k < group->nuses; k++) {
                    uses += group->uses[k].count;
                }

                continue;
            }

            if (link != &node->link[0]) {
                continue;
            }

            ends++;
            mask[node->mask]++;

            conditional += wsb_node_asks(node);

            if (node->kind != WSB_NODE_PLAIN) {

                if (wsb_node_terms(node)->found != WSB_NODE_NONE) {
                    uses -= wsb_index_node_keys(index, node, keys);
                }
            }

            if (node->nsubs == 0
                || node->nsubs > (node->nalloc ? node->nalloc : 1))
            {
                return "a node without subscriptions";
            }

            for (k = 0; k < node->nsubs; k++) {
                if (wsb_node_subs(node)[k]->node != node
                    || wsb_node_subs(node)[k]->index != k)
                {
                    return "a subscription in the wrong place";
                }
            }
        }
    }

    if (links != l->nlinks || ends != index->nnodes
        || conditional != index->nconditional || uses != 0
        || memcmp(mask, index->nmask, sizeof(mask)) != 0)
    {
        return "numbers of links, nodes and uses";
    }

    if (conditional == 0 && wsb_rows_paths(index->rows) != 0) {
        return "columns that nobody asks for";
    }

    return NULL;
}


/* The routing keys of a node are those of the plan. */

static int
same_keys(wsb_index_t *index, const wsb_node_t *node, const wsb_plan_t *plan)
{
    unsigned   i, k, n;
    wsb_key_t  keys[WSB_FILTER_VALUES];

    n = wsb_index_node_keys(index, node, keys);

    if (n != plan->nkeys) {
        return 0;
    }

    for (i = 0; i < n; i++) {
        for (k = 0; k < n && !wsb_key_eq(&keys[i], &plan->keys[k]); k++) {
            /* void */
        }

        if (k == n) {
            return 0;
        }
    }

    return 1;
}


static wsb_rc_t
client_add(wsb_index_t *index, client_t *c)
{
    wsb_rc_t     rc;
    wsb_plan_t  *plan;

    plan = plan_of(&c->filter);
    c->sub.owner = c;
    rc = wsb_index_add(index, plan, &c->sub);

    if (rc == WSB_OK) {
        free(c->where);
        c->where = where_of(&c->filter.where);

        if (!same_keys(index, c->sub.node, plan)) {
            rc = WSB_ERROR;
        }
    }

    /* it stays ours, and what is matched is not in it */

    memset(plan, 0x5a, wsb_plan_size(plan));
    free(plan);

    return rc;
}


static void
forget_clients(void)
{
    unsigned  i;

    for (i = 0; i < SUBS; i++) {
        free(clients[i].where);
    }

    memset(clients, 0, sizeof(clients));
}


static void
no_fault(const char *fault, const char *what)
{
    ok(fault == NULL, "%s%s%s", what, fault ? ": " : "",
       fault ? fault : "");
}


static void
test_random(unsigned values, const char *what)
{
    unsigned      i, k;
    client_t     *c;
    const char   *fault;
    wsb_index_t  *index;

    forget_clients();
    index = wsb_index_create(secret);
    fault = NULL;

    for (i = 0; i < ROUNDS && fault == NULL; i++) {

        /* tides */

        c = &clients[rnd(i / 6000 % 2 ? SUBS / 8 : SUBS)];

        if (c->sub.node != NULL) {
            if (rnd(2) || i / 6000 % 2) {
                wsb_index_remove(index, &c->sub);
                fault = c->sub.node != NULL ? "still in a node" : NULL;
            }

        } else {
            random_filter(&c->filter, values);

            if (client_add(index, c) != WSB_OK || c->sub.node == NULL) {
                fault = "not added";
            }
        }

        if (i % 97 == 0 && fault == NULL) {
            fault = index_fault(index);
        }

        if (i % 29 == 0 && fault == NULL) {
            fault = match_fault(index, values);
        }
    }

    no_fault(fault, what);
    fault = NULL;

    for (i = 0; i < SUBS; i += 7) {
        for (k = 0; k < i; k++) {
            if (clients[i].sub.node != NULL && clients[k].sub.node != NULL
                && (clients[i].sub.node == clients[k].sub.node)
                   != (equal(&clients[i].filter, &clients[k].filter)
                       && same_where(clients[i].where, clients[k].where)))
            {
                fault = "not the same, or not one";
            }
        }
    }

    no_fault(fault, "equal filters share a node, others do not");

    for (i = 0; i < SUBS; i++) {
        if (clients[i].sub.node != NULL) {
            wsb_index_remove(index, &clients[i].sub);
        }
    }

    no_fault(index_fault(index), "an empty index is sound");
    ok(wsb_index_nodes(index) == 0 && index->links.nlinks == 0, "and empty");

    wsb_index_destroy(index);
    is_uint(allocated, 0, "all memory is freed");
}


static void
test_growth(void)
{
    size_t        n;
    unsigned      i;
    wsb_sub_t    *subs;
    wsb_plan_t   *plan;
    numbers_t     f;
    wsb_parts_t   parts;
    wsb_index_t  *index;

    subs = calloc(MANY, sizeof(wsb_sub_t));
    forget_clients();
    memset(&f, 0, sizeof(numbers_t));
    index = wsb_index_create(secret);

    for (i = 0; i < MANY; i++) {
        f.n[WSB_ENTITY_ID] = 1;
        f.value[WSB_ENTITY_ID][0] = i;
        plan = plan_of(&f);
        subs[i].owner = &clients[0];
        wsb_index_add(index, plan, &subs[i]);
        free(plan);
    }

    no_fault(index_fault(index), "many nodes");
    n = index->links.level + index->links.split;
    ok(n >= MANY && n <= MANY + 64, "as many buckets");

    node_calls = 0;

    for (i = 0; i < MANY; i++) {
        f.value[WSB_ENTITY_ID][0] = i;
        parts_of(&f, &parts);
        wsb_index_match(index, &parts, NULL, on_match, NULL);
    }

    is_uint(node_calls, MANY, "each event finds one of them");

    for (i = 0; i < MANY; i++) {

        /* not in the order in which they came */

        wsb_index_remove(index, &subs[(i * 7919ULL + 13) % MANY]);

        if (i % (MANY / 8) == 0 && index_fault(index) != NULL) {
            break;
        }
    }

    is_uint(i, MANY, "all are removed");
    no_fault(index_fault(index), "an empty index is sound");
    ok(index->links.nalloc <= 1024, "its buckets have been given back: %zu",
       index->links.nalloc);

    wsb_index_destroy(index);
    is_uint(allocated, 0, "all memory is freed");
    free(subs);
}


/* A plan for what is written; %u is a number of the client. */

static wsb_plan_t *
plan_text(const char *type, const char *where, unsigned n)
{
    char                buf[1024];
    wsb_str_t           s, value;
    wsb_json_t          array;
    wsb_plan_t         *plan;
    wsb_filter_t        filter;
    wsb_json_error_t    err;
    wsb_where_error_t   where_err;

    static const wsb_str_t          none = wsb_null_string;
    static const wsb_json_limits_t  limits = { 32, 32 };

    memset(&filter, 0, sizeof(wsb_filter_t));

    if (type != NULL) {
        value.data = (const uint8_t *) type;
        value.len = strlen(type);
        filter.value[WSB_ENTITY_TYPE] = &value;
        filter.n[WSB_ENTITY_TYPE] = 1;
    }

    if (where != NULL) {
        s.len = (size_t) snprintf(buf, sizeof(buf), where, n, n + 1, n + 2);
        s.data = (uint8_t *) buf;

        if (wsb_json_parse(s, &limits, &array, &err) != WSB_OK
            || wsb_where_parse(&array, &filter.where, &where_err) != WSB_OK)
        {
            abort();
        }
    }

    plan = wsb_plan_create(secret, none, &filter, NULL);
    free(filter.where);

    return plan;
}


static unsigned
match_text(wsb_index_t *index, const char *type, const char *data,
    const char *old)
{
    wsb_event_t  ev;
    wsb_parts_t  parts;

    memset(&ev, 0, sizeof(wsb_event_t));

    ev.field[WSB_ENTITY_TYPE].data = (const uint8_t *) type;
    ev.field[WSB_ENTITY_TYPE].len = strlen(type);

    if (data != NULL) {
        ev.field[WSB_DATA].data = (const uint8_t *) data;
        ev.field[WSB_DATA].len = strlen(data);
    }

    if (old != NULL) {
        ev.field[WSB_OLD].data = (const uint8_t *) old;
        ev.field[WSB_OLD].len = strlen(old);
    }

    wsb_key_parts(secret, &ev, &parts);

    node_calls = 0;
    clients[0].change = 77;

    if (wsb_index_match(index, &parts, &ev, on_match, NULL) != WSB_OK) {
        abort();
    }

    return node_calls;
}


/* What an event costs does not depend on how many there are. */

static void
test_scale(void)
{
    char           data[300];
    size_t         i, k;
    double         ns;
    uint64_t       evaluations;
    unsigned       found;
    wsb_sub_t     *subs;
    wsb_plan_t    *plan;
    wsb_index_t   *index;
    const char    *format;
    struct timespec  from, to;

    static const struct {
        const char  *what;
        const char  *where;
        unsigned     nodes;              /* for an event */
        unsigned     evaluations;        /* at most */
        unsigned     bytes;              /* of each at most, with the sub */
    } table[] = {
        { "one field", NULL, 1, 0, 170 },
        { "eq of a number",
          "[{\"column\":\"user_id\",\"operator\":\"eq\",\"value\":%u}]",
          1, 1, 210 },
        { "eq of a string",
          "[{\"column\":\"name\",\"operator\":\"eq\",\"value\":\"user-%u\"}]",
          1, 1, 210 },
        { "eq of a nested one",
          "[{\"column\":\"n.id\",\"operator\":\"eq\",\"value\":%u}]",
          1, 1, 210 },
        { "in of three",
          "[{\"column\":\"user_id\",\"operator\":\"in\",\"value\":"
          "[%u,%u,%u]}]", 3, 3, 330 },
        { "a state for all, eq of each",
          "[{\"column\":\"state\",\"operator\":\"eq\",\"value\":\"open\"},"
          "{\"column\":\"user_id\",\"operator\":\"eq\",\"value\":%u}]",
          1, 4, 220 },
        { "eq and a range",
          "[{\"column\":\"user_id\",\"operator\":\"eq\",\"value\":%u},"
          "{\"column\":\"age\",\"operator\":\"gt\",\"value\":17}]",
          1, 1, 220 },
    };

    forget_clients();
    subs = calloc(CLIENTS, sizeof(wsb_sub_t));

    for (k = 0; k < sizeof(table) / sizeof(table[0]); k++) {
        bytes = 0;
        index = wsb_index_create(secret);
        memset(subs, 0, CLIENTS * sizeof(wsb_sub_t));

        for (i = 0; i < CLIENTS; i++) {
            if (table[k].where == NULL) {
                sprintf(data, "t%zu", i);
                plan = plan_text(data, NULL, 0);

            } else {
                plan = plan_text("order", table[k].where, (unsigned) i);
            }

            subs[i].owner = &clients[0];

            if (wsb_index_add(index, plan, &subs[i]) != WSB_OK) {
                abort();
            }

            free(plan);
        }

        is_uint(wsb_index_nodes(index), CLIENTS, "%s: nodes", table[k].what);

        /* a subscription is a block of its own */

        ok(bytes / CLIENTS + 48 <= table[k].bytes, "%s: %zu bytes each",
           table[k].what, bytes / CLIENTS + 48);

        found = 0;
        evaluations = wsb_index_evaluations(index);
        format = "{\"id\":17,\"state\":\"open\",\"user_id\":%u,\"name\":"
                 "\"user-%u\",\"age\":30,\"n\":{\"id\":%u},\"amount\":12.50,"
                 "\"text\":\"some words that nobody asks for\"}";

        clock_gettime(CLOCK_MONOTONIC, &from);

        for (i = 0; i < 10000; i++) {
            unsigned  n = 10 + (unsigned) (i * 7919 % (CLIENTS - 20));
            char      type[16];

            sprintf(type, table[k].where == NULL ? "t%u" : "order", n);
            snprintf(data, sizeof(data), format, n, n, n);
            found += match_text(index, type, data, NULL) == table[k].nodes;
        }

        clock_gettime(CLOCK_MONOTONIC, &to);

        ns = ((double) (to.tv_sec - from.tv_sec) * 1e9
              + (double) (to.tv_nsec - from.tv_nsec)) / 10000;
        evaluations = wsb_index_evaluations(index) - evaluations;

        is_uint(found, 10000, "%s: each event finds its own", table[k].what);
        ok(evaluations <= 10000 * table[k].evaluations,
           "%s: %.1f evaluations for each", table[k].what,
           (double) evaluations / 10000);
        printf("# %s: %.0f ns for each event\n", table[k].what, ns);

        evaluations = wsb_index_evaluations(index);
        match_text(index, "invoice", data, data);
        is_uint(wsb_index_evaluations(index), evaluations,
                "%s: none for another type", table[k].what);

        wsb_index_destroy(index);
        is_uint(allocated, 0, "all memory is freed");
    }

    free(subs);
}


/* The changes, and that nothing comes twice when both rows find a node. */

static void
test_changes(void)
{
    size_t         i, k;
    wsb_sub_t      sub;
    wsb_plan_t    *plan;
    wsb_index_t   *index;

#define EQ(v)  "[{\"column\":\"a\",\"operator\":\"eq\",\"value\":" v "}]"
#define IN(v)  "[{\"column\":\"a\",\"operator\":\"in\",\"value\":" v "}]"
#define GT(v)  "[{\"column\":\"a\",\"operator\":\"gt\",\"value\":" v "}]"
#define IN_GT  "[{\"column\":\"a\",\"operator\":\"in\",\"value\":[1,2]},"     \
               "{\"column\":\"b\",\"operator\":\"gt\",\"value\":5}]"

    static const struct {
        const char  *where;
        const char  *data;
        const char  *old;
        int          change;             /* -1: it does not match */
    } table[] = {
        { NULL, "{\"a\":1}", "{\"a\":2}", WSB_CHANGE_NONE },
        { NULL, NULL, NULL, WSB_CHANGE_NONE },
        { NULL, NULL, "{}", WSB_CHANGE_NONE },
        { EQ("1"), "{\"a\":1}", NULL, WSB_CHANGE_NONE },
        { EQ("1"), "{\"a\":1}", "{\"a\":1.0}", WSB_CHANGE_NONE },
        { EQ("1"), "{\"a\":1}", "{\"a\":2}", WSB_CHANGE_ENTERED },
        { EQ("1"), "{\"a\":1}", "{}", WSB_CHANGE_ENTERED },
        { EQ("1"), "{\"a\":2}", "{\"a\":1}", WSB_CHANGE_LEFT },
        { EQ("1"), NULL, "{\"a\":1}", WSB_CHANGE_LEFT },
        { EQ("1"), "null", "{\"a\":1}", WSB_CHANGE_LEFT },
        { EQ("1"), "[1]", "{\"a\":1}", WSB_CHANGE_LEFT },
        { EQ("1"), "{\"a\":2}", "{\"a\":2}", -1 },
        { EQ("1"), "{\"a\":2}", NULL, -1 },
        { EQ("1"), NULL, NULL, -1 },
        { EQ("1"), "{\"a\":\"1\"}", NULL, WSB_CHANGE_NONE },
        { EQ("\"1.0\""), "{\"a\":1}", "{\"a\":\"1\"}", WSB_CHANGE_ENTERED },
        { EQ("\"1.0\""), "{\"a\":\"1\"}", "{\"a\":1}", WSB_CHANGE_LEFT },
        { IN("[1,2]"), "{\"a\":1}", "{\"a\":2}", WSB_CHANGE_NONE },
        { IN("[1,2]"), "{\"a\":1}", "{\"a\":3}", WSB_CHANGE_ENTERED },
        { IN("[1,2]"), "{\"a\":3}", "{\"a\":2}", WSB_CHANGE_LEFT },
        { IN("[1,2,\"1\",1.0]"), "{\"a\":1}", "{\"a\":\"2\"}",
          WSB_CHANGE_NONE },
        { IN("[]"), "{\"a\":1}", "{\"a\":2}", -1 },
        { GT("5"), "{\"a\":6}", "{\"a\":7}", WSB_CHANGE_NONE },
        { GT("5"), "{\"a\":6}", "{\"a\":5}", WSB_CHANGE_ENTERED },
        { GT("5"), "{\"a\":5}", "{\"a\":6}", WSB_CHANGE_LEFT },
        { GT("5"), NULL, "{\"a\":6}", WSB_CHANGE_LEFT },
        { IN_GT, "{\"a\":1,\"b\":6}", "{\"a\":2,\"b\":6}",
          WSB_CHANGE_NONE },
        { IN_GT, "{\"a\":1,\"b\":5}", "{\"a\":2,\"b\":6}",
          WSB_CHANGE_LEFT },
        { IN_GT, "{\"a\":1,\"b\":6}", "{\"a\":2,\"b\":5}",
          WSB_CHANGE_ENTERED },
        { IN_GT, "{\"a\":1,\"b\":5}", "{\"a\":2,\"b\":5}", -1 },
        { IN_GT, "{\"a\":3,\"b\":6}", "{\"a\":2,\"b\":6}",
          WSB_CHANGE_LEFT },
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {

        /* by itself, and below arrays that make more of a node */

        for (k = 0; k < 2; k++) {
            index = wsb_index_create(secret);
            plan = plan_text(k ? "order" : NULL, table[i].where, 0);
            memset(&sub, 0, sizeof(wsb_sub_t));
            sub.owner = &clients[0];
            wsb_index_add(index, plan, &sub);
            free(plan);

            is_uint(match_text(index, "order", table[i].data, table[i].old),
                    table[i].change != -1, "%s: %s before %s",
                    table[i].where ? table[i].where : "any",
                    table[i].data ? table[i].data : "nothing",
                    table[i].old ? table[i].old : "nothing");

            if (table[i].change != -1) {
                is_uint(clients[0].change, table[i].change, "change");
            }

            wsb_index_remove(index, &sub);
            wsb_index_destroy(index);
        }
    }

    is_uint(allocated, 0, "all memory is freed");
}


/* Many conditions that no value finds: they come and go by themselves. */

static void
test_ranges(void)
{
    unsigned       i;
    wsb_sub_t     *subs;
    wsb_plan_t    *plan;
    wsb_index_t   *index;
    const char    *where = "[{\"column\":\"age\",\"operator\":\"gt\","
                           "\"value\":%u}]";

    subs = calloc(MANY, sizeof(wsb_sub_t));
    index = wsb_index_create(secret);

    for (i = 0; i < MANY; i++) {
        plan = plan_text("order", where, i / 2);
        subs[i].owner = &clients[0];
        wsb_index_add(index, plan, &subs[i]);
        free(plan);
    }

    is_uint(wsb_index_nodes(index), MANY / 2, "equal ones share a node");
    is_uint(match_text(index, "order", "{\"age\":100}", NULL), 100,
            "those below 100");
    is_uint(wsb_index_evaluations(index), MANY / 2, "each is evaluated once");
    no_fault(index_fault(index), "the index is sound");

    for (i = 0; i < MANY; i++) {
        wsb_index_remove(index, &subs[(i * 7919ULL + 13) % MANY]);
    }

    no_fault(index_fault(index), "all are removed");
    ok(index->links.nlinks == 0, "and what they hung from");

    wsb_index_destroy(index);
    is_uint(allocated, 0, "all memory is freed");
    free(subs);
}


static void
test_shared(void)
{
    size_t        before;
    unsigned      i, k;
    numbers_t     f;
    client_t     *c;
    const char   *fault;
    wsb_index_t  *index;

    forget_clients();
    memset(&f, 0, sizeof(numbers_t));
    index = wsb_index_create(secret);
    before = allocated;
    f.n[WSB_ENTITY_TYPE] = 1;
    f.value[WSB_ENTITY_TYPE][0] = 2;

    for (i = 0; i < SUBS; i++) {
        clients[i].filter = f;
        client_add(index, &clients[i]);
    }

    is_uint(wsb_index_nodes(index), 1, "one filter is one node");
    is_uint(allocated, before + 2, "one array for all");
    no_fault(index_fault(index), "the index is sound");

    fault = NULL;

    for (i = 0; i < 100 && fault == NULL; i++) {
        fault = match_fault(index, 3);
    }

    no_fault(fault, "all of them get it");

    for (i = 0; i < SUBS - 1; i++) {
        k = rnd(SUBS);

        while (clients[k].sub.node == NULL) {
            k = (k + 1) % SUBS;
        }

        wsb_index_remove(index, &clients[k].sub);
        fault = fault ? fault : i % 50 == 0 ? index_fault(index) : NULL;
    }

    no_fault(fault, "but those removed");

    for (c = clients; c->sub.node == NULL; c++) {
        /* void */
    }

    wsb_index_remove(index, &c->sub);
    is_uint(wsb_index_nodes(index), 0, "the last takes the node with it");
    is_uint(allocated, before, "and its memory");

    /* destroyed with nodes in it */

    for (i = 0; i < SUBS; i++) {
        random_filter(&clients[i].filter, VALUES);
        client_add(index, &clients[i]);
    }

    wsb_index_destroy(index);
    is_uint(allocated, 0, "an index that is not empty is freed as well");
}


static void
test_no_memory(void)
{
    size_t        was, nodes;
    unsigned      i, k, failed;
    client_t     *c;
    wsb_rc_t      rc;
    const char   *fault;
    wsb_index_t  *index;

    for (i = 1; i < 10; i++) {
        fail_at = i;
        ok(wsb_index_create(secret) == NULL, "no index without memory");
    }

    fail_at = 0;
    is_uint(allocated, 0, "nothing is left of it");

    forget_clients();
    index = wsb_index_create(secret);
    failed = 0;
    fault = NULL;

    for (i = 0; i < SUBS && fault == NULL; i++) {
        c = &clients[i];
        random_filter(&c->filter, 2);

        for (k = 1; /* void */ ; k++) {
            was = allocated;
            nodes = wsb_index_nodes(index);
            memset(&c->sub, 0, sizeof(wsb_sub_t));

            fail_at = k;
            rc = client_add(index, c);

            if (rc == WSB_OK) {
                /* or it failed where that does not matter */
                fail_at = 0;
                break;
            }

            failed++;

            if (rc != WSB_NOMEM || allocated != was || c->sub.node != NULL
                || wsb_index_nodes(index) != nodes)
            {
                fault = "not as it was";
                break;
            }
        }

        if (i % 50 == 0 && fault == NULL) {
            fault = index_fault(index);
            fault = fault ? fault : match_fault(index, 2);
        }
    }

    no_fault(fault, "WSB_NOMEM: nothing has changed");
    ok(failed > 100, "%u times", failed);

    /* no memory for buckets: chains get longer, then it catches up */

    wsb_index_destroy(index);
    forget_clients();
    index = wsb_index_create(secret);

    for (i = 0; i < SUBS; i++) {
        memset(&clients[i].filter, 0, sizeof(numbers_t));
        clients[i].filter.n[WSB_ACTION] = 1;
        clients[i].filter.value[WSB_ACTION][0] = i;

        /* after the node */
        fail_at = i < SUBS / 2 ? 2 : 0;
        rc = client_add(index, &clients[i]);
        fail_at = 0;

        if (rc != WSB_OK) {
            fault = "not added";
        }

        if (i == SUBS / 2 - 1) {
            is_uint(index->links.level + index->links.split, 64,
                    "no new bucket");
        }
    }

    no_fault(fault, "a bucket less is no error");
    no_fault(index_fault(index), "the index is sound");
    ok(index->links.level + index->links.split > 64, "and grows again");

    wsb_index_destroy(index);
    is_uint(allocated, 0, "all memory is freed");
}


/*
 * What hangs below one key is found by a hash, however much it is: many
 * filters that have some of their values in common, or the same values and
 * each a column of its own.
 */

static unsigned
longest_chain(const wsb_index_t *index)
{
    size_t       i;
    unsigned     n, max;
    wsb_link_t  *link, *same;

    max = 0;

    for (i = 0; i < index->links.level + index->links.split; i++) {
        for (link = index->links.bucket[i]; link != NULL; link = link->next) {
            n = 0;

            for (same = link; same != NULL; same = wsb_links_next(same)) {
                n++;
            }

            max = n > max ? n : max;
        }
    }

    return max;
}


static const char *
uses_fault(const wsb_index_t *index)
{
    size_t        i;
    uint32_t      k;
    wsb_link_t   *link;
    wsb_group_t  *group;

    for (i = 0; i < index->links.level + index->links.split; i++) {
        for (link = index->links.bucket[i]; link != NULL; link = link->next) {

            group = (wsb_group_t *) link;

            if (link->owner != NULL) {
                continue;
            }

            for (k = 0; k < group->nuses; k++) {
                if (wsb_group_find_use(group, group->uses[k].path) != k) {
                    return "a use that is not found";
                }
            }

            if (wsb_group_find_use(group, 0) != WSB_GROUP_NONE) {
                return "a use of nobody is found";
            }

            if (group->nuses_alloc > WSB_GROUP_USES
                && group->nuses < group->nuses_alloc / 4)
            {
                return "uses are not given back";
            }
        }
    }

    return NULL;
}


static wsb_plan_t *
crowd_plan(unsigned n, unsigned common, int asks)
{
    char                name[32], where[128];
    unsigned            i;
    wsb_str_t           s, none, values[WSB_FILTER_VALUES];
    wsb_json_t          array;
    wsb_plan_t         *plan;
    wsb_filter_t        filter;
    wsb_json_error_t    err;
    wsb_where_error_t   where_err;

    static const wsb_json_limits_t  limits = { 32, 32 };

    memset(&filter, 0, sizeof(wsb_filter_t));
    memset(&none, 0, sizeof(wsb_str_t));

    for (i = 0; i < common; i++) {
        values[i] = text(i);
    }

    if (!asks) {
        values[i].len = (size_t) snprintf(name, sizeof(name), "own-%u", n);
        values[i++].data = (const uint8_t *) name;
    }

    filter.value[WSB_ENTITY_ID] = values;
    filter.n[WSB_ENTITY_ID] = i;

    if (asks) {
        s.len = (size_t) snprintf(where, sizeof(where),
                                  "[{\"column\":\"c%u\",\"operator\":"
                                  "\"eq\",\"value\":1}]", n);
        s.data = (const uint8_t *) where;

        if (wsb_json_parse(s, &limits, &array, &err) != WSB_OK
            || wsb_where_parse(&array, &filter.where, &where_err) != WSB_OK)
        {
            abort();
        }
    }

    plan = wsb_plan_create(secret, none, &filter, NULL);
    free(filter.where);

    return plan;
}


static void
test_crowd(int asks)
{
    unsigned      i, longest;
    wsb_sub_t    *subs, twin;
    wsb_plan_t   *plan;
    wsb_event_t   ev;
    wsb_parts_t   parts;
    const char   *fault;
    wsb_index_t  *index;

    subs = calloc(CROWD, sizeof(wsb_sub_t));
    memset(&twin, 0, sizeof(wsb_sub_t));
    forget_clients();
    index = wsb_index_create(secret);

    twin.owner = &clients[0];

    for (i = 0; i < CROWD; i++) {
        plan = crowd_plan(i, 5, asks);
        subs[i].owner = &clients[0];

        if (wsb_index_add(index, plan, &subs[i]) != WSB_OK) {
            abort();
        }

        if (i % 500 == 499) {

            /* the same once more is the same node */

            wsb_index_add(index, plan, &twin);
            ok(twin.node == subs[i].node, "number %u is found again", i);
            wsb_index_remove(index, &twin);
        }

        free(plan);
    }

    is_uint(wsb_index_nodes(index), CROWD, "%s: so many nodes",
            asks ? "columns" : "values in common");

    longest = longest_chain(index);
    ok(longest <= WSB_NODE_RUN + 2, "the longest chain is %u", longest);
    no_fault(index_fault(index), "the index is sound");
    no_fault(uses_fault(index), "and so are its uses");

    memset(&ev, 0, sizeof(wsb_event_t));
    ev.field[WSB_ENTITY_ID] = text(3);
    ev.field[WSB_DATA].data = (const uint8_t *) "{\"c7\":1,\"c8\":2}";
    ev.field[WSB_DATA].len = strlen((const char *) ev.field[WSB_DATA].data);

    wsb_key_parts(secret, &ev, &parts);

    node_calls = 0;
    wsb_index_match(index, &parts, &ev, on_match, NULL);
    is_uint(node_calls, asks ? 1 : CROWD, "an event finds those that it must");
    is_uint(wsb_index_evaluations(index), asks, "and evaluates no others");

    fault = NULL;

    for (i = 0; i < CROWD; i++) {
        wsb_index_remove(index, &subs[(i * 7919ULL + 13) % CROWD]);

        if (i % (CROWD / 16) == 0 && fault == NULL) {
            fault = index_fault(index);
            fault = fault ? fault : uses_fault(index);
        }
    }

    no_fault(fault, "while they are removed");
    is_uint(index->links.nlinks, 0, "until none is left");

    wsb_index_destroy(index);
    is_uint(allocated, 0, "all memory is freed");
    free(subs);
}


int
main(void)
{
    test_random(VALUES, "add, remove and match, few values");
    test_random(40, "add, remove and match, many values");
    test_growth();
    test_scale();
    test_changes();
    test_ranges();
    test_shared();
    test_crowd(0);
    test_crowd(1);
    test_no_memory();

    forget_clients();

    return tap_done();
}

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

#include "../../../src/bus/wsb_index.c"
#include "tap.h"

#include <stdlib.h>


#define SUBS      1500
#define ROUNDS    30000
#define MANY      60000
#define VALUES    5


/* A filter over small numbers: 0 is a wildcard, or an absent field. */

typedef struct {
    unsigned       tenant;
    unsigned       n[WSB_NROUTING];
    unsigned       value[WSB_NROUTING][WSB_FILTER_VALUES];
} numbers_t;


typedef struct {
    wsb_sub_t      sub;                   /* node NULL: not in the index */
    numbers_t      filter;
    unsigned       seen;
    unsigned       wanted;
} client_t;


static const uint8_t  secret[16] = "0123456789abcdef";

static uint64_t       random_state = 88172645463325252ULL;
static size_t         allocated, fail_at;
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

    return p;
}


static void *
test_realloc(void *old, size_t size)
{
    void  *p;

    if (fail_at != 0 && --fail_at == 0) {
        return NULL;
    }

    p = realloc(old, size);
    allocated += p != NULL && old == NULL;

    return p;
}


static void
test_free(void *p)
{
    allocated -= p != NULL;
    free(p);
}


static unsigned
rnd(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return (unsigned) ((random_state >> 11) % n);
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

    plan = wsb_plan_create(secret, tenant, &filter);
    if (plan == NULL) {
        abort();
    }

    return plan;
}


static void
random_filter(numbers_t *f, unsigned values)
{
    unsigned  i, k;

    memset(f, 0, sizeof(numbers_t));
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


static void
on_match(void *ctx, wsb_node_t *node)
{
    unsigned    i;
    wsb_sub_t **subs;

    (void) ctx;

    node_calls++;
    subs = wsb_node_subs(node);

    for (i = 0; i < node->nsubs; i++) {
        ((client_t *) subs[i]->owner)->seen++;
    }
}


static const char *
match_fault(wsb_index_t *index, unsigned values)
{
    unsigned     i;
    numbers_t    e;
    client_t    *c;
    wsb_parts_t  parts;

    random_event(&e, values);
    parts_of(&e, &parts);

    for (i = 0; i < SUBS; i++) {
        c = &clients[i];
        c->seen = 0;
        c->wanted = c->sub.node != NULL && matches(&c->filter, &e);
    }

    wsb_index_match(index, &parts, on_match, NULL);

    for (i = 0; i < SUBS; i++) {
        c = &clients[i];

        if (c->seen != c->wanted) {
            return c->seen < c->wanted ? "a subscription is left out"
                   : c->wanted ? "a subscription is matched twice"
                   : "a subscription is matched that should not";
        }

        if (c->sub.node != NULL
            && (unsigned) wsb_node_match(c->sub.node, &parts) != c->wanted)
        {
            return "one node is matched otherwise";
        }
    }

    return NULL;
}


/* Every link where it is looked for, every number right. */

static const char *
index_fault(wsb_index_t *index)
{
    size_t         i, n, links, ends, mask[WSB_MASKS];
    unsigned       k;
    wsb_link_t    *link;
    wsb_node_t    *node;

    n = index->level + index->split;
    links = 0;
    ends = 0;
    memset(mask, 0, sizeof(mask));

    if (index->split >= index->level || n > index->nalloc
        || n < WSB_INDEX_MIN || index->level & (index->level - 1))
    {
        return "numbers of buckets";
    }

    for (i = 0; i < n; i++) {
        for (link = index->bucket[i]; link != NULL; link = link->next) {

            if (wsb_index_bucket(index, &link->key) != &index->bucket[i]) {
                return "a link in the wrong bucket";
            }

            node = link->node;
            links++;

            if (link != &node->link[0]) {
                continue;
            }

            ends++;
            mask[node->mask]++;

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

    if (links != index->nlinks || ends != index->nnodes
        || memcmp(mask, index->nmask, sizeof(mask)) != 0)
    {
        return "numbers of links and nodes";
    }

    return NULL;
}


static wsb_rc_t
client_add(wsb_index_t *index, client_t *c)
{
    wsb_rc_t     rc;
    wsb_plan_t  *plan;

    plan = plan_of(&c->filter);
    c->sub.owner = c;
    rc = wsb_index_add(index, plan, &c->sub);

    /* it stays ours, and what is matched is not in it */

    memset(plan, 0x5a, wsb_plan_size(plan));
    free(plan);

    return rc;
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

    memset(clients, 0, sizeof(clients));
    index = wsb_index_create();
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
                   != equal(&clients[i].filter, &clients[k].filter))
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
    ok(wsb_index_nodes(index) == 0 && index->nlinks == 0, "and empty");

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
    memset(clients, 0, sizeof(client_t));
    memset(&f, 0, sizeof(numbers_t));
    index = wsb_index_create();

    for (i = 0; i < MANY; i++) {
        f.n[WSB_ENTITY_ID] = 1;
        f.value[WSB_ENTITY_ID][0] = i;
        plan = plan_of(&f);
        subs[i].owner = &clients[0];
        wsb_index_add(index, plan, &subs[i]);
        free(plan);
    }

    no_fault(index_fault(index), "many nodes");
    n = index->level + index->split;
    ok(n >= MANY && n <= MANY + 64, "as many buckets");

    node_calls = 0;

    for (i = 0; i < MANY; i++) {
        f.value[WSB_ENTITY_ID][0] = i;
        parts_of(&f, &parts);
        wsb_index_match(index, &parts, on_match, NULL);
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
    ok(index->nalloc <= 1024, "its buckets have been given back: %zu",
       index->nalloc);

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

    memset(clients, 0, sizeof(clients));
    memset(&f, 0, sizeof(numbers_t));
    index = wsb_index_create();
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

    for (i = 1; i < 3; i++) {
        fail_at = i;
        ok(wsb_index_create() == NULL, "no index without memory");
    }

    fail_at = 0;
    is_uint(allocated, 0, "nothing is left of it");

    memset(clients, 0, sizeof(clients));
    index = wsb_index_create();
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
    memset(clients, 0, sizeof(clients));
    index = wsb_index_create();

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
            is_uint(index->level + index->split, 64, "no new bucket");
        }
    }

    no_fault(fault, "a bucket less is no error");
    no_fault(index_fault(index), "the index is sound");
    ok(index->level + index->split > 64, "and grows again");

    wsb_index_destroy(index);
    is_uint(allocated, 0, "all memory is freed");
}


int
main(void)
{
    test_random(VALUES, "add, remove and match, few values");
    test_random(40, "add, remove and match, many values");
    test_growth();
    test_shared();
    test_no_memory();

    return tap_done();
}

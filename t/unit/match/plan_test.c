/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Plans: random filters over few words, against the plain definition.
 */

#include "ws/alloc.h"
#include "match/wsb_set.c"
#include "match/wsb_plan.c"

#include "tap.h"


#define WORDS  4


static const uint8_t  key[16] = { 7, 1, 2, 3 };

static const char  *words[] = { "a", "b", "c", "d" };


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


/* rand() of nobody's libc */

static unsigned
dice(unsigned n)
{
    static uint32_t  x = 1;

    x = x * 1664525 + 1013904223;

    return (x >> 16) % n;
}


static void
fill(wsb_filter_t *f, wsb_str_t values[WSB_NROUTING][8])
{
    unsigned  i, j;

    memset(f, 0, sizeof(*f));

    for (i = 0; i < WSB_NROUTING; i++) {
        f->value[i] = values[i];

        switch (dice(3)) {

        case 0:
            break;

        case 1:
            f->n[i] = 1;
            break;

        default:
            f->n[i] = 1 + dice(6);
        }

        for (j = 0; j < f->n[i]; j++) {
            values[i][j] = str(words[dice(WORDS)]);
        }
    }
}


/* Event number n of 5^4: each field is one of the words, or absent. */

static void
event(unsigned n, wsb_event_t *ev)
{
    unsigned  i;

    memset(ev, 0, sizeof(*ev));

    for (i = 0; i < WSB_NROUTING; i++) {
        ev->field[i] = str(n % 5 < WORDS ? words[n % 5] : NULL);
        n /= 5;
    }
}


static int
matches(const wsb_filter_t *f, const wsb_event_t *ev)
{
    unsigned  i, j;

    for (i = 0; i < WSB_NROUTING; i++) {

        for (j = 0; j < f->n[i]; j++) {
            if (ev->field[i].data != NULL
                && *ev->field[i].data == *f->value[i][j].data)
            {
                break;
            }
        }

        if (f->n[i] != 0 && j == f->n[i]) {
            return 0;
        }
    }

    return 1;
}


/* The set of words that a filter names, as bits; 0: all. */

static unsigned
meaning(const wsb_filter_t *f)
{
    unsigned  i, j, bits, all;

    all = 0;

    for (i = 0; i < WSB_NROUTING; i++) {
        bits = 0;

        for (j = 0; j < f->n[i]; j++) {
            bits |= 1u << (*f->value[i][j].data - 'a');
        }

        all = all << WORDS | bits;
    }

    return all;
}


static void
test_random(void)
{
    size_t         i, j, bad, keys, order, ids;
    unsigned       n, bits[300];
    wsb_str_t      values[WSB_NROUTING][8];
    wsb_key_t      id[300];
    wsb_event_t    ev;
    wsb_parts_t    parts[625];
    wsb_plan_t    *plan;
    wsb_filter_t   f;

    for (n = 0; n < 625; n++) {
        event(n, &ev);
        wsb_key_parts(key, &ev, &parts[n]);
    }

    bad = 0;
    keys = 0;
    order = 0;

    for (i = 0; i < 300; i++) {
        fill(&f, values);
        plan = wsb_plan_create(key, str(NULL), &f, NULL);

        bits[i] = meaning(&f);
        id[i] = plan->id;

        keys += plan->nkeys < 1 || plan->nkeys > WSB_FILTER_VALUES;

        for (j = 1; j < plan->nkeys; j++) {
            order += !wsb_key_less(&plan->keys[j - 1], &plan->keys[j]);
        }

        for (n = 0; n < 625; n++) {
            event(n, &ev);
            bad += wsb_plan_match(plan, &parts[n]) != matches(&f, &ev);
        }

        wsb_free(plan);
    }

    is_uint(bad, 0, "300 filters and 625 events: as defined");
    is_uint(keys, 0, "1 to 128 keys");
    is_uint(order, 0, "sorted");

    ids = 0;

    for (i = 0; i < 300; i++) {
        for (j = 0; j < i; j++) {
            ids += wsb_key_eq(&id[i], &id[j]) != (bits[i] == bits[j]);
        }
    }

    is_uint(ids, 0, "equal filters, equal ids");
    is_uint(live, 0, "nothing is left");
}


static void
test_spread(void)
{
    char           text[WSB_FILTER_VALUES][8];
    unsigned       i;
    wsb_str_t      values[WSB_FILTER_VALUES];
    wsb_str_t      same[3] = {
        wsb_string("a"), wsb_string("a"), wsb_string("a")
    };
    wsb_plan_t    *plan;
    wsb_filter_t   f;

    static const struct {
        unsigned     n[WSB_NROUTING];   /* kind, type, action, id */
        unsigned     mask;
        unsigned     nkeys;
    } table[] = {
        { { 2, 0, 0, 0 }, 1, 2 },
        { { 128, 0, 0, 0 }, 1, 128 },
        { { 1, 1, 1, 1 }, 15, 1 },
        { { 2, 2, 2, 2 }, 15, 16 },
        { { 2, 4, 4, 4 }, 15, 128 },
        { { 3, 4, 4, 4 }, 14, 64 },
        { { 1, 4, 4, 8 }, 15, 128 },
        { { 1, 128, 0, 128 }, 9, 128 },
        { { 2, 64, 2, 128 }, 8, 128 },
        { { 4, 32, 2, 2 }, 14, 128 },
        { { 2, 65, 2, 2 }, 13, 8 },
        { { 0, 11, 12, 0 }, 2, 11 },
        { { 0, 11, 11, 0 }, 6, 121 },
    };

    for (i = 0; i < WSB_FILTER_VALUES; i++) {
        sprintf(text[i], "v%u", i);
        values[i] = str(text[i]);
    }

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        unsigned  j, rest = 0, want = 0;

        memset(&f, 0, sizeof(f));

        for (j = 0; j < WSB_NROUTING; j++) {
            f.value[j] = values;
            f.n[j] = table[i].n[j];
            f.array[j] = 1;
            want |= (table[i].n[j] != 0) << j;
        }

        plan = wsb_plan_create(key, str(NULL), &f, NULL);

        for (j = 0; j < WSB_NROUTING; j++) {
            rest |= (plan->nrest[j] != 0) << j;
        }

        is_uint(plan->mask, table[i].mask, "spread %u: mask", i);
        is_uint(plan->nkeys, table[i].nkeys, "keys");
        is_uint(rest, want & ~table[i].mask, "the others are the rest");
        is_uint(wsb_plan_simple(plan), table[i].nkeys == 1 && rest == 0,
                "simple?");
        wsb_free(plan);
    }

    memset(&f, 0, sizeof(f));
    plan = wsb_plan_create(key, str(NULL), &f, NULL);
    ok(wsb_plan_simple(plan) && plan->mask == 0, "everything is simple");
    wsb_free(plan);

    f.value[WSB_ACTION] = same;
    f.n[WSB_ACTION] = 3;
    f.array[WSB_ACTION] = 1;
    plan = wsb_plan_create(key, str(NULL), &f, NULL);
    ok(wsb_plan_simple(plan) && plan->mask == 1 << WSB_ACTION,
       "so is an array that says one thing");
    wsb_free(plan);
}


static void
test_values(void)
{
    char           text[WSB_FILTER_VALUES + 10][8];
    unsigned       i, bad;
    wsb_str_t      values[WSB_FILTER_VALUES + 10];
    wsb_event_t    ev;
    wsb_parts_t    parts;
    wsb_plan_t    *plan, *other;
    wsb_filter_t   f;

    memset(&f, 0, sizeof(f));
    memset(&ev, 0, sizeof(ev));

    for (i = 0; i < WSB_FILTER_VALUES + 10; i++) {
        sprintf(text[i], "v%u", i);
        values[i] = str(text[i]);
    }

    for (i = 0; i < WSB_NROUTING; i++) {
        f.value[i] = values;
        f.n[i] = WSB_FILTER_VALUES;
    }

    plan = wsb_plan_create(key, str("acme"), &f, NULL);
    is_uint(plan->nkeys, WSB_FILTER_VALUES, "four times 128 values: keys");
    is_uint(wsb_plan_size(plan),
            sizeof(wsb_plan_t) + 4 * WSB_FILTER_VALUES * sizeof(wsb_key_t),
            "and the rest");

    bad = 0;

    for (i = 0; i < WSB_FILTER_VALUES + 10; i++) {
        ev.field[WSB_KIND] = values[i];
        ev.field[WSB_ACTION] = values[(i * 7) % WSB_FILTER_VALUES];
        ev.field[WSB_ENTITY_TYPE] = values[0];
        ev.field[WSB_ENTITY_ID] = values[127];
        ev.field[WSB_TENANT] = str("acme");
        wsb_key_parts(key, &ev, &parts);
        bad += wsb_plan_match(plan, &parts) != (i < WSB_FILTER_VALUES);

        ev.field[WSB_TENANT] = str("other");
        wsb_key_parts(key, &ev, &parts);
        bad += wsb_plan_match(plan, &parts);
    }

    is_uint(bad, 0, "each of them matches, for its tenant only");

    other = wsb_plan_create(key, str("other"), &f, NULL);
    ok(!wsb_key_eq(&plan->id, &other->id), "tenants have filters of their own");
    wsb_free(other);
    wsb_free(plan);

    f.n[0] = WSB_FILTER_VALUES + 10;
    plan = wsb_plan_create(key, str(NULL), &f, NULL);
    is_uint(plan->nrest[0], WSB_FILTER_VALUES, "more values are not read");
    wsb_free(plan);

    memset(&f, 0, sizeof(f));
    values[0] = str("");
    f.value[WSB_ENTITY_TYPE] = values;
    f.n[WSB_ENTITY_TYPE] = 1;
    plan = wsb_plan_create(key, str(NULL), &f, NULL);

    ev.field[WSB_TENANT] = str(NULL);
    ev.field[WSB_ENTITY_TYPE] = str("");
    wsb_key_parts(key, &ev, &parts);
    ok(!wsb_plan_match(plan, &parts), "an empty value matches nothing");
    wsb_free(plan);

    calls = 0;
    fail_at = 1;
    ok(wsb_plan_create(key, str(NULL), &f, NULL) == NULL, "no memory");
    fail_at = 0;
    is_uint(live, 0, "nothing is left");
}


/* Conditions are of the id, and of nothing else that a plan says. */

static void
test_where(void)
{
    unsigned       i;
    wsb_str_t      value = str("order"), text;
    wsb_json_t     array;
    wsb_plan_t    *plain, *plan[3];
    wsb_filter_t   f;

    wsb_json_error_t   err;
    wsb_where_error_t  where_err;

    static const wsb_json_limits_t  limits = { 8, 8 };

    static const char  *wheres[] = {
        "[{\"column\":\"a\",\"operator\":\"eq\",\"value\":1}]",
        "[{\"value\":1.0,\"operator\":\"in\",\"column\":\"a\"}]",
        "[{\"column\":\"a\",\"operator\":\"eq\",\"value\":2}]"
    };

    memset(&f, 0, sizeof(f));
    f.value[WSB_ENTITY_TYPE] = &value;
    f.n[WSB_ENTITY_TYPE] = 1;
    plain = wsb_plan_create(key, str(NULL), &f, NULL);
    ok(wsb_plan_where(plain) == NULL, "no conditions");

    for (i = 0; i < 3; i++) {
        text = str(wheres[i]);
        wsb_json_parse(text, &limits, &array, &err);
        wsb_where_parse(&array, &f.where, &where_err);
        plan[i] = wsb_plan_create(key, str(NULL), &f, NULL);

        ok(wsb_plan_simple(plan[i]), "one key says all of the routing");
        is_uint(wsb_plan_routing(plan[i]), wsb_plan_size(plain),
                "its routing is that of the other");
        is_uint(wsb_plan_size(plan[i]),
                wsb_plan_size(plain) + f.where->size, "and more");
        ok(memcmp(wsb_plan_where(plan[i]), f.where, f.where->size) == 0,
           "the conditions");
        ok(plan[i]->nkeys == 1
           && wsb_key_eq(&plan[i]->keys[0], &plain->keys[0]), "one key");
        ok(!wsb_key_eq(&plan[i]->id, &plain->id), "but another id");

        free(f.where);
    }

    ok(wsb_key_eq(&plan[0]->id, &plan[1]->id), "equal conditions");
    ok(!wsb_key_eq(&plan[0]->id, &plan[2]->id), "and others");

    for (i = 0; i < 3; i++) {
        wsb_free(plan[i]);
    }

    wsb_free(plain);
    is_uint(live, 0, "nothing is left");
}


int
main(void)
{
    test_where();
    test_random();
    test_spread();
    test_values();

    return tap_done();
}

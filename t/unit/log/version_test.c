/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Versions: they rise with each event of their key and with each resync, also
 * when a writer has died at any instruction before, and rarely else.
 */

#include "log/wsb_append.h"
#include "log/wsb_before.h"
#include "steps.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>


#define SIZE     (512 * 1024)
#define HISTORY  (128 * 1024)
#define TENANTS  3
#define TYPES    3
#define IDS      5


static const uint8_t  secret[] = "0123456789abcdef";
static wsb_zone_t    *zone;

static const char    *types[] = { "order", "item", "user" };
static const char    *tenants[] = { NULL, "a", "b" };
static const char    *ids[] = { "1", "2", "3", "4", "5" };


static wsb_str_t
str(const char *text)
{
    wsb_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = text ? strlen(text) : 0;

    return s;
}


static void
fresh(void)
{
    if (wsb_zone_init(zone, SIZE, HISTORY, 16, 1, secret) != WSB_OK) {
        abort();
    }
}


static void
append(const char *tenant, const char *type, const char *id, unsigned flags)
{
    wsb_event_t       ev;
    wsb_batch_t       batch;
    wsb_appended_t    out;
    wsb_batch_conf_t  conf;

    memset(&ev, 0, sizeof(wsb_event_t));
    memset(&batch, 0, sizeof(wsb_batch_t));

    ev.flags = flags;
    ev.field[WSB_TENANT] = str(tenant);
    ev.field[WSB_KIND] = str("entity");
    ev.field[WSB_ENTITY_TYPE] = str(type);

    if (!(flags & WSB_EVENT_RESYNC)) {
        ev.field[WSB_ACTION] = str("shipped");
        ev.field[WSB_ENTITY_ID] = str(id);
    }

    wsb_zone_batch(zone, &conf);

    if (wsb_batch_add(&batch, &ev, &conf) != WSB_OK) {
        abort();
    }

    do {
        wsb_before_find(zone, &batch);
    } while (wsb_append_locked(zone, &batch, 1, NULL, &out) == WSB_AGAIN);

    wsb_batch_done(&batch);
}


static uint64_t
version(const char *tenant, const char *type, const char *id)
{
    uint64_t           head;
    wsb_version_key_t  key;

    head = wsb_log_head(&zone->log);
    key = wsb_version_key(zone->key, str(tenant), str(type), str(id));

    return wsb_version(&zone->versions, &zone->last, &key, head);
}


/* Against the last seq of each, as a plain table has it. */

static void
test_reference(void)
{
    unsigned  i, t, k, d, low, exact, asked;
    uint64_t  seq, last[TENANTS][TYPES], one[TENANTS][TYPES][IDS];

    fresh();
    memset(last, 0, sizeof(last));
    memset(one, 0, sizeof(one));

    low = 0;
    exact = 0;
    asked = 0;

    ok(version(NULL, "order", NULL) == 0, "of an empty log it is 0");

    for (i = 0; i < 5000; i++) {
        t = (unsigned) rand() % TENANTS;
        k = (unsigned) rand() % TYPES;
        d = (unsigned) rand() % IDS;

        append(tenants[t], types[k], ids[d], 0);

        seq = wsb_log_head(&zone->log);
        last[t][k] = seq;
        one[t][k][d] = seq;

        t = (unsigned) rand() % TENANTS;
        k = (unsigned) rand() % TYPES;
        d = (unsigned) rand() % IDS;

        low += version(tenants[t], types[k], NULL) < last[t][k];
        low += version(tenants[t], types[k], ids[d]) < one[t][k][d];
        exact += version(tenants[t], types[k], NULL) == last[t][k];
        exact += version(tenants[t], types[k], ids[d]) == one[t][k][d];
        asked += 2;
    }

    ok(low == 0, "no version is below its last event");
    ok(exact > asked * 3 / 4, "most are just that: %u of %u", exact, asked);
}


static void
test_resync(void)
{
    uint64_t        head;
    wsb_appended_t  out;

    fresh();

    append("a", "order", "1", 0);
    append("a", "item", "1", 0);
    append("a", "order", NULL, WSB_EVENT_RESYNC);

    head = wsb_log_head(&zone->log);

    ok(version("a", "order", NULL) == head && version("a", "order", "1") == head,
       "a resync of a type raises it, and all of its entities");
    ok(version("a", "item", NULL) < head, "and no other one");

    wsb_append_resync_locked(zone, 1, &out);

    ok(version("a", "item", NULL) == out.last
       && version("b", "user", "9") == out.last, "one of everything, all");

    wsb_append_skip_locked(zone, 100, &out);

    ok(version("a", "item", NULL) == out.last, "and a hole, too");
}


/* A death leaves no version that a later event could come to have again. */

static const char *
inherit_versions(void)
{
    uint64_t  head, before, one, other;

    head = wsb_log_head(&zone->log);
    before = version("a", "order", NULL);
    one = version("a", "order", "1");
    other = version("a", "item", "7");

    if (before > head || one > head || other > head) {
        return "a version above the head";
    }

    append("a", "order", "1", 0);

    if (version("a", "order", NULL) == before
        || version("a", "order", "1") == one)
    {
        return "an event that raises no version";
    }

    before = version("a", "item", NULL);

    append("a", "item", "7", 0);

    if (version("a", "item", NULL) == before
        || version("a", "item", "7") == other)
    {
        return "another event that raises no version";
    }

    return NULL;
}


static const char *
inherit(void *other)
{
    const char  *wrong;
    wsb_zone_t  *shared;

    shared = zone;
    zone = other;
    wrong = inherit_versions();
    zone = shared;

    return wrong;
}


static void
work(void)
{
    append("a", "order", "1", 0);
}


static void
work_resync(void)
{
    append("a", "order", NULL, WSB_EVENT_RESYNC);
}


static void
test_deaths(void (*what)(void), const char *name)
{
    steps_t  steps;

    fresh();

    append("a", "order", "2", 0);
    append("a", "item", "7", 0);

    steps_through(&steps, zone, SIZE, what, inherit);

    ok(steps_well(&steps, 100, 4),
       "%s: %u instructions, %u states%s%s", name, steps.instructions,
       steps.states, steps.wrong ? ": " : "", steps.wrong ? steps.wrong : "");
}


int
main(void)
{
    zone = mmap(NULL, SIZE, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1, 0);

    test_reference();
    test_resync();
    test_deaths(work, "an event");
    test_deaths(work_resync, "a resync");

    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Resyncs: what one is, who is woken for it, what it makes of last rows; and
 * that mutations under way in a slot are told, whatever instruction of its
 * reclaim a process dies at.
 */

#include "log/wsb_append.h"
#include "log/wsb_before.h"
#include "log/wsb_slot.h"
#include "match/wsb_plan.h"
#include "steps.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>


#define SIZE     (512 * 1024)
#define HISTORY  (128 * 1024)

#define DEAD     1001             /* pids */
#define LIVING   1002
#define IDLE     1003


static const uint8_t  secret[] = "0123456789abcdef";
static wsb_zone_t    *zone;
static uint64_t       head;               /* before the reclaim */


static int
gone(uint32_t pid)
{
    return pid == DEAD;
}


static int
nobody(uint32_t pid)
{
    (void) pid;

    return 0;
}


static void
set(wsb_str_t *s, const char *text)
{
    s->data = (const uint8_t *) text;
    s->len = text ? strlen(text) : 0;
}


static void
add(wsb_batch_t *batch, const char *tenant, const char *type, const char *id,
    const char *data, uint32_t flags)
{
    wsb_event_t       ev;
    wsb_batch_conf_t  conf;

    memset(&ev, 0, sizeof(wsb_event_t));

    set(&ev.field[WSB_KIND], "entity");
    set(&ev.field[WSB_ACTION], id ? "updated" : NULL);
    set(&ev.field[WSB_TENANT], tenant);
    set(&ev.field[WSB_ENTITY_TYPE], type);
    set(&ev.field[WSB_ENTITY_ID], id);
    set(&ev.field[WSB_DATA], data);
    ev.flags = flags;

    wsb_zone_batch(zone, &conf);

    if (wsb_batch_add(batch, &ev, &conf) != WSB_OK) {
        abort();
    }
}


static wsb_appended_t
append(const char *tenant, const char *type, const char *id, uint32_t flags)
{
    wsb_batch_t     batch;
    wsb_appended_t  out;

    memset(&batch, 0, sizeof(wsb_batch_t));
    add(&batch, tenant, type, id, id ? "{}" : NULL, flags);

    if (wsb_before_find(zone, &batch) != WSB_OK
        || wsb_append_locked(zone, &batch, 1, NULL, &out) != WSB_OK)
    {
        abort();
    }

    wsb_batch_done(&batch);

    return out;
}


static uint32_t
last(wsb_event_t *ev)
{
    wsb_cursor_t  at;

    static wsb_copy_t  copy;

    at.seq = wsb_log_head(&zone->log);
    at.pos = WSB_LOG_POS_UNKNOWN;

    if (wsb_log_read(&zone->log, &at, &copy) != WSB_OK
        || wsb_event_decode(copy.data, copy.len, ev) != WSB_OK)
    {
        abort();
    }

    return ev->flags;
}


/* Is the row of this entity known, and sure? */

static int
known(const char *tenant, const char *type, const char *id)
{
    wsb_event_t  ev;

    (void) append(tenant, type, id, 0);
    (void) last(&ev);

    return ev.field[WSB_OLD].data != NULL && !(ev.flags & WSB_EVENT_UNSURE);
}


/* One that has died, one that has subscriptions, one that has none. */

static void
fresh(void)
{
    unsigned      i;
    wsb_key_t     key = { { 1, 2 } };
    wsb_hand_t    hand;

    if (wsb_zone_init(zone, SIZE, HISTORY, 16, 1, secret) != WSB_OK) {
        abort();
    }

    for (i = 0; i < 3; i++) {
        if (wsb_slot_enter_locked(zone, DEAD + i, 1, nobody, &hand)
            != (int) i)
        {
            abort();
        }
    }

    for (i = 0; i < 2; i++) {
        if (wsb_interest_add_locked(zone, i, &key, 1, 1) != WSB_OK) {
            abort();
        }
    }
}


static void
test_rows(void)
{
    wsb_event_t     ev;
    wsb_appended_t  out;

    fresh();

    ok(!known("t", "order", "1") && known("t", "order", "1"),
       "a row becomes known");
    ok(!known("t", "user", "1") && !known("u", "order", "1"),
       "and others");

    out = append("t", "order", NULL, WSB_EVENT_RESYNC);

    ok(last(&ev) == WSB_EVENT_RESYNC, "a resync is told by its record");
    ok(out.slots[0] == 3 && out.subscribers == 0,
       "each slot with any interest is woken, and nobody is counted");
    ok(wsb_zone_slot(zone, 1)->pending_from == out.first
       && wsb_zone_slot(zone, 2)->pending_from == 0, "it is pending there");

    ok(!known("t", "order", "1"), "its rows are not sure");
    ok(known("t", "order", "1"), "but those that came after it are");
    ok(known("t", "user", "1") && known("u", "order", "1"),
       "those of others stay known");

    (void) append("t", "order", NULL, WSB_EVENT_RESYNC);
    (void) append("t", "order", "1", WSB_EVENT_PATCH | WSB_EVENT_PART);
    ok(last(&ev) == WSB_EVENT_PART && ev.field[WSB_OLD].data == NULL,
       "a part is not merged onto a row that is not sure, nor judged by it");

    (void) append("t", NULL, NULL, WSB_EVENT_RESYNC);
    ok(!known("t", "user", "1"), "one without a type is of all");

    wsb_append_resync_locked(zone, 5, &out);
    ok(last(&ev) == (WSB_EVENT_RESYNC | WSB_EVENT_EVERY) && ev.msec == 5
       && out.slots[0] == 3, "one of everything");
    ok(!known("t", "user", "1") && !known("u", "order", "1"),
       "after which nothing is sure");
}


/* Who may be concerned: kinds, types, and what names an id only. */

static void
test_concerns(void)
{
    unsigned      i, k;
    wsb_str_t     tenant = wsb_null_string;
    wsb_str_t     value[WSB_NROUTING][200];
    wsb_plan_t   *plan;
    wsb_parts_t   parts, every;
    wsb_event_t   ev;
    wsb_filter_t  filter;
    char          text[200][12];

    static const struct {
        const char  *field[WSB_NROUTING];
        unsigned     more;                /* values besides, of the type */
        unsigned     ids;
        int          concerned;
    } table[] = {
        { { NULL, NULL, NULL, NULL }, 0, 0, 1 },
        { { NULL, "order", NULL, NULL }, 0, 0, 1 },
        { { NULL, "user", NULL, NULL }, 0, 0, 0 },
        { { "link", NULL, NULL, NULL }, 0, 0, 0 },
        { { "entity", "order", "deleted", "7" }, 0, 0, 1 },
        { { "entity", "user", "deleted", "7" }, 0, 0, 0 },
        { { NULL, NULL, NULL, "7" }, 0, 0, 1 },
        { { NULL, "order", NULL, NULL }, 3, 0, 1 },
        { { NULL, "user", NULL, NULL }, 3, 0, 1 },
        { { NULL, "order", NULL, "7" }, 100, 100, 1 },
        { { NULL, "user", NULL, "7" }, 100, 100, 0 },
    };

    memset(&ev, 0, sizeof(wsb_event_t));
    set(&ev.field[WSB_KIND], "entity");
    wsb_key_parts(secret, &ev, &every);
    set(&ev.field[WSB_ENTITY_TYPE], "order");
    wsb_key_parts(secret, &ev, &parts);

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        memset(&filter, 0, sizeof(wsb_filter_t));

        for (k = 0; k < WSB_NROUTING; k++) {
            filter.value[k] = value[k];

            if (table[i].field[k] != NULL) {
                set(&value[k][filter.n[k]++], table[i].field[k]);
            }
        }

        for (k = 0; k < table[i].more || k < table[i].ids; k++) {
            sprintf(text[k], "v%u", k);

            if (k < table[i].more) {
                set(&value[WSB_ENTITY_TYPE][filter.n[WSB_ENTITY_TYPE]++],
                    text[k]);
            }

            if (k < table[i].ids) {
                set(&value[WSB_ENTITY_ID][filter.n[WSB_ENTITY_ID]++],
                    text[k]);
            }
        }

        plan = wsb_plan_create(secret, tenant, &filter, NULL);

        ok(wsb_plan_concerns(plan, plan->mask, plan->only, &parts)
           == table[i].concerned, "filter %u is%s concerned", i,
           table[i].concerned ? "" : " not");

        ok(wsb_plan_concerns(plan, plan->mask, plan->only, &every)
           == (table[i].field[0] == NULL
               || strcmp(table[i].field[0], "link") != 0),
           "filter %u, by a resync of all types", i);

        free(plan);
    }
}


/* What a death in the middle of a reclaim leaves, the next one finishes. */

static const char *
inherit_slot(void)
{
    wsb_event_t  ev;

    if (wsb_zone_slot(zone, 0)->pid == 0 && wsb_log_head(&zone->log) == head) {
        return "the slot is free, and nothing was told";
    }

    wsb_slot_reclaim_locked(zone, 0, DEAD);

    if (wsb_zone_slot(zone, 0)->pid != 0
        || wsb_zone_slot(zone, 0)->underway != 0)
    {
        return "the slot is not free";
    }

    if (wsb_log_head(&zone->log) == head
        || wsb_log_head(&zone->log) > head + 2
        || last(&ev) != (WSB_EVENT_RESYNC | WSB_EVENT_EVERY))
    {
        return "no resync, or more than two";
    }

    if (wsb_zone_slot(zone, 1)->pending_from == 0
        || wsb_zone_slot(zone, 1)->pending_from > head + 1)
    {
        return "nobody is woken";
    }

    return NULL;
}


static const char *
inherit(void *copy)
{
    const char  *wrong;
    wsb_zone_t  *shared;

    shared = zone;
    zone = copy;
    wrong = inherit_slot();
    zone = shared;

    return wrong;
}


static void
work(void)
{
    wsb_slot_reclaim_locked(zone, 0, DEAD);
}


static void
test_deaths(void)
{
    steps_t  steps;

    fresh();

    (void) append("t", "order", "1", 0);

    wsb_slot_mutation_begin(zone, 0);
    wsb_slot_mutation_begin(zone, 0);
    wsb_slot_mutation_end(zone, 0);

    head = wsb_log_head(&zone->log);

    steps_through(&steps, zone, SIZE, work, inherit);

    ok(steps_well(&steps, 200, 10),
       "a reclaim: %u instructions, %u states%s%s", steps.instructions,
       steps.states, steps.wrong ? ": " : "", steps.wrong ? steps.wrong : "");
}


static void
test_reclaim(void)
{
    int         n;
    wsb_hand_t  hand;

    fresh();

    wsb_slot_mutation_begin(zone, 0);
    wsb_slot_mutation_end(zone, 0);
    n = wsb_slot_enter_locked(zone, 1004, 2, gone, &hand);
    ok(n == 0 && wsb_log_head(&zone->log) == 0 && zone->resyncs == 0,
       "with nothing under way nothing is told");
}


int
main(void)
{
    zone = mmap(NULL, SIZE, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1, 0);

    test_rows();
    test_concerns();
    test_reclaim();
    test_deaths();

    return tap_done();
}

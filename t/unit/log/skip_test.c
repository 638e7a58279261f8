/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Holes in the seq: what readers and sleepers see of one, and that a death at
 * any instruction of a skip leaves none, or a whole one.
 */

#include "log/wsb_append.h"
#include "log/wsb_before.h"
#include "log/wsb_position.h"
#include "log/wsb_slot.h"
#include "steps.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>


#define SIZE     (512 * 1024)
#define HISTORY  (128 * 1024)
#define HOLE     1000
#define FIRST    5                /* records before it */


static const uint8_t  secret[] = "0123456789abcdef";
static wsb_zone_t    *zone;
static wsb_hand_t     hand;
static wsb_copy_t     copy;


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
    s->len = strlen(text);
}


static void
append(void)
{
    wsb_event_t       ev;
    wsb_batch_t       batch;
    wsb_appended_t    out;
    wsb_batch_conf_t  conf;

    memset(&ev, 0, sizeof(wsb_event_t));
    memset(&batch, 0, sizeof(wsb_batch_t));

    set(&ev.field[WSB_KIND], "entity");
    set(&ev.field[WSB_ENTITY_TYPE], "order");
    set(&ev.field[WSB_ACTION], "updated");
    set(&ev.field[WSB_ENTITY_ID], "7");
    set(&ev.field[WSB_DATA], "{}");

    wsb_zone_batch(zone, &conf);

    if (wsb_batch_add(&batch, &ev, &conf) != WSB_OK) {
        abort();
    }

    do {
        wsb_before_find(zone, &batch);
    } while (wsb_append_locked(zone, &batch, 1, NULL, &out) == WSB_AGAIN);

    wsb_batch_done(&batch);
}


/* A worker that has done everything, and has one subscription. */

static void
fresh(void)
{
    unsigned   i;
    wsb_key_t  key = { { 1, 2 } };

    if (wsb_zone_init(zone, SIZE, HISTORY, 16, 1, secret) != WSB_OK) {
        abort();
    }

    for (i = 0; i < FIRST; i++) {
        append();
    }

    if (wsb_slot_enter_locked(zone, 1001, 1, nobody, &hand) != 0
        || wsb_interest_add_locked(zone, 0, &key, 1, 1) != WSB_OK)
    {
        abort();
    }
}


static wsb_rc_t
read_at(uint64_t seq)
{
    wsb_cursor_t  at;

    at.seq = seq;
    at.pos = WSB_LOG_POS_UNKNOWN;

    return wsb_log_read(&zone->log, &at, &copy);
}


static void
test_hole(void)
{
    unsigned        i, bad;
    uint64_t        head;
    wsb_hand_t      h;
    wsb_position_t  at = { FIRST + 1, 0 };
    wsb_appended_t  out;

    fresh();
    h = hand;

    wsb_append_skip_locked(zone, HOLE, &out);

    head = wsb_log_head(&zone->log);

    ok(head == FIRST + HOLE && wsb_log_oldest(&zone->log) == head + 1
       && wsb_log_used(&zone->log) == 0, "a skip evicts, and moves both ends");
    ok(out.first == FIRST + 1 && out.last == head && out.slots[0] == 1,
       "whoever has an interest is woken");

    wsb_slot_take_locked(zone, 0, &h);
    ok(h.next.seq == FIRST + 1 && h.end == head,
       "one that slept has the hole in its hand");
    ok(read_at(h.next.seq) == WSB_GAP, "which cannot be read");
    ok(wsb_position_overtaken(at, wsb_log_oldest(&zone->log), head) == head,
       "the gap is the hole");
    ok(wsb_position_overtaken(at, head + 1, FIRST) == head,
       "in the middle of a skip, too");

    bad = 0;

    for (i = 0; i < 1000; i++) {
        append();

        bad += read_at(head + 1 + i) != WSB_OK
               || ((wsb_record_t *) copy.data)->seq != head + 1 + i;
    }

    ok(bad == 0, "what comes behind it is found by its seq");
    ok(read_at(FIRST) == WSB_GAP && read_at(head) == WSB_GAP,
       "what was before is not");
}


static const char *
inherit_hole(void)
{
    uint64_t    head, now;
    wsb_rc_t    rc;
    wsb_hand_t  h;

    /* the worker looks in between */

    h = hand;

    if (wsb_slot_pending(zone, 0)) {
        wsb_slot_take_locked(zone, 0, &h);
    }

    append();

    now = wsb_log_head(&zone->log);
    head = now - 1;

    if (head != FIRST && head != FIRST + HOLE) {
        return "half a hole";
    }

    if (wsb_log_oldest(&zone->log) > now
        || read_at(now) != WSB_OK
        || ((wsb_record_t *) copy.data)->seq != now)
    {
        return "what comes behind it is not found";
    }

    if (head == FIRST) {
        return NULL;
    }

    /* it has the gap in its hand, or pending */

    if (h.next.seq != FIRST + 1 || h.end < head) {
        wsb_slot_take_locked(zone, 0, &h);
    }

    if (h.next.seq != FIRST + 1 || h.end < head) {
        return "a gap that nobody is told";
    }

    rc = read_at(h.next.seq);

    return rc == WSB_GAP ? NULL : "the hole can be read";
}


static const char *
inherit(void *other)
{
    const char  *wrong;
    wsb_zone_t  *shared;

    shared = zone;
    zone = other;
    wrong = inherit_hole();
    zone = shared;

    return wrong;
}


static void
work(void)
{
    wsb_appended_t  out;

    wsb_append_skip_locked(zone, HOLE, &out);
}


static void
test_deaths(void)
{
    steps_t  steps;

    fresh();

    steps_through(&steps, zone, SIZE, work, inherit);

    ok(steps_well(&steps, 100, 4),
       "a skip: %u instructions, %u states%s%s", steps.instructions,
       steps.states, steps.wrong ? ": " : "", steps.wrong ? steps.wrong : "");
}


int
main(void)
{
    zone = mmap(NULL, SIZE, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1, 0);

    test_hole();
    test_deaths();

    free(copy.data);

    return tap_done();
}

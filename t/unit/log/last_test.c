/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Last rows: what an append knows of the row before, against a plain list of
 * rows; and that a death at any instruction of an append leaves no wrong one.
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
#define TEXT     128
#define ROWS     64


static const uint8_t  secret[] = "0123456789abcdef";

static wsb_zone_t    *zone;
static unsigned       seed = 1;

/* what the child appends, to a log with this head */
static wsb_batch_t    stepped;
static uint64_t       head;


typedef struct {
    const char  *tenant;
    const char  *schema;
    const char  *id;
    const char  *action;
    const char  *data;                    /* NULL: none */
    const char  *old;
    uint32_t     flags;
} event_t;


/* The text itself is told where it is another one. */

#define is_str(got, want, ...)                                                \
    do {                                                                      \
        const char  *text_ = (got);                                           \
                                                                              \
        ok(strcmp(text_, want) == 0, __VA_ARGS__);                            \
                                                                              \
        if (strcmp(text_, want) != 0) {                                       \
            printf("# it is %s\n", text_);                                    \
        }                                                                     \
    } while (0)


static unsigned
rnd(unsigned n)
{
    seed = seed * 1103515245 + 12345;

    return (seed >> 16) % n;
}


static void
set(wsb_str_t *s, const char *text)
{
    s->data = (const uint8_t *) text;
    s->len = text ? strlen(text) : 0;
}


static void
add(wsb_batch_t *batch, const event_t *e)
{
    wsb_event_t       ev;
    wsb_batch_conf_t  conf;

    memset(&ev, 0, sizeof(wsb_event_t));

    set(&ev.field[WSB_KIND], "entity");
    set(&ev.field[WSB_ENTITY_TYPE], "order");
    set(&ev.field[WSB_ENTITY_ID], e->id);
    set(&ev.field[WSB_ACTION], e->action);
    set(&ev.field[WSB_TENANT], e->tenant);
    set(&ev.field[WSB_SCHEMA], e->schema);
    set(&ev.field[WSB_DATA], e->data);
    set(&ev.field[WSB_OLD], e->old);
    ev.flags = e->flags;

    wsb_zone_batch(zone, &conf);

    if (wsb_batch_add(batch, &ev, &conf) != WSB_OK) {
        abort();
    }
}


static wsb_rc_t
append(wsb_batch_t *batch)
{
    wsb_appended_t  out;

    if (wsb_before_find(zone, batch) != WSB_OK) {
        abort();
    }

    return wsb_append_locked(zone, batch, 1, NULL, &out);
}


/* The record `back` records before the head, as text; "-": it has none. */

static const char *
field_of(uint64_t back, wsb_field_t field, uint32_t *flags)
{
    wsb_event_t   ev;
    wsb_cursor_t  at;

    static char        text[64 * 1024];
    static wsb_copy_t  copy;

    at.seq = wsb_log_head(&zone->log) - back;
    at.pos = WSB_LOG_POS_UNKNOWN;

    if (wsb_log_read(&zone->log, &at, &copy) != WSB_OK
        || wsb_event_decode(copy.data, copy.len, &ev) != WSB_OK)
    {
        return "unreadable";
    }

    if (flags != NULL) {
        *flags = ev.flags;
    }

    if (ev.field[field].data == NULL) {
        return "-";
    }

    memcpy(text, ev.field[field].data, ev.field[field].len);
    text[ev.field[field].len] = '\0';

    return text;
}


static const char *
old_after(const event_t *e)
{
    wsb_batch_t  batch;

    memset(&batch, 0, sizeof(wsb_batch_t));
    add(&batch, e);

    if (append(&batch) != WSB_OK) {
        wsb_batch_done(&batch);
        return "not appended";
    }

    wsb_batch_done(&batch);

    return field_of(0, WSB_OLD, NULL);
}


static void
fresh(void)
{
    if (wsb_zone_init(zone, SIZE, HISTORY, 16, 1, secret) != WSB_OK) {
        abort();
    }
}


static void
test_table(void)
{
    size_t  i;

    static const struct {
        event_t      e;
        const char  *old;
        const char  *what;
    } table[] = {
        { { NULL, NULL, "1", "created", "{\"a\":1}", NULL, 0 },
          "-", "a first event" },
        { { NULL, NULL, "1", "updated", "{\"a\":2}", NULL, 0 },
          "{\"a\":1}", "an update" },
        { { "t", NULL, "1", "updated", "{\"a\":9}", NULL, 0 },
          "-", "that of another tenant" },
        { { NULL, "s", "1", "updated", "{\"a\":9}", NULL, 0 },
          "-", "that of another schema" },
        { { NULL, NULL, "2", "updated", "{\"a\":9}", NULL, 0 },
          "-", "that of another id" },
        { { NULL, NULL, "1", "updated", "{\"a\":3}", "{\"a\":0}", 0 },
          "{\"a\":0}", "what the publisher says" },
        { { NULL, NULL, "1", "updated", "{\"a\":4}", NULL, WSB_EVENT_ALONE },
          "-", "nothing is to be looked for" },
        { { NULL, NULL, "1", "updated", "{\"a\":5}", NULL, 0 },
          "{\"a\":4}", "but what came alone is a row" },
        { { NULL, NULL, "1", "paid", "{\"b\":1}", NULL, 0 },
          "-", "an action of its own" },
        { { NULL, NULL, "1", "updated", "{\"a\":6}", NULL, 0 },
          "-", "behind which the row is not known" },
        { { NULL, NULL, "1", "updated", NULL, NULL, 0 },
          "-", "an update without data" },
        { { NULL, NULL, "1", "updated", "{\"a\":7}", NULL, 0 },
          "-", "behind which the row is not known, either" },
        { { NULL, NULL, "1", "updated", "[1]", NULL, 0 },
          "-", "data that are no row" },
        { { NULL, NULL, "1", "created", "{\"a\":8}", NULL, 0 },
          "-", "behind them" },
        { { NULL, NULL, "1", "deleted", NULL, NULL, 0 },
          "{\"a\":8}", "a deletion" },
        { { NULL, NULL, "1", "updated", "{\"a\":1}", NULL, 0 },
          "-", "behind a deletion there is none" },
        { { NULL, NULL, "1", "deleted", "{\"a\":1,\"b\":1}", NULL, 0 },
          "{\"a\":1}", "a deletion with data" },
        { { NULL, NULL, "1", "created", "{\"a\":1}", NULL, WSB_EVENT_PART },
          "-", "a part of a row" },
        { { NULL, NULL, "1", "deleted", NULL, NULL, 0 },
          "-", "behind which the row is not known" },
        { { NULL, NULL, "aabbccdd-0000-4000-8000-0000000000ff", "created",
            "{\"u\":1}", NULL, 0 }, "-", "a UUID" },
        { { NULL, NULL, "AABBCCDD-0000-4000-8000-0000000000FF", "deleted",
            NULL, NULL, 0 }, "{\"u\":1}", "however it is written" },
    };

    fresh();

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        is_str(old_after(&table[i].e), table[i].old, "%s", table[i].what);
    }
}


static void
test_patch(void)
{
    uint32_t     flags;
    const char  *data;

    static const event_t  row = {
        NULL, NULL, "p", "created", "{\"a\":1.0,\"n\":{\"x\":1,\"y\":2},\"c\":3}",
        NULL, 0
    };
    static const event_t  patch = {
        NULL, NULL, "p", "updated",
        "{\"c\":null,\"n\":{\"x\":null,\"z\":null},\"d\":{\"e\":null,\"f\":1}}",
        NULL, WSB_EVENT_PATCH | WSB_EVENT_PART
    };

    fresh();

    is_str(old_after(&patch), "-", "a patch of an unknown row");
    data = field_of(0, WSB_DATA, &flags);
    is_str(data, patch.data, "stays what it is");
    ok(flags == WSB_EVENT_PART, "and is said to be a part");

    is_str(old_after(&row), "-", "nothing is known behind it");
    is_str(old_after(&patch), row.data, "a patch of a row that is known");

    data = field_of(0, WSB_DATA, &flags);
    is_str(data, "{\"a\":1.0,\"n\":{\"y\":2},\"d\":{\"f\":1}}",
           "is merged onto it");
    ok(flags == 0, "and is a row");

    is_str(old_after(&row), "{\"a\":1.0,\"n\":{\"y\":2},\"d\":{\"f\":1}}",
           "as the next one sees");
}


/* Events of one batch, and one that a zone has no room for twice. */

static void
test_batch(void)
{
    char         *large;
    wsb_batch_t   batch;
    event_t       e = { NULL, NULL, "1", "created", "{\"a\":1}", NULL, 0 };

    fresh();
    memset(&batch, 0, sizeof(wsb_batch_t));

    add(&batch, &e);
    e.id = "2";
    e.data = "{\"a\":2}";
    add(&batch, &e);
    e.id = "1";
    e.action = "updated";
    e.data = "{\"a\":3}";
    add(&batch, &e);
    e.action = "deleted";
    e.data = NULL;
    add(&batch, &e);
    e.id = "2";
    add(&batch, &e);

    ok(append(&batch) == WSB_OK, "a batch");
    is_str(field_of(4, WSB_OLD, NULL), "-", "its first event");
    is_str(field_of(2, WSB_OLD, NULL), "{\"a\":1}", "its third");
    is_str(field_of(1, WSB_OLD, NULL), "{\"a\":3}", "its fourth");
    is_str(field_of(0, WSB_OLD, NULL), "{\"a\":2}", "its last");
    wsb_batch_done(&batch);

    large = malloc(HISTORY / 4);
    memset(large, ' ', HISTORY / 4);
    memcpy(large, "{\"a\":", 5);
    strcpy(large + HISTORY / 4 - 4096, "1}");

    e.id = "3";
    e.action = "updated";
    e.data = large;
    is_str(old_after(&e), "-", "a large row");
    is_str(old_after(&e), "-", "is not told where it does not fit");
    e.data = "{}";
    ok(strlen(old_after(&e)) == strlen(large), "but to a small one it is");

    free(large);
}


/* What happens between the look and the append. */

static void
test_between(void)
{
    unsigned       i;
    wsb_key_t      key;
    wsb_batch_t    mine, other;
    wsb_cursor_t   at;
    wsb_appended_t out;
    event_t        e = { NULL, NULL, "1", "created", "{\"a\":1}", NULL, 0 };

    fresh();
    (void) old_after(&e);

    memset(&mine, 0, sizeof(wsb_batch_t));
    memset(&other, 0, sizeof(wsb_batch_t));

    e.action = "updated";
    e.data = "{\"a\":2}";
    add(&mine, &e);
    e.data = "{\"a\":3}";
    add(&other, &e);

    wsb_before_find(zone, &mine);
    wsb_before_find(zone, &other);

    ok(wsb_append_locked(zone, &mine, 1, NULL, &out) == WSB_OK
       && wsb_append_locked(zone, &other, 1, NULL, &out) == WSB_AGAIN,
       "of two updates of one row the second looks again");
    wsb_before_find(zone, &other);
    ok(wsb_append_locked(zone, &other, 1, NULL, &out) == WSB_OK, "and may");
    is_str(field_of(0, WSB_OLD, NULL), "{\"a\":2}", "it comes behind the first");

    /* its last record is evicted between the look and the append */

    wsb_batch_done(&mine);
    memset(&mine, 0, sizeof(wsb_batch_t));
    e.data = "{\"a\":4}";
    add(&mine, &e);
    wsb_before_find(zone, &mine);

    at.seq = wsb_log_head(&zone->log);
    e.id = "2";

    for (i = 0; wsb_log_oldest(&zone->log) <= at.seq; i++) {
        (void) old_after(&e);
    }

    ok(wsb_append_locked(zone, &mine, 1, NULL, &out) == WSB_OK && i > 500,
       "a row that was evicted meanwhile");
    is_str(field_of(0, WSB_OLD, NULL), "{\"a\":3}", "is known nevertheless");

    /* another entity's record is where the hint leads */

    key = mine.entries[0].key;
    at = wsb_last_find(&zone->last, &key);
    key.h[1] ^= 1;
    e.id = "5";
    add(&other, &e);
    key = other.entries[1].key;
    wsb_last_note_locked(&zone->last, &key, at.seq, at.pos);
    wsb_last_done_locked(&zone->last);
    is_str(old_after(&e), "-", "a hint that leads to another entity");

    wsb_batch_done(&mine);
    wsb_batch_done(&other);
}


/* Against a list of rows; there are more entities than the table holds. */

static void
test_random(unsigned n, const char *what)
{
    char          id[ROWS * 64][12], text[TEXT];
    unsigned      i, k, m, row, known, unknown, bad;
    wsb_batch_t   batch;
    event_t       e;
    unsigned     *rows, *before;

    rows = calloc(n, sizeof(unsigned));
    before = calloc(8, sizeof(unsigned));
    known = 0;
    unknown = 0;
    bad = 0;

    fresh();

    for (i = 0; i < n; i++) {
        snprintf(id[i], sizeof(id[i]), "%u", i);
    }

    for (i = 1; i < 20000; i++) {
        memset(&batch, 0, sizeof(wsb_batch_t));
        memset(&e, 0, sizeof(event_t));
        m = 1 + rnd(4);

        for (k = 0; k < m; k++) {
            row = rnd(n);
            before[k] = rows[row];
            e.id = id[row];
            e.action = rnd(5) ? "updated" : "deleted";
            snprintf(text, TEXT, "{\"v\":%u}", 8 * i + k);
            e.data = *e.action == 'u' ? text : NULL;
            rows[row] = e.data ? 8 * i + k : 0;
            add(&batch, &e);
        }

        if (append(&batch) != WSB_OK) {
            bad++;
        }

        wsb_batch_done(&batch);

        for (k = 0; k < m; k++) {
            snprintf(text, TEXT, "{\"v\":%u}", before[k]);

            if (strcmp(field_of(m - 1 - k, WSB_OLD, NULL), "-") == 0) {
                unknown += before[k] != 0;

            } else {
                known++;
                bad += strcmp(field_of(m - 1 - k, WSB_OLD, NULL), text) != 0;
            }
        }
    }

    ok(bad == 0 && known > 1000 && (n > ROWS || unknown == 0),
       "%s: %u rows are known, %u are not, %u are wrong", what, known,
       unknown, bad);

    free(rows);
    free(before);
}


/* In a state that a death has left: the next one's rows are right. */

static const char *
inherit_rows(void)
{
    unsigned     i;
    uint64_t     now;
    const char  *old, *mine;

    static const char  *ids[] = { "1", "2", "3" };
    static const char  *was[] = { "{\"a\":1}", "{\"b\":1}", "-" };
    static const char  *is[] = { "{\"a\":12}", "{\"b\":13}", "{\"c\":14}" };

    event_t  e = { NULL, NULL, NULL, "updated", "{\"z\":0}", NULL, 0 };

    now = wsb_log_head(&zone->log);

    if (now != head && now != head + 4) {
        return "a batch in two";
    }

    for (i = 0; i < 3; i++) {
        e.id = ids[i];
        old = old_after(&e);
        mine = now == head ? was[i] : is[i];

        if (strcmp(old, "not appended") == 0) {
            /* hints were cleared in between: it looks again */
            old = old_after(&e);
        }

        if (strcmp(old, mine) != 0 && (strcmp(old, "-") != 0 || now != head)) {
            return "a row that is not the last one";
        }
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
    wrong = inherit_rows();
    zone = shared;

    return wrong;
}


static void
work(void)
{
    wsb_appended_t  out;

    if (wsb_append_locked(zone, &stepped, 1, NULL, &out) != WSB_OK) {
        abort();
    }
}


static void
test_deaths(void)
{
    steps_t  steps;
    event_t  e = { NULL, NULL, "1", "created", "{\"a\":1}", NULL, 0 };

    fresh();

    (void) old_after(&e);
    e.id = "2";
    e.data = "{\"b\":1}";
    (void) old_after(&e);

    memset(&stepped, 0, sizeof(wsb_batch_t));
    e.action = "updated";
    e.id = "1";
    e.data = "{\"a\":11}";
    add(&stepped, &e);
    e.data = "{\"a\":12}";
    add(&stepped, &e);
    e.id = "2";
    e.data = "{\"b\":13}";
    add(&stepped, &e);
    e.id = "3";
    e.data = "{\"c\":14}";
    add(&stepped, &e);
    wsb_before_find(zone, &stepped);

    head = wsb_log_head(&zone->log);

    steps_through(&steps, zone, SIZE, work, inherit);

    ok(steps_well(&steps, 200, 20) && wsb_log_head(&zone->log) == head + 4,
       "an append: %u instructions, %u states%s%s", steps.instructions,
       steps.states, steps.wrong ? ": " : "", steps.wrong ? steps.wrong : "");

    wsb_batch_done(&stepped);
}


int
main(void)
{
    zone = mmap(NULL, SIZE, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1, 0);

    test_table();
    test_patch();
    test_batch();
    test_between();
    test_random(ROWS / 4, "few entities");
    test_random(ROWS * 64, "more than there is room for");
    test_deaths();

    return tap_done();
}

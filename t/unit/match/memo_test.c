/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Costly conditions: each distinct one is kept once and asked once for each
 * row of an event, and a long list says what it says when it is looked
 * through.
 */

#include "ws/alloc.h"
#include "match/wsb_value.c"
#include "match/wsb_where.c"
#include "match/wsb_where_build.c"
#include "match/wsb_where_parse.c"
#include "match/wsb_memo.c"
#include "match/wsb_column.c"
#include "match/wsb_rows.c"

#include "tap.h"


static uint64_t  random_state = 88172645463325252ULL;

static unsigned
rnd(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return (unsigned) ((random_state >> 11) % n);
}


static const uint8_t  secret[] = "0123456789abcdef";

static const wsb_str_t  a = { 2, (const uint8_t *) "a" };
static const wsb_str_t  b = { 2, (const uint8_t *) "b" };


/* Its conditions point into what is returned. */

static wsb_where_t *
where_of(const char *text, wsb_condition_t *condition)
{
    wsb_str_t           s;
    wsb_json_t          value;
    wsb_where_t        *where;
    wsb_json_error_t    err;
    wsb_where_error_t   error;

    static const wsb_json_limits_t  limits = { 32, 0 };

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    if (wsb_json_parse(s, &limits, &value, &err) != WSB_OK
        || wsb_where_parse(&value, &where, &error) != WSB_OK)
    {
        printf("# %s\n", text);
        abort();
    }

    (void) wsb_where_next(where->bytes, condition);

    return where;
}


static void
event_of(wsb_event_t *ev, const char *data, const char *old)
{
    memset(ev, 0, sizeof(wsb_event_t));
    ev->field[WSB_DATA].data = (const uint8_t *) data;
    ev->field[WSB_DATA].len = strlen(data);

    if (old != NULL) {
        ev->field[WSB_OLD].data = (const uint8_t *) old;
        ev->field[WSB_OLD].len = strlen(old);
    }
}


static void
test_distinct(void)
{
    uint32_t          path[2], id[6];
    uint64_t          work;
    unsigned          i;
    wsb_rows_t       *rows;
    wsb_event_t       ev;
    wsb_where_t      *where[2];
    wsb_condition_t   like, same, other;

    rows = wsb_rows_create(secret);

    if (wsb_rows_add_path(rows, a, &path[0]) != WSB_OK
        || wsb_rows_add_path(rows, b, &path[1]) != WSB_OK)
    {
        abort();
    }

    where[0] = where_of("[{\"column\":\"a\",\"operator\":\"like\","
                        "\"value\":\"%x%\"}]", &like);
    where[1] = where_of("[{\"column\":\"a\",\"operator\":\"ilike\","
                        "\"value\":\"%x%\"}]", &other);
    same = like;

    (void) wsb_rows_add_memo(rows, &like, path[0], &id[0]);
    (void) wsb_rows_add_memo(rows, &same, path[0], &id[1]);
    is_uint(id[1], id[0], "equal ones are one");

    (void) wsb_rows_add_memo(rows, &other, path[0], &id[2]);
    (void) wsb_rows_add_memo(rows, &like, path[1], &id[3]);
    same.forced = 1;
    (void) wsb_rows_add_memo(rows, &same, path[0], &id[4]);
    same.field = 1;
    same.path = WSB_KIND;
    (void) wsb_rows_add_memo(rows, &same, 0, &id[5]);

    for (i = 2; i < 6; i++) {
        ok(id[i] != id[0] && id[i] != id[i - 1], "another one: %u", i);
    }

    event_of(&ev, "{\"a\":\"axa\",\"b\":\"X\"}", "{\"a\":1,\"b\":\"x\"}");
    ev.field[WSB_KIND].data = (const uint8_t *) "box";
    ev.field[WSB_KIND].len = 3;

    wsb_rows_begin(rows, &ev);

    is_uint(wsb_rows_ask(rows, 0, id[0], &like, path[0]), 1, "it holds");
    is_uint(wsb_rows_ask(rows, 1, id[0], &like, path[0]), 0, "not for old");
    is_uint(wsb_rows_ask(rows, 0, id[3], &like, path[1]), 0, "nor for b");
    is_uint(wsb_rows_ask(rows, 1, id[3], &like, path[1]), 1, "but for its old");
    is_uint(wsb_rows_ask(rows, 0, id[2], &other, path[0]), 1, "folded");
    is_uint(wsb_rows_ask(rows, 0, id[5], &same, 0), 1, "a field");

    work = wsb_rows_work(rows);

    is_uint(wsb_rows_ask(rows, 0, id[0], &like, path[0]), 1, "asked again");
    is_uint(wsb_rows_ask(rows, 1, id[0], &like, path[0]), 0, "of each row");
    is_uint(wsb_rows_work(rows), work, "nothing is looked at");

    event_of(&ev, "{\"a\":\"aa\"}", NULL);
    wsb_rows_begin(rows, &ev);
    is_uint(wsb_rows_ask(rows, 0, id[0], &like, path[0]), 0,
            "another event, another answer");
    ok(wsb_rows_work(rows) > work, "for which it was looked at");

    for (i = 0; i < 6; i++) {
        wsb_rows_remove_memo(rows, id[i]);
    }

    (void) wsb_rows_add_memo(rows, &like, path[0], &id[0]);
    is_uint(id[0], id[5], "a place is used again");
    is_uint(wsb_rows_ask(rows, 0, id[0], &like, path[0]), 0, "without answer");
    wsb_rows_remove_memo(rows, id[0]);

    wsb_free(where[0]);
    wsb_free(where[1]);
    wsb_rows_destroy(rows);
}


/* Values of which many are equal to others. */

static const char *const  values[] = {
    "1", "\"1\"", "\"1.0\"", "\"01\"", "10", "\"1e1\"", "true", "\"true\"",
    "false", "\"\"", "\"x\"", "\"X\"", "-1", "0.5", "\"0.50\"", "\"5e-1\"",
    "123456789012345678901234567890123456789012345",
    "123456789012345678901234567890123456789012346",
    "\"123456789012345678901234567890123456789012346\"", "null", "[1]", "{}"
};

#define NVALUES  (sizeof(values) / sizeof(values[0]))


static void
test_lists(void)
{
    char              text[8192], row[128], *p;
    uint32_t          path, id;
    unsigned          i, k, n, bad, held;
    wsb_rows_t       *rows;
    wsb_event_t       ev;
    wsb_where_t      *where;
    wsb_subject_t    *subject;
    wsb_condition_t   in;

    rows = wsb_rows_create(secret);

    if (wsb_rows_add_path(rows, a, &path) != WSB_OK) {
        abort();
    }

    bad = 0;
    held = 0;

    for (i = 0; i < 2000; i++) {
        p = text + sprintf(text, "[{\"column\":\"a\",\"operator\":\"in\","
                                 "\"value\":[");
        n = 18 + rnd(100);

        for (k = 0; k < n; k++) {
            if (rnd(8) == 0) {
                p += sprintf(p, "%s%s", k ? "," : "",
                             values[rnd(NVALUES - 2)]);
            } else {
                p += sprintf(p, k % 2 ? "%s%u" : "%s\"%u\"", k ? "," : "",
                             100 + rnd(1000));
            }
        }

        sprintf(p, "]}]");
        where = where_of(text, &in);

        if (!wsb_where_costly(&in)) {
            wsb_free(where);
            continue;
        }

        if (wsb_rows_add_memo(rows, &in, path, &id) != WSB_OK) {
            abort();
        }

        for (k = 0; k < NVALUES + 10; k++) {

            if (k < NVALUES) {
                sprintf(row, "{\"a\":%s}", values[k]);
            } else {
                sprintf(row, "{\"a\":%u}", 100 + rnd(1000));
            }

            event_of(&ev, row, NULL);
            wsb_rows_begin(rows, &ev);
            subject = wsb_rows_value(rows, 0, path);

            n = (unsigned) wsb_where_holds(&in, subject);
            held += n;
            bad += (unsigned) wsb_rows_ask(rows, 0, id, &in, path) != n;
        }

        wsb_rows_remove_memo(rows, id);
        wsb_free(where);
    }

    is_uint(bad, 0, "long lists say what they say one by one");
    ok(held > 5000, "%u hold", held);
    wsb_rows_destroy(rows);
}


/* Many at once, and no memory for some. */

static void
test_many(void)
{
    char              text[256];
    size_t            was;
    uint32_t          path, id[1000];
    unsigned          i, bad, failed;
    wsb_rows_t       *rows;
    wsb_where_t      *where;
    wsb_condition_t   condition;

    rows = wsb_rows_create(secret);
    bad = 0;
    failed = 0;

    if (wsb_rows_add_path(rows, a, &path) != WSB_OK) {
        abort();
    }

    for (i = 0; i < 1000; i++) {

        if (i % 2) {
            sprintf(text, "[{\"column\":\"a\",\"operator\":\"like\","
                          "\"value\":\"%%%u%%\"}]", i);
        } else {
            sprintf(text, "[{\"column\":\"a\",\"operator\":\"in\",\"value\":"
                          "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,%u]}]",
                    1000 + i);
        }

        where = where_of(text, &condition);
        was = live;

        for (fail_at = calls + 1; ; fail_at++) {

            if (wsb_rows_add_memo(rows, &condition, path, &id[i]) == WSB_OK) {
                break;
            }

            failed++;
            bad += live != was;
            fail_at = calls;

            /* the next one may fail, or not */

            if (rnd(2)) {
                fail_at = 0;
                bad += wsb_rows_add_memo(rows, &condition, path, &id[i])
                       != WSB_OK;
                break;
            }
        }

        fail_at = 0;
        wsb_free(where);
    }

    is_uint(bad, 0, "no memory changes nothing");
    ok(failed > 500, "%u times", failed);

    for (i = 0; i < 1000; i++) {
        wsb_rows_remove_memo(rows, id[(i * 7919) % 1000]);
    }

    bad = 0;

    for (i = 0; i < rows->memos.nalloc; i++) {
        bad += rows->memos.buckets[i] != WSB_MEMO_NONE;
    }

    is_uint(bad, 0, "all are given back");
    wsb_rows_destroy(rows);
}


int
main(void)
{
    size_t  before;

    before = live;

    test_distinct();
    test_lists();
    test_many();

    is_uint(live, before, "nothing is left");

    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Rows: columns in use, one walk for all of them, what a repeated key hides.
 */

#include "ws/alloc.h"
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

#include "match/where_ref.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))

#define PATH(keys)  { sizeof(keys), (const uint8_t *) (keys) }


static const uint8_t  secret[] = "0123456789abcdef";

static const wsb_str_t  paths[REF_NCOLUMNS] = {
    PATH("a"), PATH("b"), PATH("n\0a"), PATH("n\0b"), PATH("n\0m\0a"),
    PATH("zz"), PATH("a\0b"), PATH("n")
};


/* A copy of just that size. */

static wsb_str_t
copy_of(const char *text)
{
    uint8_t    *p;
    wsb_str_t   s = wsb_null_string;

    if (text != NULL) {
        s.len = strlen(text);
        p = malloc(s.len);
        memcpy(p, text, s.len);
        s.data = p;
    }

    return s;
}


static void
event_of(wsb_event_t *ev, const char *data, const char *old)
{
    memset(ev, 0, sizeof(*ev));
    ev->field[WSB_DATA] = copy_of(data);
    ev->field[WSB_OLD] = copy_of(old);
}


static void
event_done(wsb_event_t *ev)
{
    free((void *) ev->field[WSB_DATA].data);
    free((void *) ev->field[WSB_OLD].data);
}


static const wsb_value_t *
value_at(wsb_rows_t *rows, unsigned row, uint32_t id)
{
    return &wsb_rows_value(rows, row, id)->value;
}


static int
is_value(const wsb_value_t *v, wsb_json_type_t type, const char *text)
{
    return v->type == type && v->text.len == strlen(text)
           && memcmp(v->text.data, text, v->text.len) == 0;
}


static void
test_values(void)
{
    uint32_t      id[REF_NCOLUMNS], deep, escaped;
    unsigned      i;
    wsb_rows_t   *rows;
    wsb_event_t   ev;

    static const wsb_str_t  eight = PATH("1\0""2\0""3\0""4\0""5\0""6\0""7\0""8");
    static const wsb_str_t  odd = PATH("a\"\xc3\xa9\n");

    rows = wsb_rows_create(secret);

    for (i = 0; i < REF_NCOLUMNS; i++) {
        wsb_rows_add_path(rows, paths[i], &id[i]);
    }

    wsb_rows_add_path(rows, eight, &deep);
    wsb_rows_add_path(rows, odd, &escaped);

    is_uint(wsb_rows_paths(rows), 7 + 2 + 8 + 1, "columns and what is between");

    event_of(&ev, "{ \"a\" : \"x\\u00e9\\n\" , \"n\":{\"b\":1.50,\"m\":[]},"
             "\"\\u0061\\\"\\u00e9\\n\":true}",
             "{\"1\":{\"2\":{\"3\":{\"4\":{\"5\":{\"6\":{\"7\":{\"8\":{\"9\":"
             "1}}}}}}}},\"a\":{\"b\":null,\"b\":-1},\"zz\":\"\"}");

    is_uint(wsb_rows_begin(rows, &ev), WSB_OK, "an event with both rows");
    ok(wsb_rows_present(rows, 0) && wsb_rows_present(rows, 1), "they are there");
    ok(is_value(value_at(rows, 0, id[0]), WSB_JSON_STRING,
                "x\xc3\xa9\n"), "a string is decoded");
    ok(value_at(rows, 0, id[0])->text.data
       == value_at(rows, 0, id[0])->text.data, "once");
    is_uint(value_at(rows, 0, id[1])->type, WSB_JSON_NULL, "missing");
    is_uint(value_at(rows, 0, id[2])->type, WSB_JSON_NULL, "in n");
    ok(is_value(value_at(rows, 0, id[3]), WSB_JSON_NUMBER, "1.50"),
       "a number as it is written");
    is_uint(value_at(rows, 0, id[4])->type, WSB_JSON_NULL,
            "arrays are not entered");
    is_uint(value_at(rows, 0, id[7])->type, WSB_JSON_OBJECT, "n");
    is_uint(value_at(rows, 0, escaped)->type, WSB_JSON_TRUE,
            "a key with escapes");

    is_uint(value_at(rows, 1, deep)->type, WSB_JSON_OBJECT, "depth 8");
    ok(is_value(value_at(rows, 1, id[6]), WSB_JSON_NUMBER, "-1"),
       "the last one counts");
    ok(is_value(value_at(rows, 1, id[5]), WSB_JSON_STRING, ""),
       "an empty string");
    is_uint(value_at(rows, 1, id[7])->type, WSB_JSON_NULL,
            "rows are apart");
    event_done(&ev);

    /* what came before is forgotten, whatever hides it */

    event_of(&ev, "{\"n\":{\"a\":1,\"m\":{\"a\":2}},\"n\":{\"b\":3}}", NULL);
    wsb_rows_begin(rows, &ev);
    ok(!wsb_rows_present(rows, 1), "no old row");
    is_uint(value_at(rows, 1, id[0])->type, WSB_JSON_NULL, "nor a value");
    is_uint(value_at(rows, 0, id[2])->type, WSB_JSON_NULL, "n.a is hidden");
    is_uint(value_at(rows, 0, id[4])->type, WSB_JSON_NULL, "n.m.a, too");
    ok(is_value(value_at(rows, 0, id[3]), WSB_JSON_NUMBER, "3"),
       "n.b is not");
    is_uint(value_at(rows, 0, id[0])->type, WSB_JSON_NULL,
            "nothing of the last event");
    ok(wsb_rows_hash(rows, 0, id[0]) == NULL, "nor a hash");
    event_done(&ev);

    event_of(&ev, "{\"n\":{\"a\":1},\"n\":7}", "[{\"a\":1}]");
    wsb_rows_begin(rows, &ev);
    is_uint(value_at(rows, 0, id[2])->type, WSB_JSON_NULL,
            "a scalar hides");
    ok(wsb_rows_present(rows, 1), "a row that is no object");
    is_uint(value_at(rows, 1, id[0])->type, WSB_JSON_NULL,
            "has no column");
    event_done(&ev);

    event_of(&ev, "{\"a\":\"\\ud800\\u0000\\udc00x\",\"a\\u0000\":1}", NULL);
    wsb_rows_begin(rows, &ev);
    is_uint(value_at(rows, 0, id[0])->text.len, 8,
            "what is no text is something");
    event_done(&ev);

    wsb_rows_begin(rows, NULL);
    ok(!wsb_rows_present(rows, 0) && !wsb_rows_present(rows, 1),
       "no event has no rows");

    wsb_rows_destroy(rows);
    is_uint(live, 0, "nothing is left");
}


static void
test_random(void)
{
    int                 v;
    char                text[2][4096];
    wsb_key_t           hash;
    uint32_t            id[REF_NCOLUMNS];
    unsigned            i, k, r, bad, uses[REF_NCOLUMNS];
    ref_row_t           row[2];
    wsb_rows_t         *rows;
    wsb_event_t         ev;
    const wsb_value_t  *value;

    static const wsb_json_type_t  types[] = {
        WSB_JSON_NULL, WSB_JSON_NULL, WSB_JSON_NUMBER, WSB_JSON_STRING,
        WSB_JSON_NULL
    };

    rows = wsb_rows_create(secret);
    memset(uses, 0, sizeof(uses));
    bad = 0;

    for (i = 0; i < 20000; i++) {
        k = rnd(REF_NCOLUMNS);

        if (uses[k] < 3 && rnd(2)) {
            bad += wsb_rows_add_path(rows, paths[k], &id[k]) != WSB_OK;
            uses[k]++;

        } else if (uses[k] != 0) {
            uses[k]--;
            wsb_rows_remove_path(rows, id[k]);
        }

        for (r = 0; r < 2; r++) {
            ref_random_row(&row[r]);
            ref_row_text(&row[r], text[r]);
        }

        event_of(&ev, row[0].present ? text[0] : NULL,
                 row[1].present ? text[1] : NULL);
        wsb_rows_begin(rows, &ev);

        for (r = 0; r < 2; r++) {
            bad += wsb_rows_present(rows, r) != row[r].present;

            for (k = 0; k < REF_NCOLUMNS; k++) {

                if (uses[k] == 0) {
                    continue;
                }

                value = value_at(rows, r, id[k]);
                v = row[r].present ? ref_column(&row[r], k) : -1;

                if (v == -1) {
                    bad += value->type != WSB_JSON_NULL;
                    continue;
                }

                switch (ref_values[v].type) {

                case REF_BOOL:
                    bad += value->type != (ref_values[v].num ? WSB_JSON_TRUE
                                           : WSB_JSON_FALSE);
                    break;

                case REF_OTHER:
                    bad += value->type < WSB_JSON_ARRAY;
                    break;

                case REF_STR:
                    bad += !is_value(value, WSB_JSON_STRING,
                                     ref_values[v].str);
                    break;

                case REF_NUM:
                    bad += !is_value(value, WSB_JSON_NUMBER,
                                     ref_values[v].json);
                    break;

                default:
                    bad += value->type != types[ref_values[v].type];
                }

                if (wsb_rows_value_hash(rows, wsb_rows_path_key(rows, id[k]),
                                        value, &hash))
                {
                    bad += wsb_rows_hash(rows, r, id[k]) == NULL
                           || !wsb_key_eq(wsb_rows_hash(rows, r, id[k]),
                                          &hash);

                } else {
                    bad += wsb_rows_hash(rows, r, id[k]) != NULL;
                }
            }
        }

        event_done(&ev);
    }

    is_uint(bad, 0, "random rows, columns that come and go");

    for (k = 0; k < REF_NCOLUMNS; k++) {
        while (uses[k] != 0) {
            uses[k]--;
            wsb_rows_remove_path(rows, id[k]);
        }
    }

    is_uint(wsb_rows_paths(rows), 0, "all columns are given back");
    wsb_rows_destroy(rows);
    is_uint(live, 0, "nothing is left");
}


static void
test_many(void)
{
    char           name[32];
    uint32_t      *id;
    unsigned       i, bad;
    wsb_key_t      hash;
    wsb_str_t      path;
    wsb_rows_t    *rows;

    rows = wsb_rows_create(secret);
    id = malloc(50000 * sizeof(uint32_t));
    path.data = (uint8_t *) name;
    bad = 0;

    for (i = 0; i < 50000; i++) {
        path.len = (size_t) sprintf(name, "k%u", i % 100) + 1;
        path.len += (size_t) sprintf(name + path.len, "x%u", i) + 1;
        bad += wsb_rows_add_path(rows, path, &id[i]) != WSB_OK;

        hash = wsb_rows_path_hash(rows, path);
        bad += !wsb_key_eq(&hash, wsb_rows_path_key(rows, id[i]));
    }

    is_uint(bad, 0, "many columns");
    is_uint(wsb_rows_paths(rows), 50100, "each once");

    for (i = 0; i < 50000; i++) {
        wsb_rows_remove_path(rows, id[(i * 7919ULL) % 50000]);
    }

    is_uint(wsb_rows_paths(rows), 0, "and given back");

    wsb_rows_destroy(rows);
    free(id);
    is_uint(live, 0, "nothing is left");
}


static void
test_failures(void)
{
    char          text[100];
    size_t        was;
    unsigned      i, n, bad, failed;
    uint32_t      id;
    wsb_rc_t      rc;
    wsb_str_t     path;
    wsb_rows_t   *rows;
    wsb_event_t   ev;

    for (n = 1; n < 6; n++) {
        calls = 0;
        fail_at = n;
        ok(wsb_rows_create(secret) == NULL && live == 0, "no rows: %u", n);
    }

    fail_at = 0;
    rows = wsb_rows_create(secret);
    bad = 0;
    failed = 0;
    path.data = (uint8_t *) text;

    for (i = 0; i < 200; i++) {
        path.len = (size_t) sprintf(text, "a%u", i) + 1;
        path.len += (size_t) sprintf(text + path.len, "b") + 1;
        path.len += (size_t) sprintf(text + path.len, "c%u", i) + 1;
        was = wsb_rows_paths(rows);

        for (n = 1; n < 10; n++) {
            calls = 0;
            fail_at = n;
            rc = wsb_rows_add_path(rows, path, &id);

            if (rc == WSB_OK) {
                break;
            }

            failed++;
            bad += rc != WSB_NOMEM || wsb_rows_paths(rows) != was;
        }

        fail_at = 0;
        bad += wsb_rows_paths(rows) != was + 3;
    }

    is_uint(bad, 0, "no memory: nothing has changed");
    ok(failed >= 16, "%u times", failed);

    event_of(&ev, "{\"a\":\"\\n\"}", "{\"a\":1}");
    calls = 0;
    fail_at = 1;
    is_uint(wsb_rows_begin(rows, &ev), WSB_NOMEM, "no memory for a string");
    ok(!wsb_rows_present(rows, 0) && !wsb_rows_present(rows, 1), "no rows");
    fail_at = 0;
    is_uint(wsb_rows_begin(rows, &ev), WSB_OK, "but the next time");
    event_done(&ev);

    event_of(&ev, "{\"a\":\"n\"}", "{\"a\":1}");
    calls = 0;
    fail_at = 1;
    is_uint(wsb_rows_begin(rows, &ev), WSB_OK, "none is needed");
    fail_at = 0;
    event_done(&ev);

    wsb_rows_destroy(rows);
    is_uint(live, 0, "nothing is left");
}


int
main(void)
{
    test_values();
    test_random();
    test_many();
    test_failures();

    return tap_done();
}

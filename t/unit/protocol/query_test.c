/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/* A subscription in a query string. */

#include "ws/alloc.h"
#include "json/wsb_text.c"
#include "protocol/wsb_query.c"

#include "tap.h"


static const struct {
    const char  *args;
    const char  *since;          /* of the header */
    const char  *message;        /* what it makes, or why it is refused */
    int64_t      wait;
    uint64_t     limit;
} queries[] = {

    { "", NULL, "{\"type\":\"subscribe\",\"filter\":{}}", -1, 0 },
    { "token=x&&a&entity_type", NULL,
      "{\"type\":\"subscribe\",\"filter\":{}}", -1, 0 },
    { "entity_type=order", NULL,
      "{\"type\":\"subscribe\",\"filter\":{\"entity_type\":\"order\"}}",
      -1, 0 },
    { "entity_type=a,b&entity_id=1&entity_type=c,,&event_type=created", NULL,
      "{\"type\":\"subscribe\",\"filter\":{\"entity_type\":[\"a\",\"b\",\"c\"]"
      ",\"event_type\":\"created\",\"entity_id\":\"1\"}}", -1, 0 },
    { "kind=caf%C3%A9%22+%5c&wait=5&limit=10", NULL,
      "{\"type\":\"subscribe\",\"filter\":{\"kind\":\"caf\xc3\xa9\\\" \\\\\"}}",
      5, 10 },
    { "where=%5B%7B%22column%22%3A%22a%22%7D%5D&since=now", NULL,
      "{\"type\":\"subscribe\",\"filter\":{},\"where\":[{\"column\":\"a\"}]"
      ",\"since\":\"now\"}", -1, 0 },
    { "since=x&wait=0", "e-1", "{\"type\":\"subscribe\",\"filter\":{}"
      ",\"since\":\"e-1\"}", 0, 0 },
    { "wait=0", NULL, "{\"type\":\"subscribe\",\"filter\":{}"
      ",\"since\":\"first\"}", 0, 0 },
    { "since=now&wait=0", NULL, "{\"type\":\"subscribe\",\"filter\":{}"
      ",\"since\":\"now\"}", 0, 0 },
    { "since=a&since=b%", NULL, "{\"type\":\"subscribe\",\"filter\":{}"
      ",\"since\":\"a\"}", -1, 0 },
    { "since=%zz%4", NULL, "{\"type\":\"subscribe\",\"filter\":{}"
      ",\"since\":\"%zz%4\"}", -1, 0 },

    { "where=%5B", NULL, "where is no JSON", 0, 0 },
    { "where=1%2C%22type%22%3A1", NULL, "where is no JSON", 0, 0 },
    { "wait=", NULL, "wait must be a number of seconds from 0 to 3600", 0, 0 },
    { "wait=3601", NULL, "wait must be a number of seconds from 0 to 3600",
      0, 0 },
    { "wait=-1", NULL, "wait must be a number of seconds from 0 to 3600", 0,
      0 },
    { "limit=0", NULL, "limit must be a number from 1 to 10000", 0, 0 },
    { "limit=10001", NULL, "limit must be a number from 1 to 10000", 0, 0 },
    { "limit=99999999999999999999", NULL,
      "limit must be a number from 1 to 10000", 0, 0 },
    { "snapshot=x&snapshot=1", NULL,
      "{\"type\":\"subscribe\",\"filter\":{}}", -1, 0 },
    { "snapshot=1", NULL,
      "{\"type\":\"subscribe\",\"filter\":{},\"snapshot\":true}", -1, 0 }
};


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


int
main(void)
{
    size_t       i, n;
    wsb_rc_t     rc;
    wsb_text_t   t, args;
    wsb_query_t  query;
    const char  *why;

    for (i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {

        for (n = 0; n < 6; n++) {
            memset(&t, 0, sizeof(t));
            query.since = str(queries[i].since);
            why = NULL;

            calls = 0;
            fail_at = (unsigned) n;

            rc = wsb_query_subscribe(&t, str(queries[i].args), &query, &why);

            if (n == 0 && rc == WSB_OK) {
                is_bytes(t.data, t.len, queries[i].message, "%s",
                         queries[i].args);
                ok(query.wait == queries[i].wait
                   && query.limit == queries[i].limit, "wait and limit");

            } else if (n == 0) {
                ok(rc == WSB_ERROR && strcmp(why, queries[i].message) == 0,
                   "%s: %s", queries[i].args, why ? why : "");
            }

            wsb_text_done(&t);
        }
    }

    fail_at = 0;
    ok(live == 0, "no memory is lost");

    for (n = WSB_QUERY_VALUES; n <= WSB_QUERY_VALUES + 1; n++) {
        memset(&t, 0, sizeof(t));
        memset(&args, 0, sizeof(args));
        query.since = str(NULL);

        wsb_text_lit(&args, "entity_id=1");

        for (i = 1; i < n; i++) {
            wsb_text_lit(&args, i % 2 ? ",2" : "&entity_type=3");
        }

        rc = wsb_query_subscribe(&t, (wsb_str_t) { args.len, args.data },
                                 &query, &why);
        is_uint(rc, n <= WSB_QUERY_VALUES ? WSB_OK : WSB_ERROR, "%zu values",
                n);

        wsb_text_done(&t);
        wsb_text_done(&args);
    }

    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Conditions that are left out of a query: those that a style cannot say,
 * that lie on a path, or beside a forced one; with all that an OR joins.
 */

#include "rest/wsb_rest.h"
#include "tap.h"

#include <stdio.h>
#include <string.h>


typedef struct {
    wsb_rest_style_t  style;
    const char       *where;
    const char       *forced;             /* a column, or NULL */
    int               left;
    const char       *args;               /* the query that remains */
} leave_t;


static const leave_t  cases[] = {
    { WSB_REST_PLAIN,
      "[{\"column\":\"n\",\"operator\":\"eq\",\"value\":1}]",
      NULL, 0, "n=1" },
    { WSB_REST_PLAIN,
      "[{\"column\":\"n\",\"operator\":\"gte\",\"value\":1},"
      "{\"column\":\"n\",\"operator\":\"lt\",\"value\":5}]",
      NULL, 0, "n%5Bgte%5D=1&n%5Blt%5D=5" },
    { WSB_REST_PLAIN,
      "[{\"column\":\"n\",\"operator\":\"eq\",\"value\":1},"
      "{\"column\":\"n\",\"operator\":\"eq\",\"value\":2}]",
      NULL, 1, "n=1" },
    { WSB_REST_PLAIN,
      "[{\"column\":\"m\",\"operator\":\"eq\",\"value\":1},"
      "{\"column\":\"n\",\"operator\":\"eq\",\"value\":1},"
      "{\"column\":\"o\",\"operator\":\"eq\",\"value\":2,"
      "\"logic_operator\":\"OR\"}]",
      NULL, 1, "m=1" },
    { WSB_REST_POSTGREST,
      "[{\"column\":\"n\",\"operator\":\"eq\",\"value\":1},"
      "{\"column\":\"o\",\"operator\":\"eq\",\"value\":2,"
      "\"logic_operator\":\"OR\"}]",
      NULL, 0, "or=(n.eq.%221%22,o.eq.%222%22)" },
    { WSB_REST_POSTGREST,
      "[{\"column\":\"n\",\"operator\":\"eq\",\"value\":1},"
      "{\"column\":\"o\",\"operator\":\"eq\",\"value\":2,"
      "\"logic_operator\":\"OR\"}]",
      "o", 1, "" },
    { WSB_REST_PLAIN,
      "[{\"column\":\"a.b\",\"operator\":\"eq\",\"value\":1},"
      "{\"column\":\"n\",\"operator\":\"eq\",\"value\":1}]",
      NULL, 1, "n=1" },
    { WSB_REST_PLAIN,
      "[{\"column\":\"Owner\",\"operator\":\"eq\",\"value\":\"you\"},"
      "{\"column\":\"n\",\"operator\":\"eq\",\"value\":1}]",
      "owner", 1, "n=1" },
    { WSB_REST_PLAIN,
      "[{\"column\":\"owner\",\"operator\":\"eq\",\"value\":\"you\"}]",
      "data.owner", 1, "" },
    { WSB_REST_PLAIN,
      "[{\"column\":\"limit\",\"operator\":\"eq\",\"value\":1}]",
      NULL, 1, "" },
    { WSB_REST_PLAIN, "[]", "owner", 0, "" }
};


static void
test_leave(const leave_t *c)
{
    int               left;
    unsigned          n;
    wsb_str_t         text, none = wsb_null_string;
    wsb_json_t        where, options;
    wsb_rest_t        rest;
    wsb_text_t        path, args;
    wsb_forced_t      forced;
    wsb_json_error_t  wrong;
    wsb_rest_error_t  err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    memset(&options, 0, sizeof(options));
    memset(&forced, 0, sizeof(forced));
    memset(&path, 0, sizeof(path));
    memset(&args, 0, sizeof(args));

    n = 0;

    if (c->forced != NULL) {
        forced.field.data = (const uint8_t *) c->forced;
        forced.field.len = strlen(c->forced);
        n = 1;
    }

    text.data = (const uint8_t *) c->where;
    text.len = strlen(c->where);

    left = -2;

    if (wsb_json_parse(text, &limits, &where, &wrong) == WSB_OK
        && wsb_rest_select(&rest, &options, &where, &err) == WSB_OK)
    {
        left = wsb_rest_leave_out(&rest, c->style, &forced, n);

        ok(wsb_rest_query(&rest, c->style, none, &path, &args, &err)
           == WSB_OK, "what remains can be said");

        wsb_rest_done(&rest);
    }

    ok(left == c->left && args.len == strlen(c->args)
       && (args.len == 0 || memcmp(args.data, c->args, args.len) == 0),
       "%s: %d \"%.*s\"", c->where, left, (int) args.len,
       args.data ? (const char *) args.data : "");

    wsb_text_done(&path);
    wsb_text_done(&args);
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_leave(&cases[i]);
    }

    return tap_done();
}

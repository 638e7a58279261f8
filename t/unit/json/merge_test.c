/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * JSON Merge Patch: the cases of RFC 7396, appendix A, what stays as it was
 * written, and what a hostile pair of texts may cost.
 */

#include "json/wsb_merge.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>


static wsb_rc_t
merge(const char *row, const char *patch, wsb_text_t *out)
{
    unsigned           i;
    wsb_str_t          text;
    wsb_json_t         value[2];
    const char        *texts[2];
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    texts[0] = row;
    texts[1] = patch;

    for (i = 0; i < 2; i++) {
        text.data = (const uint8_t *) texts[i];
        text.len = strlen(texts[i]);

        if (wsb_json_parse(text, &limits, &value[i], &err) != WSB_OK) {
            abort();
        }
    }

    memset(out, 0, sizeof(wsb_text_t));

    return wsb_merge(out, &value[0], &value[1]);
}


static void
test_table(void)
{
    size_t      i;
    wsb_rc_t    rc;
    wsb_text_t  out;

    static const struct {
        const char  *row;
        const char  *patch;
        const char  *is;
    } table[] = {
        { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
        { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
        { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
        { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
          "{\"a\":{\"b\":\"d\"}}" },
        { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
        { "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
        { "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
        { "{\"a\":\"foo\"}", "null", "null" },
        { "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
        { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
        { "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
        { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },

        /* bytes, order and repetitions stay */

        { "{ \"a\" : 1.0e2 , \"b\":12345678901234567890 }", "{\"c\":1.00}",
          "{\"a\":1.0e2,\"b\":12345678901234567890,\"c\":1.00}" },
        { "{\"a\":1,\"a\":2}", "{\"b\":3}", "{\"a\":1,\"a\":2,\"b\":3}" },
        { "{\"a\":1,\"a\":2}", "{\"a\":3}", "{\"a\":3,\"a\":3}" },
        { "{\"\\u0061\":1}", "{\"a\":2}", "{\"\\u0061\":2}" },
        { "{\"a\":{\"x\":1}}", "{\"a\":{}}", "{\"a\":{\"x\":1}}" },
        { "{\"a\":[null,{\"x\":null}]}", "{}", "{\"a\":[null,{\"x\":null}]}" },
        { "{}", "{\"a\":[null,{\"x\":null}]}", "{\"a\":[null,{\"x\":null}]}" },
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        rc = merge(table[i].row, table[i].patch, &out);

        ok(rc == WSB_OK && out.len == strlen(table[i].is)
           && memcmp(out.data, table[i].is, out.len) == 0,
           "%s with %s", table[i].row, table[i].patch);

        wsb_text_done(&out);
    }
}


static char *
members(unsigned n, const char *name)
{
    char      *text, *p;
    unsigned   i;

    text = malloc(24 * (size_t) n + 8);
    p = text;
    *p++ = '{';

    for (i = 0; i < n; i++) {
        p += sprintf(p, "%s\"%s%u\":%u", i ? "," : "", name, i, i);
    }

    strcpy(p, "}");

    return text;
}


static void
test_bounds(void)
{
    char        *row, *patch;
    wsb_text_t   out;

    row = members(900, "r");
    patch = members(50, "p");
    ok(merge(row, patch, &out) == WSB_OK, "fifty of nine hundred");
    wsb_text_done(&out);
    free(patch);
    free(row);

    /* few keys to compare with, but a long way to each */

    row = malloc(300000);
    memset(row, 'x', 300000);
    memcpy(row, "{\"r\":\"", 6);
    strcpy(row + 300000 - 3, "\"}");
    patch = members(20000, "p");
    ok(merge(row, patch, &out) == WSB_ERROR, "a large value is walked over");
    wsb_text_done(&out);
    free(patch);
    patch = members(5, "p");
    ok(merge(row, patch, &out) == WSB_OK, "a few times it may be");
    wsb_text_done(&out);
    free(patch);
    free(row);

    row = members(20000, "r");
    patch = members(20000, "p");
    ok(merge(row, patch, &out) == WSB_ERROR, "very many are too many");
    wsb_text_done(&out);
    free(patch);
    free(row);
}


int
main(void)
{
    test_table();
    test_bounds();

    return tap_done();
}

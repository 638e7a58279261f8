/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Bodies of publish requests: what becomes of them, and what is refused.
 */

#include "ws/alloc.h"
#include "event/wsb_batch.c"
#include "event/wsb_ignored.c"
#include "event/wsb_problem.c"
#include "event/wsb_publish.c"
#include "event/wsb_publish_fields.c"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))

#define ORDER  "\"action\":\"created\",\"entity_type\":\"order\","            \
               "\"entity_id\":\"o-1\""

#define LINK   "\"kind\":\"link\",\"action\":\"created\",\"link_type\":"     \
               "\"has\",\"link_id\":\"l\",\"source_id\":\"s\","              \
               "\"target_id\":\"t\""

#define UUID   "0123abcd-4567-89ef-0123-456789abcdef"


static const uint8_t  key[16] = { 1, 2, 3 };

static const char  *names[WSB_NFIELDS] = {
    "kind", "type", "action", "id", "tenant", "schema", "section", "origin",
    "link_type", "link_id", "source", "target", "user", "session", "time",
    "metadata", "data", "old"
};


static wsb_publish_conf_t  conf;


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


/* Parses a copy that has nothing behind its end. */

static wsb_rc_t
parse(wsb_batch_t *batch, wsb_format_t format, wsb_str_t body,
    wsb_problem_t *problem)
{
    uint8_t   *copy;
    wsb_rc_t   rc;

    copy = malloc(body.len + (body.len == 0));
    memcpy(copy, body.data, body.len);
    body.data = copy;

    memset(batch, 0, sizeof(*batch));
    rc = wsb_publish_parse(batch, format, body, &conf, problem);

    free(copy);

    return rc;
}


/* What a batch says: name=value of each field, records divided by "; ". */

static char *
say(const wsb_batch_t *batch)
{
    size_t        i, j;
    wsb_event_t   ev;

    static char  buf[4000];
    char        *p = buf;

    *p = '\0';

    for (i = 0; i < batch->nentries; i++) {
        p = stpcpy(p, i ? "; " : "");

        if (wsb_event_decode(batch->records + batch->entries[i].offset,
                             batch->entries[i].len, &ev)
            != WSB_OK)
        {
            return strcpy(buf, "not decoded");
        }

        for (j = 0; j < WSB_NFIELDS; j++) {
            if (ev.field[j].data != NULL) {
                p += sprintf(p, "%s%s=%.*s", j ? " " : "", names[j],
                             (int) ev.field[j].len, ev.field[j].data);
            }
        }
    }

    return buf;
}


static void
test_taken(void)
{
    size_t          i;
    wsb_batch_t     batch;
    wsb_problem_t   problem;

    static const struct {
        wsb_format_t   format;
        const char    *body;
        const char    *want;
    } table[] = {
        { 0, "{" ORDER "}",
          "kind=entity type=order action=created id=o-1" },
        { 0, " { " ORDER " } \n",
          "kind=entity type=order action=created id=o-1" },
        { 0, "{\"kind\":\"entity\"," ORDER "}",
          "kind=entity type=order action=created id=o-1" },
        { 0, "{" ORDER ",\"data\":{\"n\":9007199254740993,\"f\":1.0,"
             "\"s\":\"\xc3\xa9\\u0041\"}}",
          "kind=entity type=order action=created id=o-1"
          " data={\"n\":9007199254740993,\"f\":1.0,"
          "\"s\":\"\xc3\xa9\\u0041\"}" },
        { 0, "{" ORDER ",\"data\" : [ 1 , 2 ] }",
          "kind=entity type=order action=created id=o-1 data=[ 1 , 2 ]" },
        { 0, "{" ORDER ",\"data\":{\"a\":\"\\u0000\",\"a\":\"\\ud800\"}}",
          "kind=entity type=order action=created id=o-1"
          " data={\"a\":\"\\u0000\",\"a\":\"\\ud800\"}" },
        { 0, "{" ORDER ",\"data\":\"\\u0000\",\"metadata\":\"\\udc00\"}",
          "kind=entity type=order action=created id=o-1"
          " metadata=\"\\udc00\" data=\"\\u0000\"" },
        { 0, "{" ORDER ",\"data\":null,\"metadata\":null}",
          "kind=entity type=order action=created id=o-1 metadata=null"
          " data=null" },
        { 0, "{" ORDER ",\"old\":{ \"x\":1},\"metadata\":7}",
          "kind=entity type=order action=created id=o-1 metadata=7"
          " old={ \"x\":1}" },
        { 0, "{" ORDER ",\"tenant\":\"acme\",\"schema\":\"public\","
             "\"section\":\"main\",\"origin\":\"me\","
             "\"timestamp\":\"2026-01-02T03:04:05.678901234Z\"}",
          "kind=entity type=order action=created id=o-1 tenant=acme"
          " schema=public section=main origin=me"
          " time=2026-01-02T03:04:05.678901234Z" },
        { 0, "{" ORDER ",\"cause\":\"you\"}",
          "kind=entity type=order action=created id=o-1 origin=you" },
        { 0, "{" ORDER ",\"tenant\":null,\"schema\":null,\"kind\":null,"
             "\"old\":null,\"timestamp\":null,\"link_type\":null,"
             "\"event_type\":null}",
          "kind=entity type=order action=created id=o-1" },
        { 0, "{" ORDER ",\"schema\":\"\",\"section\":\"\",\"origin\":\"\"}",
          "kind=entity type=order action=created id=o-1" },
        { 0, "{" ORDER ",\"foo\":1,\"foo\":2,\"\\u0000\":\"\\ud800\","
             "\"event\":{},\"id\":1}",
          "kind=entity type=order action=created id=o-1" },
        { 0, "{" ORDER ",\"event_type\":\"created\"}",
          "kind=entity type=order action=created id=o-1" },
        { 0, "{" ORDER ",\"event_type\":\"\\u0063reated\"}",
          "kind=entity type=order action=created id=o-1" },
        { 0, "{\"event_type\":\"status_changed\",\"entity_type\":\"o\","
             "\"entity_id\":-17}",
          "kind=entity type=o action=status_changed id=-17" },
        { 0, "{\"\\u0061ction\":\"\\u00e9\\ud83d\\ude00\\n\",\"entity_type\":"
             "\"a\\\"b\",\"entity_id\":\"\\/\"}",
          "kind=entity type=a\"b action=\xc3\xa9\xf0\x9f\x98\x80\n id=/" },
        { 0, "{\"entity_id\":123456789012345678901234567890,\"action\":\"x\","
             "\"entity_type\":\"y\"}",
          "kind=entity type=y action=x id=123456789012345678901234567890" },
        { 0, "{\"entity_id\":\"" UUID "\",\"action\":\"x\","
             "\"entity_type\":\"y\"}",
          "kind=entity type=y action=x id=" UUID },

        { 0, "{" LINK "}",
          "kind=link action=created link_type=has link_id=l source=s"
          " target=t" },
        { 0, "{\"action\":\"deleted\",\"link_type\":\"has\",\"link_id\":1,"
             "\"source_id\":2,\"target_id\":3,\"metadata\":{}}",
          "kind=link action=deleted link_type=has link_id=1 source=2"
          " target=3 metadata={}" },
        { 0, "{\"kind\":\"entity\",\"link_type\":\"has\"," ORDER "}",
          "kind=entity type=order action=created id=o-1 link_type=has" },

        { 0, "{\"id\":\"x\",\"timestamp\":\"2026-01-02T03:04:05Z\","
             "\"event\":{" ORDER ",\"data\":1}}",
          "kind=entity type=order action=created id=o-1"
          " time=2026-01-02T03:04:05Z data=1" },
        { 0, "{\"event\":{" LINK "}}",
          "kind=link action=created link_type=has link_id=l source=s"
          " target=t" },
        { 0, "{\"event\":{" ORDER ",\"timestamp\":\"2025-01-01T00:00:00Z\"},"
             "\"timestamp\":\"2026-01-02T03:04:05Z\",\"tenant\":\"outer\"}",
          "kind=entity type=order action=created id=o-1"
          " time=2026-01-02T03:04:05Z" },
        { 0, "{\"event\":{" ORDER ",\"timestamp\":\"2025-01-01T00:00:00Z\"},"
             "\"timestamp\":null}",
          "kind=entity type=order action=created id=o-1"
          " time=2025-01-01T00:00:00Z" },

        { 0, "[{" ORDER "}]",
          "kind=entity type=order action=created id=o-1" },
        { 0, "[{" ORDER "},{\"event\":{" LINK "}},\n{" ORDER
             ",\"data\":[{}]}]",
          "kind=entity type=order action=created id=o-1; "
          "kind=link action=created link_type=has link_id=l source=s"
          " target=t; "
          "kind=entity type=order action=created id=o-1 data=[{}]" },

        { 1, "{" ORDER "}",
          "kind=entity type=order action=created id=o-1" },
        { 1, "{" ORDER "}\n",
          "kind=entity type=order action=created id=o-1" },
        { 1, "\r\n\n{" ORDER "}\r\n \t\r\n  {" LINK "} \n\n",
          "kind=entity type=order action=created id=o-1; "
          "kind=link action=created link_type=has link_id=l source=s"
          " target=t" },
        { 1, "{\"event\":{" ORDER "}}\n{" ORDER "}",
          "kind=entity type=order action=created id=o-1; "
          "kind=entity type=order action=created id=o-1" },
    };

    for (i = 0; i < len(table); i++) {
        if (ok(parse(&batch, table[i].format, str(table[i].body), &problem)
               == WSB_OK, "taken: %zu", i))
        {
            is_bytes(say(&batch), strlen(say(&batch)), table[i].want,
                     "what it says");

        } else {
            printf("# %s\n# %u %s\n", table[i].body, problem.status,
                   problem.detail);
        }

        wsb_batch_done(&batch);
    }
}


static void
test_refused(void)
{
    size_t          i, j;
    wsb_batch_t     batch;
    wsb_problem_t   problem;

    static const struct {
        wsb_format_t   format;
        unsigned       status;
        long           index;
        const char    *body;
        const char    *detail;
    } table[] = {
        { 0, 400, -1, "", "offset 0: unexpected end" },
        { 0, 400, -1, " \n", "offset 2: unexpected end" },
        { 0, 400, -1, "hello", "offset 0: a value is expected" },
        { 0, 400, -1, "\xef\xbb\xbf{}",
          "offset 0: a byte order mark (BOM) must not stand before JSON" },
        { 0, 400, -1, "{" ORDER "", "offset 59: unexpected end" },
        { 0, 400, -1, "{" ORDER ",}", "offset 60: a key is expected" },
        { 0, 400, -1, "{}{}", "offset 2: text after the end of the document" },
        { 0, 400, -1, "{" ORDER ",\"data\":{\"a\":01}}", "offset 73: a comma"
                      " or the end is expected" },
        { 0, 400, -1, "{" ORDER ",\"data\":\"\xff\"}",
          "offset 68: invalid UTF-8" },
        { 0, 400, 0, "[", "offset 1: unexpected end" },
        { 0, 400, 0, "[x]", "offset 1: a value is expected" },
        { 0, 400, 1, "[{},x]", "offset 4: a value is expected" },
        { 0, 400, 1, "[{},{\"a\":[1,2,{\"b\":\"],,\\\"\"},x]}]",
          "offset 28: a value is expected" },
        { 0, 400, 2, "[{\"a\":\",\\\\\"},[1,2],]", "offset 19: a value is"
                     " expected" },
        { 0, 400, -1, "[{}]]", "offset 4: text after the end of the"
                      " document" },
        { 0, 400, -1, "{" ORDER ",\"action\":\"created\"}",
          "offset 60: repeated action" },
        { 0, 400, 1, "[{" ORDER "},{" ORDER ",\"entity_\\u0069d\":null}]",
          "offset 122: repeated entity_id" },
        { 0, 400, -1, "{" ORDER ",\"data\":1,\"data\":2}",
          "offset 69: repeated data" },
        { 0, 400, -1, "{\"event\":{},\"event\":{" ORDER "}}",
          "offset 12: repeated event" },
        { 0, 400, -1, "{\"event\":{" ORDER "},\"timestamp\":null,"
                      "\"timestamp\":1}", "offset 87: repeated timestamp" },

        { 0, 422, -1, "[]", "there is no event" },
        { 0, 422, -1, "1", "an event must be an object" },
        { 0, 422, -1, "null", "an event must be an object" },
        { 0, 422, -1, "\"x\"", "an event must be an object" },
        { 0, 422, 0, "[[{" ORDER "}]]", "an event must be an object" },
        { 0, 422, 1, "[{" ORDER "},null]", "an event must be an object" },
        { 0, 422, -1, "{}", "action is missing" },
        { 0, 422, -1, "{\"event\":\"created\"}", "action is missing" },
        { 0, 422, -1, "{\"event\":{}}", "action is missing" },
        { 0, 422, -1, "{\"event\":{\"event\":{" ORDER "}}}",
          "action is missing" },
        { 0, 422, -1, "{\"event\":{" ORDER "},\"action\":\"x\"}",
          "entity_type is missing" },
        { 0, 422, -1, "{\"entity_type\":\"order\",\"entity_id\":1}",
          "action is missing" },
        { 0, 422, -1, "{\"action\":null,\"entity_type\":\"order\"}",
          "action is missing" },
        { 0, 422, -1, "{\"action\":1}", "action must be a string" },
        { 0, 422, -1, "{\"action\":\"\"}", "action is empty" },
        { 0, 422, -1, "{\"action\":[\"created\"]}",
          "action must be a string" },
        { 0, 422, -1, "{\"event_type\":true}",
          "event_type must be a string" },
        { 0, 422, -1, "{" ORDER ",\"event_type\":\"updated\"}",
          "action and event_type differ" },
        { 0, 422, -1, "{" ORDER ",\"event_type\":\"Created\"}",
          "action and event_type differ" },
        { 0, 422, -1, "{\"action\":\"x\",\"entity_id\":1}",
          "entity_type is missing" },
        { 0, 422, -1, "{\"action\":\"x\",\"entity_type\":\"y\"}",
          "entity_id is missing" },
        { 0, 422, -1, "{\"action\":\"x\",\"entity_type\":\"\"}",
          "entity_type is empty" },
        { 0, 422, -1, "{\"entity_id\":\"\"}", "entity_id is empty" },
        { 0, 422, -1, "{\"entity_id\":1.5}",
          "entity_id must be a string or an integer" },
        { 0, 422, -1, "{\"entity_id\":-0}",
          "entity_id must be a string or an integer" },
        { 0, 422, -1, "{\"entity_id\":1e2}",
          "entity_id must be a string or an integer" },
        { 0, 422, -1, "{\"entity_id\":true}",
          "entity_id must be a string or an integer" },
        { 0, 422, -1, "{\"entity_id\":{}}",
          "entity_id must be a string or an integer" },
        { 0, 422, -1, "{\"action\":\"a\\u0000\"}",
          "action has an escaped NUL or a lone surrogate" },
        { 0, 422, -1, "{\"entity_id\":\"\\udfff\"}",
          "entity_id has an escaped NUL or a lone surrogate" },
        { 0, 422, -1, "{" ORDER ",\"tenant\":1}", "tenant must be a string" },
        { 0, 422, -1, "{" ORDER ",\"tenant\":\"\"}", "tenant is empty" },
        { 0, 422, -1, "{" ORDER ",\"tenant\":\"a\\u0000b\"}",
          "tenant has an escaped NUL or a lone surrogate" },
        { 0, 422, -1, "{" ORDER ",\"schema\":{}}", "schema must be a string" },
        { 0, 422, -1, "{" ORDER ",\"kind\":\"foo\"}",
          "kind must be entity or link" },
        { 0, 422, -1, "{" ORDER ",\"kind\":\"\"}", "kind is empty" },
        { 0, 422, -1, "{" ORDER ",\"old\":[]}", "old must be an object" },
        { 0, 422, -1, "{" ORDER ",\"timestamp\":\"yesterday\"}",
          "timestamp must be a date and time of RFC 3339" },
        { 0, 422, -1, "{" ORDER ",\"timestamp\":\"\"}",
          "timestamp must be a date and time of RFC 3339" },
        { 0, 422, -1, "{" ORDER ",\"timestamp\":17}",
          "timestamp must be a string" },
        { 0, 422, -1, "{\"timestamp\":17,\"event\":{" ORDER "}}",
          "timestamp must be a string" },
        { 0, 422, -1, "{\"kind\":\"link\"," ORDER "}", "link_type is missing" },
        { 0, 422, -1, "{\"action\":\"x\",\"link_type\":\"y\"}",
          "link_id is missing" },
        { 0, 422, -1, "{\"action\":\"x\",\"link_type\":\"y\",\"link_id\":1}",
          "source_id is missing" },
        { 0, 422, -1, "{\"action\":\"x\",\"link_type\":\"y\",\"link_id\":1,"
                      "\"source_id\":1}", "target_id is missing" },
        { 0, 400, 2, "[{" ORDER "},{" ORDER "},{" LINK ",\"link_id\":1,"
                     "\"tenant\":5}]", "offset 221: repeated link_id" },

        { 1, 422, -1, "", "there is no event" },
        { 1, 422, -1, "\n \r\n\t\n", "there is no event" },
        { 1, 422, 0, "[{" ORDER "}]", "an event must be an object" },
        { 1, 422, 1, "\n{" ORDER "}\n\n{}", "action is missing" },
        { 1, 400, 1, "{" ORDER "}\n{x\n{}", "offset 62: a key is expected" },
        { 1, 400, 0, "{\n" ORDER "}", "offset 1: unexpected end" },
        { 1, 400, 0, "{" ORDER "}{" ORDER "}",
          "offset 60: text after the end of the document" },
        { 1, 400, 1, "{" ORDER "}\n\n {\"data\":\"a\rb\"}",
          "offset 73: control character in a string" },
    };

    for (i = 0; i < len(table); i++) {
        ok(parse(&batch, table[i].format, str(table[i].body), &problem)
           == WSB_ERROR, "refused: %zu", i);

        is_uint(problem.status, table[i].status, "status");
        is_bytes(problem.detail, strlen(problem.detail), table[i].detail,
                 "detail");
        is_uint(problem.index, table[i].index, "index");
        ok(batch.nentries == 0 && batch.records == NULL, "nothing is there");
        ok(problem.title != NULL && *problem.title != '\0', "title");

        for (j = 0; problem.detail[j] >= ' ' && problem.detail[j] < 0x7f
                    && problem.detail[j] != '"'
                    && problem.detail[j] != '\\'; j++)
        {
            /* void */
        }

        is_uint(problem.detail[j], 0, "detail is plain");
        wsb_batch_done(&batch);
    }
}


static void
test_lengths(void)
{
    char            body[8000], *p;
    size_t          i, n, with;
    wsb_batch_t     batch;
    wsb_problem_t   problem;

    static const char  *field[] = {
        "action", "entity_type", "entity_id", "tenant", "schema", "section",
        "cause", "origin", "kind", "timestamp", "link_type", "link_id"
    };

    for (i = 0; i < len(field); i++) {
        for (n = 256; n <= 257; n++) {
            for (with = 0; with < 3; with++) {
                size_t  j;

                p = body + sprintf(body, "{\"%s\":\"", field[i]);

                for (j = 0; j < n; j++) {
                    p = stpcpy(p, with == 1 ? "\\u0041"
                                            : with == 2 && j == 0 ? "\\n"
                                                                  : "A");
                }

                strcpy(p, "\"}");

                parse(&batch, 0, str(body), &problem);

                ok((strstr(problem.detail, "longer than 256") != NULL)
                   == (n > 256),
                   "%s of %zu bytes, written the way %zu: %s", field[i], n,
                   with, problem.detail);
                is_uint(problem.status, 422, "status");
                wsb_batch_done(&batch);
            }
        }
    }

    p = body + sprintf(body, "{\"entity_id\":1");
    memset(p, '0', 256);
    strcpy(p + 256, "}");
    parse(&batch, 0, str(body), &problem);
    is_bytes(problem.detail, strlen(problem.detail),
             "entity_id is longer than 256 bytes", "an integer, too");
}


static void
test_sizes(void)
{
    char            body[4000], *p;
    size_t          n, one;
    wsb_batch_t     batch;
    wsb_problem_t   problem;

    strcpy(body, "[{" ORDER ",\"data\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"},{"
                 ORDER "},{" ORDER "}]");

    ok(parse(&batch, 0, str(body), &problem) == WSB_OK, "three events");
    is_uint(batch.nentries, 3, "entries");
    is_uint(batch.entries[1].offset, batch.entries[0].len, "stand in a row");
    is_uint(batch.len, batch.entries[2].offset + batch.entries[2].len,
            "up to the end");
    ok(((uintptr_t) batch.records & 7) == 0, "aligned");

    n = batch.len;
    one = batch.entries[0].len;
    wsb_batch_done(&batch);

    conf.batch.max_batch = n;
    conf.batch.max_record = one;
    ok(parse(&batch, 0, str(body), &problem) == WSB_OK, "fits exactly");
    wsb_batch_done(&batch);

    conf.batch.max_batch = n - 1;
    ok(parse(&batch, 0, str(body), &problem) == WSB_ERROR, "batch too large");
    is_uint(problem.status, 413, "413");
    is_uint(problem.index, 2, "by the third");

    conf.batch.max_batch = n;
    conf.batch.max_record = one - 1;
    ok(parse(&batch, 0, str(body), &problem) == WSB_ERROR,
       "record too large");
    is_uint(problem.status, 413, "413");
    is_uint(problem.index, 0, "the first");

    conf.batch.max_batch = SIZE_MAX;
    conf.batch.max_record = SIZE_MAX;

    /* many, so that the arrays grow */

    n = 3000;
    p = malloc(n * 100);
    *p = '[';

    for (one = 0, n = 1; one < 3000; one++) {
        n += sprintf(p + n, "%s{" ORDER ",\"data\":%zu}", one ? "," : "",
                     one);
    }

    p[n++] = ']';
    ok(parse(&batch, 0, (wsb_str_t) { n, (uint8_t *) p }, &problem) == WSB_OK,
       "3000 events");
    is_uint(batch.nentries, 3000, "entries");
    free(p);

    for (n = 0, one = 0; n < batch.nentries; n++) {
        char         want[24];
        wsb_event_t  ev;

        sprintf(want, "%zu", n);
        one += wsb_event_decode(batch.records + batch.entries[n].offset,
                                batch.entries[n].len, &ev) != WSB_OK
               || !wsb_str_eq(&ev.field[WSB_DATA], want)
               || batch.entries[n].parts.present != 15;
    }

    is_uint(one, 0, "each is there");
    wsb_batch_done(&batch);
}


static void
test_depth(void)
{
    char            body[3000], *p;
    size_t          n, i, form;
    wsb_batch_t     batch;
    wsb_problem_t   problem;

    static const struct {
        const char  *before;
        const char  *after;
        size_t       depth;
    } table[] = {
        { "{" ORDER ",\"data\":", "}", 511 },
        { "[{" ORDER ",\"data\":", "}]", 510 },
        { "[{\"event\":{" ORDER ",\"data\":", "}}]", 509 },
    };

    for (form = 0; form < len(table); form++) {
        for (n = table[form].depth; n <= table[form].depth + 1; n++) {
            p = stpcpy(body, table[form].before);

            for (i = 0; i < n; i++) {
                *p++ = '[';
            }

            for (i = 0; i < n; i++) {
                *p++ = ']';
            }

            strcpy(p, table[form].after);

            if (n == table[form].depth) {
                ok(parse(&batch, 0, str(body), &problem) == WSB_OK,
                   "depth %zu of data", n);

            } else {
                ok(parse(&batch, 0, str(body), &problem) == WSB_ERROR,
                   "depth %zu of data", n);
                is_uint(problem.status, 400, "400");
                ok(strstr(problem.detail, "too deep") != NULL, "%s",
                   problem.detail);
            }

            wsb_batch_done(&batch);
        }
    }
}


static void
test_tenant(void)
{
    wsb_key_t       tenant;
    wsb_batch_t     batch;
    wsb_problem_t   problem;

    conf.tenant = str("forced");
    parse(&batch, 0, str("{" ORDER ",\"tenant\":\"wished\"}"), &problem);
    is_bytes(say(&batch), strlen(say(&batch)), "kind=entity type=order"
             " action=created id=o-1 tenant=forced", "a forced tenant");

    tenant = wsb_key_tenant(key, str("forced"));
    ok(wsb_key_eq(&tenant, &batch.entries[0].parts.tenant), "is its key");
    wsb_batch_done(&batch);

    conf.tenant = (wsb_str_t) wsb_null_string;
    parse(&batch, 0, str("{" ORDER ",\"tenant\":\"wished\"}"), &problem);

    tenant = wsb_key_tenant(key, str("wished"));
    ok(wsb_key_eq(&tenant, &batch.entries[0].parts.tenant),
       "a tenant of the event's own");
    wsb_batch_done(&batch);
}


static void
test_ignored(void)
{
    size_t          i;
    wsb_text_t      t;
    wsb_batch_t     batch;
    wsb_problem_t   problem;

    static const struct {
        wsb_format_t   format;
        const char    *body;
        const char    *want;
    } table[] = {
        { 0, "{" ORDER ",\"data\":{\"x\":1},\"old\":{\"y\":1}}", "" },
        { 0, "{" ORDER ",\"payload\":{\"x\":1}}",
          ",\"ignored\":[\"payload\"]" },
        { 0, "{" ORDER ",\"payload\":null}", "" },
        { 0, "{\"id\":\"x\"," ORDER ",\"a\":0,\"\\u0061\":0}",
          ",\"ignored\":[\"id\",\"a\"]" },
        { 0, "[{" ORDER ",\"a\":0},{" LINK "},{" ORDER ",\"b\":0,\"a\":0}]",
          ",\"ignored\":[\"a\",\"b\"]" },
        { 1, "{" ORDER ",\"a\":0}\n{" ORDER ",\"a\":0}",
          ",\"ignored\":[\"a\"]" },
        { 0, "{\"id\":\"x\",\"timestamp\":null,\"event\":{" ORDER "}}", "" },
        { 0, "{\"id\":\"x\",\"tenant\":\"t\",\"event\":{" ORDER
             ",\"id\":1}}", ",\"ignored\":[\"event.id\",\"tenant\"]" },
        { 0, "{" ORDER ",\"\\u0000\":0,\"b\":0}",
          ",\"ignored\":[\"b\",\"...\"]" },
        { 0, "{" ORDER ",\"\\ud800\":0}", ",\"ignored\":[\"...\"]" },
    };

    for (i = 0; i < len(table); i++) {
        memset(&t, 0, sizeof(t));

        is_uint(parse(&batch, table[i].format, str(table[i].body), &problem),
                WSB_OK, "taken: %zu", i);

        wsb_ignored_text(&t, batch.ignored);
        is_bytes(t.data, t.len, table[i].want, "told: %zu", i);

        wsb_text_done(&t);
        wsb_batch_done(&batch);
    }

    is_uint(live, 0, "nothing is left");
}


static void
test_failures(void)
{
    size_t          n;
    wsb_rc_t        rc;
    wsb_event_t     ev;
    wsb_batch_t     batch;
    wsb_problem_t   problem;

    for (n = 1; n < 100; n++) {
        calls = 0;
        fail_at = n;

        rc = parse(&batch, 0, str("[{" ORDER "},{" ORDER "},{" LINK "},{"
                                  LINK ",\"a\":0},{" LINK "}]"), &problem);

        if (rc == WSB_OK) {
            break;
        }

        is_uint(problem.status, 500, "allocation %zu fails: 500", n);
        is_uint(live, 0, "nothing is left");
        wsb_batch_done(&batch);
    }

    wsb_batch_done(&batch);
    ok(n > 3 && n < 100, "%zu allocations", n - 1);

    memset(&ev, 0, sizeof(ev));
    ev.field[WSB_DATA] = str("[1]");

    for (n = 1; n <= 2; n++) {
        calls = 0;
        fail_at = n;
        is_uint(wsb_batch_add(&batch, &ev, &conf.batch), WSB_NOMEM,
                "add: allocation %zu fails", n);
        is_uint(batch.nentries, 0, "no entry");
    }

    fail_at = 0;
    is_uint(wsb_batch_add(&batch, &ev, &conf.batch), WSB_OK, "add");
    is_uint(batch.nentries, 1, "one entry");

    conf.batch.max_record = 8;
    is_uint(wsb_batch_add(&batch, &ev, &conf.batch), WSB_ERROR,
            "add: too large");
    conf.batch.max_record = SIZE_MAX;

    wsb_batch_done(&batch);
    is_uint(live, 0, "nothing is left");
}


int
main(void)
{
    conf.batch.key = key;
    conf.batch.max_record = SIZE_MAX;
    conf.batch.max_batch = SIZE_MAX;

    test_taken();
    test_refused();
    test_lengths();
    test_sizes();
    test_depth();
    test_tenant();
    test_ignored();
    test_failures();

    return tap_done();
}

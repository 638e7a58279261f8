/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/* What a method, a URI and two bodies say about a row. */

#include "event/wsb_mutation.h"
#include "json/wsb_repeats.h"
#include "tap.h"

#include <stdlib.h>


#define len(a)  (sizeof(a) / sizeof((a)[0]))


static wsb_mutation_t  m;


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { strlen(s), (const uint8_t *) s };

    return v;
}


static void
begin(wsb_mutation_method_t method, const char *uri, const char *response)
{
    static const uint8_t  key[16];

    wsb_batch_done(&m.batch);
    memset(&m, 0, sizeof(m));

    m.method = method;
    m.uri.raw = m.uri.path = str(uri);
    m.prefix = str("/orders");
    m.id_path = str("id");
    m.response = str(response);
    m.conf.key = key;
    m.conf.max_record = 4096;
    m.conf.max_batch = 8192;
}


/* The events, as "action entity id data metadata", joined by "; " */

static const char *
events(void)
{
    size_t       i;
    unsigned     f;
    wsb_event_t  ev;
    static char  text[16384];

    static const wsb_field_t  fields[] = {
        WSB_ACTION, WSB_ENTITY_TYPE, WSB_ENTITY_ID, WSB_DATA, WSB_METADATA
    };

    text[0] = '\0';

    if (wsb_mutation_events(&m) != WSB_OK) {
        snprintf(text, sizeof(text), "none: %s", m.reason);
        return text;
    }

    for (i = 0; i < m.batch.nentries; i++) {
        wsb_event_decode(m.batch.records + m.batch.entries[i].offset,
                         m.batch.entries[i].len, &ev);

        for (f = 0; f < len(fields); f++) {
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s",
                     f ? " " : i ? "; " : "", (int) ev.field[fields[f]].len,
                     (const char *) ev.field[fields[f]].data);
        }
    }

    if (m.nrefused != 0) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "|%zu %s", m.nrefused, m.reason);
    }

    return text;
}


#define is(want, ...)                                                        \
    do {                                                                     \
        const char  *got_ = events();                                        \
        is_bytes(got_, strlen(got_), want, __VA_ARGS__);                     \
    } while (0)

#define BAD_ID  "the id is longer than 256 bytes, or not UTF-8 without NUL"


static void
test_rows(void)
{
    begin(WSB_MUTATION_POST, "/orders", "{\"id\":\"o-1\",\"n\":1.0}");
    is("created orders o-1 {\"id\":\"o-1\",\"n\":1.0} {}", "POST");

    begin(WSB_MUTATION_PUT, "/orders/7", "{\"n\":1}");
    is("updated orders 7 {\"n\":1} {}", "PUT");

    begin(WSB_MUTATION_PATCH, "/orders/7", "");
    is("updated orders 7  {}", "PATCH without a body");

    begin(WSB_MUTATION_DELETE, "/orders/7", "{\"id\":8}");
    m.event.field[WSB_CAUSE] = str("a\"b");
    is("deleted orders 8  {\"origin\":\"a\\\"b\"}", "DELETE");

    begin(WSB_MUTATION_DELETE, "/orders/7", "no");
    is("deleted orders 7  {}", "what is not sent is not truncated");

    begin(WSB_MUTATION_POST, "/orders/7", "no");
    is("created orders 7  {\"truncated\":true}", "no JSON");

    begin(WSB_MUTATION_POST, "/orders", "");
    m.location = str("/orders/C%23");
    is("created orders C#  {}", "Location");

    begin(WSB_MUTATION_POST, "/orders", "\xef\xbb\xbf {\"id\":1}\n");
    is("created orders 1 {\"id\":1} {}", "a byte order mark is skipped");

    begin(WSB_MUTATION_POST, "/orders", "{\"id\":1,\"\\u0069d\":2,\"a\":0}");
    is("created orders 2 {\"id\":1,\"\\u0069d\":2,\"a\":0} {}",
       "the last key counts");

    begin(WSB_MUTATION_POST, "/orders", "{\"a\":{\"b\":1},\"a\":{\"b\":2}}");
    m.id_path = str("a.b");
    is("created orders 2 {\"a\":{\"b\":1},\"a\":{\"b\":2}} {}",
       "on the way, too");

    begin(WSB_MUTATION_POST, "/orders/u", "[{\"id\":\"a\"},{\"n\":2}]");
    is("created orders a {\"id\":\"a\"} {}; created orders u {\"n\":2} {}",
       "a list");

    begin(WSB_MUTATION_PUT, "/orders/u", "[{\"id\":\"a\"},{\"n\":2}]");
    is("updated orders u [{\"id\":\"a\"},{\"n\":2}] {}", "of a PUT");

    begin(WSB_MUTATION_POST, "/orders", "[]");
    is("", "an empty one");
}


static void
test_refused(void)
{
    char    uri[300], body[2000];
    size_t  i;

    static const char  *const unfit[] = { "\"a\\u0000b\"", "\"a\\ud800\"" };
    static const char  *const none[] = {
        "null", "1.5", "-0", "[1]", "{}", "\"\"", "true", "1e2"
    };

    for (i = 0; i < len(unfit); i++) {
        snprintf(body, sizeof(body), "{\"id\":%s}", unfit[i]);
        begin(WSB_MUTATION_POST, "/orders/u", body);
        m.location = str("/orders/l");
        is("|1 " BAD_ID, "%s", unfit[i]);
    }

    for (i = 0; i < len(none); i++) {
        snprintf(body, sizeof(body), "{\"id\":%s}", none[i]);
        begin(WSB_MUTATION_DELETE, "/orders/u", body);
        m.location = str("/orders/l");
        is("deleted orders l  {}", "%s is no id", none[i]);
    }

    for (i = 256; i <= 257; i++) {
        memset(uri, 'a', sizeof(uri));
        memcpy(uri, "/orders/", 8);
        uri[8 + i] = '\0';

        begin(WSB_MUTATION_DELETE, uri, "");
        ok((strncmp(events(), "|1 ", 3) == 0) == (i == 257), "%zu of URI", i);

        snprintf(body, sizeof(body), "{\"id\":\"%s\"}", uri + 8);
        begin(WSB_MUTATION_DELETE, "/orders/7", body);
        ok((strncmp(events(), "|1 ", 3) == 0) == (i == 257), "%zu, body", i);

        memset(uri, '1', 8 + i);
        snprintf(body, sizeof(body), "{\"id\":%s}", uri + 8);
        begin(WSB_MUTATION_DELETE, "/orders/7", body);
        ok((strncmp(events(), "|1 ", 3) == 0) == (i == 257), "%zu digits", i);
    }

    begin(WSB_MUTATION_POST, "/orders", "[{\"id\":\"a\\u0000\"},{\"id\":2}]");
    is("created orders 2 {\"id\":2} {}|1 " BAD_ID, "the others of a list");

    begin(WSB_MUTATION_DELETE, "/", "");
    m.prefix.len = 0;
    is("none: the URI names no entity type, or one that is longer than 256 "
       "bytes or not UTF-8", "no entity");

    begin(WSB_MUTATION_DELETE, "/", "");
    m.event.field[WSB_ENTITY_TYPE] = str("order");
    is("|1 there is no id", "no id");

    begin(WSB_MUTATION_DELETE, "/orders/7", "");
    m.event.field[WSB_ENTITY_ID] = str("\xff");
    is("none: " BAD_ID, "a given id");
}


static void
test_request(void)
{
    size_t  i;

    static const struct {
        const char  *body;
        const char  *want;
    } bodies[] = {
        { "{\"owner\":\"me\"}", "{\"owner\":\"me\"} {}" },
        { "{\"owner\":\"me\",\"owner\":\"you\"}", " {\"truncated\":true}" },
        { "{\"owner\":\"me\",\"\\u006fwner\":1}", " {\"truncated\":true}" },
        { "{\"a\":[{\"b\":1,\"b\":1}]}", " {\"truncated\":true}" },
        { "{\"a\":{\"b\":1},\"b\":1}", "{\"a\":{\"b\":1},\"b\":1} {}" },
        { "\xef\xbb\xbf{}", " {\"truncated\":true}" },
        { "owner=me", " {\"truncated\":true}" },
    };

    char  want[256];

    for (i = 0; i < len(bodies); i++) {
        begin(WSB_MUTATION_PUT, "/orders/7", "");
        m.data = WSB_MUTATION_REQUEST;
        m.request = str(bodies[i].body);
        snprintf(want, sizeof(want), "updated orders 7 %s", bodies[i].want);
        is(want, "%s", bodies[i].body);
    }

    begin(WSB_MUTATION_POST, "/orders", "[{\"id\":1},{\"id\":2}]");
    m.data = WSB_MUTATION_REQUEST;
    m.request = str("[{\"n\":1},{\"n\":2}]");
    is("created orders 1 {\"n\":1} {}; created orders 2 {\"n\":2} {}",
       "part by part");

    begin(WSB_MUTATION_POST, "/orders", "[{\"id\":1},{\"id\":2}]");
    m.data = WSB_MUTATION_REQUEST;
    m.request = str("[{\"n\":1}]");
    is("created orders 1  {\"truncated\":true}; created orders 2  "
       "{\"truncated\":true}", "which part cannot be told");
}


static void
test_types(void)
{
    size_t  i;

    static const char  *const yes[] = {
        "", "application/json", "Application/JSON; charset=UTF-8",
        "application/vnd.api+json", "text/json;charset=\"utf-8\"",
        "application/json ;x=y"
    };

    static const char  *const no[] = {
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "text/plain", "application/jsonx", "json", "application/xml",
        "application/json; charset=iso-8859-1", "+jso",
        "application/json;charset="
    };

    for (i = 0; i < len(yes); i++) {
        ok(wsb_mutation_is_json(str(yes[i])), "%s is", yes[i]);
    }

    for (i = 0; i < len(no); i++) {
        ok(!wsb_mutation_is_json(str(no[i])), "%s is not", no[i]);
    }
}


static void
test_sizes(void)
{
    size_t       i;
    static char  body[70000 * 12];

    memset(body, ' ', sizeof(body) - 1);
    memcpy(body, "{\"id\":1,\"x\":", 12);
    body[5000] = '1';
    body[5001] = '}';
    body[5002] = '\0';

    begin(WSB_MUTATION_POST, "/orders", body);
    is("created orders 1  {\"truncated\":true}",
       "an event that is too long goes without data");

    strcpy(body, "[");

    for (i = 0; i < 1000; i++) {
        sprintf(body + strlen(body), "%s{\"id\":%zu}", i ? "," : "", i);
    }

    strcat(body, "]");
    begin(WSB_MUTATION_POST, "/orders/u", body);
    is("created orders u  {\"truncated\":true}", "a list of too many is one");
}


static void
test_repeats(void)
{
    char              *body;
    size_t             i, n;
    wsb_json_t         value;
    wsb_json_error_t   err;
    wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    body = malloc(70000 * 12);

    for (n = 60000; n <= 70000; n += 10000) {
        strcpy(body, "{");
        i = 1;

        for (size_t k = 0; k < n; k++) {
            i += (size_t) sprintf(body + i, "%s\"k%zu\":1", k ? "," : "", k);
        }

        strcpy(body + i, "}");
        wsb_json_parse(str(body), &limits, &value, &err);
        ok(wsb_repeats(&value) == (n > WSB_REPEATS_KEYS), "%zu keys", n);
    }

    memset(body, '[', 500);
    strcpy(body + 500, "{\"\\ud800\":1}");
    i = strlen(body);
    memset(body + i, ']', 500);
    body[i + 500] = '\0';

    if (wsb_json_parse(str(body), &limits, &value, &err) == WSB_OK) {
        ok(wsb_repeats(&value), "a key that has no decoded form");
    } else {
        ok(0, "parsed: %s", err.reason);
    }

    free(body);
}


int
main(void)
{
    test_rows();
    test_refused();
    test_request();
    test_types();
    test_sizes();
    test_repeats();

    wsb_batch_done(&m.batch);

    return tap_done();
}

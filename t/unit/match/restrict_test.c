/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Forced conditions: what a subscription with them matches, and how.
 */

#include "ws/alloc.h"
#include "match/wsb_set.c"
#include "match/wsb_where.c"
#include "match/wsb_where_build.c"
#include "match/wsb_where_parse.c"
#include "match/wsb_restrict.c"
#include "match/wsb_plan.c"

#include "match/wsb_index.h"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))

#define NO      -1
#define YES     WSB_CHANGE_NONE
#define IN      WSB_CHANGE_ENTERED
#define LEFT    WSB_CHANGE_LEFT
#define HIDDEN  WSB_CHANGE_LEFT_HIDDEN


static const uint8_t  secret[] = "0123456789abcdef";

static const char  uuid[] = "0123ABCD-0123-0123-0123-0123456789ab";
static const char  plain[] = "0123abcd012301230123" "0123456789AB";


typedef struct {
    const char  *forced[4];       /* "field operator value" */
    const char  *type;            /* the client's entity_type, or NULL */
    const char  *where;           /* the client's, or NULL */
    const char  *event[6];        /* kind, type, action, id, schema, section */
    const char  *data;
    const char  *old;
    int          want;
} case_t;


static const case_t  cases[] = {

    /* routing fields */

    { { "entity_type eq order" }, NULL, NULL, { 0, "order" }, 0, 0, YES },
    { { "entity_type eq order" }, NULL, NULL, { 0, "user" }, 0, 0, NO },
    { { "entity_type eq order" }, "order", NULL, { 0, "order" }, 0, 0, YES },
    { { "entity_type eq order" }, "user", NULL, { 0, "user" }, 0, 0, NO },
    { { "entity_type eq order" }, "user", NULL, { 0, "order" }, 0, 0, NO },
    { { "entity_type in order,user" }, NULL, NULL, { 0, "user" }, 0, 0,
      YES },
    { { "entity_type in order,,user,," }, "user", NULL, { 0, "user" }, 0, 0,
      YES },
    { { "entity_type in order, user" }, NULL, NULL, { 0, "user" }, 0, 0,
      NO },
    { { "entity_type in order, user" }, NULL, NULL, { 0, " user" }, 0, 0,
      YES },
    { { "entity_type in order,user" }, NULL, NULL, { 0, "bill" }, 0, 0, NO },
    { { "entity_type eq order,user" }, NULL, NULL, { 0, "user" }, 0, 0, NO },
    { { "entity_type in a,b", "entity_type in b,c" }, NULL, NULL, { 0, "b" },
      0, 0, YES },
    { { "entity_type in a,b", "entity_type in b,c" }, NULL, NULL, { 0, "a" },
      0, 0, NO },
    { { "entity_type eq a", "entity_type eq b" }, NULL, NULL, { 0, "a" }, 0,
      0, NO },
    { { "entity_type eq a", "entity_type eq b" }, NULL, NULL, { 0, "b" }, 0,
      0, NO },
    { { "entity_type neq secret" }, NULL, NULL, { 0, "a" }, 0, 0, YES },
    { { "entity_type neq secret" }, NULL, NULL, { 0, "secret" }, 0, 0, NO },
    { { "entity_type neq secret" }, NULL, NULL, { 0 }, 0, 0, NO },
    { { "entity_type like public_%" }, NULL, NULL, { 0, "public_a" }, 0, 0,
      YES },
    { { "entity_type like public_%" }, "private", NULL, { 0, "private" }, 0,
      0, NO },
    { { "kind eq entity" }, NULL, NULL, { "entity" }, 0, 0, YES },
    { { "kind eq entity" }, NULL, NULL, { "link" }, 0, 0, NO },
    { { "action eq created" }, NULL, NULL, { 0, 0, "created" }, 0, 0, YES },
    { { "event_type neq deleted" }, NULL, NULL, { 0, 0, "deleted" }, 0, 0,
      NO },
    { { "event_type neq deleted" }, NULL, NULL, { 0, 0, "created" }, 0, 0,
      YES },
    { { "entity_id eq 0123abcd-0123-0123-0123-0123456789ab" }, NULL, NULL,
      { 0, 0, 0, uuid }, 0, 0, YES },
    { { "entity_id neq 0123abcd-0123-0123-0123-0123456789ab" }, NULL, NULL,
      { 0, 0, 0, uuid }, 0, 0, NO },
    { { "entity_id neq 0123abcd-0123-0123-0123-0123456789ab" }, NULL, NULL,
      { 0, 0, 0, plain }, 0, 0, NO },
    { { "entity_id neq 0123abcd-0123-0123-0123-0123456789ab" }, NULL, NULL,
      { 0, 0, 0, "7" }, 0, 0, YES },
    { { "entity_id lte 100" }, NULL, NULL, { 0, 0, 0, "20" }, 0, 0, YES },
    { { "entity_id lte 100" }, NULL, NULL, { 0, 0, 0, "101" }, 0, 0, NO },
    { { "schema eq public" }, NULL, NULL, { 0, 0, 0, 0, "public" }, 0, 0,
      YES },
    { { "schema eq public" }, NULL, NULL, { 0, 0, 0, 0, "other" }, 0, 0,
      NO },
    { { "schema eq public" }, NULL, NULL, { 0 }, 0, 0, NO },
    { { "section in a,b" }, NULL, NULL, { 0, 0, 0, 0, 0, "b" }, 0, 0, YES },
    { { "section in a,b" }, NULL, NULL, { 0, 0, 0, 0, 0, "c" }, 0, 0, NO },

    /* events without rows, and rows that only routing fields are asked of */

    { { "schema eq public" }, NULL, NULL, { 0, 0, 0, 0, "public" },
      "{\"a\":1}", "{\"a\":2}", YES },
    { { "user eq 7" }, NULL, NULL, { 0 }, 0, 0, NO },

    /* columns */

    { { "user eq 7" }, NULL, NULL, { 0 }, "{\"user\":7}", 0, YES },
    { { "user eq 7" }, NULL, NULL, { 0 }, "{\"user\":\"7\"}", 0, YES },
    { { "user eq 7" }, NULL, NULL, { 0 }, "{\"user\":7.0}", 0, YES },
    { { "user eq 7" }, NULL, NULL, { 0 }, "{\"user\":70}", 0, NO },
    { { "user eq 7" }, NULL, NULL, { 0 }, "{\"user\":null}", 0, NO },
    { { "user eq 7" }, NULL, NULL, { 0 }, "{}", 0, NO },
    { { "user eq 10" }, NULL, NULL, { 0 }, "{\"user\":10}", 0, YES },
    { { "user eq 10" }, NULL, NULL, { 0 }, "{\"user\":1e1}", 0, YES },
    { { "user eq 10" }, NULL, NULL, { 0 }, "{\"user\":\"1e1\"}", 0, NO },
    { { "user eq 10" }, NULL, NULL, { 0 }, "{\"user\":\"10.0\"}", 0, NO },
    { { "user eq 10" }, NULL, NULL, { 0 }, "{\"user\":\" 10\"}", 0, NO },
    { { "user eq 1e1" }, NULL, NULL, { 0 }, "{\"user\":10}", 0, NO },
    { { "user eq 1e1" }, NULL, NULL, { 0 }, "{\"user\":\"10\"}", 0, NO },
    { { "user eq 1e1" }, NULL, NULL, { 0 }, "{\"user\":\"1e1\"}", 0, YES },
    { { "user eq 10.0" }, NULL, NULL, { 0 }, "{\"user\":10}", 0, NO },
    { { "user eq 10.0" }, NULL, NULL, { 0 }, "{\"user\":\"10.0\"}", 0,
      YES },
    { { "user eq  10" }, NULL, NULL, { 0 }, "{\"user\":10}", 0, NO },
    { { "user eq  10" }, NULL, NULL, { 0 }, "{\"user\":\"10\"}", 0, NO },
    { { "user eq -0" }, NULL, NULL, { 0 }, "{\"user\":0}", 0, NO },
    { { "user eq 1.5" }, NULL, NULL, { 0 }, "{\"user\":1.50}", 0, YES },
    { { "user in 9,1E1,10.00, 10" }, NULL, NULL, { 0 }, "{\"user\":10}", 0,
      NO },
    { { "user in 9,1e1,10" }, NULL, NULL, { 0 }, "{\"user\":10}", 0, YES },
    { { "user in 9,10" }, NULL, NULL, { 0 }, "{\"user\":\"1e1\"}", 0, NO },
    { { "user neq 1e1" }, NULL, NULL, { 0 }, "{\"user\":10}", 0, NO },

    /* what is no scalar meets nothing */

    { { "class neq secret" }, NULL, NULL, { 0 }, "{\"class\":\"open\"}", 0,
      YES },
    { { "class neq secret" }, NULL, NULL, { 0 }, "{\"class\":[\"secret\"]}",
      0, NO },
    { { "class neq secret" }, NULL, NULL, { 0 }, "{\"class\":{}}", 0, NO },
    { { "class neq true" }, NULL, NULL, { 0 }, "{\"class\":[true]}", 0, NO },
    { { "class like %" }, NULL, NULL, { 0 }, "{\"class\":[]}", 0, NO },
    { { "class gt 1" }, NULL, NULL, { 0 }, "{\"class\":[2]}", 0, NO },
    { { "class eq a" }, NULL, NULL, { 0 }, "{\"class\":[\"a\"]}", 0, NO },
    { { "class neq secret" }, NULL, NULL, { 0 },
      "{\"class\":\"open\"}", "{\"class\":[\"secret\"]}", IN },
    { { "class neq secret" }, NULL, NULL, { 0 },
      "{\"class\":[\"secret\"]}", "{\"class\":\"open\"}", HIDDEN },
    { { "user eq 7" }, NULL, "[{\"column\":\"class\",\"operator\":\"neq\","
      "\"value\":\"secret\"}]", { 0 }, "{\"user\":7,\"class\":[1]}", 0,
      YES },

    /* patterns: an escape means what follows it */

    { { "path like /home/a\\_b/%" }, NULL, NULL, { 0 },
      "{\"path\":\"/home/a_b/x\"}", 0, YES },
    { { "path like /home/a\\_b/%" }, NULL, NULL, { 0 },
      "{\"path\":\"/home/acb/x\"}", 0, NO },
    { { "path ilike /home/\\%/%" }, NULL, NULL, { 0 },
      "{\"path\":\"/HOME/%/x\"}", 0, YES },
    { { "path like /home/\\%/%" }, NULL, NULL, { 0 },
      "{\"path\":\"/home/ann/x\"}", 0, NO },
    { { "path like a\\\\%" }, NULL, NULL, { 0 },
      "{\"path\":\"a\\\\b\"}", 0, YES },
    { { "path like a\\\\%" }, NULL, NULL, { 0 },
      "{\"path\":\"ab\"}", 0, NO },

    { { "user eq 07" }, NULL, NULL, { 0 }, "{\"user\":7}", 0, NO },
    { { "a.b eq x" }, NULL, NULL, { 0 }, "{\"a\":{\"b\":\"x\"}}", 0, YES },
    { { "a.b eq x" }, NULL, NULL, { 0 }, "{\"a.b\":\"x\"}", 0, NO },
    { { "data.kind eq x" }, NULL, NULL, { "y" }, "{\"kind\":\"x\"}", 0, YES },
    { { "kind eq x" }, NULL, NULL, { "y" }, "{\"kind\":\"x\"}", 0, NO },
    { { "open eq true" }, NULL, NULL, { 0 }, "{\"open\":true}", 0, YES },
    { { "open eq true" }, NULL, NULL, { 0 }, "{\"open\":\"true\"}", 0, YES },
    { { "open eq true" }, NULL, NULL, { 0 }, "{\"open\":false}", 0, NO },
    { { "secret neq true" }, NULL, NULL, { 0 }, "{\"secret\":true}", 0, NO },
    { { "secret neq true" }, NULL, NULL, { 0 }, "{\"secret\":\"true\"}", 0,
      NO },
    { { "secret neq true" }, NULL, NULL, { 0 }, "{\"secret\":false}", 0,
      YES },
    { { "level lte 3" }, NULL, NULL, { 0 }, "{\"level\":\"20\"}", 0, NO },
    { { "level lte 3" }, NULL, NULL, { 0 }, "{\"level\":2}", 0, YES },
    { { "name ilike a%" }, NULL, NULL, { 0 }, "{\"name\":\"Abc\"}", 0, YES },
    { { "team in a,b" }, NULL, NULL, { 0 }, "{\"team\":\"b\"}", 0, YES },
    { { "team in a,b" }, NULL, NULL, { 0 }, "{\"team\":\"a,b\"}", 0, NO },
    { { "team in 1,true" }, NULL, NULL, { 0 }, "{\"team\":true}", 0, YES },
    { { "a eq 1", "b eq 2" }, NULL, NULL, { 0 }, "{\"a\":1,\"b\":2}", 0,
      YES },
    { { "a eq 1", "b eq 2" }, NULL, NULL, { 0 }, "{\"a\":1,\"b\":3}", 0, NO },
    { { "a eq 1", "a eq 2" }, NULL, NULL, { 0 }, "{\"a\":1}", 0, NO },
    { { "a eq 1", "a eq 2" }, NULL, NULL, { 0 }, "{\"a\":2}", 0, NO },
    { { "a eq quote\"s" }, NULL, NULL, { 0 }, "{\"a\":\"quote\\\"s\"}", 0,
      YES },
    { { "a eq back\\u0041" }, NULL, NULL, { 0 }, "{\"a\":\"backA\"}", 0,
      NO },

    /* with a client's: an OR of his joins nothing of ours */

    { { "user eq 7" }, "order", "[{\"column\":\"a\",\"operator\":\"eq\","
      "\"value\":1}]", { 0, "order" }, "{\"user\":7,\"a\":1}", 0, YES },
    { { "user eq 7" }, "order", "[{\"column\":\"a\",\"operator\":\"eq\","
      "\"value\":1}]", { 0, "order" }, "{\"user\":8,\"a\":1}", 0, NO },
    { { "user eq 7" }, NULL, "[{\"column\":\"a\",\"operator\":\"eq\","
      "\"value\":1},{\"column\":\"a\",\"operator\":\"neq\",\"value\":1,"
      "\"logic_operator\":\"OR\"}]", { 0 }, "{\"user\":8,\"a\":1}", 0, NO },
    { { "user eq 7" }, NULL, "[{\"column\":\"user\",\"operator\":\"eq\","
      "\"value\":8,\"logic_operator\":\"OR\"}]", { 0 }, "{\"user\":8}", 0,
      NO },
    { { "user eq 7" }, NULL, "[{\"column\":\"user\",\"operator\":\"eq\","
      "\"value\":8,\"logic_operator\":\"OR\"}]", { 0 }, "{\"user\":7}", 0,
      NO },
    { { "user eq 7" }, NULL, "[{\"column\":\"a\",\"operator\":\"in\","
      "\"value\":[]}]", { 0 }, "{\"user\":7,\"a\":1}", 0, NO },

    /* the row before the write and the row after it, each by itself */

    { { "user eq 7" }, NULL, NULL, { 0 }, "{\"user\":7}", "{\"user\":7}",
      YES },
    { { "user eq 7" }, NULL, NULL, { 0 }, "{\"user\":7}", "{\"user\":8}",
      IN },
    { { "user eq 7" }, NULL, NULL, { 0 }, "{\"user\":8}", "{\"user\":7}",
      HIDDEN },
    { { "user eq 7" }, NULL, NULL, { 0 }, 0, "{\"user\":7}", HIDDEN },
    { { "user eq 7" }, NULL, NULL, { 0 }, "{\"user\":8}", "{\"user\":9}",
      NO },
    { { "user eq 7" }, NULL, "[{\"column\":\"a\",\"operator\":\"eq\","
      "\"value\":1}]", { 0 }, "{\"user\":7,\"a\":2}", "{\"user\":7,\"a\":1}",
      LEFT },
    { { "user eq 7" }, NULL, "[{\"column\":\"a\",\"operator\":\"eq\","
      "\"value\":1}]", { 0 }, "{\"user\":8,\"a\":1}", "{\"user\":7,\"a\":1}",
      HIDDEN },
    { { "user eq 7" }, NULL, "[{\"column\":\"a\",\"operator\":\"eq\","
      "\"value\":1}]", { 0 }, "{\"user\":7,\"a\":2}", "{\"user\":8,\"a\":1}",
      NO },
    { { "user eq 7" }, NULL, "[{\"column\":\"a\",\"operator\":\"eq\","
      "\"value\":1}]", { 0 }, "{\"user\":7,\"a\":1}", "{\"user\":8,\"a\":1}",
      IN },
    { { "schema eq public" }, NULL, "[{\"column\":\"a\",\"operator\":\"eq\","
      "\"value\":1}]", { 0, 0, 0, 0, "public" }, "{\"a\":2}", "{\"a\":1}",
      LEFT },
    { { "schema eq public" }, NULL, "[{\"column\":\"a\",\"operator\":\"eq\","
      "\"value\":1}]", { 0, 0, 0, 0, "other" }, "{\"a\":1}", "{\"a\":1}",
      NO },
    { { "entity_type eq order" }, NULL, "[{\"column\":\"a\",\"operator\":"
      "\"eq\",\"value\":1}]", { 0, "order" }, "{\"a\":2}", "{\"a\":1}",
      LEFT }
};


static const struct {
    const char  *forced;
    const char  *error;
} bad[] = {
    { "a is 1", "unknown operator, expected one of " WSB_WHERE_OPERATORS },
    { "a EQ 1", "unknown operator, expected one of " WSB_WHERE_OPERATORS },
    { "a eq ", "the value is empty" },
    { "a in ,", "the value is empty" },
    { "entity_type in ,,,", "the value is empty" },
    { "a..b eq 1", "column has an empty key" },
    { "data. eq 1", "column has an empty key" },
    { "a.b.c.d.e.f.g.h.i eq 1", "column has more than 8 keys" },
    { "a eq \xff", "the value is no text" },
    { "a like \xed\xa0\x80", "the value is no text" },
    { "entity_type eq \xff", "the value is no text" },
    { "action in created,\xff", "the value is no text" },
    { "schema eq \xff", "the value is no text" }
};


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


static void
split(const char *text, wsb_forced_t *f)
{
    const char  *a, *b;

    a = strchr(text, ' ');
    b = strchr(a + 1, ' ');

    f->field.data = (const uint8_t *) text;
    f->field.len = a - text;
    f->op.data = (const uint8_t *) a + 1;
    f->op.len = b - a - 1;
    f->value = str(b + 1);
}


static wsb_where_t *
where_of(const char *text)
{
    wsb_json_t         value;
    wsb_where_t       *where;
    wsb_json_error_t   err;
    wsb_where_error_t  where_err;

    static const wsb_json_limits_t  limits = { 32, 0 };

    if (text == NULL) {
        return NULL;
    }

    if (wsb_json_parse(str(text), &limits, &value, &err) != WSB_OK
        || wsb_where_parse(&value, &where, &where_err) != WSB_OK)
    {
        abort();
    }

    return where;
}


static void
event_of(const case_t *c, wsb_event_t *ev)
{
    unsigned  i;

    static const wsb_field_t  field[] = {
        WSB_KIND, WSB_ENTITY_TYPE, WSB_ACTION, WSB_ENTITY_ID, WSB_SCHEMA,
        WSB_SECTION
    };

    memset(ev, 0, sizeof(wsb_event_t));

    for (i = 0; i < len(field); i++) {
        ev->field[field[i]] = str(c->event[i]);
    }

    ev->field[WSB_DATA] = str(c->data);
    ev->field[WSB_OLD] = str(c->old);
}


static void
matched(void *ctx, wsb_node_t *node, wsb_change_t change)
{
    (void) node;
    *(int *) ctx = change;
}


static void
test_case(const case_t *c)
{
    int                 got, one;
    unsigned            n;
    wsb_str_t           type;
    wsb_sub_t           sub;
    wsb_plan_t         *plan;
    wsb_index_t        *index;
    wsb_event_t         ev;
    wsb_parts_t         parts;
    wsb_filter_t        filter;
    wsb_change_t        change;
    wsb_forced_t        forced[4];
    wsb_restrict_t     *restricted;
    wsb_where_error_t   err;

    for (n = 0; n < 4 && c->forced[n] != NULL; n++) {
        split(c->forced[n], &forced[n]);
    }

    if (wsb_restrict_create(secret, forced, n, &restricted, &err) != WSB_OK) {
        ok(0, "%s: %s", c->forced[0], err.text);
        return;
    }

    memset(&filter, 0, sizeof(wsb_filter_t));

    type = str(c->type);

    if (c->type != NULL) {
        filter.value[WSB_ENTITY_TYPE] = &type;
        filter.n[WSB_ENTITY_TYPE] = 1;
    }

    filter.where = where_of(c->where);

    plan = wsb_plan_create(secret, str(NULL), &filter, restricted);
    index = wsb_index_create(secret);

    memset(&sub, 0, sizeof(wsb_sub_t));

    if (plan == NULL || index == NULL
        || wsb_index_add(index, plan, &sub) != WSB_OK)
    {
        abort();
    }

    event_of(c, &ev);
    wsb_key_parts(secret, &ev, &parts);

    got = NO;
    (void) wsb_index_match(index, &parts, &ev, matched, &got);

    (void) wsb_index_begin(index, &ev);
    one = wsb_index_node_matches(index, sub.node, &parts,
                                 &change) ? (int) change
                                                           : NO;

    ok(got == c->want && one == c->want, "%s%s%s of %s, %s, old %s: %d, %d",
       c->forced[0], c->type ? ", " : "", c->type ? c->type : "",
       c->event[1] ? c->event[1] : "-", c->data ? c->data : "-",
       c->old ? c->old : "-", got, one);

    wsb_index_remove(index, &sub);
    wsb_index_destroy(index);
    wsb_restrict_free(restricted);
    free(plan);
    free(filter.where);
}


static void
test_bad(void)
{
    unsigned            i;
    wsb_rc_t            rc;
    wsb_forced_t        f;
    wsb_restrict_t     *forced;
    wsb_where_error_t   err;

    for (i = 0; i < len(bad); i++) {
        split(bad[i].forced, &f);
        memset(&err, 0, sizeof(err));

        rc = wsb_restrict_create(secret, &f, 1, &forced, &err);

        ok(rc == WSB_ERROR && forced == NULL
           && strcmp(err.text, bad[i].error) == 0,
           "%s: %s", bad[i].error, err.text);
    }

    split("a eq x", &f);
    f.value.data = (const uint8_t *) "ac\0me";
    f.value.len = 5;

    ok(wsb_restrict_create(secret, &f, 1, &forced, &err) == WSB_ERROR,
       "a NUL: %s", err.text);
}


/* A pattern of it matches the value alone, whatever the value is. */

static void
test_literal(void)
{
    unsigned            i, j;
    wsb_str_t           tokens;
    wsb_text_t          t;

    static const char *const  names[] = {
        "ann", "%", "_", "\\", "b_b", "bob", "100%", "100x", "a\\%b", "a%b",
        "a\\b", "ab", "\\\\", "\\_", "x\\"
    };

    for (i = 0; i < len(names); i++) {
        memset(&t, 0, sizeof(t));
        wsb_restrict_literal(&t, str(names[i]));

        tokens.data = t.data;
        tokens.len = wsb_like_compile(t.data, (wsb_str_t) { t.len, t.data },
                                      0);

        for (j = 0; j < len(names); j++) {
            ok(wsb_like_match(tokens, str(names[j]), 0) == (i == j),
               "%s, literally, and %s", names[i], names[j]);
        }

        wsb_text_done(&t);
    }
}


/* What is too much is refused, for routing fields and for columns. */

static void
test_bounds(void)
{
    char                list[3000], quotes[WSB_RESTRICT_VALUE + 1], *p;
    unsigned            i;
    wsb_forced_t        f, many[WSB_RESTRICT_CONDITIONS + 1];
    wsb_restrict_t     *forced;
    wsb_where_error_t   err;

    p = list;

    for (i = 0; i < 257; i++) {
        p += sprintf(p, "%s%u", i ? "," : "", i);
    }

    split("a in 1", &f);
    f.value = str(list);

    ok(wsb_restrict_create(secret, &f, 1, &forced, &err) == WSB_ERROR
       && strcmp(err.text, "more than 256 values") == 0, "%s", err.text);

    /* each of these takes two bytes in JSON */

    memset(quotes, '"', sizeof(quotes) - 1);
    quotes[sizeof(quotes) - 1] = '\0';

    f.op = str("eq");
    f.value = str(quotes);

    ok(wsb_restrict_create(secret, &f, 1, &forced, &err) == WSB_ERROR
       && strcmp(err.text, "the value is too long with its escapes") == 0,
       "%s", err.text);

    f.op = str("in");
    f.value = str(list);
    f.field = str("entity_id");

    ok(wsb_restrict_create(secret, &f, 1, &forced, &err) == WSB_ERROR
       && strcmp(err.text, "more than 128 values") == 0, "%s", err.text);

    for (i = 0; i <= WSB_RESTRICT_CONDITIONS; i++) {
        split("a eq 1", &many[i]);
    }

    ok(wsb_restrict_create(secret, many, i, &forced, &err) == WSB_ERROR
       && strcmp(err.text, "more than 16 conditions") == 0, "%s", err.text);
}


/* Without memory there is no plan, and nothing is lost. */

static void
test_memory(void)
{
    size_t              before;
    unsigned            i, made;
    wsb_plan_t         *plan;
    wsb_filter_t        filter;
    wsb_forced_t        f[3];
    wsb_restrict_t     *forced;
    wsb_where_error_t   err;

    split("user in 7,8", &f[0]);
    split("schema eq public", &f[1]);
    split("entity_type eq order", &f[2]);

    memset(&filter, 0, sizeof(wsb_filter_t));
    filter.where = where_of("[{\"column\":\"a\",\"operator\":\"eq\","
                            "\"value\":1}]");
    before = live;

    for (i = 1; i < 100; i++) {
        calls = 0;
        fail_at = i;
        forced = NULL;
        plan = NULL;

        if (wsb_restrict_create(secret, f, 3, &forced, &err) == WSB_OK) {
            plan = wsb_plan_create(secret, str(NULL), &filter, forced);
        }

        fail_at = 0;
        made = plan != NULL;

        wsb_free(plan);
        wsb_restrict_free(forced);

        if (made || live != before) {
            break;
        }
    }

    ok(made && i > 5, "made when the allocation that fails is number %u", i);
    is_uint(live, before, "and nothing is lost");

    wsb_free(filter.where);
}


int
main(void)
{
    unsigned  i;

    for (i = 0; i < len(cases); i++) {
        test_case(&cases[i]);
    }

    test_bad();
    test_literal();
    test_bounds();
    test_memory();

    return tap_done();
}

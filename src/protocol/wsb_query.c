/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_query.h"

#include "../json/wsb_json.h"


#define WSB_QUERY_SINCE           2       /* bit of the second option */
#define WSB_QUERY_SNAPSHOT        16      /* of the fifth */


/* One parameter: name and value are decoded, in memory of its own. */

typedef struct {
    const uint8_t        *pos;            /* of the query, what is left */
    const uint8_t        *last;
    wsb_str_t             name;
    wsb_str_t             value;
    uint8_t              *memory;         /* of both; as much as the query */
    size_t                used;
} wsb_query_walk_t;


static int wsb_query_next(wsb_query_walk_t *walk);
static wsb_str_t wsb_query_decode(wsb_query_walk_t *walk,
    const uint8_t *pos, const uint8_t *last);
static int wsb_query_hex(uint8_t c);
static wsb_rc_t wsb_query_field(wsb_text_t *t, wsb_str_t args,
    wsb_query_walk_t *walk, const char *name, unsigned *total,
    const char **why);
static void wsb_query_values(wsb_text_t *t, wsb_str_t value, unsigned *n);
static wsb_rc_t wsb_query_option(wsb_text_t *t, const wsb_query_walk_t *walk,
    wsb_query_t *query, unsigned *seen, const char **why);
static wsb_rc_t wsb_query_number(wsb_str_t value, uint64_t max, uint64_t *n);


static const char *const  wsb_query_fields[] = {
    "kind", "entity_type", "event_type", "entity_id", NULL
};


wsb_rc_t
wsb_query_subscribe(wsb_text_t *t, wsb_str_t args, wsb_query_t *query,
    const char **why)
{
    wsb_rc_t          rc;
    unsigned          i, total, seen;
    wsb_query_walk_t  walk;

    query->wait = -1;
    query->limit = 0;

    memset(&walk, 0, sizeof(wsb_query_walk_t));

    walk.memory = wsb_malloc(args.len + 1);

    if (walk.memory == NULL) {
        return WSB_NOMEM;
    }

    wsb_text_lit(t, "{\"type\":\"subscribe\",\"filter\":{");

    rc = WSB_OK;
    total = 0;

    for (i = 0; wsb_query_fields[i] != NULL && rc == WSB_OK; i++) {
        rc = wsb_query_field(t, args, &walk, wsb_query_fields[i], &total,
                             why);
    }

    wsb_text_lit(t, "}");

    seen = 0;

    walk.pos = args.data;
    walk.last = args.data + args.len;

    while (rc == WSB_OK && wsb_query_next(&walk)) {
        rc = wsb_query_option(t, &walk, query, &seen, why);
    }

    wsb_free(walk.memory);

    if (rc != WSB_OK) {
        return rc;
    }

    if (query->wait >= 0 && (seen & WSB_QUERY_SNAPSHOT)) {
        *why = "a snapshot is for a stream, not for an answer with wait";
        return WSB_ERROR;
    }

    if (query->since.data != NULL) {
        wsb_text_lit(t, ",\"since\":");
        wsb_text_json(t, query->since);

    } else if (query->wait == 0 && !(seen & WSB_QUERY_SINCE)) {
        /* what has been, from its beginning */
        wsb_text_lit(t, ",\"since\":\"first\"");
    }

    wsb_text_lit(t, "}");

    return t->failed ? WSB_NOMEM : WSB_OK;
}


/* All values of this field, from wherever they stand in the query. */

static wsb_rc_t
wsb_query_field(wsb_text_t *t, wsb_str_t args, wsb_query_walk_t *walk,
    const char *name, unsigned *total, const char **why)
{
    unsigned    n;
    wsb_text_t  values;

    memset(&values, 0, sizeof(wsb_text_t));

    n = 0;

    walk->pos = args.data;
    walk->last = args.data + args.len;

    while (wsb_query_next(walk)) {
        if (wsb_str_eq(&walk->name, name)) {
            wsb_query_values(&values, walk->value, &n);
        }
    }

    *total += n;

    if (n != 0) {
        wsb_text_lit(t, t->data != NULL && t->data[t->len - 1] == '{' ? "\""
                                                                      : ",\"");
        wsb_text_lit(t, name);
        wsb_text_lit(t, n == 1 ? "\":" : "\":[");
        wsb_text_add(t, values.data, values.len);
        wsb_text_lit(t, n == 1 ? "" : "]");
    }

    t->failed |= values.failed;
    wsb_text_done(&values);

    if (*total > WSB_QUERY_VALUES) {
        *why = "the query has more than 128 values";
        return WSB_ERROR;
    }

    return WSB_OK;
}


/* A comma is "or"; an empty value is none. */

static void
wsb_query_values(wsb_text_t *t, wsb_str_t value, unsigned *n)
{
    wsb_str_t       one;
    const uint8_t  *last, *comma;

    last = value.data + value.len;

    for (one.data = value.data; one.data < last; one.data = comma + 1) {

        comma = memchr(one.data, ',', (size_t) (last - one.data));
        comma = comma ? comma : last;
        one.len = (size_t) (comma - one.data);

        if (one.len != 0) {
            wsb_text_lit(t, (*n)++ ? "," : "");
            wsb_text_json(t, one);
        }
    }
}


static wsb_rc_t
wsb_query_option(wsb_text_t *t, const wsb_query_walk_t *walk,
    wsb_query_t *query, unsigned *seen, const char **why)
{
    unsigned          i;
    uint64_t          n;
    wsb_json_t        where;
    wsb_json_error_t  err;

    static const char *const  names[] = {
        "where", "since", "wait", "limit", "snapshot", NULL
    };

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    for (i = 0; names[i] != NULL; i++) {
        if (wsb_str_eq(&walk->name, names[i])) {
            break;
        }
    }

    if (names[i] == NULL || (*seen & 1u << i)) {
        /* another's, or the second of its name */
        return WSB_OK;
    }

    *seen |= 1u << i;

    switch (i) {

    case 0:
        if (wsb_json_parse(walk->value, &limits, &where, &err) != WSB_OK) {
            *why = "where is no JSON";
            return WSB_ERROR;
        }

        wsb_text_lit(t, ",\"where\":");
        wsb_text_str(t, walk->value);
        return WSB_OK;

    case 1:
        if (query->since.data == NULL) {
            wsb_text_lit(t, ",\"since\":");
            wsb_text_json(t, walk->value);
        }

        return WSB_OK;

    case 2:
        if (wsb_query_number(walk->value, WSB_QUERY_WAIT, &n) != WSB_OK) {
            *why = "wait must be a number of seconds from 0 to 3600";
            return WSB_ERROR;
        }

        query->wait = (int64_t) n;
        return WSB_OK;

    case 3:
        if (wsb_query_number(walk->value, WSB_QUERY_LIMIT, &n) != WSB_OK
            || n == 0)
        {
            *why = "limit must be a number from 1 to 10000";
            return WSB_ERROR;
        }

        query->limit = n;
        return WSB_OK;

    default:
        if (wsb_str_eq(&walk->value, "1")) {
            wsb_text_lit(t, ",\"snapshot\":true");
        }

        return WSB_OK;
    }
}


static wsb_rc_t
wsb_query_number(wsb_str_t value, uint64_t max, uint64_t *n)
{
    size_t  i;

    *n = 0;

    if (value.len == 0 || value.len > 9) {
        return WSB_ERROR;
    }

    for (i = 0; i < value.len; i++) {

        if (value.data[i] < '0' || value.data[i] > '9') {
            return WSB_ERROR;
        }

        *n = *n * 10 + (uint64_t) (value.data[i] - '0');
    }

    return *n <= max ? WSB_OK : WSB_ERROR;
}


/* The next one; what it points to lives until the one after it. */

static int
wsb_query_next(wsb_query_walk_t *walk)
{
    const uint8_t  *end, *equals;

    while (walk->pos != NULL && walk->pos < walk->last) {

        end = memchr(walk->pos, '&', (size_t) (walk->last - walk->pos));
        end = end ? end : walk->last;

        equals = memchr(walk->pos, '=', (size_t) (end - walk->pos));

        if (equals == NULL) {
            walk->pos = end + 1;
            continue;
        }

        walk->used = 0;
        walk->name = wsb_query_decode(walk, walk->pos, equals);
        walk->value = wsb_query_decode(walk, equals + 1, end);
        walk->pos = end + 1;

        return 1;
    }

    return 0;
}


/* As application/x-www-form-urlencoded: a plus is a space. */

static wsb_str_t
wsb_query_decode(wsb_query_walk_t *walk, const uint8_t *pos,
    const uint8_t *last)
{
    uint8_t    *dst;
    wsb_str_t   text;

    dst = walk->memory + walk->used;
    text.data = dst;

    for ( /* void */ ; pos < last; pos++) {

        if (*pos == '%' && last - pos > 2 && wsb_query_hex(pos[1]) >= 0
            && wsb_query_hex(pos[2]) >= 0)
        {
            *dst++ = (uint8_t) (wsb_query_hex(pos[1]) << 4
                                | wsb_query_hex(pos[2]));
            pos += 2;

        } else {
            *dst++ = *pos == '+' ? ' ' : *pos;
        }
    }

    text.len = (size_t) (dst - text.data);
    walk->used += text.len;

    return text;
}


static int
wsb_query_hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

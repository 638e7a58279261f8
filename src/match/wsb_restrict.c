/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_restrict.h"
#include "../event/wsb_uuid.h"

#include <stdio.h>


struct wsb_restrict_s {
    wsb_where_t          *where;          /* NULL: none */
    unsigned              narrowed;       /* bit i: routing field i is */
    unsigned              never;          /* they contradict each other */
    uint16_t              n[WSB_NROUTING];
    wsb_key_t             hash[];         /* sorted, field by field */
};


/* While it is being made. */

typedef struct {
    const uint8_t        *key;
    const wsb_forced_t   *condition;      /* the one in hand */
    wsb_set_t             sets[WSB_NROUTING];
    unsigned              narrowed;
    unsigned              never;
    wsb_where_t          *where;
    wsb_where_error_t    *err;
} wsb_restrictor_t;


static wsb_rc_t wsb_restrict_condition(wsb_restrictor_t *rs);
static int wsb_restrict_field(const wsb_str_t *name, wsb_field_t *field);
static wsb_rc_t wsb_restrict_narrow(wsb_restrictor_t *rs, wsb_field_t field);
static wsb_rc_t wsb_restrict_join(wsb_restrictor_t *rs, wsb_str_t column,
    int of_event, wsb_field_t field);
static wsb_rc_t wsb_restrict_parse(wsb_restrictor_t *rs,
    const wsb_text_t *text, wsb_where_t **where);
static void wsb_restrict_text(wsb_text_t *t, const wsb_forced_t *condition,
    wsb_str_t column, int of_event, wsb_field_t field);
static void wsb_restrict_begin(wsb_text_t *t, wsb_str_t column,
    wsb_str_t op);
static void wsb_restrict_string(wsb_text_t *t, wsb_str_t value,
    wsb_field_t field);
static int wsb_restrict_next(wsb_str_t *list, wsb_str_t *value);
static int wsb_restrict_is_order(const wsb_forced_t *condition);
static int wsb_restrict_is_number(wsb_str_t value);
static wsb_restrict_t *wsb_restrict_make(const wsb_restrictor_t *rs);
static wsb_rc_t wsb_restrict_fail(wsb_restrictor_t *rs, const char *reason);


static inline int
wsb_restrict_is(const wsb_forced_t *condition, const char *op)
{
    return wsb_str_eq(&condition->op, op);
}


static inline int
wsb_restrict_is_boolean(const wsb_str_t *value)
{
    return wsb_str_eq(value, "true") || wsb_str_eq(value, "false");
}


wsb_rc_t
wsb_restrict_create(const uint8_t key[16], const wsb_forced_t *conditions,
    unsigned n, wsb_restrict_t **forced, wsb_where_error_t *err)
{
    unsigned           i;
    wsb_rc_t           rc;
    wsb_restrictor_t  *rs;

    *forced = NULL;

    rs = wsb_malloc(sizeof(wsb_restrictor_t));
    if (rs == NULL) {
        return WSB_NOMEM;
    }

    memset(rs, 0, sizeof(wsb_restrictor_t));

    rs->key = key;
    rs->err = err;
    err->element = 0;
    rc = WSB_OK;

    if (n > WSB_RESTRICT_CONDITIONS) {
        rc = wsb_restrict_fail(rs, "more than 16 conditions");
    }

    for (i = 0; rc == WSB_OK && i < n; i++) {
        rs->condition = &conditions[i];
        rc = wsb_restrict_condition(rs);
        err->element = i;
    }

    if (rc == WSB_OK) {
        *forced = wsb_restrict_make(rs);
        rc = *forced ? WSB_OK : WSB_NOMEM;
    }

    if (rc != WSB_OK) {
        wsb_free(rs->where);
    }

    wsb_free(rs);

    return rc;
}


void
wsb_restrict_free(wsb_restrict_t *forced)
{
    if (forced != NULL) {
        wsb_free(forced->where);
        wsb_free(forced);
    }
}


wsb_rc_t
wsb_restrict_apply(const wsb_restrict_t *forced,
    wsb_set_t sets[WSB_NROUTING], const wsb_where_t *where,
    wsb_where_t **joined)
{
    unsigned           i, never;
    wsb_rc_t           rc;
    wsb_where_t       *all;
    const wsb_key_t   *hash;

    /* the operator WSB_WHERE_NEVER, without a column */

    static const union {
        wsb_where_t       where;
        uint8_t           bytes[sizeof(wsb_where_t) + 4];
    } nothing = { .where = { sizeof(wsb_where_t) + 1, 1, 1, 0 } };

    hash = forced->hash;
    never = forced->never;

    for (i = 0; i < WSB_NROUTING; i++) {

        if (!(forced->narrowed & 1u << i)) {
            continue;
        }

        if (sets[i].n != 0) {
            wsb_set_keep(&sets[i], hash, forced->n[i]);
            never |= sets[i].n == 0;
        }

        /* the keys of a plan that never matches are those of what it may see */

        if (sets[i].n == 0) {
            memcpy(sets[i].hash, hash, forced->n[i] * sizeof(wsb_key_t));
            sets[i].n = forced->n[i];
        }

        hash += forced->n[i];
    }

    *joined = NULL;

    if (forced->where != NULL) {
        rc = wsb_where_join(where, forced->where, 0, 0, joined);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    if (!never) {
        return WSB_OK;
    }

    rc = wsb_where_join(*joined ? *joined : where, &nothing.where,
                        WSB_WHERE_FORCED, 0, &all);

    wsb_free(*joined);
    *joined = rc == WSB_OK ? all : NULL;

    return rc;
}


void
wsb_restrict_literal(wsb_text_t *t, wsb_str_t value)
{
    size_t  i;

    for (i = 0; i < value.len; i++) {

        if (value.data[i] == '%' || value.data[i] == '_'
            || value.data[i] == '\\')
        {
            wsb_text_lit(t, "\\");
        }

        wsb_text_add(t, &value.data[i], 1);
    }
}


static wsb_rc_t
wsb_restrict_condition(wsb_restrictor_t *rs)
{
    int           of_event;
    wsb_str_t     column, list, value;
    wsb_field_t   field;

    column = rs->condition->field;

    if (wsb_where_operator(rs->condition->op) == WSB_WHERE_NEVER) {
        return wsb_restrict_fail(rs, "unknown operator, expected one of "
                                     WSB_WHERE_OPERATORS);
    }

    list = rs->condition->value;

    if (rs->condition->value.len == 0
        || (wsb_restrict_is(rs->condition, "in")
            && !wsb_restrict_next(&list, &value)))
    {
        return wsb_restrict_fail(rs, "the value is empty");
    }

    if (rs->condition->value.len > WSB_RESTRICT_VALUE) {
        return wsb_restrict_fail(rs, "the value is longer than 4096 bytes");
    }

    if (!wsb_text_valid(rs->condition->value)) {
        return wsb_restrict_fail(rs, "the value is no text");
    }

    of_event = wsb_restrict_field(&column, &field);

    if (of_event && field < WSB_NROUTING
        && (wsb_restrict_is(rs->condition, "eq")
            || wsb_restrict_is(rs->condition, "in")))
    {
        return wsb_restrict_narrow(rs, field);
    }

    return wsb_restrict_join(rs, column, of_event, field);
}


/* 1: it names a field of the event; 0: it is a column. */

static int
wsb_restrict_field(const wsb_str_t *name, wsb_field_t *field)
{
    unsigned  i;

    static const struct {
        const char       *name;
        wsb_field_t       field;
    } fields[] = {
        { "kind", WSB_KIND },
        { "entity_type", WSB_ENTITY_TYPE },
        { "action", WSB_ACTION },
        { "event_type", WSB_ACTION },
        { "entity_id", WSB_ENTITY_ID },
        { "schema", WSB_SCHEMA },
        { "section", WSB_SECTION }
    };

    *field = WSB_NFIELDS;

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (wsb_str_eq(name, fields[i].name)) {
            *field = fields[i].field;
            return 1;
        }
    }

    return 0;
}


static wsb_rc_t
wsb_restrict_narrow(wsb_restrictor_t *rs, wsb_field_t field)
{
    unsigned    n;
    wsb_set_t   set;
    wsb_str_t   list, value;
    wsb_key_t   hash;

    list = rs->condition->value;
    set.n = 0;

    if (wsb_restrict_is(rs->condition, "eq")) {
        hash = wsb_key_part(rs->key, field, list);
        wsb_set_add(&set, &hash);

    } else {

        for (n = 0; wsb_restrict_next(&list, &value); n++) {

            if (n == WSB_FILTER_VALUES) {
                return wsb_restrict_fail(rs, "more than 128 values");
            }

            hash = wsb_key_part(rs->key, field, value);
            wsb_set_add(&set, &hash);
        }
    }

    if (rs->narrowed & 1u << field) {
        wsb_set_keep(&rs->sets[field], set.hash, set.n);

    } else {
        rs->narrowed |= 1u << field;
        rs->sets[field] = set;
    }

    rs->never |= rs->sets[field].n == 0;

    return WSB_OK;
}


static wsb_rc_t
wsb_restrict_join(wsb_restrictor_t *rs, wsb_str_t column, int of_event,
    wsb_field_t field)
{
    wsb_rc_t      rc;
    wsb_text_t    text;
    wsb_where_t  *where, *all;

    memset(&text, 0, sizeof(wsb_text_t));

    wsb_restrict_text(&text, rs->condition, column, of_event, field);

    rc = text.failed ? WSB_NOMEM : wsb_restrict_parse(rs, &text, &where);

    wsb_text_done(&text);

    if (rc != WSB_OK) {
        return rc;
    }

    rc = wsb_where_join(rs->where, where,
                        WSB_WHERE_FORCED | (of_event ? WSB_WHERE_FIELD : 0),
                        field, &all);

    wsb_free(where);

    if (rc == WSB_OK) {
        wsb_free(rs->where);
        rs->where = all;

        if (all->len <= WSB_RESTRICT_BYTES) {
            return WSB_OK;
        }

        rc = WSB_ERROR;
    }

    return rc == WSB_ERROR
               ? wsb_restrict_fail(rs, "the values are too long")
               : rc;
}


/* The conditions are parsed as a client's are: what is text there is text. */

static wsb_rc_t
wsb_restrict_parse(wsb_restrictor_t *rs, const wsb_text_t *text,
    wsb_where_t **where)
{
    wsb_rc_t            rc;
    wsb_str_t           s;
    wsb_json_t          array;
    wsb_json_error_t    error;

    static const wsb_json_limits_t  limits = { 8, 2 };

    if (text->len > WSB_WHERE_TEXT) {
        return wsb_restrict_fail(rs, "the value is too long with its escapes");
    }

    s.data = text->data;
    s.len = text->len;

    if (wsb_json_parse(s, &limits, &array, &error) != WSB_OK) {
        return wsb_restrict_fail(rs, "the field is no text");
    }

    rc = wsb_where_parse(&array, where, rs->err);

    /* there is no array for whoever reads it */

    if (rc == WSB_ERROR && memcmp(rs->err->text, "where[", 6) == 0) {
        memmove(rs->err->text, rs->err->text + 10,
                sizeof(rs->err->text) - 10);
    }

    return rc;
}


/* The condition as a client would write it. */

static void
wsb_restrict_text(wsb_text_t *t, const wsb_forced_t *condition,
    wsb_str_t column, int of_event, wsb_field_t field)
{
    int        list;
    unsigned   n;
    wsb_str_t  rest, value;

    static const wsb_str_t  any = wsb_string("in");

    value = condition->value;
    list = wsb_restrict_is(condition, "in");

    wsb_text_lit(t, "[");

    if (list || wsb_restrict_is(condition, "eq")) {

        wsb_restrict_begin(t, column, any);
        wsb_text_lit(t, "[");

        rest = value;

        for (n = 0; list ? wsb_restrict_next(&rest, &value) : n == 0; n++) {
            wsb_text_lit(t, n ? "," : "");
            wsb_restrict_string(t, value, field);

            if (!of_event && wsb_restrict_is_boolean(&value)) {
                wsb_text_lit(t, ",");
                wsb_text_str(t, value);
            }
        }

        wsb_text_lit(t, "]}]");
        return;
    }

    /* unequal to the text and unequal to the boolean */

    if (wsb_restrict_is(condition, "neq") && !of_event
        && wsb_restrict_is_boolean(&value))
    {
        wsb_restrict_begin(t, column, condition->op);
        wsb_text_str(t, value);
        wsb_text_lit(t, "},");
    }

    wsb_restrict_begin(t, column, condition->op);

    if (wsb_restrict_is_order(condition) && wsb_restrict_is_number(value)) {
        wsb_text_str(t, value);

    } else {
        wsb_restrict_string(t, value, field);
    }

    wsb_text_lit(t, "}]");
}


static void
wsb_restrict_begin(wsb_text_t *t, wsb_str_t column, wsb_str_t op)
{
    wsb_text_lit(t, "{\"column\":");
    wsb_text_json(t, column);
    wsb_text_lit(t, ",\"operator\":\"");
    wsb_text_str(t, op);
    wsb_text_lit(t, "\",\"value\":");
}


static void
wsb_restrict_string(wsb_text_t *t, wsb_str_t value, wsb_field_t field)
{
    uint8_t  norm[WSB_UUID_LEN];

    if (field == WSB_ENTITY_ID) {
        value = wsb_uuid_norm(value, norm);
    }

    wsb_text_json(t, value);
}


/* The next of a list with commas, as it is; nothing is none. */

static int
wsb_restrict_next(wsb_str_t *list, wsb_str_t *value)
{
    size_t  n;

    while (list->len > 0) {

        for (n = 0; n < list->len && list->data[n] != ','; n++) {
            /* void */
        }

        value->data = list->data;
        value->len = n;

        n += n < list->len;

        list->data += n;
        list->len -= n;

        if (value->len > 0) {
            return 1;
        }
    }

    return 0;
}


static int
wsb_restrict_is_order(const wsb_forced_t *condition)
{
    return wsb_restrict_is(condition, "gt")
           || wsb_restrict_is(condition, "gte")
           || wsb_restrict_is(condition, "lt")
           || wsb_restrict_is(condition, "lte");
}


static int
wsb_restrict_is_number(wsb_str_t value)
{
    wsb_json_t        number;
    wsb_json_error_t  error;

    static const wsb_json_limits_t  limits = { 1, 0 };

    return wsb_json_parse(value, &limits, &number, &error) == WSB_OK
           && number.type == WSB_JSON_NUMBER;
}


static wsb_restrict_t *
wsb_restrict_make(const wsb_restrictor_t *rs)
{
    unsigned         i, n;
    wsb_restrict_t  *forced;

    n = 0;

    for (i = 0; i < WSB_NROUTING; i++) {
        n += rs->sets[i].n;
    }

    forced = wsb_malloc(sizeof(wsb_restrict_t) + n * sizeof(wsb_key_t));
    if (forced == NULL) {
        return NULL;
    }

    forced->where = rs->where;
    forced->narrowed = rs->narrowed;
    forced->never = rs->never;

    n = 0;

    for (i = 0; i < WSB_NROUTING; i++) {
        forced->n[i] = rs->sets[i].n;
        memcpy(&forced->hash[n], rs->sets[i].hash,
               rs->sets[i].n * sizeof(wsb_key_t));
        n += rs->sets[i].n;
    }

    return forced;
}


static wsb_rc_t
wsb_restrict_fail(wsb_restrictor_t *rs, const char *reason)
{
    snprintf(rs->err->text, sizeof(rs->err->text), "%s", reason);

    return WSB_ERROR;
}

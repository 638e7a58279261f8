/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The tenant protocol: what EasySale speaks.  A connection belongs to the
 * tenant that its URL names, and hears that something of it has changed;
 * what, it asks elsewhere.
 *
 * Messages are tagged from outside: an object with one member, named after
 * the message, or, without fields, the bare name as a string.
 */

#include "wsb_tenant.h"
#include "../event/wsb_form.h"
#include "../json/wsb_json.h"


static wsb_rc_t wsb_tenant_decode(const wsb_context_t *context,
    wsb_str_t message, wsb_op_t *op);
static void wsb_tenant_object(wsb_op_t *op, const wsb_json_t *message);
static void wsb_tenant_ignore(wsb_op_t *op, const char *why);
static void wsb_tenant_filter(wsb_text_t *t, const wsb_filter_t *filter);
static void wsb_tenant_pong(wsb_text_t *t, const wsb_op_t *op,
    wsb_str_t last_id);
static void wsb_tenant_gap(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t tenant, const uint8_t *client, uint32_t ordinal, int aware,
    wsb_str_t from, wsb_str_t to, const char *reason);
static void wsb_tenant_body(wsb_text_t *t, const wsb_event_t *ev,
    wsb_str_t event_id);
static const char *wsb_tenant_change(wsb_str_t action);
static void wsb_tenant_changed(wsb_text_t *t, wsb_str_t tenant,
    const char *change);
static void wsb_tenant_arg(wsb_str_t args, uint8_t *dst, wsb_str_t *tenant);
static const char *wsb_tenant_refuse(wsb_str_t tenant);


/* Its clients expect a Ping each 5 s, and to be gone after 10 s of silence. */

const wsb_codec_t  wsb_codec_tenant = {
    .name = "tenant",
    .ping_interval = 5000,
    .pong_timeout = 10000,
    .life = WSB_LIFE_CONTROL,
    .implicit = 1,
    .tenant = wsb_tenant_arg,
    .refuse_tenant = wsb_tenant_refuse,
    .decode = wsb_tenant_decode,
    .filter = wsb_tenant_filter,
    .pong = wsb_tenant_pong,
    .gap = wsb_tenant_gap,
    .body = wsb_tenant_body
};


/* A client has nothing to say but "Ping".  There are no errors. */

static wsb_rc_t
wsb_tenant_decode(const wsb_context_t *context, wsb_str_t message,
    wsb_op_t *op)
{
    wsb_json_t        value;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = {
        WSB_MESSAGE_DEPTH, WSB_MESSAGE_DEPTH
    };

    (void) context;

    if (wsb_json_parse(message, &limits, &value, &err) != WSB_OK) {
        wsb_tenant_ignore(op, "invalid_json");

    } else if (value.type == WSB_JSON_OBJECT) {
        wsb_tenant_object(op, &value);

    } else if (value.type != WSB_JSON_STRING) {
        wsb_tenant_ignore(op, "unknown_message");

    } else if (wsb_json_key_is(&value, "Ping")) {
        op->type = WSB_OP_ASK_PONG;

    } else if (wsb_json_key_is(&value, "Pong")) {
        wsb_tenant_ignore(op, "pong");

    } else {
        wsb_tenant_ignore(op, "unknown_message");
    }

    return WSB_OK;
}


static void
wsb_tenant_object(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_json_t       key, value, more;
    wsb_json_walk_t  walk;

    wsb_tenant_ignore(op, "unknown_message");

    wsb_json_enter(&walk, message);

    if (wsb_json_member(&walk, &key, &value) != WSB_OK
        || wsb_json_member(&walk, &more, &more) == WSB_OK)
    {
        return;
    }

    if (wsb_json_key_is(&key, "Ping") && value.type == WSB_JSON_NULL) {
        op->type = WSB_OP_ASK_PONG;
        op->code = NULL;

    } else if (wsb_json_key_is(&key, "Pong") && value.type == WSB_JSON_NULL) {
        wsb_tenant_ignore(op, "pong");

    } else if (wsb_json_key_is(&key, "ConfigChanged")) {
        wsb_tenant_ignore(op, "config_changed");
    }
}


static void
wsb_tenant_ignore(wsb_op_t *op, const char *why)
{
    op->type = WSB_OP_NOTHING;
    op->code = why;
}


/* There is but one: everything of the tenant. */

static void
wsb_tenant_filter(wsb_text_t *t, const wsb_filter_t *filter)
{
    (void) filter;

    wsb_text_lit(t, "{}");
}


static void
wsb_tenant_pong(wsb_text_t *t, const wsb_op_t *op, wsb_str_t last_id)
{
    (void) op;
    (void) last_id;

    wsb_text_lit(t, "\"Pong\"");
}


/* Whatever it was: the client looks at all of it again. */

static void
wsb_tenant_gap(wsb_text_t *t, const wsb_context_t *context, wsb_str_t tenant,
    const uint8_t *client, uint32_t ordinal, int aware, wsb_str_t from,
    wsb_str_t to, const char *reason)
{
    (void) context;
    (void) client;
    (void) ordinal;
    (void) aware;
    (void) from;
    (void) to;
    (void) reason;

    wsb_tenant_changed(t, tenant, "modified");
}


static void
wsb_tenant_body(wsb_text_t *t, const wsb_event_t *ev, wsb_str_t event_id)
{
    (void) event_id;

    wsb_tenant_changed(t, ev->field[WSB_TENANT],
                       wsb_tenant_change(ev->field[WSB_ACTION]));
}


/* There are three words: what is neither new nor gone is modified. */

static const char *
wsb_tenant_change(wsb_str_t action)
{
    if (action.data != NULL) {

        if (wsb_str_eq(&action, "created")) {
            return "created";
        }

        if (wsb_str_eq(&action, "deleted")) {
            return "deleted";
        }
    }

    return "modified";
}


static void
wsb_tenant_changed(wsb_text_t *t, wsb_str_t tenant, const char *change)
{
    wsb_text_lit(t, "{\"ConfigChanged\":{\"tenant_id\":");
    wsb_text_json(t, tenant);
    wsb_text_lit(t, ",\"change_type\":\"");
    wsb_text_lit(t, change);
    wsb_text_lit(t, "\"}}");
}


/*
 * application/x-www-form-urlencoded, names as well as values.  Other
 * parameters may be anything.  dst is used for each of them in turn, and the
 * value stays at its start.
 */

static void
wsb_tenant_arg(wsb_str_t args, uint8_t *dst, wsb_str_t *tenant)
{
    size_t          len;
    unsigned        n;
    wsb_str_t       name, value, found;
    const uint8_t  *p, *last, *end, *eq;

    tenant->data = NULL;
    tenant->len = 0;

    if (args.len == 0) {
        return;
    }

    n = 0;
    found = *tenant;
    last = args.data + args.len;

    for (p = args.data; p < last; p = end + 1) {

        end = memchr(p, '&', last - p);
        end = end ? end : last;

        eq = memchr(p, '=', end - p);
        eq = eq ? eq : end;

        name.data = p;
        name.len = eq - p;

        if (wsb_form_decode(name, dst, &len) != WSB_OK
            || len != sizeof(WSB_TENANT_ARG) - 1
            || memcmp(dst, WSB_TENANT_ARG, len) != 0)
        {
            continue;
        }

        value.data = eq + (eq < end);
        value.len = end - value.data;

        found = value;
        n++;
    }

    if (n == 1 && wsb_form_decode(found, dst, &len) == WSB_OK) {
        tenant->data = dst;
        tenant->len = len;
    }
}


/*
 * No event has a tenant that is no UTF-8, holds a NUL or is longer than
 * WSB_TENANT_MAX: who names one would wait in vain.
 */

static const char *
wsb_tenant_refuse(wsb_str_t tenant)
{
    if (tenant.data == NULL
        || tenant.len > WSB_TENANT_MAX
        || !wsb_text_valid(tenant))
    {
        return WSB_TENANT_MISSING;
    }

    return tenant.len == 0 ? WSB_TENANT_EMPTY : NULL;
}

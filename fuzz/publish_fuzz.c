/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Bodies of publish requests.  The first byte has the format, a forced tenant
 * and the limits.  Each event of what is taken can be decoded, and rendered
 * as JSON that holds the published bytes.
 */

#define _GNU_SOURCE                     /* memmem() */

#include "fuzz.h"

#include "json/wsb_json.h"
#include "event/wsb_publish.h"
#include "event/wsb_timestamp.h"
#include "protocol/wsb_codec.h"


#define NDJSON   0x01
#define TENANT   0x02
#define SMALL    0x04
#define BARE     0x08
#define TARGET   0x10


static const uint8_t  key[16] = "0123456789abcde";


/* Does this stand in the body? */

static void
check_span(wsb_str_t body, wsb_str_t field)
{
    if (field.data != NULL) {
        fuzz_check(field.len != 0);
        fuzz_check(memmem(body.data, body.len, field.data, field.len)
                   != NULL);
    }
}


static void
check_word(wsb_str_t field)
{
    size_t  i, n;

    if (field.data == NULL) {
        return;
    }

    fuzz_check(field.len >= 1 && field.len <= 256);

    for (i = 0; i < field.len; i += n) {
        n = wsb_text_utf8(field.data + i, field.data + field.len);
        fuzz_check(n != 0 && field.data[i] != 0);
    }
}


/* The event in the message has no key twice: its payload may be anything. */

static void
check_members(const wsb_json_t *message)
{
    unsigned         i, n = 0;
    wsb_json_t       data, event, name[16], value;
    wsb_json_walk_t  walk;

    fuzz_check(wsb_json_get(message, "data", &data) == WSB_OK);
    fuzz_check(wsb_json_get(&data, "event", &event) == WSB_OK);
    fuzz_check(event.type == WSB_JSON_OBJECT);

    wsb_json_enter(&walk, &event);

    while (wsb_json_member(&walk, &name[n], &value) == WSB_OK) {

        for (i = 0; i < n; i++) {
            fuzz_check(!wsb_json_same(name[i].text, name[n].text));
        }

        fuzz_check(++n < 16);
    }
}


static void
check_event(const wsb_event_t *ev, wsb_str_t body)
{
    unsigned            i;
    wsb_rc_t            rc;
    wsb_str_t           message;
    wsb_json_t          value;
    wsb_text_t          t;
    wsb_json_error_t    err;

    static const wsb_str_t          id =
        wsb_string("01234567-89ab-8000-8000-000000000011");
    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 2 };

    for (i = 0; i < WSB_METADATA; i++) {
        check_word(ev->field[i]);
    }

    for (i = WSB_METADATA; i < WSB_NFIELDS; i++) {
        check_span(body, ev->field[i]);
    }

    fuzz_check(ev->field[WSB_KIND].data != NULL);
    fuzz_check(ev->field[WSB_ACTION].data != NULL);
    fuzz_check(ev->field[WSB_TIMESTAMP].data == NULL
               || wsb_timestamp_valid(ev->field[WSB_TIMESTAMP]));

    memset(&t, 0, sizeof(t));

    i = wsb_codec_bus.prefix(wsb_text_reserve(&t, WSB_PREFIX_MAX), NULL,
                             4294967295, WSB_CHANGE_ENTERED);
    fuzz_check(i <= WSB_PREFIX_MAX);
    t.len += i;

    wsb_codec_bus.body(&t, ev, id);
    fuzz_check(!t.failed);

    message.data = fuzz_copy(t.data, t.len);
    message.len = t.len;

    /* what was nested in the body just as deep as it may is now too deep */

    rc = wsb_json_parse(message, &limits, &value, &err);
    fuzz_check(rc == WSB_OK
               || strcmp(err.reason, "nesting is too deep") == 0);

    if (rc == WSB_OK) {
        check_members(&value);
    }

    free((void *) message.data);
    wsb_text_done(&t);
}


/* What is told of fields that are not known is JSON, and short. */

static void
check_ignored(const wsb_ignored_t *ignored)
{
    wsb_str_t         object;
    wsb_text_t        t;
    wsb_json_t        value;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { 2, 2 };

    memset(&t, 0, sizeof(t));

    wsb_text_lit(&t, "{\"published\":1");
    wsb_ignored_text(&t, ignored);
    wsb_text_lit(&t, "}");

    object.data = t.data;
    object.len = t.len;

    fuzz_check(wsb_json_parse(object, &limits, &value, &err) == WSB_OK);
    fuzz_check(t.len < 64 + WSB_IGNORED_NAMES
                            * (6 * WSB_IGNORED_NAME_MAX + 16));

    wsb_text_done(&t);
}


/* It is told in the section protocol, as one document. */

static void
check_targeted(const wsb_event_t *ev)
{
    unsigned           i;
    wsb_str_t          text;
    wsb_text_t         t;
    wsb_json_t         value;
    wsb_json_error_t   err;

    static const wsb_str_t  none = wsb_null_string;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    static const wsb_field_t  words[] = {
        WSB_ENTITY_TYPE, WSB_ACTION, WSB_ENTITY_ID, WSB_SECTION, WSB_USER,
        WSB_SESSION
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        check_word(ev->field[words[i]]);
    }

    fuzz_check(wsb_str_eq(&ev->field[WSB_KIND], "entity"));
    fuzz_check(wsb_str_eq(&ev->field[WSB_ACTION], "created")
               || wsb_str_eq(&ev->field[WSB_ACTION], "unknown"));
    fuzz_check(!wsb_str_eq(&ev->field[WSB_ENTITY_TYPE], "dish"));

    memset(&t, 0, sizeof(t));

    wsb_codec_section.body(&t, ev, none);
    fuzz_check(!t.failed);

    text.data = t.data;
    text.len = t.len;

    fuzz_check(wsb_json_parse(text, &limits, &value, &err) == WSB_OK);
    wsb_text_done(&t);
}


static wsb_rc_t
find(void *ctx, wsb_str_t name, wsb_str_t *entity)
{
    static const wsb_str_t  dishes = wsb_string("dishes");

    fuzz_check(ctx == NULL && name.len != 0);

    if (wsb_str_eq(&name, "dish")) {
        *entity = dishes;
    }

    return WSB_OK;
}


static void
check_batch(const wsb_batch_t *batch, const wsb_publish_conf_t *conf,
    wsb_str_t body)
{
    size_t        i, offset;
    wsb_event_t   ev;
    wsb_parts_t   parts;

    fuzz_check(batch->nentries != 0 || conf->target != NULL);
    fuzz_check(batch->len <= conf->batch.max_batch);

    offset = 0;

    for (i = 0; i < batch->nentries; i++) {
        fuzz_check(batch->entries[i].offset == offset);
        fuzz_check(batch->entries[i].len <= conf->batch.max_record);

        fuzz_check(wsb_event_decode(batch->records + offset,
                                    batch->entries[i].len, &ev)
                   == WSB_OK);

        if (conf->target != NULL && wsb_str_eq(&ev.field[WSB_KIND], "entity"))
        {
            check_targeted(&ev);

        } else {
            check_event(&ev, body);
        }

        fuzz_check(wsb_event_size(&ev) == batch->entries[i].len);

        wsb_key_parts(key, &ev, &parts);
        fuzz_check(memcmp(&parts, &batch->entries[i].parts, sizeof(parts))
                   == 0);

        if (conf->tenant.data != NULL) {
            fuzz_check(wsb_str_eq(&ev.field[WSB_TENANT], "forced"));
        }

        offset += batch->entries[i].len;
    }

    fuzz_check(offset == batch->len);

    check_ignored(batch->ignored);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t               i;
    wsb_rc_t             rc;
    wsb_str_t            body;
    wsb_batch_t          batch;
    wsb_problem_t        problem;
    wsb_publish_conf_t   conf;

    static const wsb_str_t  none = wsb_null_string;
    static const wsb_str_t  forced = wsb_string("forced");

    static const wsb_str_t  actions[] = {
        wsb_string("created"), wsb_string("unknown")
    };

    static const wsb_target_t  target = {
        wsb_string("tables"), actions, 2, find, NULL
    };

    if (size == 0) {
        return 0;
    }

    memset(&conf, 0, sizeof(conf));

    conf.batch.key = key;
    conf.target = data[0] & TARGET ? &target : NULL;
    conf.tenant = data[0] & TENANT ? forced : none;
    conf.bare = data[0] & BARE;
    conf.topic = data[0] & BARE ? forced : none;
    conf.batch.max_record = data[0] & SMALL ? 128 : 1 << 20;
    conf.batch.max_batch = data[0] & SMALL ? 256 : 1 << 20;

    body.data = fuzz_copy(data + 1, size - 1);
    body.len = size - 1;

    memset(&batch, 0, sizeof(batch));
    memset(&problem, 0xff, sizeof(problem));

    rc = wsb_publish_parse(&batch, data[0] & NDJSON ? WSB_FORMAT_NDJSON
                                                    : WSB_FORMAT_JSON,
                           body, &conf, &problem);

    if (rc == WSB_OK) {
        check_batch(&batch, &conf, body);

    } else {
        fuzz_check(rc == WSB_ERROR);
        fuzz_check(batch.nentries == 0 && batch.len == 0);
        fuzz_check(problem.status == 400 || problem.status == 413
                   || problem.status == 422);
        fuzz_check(problem.index >= -1 && problem.index <= (long) size);
        fuzz_check(problem.title != NULL);

        for (i = 0; problem.detail[i] != '\0'; i++) {
            fuzz_check(problem.detail[i] >= ' ' && problem.detail[i] < 0x7f
                       && problem.detail[i] != '"'
                       && problem.detail[i] != '\\');
        }

        fuzz_check(i != 0 && i < sizeof(problem.detail));
    }

    wsb_batch_done(&batch);
    free((void *) body.data);

    return 0;
}

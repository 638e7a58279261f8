/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A hook's answer: the first line is the metadata that a connection has, or
 * none, the rest the answer.
 *
 * Whatever it says, what becomes of it is strict JSON within its bounds: the
 * metadata, and what the next hook is told with it; and conditions have what a
 * condition has.
 */

#include "fuzz.h"

#include "rest/wsb_hook.h"


static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 1 };


static void
check_json(const wsb_text_t *t, wsb_json_t *value)
{
    wsb_str_t         text;
    wsb_json_error_t  err;

    fuzz_check(!t->failed);

    text.data = t->data;
    text.len = t->len;

    fuzz_check(wsb_json_parse(text, &limits, value, &err) == WSB_OK);
}


static int
is_object(wsb_str_t text)
{
    wsb_json_t        value;
    wsb_json_error_t  err;

    return text.len <= WSB_HOOK_METADATA
           && wsb_json_parse(text, &limits, &value, &err) == WSB_OK
           && value.type == WSB_JSON_OBJECT;
}


static void
check_metadata(wsb_str_t old, const wsb_json_t *change)
{
    size_t           len;
    uint8_t         *dst;
    wsb_str_t        text, name;
    wsb_text_t       t;
    wsb_json_t       value, key, member;
    const char      *why;
    wsb_json_walk_t  walk;

    memset(&t, 0, sizeof(t));

    if (wsb_hook_merge(&t, old, change, &why) != WSB_OK) {
        fuzz_check(why != NULL);
        wsb_text_done(&t);
        return;
    }

    check_json(&t, &value);
    fuzz_check(value.type == WSB_JSON_OBJECT && t.len <= WSB_HOOK_METADATA);

    text.data = t.data;
    text.len = t.len;

    dst = malloc(t.len + 1);
    fuzz_check(dst != NULL);

    wsb_json_enter(&walk, &value);

    while (wsb_json_member(&walk, &key, &member) == WSB_OK) {
        name.data = key.text.data + 1;
        name.len = key.text.len - 2;

        len = 0;

        if (wsb_hook_value(text, name, dst, &len) == WSB_OK) {
            fuzz_check(len <= t.len);
        }
    }

    free(dst);
    wsb_text_done(&t);
}


static void
check_filters(const wsb_json_t *filters)
{
    unsigned      i, n;
    uint8_t      *memory;
    const char   *why;
    wsb_forced_t  forced[WSB_RESTRICT_CONDITIONS];

    if (wsb_hook_filters(filters, forced, WSB_RESTRICT_CONDITIONS, &n, &memory,
                         &why)
        == WSB_OK)
    {
        fuzz_check(n <= WSB_RESTRICT_CONDITIONS);

        for (i = 0; i < n; i++) {
            fuzz_check(forced[i].field.data != NULL
                       && forced[i].op.data != NULL
                       && forced[i].value.data != NULL);
        }

    } else {
        fuzz_check(why != NULL);
    }

    wsb_free(memory);
}


static void
check_told(wsb_str_t metadata, const wsb_json_t *body,
    const wsb_hook_answer_t *answer)
{
    wsb_hook_t  told;
    wsb_json_t  value;
    wsb_text_t  t, claims;

    static const wsb_str_t  names[] = { wsb_string("sub"), wsb_string("a") };

    memset(&t, 0, sizeof(t));
    memset(&claims, 0, sizeof(claims));
    memset(&told, 0, sizeof(told));

    wsb_hook_claims(&claims, body, names, 2);
    check_json(&claims, &value);

    told.phase = "before_read";
    told.metadata = metadata;
    told.data = answer->data.text;
    told.claims.data = claims.data;
    told.claims.len = claims.len;
    told.status = 200;

    wsb_hook_text(&t, &told);
    check_json(&t, &value);

    wsb_text_done(&t);
    wsb_text_done(&claims);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t            *copy;
    wsb_str_t           old, metadata, text;
    wsb_json_t          body;
    const char         *why;
    wsb_json_error_t    err;
    wsb_hook_answer_t   answer;

    static const wsb_str_t  none = wsb_null_string;

    old = fuzz_line(&data, &size);
    metadata = is_object(old) ? old : none;

    copy = fuzz_copy(data, size);
    text.data = copy;
    text.len = size;

    if (wsb_json_parse(text, &limits, &body, &err) == WSB_OK) {

        if (wsb_hook_answer(&body, &answer, &why) == WSB_OK) {

            if (answer.metadata.text.data != NULL) {
                check_metadata(metadata, &answer.metadata);
            }

            if (answer.filters.text.data != NULL) {
                check_filters(&answer.filters);
            }

            check_told(metadata, &body, &answer);

        } else {
            fuzz_check(why != NULL);
        }
    }

    free(copy);
    free((void *) old.data);

    return 0;
}

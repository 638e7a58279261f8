/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Events that say whom they are for: entity, action and id under all their
 * names, whom, and what is dropped or refused.
 */

#include "event/wsb_publish.h"

#include <stdlib.h>

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))


static const uint8_t  key[16] = { 1, 2, 3 };

static const wsb_str_t  actions[] = {
    wsb_string("created"), wsb_string("unknown")
};


static const struct {
    const char  *body;
    const char  *want;              /* type action id section user session, of
                                       each event; or a status */
} bodies[] = {

    { "{\"entity\":\"x\",\"event_type\":\"created\",\"entity_id\":\"1\"}",
      "x created 1 - - -" },
    { "{\"entity\":\"dish\",\"event_type\":\"CREATED\",\"entity_id\":7}",
      "dishes created 7 - - -" },
    { "{\"entity_subtype\":\"dish\",\"action\":\"created\"}",
      "dishes created - - - -" },
    { "{\"entity\":\"x\",\"entity_subtype\":\"y\",\"topic\":\"a.b.c\"}",
      "x unknown - - - -" },
    { "{\"topic\":\"a.b.c\"}", "b unknown - - - -" },
    { "{\"topic\":\"a.b.c.d\"}", "b unknown - - - -" },
    { "{\"topic\":\"a.Created\"}", "a created - - - -" },
    { "{\"topic\":\"a\"}", "a unknown - - - -" },
    { "{\"topic\":\".a\"}", ".a unknown - - - -" },
    { "{\"topic\":\"a.\"}", "a. unknown - - - -" },
    { "{\"topic\":\"..\"}", ".. unknown - - - -" },
    { "{\"topic\":\"\"}", "tables unknown - - - -" },
    { "{}", "tables unknown - - - -" },
    { "{\"event_type\":\"created\",\"action\":\"x\"}",
      "tables created - - - -" },
    { "{\"event_type\":null,\"action\":\"created\",\"entity\":null}",
      "tables created - - - -" },
    { "{\"entity_id\":\"\",\"resourceId\":\"r\"}", "tables unknown r - - -" },
    { "{\"entity_id\":\"e\",\"resourceId\":\"r\"}",
      "tables unknown e - - -" },
    { "{\"entity_type\":\"dish\",\"action\":\"created\",\"section\":\"s\"}",
      "dishes created - s - -" },
    { "{\"metadata\":{\"sectionId\":\"a\",\"userId\":\"b\",\"sessionId\":\"c\","
      "\"x\":\"y\"}}", "tables unknown - a b c" },
    { "{\"metadata\":{\"sectionId\":\"\",\"userId\":\"\"}}",
      "tables unknown - - - -" },
    { "{\"metadata\":{\"user\\u0049d\":\"\\u0062\"}}",
      "tables unknown - - b -" },
    { "{\"metadata\":{\"userId\":\"b\",\"userId\":\"b\"}}",
      "tables unknown - - b -" },
    { "{\"section\":\"a\",\"metadata\":{\"sectionId\":\"a\"}}",
      "tables unknown - a - -" },
    { "{\"metadata\":null,\"timestamp\":\"yesterday\",\"data\":null}",
      "tables unknown - - - -" },
    { "[{\"event_type\":\"moved\"},{},{\"event_type\":\"created\"}]",
      "tables unknown - - - -, tables created - - - -" },
    { "{\"event_type\":\"moved\"}", "" },

    { "[]", "422" },
    { "1", "422" },
    { "{\"metadata\":{\"userId\":\"b\",\"userId\":\"c\"}}", "422" },
    { "{\"section\":\"a\",\"metadata\":{\"sectionId\":\"b\"}}", "422" },
    { "{\"metadata\":{\"n\":1}}", "422" },
    { "{\"metadata\":{\"n\":null}}", "422" },
    { "{\"metadata\":\"x\"}", "422" },
    { "{\"entity\":1}", "422" },
    { "{\"topic\":{}}", "422" },
    { "{\"entity_id\":{}}", "422" },
    { "{\"kind\":\"link\"}", "422" },
    { "{\"entity\":\"x\",\"entity\":\"x\"}", "400" },
    { "{\"event_type\":\"x\",\"event_type\":\"x\"}", "400" },
    { "{", "400" }
};


static wsb_rc_t
find(void *ctx, wsb_str_t name, wsb_str_t *entity)
{
    static const wsb_str_t  dishes = wsb_string("dishes");

    (*(unsigned *) ctx)++;

    if (wsb_str_eq(&name, "dish")) {
        *entity = dishes;
    }

    return WSB_OK;
}


static void
say(char *got, size_t size, const wsb_event_t *ev)
{
    size_t    n;
    unsigned  i;

    static const wsb_field_t  fields[] = {
        WSB_ENTITY_TYPE, WSB_ACTION, WSB_ENTITY_ID, WSB_SECTION, WSB_USER,
        WSB_SESSION
    };

    for (i = 0; i < len(fields); i++) {
        n = strlen(got);

        snprintf(got + n, size - n, "%s%.*s",
                 i != 0 ? " " : n != 0 ? ", " : "",
                 ev->field[fields[i]].data ? (int) ev->field[fields[i]].len
                                           : 1,
                 ev->field[fields[i]].data
                     ? (const char *) ev->field[fields[i]].data : "-");
    }
}


int
main(void)
{
    char                 got[512];
    uint8_t             *copy;
    size_t               k, offset;
    unsigned             i, looked;
    wsb_rc_t             rc;
    wsb_str_t            body;
    wsb_batch_t          batch;
    wsb_event_t          ev;
    wsb_target_t         target = {
        wsb_string("tables"), actions, len(actions), find, &looked
    };
    wsb_problem_t        problem;
    wsb_publish_conf_t   conf;

    memset(&conf, 0, sizeof(conf));

    conf.batch.key = key;
    conf.batch.max_record = 4096;
    conf.batch.max_batch = 8192;
    conf.target = &target;

    for (i = 0; i < len(bodies); i++) {

        body.len = strlen(bodies[i].body);
        copy = malloc(body.len);
        memcpy(copy, bodies[i].body, body.len);
        body.data = copy;

        memset(&batch, 0, sizeof(batch));
        looked = 0;
        got[0] = '\0';

        rc = wsb_publish_parse(&batch, WSB_FORMAT_JSON, body, &conf,
                               &problem);

        if (rc != WSB_OK) {
            snprintf(got, sizeof(got), "%u", problem.status);
        }

        offset = 0;

        for (k = 0; k < batch.nentries; k++) {
            (void) wsb_event_decode(batch.records + offset,
                                    batch.entries[k].len, &ev);
            offset += batch.entries[k].len;
            say(got, sizeof(got), &ev);
        }

        is_bytes(got, strlen(got), bodies[i].want, "%s", bodies[i].body);

        if (rc == WSB_OK) {
            is_uint(looked, batch.nentries, "each name is looked up");
        }

        wsb_batch_done(&batch);
        free(copy);
    }

    return tap_done();
}

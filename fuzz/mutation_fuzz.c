/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A mutation that was captured: a byte of method and switches, then lines of
 * the raw path, the path, the prefix, Location, the path of the id, the
 * request and the response.
 *
 * Whatever they are, an event has an entity and an id that it can carry, and
 * its data are whole JSON.
 */

#include "fuzz.h"

#include "json/wsb_json.h"
#include "event/wsb_mutation.h"
#include "json/wsb_text.h"


#define LINES  7


static void
check_event(const wsb_entry_t *entry, const wsb_batch_t *batch)
{
    wsb_json_t         value;
    wsb_event_t        ev;
    wsb_json_error_t   err;
    wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    fuzz_check(wsb_event_decode(batch->records + entry->offset, entry->len,
                                &ev) == WSB_OK);

    fuzz_check(wsb_mutation_field(ev.field[WSB_ENTITY_TYPE]));
    fuzz_check(wsb_mutation_field(ev.field[WSB_ENTITY_ID]));
    fuzz_check(wsb_mutation_field(ev.field[WSB_ACTION]));

    fuzz_check(wsb_json_parse(ev.field[WSB_METADATA], &limits, &value, &err)
               == WSB_OK);

    fuzz_check(ev.field[WSB_DATA].data == NULL
               || wsb_json_parse(ev.field[WSB_DATA], &limits, &value, &err)
                  == WSB_OK);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          i, left;
    uint8_t         flags;
    wsb_str_t       line[LINES];
    const uint8_t  *p;
    wsb_mutation_t  m;

    static const uint8_t  key[16] = "0123456789abcde";

    if (size < 2) {
        return 0;
    }

    flags = data[0];
    p = data + 1;
    left = size - 1;

    for (i = 0; i < LINES; i++) {
        line[i] = fuzz_line(&p, &left);
    }

    memset(&m, 0, sizeof(m));

    m.method = flags % 5;
    m.data = (flags >> 3) % 4;
    m.uri.rewritten = (flags >> 5) & 1;
    m.lost_response = (flags >> 6) & 1;
    m.lost_request = (flags >> 7) & 1;
    m.uri.raw = line[0];
    m.uri.path = line[1];
    m.prefix = line[2];
    m.location = line[3];
    m.id_path = line[4];
    m.request = line[5];
    m.response = line[6];
    m.conf.key = key;
    m.conf.max_record = 256;
    m.conf.max_batch = 512;

    if (wsb_mutation_events(&m) != WSB_OK) {
        fuzz_check(m.reason != NULL && m.batch.nentries == 0);
    }

    fuzz_check(m.nrefused == 0 || m.reason != NULL);

    for (i = 0; i < m.batch.nentries; i++) {
        check_event(&m.batch.entries[i], &m.batch);
    }

    (void) wsb_mutation_is_json(line[3]);

    wsb_batch_done(&m.batch);

    for (i = 0; i < LINES; i++) {
        free((void *) (uintptr_t) line[i].data);
    }

    return 0;
}

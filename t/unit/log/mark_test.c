/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Marks: what is in the log is not appended again, whoever comes with it; and
 * a death at any instruction of an append loses no message and repeats none.
 */

#include "log/wsb_append.h"
#include "log/wsb_before.h"
#include "steps.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>


#define SIZE      (512 * 1024)
#define HISTORY   (128 * 1024)
#define MESSAGES  4
#define ME        1001
#define OTHER     1002


static const uint8_t  secret[] = "0123456789abcdef";
static wsb_zone_t    *zone;

/* what the child appends */
static wsb_mark_request_t  stepped;


static void
fresh(void)
{
    if (wsb_zone_init(zone, SIZE, HISTORY, 16, 1, secret) != WSB_OK) {
        abort();
    }
}


static void
set(wsb_str_t *s, const char *text)
{
    s->data = (const uint8_t *) text;
    s->len = strlen(text);
}


static wsb_mark_request_t
request(const char *source, uint32_t partition, uint64_t offset)
{
    wsb_str_t           name;
    wsb_mark_request_t  req;

    memset(&req, 0, sizeof(wsb_mark_request_t));

    set(&name, source);
    req.id = wsb_mark_id(secret, name, partition);
    req.offset = offset;

    return req;
}


static wsb_rc_t
append(const wsb_mark_request_t *req)
{
    char              id[24];
    wsb_rc_t          rc;
    wsb_event_t       ev;
    wsb_batch_t       batch;
    wsb_appended_t    out;
    wsb_batch_conf_t  conf;

    memset(&ev, 0, sizeof(wsb_event_t));
    memset(&batch, 0, sizeof(wsb_batch_t));

    snprintf(id, sizeof(id), "%llu", (unsigned long long) req->offset);

    set(&ev.field[WSB_KIND], "entity");
    set(&ev.field[WSB_ENTITY_TYPE], "message");
    set(&ev.field[WSB_ACTION], "created");
    set(&ev.field[WSB_ENTITY_ID], id);

    wsb_zone_batch(zone, &conf);

    if (wsb_batch_add(&batch, &ev, &conf) != WSB_OK
        || wsb_before_find(zone, &batch) != WSB_OK)
    {
        abort();
    }

    rc = wsb_append_marked_locked(zone, &batch, 1, req, &out);

    wsb_batch_done(&batch);

    return rc;
}


static wsb_rc_t
message(const char *source, uint32_t partition, uint64_t offset)
{
    wsb_mark_request_t  req;

    req = request(source, partition, offset);

    return append(&req);
}


static void
test_marks(void)
{
    unsigned            i;
    wsb_lease_t         lease;
    wsb_mark_request_t  req;

    fresh();

    req = request("orders", 0, 0);
    is_uint(wsb_mark_next_locked(&zone->marks, &req.id), 0,
            "a source begins with its first message");
    is_uint(message("orders", 0, 0), WSB_OK, "which is appended,");
    is_uint(message("orders", 0, 0), WSB_DONE, "once");
    is_uint(message("orders", 0, 7), WSB_OK, "offsets may have holes");
    is_uint(message("orders", 0, 6), WSB_DONE, "what is below is there");
    is_uint(wsb_mark_next_locked(&zone->marks, &req.id), 8, "the mark");
    is_uint(message("orders", 1, 0), WSB_OK, "another partition");
    is_uint(message("users", 0, 0), WSB_OK, "another source");
    is_uint(wsb_log_head(&zone->log), 4, "four are in the log");

    req.offset = 2;
    req.end = 3;
    is_uint(append(&req), WSB_OK, "a source that was made anew");
    is_uint(append(&req), WSB_DONE, "counts from there");

    for (i = 0; message("many", i, 0) == WSB_OK; i++) {
        /* void */
    }

    is_uint(i, WSB_MARKS - 3, "there is room for so many");
    is_uint(message("many", i, 0), WSB_FULL, "and no more");
    is_uint(message("many", 5, 1), WSB_OK, "which stops nobody else");

    memset(&lease, 0, sizeof(wsb_lease_t));
    lease.owner = ME;
    lease.term = 3;

    req = request("users", 0, 1);
    req.lease = &lease;
    req.pid = ME;
    req.term = 3;
    is_uint(append(&req), WSB_OK, "who owns the source may append");
    req.offset++;
    lease.owner = OTHER;
    lease.term = 4;
    is_uint(append(&req), WSB_CONFLICT, "who was stalled may not");
    lease.owner = ME;
    lease.term = 5;
    is_uint(append(&req), WSB_CONFLICT, "nor by an older term");
}


/* A successor goes on: each message is there once, in order. */

static const char *
inherit_marks(void)
{
    char          id[8];
    unsigned      i, from;
    wsb_event_t   ev;
    wsb_cursor_t  at;

    static wsb_copy_t   copy;
    wsb_mark_request_t  req;

    req = request("orders", 0, 0);
    from = (unsigned) wsb_mark_next_locked(&zone->marks, &req.id);

    for (i = from; i < MESSAGES; i++) {
        if (message("orders", 0, i) > WSB_DONE) {
            return "it is refused";
        }
    }

    if (wsb_log_head(&zone->log) != MESSAGES) {
        return wsb_log_head(&zone->log) < MESSAGES ? "one is lost"
                                                   : "one comes twice";
    }

    at.seq = 1;
    at.pos = WSB_LOG_POS_UNKNOWN;

    for (i = 0; i < MESSAGES; i++) {
        snprintf(id, sizeof(id), "%u", i);

        if (wsb_log_read(&zone->log, &at, &copy) != WSB_OK
            || wsb_event_decode(copy.data, copy.len, &ev) != WSB_OK
            || !wsb_str_eq(&ev.field[WSB_ENTITY_ID], id))
        {
            return "they are not in order";
        }
    }

    return NULL;
}


static const char *
inherit(void *copy)
{
    const char  *wrong;
    wsb_zone_t  *shared;

    shared = zone;
    zone = copy;
    wrong = inherit_marks();
    zone = shared;

    return wrong;
}


static void
work(void)
{
    append(&stepped);
}


static void
test_deaths(unsigned first)
{
    unsigned  i;
    steps_t   steps;

    fresh();

    for (i = 0; i < first; i++) {
        message("orders", 0, i);
    }

    stepped = request("orders", 0, first);

    steps_through(&steps, zone, SIZE, work, inherit);

    ok(steps_well(&steps, 200, 10),
       "message %u: %u instructions, %u states%s%s", first,
       steps.instructions, steps.states, steps.wrong ? ": " : "",
       steps.wrong ? steps.wrong : "");
}


int
main(void)
{
    zone = mmap(NULL, SIZE, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1, 0);

    test_marks();
    test_deaths(0);
    test_deaths(2);

    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_mark.h"


#define WSB_DOMAIN_MARK  66               /* apart from those of wsb_idem.c */

#define store(p, v)      __atomic_store_n(p, v, __ATOMIC_RELEASE)


static unsigned wsb_mark_place(const wsb_marks_t *marks, const wsb_key_t *id);


wsb_key_t
wsb_mark_id(const uint8_t key[16], wsb_str_t source, uint32_t partition)
{
    wsb_key_t  id, part;

    id = wsb_hash(key, WSB_DOMAIN_MARK, source.data, source.len);
    part = wsb_hash(key, WSB_DOMAIN_MARK, &partition, sizeof(uint32_t));

    id.h[0] ^= part.h[0];
    id.h[1] ^= part.h[1];

    if (id.h[0] == 0) {
        id.h[0] = 1;
    }

    return id;
}


wsb_rc_t
wsb_mark_look_locked(const wsb_marks_t *marks, const wsb_mark_request_t *req)
{
    unsigned  i;
    uint64_t  next;

    if (req->lease != NULL
        && !wsb_lease_held_locked(req->lease, req->pid, req->term))
    {
        return WSB_CONFLICT;
    }

    i = wsb_mark_place(marks, &req->id);

    if (i == WSB_MARKS) {
        return WSB_FULL;
    }

    next = marks->mark[i].id.h[0] != 0 ? marks->mark[i].next : 0;

    if (req->end != 0 && req->end < next) {
        return WSB_OK;
    }

    return req->offset < next ? WSB_DONE : WSB_OK;
}


void
wsb_mark_prepare_locked(wsb_marks_t *marks, const wsb_mark_request_t *req,
    uint64_t last)
{
    unsigned     i;
    wsb_mark_t  *mark;

    i = wsb_mark_place(marks, &req->id);

    if (i == WSB_MARKS) {
        return;
    }

    mark = &marks->mark[i];

    if (mark->id.h[0] == 0) {
        mark->next = 0;
        mark->id.h[1] = req->id.h[1];

        store(&mark->id.h[0], req->id.h[0]);

        WSB_STEP("mark made");
    }

    marks->seq = last;
    marks->offset = req->offset;

    /* not before all of it is written: the compiler is held to that */

    store(&marks->pending, i + 1);

    WSB_STEP("mark pending");
}


void
wsb_mark_settle_locked(wsb_marks_t *marks, uint64_t head)
{
    if (marks->pending == 0 || marks->pending > WSB_MARKS) {
        return;
    }

    if (marks->seq <= head) {
        store(&marks->mark[marks->pending - 1].next, marks->offset + 1);

        WSB_STEP("mark set");
    }

    store(&marks->pending, 0);
}


uint64_t
wsb_mark_next_locked(const wsb_marks_t *marks, const wsb_key_t *id)
{
    unsigned  i;

    i = wsb_mark_place(marks, id);

    return i != WSB_MARKS && marks->mark[i].id.h[0] != 0
               ? marks->mark[i].next : 0;
}


/* Its own, else the first free one, else WSB_MARKS. */

static unsigned
wsb_mark_place(const wsb_marks_t *marks, const wsb_key_t *id)
{
    unsigned  i;

    for (i = 0; i < WSB_MARKS; i++) {
        if (marks->mark[i].id.h[0] == 0
            || wsb_key_eq(&marks->mark[i].id, id))
        {
            break;
        }
    }

    return i;
}

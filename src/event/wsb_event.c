/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_event.h"


#define WSB_RECORD_MAX  ((size_t) 1 << 31)

#define wsb_align8(n)   (((n) + 7) & ~(size_t) 7)


size_t
wsb_event_size(const wsb_event_t *ev)
{
    size_t    size;
    unsigned  i;

    size = sizeof(wsb_record_t);

    for (i = 0; i < WSB_NFIELDS; i++) {

        if (ev->field[i].data == NULL) {
            continue;
        }

        if (ev->field[i].len >= WSB_RECORD_MAX) {
            return 0;
        }

        size += sizeof(uint32_t) + ev->field[i].len;
    }

    size = wsb_align8(size);

    return size < WSB_RECORD_MAX ? size : 0;
}


void
wsb_event_encode(const wsb_event_t *ev, uint8_t *dst)
{
    uint8_t         *p;
    unsigned         i;
    uint32_t        *len;
    wsb_record_t    *rec;

    rec = (wsb_record_t *) dst;
    len = (uint32_t *) (rec + 1);

    rec->seq = ev->seq;
    rec->msec = ev->msec;
    rec->present = ev->flags & WSB_RECORD_FLAGS;

    for (i = 0; i < WSB_NFIELDS; i++) {
        if (ev->field[i].data != NULL) {
            rec->present |= 1u << i;
            *len++ = ev->field[i].len;
        }
    }

    p = (uint8_t *) len;

    for (i = 0; i < WSB_NFIELDS; i++) {
        if (ev->field[i].data != NULL) {
            memcpy(p, ev->field[i].data, ev->field[i].len);
            p += ev->field[i].len;
        }
    }

    rec->len = wsb_align8((size_t) (p - dst));

    memset(p, 0, dst + rec->len - p);
}


wsb_rc_t
wsb_event_decode(const uint8_t *p, size_t len, wsb_event_t *ev)
{
    size_t          used;
    unsigned        i, n;
    uint32_t        size;
    const uint8_t  *lens;
    wsb_record_t    rec;

    if (len < sizeof(wsb_record_t)) {
        return WSB_ERROR;
    }

    memcpy(&rec, p, sizeof(wsb_record_t));

    ev->flags = rec.present & WSB_RECORD_FLAGS;
    rec.present &= ~WSB_RECORD_FLAGS;

    n = __builtin_popcount(rec.present);
    used = sizeof(wsb_record_t) + n * sizeof(uint32_t);

    if (rec.len > len || rec.len < used || rec.present >> WSB_NFIELDS) {
        return WSB_ERROR;
    }

    ev->seq = rec.seq;
    ev->msec = rec.msec;

    lens = p + sizeof(wsb_record_t);

    for (i = 0; i < WSB_NFIELDS; i++) {

        if (!(rec.present & 1u << i)) {
            ev->field[i].len = 0;
            ev->field[i].data = NULL;
            continue;
        }

        memcpy(&size, lens, sizeof(uint32_t));
        lens += sizeof(uint32_t);

        if (size > rec.len - used) {
            return WSB_ERROR;
        }

        ev->field[i].len = size;
        ev->field[i].data = p + used;
        used += size;
    }

    return wsb_align8(used) == rec.len ? WSB_OK : WSB_ERROR;
}

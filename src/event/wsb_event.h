/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The neutral record of one event: no protocol's words, all of its bytes.
 */

#ifndef WSB_EVENT_H
#define WSB_EVENT_H


#include "../wsb.h"


typedef enum {
    WSB_KIND = 0,                   /* decoded UTF-8, without NUL */
    WSB_ENTITY_TYPE,
    WSB_ACTION,
    WSB_ENTITY_ID,                  /* as published; matched by its norm */
    WSB_TENANT,
    WSB_SCHEMA,
    WSB_SECTION,
    WSB_CAUSE,
    WSB_LINK_TYPE,
    WSB_LINK_ID,
    WSB_SOURCE_ID,
    WSB_TARGET_ID,
    WSB_USER,                       /* whom alone it is for, where somebody */
    WSB_SESSION,                    /* asks for that */
    WSB_TIMESTAMP,                  /* RFC 3339 as published; else msec */
    WSB_METADATA,                   /* JSON, the original bytes */
    WSB_DATA,                       /* JSON, the original bytes */
    WSB_OLD,                        /* JSON, the original bytes */
    WSB_NFIELDS
} wsb_field_t;


/* The first four are what filters name: see wsb_key.h. */

#define WSB_NROUTING              4


/*
 * Flags of an event.  Kept in the record: PART, its data is a part of the row,
 * or may be.  RESYNC, it is none, but says that rows of its tenant and type
 * may have changed, nobody knows which; without a type, those of all types.
 * EVERY, those of all tenants.  UNSURE, its old is the last row that was told,
 * and there was a resync since.
 *
 * Not kept: PATCH, the data may be merged onto the row, by RFC 7396.  ALONE,
 * nothing of the row before is to be looked for.
 */

#define WSB_EVENT_PART            0x80000000u
#define WSB_EVENT_RESYNC          0x40000000u
#define WSB_EVENT_EVERY           0x20000000u
#define WSB_EVENT_UNSURE          0x10000000u
#define WSB_EVENT_PATCH           1
#define WSB_EVENT_ALONE           2


typedef struct {
    uint64_t              seq;
    uint64_t              msec;           /* since 1970, of the append */
    uint32_t              flags;
    wsb_str_t             field[WSB_NFIELDS];    /* data NULL: absent */
} wsb_event_t;


/*
 * The record in the log.  All numbers are in the byte order of the machine:
 * a zone never leaves it.
 *
 *   wsb_record_t, then a uint32_t length for each present field in the order
 *   of wsb_field_t, then the fields' bytes, then padding to 8.
 */

typedef struct {
    uint64_t              seq;
    uint64_t              msec;
    uint32_t              len;            /* of all, a multiple of 8 */
    uint32_t              present;        /* bit i: field i; and the flags */
} wsb_record_t;

#define WSB_RECORD_FLAGS                                                      \
    (WSB_EVENT_PART | WSB_EVENT_RESYNC | WSB_EVENT_EVERY | WSB_EVENT_UNSURE)


/* Bytes of the record; 0 if it would not fit in 2^31. */
size_t wsb_event_size(const wsb_event_t *ev);

/* Writes the record: wsb_event_size() bytes at dst, which is aligned to 8. */
void wsb_event_encode(const wsb_event_t *ev, uint8_t *dst);

/*
 * Reads a record back; the fields point into p.  Checks every length against
 * len: WSB_ERROR if the bytes are no record.
 */
wsb_rc_t wsb_event_decode(const uint8_t *p, size_t len, wsb_event_t *ev);


#endif /* WSB_EVENT_H */

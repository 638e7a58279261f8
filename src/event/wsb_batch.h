/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A batch: the records of events that are appended as one, all or none.
 */

#ifndef WSB_BATCH_H
#define WSB_BATCH_H


#include "wsb_event.h"
#include "wsb_ignored.h"
#include "wsb_key.h"


/* Tenants and types share a few numbers. */

#define WSB_KIN_BITS              6
#define WSB_KIN                   (1 << WSB_KIN_BITS)


/*
 * One event of a batch: its record, ready but for seq, msec, and the row
 * before it.  What is below `parts` is of ../log/wsb_before.c.
 */

typedef struct {
    uint32_t              offset;         /* in wsb_batch_t.records */
    uint32_t              len;
    wsb_parts_t           parts;

    uint32_t              at;             /* in wsb_batch_t.ready */
    uint32_t              size;
    uint32_t              before;         /* entry + 1 of the same entity */
    unsigned              entity:1;       /* it has an entity: */
    unsigned              asks:1;         /* for the row before */
    unsigned              resync:1;       /* it is one, */
    unsigned              every:1;        /* of all types, or of all tenants */
    unsigned              kin:WSB_KIN_BITS;   /* of its tenant and type */
    unsigned              unsure:1;       /* what the hint leads to */
    wsb_key_t             key;            /* this one */
    uint64_t              type;           /* bits of the routing key of tenant
                                             and type, and of these and id; */
    uint64_t              one;            /* 0: it has no id */
    uint64_t              hint[2];        /* seq and pos of its last record */
} wsb_entry_t;


/* Zeroed first; freed by wsb_batch_done(). */

typedef struct {
    uint8_t              *records;        /* malloc'd, aligned to 8 */
    size_t                len;
    size_t                size;
    uint8_t              *ready;          /* the same with the rows before,
                                             malloc'd; NULL: there are none */
    size_t                ready_len;
    size_t                ready_size;
    wsb_entry_t          *entries;        /* malloc'd */
    size_t                nentries;
    size_t                nalloc;
    wsb_ignored_t        *ignored;        /* fields of its events, or NULL */
} wsb_batch_t;


/* What a zone says of the batches that it takes: see wsb_zone_batch(). */

typedef struct {
    const uint8_t        *key;            /* 16 bytes of the zone: wsb_hash.h */
    size_t                max_record;     /* bytes */
    size_t                max_batch;      /* bytes */
} wsb_batch_conf_t;


/*
 * Adds one event, in its neutral form.  WSB_ERROR: it is larger than
 * max_record, or the batch would be larger than max_batch.
 */

wsb_rc_t wsb_batch_add(wsb_batch_t *batch, const wsb_event_t *ev,
    const wsb_batch_conf_t *conf);

void wsb_batch_done(wsb_batch_t *batch);

/* Does this event hold the whole row that its entity has after it? */
int wsb_batch_row(const wsb_event_t *ev);


#endif /* WSB_BATCH_H */

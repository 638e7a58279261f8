/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A zone: one block of shared memory that holds a bus.
 *
 *   wsb_zone_t | slots | owner words | idempotency keys | index | last rows |
 *   ring | chunks
 *
 * The block is taken once; nothing in it is ever allocated by the slab
 * allocator again.  Everything but the log's ends is changed only under the
 * zone's mutex (the slab pool's own, the only one that nginx frees when its
 * holder dies), except where a field says otherwise.
 */

#ifndef WSB_ZONE_H
#define WSB_ZONE_H


#include "wsb_last.h"
#include "wsb_log.h"
#include "wsb_mark.h"
#include "wsb_idem.h"
#include "../event/wsb_batch.h"
#include "../event/wsb_key.h"


#define WSB_ZONE_MAGIC            0x7a7375625f73770aULL
#define WSB_ZONE_LAYOUT           10      /* of this file's structures */

#define WSB_ZONE_MIN              (1024 * 1024)

/*
 * Slots: nginx has no more processes than that.  They come in blocks of
 * WSB_BLOCK_SLOTS.  At least the first WSB_SLOTS_LAID slots are laid out with
 * the zone.  A block beyond takes a chunk once so many processes live at the
 * same time, and is never given back: the address of a slot stays the same as
 * long as the zone lives.
 */

#define WSB_SLOTS                 1024
#define WSB_SLOTS_LAID            256
#define WSB_BLOCK_SLOTS           8

#define WSB_CHUNK_SIZE            4096
#define WSB_DIR_PAGES             16
#define WSB_DIR_PAGE_ENTRIES      (WSB_CHUNK_SIZE / sizeof(uint32_t))


/*
 * What the parts of the module count in a slot.  Which number is what, they
 * say when they are configured.  Those in `kept` of the zone go on in `past`
 * when their worker is gone, the others end with it.
 *
 * With 39 of them a slot has 512 bytes, which is all that a chunk has for each
 * of its WSB_BLOCK_SLOTS.
 */

#define WSB_COUNTERS              39


/*
 * Events captured at a location.  Those for which there is no place left are
 * counted at the last one.  Changed under the mutex.
 */

#define WSB_CAPTURES              32
#define WSB_CAPTURE_NAME          55

typedef struct {
    uint64_t              count;
    uint8_t               len;            /* 0: free */
    uint8_t               name[WSB_CAPTURE_NAME];
} wsb_capture_t;


/*
 * A worker of one generation.  Its own process writes all of it, but for
 * pending_from and armed, which publishers write as well; and whoever finds
 * the pid gone reclaims it.
 */

typedef struct {
    uint32_t              pid;            /* 0: the slot is free */
    uint32_t              armed;          /* 1: it sleeps, send its signal;
                                             exchanged without the mutex */
    uint64_t              generation;
    uint64_t              pending_from;   /* first seq that concerns it, or 0;
                                             changed under the mutex */
    uint32_t              draining;

    /* the interest table: see wsb_interest.h */
    uint32_t              depth;          /* of the directory */
    uint32_t              nentries;       /* 0: there is no table */
    uint32_t              masks;          /* a bit for each with entries */
    uint64_t              maybe;          /* which keys; 0 without any */
    uint32_t              nmask[WSB_MASKS];   /* entries with each mask */
    uint32_t              dir[WSB_DIR_PAGES];     /* chunks + 1, or 0 */

    uint32_t              texts;          /* first chunk of texts + 1, or 0 */
    uint32_t              ntexts;         /* chunks of texts */

    /* the owner's, without the mutex; read of the dead */
    uint32_t              underway;       /* mutations: see wsb_slot.h */

    /* written by the owner alone, without the mutex; read by anybody */
    uint64_t              cursor __attribute__((aligned(64)));  /* seq of the
                                             last event that it is done with */
    uint64_t              counters[WSB_COUNTERS];
} __attribute__((aligned(64))) wsb_slot_t;


typedef struct {
    uint64_t              magic;
    uint32_t              layout;
    uint32_t              nchunks;
    uint64_t              size;           /* of the block */
    uint64_t              history;        /* as configured */
    uint64_t              epoch;
    uint8_t               key[16];        /* of all hashes: secret, random */

    uint64_t              owners;         /* offsets from here, in bytes */
    uint64_t              chunks;
    uint64_t              idem;

    /*
     * A bit for each slot in which somebody may live: set before its pid,
     * cleared after it.  Where there is none, the slot is not looked at.
     */
    uint64_t              used[WSB_SLOTS / 64];

    /* where blocks of slots are, in units of 64 bytes from here; 0: nowhere */
    uint32_t              block[WSB_SLOTS / WSB_BLOCK_SLOTS];

    uint32_t              hint;           /* where to look for a free chunk */
    uint32_t              nfree;          /* chunks; wrong after a death, until
                                             the slot of the dead is reclaimed
                                             and they are counted again */

    uint64_t              counted;        /* a digest of what the counters
                                             are: processes for which it
                                             differs cannot share the zone */
    uint64_t              kept;           /* a bit for each that is kept */

    /* of slots that were reclaimed; a death in the middle may lose some */
    uint64_t              past[WSB_COUNTERS];
    wsb_capture_t         captures[WSB_CAPTURES];
    uint64_t              resyncs;        /* in all */

    wsb_log_t             log;
    wsb_last_t            last;
    wsb_marks_t           marks;
} wsb_zone_t;


/*
 * Lays the zone out in `size` bytes at mem, aligned to 64.  history is the
 * size of the ring, nidem the number of idempotency keys remembered.
 * WSB_ERROR: the block is too small for them.
 */

wsb_rc_t wsb_zone_init(void *mem, size_t size, size_t history, size_t nidem,
    uint64_t epoch, const uint8_t key[16]);

/* Is this a zone of our layout? */
int wsb_zone_valid(const wsb_zone_t *zone);


/* What batches must be, so that it takes them. */

static inline void
wsb_zone_batch(const wsb_zone_t *zone, wsb_batch_conf_t *conf)
{
    conf->key = zone->key;
    conf->max_record = wsb_log_max_record(&zone->log);
    conf->max_batch = wsb_log_max_batch(&zone->log);
}


/* Counts n events in that were captured at the location of this name. */
void wsb_zone_captured_locked(wsb_zone_t *zone, wsb_str_t name, uint64_t n);


/* Only of a slot that is, or was, in use: others may have no memory. */

static inline wsb_slot_t *
wsb_zone_slot(const wsb_zone_t *zone, unsigned slot)
{
    return (wsb_slot_t *) ((uint8_t *) zone
                           + (uint64_t) zone->block[slot / WSB_BLOCK_SLOTS]
                             * 64)
           + slot % WSB_BLOCK_SLOTS;
}


/*
 * The first slot from this one on in which somebody may live, or WSB_SLOTS:
 *
 *   for (i = wsb_zone_next(zone, 0);
 *        i < WSB_SLOTS;
 *        i = wsb_zone_next(zone, i + 1))
 */

static inline unsigned
wsb_zone_next(const wsb_zone_t *zone, unsigned slot)
{
    uint64_t  bits;

    while (slot < WSB_SLOTS) {
        bits = __atomic_load_n(&zone->used[slot / 64], __ATOMIC_ACQUIRE)
               >> slot % 64;

        if (bits != 0) {
            return slot + (unsigned) __builtin_ctzll(bits);
        }

        slot = (slot | 63) + 1;
    }

    return WSB_SLOTS;
}


static inline wsb_idem_t *
wsb_zone_idem(const wsb_zone_t *zone)
{
    return (wsb_idem_t *) ((uint8_t *) zone + zone->idem);
}


static inline uint32_t *
wsb_zone_owners(const wsb_zone_t *zone)
{
    return (uint32_t *) ((uint8_t *) zone + zone->owners);
}


/* chunk is number + 1; NULL if there is no such chunk. */

static inline void *
wsb_zone_chunk(const wsb_zone_t *zone, uint32_t chunk)
{
    if (chunk == 0 || chunk > zone->nchunks) {
        return NULL;
    }

    return (uint8_t *) zone + zone->chunks
           + (uint64_t) (chunk - 1) * WSB_CHUNK_SIZE;
}


#endif /* WSB_ZONE_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The log: a ring of records with a growing 64-bit seq, in shared memory.
 *
 * One writer at a time, under the zone's mutex; readers take no lock.  The
 * ring never refuses a record for want of room: it evicts its oldest.
 *
 * A process may die at any instruction of an append: the next writer finds
 * the old state or the new one.  For that, an end of the log never changes
 * as two words: the word is (seq << 1 | c), and the byte position that goes
 * with it stands in cell c of two.  A writer fills the other cell, then
 * stores the word.
 */

#ifndef WSB_LOG_H
#define WSB_LOG_H


#include "../event/wsb_event.h"


#define WSB_LOG_STRIDE            64      /* each 64th seq is in the index */
#define WSB_LOG_POS_UNKNOWN       UINT64_MAX

/* What history must at least hold for the bounds below to make sense. */
#define WSB_LOG_MIN               (64 * 1024)


/* written under the mutex only, read by anybody */

typedef struct {
    uint64_t              word;           /* seq << 1 | c, stored last */
    uint64_t              pos[2];         /* bytes since the log began */
} wsb_log_end_t;


/*
 * In the zone.  size, nindex and the offsets are constant; head is the last
 * visible record and where the next one goes; oldest is the first retained
 * record and where it lies.
 */

typedef struct {
    uint64_t              size;           /* of the ring, a multiple of 8 */
    uint64_t              ring;           /* from this struct, in bytes */
    uint64_t              index;          /* from this struct, in bytes */
    uint64_t              nindex;
    wsb_log_end_t         head __attribute__((aligned(64)));
    wsb_log_end_t         oldest __attribute__((aligned(64)));
} wsb_log_t;


/* Where a reader is: the next record that it wants, and where it lies. */

typedef struct {
    uint64_t              seq;
    uint64_t              pos;            /* or WSB_LOG_POS_UNKNOWN */
} wsb_cursor_t;


/* A private copy of a record, reused from read to read. */

typedef struct {
    uint8_t              *data;           /* malloc'd */
    size_t                len;
    size_t                size;
} wsb_copy_t;


/* Bytes that the index of a ring of this size takes. */
size_t wsb_log_index_size(size_t ring);

/* ring and index are aligned to 8 and belong to the same mapping as log. */
void wsb_log_init(wsb_log_t *log, void *ring, size_t size, void *index);


/* Largest record, and largest batch: more is for the publisher a 413. */

static inline size_t
wsb_log_max_record(const wsb_log_t *log)
{
    return log->size / 4;
}


static inline size_t
wsb_log_max_batch(const wsb_log_t *log)
{
    return log->size / 2;
}


/*
 * The next functions are for the holder of the mutex.
 *
 * prepare: evicts until len bytes (at most half of the ring) are free, and
 *     says where they begin.  A death leaves a shorter history.
 * write: copies len bytes of records, the first of which has this seq, to
 *     pos; nobody sees them yet.  A death leaves nothing.
 * commit: makes everything up to the record `seq`, which ends at pos,
 *     visible by one release store.
 */

uint64_t wsb_log_prepare_locked(wsb_log_t *log, size_t len);
void wsb_log_write_locked(wsb_log_t *log, uint64_t pos,
    const uint8_t *records, size_t len);
void wsb_log_commit_locked(wsb_log_t *log, uint64_t seq, uint64_t pos);


/*
 * A hole: evicts everything, and moves the head on by n seqs that nobody gets.
 * A death in the middle leaves oldest behind head + 1: then torn is the first
 * seq of the hole, else 0; and repair finishes it.
 */

void wsb_log_skip_locked(wsb_log_t *log, uint64_t n);
uint64_t wsb_log_torn_locked(const wsb_log_t *log);
void wsb_log_repair_locked(wsb_log_t *log);


/* Without the mutex: a moment's truth, an older one after the next store. */

uint64_t wsb_log_head(const wsb_log_t *log);      /* seq; 0: no record yet */
uint64_t wsb_log_oldest(const wsb_log_t *log);    /* seq; head + 1, or more
                                                     in a skip: none */
uint64_t wsb_log_used(const wsb_log_t *log);      /* bytes */

/* The cursor behind the head: what is published next is the first it sees. */
wsb_cursor_t wsb_log_end(const wsb_log_t *log);


/*
 * Copies the record at the cursor and moves the cursor behind it.
 *
 *   WSB_OK     copy holds a whole record, which was not overwritten meanwhile
 *   WSB_AGAIN  the cursor is behind the head: there is none yet
 *   WSB_GAP    the record has been evicted
 *   WSB_NOMEM  the copy cannot grow
 *   WSB_ERROR  the bytes are no such record: a bug, or broken memory
 */

wsb_rc_t wsb_log_read(const wsb_log_t *log, wsb_cursor_t *cursor,
    wsb_copy_t *copy);


#endif /* WSB_LOG_H */

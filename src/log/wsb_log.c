/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_log.h"


#define load_relaxed(p)      __atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p)      __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store_relaxed(p, v)  __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define store_release(p, v)  __atomic_store_n(p, v, __ATOMIC_RELEASE)


static uint64_t wsb_log_end_get(const wsb_log_end_t *end, uint64_t *pos);
static void wsb_log_end_set_locked(wsb_log_end_t *end, uint64_t seq,
    uint64_t pos);
static void wsb_log_copy(const wsb_log_t *log, uint64_t pos, void *dst,
    size_t len);
static wsb_rc_t wsb_log_seek(const wsb_log_t *log, wsb_cursor_t *cursor);
static wsb_rc_t wsb_log_header(const wsb_log_t *log,
    const wsb_cursor_t *cursor, wsb_record_t *rec);


static inline uint8_t *
wsb_log_ring(const wsb_log_t *log)
{
    return (uint8_t *) log + log->ring;
}


static inline uint64_t *
wsb_log_index(const wsb_log_t *log, uint64_t seq)
{
    uint64_t  *index = (uint64_t *) ((uint8_t *) log + log->index);

    return &index[seq / WSB_LOG_STRIDE % log->nindex];
}


/*
 * No retained seq may share its entry with another: a record is at least
 * its header and two lengths, in fact far more.
 */

static size_t
wsb_log_nindex(size_t ring)
{
    return ring / (WSB_LOG_STRIDE * sizeof(wsb_record_t)) + 2;
}


size_t
wsb_log_index_size(size_t ring)
{
    return wsb_log_nindex(ring) * sizeof(uint64_t);
}


void
wsb_log_init(wsb_log_t *log, void *ring, size_t size, void *index)
{
    memset(log, 0, sizeof(wsb_log_t));

    log->size = size & ~(size_t) 7;
    log->ring = (uint64_t) ((uint8_t *) ring - (uint8_t *) log);
    log->index = (uint64_t) ((uint8_t *) index - (uint8_t *) log);
    log->nindex = wsb_log_nindex(size);

    memset(index, 0, log->nindex * sizeof(uint64_t));

    log->oldest.word = 1 << 1;
}


uint64_t
wsb_log_head(const wsb_log_t *log)
{
    return load_acquire(&log->head.word) >> 1;
}


uint64_t
wsb_log_oldest(const wsb_log_t *log)
{
    return load_acquire(&log->oldest.word) >> 1;
}


uint64_t
wsb_log_used(const wsb_log_t *log)
{
    uint64_t  first, last;

    /* the oldest end first: it never passes a head that is read later */

    (void) wsb_log_end_get(&log->oldest, &first);
    (void) wsb_log_end_get(&log->head, &last);

    return last - first < log->size ? last - first : log->size;
}


wsb_cursor_t
wsb_log_end(const wsb_log_t *log)
{
    wsb_cursor_t  cursor;

    cursor.seq = wsb_log_end_get(&log->head, &cursor.pos) + 1;

    return cursor;
}


/*
 * The cell that belongs to a word is filled anew only after another word has
 * been stored: if the word is still there, the position was its own.
 */

static uint64_t
wsb_log_end_get(const wsb_log_end_t *end, uint64_t *pos)
{
    uint64_t  word, again;

    again = load_acquire(&end->word);

    do {
        word = again;

        WSB_STEP("end read");

        *pos = load_relaxed(&end->pos[word & 1]);

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        again = load_acquire(&end->word);

    } while (again != word);

    return word >> 1;
}


static void
wsb_log_end_set_locked(wsb_log_end_t *end, uint64_t seq, uint64_t pos)
{
    uint64_t  c;

    c = (end->word & 1) ^ 1;

    /* a reader that sees this cell must see the word before it: above */
    __atomic_thread_fence(__ATOMIC_RELEASE);

    store_relaxed(&end->pos[c], pos);

    WSB_STEP("end cell");

    store_release(&end->word, seq << 1 | c);

    WSB_STEP("end word");
}


uint64_t
wsb_log_prepare_locked(wsb_log_t *log, size_t len)
{
    uint64_t      tail, pos, seq, first, head;
    wsb_record_t  rec;

    head = wsb_log_end_get(&log->head, &tail);
    seq = wsb_log_end_get(&log->oldest, &pos);
    first = seq;

    while (tail + len - pos > log->size) {

        if (seq > head) {
            /* nothing is retained: the ring is all free */
            pos = tail;
            break;
        }

        wsb_log_copy(log, pos, &rec, sizeof(wsb_record_t));

        if (rec.seq != seq || rec.len < sizeof(wsb_record_t)
            || rec.len > log->size)
        {
            /* broken memory: give up the history rather than the bus */
            seq = head + 1;
            pos = tail;
            break;
        }

        pos += rec.len;
        seq++;
    }

    if (seq != first) {
        wsb_log_end_set_locked(&log->oldest, seq, pos);
    }

    /* no byte is overwritten before readers can see that it is evicted */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    return tail;
}


void
wsb_log_write_locked(wsb_log_t *log, uint64_t pos, const uint8_t *records,
    size_t len)
{
    size_t               offset, first;
    uint8_t             *ring;
    const uint8_t       *p, *last;
    const wsb_record_t  *rec;

    ring = wsb_log_ring(log);
    offset = pos % log->size;
    first = log->size - offset;

    if (first > len) {
        first = len;
    }

    memcpy(ring + offset, records, first);

    WSB_STEP("half written");

    memcpy(ring, records + first, len - first);

    for (p = records, last = records + len; p < last; p += rec->len) {
        rec = (const wsb_record_t *) p;

        if (rec->seq % WSB_LOG_STRIDE == 0) {
            store_relaxed(wsb_log_index(log, rec->seq),
                          pos + (uint64_t) (p - records));
        }
    }

    WSB_STEP("written");
}


void
wsb_log_commit_locked(wsb_log_t *log, uint64_t seq, uint64_t pos)
{
    wsb_log_end_set_locked(&log->head, seq, pos);
}


/* oldest first: no reader takes a seq that is not there for one that is. */

void
wsb_log_skip_locked(wsb_log_t *log, uint64_t n)
{
    uint64_t  head, tail;

    head = wsb_log_end_get(&log->head, &tail);

    wsb_log_end_set_locked(&log->oldest, head + n + 1, tail);

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    WSB_STEP("skipping");

    wsb_log_end_set_locked(&log->head, head + n, tail);
}


uint64_t
wsb_log_torn_locked(const wsb_log_t *log)
{
    uint64_t  head;

    head = wsb_log_head(log);

    return wsb_log_oldest(log) > head + 1 ? head + 1 : 0;
}


void
wsb_log_repair_locked(wsb_log_t *log)
{
    uint64_t  oldest, pos;

    oldest = wsb_log_end_get(&log->oldest, &pos);

    wsb_log_end_set_locked(&log->head, oldest - 1, pos);
}


static void
wsb_log_copy(const wsb_log_t *log, uint64_t pos, void *dst, size_t len)
{
    size_t          offset, first;
    const uint8_t  *ring;

    ring = wsb_log_ring(log);
    offset = pos % log->size;
    first = log->size - offset;

    if (first > len) {
        first = len;
    }

    memcpy(dst, ring + offset, first);
    memcpy((uint8_t *) dst + first, ring, len - first);
}


wsb_rc_t
wsb_log_read(const wsb_log_t *log, wsb_cursor_t *cursor, wsb_copy_t *copy)
{
    size_t         size;
    uint8_t       *data;
    wsb_rc_t       rc;
    wsb_record_t   rec;

    if (cursor->seq > wsb_log_head(log)) {
        return WSB_AGAIN;
    }

    if (cursor->pos == WSB_LOG_POS_UNKNOWN) {
        rc = wsb_log_seek(log, cursor);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    rc = wsb_log_header(log, cursor, &rec);

    if (rc != WSB_OK) {
        return rc;
    }

    if (rec.len > copy->size) {
        size = rec.len < 4096 ? 4096 : (size_t) rec.len + rec.len / 4;

        data = wsb_realloc(copy->data, size);
        if (data == NULL) {
            return WSB_NOMEM;
        }

        copy->data = data;
        copy->size = size;
    }

    WSB_STEP("header read");

    wsb_log_copy(log, cursor->pos, copy->data, rec.len);

    WSB_STEP("copied");

    /* only if it was still retained after the copy is it a record at all */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    if (cursor->seq < load_acquire(&log->oldest.word) >> 1) {
        return WSB_GAP;
    }

    copy->len = rec.len;
    cursor->seq++;
    cursor->pos += rec.len;

    return WSB_OK;
}


/*
 * From the nearest indexed record, or from the oldest, header by header.
 */

static wsb_rc_t
wsb_log_seek(const wsb_log_t *log, wsb_cursor_t *cursor)
{
    uint64_t      oldest, base;
    wsb_rc_t      rc;
    wsb_record_t  rec;
    wsb_cursor_t  at;

again:

    oldest = wsb_log_end_get(&log->oldest, &at.pos);

    if (cursor->seq < oldest) {
        return WSB_GAP;
    }

    base = cursor->seq - cursor->seq % WSB_LOG_STRIDE;

    if (base > oldest) {
        at.seq = base;
        at.pos = load_relaxed(wsb_log_index(log, base));

    } else {
        at.seq = oldest;
    }

    while (at.seq < cursor->seq) {
        rc = wsb_log_header(log, &at, &rec);

        if (rc == WSB_GAP) {
            /* where the walk began has been evicted, not yet what is sought */
            goto again;
        }

        if (rc != WSB_OK) {
            return rc;
        }

        WSB_STEP("seek");

        at.seq++;
        at.pos += rec.len;
    }

    cursor->pos = at.pos;

    return WSB_OK;
}


static wsb_rc_t
wsb_log_header(const wsb_log_t *log, const wsb_cursor_t *cursor,
    wsb_record_t *rec)
{
    wsb_log_copy(log, cursor->pos, rec, sizeof(wsb_record_t));

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    if (cursor->seq < load_acquire(&log->oldest.word) >> 1) {
        return WSB_GAP;
    }

    if (rec->seq != cursor->seq || rec->len < sizeof(wsb_record_t)
        || rec->len > log->size / 4)
    {
        return WSB_ERROR;
    }

    return WSB_OK;
}

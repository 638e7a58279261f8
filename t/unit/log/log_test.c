/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The log: appends, evictions and reads at every offset against a simple
 * reference, broken memory, and a writer that races and is killed.
 */

#include "log/wsb_log.h"
#include "tap.h"

#include <signal.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define guard(p, n)       __asan_poison_memory_region(p, n)
#define unguard(p, n)     __asan_unpoison_memory_region(p, n)
#else
#define guard(p, n)
#define unguard(p, n)
#endif


#define RING              WSB_LOG_MIN
#define GUARD             256
#define BATCH             32
#define HEADER            sizeof(wsb_record_t)

#define RACE_RECORDS      300000
#define RACE_READERS      3
#define RACE_DEATHS       150


/* a log between guards, which nothing may touch */

typedef struct {
    uint8_t       *block;
    size_t         size;
    uint8_t       *guards[4];
    wsb_log_t     *log;
    uint8_t       *ring;
    uint64_t      *index;
} place_t;


/* what the log should hold */

typedef struct {
    uint64_t       head;
    uint64_t       oldest;
    uint64_t       tail;
    uint64_t       first;                 /* position of the oldest */
    uint32_t      *len;                   /* by seq */
    size_t         n;
    uint64_t       salt;
} model_t;


typedef struct {
    uint32_t       go;
    uint32_t       readers;
    uint64_t       last;                  /* where the readers stop */
    uint64_t       read[RACE_READERS];
    uint64_t       gaps[RACE_READERS];
    uint64_t       salt[RACE_RECORDS + BATCH + 1];  /* as first seen */
    uint64_t       zone[];
} race_t;


static uint64_t  random_state = 88172645463325252ULL;

static uint8_t  *bytes;                   /* of a batch */


static uint64_t
rnd(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return (random_state >> 11) % n;
}


static uint64_t
word(uint64_t seq, uint64_t salt, size_t i)
{
    return (seq + salt * 0x9e3779b97f4a7c15ULL) * (2 * i + 3) + i;
}


static size_t
fill(uint8_t *p, uint64_t seq, uint32_t len, uint64_t salt)
{
    size_t         i, n;
    uint64_t      *w;
    wsb_record_t  *rec;

    rec = (wsb_record_t *) p;
    rec->seq = seq;
    rec->msec = salt;
    rec->len = len;
    rec->present = (uint32_t) (salt ^ seq);

    w = (uint64_t *) (p + HEADER);
    n = (len - HEADER) / sizeof(uint64_t);

    for (i = 0; i < n; i++) {
        w[i] = word(seq, salt, i);
    }

    return len;
}


/* every byte of it, whoever wrote it */

static int
whole(const wsb_copy_t *copy, uint64_t seq)
{
    size_t               i, n;
    const uint64_t      *w;
    const wsb_record_t  *rec;

    rec = (const wsb_record_t *) copy->data;

    if (rec->seq != seq || rec->len != copy->len
        || rec->present != (uint32_t) (rec->msec ^ seq))
    {
        return 0;
    }

    w = (const uint64_t *) (copy->data + HEADER);
    n = (rec->len - HEADER) / sizeof(uint64_t);

    for (i = 0; i < n; i++) {
        if (w[i] != word(seq, rec->msec, i)) {
            return 0;
        }
    }

    return 1;
}


static void
place_init(place_t *p, size_t ring, uint64_t pos)
{
    size_t    i, index;
    uint8_t  *at;

    index = wsb_log_index_size(ring);
    p->size = 4 * GUARD + sizeof(wsb_log_t) + index + ring + 64;

    if (posix_memalign((void **) &p->block, 64, p->size) != 0) {
        abort();
    }

    memset(p->block, 0xa5, p->size);

    at = p->block;

    p->guards[0] = at;
    at += GUARD;

    p->log = (wsb_log_t *) at;
    at += sizeof(wsb_log_t);

    p->guards[1] = at;
    at += GUARD;

    p->index = (uint64_t *) at;
    at += index;

    p->guards[2] = at;
    at += GUARD;

    p->ring = at;
    at += ring;

    p->guards[3] = at;

    wsb_log_init(p->log, p->ring, ring, p->index);

    /* as if so many bytes had been written before */

    p->log->head.pos[0] = pos;
    p->log->oldest.pos[0] = pos;

    for (i = 0; i < 4; i++) {
        guard(p->guards[i], GUARD);
    }
}


static int
place_intact(place_t *p)
{
    size_t  i, k;

    for (i = 0; i < 4; i++) {
        unguard(p->guards[i], GUARD);

        for (k = 0; k < GUARD; k++) {
            if (p->guards[i][k] != 0xa5) {
                return 0;
            }
        }

        guard(p->guards[i], GUARD);
    }

    return 1;
}


static void
place_done(place_t *p)
{
    unguard(p->block, p->size);
    free(p->block);
}


static void
model_init(model_t *m, size_t n, uint64_t pos)
{
    memset(m, 0, sizeof(model_t));

    m->oldest = 1;
    m->tail = pos;
    m->first = pos;
    m->n = n;
    m->len = calloc(n, sizeof(uint32_t));
}


static void
append(wsb_log_t *log, model_t *m, const uint32_t *lens, size_t n)
{
    size_t    i, len;
    uint64_t  pos;

    m->salt++;

    for (i = 0, len = 0; i < n; i++) {
        m->len[m->head + 1 + i] = lens[i];
        len += fill(bytes + len, m->head + 1 + i, lens[i], m->salt);
    }

    pos = wsb_log_prepare_locked(log, len);
    wsb_log_write_locked(log, pos, bytes, len);
    wsb_log_commit_locked(log, m->head + n, pos + len);

    while (m->oldest <= m->head && m->tail + len - m->first > log->size) {
        m->first += m->len[m->oldest++];
    }

    m->head += n;
    m->tail += len;
}


static uint32_t
random_len(void)
{
    switch (rnd(16)) {

    case 0:
        return HEADER;

    case 1:
        return (uint32_t) (HEADER + 8 * rnd((RING / 4 - HEADER) / 8 + 1));

    case 2:
        return RING / 4;

    default:
        return (uint32_t) (HEADER + 8 * rnd(64));
    }
}


static void
append_random(wsb_log_t *log, model_t *m)
{
    size_t    n, len, want;
    uint32_t  lens[BATCH];

    want = rnd(4) ? 1 : 1 + rnd(BATCH);
    len = 0;

    for (n = 0; n < want; n++) {
        lens[n] = random_len();

        if (len + lens[n] > wsb_log_max_batch(log)) {
            break;
        }

        len += lens[n];
    }

    append(log, m, lens, n);
}


static int
same_ends(const wsb_log_t *log, const model_t *m)
{
    wsb_cursor_t  end;

    end = wsb_log_end(log);

    return wsb_log_head(log) == m->head && wsb_log_oldest(log) == m->oldest
           && wsb_log_used(log) == m->tail - m->first
           && end.seq == m->head + 1 && end.pos == m->tail;
}


/* From each retained seq by a look-up; or all of them in a walk. */

static int
same_records(const wsb_log_t *log, const model_t *m, wsb_copy_t *copy,
    int seek)
{
    uint64_t      seq, pos;
    wsb_cursor_t  cursor;

    pos = m->first;
    cursor.seq = m->oldest;
    cursor.pos = m->first;

    for (seq = m->oldest; seq <= m->head; seq++) {

        if (seek) {
            cursor.seq = seq;
            cursor.pos = WSB_LOG_POS_UNKNOWN;
        }

        if (wsb_log_read(log, &cursor, copy) != WSB_OK
            || copy->len != m->len[seq] || !whole(copy, seq))
        {
            return 0;
        }

        pos += m->len[seq];

        if (cursor.seq != seq + 1 || cursor.pos != pos) {
            return 0;
        }
    }

    cursor.seq = m->head + 1;
    cursor.pos = seek ? WSB_LOG_POS_UNKNOWN : cursor.pos;

    if (wsb_log_read(log, &cursor, copy) != WSB_AGAIN) {
        return 0;
    }

    cursor.seq = m->oldest - 1;
    cursor.pos = seek ? WSB_LOG_POS_UNKNOWN : m->first;

    return wsb_log_read(log, &cursor, copy) == WSB_GAP
           && cursor.seq == m->oldest - 1;
}


static void
test_empty(void)
{
    place_t       p;
    wsb_copy_t    copy;
    wsb_cursor_t  cursor;

    memset(&copy, 0, sizeof(wsb_copy_t));
    place_init(&p, RING, 0);

    is_uint(wsb_log_head(p.log), 0, "an empty log has no head");
    is_uint(wsb_log_oldest(p.log), 1, "its oldest is behind the head");
    is_uint(wsb_log_used(p.log), 0, "nothing is used");

    cursor = wsb_log_end(p.log);

    is_uint(cursor.seq, 1, "the end of it is seq 1");
    is_uint(wsb_log_read(p.log, &cursor, &copy), WSB_AGAIN, "nothing yet");

    cursor.seq = 0;
    is_uint(wsb_log_read(p.log, &cursor, &copy), WSB_GAP,
            "there is no seq 0");

    place_done(&p);
}


static void
test_every_offset(void)
{
    size_t      i, bad, n;
    place_t     p;
    model_t     m;
    uint32_t    lens[BATCH];
    wsb_copy_t  copy;

    memset(&copy, 0, sizeof(wsb_copy_t));
    bad = 0;

    for (i = 0; i < RING; i += 8) {
        place_init(&p, RING, i + (uint64_t) RING * rnd(1 << 20));
        model_init(&m, 64, p.log->head.pos[0]);

        /* half a ring, a record that is evicted, one across every end */

        lens[0] = HEADER + 8 * (i / 8 % 7);
        lens[1] = RING / 4;
        lens[2] = RING / 4 - HEADER - 8 * (i / 8 % 7);
        append(p.log, &m, lens, 3);

        lens[0] = RING / 4;
        append(p.log, &m, lens, 1);

        lens[0] = HEADER + 8 * (i / 8 % 11);

        for (n = 1; n < 5; n++) {
            lens[n] = HEADER + 8 * rnd(9);
        }

        append(p.log, &m, lens, n);

        lens[0] = (uint32_t) (HEADER + 8 * rnd(RING / 4 / 8 - 3));
        append(p.log, &m, lens, 1);

        if (!same_ends(p.log, &m) || !same_records(p.log, &m, &copy, i & 8)
            || !place_intact(&p))
        {
            bad++;
        }

        place_done(&p);
        free(m.len);
    }

    is_uint(bad, 0, "append, wrap and evict at every offset of the ring");

    free(copy.data);
}


static void
test_random(void)
{
    size_t        i, bad;
    place_t       p;
    model_t       m;
    wsb_rc_t      rc;
    wsb_copy_t    copy;
    wsb_cursor_t  cursor;

    memset(&copy, 0, sizeof(wsb_copy_t));
    place_init(&p, RING, 0);
    model_init(&m, 20000 * BATCH, 0);

    cursor.seq = 1;
    cursor.pos = 0;
    bad = 0;

    for (i = 0; i < 20000; i++) {
        append_random(p.log, &m);

        if (!same_ends(p.log, &m)) {
            bad++;
        }

        if (i % 500 == 0
            && (!same_records(p.log, &m, &copy, 0)
                || !same_records(p.log, &m, &copy, 1)))
        {
            bad++;
        }

        /* one that lags behind: each record once, or a gap */

        while (rnd(3)) {
            rc = wsb_log_read(p.log, &cursor, &copy);

            if (rc == WSB_GAP) {
                bad += cursor.seq >= m.oldest;
                cursor.seq = m.oldest + (m.head - m.oldest) / 2;
                cursor.pos = WSB_LOG_POS_UNKNOWN;
                continue;
            }

            if (rc == WSB_AGAIN) {
                bad += cursor.seq != m.head + 1;
                break;
            }

            bad += rc != WSB_OK || !whole(&copy, cursor.seq - 1);
        }
    }

    is_uint(bad, 0, "random records and batches, and a reader behind them");
    ok(place_intact(&p), "nothing else was touched");

    place_done(&p);
    free(m.len);
    free(copy.data);
}


static void
test_smallest(void)
{
    size_t      i, n, bad;
    place_t     p;
    model_t     m;
    uint32_t    lens[BATCH];
    wsb_copy_t  copy;

    /* as many records as can be: no two may share an index entry */

    memset(&copy, 0, sizeof(wsb_copy_t));
    place_init(&p, RING, 0);
    model_init(&m, 20 * RING / HEADER, 0);

    for (i = 0; i < BATCH; i++) {
        lens[i] = HEADER;
    }

    bad = 0;

    for (i = 0; i < 8 * RING / HEADER / BATCH; i++) {
        append(p.log, &m, lens, 1 + i % BATCH);

        if (i % 64 == 0 || i < 3) {
            bad += !same_ends(p.log, &m);
            bad += !same_records(p.log, &m, &copy, 1);
        }
    }

    is_uint(bad, 0, "the index finds each of the smallest records");
    is_uint(m.head + 1 - m.oldest, RING / HEADER, "and the ring is full");

    /* the largest batch */

    for (n = 0; n < 4; n++) {
        lens[0] = lens[1] = RING / 4;
        append(p.log, &m, lens, 2);
        bad += !same_ends(p.log, &m);
        bad += !same_records(p.log, &m, &copy, 1);
    }

    is_uint(bad, 0, "two of the largest records are the largest batch");
    is_uint(m.head + 1 - m.oldest, 4, "two batches fill the ring");
    ok(place_intact(&p), "nothing else was touched");

    place_done(&p);
    free(m.len);
    free(copy.data);
}


static void
test_overtaken(void)
{
    place_t       p;
    model_t       m;
    uint32_t      lens[2];
    wsb_copy_t    copy;
    wsb_cursor_t  cursor;

    memset(&copy, 0, sizeof(wsb_copy_t));
    place_init(&p, RING, 0);
    model_init(&m, 64, 0);

    lens[0] = lens[1] = RING / 4;
    append(p.log, &m, lens, 2);

    cursor.seq = 1;
    cursor.pos = 0;
    wsb_log_read(p.log, &cursor, &copy);

    append(p.log, &m, lens, 2);
    append(p.log, &m, lens, 2);

    is_uint(wsb_log_read(p.log, &cursor, &copy), WSB_GAP, "overtaken");
    ok(cursor.seq == 2 && cursor.pos == RING / 4, "the cursor stays");

    cursor.pos = WSB_LOG_POS_UNKNOWN;
    is_uint(wsb_log_read(p.log, &cursor, &copy), WSB_GAP,
            "overtaken, and without a position");

    /* evicted, then the writer died: there is nothing at all */

    wsb_log_prepare_locked(p.log, RING / 2);
    wsb_log_prepare_locked(p.log, RING / 2);
    is_uint(wsb_log_oldest(p.log), 5, "prepare evicts once");

    lens[0] = RING / 4;
    append(p.log, &m, lens, 1);
    is_uint(wsb_log_oldest(p.log), 5, "for whom it was done is the same");

    place_done(&p);
    free(m.len);
    free(copy.data);
}


static void
test_broken(void)
{
    size_t         i, k, n, oob, lost, known;
    place_t        p;
    model_t        m;
    uint32_t       evil[] = {
        0, 1, 7, 8, 23, 24, 25, 31, RING / 4, RING / 4 + 8, RING, RING * 2,
        0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff
    };
    wsb_rc_t       rc;
    wsb_copy_t     copy;
    wsb_cursor_t   cursor;
    wsb_record_t  *rec;

    memset(&copy, 0, sizeof(wsb_copy_t));
    oob = 0;
    lost = 0;
    known = 0;

    for (i = 0; i < 600; i++) {
        place_init(&p, RING, 8 * rnd(RING / 8));
        model_init(&m, 600 * BATCH, p.log->head.pos[0]);

        for (k = 0; k < 60; k++) {
            append_random(p.log, &m);
        }

        n = 1 + rnd(64);

        for (k = 0; k < n; k++) {

            switch (rnd(4)) {

            case 0:
                p.ring[rnd(RING)] = (uint8_t) rnd(256);
                break;

            case 1:
                p.index[rnd(p.log->nindex)] = rnd(2) ? rnd(1 << 20)
                                                     : rnd(UINT64_MAX);
                break;

            default:
                /* a length, as evil as can be, maybe of the oldest */
                rec = (wsb_record_t *) (p.ring
                      + (rnd(4) ? 8 * rnd(RING / 8 - 3)
                                : m.first % RING <= RING - HEADER
                                  ? m.first % RING : 0));
                rec->len = evil[rnd(sizeof(evil) / sizeof(uint32_t))];
            }
        }

        for (cursor.seq = m.oldest - 1; cursor.seq < m.head + 2; /* void */ )
        {
            k = cursor.seq;

            if (rnd(2)) {
                cursor.pos = rnd(4) ? WSB_LOG_POS_UNKNOWN : rnd(1 << 30);
            }

            rc = wsb_log_read(p.log, &cursor, &copy);

            known |= (size_t) 1 << rc;

            if (rc == WSB_OK) {
                oob += cursor.seq != k + 1 || copy.len < HEADER
                       || copy.len > RING / 4 || copy.len > copy.size;

            } else {
                oob += cursor.seq != k;
                cursor.seq = k + 1;
            }
        }

        /* the bus goes on, and is well again when all has been evicted */

        n = m.head;

        for (k = 0; k < 300; k++) {
            append_random(p.log, &m);
        }

        if (wsb_log_head(p.log) != m.head
            || wsb_log_used(p.log) > RING)
        {
            lost++;
        }

        m.oldest = wsb_log_oldest(p.log);

        if (m.oldest <= n) {
            lost++;

        } else {
            m.first = p.log->oldest.pos[p.log->oldest.word & 1];
            lost += !same_records(p.log, &m, &copy, 1);
        }

        oob += !place_intact(&p);

        place_done(&p);
        free(m.len);
    }

    is_uint(oob, 0, "broken memory is never followed");
    is_uint(known & ~(size_t) (1 << WSB_OK | 1 << WSB_AGAIN | 1 << WSB_GAP
                               | 1 << WSB_ERROR),
            0, "and is an error, a gap, or somebody else's bytes");
    ok(known & 1 << WSB_ERROR, "an error it was at least once");
    is_uint(lost, 0, "the log is well again after some appends");

    free(copy.data);
}


/* A writer that meets a header which is none gives the history up. */

static void
test_broken_oldest(void)
{
    size_t         i;
    place_t        p;
    model_t        m;
    uint32_t       lens[4];
    wsb_copy_t     copy;
    wsb_record_t  *rec;

    memset(&copy, 0, sizeof(wsb_copy_t));

    for (i = 0; i < 3; i++) {
        place_init(&p, RING, 0);
        model_init(&m, 64, 0);

        lens[0] = lens[1] = 2 * RING / 8;
        lens[2] = 320;
        lens[3] = 320;

        append(p.log, &m, lens, 2);
        append(p.log, &m, &lens[2], 2);
        append(p.log, &m, lens, 1);

        rec = (wsb_record_t *) p.ring;

        if (i == 0) {
            rec->seq = 99;
        } else {
            rec->len = i == 1 ? 8 : 160;
        }

        append(p.log, &m, lens, 2);

        m.oldest = 6;
        m.first = 3 * RING / 4 + 640;

        ok(same_ends(p.log, &m) && same_records(p.log, &m, &copy, 1)
           && place_intact(&p),
           "a broken header at the end of the log: what follows is sound");

        place_done(&p);
        free(m.len);
    }

    free(copy.data);
}


static race_t *
race_create(void)
{
    size_t      size, index;
    race_t     *race;
    uint8_t    *p;
    wsb_log_t  *log;

    index = wsb_log_index_size(RING);
    size = sizeof(race_t) + sizeof(wsb_log_t) + 64 + index + RING;

    race = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS,
                -1, 0);
    if (race == MAP_FAILED) {
        abort();
    }

    p = (uint8_t *) race->zone;
    p += 63;
    p -= (uintptr_t) p % 64;

    log = (wsb_log_t *) p;
    wsb_log_init(log, p + sizeof(wsb_log_t) + index, RING,
                 p + sizeof(wsb_log_t));

    race->last = RACE_RECORDS;

    return race;
}


static wsb_log_t *
race_log(race_t *race)
{
    uint8_t  *p;

    p = (uint8_t *) race->zone;
    p += 63;

    return (wsb_log_t *) (p - (uintptr_t) p % 64);
}


static void
race_destroy(race_t *race)
{
    munmap(race, sizeof(race_t) + sizeof(wsb_log_t) + 64
                 + wsb_log_index_size(RING) + RING);
}


/* Never returns.  Takes over where the one before it has died. */

static void
race_write(race_t *race, uint64_t salt)
{
    size_t      i, n, len;
    uint64_t    seq, pos;
    uint32_t    want;
    wsb_log_t  *log;

    log = race_log(race);
    random_state += salt;

    for ( ;; ) {
        seq = wsb_log_head(log);

        if (seq >= race->last) {
            _exit(0);
        }

        n = rnd(4) ? 1 : 1 + rnd(8);
        len = 0;

        for (i = 0; i < n; i++) {
            want = (uint32_t) (HEADER + 8 * rnd(rnd(8) ? 32 : 500));
            len += fill(bytes + len, seq + 1 + i, want, salt);
        }

        pos = wsb_log_prepare_locked(log, len);
        wsb_log_write_locked(log, pos, bytes, len);
        wsb_log_commit_locked(log, seq + n, pos + len);

        if (rnd(64) == 0) {
            /* for those with one processor */
            sched_yield();
        }
    }
}


/* Never returns: 0 is well, else what was wrong. */

static void
race_read(race_t *race, unsigned me)
{
    uint64_t             seen;
    wsb_rc_t             rc;
    wsb_log_t           *log;
    wsb_copy_t           copy;
    wsb_cursor_t         cursor;
    const wsb_record_t  *rec;

    memset(&copy, 0, sizeof(wsb_copy_t));
    log = race_log(race);
    random_state += me;

    cursor = wsb_log_end(log);

    __atomic_add_fetch(&race->readers, 1, __ATOMIC_SEQ_CST);

    for ( ;; ) {

        if (rnd(8) == 0) {
            cursor.pos = WSB_LOG_POS_UNKNOWN;
        }

        rc = wsb_log_read(log, &cursor, &copy);

        switch (rc) {

        case WSB_OK:

            if (!whole(&copy, cursor.seq - 1)) {
                _exit(2);
            }

            /* what has been visible once is the same for all, for ever */

            rec = (const wsb_record_t *) copy.data;
            seen = 0;

            if (!__atomic_compare_exchange_n(&race->salt[cursor.seq - 1],
                                             &seen, rec->msec, 0,
                                             __ATOMIC_SEQ_CST,
                                             __ATOMIC_SEQ_CST)
                && seen != rec->msec)
            {
                _exit(3);
            }

            race->read[me]++;
            break;

        case WSB_GAP:

            if (cursor.seq >= wsb_log_oldest(log)) {
                _exit(4);
            }

            race->gaps[me]++;

            /* sometimes where it is the most dangerous */

            cursor.seq = wsb_log_oldest(log);
            cursor.pos = WSB_LOG_POS_UNKNOWN;

            if (rnd(2)) {
                seen = wsb_log_head(log);

                if (seen > cursor.seq) {
                    cursor.seq += (seen - cursor.seq) / 2;
                }
            }

            break;

        case WSB_AGAIN:

            if (cursor.seq > race->last) {
                free(copy.data);
                _exit(0);
            }

            sched_yield();
            break;

        default:
            _exit(10 + (int) rc);
        }
    }
}


static void
test_race(unsigned deaths, const char *what)
{
    int          status;
    pid_t        readers[RACE_READERS], writer;
    race_t      *race;
    unsigned     i, bad, killed;
    uint64_t     n, gaps, at;
    wsb_log_t   *log;

    race = race_create();
    log = race_log(race);
    fflush(stdout);

    for (i = 0; i < RACE_READERS; i++) {
        readers[i] = fork();

        if (readers[i] == 0) {
            race_read(race, i);
        }
    }

    while (__atomic_load_n(&race->readers, __ATOMIC_SEQ_CST) < RACE_READERS) {
        sched_yield();
    }

    bad = 0;
    killed = 0;

    for (i = 1; /* void */ ; i++) {
        writer = fork();

        if (writer == 0) {
            race_write(race, i);
        }

        if (killed < deaths) {
            /* let it get some way, then kill it wherever it is */

            at = wsb_log_head(log)
                 + rnd(race->last / (deaths + 1) + 1);

            while (wsb_log_head(log) < at && wsb_log_head(log) < race->last)
            {
                sched_yield();
            }

            kill(writer, SIGKILL);
        }

        waitpid(writer, &status, 0);

        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
            killed++;
            continue;
        }

        bad += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        break;
    }

    ok(bad == 0, "%s: the writer has written", what);

    n = 0;
    gaps = 0;

    for (i = 0; i < RACE_READERS; i++) {
        waitpid(readers[i], &status, 0);

        if (!ok(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                "%s: reader %u has seen nothing but whole records", what, i))
        {
            printf("# status 0x%x\n", (unsigned) status);
        }

        n += race->read[i];
        gaps += race->gaps[i];
    }

    printf("# %s: %llu records, %u deaths, %llu read, %llu gaps\n", what,
           (unsigned long long) wsb_log_head(log), killed,
           (unsigned long long) n, (unsigned long long) gaps);

    ok(n > 0, "%s: something was read", what);

    race_destroy(race);
}


int
main(void)
{
    bytes = malloc(RING);

    test_empty();
    test_every_offset();
    test_random();
    test_smallest();
    test_overtaken();
    test_broken();
    test_broken_oldest();
    test_race(0, "race");
    test_race(RACE_DEATHS, "killed");

    free(bytes);

    return tap_done();
}

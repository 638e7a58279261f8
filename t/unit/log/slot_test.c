/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Slots, and deaths: whatever a process was doing in the zone, and wherever
 * in it SIGKILL has hit, the next one finds the old state or the new.
 *
 * Two ways to die.  The files under test are included once more under other
 * names, and a child kills itself at the k-th WSB_STEP, for every k.  And the
 * code as it is, from the archive, is run instruction by instruction: what
 * the zone holds after each is what a death there would leave.
 */

#include "log/wsb_append.h"
#include "log/wsb_chunk.h"
#include "log/wsb_filter_text.h"
#include "log/wsb_slot.h"
#include "tap.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>


static void step(const char *name);

#undef WSB_STEP
#define WSB_STEP(name)  step(name)

/* those that are called before they are defined */

__typeof__(wsb_slot_reclaim_locked)     stepped_slot_reclaim_locked;
__typeof__(wsb_interest_remove_locked)  stepped_interest_remove_locked;
__typeof__(wsb_interest_add_within_locked)
    stepped_interest_add_within_locked;

/* every function of these files that is not static */

#define wsb_log_index_size            stepped_log_index_size
#define wsb_log_init                  stepped_log_init
#define wsb_log_prepare_locked        stepped_log_prepare_locked
#define wsb_log_write_locked          stepped_log_write_locked
#define wsb_log_commit_locked         stepped_log_commit_locked
#define wsb_log_head                  stepped_log_head
#define wsb_log_oldest                stepped_log_oldest
#define wsb_log_used                  stepped_log_used
#define wsb_log_end                   stepped_log_end
#define wsb_log_read                  stepped_log_read
#define wsb_idem_size                 stepped_idem_size
#define wsb_idem_init                 stepped_idem_init
#define wsb_idem_request              stepped_request
#define wsb_idem_find_locked          stepped_idem_find_locked
#define wsb_idem_prepare_locked       stepped_idem_prepare_locked
#define wsb_idem_settle_locked        stepped_idem_settle_locked
#define wsb_zone_init                 stepped_zone_init
#define wsb_zone_valid                stepped_zone_valid
#define wsb_zone_captured_locked      stepped_zone_captured_locked
#define wsb_chunk_take_locked         stepped_chunk_take_locked
#define wsb_chunk_give_locked         stepped_chunk_give_locked
#define wsb_chunk_count_free          stepped_chunk_count_free
#define wsb_chunk_recount_locked      stepped_chunk_recount_locked
#define wsb_bucket_insert             stepped_bucket_insert
#define wsb_bucket_remove             stepped_bucket_remove
#define wsb_interest_add_locked       stepped_interest_add_locked
#define wsb_interest_add_within_locked stepped_interest_add_within_locked
#define wsb_interest_remove_locked    stepped_interest_remove_locked
#define wsb_interest_notify_locked    stepped_interest_notify_locked
#define wsb_interest_notify_all_locked stepped_interest_notify_all_locked
#define wsb_interest_count_locked     stepped_interest_count_locked
#define wsb_interest_take_locked      stepped_interest_take_locked
#define wsb_interest_give_locked      stepped_interest_give_locked
#define wsb_filter_text_add_locked    stepped_filter_text_add_locked
#define wsb_filter_text_count_locked  stepped_filter_text_count_locked
#define wsb_slot_enter_locked         stepped_slot_enter_locked
#define wsb_slot_reclaim_locked       stepped_slot_reclaim_locked
#define wsb_slot_take_locked          stepped_slot_take_locked
#define wsb_slot_arm                  stepped_slot_arm
#define wsb_slot_disarm               stepped_slot_disarm
#define wsb_slot_pending              stepped_slot_pending
#define wsb_slot_at_head              stepped_slot_at_head
#define wsb_append_locked             stepped_append_locked
#define wsb_append_resync_locked      stepped_append_resync_locked
#define wsb_append_skip_locked        stepped_append_skip_locked
#define wsb_log_skip_locked           stepped_log_skip_locked
#define wsb_log_torn_locked           stepped_log_torn_locked
#define wsb_log_repair_locked         stepped_log_repair_locked
#define wsb_append_marked_locked      stepped_append_marked_locked

#include "../../../src/log/wsb_log.c"
#include "../../../src/log/wsb_idem.c"
#include "../../../src/log/wsb_zone.c"
#include "../../../src/log/wsb_chunk.c"
#include "../../../src/log/wsb_bucket.c"
#include "../../../src/log/wsb_interest.c"
#include "../../../src/log/wsb_filter_text.c"
#include "../../../src/log/wsb_append.c"
#include "../../../src/log/wsb_slot.c"

#undef wsb_log_index_size
#undef wsb_log_init
#undef wsb_log_prepare_locked
#undef wsb_log_write_locked
#undef wsb_log_commit_locked
#undef wsb_log_head
#undef wsb_log_oldest
#undef wsb_log_used
#undef wsb_log_end
#undef wsb_log_read
#undef wsb_idem_size
#undef wsb_idem_init
#undef wsb_idem_request
#undef wsb_idem_find_locked
#undef wsb_idem_prepare_locked
#undef wsb_idem_settle_locked
#undef wsb_zone_init
#undef wsb_zone_valid
#undef wsb_zone_captured_locked
#undef wsb_chunk_take_locked
#undef wsb_chunk_give_locked
#undef wsb_chunk_count_free
#undef wsb_chunk_recount_locked
#undef wsb_bucket_insert
#undef wsb_bucket_remove
#undef wsb_interest_add_locked
#undef wsb_interest_add_within_locked
#undef wsb_interest_remove_locked
#undef wsb_interest_notify_locked
#undef wsb_interest_notify_all_locked
#undef wsb_interest_count_locked
#undef wsb_interest_take_locked
#undef wsb_interest_give_locked
#undef wsb_filter_text_add_locked
#undef wsb_filter_text_count_locked
#undef wsb_slot_enter_locked
#undef wsb_slot_reclaim_locked
#undef wsb_slot_take_locked
#undef wsb_slot_arm
#undef wsb_slot_disarm
#undef wsb_slot_pending
#undef wsb_slot_at_head
#undef wsb_append_locked
#undef wsb_append_resync_locked
#undef wsb_append_skip_locked
#undef wsb_log_skip_locked
#undef wsb_log_torn_locked
#undef wsb_log_repair_locked
#undef wsb_append_marked_locked


#define SIZE       (348 * 1024)
#define KEPT              (~(uint64_t) 0x2003)  /* 0, 1 and 13 are not */
#define HEADER     sizeof(wsb_record_t)
#define RECORDS    20000
#define KEYS       400
#define STORM      400
#define IDEM       8

/* the mortal one, the one that stays, the successor */
#define PID_A      1001
#define PID_B      1002
#define PID_C      1003
#define LIVING     9000           /* and above: they live */
#define A          0
#define B          1

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED  1
#else
#define SANITIZED  0
#endif


/* what is under test, in one of its two builds */

typedef struct {
    wsb_rc_t     (*append)(wsb_zone_t *zone, wsb_batch_t *batch,
                           uint64_t msec, const wsb_idem_request_t *req,
                           wsb_appended_t *out);
    wsb_rc_t     (*add)(wsb_zone_t *zone, unsigned slot,
                        const wsb_key_t *keys, unsigned nkeys,
                        unsigned mask);
    void         (*remove)(wsb_zone_t *zone, unsigned slot,
                           const wsb_key_t *keys, unsigned nkeys);
    int          (*enter)(wsb_zone_t *zone, uint32_t pid,
                          uint64_t generation, wsb_gone_pt gone,
                          wsb_hand_t *hand);
    void         (*reclaim)(wsb_zone_t *zone, unsigned slot, uint32_t pid);
    void         (*take)(wsb_zone_t *zone, unsigned slot, wsb_hand_t *hand);
    int          (*arm)(wsb_zone_t *zone, unsigned slot);
    int          (*disarm)(wsb_zone_t *zone, unsigned slot);
    uint32_t     (*text_add)(wsb_zone_t *zone, unsigned slot,
                             wsb_str_t text, const wsb_key_t *tenant);
    void         (*text_count)(wsb_zone_t *zone, uint32_t handle,
                               uint32_t count);
} ops_t;


typedef struct {
    const char    *name;
    void         (*prepare)(wsb_zone_t *zone);
    void         (*run)(const ops_t *ops, wsb_zone_t *zone);
    unsigned       slow;                  /* too long to go step by step */
} scene_t;


static const ops_t  built = {
    wsb_append_locked, wsb_interest_add_locked,
    wsb_interest_remove_locked, wsb_slot_enter_locked,
    wsb_slot_reclaim_locked, wsb_slot_take_locked, wsb_slot_arm,
    wsb_slot_disarm, wsb_filter_text_add_locked,
    wsb_filter_text_count_locked
};

static const ops_t  stepped = {
    stepped_append_locked, stepped_interest_add_locked,
    stepped_interest_remove_locked, stepped_slot_enter_locked,
    stepped_slot_reclaim_locked, stepped_slot_take_locked,
    stepped_slot_arm, stepped_slot_disarm, stepped_filter_text_add_locked,
    stepped_filter_text_count_locked
};

static const uint8_t  secret[] = "0123456789abcdef";
static const wsb_key_t  no_tenant;

static uint64_t       random_state = 88172645463325252ULL;
static unsigned       steps_left;
static void         (*on_step)(const char *name);

static wsb_copy_t     copy;
static wsb_batch_t    batch;
static uint64_t       salts;

/* by seq, what was appended, or is to be */
static uint64_t       salt[RECORDS];
static uint32_t       len[RECORDS];

/* before the scene */
static uint64_t       head, oldest_after;
static unsigned       concerned;          /* B: entry of the batch + 1 */
static uint32_t       owned_by_b;
static uint64_t       before[WSB_COUNTERS];
static unsigned       requests;           /* with a key */
static wsb_idem_answer_t  answers[2 * IDEM];


static uint64_t
rnd(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return (random_state >> 11) % n;
}


static void
step(const char *name)
{
    if (on_step != NULL) {
        on_step(name);
    }

    if (steps_left != 0 && --steps_left == 0) {
        kill(getpid(), SIGKILL);

        for ( ;; ) {
            pause();
        }
    }
}


static int
is_gone(uint32_t pid)
{
    return pid != PID_B && pid < LIVING;
}


static int
nobody_gone(uint32_t pid)
{
    (void) pid;
    return 0;
}


/* Events of type 1 concern both, of type 2 nobody; keys are fillers. */

static wsb_parts_t
event(unsigned type)
{
    wsb_parts_t  parts;

    memset(&parts, 0, sizeof(wsb_parts_t));

    parts.tenant.h[0] = 7;
    parts.part[WSB_ENTITY_TYPE].h[0] = type * 0x9e3779b97f4a7c15ULL;
    parts.part[WSB_ENTITY_TYPE].h[1] = type * 0xbf58476d1ce4e5b9ULL;
    parts.present = 1 << WSB_ENTITY_TYPE;

    return parts;
}


static wsb_key_t
routed(void)
{
    wsb_parts_t  parts;

    parts = event(1);

    return wsb_key(&parts, 1 << WSB_ENTITY_TYPE);
}


static wsb_key_t
key(unsigned i)
{
    wsb_key_t  k;

    k.h[0] = (i + 1) * 0x9e3779b97f4a7c15ULL;
    k.h[0] ^= k.h[0] >> 31;
    k.h[1] = (i + 1) * 0x94d049bb133111ebULL;

    return k;
}


static const wsb_key_t *
some_keys(unsigned from, unsigned n)
{
    unsigned          i;
    static wsb_key_t  keys[KEYS];

    for (i = 0; i < n; i++) {
        keys[i] = key(from + i);
    }

    return keys;
}


static uint64_t
word(uint64_t s, size_t i)
{
    return s * 0x9e3779b97f4a7c15ULL * (2 * i + 3) + i;
}


static void
batch_add(unsigned type, uint32_t size)
{
    size_t         i;
    uint64_t      *w;
    wsb_entry_t   *entry;
    wsb_record_t  *rec;

    entry = &batch.entries[batch.nentries];
    entry->offset = (uint32_t) batch.len;
    entry->len = size;
    entry->parts = event(type);

    rec = (wsb_record_t *) (batch.records + batch.len);
    rec->len = size;
    rec->present = (uint32_t) ++salts;

    w = (uint64_t *) (rec + 1);

    for (i = 0; i < (size - HEADER) / 8; i++) {
        w[i] = word(salts, i);
    }

    batch.len += size;
    batch.nentries++;

    if (type == 1 && concerned == 0) {
        concerned = (unsigned) batch.nentries;
    }
}


static void
batch_clear(void)
{
    batch.len = 0;
    batch.nentries = 0;
    concerned = 0;
}


/* The batch is what comes next: remembers it, by seq. */

static void
expect(const wsb_zone_t *zone)
{
    size_t        i;
    uint64_t      seq, used;
    wsb_record_t  *rec;

    head = wsb_log_head(&zone->log);

    for (i = 0; i < batch.nentries; i++) {
        rec = (wsb_record_t *) (batch.records + batch.entries[i].offset);
        salt[head + 1 + i] = rec->present;
        len[head + 1 + i] = rec->len;
    }

    used = wsb_log_used(&zone->log);
    seq = wsb_log_oldest(&zone->log);

    while (used + batch.len > zone->log.size) {
        used -= len[seq++];
    }

    oldest_after = seq;
}


static void
append(wsb_zone_t *zone)
{
    wsb_appended_t  out;

    expect(zone);
    wsb_append_locked(zone, &batch, 1, NULL, &out);
    batch_clear();
}


static const char *
copy_fault(const wsb_copy_t *c, uint64_t seq)
{
    size_t               i;
    const uint64_t      *w;
    const wsb_record_t  *rec;

    rec = (const wsb_record_t *) c->data;
    w = (const uint64_t *) (rec + 1);

    if (rec->seq != seq || c->len != len[seq]
        || rec->present != (uint32_t) salt[seq])
    {
        return "another record than was appended";
    }

    for (i = 0; i < (c->len - HEADER) / 8; i++) {
        if (w[i] != word(salt[seq], i)) {
            return "a torn record";
        }
    }

    return NULL;
}


static const char *
record_fault(const wsb_zone_t *zone, wsb_cursor_t *cursor)
{
    uint64_t  seq;

    seq = cursor->seq;

    if (wsb_log_read(&zone->log, cursor, &copy) != WSB_OK) {
        return "a retained record cannot be read";
    }

    return copy_fault(&copy, seq);
}


static const char *
log_fault(const wsb_zone_t *zone)
{
    uint64_t      first, last;
    const char   *fault;
    wsb_cursor_t  cursor, found;

    first = wsb_log_oldest(&zone->log);
    last = wsb_log_head(&zone->log);

    if (first > last + 1 || last - first > 3000
        || wsb_log_used(&zone->log) > zone->log.size)
    {
        return "the ends of the log";
    }

    cursor.seq = first;
    cursor.pos = WSB_LOG_POS_UNKNOWN;

    while (cursor.seq <= last) {

        if (cursor.seq % 29 == 0 || last - cursor.seq < 3) {
            found.seq = cursor.seq;
            found.pos = WSB_LOG_POS_UNKNOWN;
            fault = record_fault(zone, &found);

            if (fault != NULL) {
                return fault;
            }
        }

        fault = record_fault(zone, &cursor);

        if (fault != NULL) {
            return fault;
        }
    }

    found = wsb_log_end(&zone->log);

    if (last >= first && (found.seq != cursor.seq || found.pos != cursor.pos))
    {
        return "the last record does not end where the log does";
    }

    return NULL;
}


static void
request_of(unsigned i, wsb_idem_request_t *req)
{
    char       text[16];
    wsb_str_t  tenant = wsb_null_string, s;

    s.data = (const uint8_t *) text;
    s.len = (size_t) snprintf(text, sizeof(text), "key %u", i);

    wsb_idem_request(req, secret, tenant, s, s);
}


/* A repeated request is answered as it was, or is new if its events are. */

static const char *
requests_fault(const wsb_zone_t *zone, int appended)
{
    unsigned             i;
    wsb_rc_t             rc;
    wsb_idem_answer_t    answer;
    wsb_idem_request_t   req;

    for (i = 0; i <= requests; i++) {
        request_of(i, &req);
        rc = wsb_idem_find_locked(wsb_zone_idem(zone), &req, &answer);

        if (rc == WSB_NOTFOUND) {

            if (i == requests ? !appended : i + IDEM <= requests) {
                /* it is not, or it had to make room */
                continue;
            }

            return "a request is forgotten";
        }

        if (rc != WSB_OK || (i == requests && !appended)) {
            return "a request is remembered that was none";
        }

        if (answer.first != answers[i].first
            || answer.count != answers[i].count
            || answer.subscribers != answers[i].subscribers)
        {
            return "another answer than was given";
        }
    }

    return NULL;
}


static uint32_t
owned(const wsb_zone_t *zone, unsigned slot)
{
    uint32_t  i, n;

    for (i = 0, n = 0; i < zone->nchunks; i++) {
        n += wsb_zone_owners(zone)[i] == slot + 1;
    }

    return n;
}


/* Chunks that are blocks of slots, or were to be. */

static uint32_t
blocks(const wsb_zone_t *zone)
{
    uint32_t  i, n;

    for (i = 0, n = 0; i < zone->nchunks; i++) {
        n += wsb_zone_owners(zone)[i] > WSB_SLOTS;
    }

    return n;
}


/* With all slots taken that were laid out, the next is in a block. */

static const char *
block_fault(wsb_zone_t *zone)
{
    int          n;
    uint32_t     chunk;
    unsigned     block;
    wsb_hand_t   hand;

    block = WSB_SLOTS_LAID / WSB_BLOCK_SLOTS;

    if (wsb_zone_slot(zone, WSB_SLOTS_LAID - 1)->pid < LIVING) {
        return blocks(zone) ? "a block that was not needed" : NULL;
    }

    wsb_slot_enter_locked(zone, LIVING, 2, is_gone, &hand);

    n = wsb_slot_enter_locked(zone, PID_C, 2, is_gone, &hand);

    if (n != WSB_SLOTS_LAID || blocks(zone) != 1) {
        return "the next slot has no block";
    }

    chunk = (uint32_t) ((zone->block[block] * UINT64_C(64) - zone->chunks)
                        / WSB_CHUNK_SIZE);

    if (wsb_zone_owners(zone)[chunk] != WSB_SLOTS + block + 1
        || wsb_zone_slot(zone, WSB_SLOTS_LAID)->pid != PID_C)
    {
        return "a block is not where the slots are";
    }

    wsb_slot_reclaim_locked(zone, (unsigned) n, PID_C);
    wsb_slot_reclaim_locked(zone, A, LIVING);

    return NULL;
}


static const char *
counters_fault(const wsb_zone_t *zone)
{
    size_t    i, s, lost;
    uint64_t  sum;

    lost = 0;

    for (i = 0; i < WSB_COUNTERS; i++) {

        if (!(zone->kept & (uint64_t) 1 << i)) {
            if (zone->past[i] != 0) {
                return "a counter was kept";
            }

            continue;
        }

        sum = zone->past[i];

        for (s = 0; s < 3; s++) {
            sum += wsb_zone_slot(zone, (unsigned) s)->counters[i];
        }

        if (sum > before[i]) {
            return "a counter was counted twice";
        }

        lost += sum != before[i];
    }

    return lost > 1 ? "more than one counter is lost" : NULL;
}


/* The next writer; what the scene appends is remembered all the same. */

static const char *
append_fault(wsb_zone_t *zone)
{
    uint32_t      kept_len;
    uint64_t      seq, kept_head, kept_oldest, kept_salt;
    unsigned      kept_concerned;
    const char   *fault;
    wsb_batch_t   kept;

    seq = wsb_log_head(&zone->log) + 1;

    kept = batch;
    kept_head = head;
    kept_oldest = oldest_after;
    kept_salt = salt[seq];
    kept_len = len[seq];
    kept_concerned = concerned;

    batch.records += batch.len;
    batch.entries += batch.nentries;

    batch_clear();
    batch_add(1, 520);
    append(zone);

    fault = log_fault(zone);

    if (fault == NULL && wsb_log_head(&zone->log) != seq) {
        fault = "the next append has another seq";
    }

    batch = kept;
    head = kept_head;
    oldest_after = kept_oldest;
    salt[seq] = kept_salt;
    len[seq] = kept_len;
    concerned = kept_concerned;

    return fault;
}


/* Somebody has died.  The zone is a copy, to be used up. */

static const char *
zone_fault(wsb_zone_t *zone)
{
    int              n;
    uint32_t         i, free_chunks;
    uint64_t         now;
    wsb_rc_t         rc;
    wsb_key_t        k;
    wsb_hand_t       hand;
    wsb_slot_t      *slot;
    const char      *fault;
    wsb_parts_t      parts;
    wsb_appended_t   out;

    /* the batch is there, or it is not */

    now = wsb_log_head(&zone->log);

    if (now != head && now != head + batch.nentries) {
        return "half of a batch";
    }

    if (wsb_log_oldest(&zone->log) > oldest_after) {
        return "more was evicted than had to be";
    }

    fault = log_fault(zone);

    if (fault != NULL) {
        return fault;
    }

    slot = wsb_zone_slot(zone, B);

    if (now != head && concerned != 0
        && (slot->pending_from == 0 || slot->pending_from > head + concerned))
    {
        return "who is concerned is not told";
    }

    /* the next append finds the half-changed table of A */

    memset(&out, 0, sizeof(wsb_appended_t));
    parts = event(1);
    wsb_interest_notify_locked(zone, &parts, now + 1, &out);

    if (!(out.slots[0] & 1 << B) || out.subscribers < 3) {
        return "the table of another slot has suffered";
    }

    fault = append_fault(zone);

    if (fault == NULL && requests != 0) {
        fault = requests_fault(zone, now != head);
    }

    if (fault != NULL) {
        return fault;
    }

    /* the sweep */

    for (i = 0;
         i < WSB_SLOTS && zone->block[i / WSB_BLOCK_SLOTS] != 0;
         i++)
    {
        slot = wsb_zone_slot(zone, i);

        if (slot->pid != 0 && !(zone->used[i / 64] >> i % 64 & 1)) {
            return "who lives in a slot is not looked at";
        }

        if (slot->pid != 0 && is_gone(slot->pid)) {
            wsb_slot_reclaim_locked(zone, i, slot->pid);
        }

        if (slot->pid == 0
            && (owned(zone, i) != 0 || slot->nentries != 0
                || slot->pending_from != 0 || slot->armed != 0
                || slot->depth != 0 || slot->texts != 0
                || slot->ntexts != 0 || slot->dir[0] != 0
                || slot->masks != 0 || slot->maybe != 0))
        {
            return "a free slot is not empty";
        }
    }

    free_chunks = wsb_chunk_count_free(zone);

    if (owned(zone, B) != owned_by_b
        || free_chunks != zone->nchunks - owned_by_b - blocks(zone))
    {
        return "a chunk is leaked";
    }

    if (zone->nfree != free_chunks) {
        return "free chunks are counted wrong";
    }

    fault = counters_fault(zone);

    if (fault != NULL) {
        return fault;
    }

    /* a successor */

    n = wsb_slot_enter_locked(zone, PID_C, 2, is_gone, &hand);

    if (n < 0 || n == B) {
        return "the successor has no slot";
    }

    slot = wsb_zone_slot(zone, (unsigned) n);

    k = routed();
    rc = wsb_interest_add_locked(zone, (unsigned) n, &k, 1,
                                 1 << WSB_ENTITY_TYPE);

    if (rc == WSB_OK && free_chunks > 8) {
        rc = wsb_interest_add_locked(zone, (unsigned) n, some_keys(0, KEYS),
                                     KEYS, 3);
    }

    memset(&out, 0, sizeof(wsb_appended_t));
    wsb_interest_notify_locked(zone, &parts, now + 2, &out);

    if (free_chunks > 1
        && (rc != WSB_OK || out.subscribers != 4
            || out.slots[0] != (1u << B | 1u << n)
            || slot->pending_from != now + 2))
    {
        return "the successor's table";
    }

    wsb_slot_reclaim_locked(zone, (unsigned) n, PID_C);

    if (wsb_chunk_count_free(zone) != free_chunks) {
        return "the successor leaks";
    }

    fault = block_fault(zone);

    if (fault != NULL) {
        return fault;
    }

    if (wsb_chunk_count_free(zone)
        != zone->nchunks - owned_by_b - blocks(zone))
    {
        return "a block is leaked";
    }

    return NULL;
}


/*
 * Before the scenes.
 */

static void
prepare(wsb_zone_t *zone)
{
    size_t       i;
    wsb_key_t    k;
    wsb_hand_t   hand;

    salts = 0;
    requests = 0;
    batch_clear();

    if (wsb_zone_init(zone, SIZE, WSB_LOG_MIN, IDEM, 1, secret) != WSB_OK) {
        abort();
    }

    wsb_slot_enter_locked(zone, PID_A, 1, is_gone, &hand);
    wsb_zone_slot(zone, A)->pid = PID_B;
    wsb_slot_enter_locked(zone, PID_C, 1, is_gone, &hand);
    wsb_zone_slot(zone, A)->pid = PID_A;
    wsb_zone_slot(zone, B)->pid = PID_B;

    k = routed();

    for (i = 0; i < 3; i++) {
        wsb_interest_add_locked(zone, B, &k, 1, 1 << WSB_ENTITY_TYPE);
    }

    wsb_interest_add_locked(zone, B, some_keys(0, 120), 120, 3);

    /* a ring that has been around, and is about to wrap */

    for (i = 0; i < 500; i++) {
        batch_add(2, (uint32_t) (HEADER + 8 * (i % 61)));
        append(zone);
    }

    while (zone->log.size - wsb_log_end(&zone->log).pos % zone->log.size > 80)
    {
        batch_add(2, 32);
        append(zone);
    }

    zone->kept = KEPT;

    for (i = 0; i < WSB_COUNTERS; i++) {
        before[i] = 1000 + i;
        wsb_zone_slot(zone, A)->counters[i] = before[i];
    }
}


static void
prepare_table(wsb_zone_t *zone, unsigned n)
{
    wsb_key_t  k;

    prepare(zone);
    k = routed();

    wsb_interest_add_locked(zone, A, &k, 1, 1 << WSB_ENTITY_TYPE);

    if (n > 1) {
        wsb_interest_add_locked(zone, A, some_keys(0, n - 1), n - 1, 3);
    }
}


static void
prepare_append(wsb_zone_t *zone)
{
    prepare_table(zone, 2);
    batch_add(1, 320);
}


static void
prepare_batch(wsb_zone_t *zone)
{
    unsigned  i;

    prepare_table(zone, 2);

    for (i = 0; i < 5; i++) {
        batch_add(i == 0 || i == 3 ? 2 : 1, 24 + 40 * i);
    }
}


static void
prepare_request(wsb_zone_t *zone)
{
    unsigned             i;
    wsb_idem_request_t   req;
    wsb_appended_t       out;

    prepare_table(zone, 2);

    for (i = 0; i <= IDEM + 2; i++) {
        request_of(i, &req);
        batch_add(1, 64);
        batch_add(1 + i % 2, 32);

        expect(zone);

        answers[i].first = head + 1;
        answers[i].count = 2;
        answers[i].subscribers = i % 2 ? 4 : 8;

        if (i < IDEM + 2) {
            wsb_append_locked(zone, &batch, 1, &req, &out);
            batch_clear();
            requests++;
        }
    }
}


static void
prepare_longest(wsb_zone_t *zone)
{
    prepare_table(zone, 2);
    batch_add(2, WSB_LOG_MIN / 4);
    batch_add(1, WSB_LOG_MIN / 4 - 64);
    batch_add(1, 64);
}


static void
prepare_100(wsb_zone_t *zone)
{
    prepare_table(zone, 100);
}


static void
prepare_300(wsb_zone_t *zone)
{
    prepare_table(zone, 300);
}


static void
prepare_last(wsb_zone_t *zone)
{
    prepare_table(zone, 1);
}


static void
prepare_full(wsb_zone_t *zone)
{
    unsigned  n;

    prepare_table(zone, 100);

    for (n = wsb_chunk_count_free(zone); n > 1; n--) {
        wsb_chunk_take_locked(zone, B);
    }
}


static void
prepare_evil(wsb_zone_t *zone)
{
    unsigned   i;
    wsb_key_t  k;

    prepare(zone);

    for (i = 0; i < 100; i++) {
        k = key(i);
        k.h[0] &= ~(uint64_t) 0xffff;
        wsb_interest_add_locked(zone, A, &k, 1, 3);
    }
}


static void
prepare_texts(wsb_zone_t *zone)
{
    unsigned   i;
    wsb_str_t  text = wsb_string("{\"entity_type\":\"order\"}");

    prepare_table(zone, 10);

    for (i = 0; i < WSB_TEXTS_PER_CHUNK; i++) {
        wsb_filter_text_add_locked(zone, A, text, &no_tenant);
    }
}


static void
prepare_crowd(wsb_zone_t *zone)
{
    uint32_t    i;
    wsb_hand_t  hand;

    prepare_table(zone, 10);

    for (i = 2; i < WSB_SLOTS_LAID; i++) {
        wsb_slot_enter_locked(zone, LIVING + i, 1, nobody_gone, &hand);
    }
}


static void
prepare_pending(wsb_zone_t *zone)
{
    prepare_table(zone, 10);
    batch_add(1, 64);
    append(zone);
    batch_add(1, 64);
}


/*
 * The scenes.
 */

static void
run_append(const ops_t *ops, wsb_zone_t *zone)
{
    unsigned        i;
    wsb_appended_t  out;

    ops->append(zone, &batch, 1, NULL, &out);

    for (i = 0; i < 2; i++) {
        if (out.slots[0] & 1 << i) {
            ops->disarm(zone, i);
        }
    }
}


static void
run_request(const ops_t *ops, wsb_zone_t *zone)
{
    wsb_idem_request_t  req;
    wsb_appended_t      out;

    request_of(requests, &req);
    ops->append(zone, &batch, 1, &req, &out);
}


static void
run_add(const ops_t *ops, wsb_zone_t *zone)
{
    ops->add(zone, A, some_keys(398, 1), 1, 5);
}


static void
run_add_many(const ops_t *ops, wsb_zone_t *zone)
{
    ops->add(zone, A, some_keys(200, 128), 128, 5);
}


static void
run_add_evil(const ops_t *ops, wsb_zone_t *zone)
{
    wsb_key_t  k;

    k = key(200);
    k.h[0] &= ~(uint64_t) 0xffff;
    ops->add(zone, A, &k, 1, 5);
}


static void
run_remove(const ops_t *ops, wsb_zone_t *zone)
{
    ops->remove(zone, A, some_keys(17, 3), 3);
}


static void
run_remove_last(const ops_t *ops, wsb_zone_t *zone)
{
    wsb_key_t  k;

    k = routed();

    if (wsb_zone_slot(zone, A)->nentries > 1) {
        ops->remove(zone, A, some_keys(0, 299), 299);
    }

    ops->remove(zone, A, &k, 1);
}


static void
run_texts(const ops_t *ops, wsb_zone_t *zone)
{
    uint32_t   handle;
    wsb_str_t  text = wsb_string("{\"event_type\":\"created\"}");

    handle = ops->text_add(zone, A, text, &no_tenant);
    ops->text_count(zone, handle, 2);
    ops->text_count(zone, handle, 0);
}


static void
run_reclaim(const ops_t *ops, wsb_zone_t *zone)
{
    ops->reclaim(zone, A, PID_A);
}


static void
run_succeed(const ops_t *ops, wsb_zone_t *zone)
{
    wsb_hand_t  hand;

    ops->enter(zone, PID_C, 2, is_gone, &hand);
}


static void
run_enter(const ops_t *ops, wsb_zone_t *zone)
{
    wsb_hand_t  hand;

    ops->enter(zone, PID_C, 2, nobody_gone, &hand);
}


static void
run_take(const ops_t *ops, wsb_zone_t *zone)
{
    wsb_hand_t      hand;
    wsb_appended_t  out;

    hand.next.seq = head;
    hand.next.pos = WSB_LOG_POS_UNKNOWN;
    hand.end = head - 1;

    ops->take(zone, A, &hand);
    ops->arm(zone, A);
    ops->append(zone, &batch, 1, NULL, &out);
    ops->disarm(zone, A);
    ops->take(zone, A, &hand);
}


static const scene_t  scenes[] = {
    { "append", prepare_append, run_append, 0 },
    { "append a batch", prepare_batch, run_append, 0 },
    { "append with a key", prepare_request, run_request, 0 },
    { "append the longest", prepare_longest, run_append, 0 },
    { "first subscription", prepare, run_add, 0 },
    { "subscribe, split", prepare_100, run_add, 0 },
    { "subscribe to many", prepare_100, run_add_many, 1 },
    { "subscribe, all splits", prepare_evil, run_add_evil, 1 },
    { "subscribe, full", prepare_full, run_add_many, 1 },
    { "unsubscribe", prepare_300, run_remove, 0 },
    { "last unsubscribe", prepare_last, run_remove_last, 0 },
    { "unsubscribe all", prepare_300, run_remove_last, 1 },
    { "texts", prepare_texts, run_texts, 0 },
    { "reclaim", prepare_300, run_reclaim, 0 },
    { "reclaim texts", prepare_texts, run_reclaim, 0 },
    { "succeed", prepare_300, run_succeed, 0 },
    { "enter", prepare_300, run_enter, 0 },
    { "enter, a block", prepare_crowd, run_enter, 0 },
    { "take and arm", prepare_pending, run_take, 0 }
};

#define NSCENES  (sizeof(scenes) / sizeof(scene_t))


static wsb_zone_t *
map(void)
{
    void  *p;

    p = mmap(NULL, SIZE, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);
    if (p == MAP_FAILED) {
        abort();
    }

    return p;
}


static void
begin(const scene_t *scene, wsb_zone_t *zone)
{
    scene->prepare(zone);
    expect(zone);
    owned_by_b = owned(zone, B);
}


static void
test_steps(const scene_t *scene)
{
    int          status;
    pid_t        pid;
    unsigned     k, bad;
    const char  *fault;
    wsb_zone_t  *zone, *first, *scratch;

    zone = map();
    first = map();
    scratch = map();

    begin(scene, first);
    bad = 0;

    for (k = 1; /* void */ ; k++) {
        memcpy(zone, first, SIZE);
        fflush(stdout);

        pid = fork();

        if (pid == 0) {
            steps_left = k;
            scene->run(&stepped, zone);
            _exit(0);
        }

        waitpid(pid, &status, 0);

        memcpy(scratch, zone, SIZE);
        fault = zone_fault(scratch);

        if (fault != NULL && bad++ < 3) {
            printf("# %s, killed at step %u: %s\n", scene->name, k, fault);
        }

        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
            break;
        }
    }

    ok(bad == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0,
       "%s: killed at each of %u steps", scene->name, k - 1);

    munmap(zone, SIZE);
    munmap(first, SIZE);
    munmap(scratch, SIZE);
}


/* What does each instruction leave? */

static void
test_instructions(const scene_t *scene)
{
    int          status, traced;
    pid_t        pid;
    unsigned     bad;
    uint64_t     n, states;
    const char  *fault;
    wsb_zone_t  *zone, *last, *scratch;

    if (SANITIZED) {
        ok(1, "%s # SKIP instructions of a sanitizer", scene->name);
        return;
    }

    zone = map();
    last = map();
    scratch = map();

    begin(scene, zone);
    memcpy(last, zone, SIZE);
    fflush(stdout);

    pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) {
            _exit(1);
        }

        raise(SIGSTOP);
        scene->run(&built, zone);
        _exit(0);
    }

    bad = 0;
    n = 0;
    states = 0;
    traced = 0;

    for ( ;; ) {
        waitpid(pid, &status, 0);

        if (!WIFSTOPPED(status)) {
            break;
        }

        if (memcmp(last, zone, SIZE) != 0) {
            memcpy(last, zone, SIZE);
            memcpy(scratch, zone, SIZE);
            states++;

            fault = zone_fault(scratch);

            if (fault != NULL && bad++ < 3) {
                printf("# %s, killed after instruction %llu: %s\n",
                       scene->name, (unsigned long long) n, fault);
            }
        }

        if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) != 0) {
            kill(pid, SIGKILL);
            continue;
        }

        traced = 1;
        n++;
    }

    if (!traced) {
        ok(1, "%s # SKIP no ptrace here", scene->name);

    } else {
        ok(bad == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0,
           "%s: killed after each of %llu instructions, %llu states",
           scene->name, (unsigned long long) n, (unsigned long long) states);
    }

    munmap(zone, SIZE);
    munmap(last, SIZE);
    munmap(scratch, SIZE);
}


/* One death after another, in the same zone. */

static void
test_storm(void)
{
    int          status;
    pid_t        pid;
    unsigned     i, k, bad, deaths;
    uint64_t     now;
    const char  *fault;
    wsb_key_t    key_1;
    wsb_zone_t  *zone, *scratch;
    void       (*run)(const ops_t *ops, wsb_zone_t *zone);
    wsb_hand_t   hand;

    zone = map();
    scratch = map();

    prepare_300(zone);
    owned_by_b = owned(zone, B);
    memset(before, 0xff, sizeof(before));
    key_1 = routed();
    bad = 0;
    deaths = 0;
    now = 0;

    for (i = 0; i < STORM; i++) {
        run = scenes[rnd(NSCENES)].run;

        if (wsb_zone_slot(zone, A)->pid == 0) {
            /* who acts has a slot */
            wsb_slot_enter_locked(zone, PID_A, i, is_gone, &hand);
        }

        batch_clear();
        k = 1 + (unsigned) rnd(6);

        while (k-- > 0) {
            batch_add(1 + (unsigned) rnd(2),
                      (uint32_t) (HEADER + 8 * rnd(rnd(8) ? 40 : 600)));
        }

        expect(zone);

        pid = fork();

        if (pid == 0) {
            steps_left = 1 + (unsigned) rnd(rnd(3) ? 20 : 200);
            run(&stepped, zone);
            steps_left = 0;
            _exit(0);
        }

        waitpid(pid, &status, 0);
        deaths += WIFSIGNALED(status);

        /* counters are not kept: many deaths may have lost many */

        memset(zone->past, 0, sizeof(zone->past));
        memset(before, 0, sizeof(before));
        memset(wsb_zone_slot(zone, A)->counters, 0, sizeof(before));
        memset(wsb_zone_slot(zone, 2)->counters, 0, sizeof(before));

        memcpy(scratch, zone, SIZE);
        fault = zone_fault(scratch);

        if (fault != NULL && bad++ < 3) {
            printf("# death %u: %s\n", i, fault);
        }

        /* now and then a successor, and B reads */

        if (rnd(3) == 0) {
            k = (unsigned) wsb_slot_enter_locked(zone, PID_A, i, is_gone,
                                                 &hand);
            wsb_interest_add_locked(zone, k, &key_1, 1, 1 << WSB_ENTITY_TYPE);
            wsb_interest_add_locked(zone, k, some_keys(0, 299), 299, 3);
        }

        if (rnd(2)) {
            hand.next = wsb_log_end(&zone->log);
            hand.end = hand.next.seq - 1;
            wsb_slot_take_locked(zone, B, &hand);
        }

        now = wsb_log_head(&zone->log);
    }

    is_uint(bad, 0, "deaths, one after another");
    ok(deaths > STORM / 4 && now > 600, "%u deaths, %llu records", deaths,
       (unsigned long long) now);

    munmap(zone, SIZE);
    munmap(scratch, SIZE);
}


/*
 * Without deaths.
 */

static void
test_enter(void)
{
    int          i, n;
    unsigned     bad;
    wsb_hand_t   hand;
    wsb_slot_t  *slot;
    wsb_zone_t  *zone;

    if (posix_memalign((void **) &zone, 4096, WSB_ZONE_MIN) != 0) {
        abort();
    }

    wsb_zone_init(zone, WSB_ZONE_MIN, WSB_LOG_MIN, IDEM, 1, secret);

    batch_clear();
    batch_add(2, 64);
    append(zone);

    n = wsb_slot_enter_locked(zone, 10, 3, nobody_gone, &hand);
    slot = wsb_zone_slot(zone, 0);

    is_uint(n, 0, "the first worker has the first slot");
    ok(wsb_zone_next(zone, 0) == 0 && wsb_zone_next(zone, 1) == WSB_SLOTS,
       "no other slot is looked at");
    ok(slot->pid == 10 && slot->generation == 3
       && slot->armed == 0 && slot->pending_from == 0, "it is filled");
    ok(hand.next.seq == 2 && wsb_hand_empty(&hand),
       "and stands behind the head");

    is_uint(wsb_slot_enter_locked(zone, 11, 3, nobody_gone, &hand), 1,
            "the second has the second");
    is_uint(wsb_slot_enter_locked(zone, 12, 3, nobody_gone, &hand), 2,
            "the third has the third");
    is_uint(zone->used[0], 7, "three are looked at");

    wsb_zone_slot(zone, 0)->pid = 0;
    wsb_slot_reclaim_locked(zone, 1, 11);
    is_uint(zone->used[0], 5, "one is left, and is not looked at");
    is_uint(wsb_slot_enter_locked(zone, 13, 4, nobody_gone, &hand), 0,
            "who comes has the first that is free");
    is_uint(wsb_slot_enter_locked(zone, 14, 4, nobody_gone, &hand), 1,
            "whoever has been there");

    bad = 0;

    for (i = 3; i < WSB_SLOTS; i++) {
        n = wsb_slot_enter_locked(zone, 3000 + (uint32_t) i, 4,
                                  nobody_gone, &hand);
        bad += n != i;
    }

    is_uint(bad, 0, "all slots can be taken, in order");
    ok(wsb_slot_enter_locked(zone, 9, 4, nobody_gone, &hand) == -1,
       "then there is none");
    ok(wsb_slot_enter_locked(zone, 14, 4, nobody_gone, &hand) == 1,
       "but one's own from a life before");
    ok(wsb_slot_enter_locked(zone, 9, 4, is_gone, &hand) >= 0,
       "and those of the dead");

    bad = 0;

    for (i = 0; i < WSB_SLOTS; i++) {
        bad += wsb_zone_slot(zone, (unsigned) i)->pid != 0;
    }

    is_uint(bad, 1, "all of which are reclaimed");
    is_uint(blocks(zone), (WSB_SLOTS - WSB_SLOTS_LAID) / WSB_BLOCK_SLOTS,
            "their blocks stay");

    free(zone);
}


/* A zone that is full has room for those that were laid out. */

static void
test_enter_full(void)
{
    int          n;
    uint32_t     i;
    wsb_hand_t   hand;
    wsb_zone_t  *zone;

    zone = map();
    wsb_zone_init(zone, SIZE, WSB_LOG_MIN, IDEM, 1, secret);

    while (wsb_chunk_take_locked(zone, 0) != 0) { /* void */ }

    wsb_chunk_give_locked(zone, 7);

    for (i = 0, n = 0; n != -1; i++) {
        n = wsb_slot_enter_locked(zone, LIVING + i, 4, nobody_gone, &hand);
    }

    is_uint(i - 1, WSB_SLOTS_LAID + WSB_BLOCK_SLOTS,
            "a full zone holds its own slots, and a block for a free chunk");
    ok(zone->used[WSB_SLOTS_LAID / 64] == 0xff
       && zone->used[WSB_SLOTS_LAID / 64 + 1] == 0,
       "who has none leaves nothing");

    wsb_slot_reclaim_locked(zone, 100, LIVING + 100);
    is_uint(wsb_slot_enter_locked(zone, 9, 4, nobody_gone, &hand), 100,
            "one that is left can be had");

    munmap(zone, SIZE);
}


static void
test_take(void)
{
    wsb_key_t    k;
    wsb_hand_t   hand;
    wsb_slot_t  *slot;
    wsb_zone_t  *zone;

    zone = map();
    wsb_zone_init(zone, SIZE, WSB_LOG_MIN, IDEM, 1, secret);
    wsb_slot_enter_locked(zone, 10, 3, nobody_gone, &hand);
    slot = wsb_zone_slot(zone, 0);

    k = routed();
    wsb_interest_add_locked(zone, 0, &k, 1, 1 << WSB_ENTITY_TYPE);

    is_uint(wsb_slot_at_head(zone, 0), 0, "an empty log has no head");
    ok(!wsb_slot_arm(zone, 0), "nothing is pending: it may sleep");

    batch_clear();
    batch_add(2, 64);
    append(zone);

    ok(!wsb_slot_pending(zone, 0), "an event for nobody");
    is_uint(wsb_slot_at_head(zone, 0), 1, "it stands at the head");

    wsb_slot_take_locked(zone, 0, &hand);
    ok(hand.next.seq == 2 && wsb_hand_empty(&hand),
       "nothing pending: it goes to the head");

    batch_add(2, 64);
    append(zone);
    batch_add(2, 64);
    batch_add(1, 64);
    append(zone);
    batch_add(2, 64);
    append(zone);

    ok(wsb_slot_pending(zone, 0) && slot->pending_from == 4, "one for it");
    is_uint(wsb_slot_at_head(zone, 0), 0, "it does not stand at the head");
    ok(wsb_slot_disarm(zone, 0), "it sleeps: to be woken");
    ok(!wsb_slot_disarm(zone, 0), "by one only");
    ok(wsb_slot_arm(zone, 0), "something is pending: it may not sleep");

    wsb_slot_take_locked(zone, 0, &hand);
    ok(hand.next.seq == 4 && hand.end == 5, "it takes from there to the head");
    ok(hand.next.pos == WSB_LOG_POS_UNKNOWN && !wsb_slot_pending(zone, 0),
       "and what it skips it does not read");

    hand.next.seq = 5;
    batch_add(1, 64);
    append(zone);
    wsb_slot_take_locked(zone, 0, &hand);
    ok(hand.next.seq == 5 && hand.end == 6, "a hand that is not empty grows");

    /* a batch died: it had stored what is not there */

    hand.next = wsb_log_end(&zone->log);
    hand.end = hand.next.seq - 1;
    slot->pending_from = 8;
    wsb_slot_take_locked(zone, 0, &hand);
    ok(hand.next.seq == 7 && wsb_hand_empty(&hand)
       && !wsb_slot_pending(zone, 0), "pending beyond the head is nothing");

    slot->pending_from = 7;
    wsb_slot_take_locked(zone, 0, &hand);
    ok(hand.next.seq == 7 && wsb_hand_empty(&hand)
       && !wsb_slot_pending(zone, 0), "nor is the next one");

    batch_add(1, 64);
    append(zone);
    wsb_slot_take_locked(zone, 0, &hand);
    ok(hand.next.seq == 7 && hand.end == 7, "until it is there");

    munmap(zone, SIZE);
}


/* A reader, and what is appended while it reads. */

static wsb_zone_t  *reading;
static unsigned     append_at, appended_at;


static void
append_meanwhile(const char *name)
{
    unsigned         i;
    wsb_appended_t   out;

    if (--append_at != 0) {
        return;
    }

    on_step = NULL;
    appended_at = strcmp(name, "copied") == 0;

    /* over everything, or over a part of it */

    for (i = 0; i < 1 + salts % 3; i++) {
        batch_clear();
        batch_add(2, WSB_LOG_MIN / 4);
        batch_add(2, WSB_LOG_MIN / (salts % 2 ? 4 : 64));
        expect(reading);
        wsb_append_locked(reading, &batch, 1, NULL, &out);
    }
}


static void
test_read(void)
{
    unsigned      k, bad, gaps, whole, copied, reads;
    uint64_t      seq;
    wsb_rc_t      rc;
    wsb_zone_t   *zone, *first;
    wsb_copy_t    kept;
    wsb_cursor_t  cursor;

    zone = map();
    first = map();
    reading = zone;
    bad = 0;
    gaps = 0;
    whole = 0;
    copied = 0;
    reads = 0;

    memset(&kept, 0, sizeof(wsb_copy_t));
    prepare(first);

    for (seq = wsb_log_oldest(&first->log);
         seq <= wsb_log_head(&first->log);
         seq++)
    {
        for (k = 1; k < 200; k++) {
            memcpy(zone, first, SIZE);
            salts = 100000 + k + seq;
            append_at = k;
            on_step = append_meanwhile;

            cursor.seq = seq;
            cursor.pos = WSB_LOG_POS_UNKNOWN;
            rc = stepped_log_read(&zone->log, &cursor, &kept);
            reads++;

            if (on_step != NULL) {
                /* it was read in fewer steps */
                on_step = NULL;
                bad += rc != WSB_OK;
                break;
            }

            copied += appended_at;

            if (rc == WSB_GAP) {
                bad += seq >= wsb_log_oldest(&zone->log);
                gaps++;

            } else if (rc == WSB_OK && copy_fault(&kept, seq) == NULL) {
                whole++;

            } else {
                bad++;
            }
        }
    }

    for (k = 1; k < 12; k++) {
        memcpy(zone, first, SIZE);
        salts = 200000 + k;
        append_at = 1 + k % 2;
        on_step = append_meanwhile;

        cursor = stepped_log_end(&zone->log);
        on_step = NULL;

        bad += cursor.pos != (append_at == 0 ? wsb_log_end(&zone->log)
                                             : wsb_log_end(&first->log)).pos;
        bad += cursor.seq != (append_at == 0 ? wsb_log_end(&zone->log)
                                             : wsb_log_end(&first->log)).seq;
    }

    is_uint(bad, 0, "what is overtaken while it is read is a gap, or whole");
    ok(gaps > 100 && whole > 100 && copied > 100,
       "%u reads, %u gaps, %u whole", reads, gaps, whole);

    free(kept.data);
    munmap(zone, SIZE);
    munmap(first, SIZE);
}


static void
test_reclaim(void)
{
    wsb_slot_t  *slot;
    wsb_zone_t  *zone;

    zone = map();
    prepare_300(zone);
    slot = wsb_zone_slot(zone, A);

    wsb_slot_reclaim_locked(zone, A, PID_C);
    ok(slot->pid == PID_A && slot->nentries == 300,
       "not what another pid holds");

    wsb_slot_reclaim_locked(zone, A, PID_A);
    ok(slot->pid == 0 && slot->nentries == 0 && owned(zone, A) == 0,
       "the slot is empty");
    ok(zone->past[2] == 1002 && zone->past[11] == 1011
       && slot->counters[2] == 0, "its counters are kept");
    ok(zone->past[0] == 0 && zone->past[13] == 0 && slot->counters[0] == 0
       && slot->cursor == 0, "but for those of the moment");

    munmap(zone, SIZE);
}


int
main(void)
{
    size_t  i;

    batch.records = calloc(1, 2 * WSB_LOG_MIN);
    batch.entries = calloc(64, sizeof(wsb_entry_t));

    test_enter();
    test_enter_full();
    test_take();
    test_reclaim();
    test_read();

    for (i = 0; i < NSCENES; i++) {
        test_steps(&scenes[i]);
    }

    for (i = 0; i < NSCENES; i++) {
        if (!scenes[i].slow) {
            test_instructions(&scenes[i]);
        }
    }

    test_storm();

    free(batch.records);
    free(batch.entries);
    free(copy.data);

    return tap_done();
}

#include "wsb_zone.h"
#include "wsb_interest.h"
#include "wsb_slot.h"


_Static_assert(WSB_BLOCK_SLOTS * sizeof(wsb_slot_t) <= WSB_CHUNK_SIZE,
               "block size");
_Static_assert(WSB_COUNTERS <= 64, "a bit for each counter");


static wsb_rc_t wsb_zone_repeat_locked(wsb_zone_t *zone,
    const wsb_request_t *req, wsb_appended_t *out);
static size_t wsb_zone_blocks(size_t size);
static size_t wsb_zone_align(size_t n, size_t a);


wsb_rc_t
wsb_zone_init(void *mem, size_t size, size_t history, size_t nidem,
    uint64_t epoch, const uint8_t key[16])
{
    size_t       off, owners, idem, index, ring, chunks, blocks, n, i;
    wsb_zone_t  *zone;

    zone = mem;

    history &= ~(size_t) 7;

    if (history < WSB_LOG_MIN || history >= size
        || nidem > size / sizeof(wsb_answer_t))
    {
        return WSB_ERROR;
    }

    off = wsb_zone_align(sizeof(wsb_zone_t), 64);
    blocks = wsb_zone_blocks(size);
    owners = off + blocks * WSB_BLOCK_SLOTS * sizeof(wsb_slot_t);

    /*
     * How many chunks there are is known only when all else has its place: so
     * there are owner words for as many as would fill the whole block.
     */

    idem = wsb_zone_align(owners + size / WSB_CHUNK_SIZE * sizeof(uint32_t),
                          64);
    index = wsb_zone_align(idem + wsb_idem_size(nidem), 64);
    ring = wsb_zone_align(index + wsb_log_index_size(history), 64);
    chunks = wsb_zone_align(ring + history, WSB_CHUNK_SIZE);

    if (chunks + 2 * WSB_CHUNK_SIZE > size) {
        return WSB_ERROR;
    }

    n = (size - chunks) / WSB_CHUNK_SIZE;

    memset(mem, 0, idem);

    zone->layout = WSB_ZONE_LAYOUT;
    zone->size = size;
    zone->history = history;
    zone->epoch = epoch & (((uint64_t) 1 << 48) - 1);
    zone->owners = owners;
    zone->chunks = chunks;
    zone->idem = idem;
    zone->nchunks = (uint32_t) n;
    zone->nfree = (uint32_t) n;

    for (i = 0; i < blocks; i++) {
        zone->block[i] = (uint32_t) ((off + i * WSB_BLOCK_SLOTS
                                            * sizeof(wsb_slot_t))
                                     / 64);
    }

    memcpy(zone->key, key, 16);

    wsb_idem_init((wsb_idem_t *) ((uint8_t *) mem + idem), nidem);

    wsb_log_init(&zone->log, (uint8_t *) mem + ring, history,
                 (uint8_t *) mem + index);

    zone->magic = WSB_ZONE_MAGIC;

    return WSB_OK;
}


int
wsb_zone_valid(const wsb_zone_t *zone)
{
    return zone->magic == WSB_ZONE_MAGIC && zone->layout == WSB_ZONE_LAYOUT;
}


wsb_rc_t
wsb_zone_append_locked(wsb_zone_t *zone, wsb_batch_t *batch, uint64_t msec,
    const wsb_request_t *req, wsb_appended_t *out)
{
    size_t         i;
    uint64_t       pos, seq;
    wsb_rc_t       rc;
    wsb_idem_t    *idem;
    wsb_entry_t   *entry;
    wsb_record_t  *rec;

    memset(out, 0, sizeof(wsb_appended_t));

    seq = wsb_log_head(&zone->log);
    idem = wsb_zone_idem(zone);

    wsb_idem_settle_locked(idem, seq);

    if (req != NULL) {
        rc = wsb_zone_repeat_locked(zone, req, out);
        if (rc != WSB_NOTFOUND) {
            return rc;
        }
    }

    if (batch->len > wsb_log_max_batch(&zone->log)) {
        return WSB_ERROR;
    }

    out->first = seq + 1;
    out->last = seq + batch->nentries;

    for (i = 0; i < batch->nentries; i++) {
        rec = (wsb_record_t *) (batch->records + batch->entries[i].offset);
        rec->seq = seq + 1 + i;
        rec->msec = msec;
    }

    pos = wsb_log_prepare_locked(&zone->log, batch->len);
    wsb_log_write_locked(&zone->log, pos, batch->records, batch->len);

    for (i = 0; i < batch->nentries; i++) {
        entry = &batch->entries[i];
        wsb_interest_notify_locked(zone, &entry->parts, seq + 1 + i, out);
    }

    if (req != NULL) {
        wsb_idem_prepare_locked(idem, req, out->first,
                                (uint32_t) batch->nentries,
                                (uint32_t) out->subscribers);
    }

    /*
     * The release store also keeps the compiler from moving a store to
     * pending_from behind it: a death in between must leave a needless wake,
     * never a missing one.
     */

    wsb_log_commit_locked(&zone->log, out->last, pos + batch->len);

    wsb_idem_settle_locked(idem, out->last);

    return WSB_OK;
}


/* WSB_NOTFOUND: the key is new, and the batch is to be appended. */

static wsb_rc_t
wsb_zone_repeat_locked(wsb_zone_t *zone, const wsb_request_t *req,
    wsb_appended_t *out)
{
    wsb_rc_t      rc;
    wsb_answer_t  answer;

    rc = wsb_idem_find_locked(wsb_zone_idem(zone), req, &answer);

    if (rc != WSB_OK) {
        return rc;
    }

    out->first = answer.first;
    out->last = answer.first + answer.count - 1;
    out->subscribers = answer.subscribers;

    return WSB_DONE;
}


void
wsb_zone_captured_locked(wsb_zone_t *zone, wsb_str_t name, uint64_t n)
{
    size_t          i;
    wsb_capture_t  *c;

    if (name.len > WSB_CAPTURE_NAME) {
        name.len = WSB_CAPTURE_NAME;
    }

    for (i = 0; i < WSB_CAPTURES; i++) {
        c = &zone->captures[i];

        if (c->len == 0) {
            memcpy(c->name, name.data, name.len);

            /* the length last: until then the place is free */
            __atomic_store_n(&c->len, (uint8_t) name.len, __ATOMIC_RELEASE);
        }

        if (i == WSB_CAPTURES - 1
            || (c->len == name.len
                && memcmp(c->name, name.data, name.len) == 0))
        {
            c->count += n;
            return;
        }
    }
}


uint32_t
wsb_chunk_take_locked(wsb_zone_t *zone, unsigned slot)
{
    uint32_t   i, n, *owner;

    owner = wsb_zone_owners(zone);

    if (zone->nfree == 0) {
        return 0;
    }

    n = zone->hint;

    for (i = 0; i < zone->nchunks; i++, n++) {

        if (n >= zone->nchunks) {
            n = 0;
        }

        if (owner[n] == 0) {

            zone->hint = n + 1;

            /* the owner word first: a death now is swept with the slot */
            owner[n] = slot + 1;

            WSB_STEP("chunk owned");

            memset(wsb_zone_chunk(zone, n + 1), 0, WSB_CHUNK_SIZE);

            zone->nfree--;

            return n + 1;
        }
    }

    zone->nfree = 0;

    return 0;
}


void
wsb_chunk_give_locked(wsb_zone_t *zone, uint32_t chunk)
{
    uint32_t  *owner;

    if (chunk == 0 || chunk > zone->nchunks) {
        return;
    }

    owner = &wsb_zone_owners(zone)[chunk - 1];

    zone->nfree += *owner != 0;
    *owner = 0;
}


uint32_t
wsb_chunks_free(const wsb_zone_t *zone)
{
    uint32_t   i, n, *owner;

    owner = wsb_zone_owners(zone);
    n = 0;

    for (i = 0; i < zone->nchunks; i++) {
        n += (owner[i] == 0);
    }

    return n;
}


/*
 * How many blocks of slots are laid out with the zone: enough for most, and
 * in a large zone all, if they take less than a hundredth of it.
 */

static size_t
wsb_zone_blocks(size_t size)
{
    size_t  n;

    n = size / 128 / (WSB_BLOCK_SLOTS * sizeof(wsb_slot_t));

    if (n < WSB_SLOTS_LAID / WSB_BLOCK_SLOTS) {
        return WSB_SLOTS_LAID / WSB_BLOCK_SLOTS;
    }

    return n < WSB_SLOTS / WSB_BLOCK_SLOTS ? n : WSB_SLOTS / WSB_BLOCK_SLOTS;
}


void
wsb_chunks_count_locked(wsb_zone_t *zone)
{
    zone->nfree = wsb_chunks_free(zone);
}


static size_t
wsb_zone_align(size_t n, size_t a)
{
    return (n + a - 1) & ~(a - 1);
}

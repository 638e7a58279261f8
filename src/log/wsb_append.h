/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The way in: events come into the log, and whom they concern is found.
 */

#ifndef WSB_APPEND_H
#define WSB_APPEND_H


#include "wsb_interest.h"
#include "../event/wsb_batch.h"


/*
 * Appends a batch as one: readers see all of it or nothing.  Before it, and
 * mostly before the mutex, wsb_before_find() has been called.  req is NULL, or
 * the request for the memory of idempotency keys.
 *
 *   WSB_OK        appended
 *   WSB_AGAIN     what wsb_before_find() has found for it holds no longer, or
 *                 was not looked for: find, and append again
 *   WSB_DONE      out is what the same request was answered, nothing is
 *                 appended, nobody need be woken
 *   WSB_CONFLICT  its key was used for another body
 *   WSB_ERROR     it is longer than wsb_log_max_batch()
 *
 * After unlocking, the caller wakes each slot that it concerns and for which
 * wsb_slot_disarm() is true.  A death before the commit leaves at most a
 * needless wake.
 */

wsb_rc_t wsb_append_locked(wsb_zone_t *zone, wsb_batch_t *batch, uint64_t msec,
    const wsb_idem_request_t *req, wsb_appended_t *out);

/*
 * The same of a source with a mark, which commits with the batch.  Besides:
 *
 *   WSB_DONE      the mark is not below it: it is in the log, out is empty
 *   WSB_CONFLICT  somebody else owns the source by now
 *   WSB_FULL      there are too many sources
 */

wsb_rc_t wsb_append_marked_locked(wsb_zone_t *zone, wsb_batch_t *batch,
    uint64_t msec, const wsb_mark_request_t *mark, wsb_appended_t *out);


/*
 * A hole of n seqs: nobody gets them, and everybody is told a gap.  What the
 * log holds is evicted.  It cannot fail; out says whom to wake.
 */

void wsb_append_skip_locked(wsb_zone_t *zone, uint64_t n,
    wsb_appended_t *out);

/*
 * Appends a resync of everything: mutations were made, or not, of which
 * nobody knows any more.  It takes no memory, and cannot fail.  Whoever
 * subscribes to anything of entities is told a gap.
 */

void wsb_append_resync_locked(wsb_zone_t *zone, uint64_t msec,
    wsb_appended_t *out);


#endif /* WSB_APPEND_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The rows before a batch: what is known of them comes into its records.
 *
 * An event that says nothing of the row before the write gets it from the
 * last record of its entity, as `old`: so readers need one record only, and
 * what is evicted meanwhile is missed by nobody.  A part of a row is merged
 * onto the last one.
 *
 * That takes reading and copying, and is done before the mutex is taken:
 * under it, it is only looked whether the hints are still the same.
 */

#ifndef WSB_BEFORE_H
#define WSB_BEFORE_H


#include "wsb_zone.h"


/*
 * Without the mutex, or with it: makes the batch's records ready.  May be
 * called again.  WSB_NOMEM: there is no memory for that; nothing of the
 * batch may be appended.
 */

wsb_rc_t wsb_before_find(const wsb_zone_t *zone, wsb_batch_t *batch);

/* Is what was found still so?  The log has been settled. */
int wsb_before_same_locked(const wsb_zone_t *zone, const wsb_batch_t *batch);

/* Its records, which have these seqs and lie there, are going to be visible. */
void wsb_before_note_locked(wsb_zone_t *zone, const wsb_batch_t *batch,
    uint64_t first, uint64_t pos);


#endif /* WSB_BEFORE_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A part of a row comes into the row: JSON Merge Patch, RFC 7396.
 *
 * Members that the patch does not name keep their bytes, their order, and
 * their repetitions.
 */

#ifndef WSB_MERGE_H
#define WSB_MERGE_H


#include "wsb_json.h"
#include "wsb_text.h"


/*
 * Bytes that one merge may walk over while it looks for keys: a few ms.  A
 * patch has few members: one of 64 fits a row of 64k.
 */

#define WSB_MERGE_BUDGET          (4 * 1024 * 1024)


/*
 * Adds the row after the patch; both are validated, and no object of the
 * patch has a key twice.  WSB_ERROR: it would take too long; WSB_NOMEM: out
 * failed.  In either case what was added counts for nothing.
 */

wsb_rc_t wsb_merge(wsb_text_t *out, const wsb_json_t *row,
    const wsb_json_t *patch);


#endif /* WSB_MERGE_H */

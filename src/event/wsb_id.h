/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Event ids: UUIDs of version 8 (RFC 9562), in lower case.
 *
 *   eeeeeeee-eeee-8000-Ssss-ssssssssssss
 *
 * 48 bits are the epoch, which is random for each zone that is created, so
 * that a position in one log is never taken for a position in another.  The
 * 12 bits behind the version are 0.  The low 62 bits, behind the two of the
 * variant, are the seq.  So of two ids of one epoch the greater string is the
 * later event.
 */

#ifndef WSB_ID_H
#define WSB_ID_H


#include "../wsb.h"


#define WSB_ID_LEN                36

#define WSB_EPOCH_MASK            (((uint64_t) 1 << 48) - 1)

/* No log gets there: seq + 1 never overflows, nor does seq << 1. */
#define WSB_SEQ_MAX               (((uint64_t) 1 << 62) - 1)


/* Writes the id, returns its length, which is WSB_ID_LEN. */
size_t wsb_id(uint8_t *dst, uint64_t epoch, uint64_t seq);

/*
 * Its letters may be of either case.  WSB_ERROR if it is no id that wsb_id()
 * writes: other UUIDs, braces, a prefix, anything before or behind it.
 */
wsb_rc_t wsb_id_parse(wsb_str_t s, uint64_t *epoch, uint64_t *seq);


#endif /* WSB_ID_H */

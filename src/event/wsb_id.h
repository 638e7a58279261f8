/*
 * Event ids: "<epoch>-<seq>", the epoch in 12 hex digits, the seq in decimal.
 * The epoch is random for each zone that is created, so that a position in
 * one log is never taken for a position in another.
 */

#ifndef WSB_ID_H
#define WSB_ID_H


#include "../wsb.h"


#define WSB_EPOCH_LEN             12
#define WSB_ID_LEN                (WSB_EPOCH_LEN + 1 + 20)

#define WSB_EPOCH_MASK            (((uint64_t) 1 << 48) - 1)

/* No log gets there: seq + 1 never overflows, nor does seq << 1. */
#define WSB_SEQ_MAX               (((uint64_t) 1 << 63) - 2)


/* Writes the id, returns its length, at most WSB_ID_LEN. */
size_t wsb_id(uint8_t *dst, uint64_t epoch, uint64_t seq);

/* WSB_ERROR if it is not exactly an id: no sign, no leading zero, no more. */
wsb_rc_t wsb_id_parse(wsb_str_t s, uint64_t *epoch, uint64_t *seq);


#endif /* WSB_ID_H */

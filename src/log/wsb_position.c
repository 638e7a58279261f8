/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_position.h"


wsb_start_t
wsb_position_start(wsb_since_t since, uint64_t epoch, uint64_t seq,
    uint64_t log_epoch, uint64_t oldest, uint64_t head)
{
    wsb_start_t  start;

    start.from = head + 1;
    start.recovered = since == WSB_SINCE_NONE ? -1 : 1;
    start.gap = 0;

    if (since == WSB_SINCE_FIRST) {
        start.from = oldest;
        return start;
    }

    if (since != WSB_SINCE_ID) {
        return start;
    }

    if (epoch != log_epoch || seq + 1 < oldest) {

        /* of another log, or evicted: all there is */

        start.recovered = 0;
        start.from = oldest;
        start.gap = oldest - 1;

    } else if (seq > head) {

        /* of the future */

        start.recovered = 0;
        start.gap = head;

    } else {
        start.from = seq + 1;
    }

    return start;
}


uint64_t
wsb_position_overtaken(wsb_position_t at, uint64_t oldest, uint64_t head)
{
    if (oldest <= at.seq) {
        /* it could not be read, though it was there */
        return at.seq;
    }

    if (oldest > head + 1) {
        /* in the middle of a skip: that far it will come */
        return oldest - 1;
    }

    return oldest + (head + 1 - oldest) / 2 - 1;
}

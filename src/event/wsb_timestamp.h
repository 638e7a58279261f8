/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Times as RFC 3339 has them.
 */

#ifndef WSB_TIMESTAMP_H
#define WSB_TIMESTAMP_H


#include "../wsb.h"


/*
 * "2026-01-02T03:04:05.678Z" for milliseconds since 1970: 3 digits of
 * fraction, or none when they are zero.  Returns the length, at most 24.
 */

#define WSB_TIMESTAMP_LEN         24

size_t wsb_timestamp(uint64_t msec, uint8_t *dst);

/* Is it an RFC 3339 date-time? */
int wsb_timestamp_valid(wsb_str_t s);


#endif /* WSB_TIMESTAMP_H */

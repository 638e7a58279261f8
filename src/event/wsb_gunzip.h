/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A gzip'ed HTTP body, inflated within a bound.
 */

#ifndef WSB_GUNZIP_H
#define WSB_GUNZIP_H


#include "../wsb.h"


/*
 * WSB_OK: out is malloc'd, at most limit bytes.  WSB_FULL: it would be more.
 * WSB_ERROR: neither gzip nor zlib, or cut off.
 */

wsb_rc_t wsb_gunzip(wsb_str_t body, size_t limit, uint8_t **out, size_t *len);


#endif /* WSB_GUNZIP_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What the two ways of zlib share, for them alone.
 */

#ifndef WSB_ZLIB_H
#define WSB_ZLIB_H


#include "../wsb.h"

#include <zlib.h>


#define WSB_ZLIB_TAIL             4       /* the 00 00 ff ff of a flush */


/* By wsb_malloc(), in place of zlib's own. */
void *wsb_zlib_alloc(void *data, unsigned items, unsigned size);
void wsb_zlib_free(void *data, void *p);


#endif /* WSB_ZLIB_H */

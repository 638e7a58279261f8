/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Segments of a path: what a request and a Location header say about a row.
 *
 * nginx hands out a path that it has decoded and put in order, in which an
 * escaped slash looks like one that parts segments.  So a segment is looked
 * for in the path as it was sent, cut there, and decoded then.
 */

#ifndef WSB_URI_H
#define WSB_URI_H


#include "../wsb.h"


#define WSB_URI_SEGMENT           256     /* bytes of one, decoded */


typedef struct {
    wsb_str_t             path;           /* decoded, perhaps rewritten */
    wsb_str_t             raw;            /* as sent, with arguments */
    unsigned              rewritten:1;    /* path is not that of raw */
} wsb_uri_t;


/*
 * WSB_OK: segment lies in buf or in one of the arguments.  WSB_NOTFOUND:
 * there is none.  WSB_ERROR: it is longer than WSB_URI_SEGMENT, not UTF-8, or
 * holds a NUL.
 */

/* The last one; slashes at the end do not count. */
wsb_rc_t wsb_uri_last(const wsb_uri_t *uri, uint8_t buf[WSB_URI_SEGMENT],
    wsb_str_t *segment);

/*
 * What names the collection: behind a prefix that ends in a slash the first
 * segment, of another prefix its last one; if the path does not begin with
 * the prefix, the first segment of the path.
 */
wsb_rc_t wsb_uri_collection(const wsb_uri_t *uri, wsb_str_t prefix,
    uint8_t buf[WSB_URI_SEGMENT], wsb_str_t *segment);

/* The last segment of the path of a reference, which may be a whole URL. */
wsb_rc_t wsb_uri_reference(wsb_str_t reference, uint8_t buf[WSB_URI_SEGMENT],
    wsb_str_t *segment);


#endif /* WSB_URI_H */

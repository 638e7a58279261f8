/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The Origin of a handshake (RFC 6455, section 4.2.1; RFC 6454, section 7),
 * and patterns of it.
 */

#ifndef WSB_ORIGIN_H
#define WSB_ORIGIN_H


#include "../wsb.h"


#define WSB_ORIGIN_SCHEME_MAX     32
#define WSB_ORIGIN_HOST_MAX       255


/* Points into the text that it was made of. */

typedef struct {
    wsb_str_t             scheme;
    wsb_str_t             host;           /* with the brackets of IPv6 */
    unsigned              port;           /* the scheme's own if none is
                                             written; 0: it has none */
} wsb_origin_t;


typedef enum {
    WSB_ORIGIN_EXACT = 0,
    WSB_ORIGIN_BELOW,                     /* "*.name": names below it */
    WSB_ORIGIN_WITHIN                     /* ".name": it and names below it */
} wsb_origin_wild_t;


typedef struct {
    wsb_origin_t          origin;         /* host without the wildcard */
    wsb_origin_wild_t     wild;
} wsb_origin_pattern_t;


/*
 * One serialized origin, "scheme://host" or "scheme://host:port", and nothing
 * around it.  WSB_ERROR: anything else, "null" and lists of origins too.
 * What it is made of is then letters, digits and "+-._:[]" only.
 */

wsb_rc_t wsb_origin_parse(wsb_str_t text, wsb_origin_t *origin);

/* The same, with "*." or "." before the host.  reason: what is wrong. */
wsb_rc_t wsb_origin_pattern_parse(wsb_str_t text,
    wsb_origin_pattern_t *pattern, const char **reason);

/* Case does not count. */
int wsb_origin_equal(const wsb_origin_t *a, const wsb_origin_t *b);
int wsb_origin_match(const wsb_origin_pattern_t *pattern,
    const wsb_origin_t *origin);


#endif /* WSB_ORIGIN_H */

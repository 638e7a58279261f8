/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A response of HTTP/1 as it comes over the wire, in pieces.
 *
 * nginx takes "103 Early Hints" and "100 Continue" for the response itself,
 * and what follows them, the response proper, for its body.  This finds in
 * that body what has been answered, and where it ends.
 */

#ifndef WSB_RESPONSE_H
#define WSB_RESPONSE_H


#include "../json/wsb_text.h"


#define WSB_RESPONSE_HEAD         65536   /* bytes of status line and header */


typedef enum {
    WSB_RESPONSE_STATUS = 0,
    WSB_RESPONSE_HEADER,
    WSB_RESPONSE_LENGTH,                  /* left bytes of the body */
    WSB_RESPONSE_CLOSE,                   /* as long as the connection */
    WSB_RESPONSE_CHUNK,                   /* its size */
    WSB_RESPONSE_DATA,                    /* left bytes of a chunk */
    WSB_RESPONSE_CHUNK_END,
    WSB_RESPONSE_TRAILER,
    WSB_RESPONSE_WHOLE,
    WSB_RESPONSE_BAD
} wsb_response_state_t;


/* Zeroed, but for max_body. */

typedef struct {
    size_t                max_body;       /* bytes that are kept */

    wsb_response_state_t  state;
    wsb_text_t            line;           /* the one that is not over yet */
    size_t                head;           /* bytes */
    uint64_t              left;
    unsigned              length:1;       /* left is a Content-Length */
    unsigned              chunked:1;
    unsigned              sized:1;        /* a chunk's size has a digit */
    unsigned              extension:1;    /* and is over */

    /* good as soon as state is beyond HEADER */
    unsigned              status;
    wsb_text_t            location;       /* the header; empty: none */
    wsb_text_t            encoding;

    wsb_text_t            body;
    unsigned              lost:1;         /* it is longer than max_body */
} wsb_response_t;


/*
 * The next bytes.  WSB_AGAIN: it is not over.  WSB_OK: it is whole.
 * WSB_ERROR: this is no response, what follows is not looked at.
 */
wsb_rc_t wsb_response_feed(wsb_response_t *res, const uint8_t *data,
    size_t len);

/* The connection is closed.  Is it whole by that? */
int wsb_response_closed(wsb_response_t *res);

void wsb_response_done(wsb_response_t *res);


#endif /* WSB_RESPONSE_H */

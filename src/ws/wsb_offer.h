/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a client offers in Sec-WebSocket-Extensions, and what is answered:
 * RFC 6455, section 9.1, and RFC 7692, section 7.1.
 */

#ifndef WSB_OFFER_H
#define WSB_OFFER_H


#include "../wsb.h"


#define WSB_OFFER_BITS_MIN        8
#define WSB_OFFER_BITS_MAX        15
#define WSB_OFFER_RESPONSE_MAX    128


/* Both ways without context takeover, whatever was offered. */

typedef struct {
    unsigned              server_bits;    /* window of what is sent */
    unsigned              client_bits;    /* of what comes; 0: not told */
    unsigned              server_asked:1; /* server_bits was demanded */
} wsb_offer_t;


/*
 * Chooses the first offer of permessage-deflate that can be kept to.  The
 * header's lines are joined with ", ".  An offer with an unknown, repeated
 * or invalid parameter is passed over.
 *
 *   WSB_OK        agreed
 *   WSB_NOTFOUND  none: go on without compression
 *   WSB_ERROR     the header is not what its grammar allows, of which RFC
 *                 6455, section 9.1 has it that the handshake fails
 */

wsb_rc_t wsb_offer_choose(wsb_str_t header, wsb_offer_t *agreed);

/* Writes the answer's value, at most WSB_OFFER_RESPONSE_MAX bytes. */
size_t wsb_offer_response(uint8_t *p, const wsb_offer_t *agreed);


#endif /* WSB_OFFER_H */

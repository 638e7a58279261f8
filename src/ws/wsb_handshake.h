/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The parts of the opening handshake that are text: RFC 6455, section 4.2.1,
 * RFC 7230 lists, RFC 7692 offers.
 */

#ifndef WSB_HANDSHAKE_H
#define WSB_HANDSHAKE_H


#include "../wsb.h"


#define WSB_HANDSHAKE_KEY_LEN     24
#define WSB_HANDSHAKE_GUID        "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


/* Does a comma-separated list hold this token, whatever its case? */
int wsb_handshake_has_token(wsb_str_t list, const char *token);

/* Is it the base64 form of 16 bytes? */
int wsb_handshake_key_valid(wsb_str_t key);


#endif /* WSB_HANDSHAKE_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * base64url without padding, as JOSE has it (RFC 7515, section 2).
 */

#ifndef WSB_BASE64URL_H
#define WSB_BASE64URL_H


#include "../wsb.h"


/*
 * Decodes to dst, which has room for text.len bytes and may be text.data.
 * Strict, so that there is one spelling of each value: WSB_ERROR for any
 * other character, padding and white space too, and for bits left over that
 * are not zero.
 */

wsb_rc_t wsb_base64url_decode(wsb_str_t text, uint8_t *dst, size_t *len);


#endif /* WSB_BASE64URL_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Names and values of a query string, as an HTML form has them:
 * application/x-www-form-urlencoded.
 */

#ifndef WSB_FORM_H
#define WSB_FORM_H


#include "../wsb.h"


/*
 * "%" and two hex digits are a byte, "+" is a space.  dst has room for s.len
 * bytes.  WSB_ERROR: there is a "%" that is no escape.
 */

wsb_rc_t wsb_form_decode(wsb_str_t s, uint8_t *dst, size_t *len);

/*
 * All but letters, digits and -._~ as "%" and two digits.  dst has room for
 * 3 * s.len bytes; what follows is returned.
 */

uint8_t *wsb_form_encode(uint8_t *dst, wsb_str_t s);


#endif /* WSB_FORM_H */

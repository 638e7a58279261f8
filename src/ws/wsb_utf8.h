/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * UTF-8 as RFC 3629 has it (no surrogates, nothing overlong, nothing above
 * U+10FFFF), validated as it streams in: RFC 6455, section 8.1.
 */

#ifndef WSB_UTF8_H
#define WSB_UTF8_H


#include <stddef.h>
#include <stdint.h>


/* Zero is the start, and the only state in which a text may end. */

typedef uint32_t  wsb_utf8_t;

#define WSB_UTF8_START            0
#define WSB_UTF8_INVALID          1


/*
 * Returns the state after these bytes: WSB_UTF8_INVALID with the first byte
 * that no valid text can hold there, and for ever after.
 */

wsb_utf8_t wsb_utf8(wsb_utf8_t state, const uint8_t *p, size_t len);


#endif /* WSB_UTF8_H */

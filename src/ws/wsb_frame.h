/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * RFC 6455, section 5: the header of a frame, as clients write it and as the
 * server does.
 */

#ifndef WSB_FRAME_H
#define WSB_FRAME_H


#include "../wsb.h"


#define WSB_FRAME_CONT            0x0
#define WSB_FRAME_TEXT            0x1
#define WSB_FRAME_BINARY          0x2
#define WSB_FRAME_CLOSE           0x8
#define WSB_FRAME_PING            0x9
#define WSB_FRAME_PONG            0xa

#define WSB_FRAME_HEADER_MAX      14      /* of a masked frame */
#define WSB_FRAME_SERVER_HEADER_MAX  10   /* of an unmasked frame */
#define WSB_FRAME_CONTROL_MAX     125     /* RFC 6455, 5.5 */


/* What the next frame of a client is judged by. */

typedef struct {
    uint64_t              plain;          /* bytes a message may have, */
    uint64_t              deflated;       /* and a compressed one */
    uint64_t              len;            /* bytes the one under way has */
    unsigned              message:4;      /* its opcode, 0: none under way */
    unsigned              compressed:1;   /* whether it is */
    unsigned              deflate:1;      /* whether a new one may be */
} wsb_frame_expect_t;


typedef struct {
    uint64_t              len;            /* of the payload */
    size_t                size;           /* of the header; it ends with the
                                             4 bytes of the mask */
    unsigned              opcode:4;
    unsigned              fin:1;
    unsigned              rsv1:1;
    unsigned              close_code;     /* set with WSB_ERROR */
    const char           *reason;         /* set with WSB_ERROR, static */
} wsb_frame_t;


static inline int
wsb_frame_is_control(unsigned opcode)
{
    return opcode >= WSB_FRAME_CLOSE;
}


/*
 * Looks at as much of a header as there is, at least a byte.
 *
 *   WSB_OK     it is whole
 *   WSB_AGAIN  it goes on
 *   WSB_ERROR  1002 or 1009.  It is found with the byte that shows it, so
 *              that it does not depend on how the bytes arrived.
 */

wsb_rc_t wsb_frame_parse(const uint8_t *h, size_t have,
    const wsb_frame_expect_t *expect, wsb_frame_t *f);

/*
 * Writes the header of an unmasked, final frame; returns its length, at most
 * WSB_FRAME_SERVER_HEADER_MAX.  rsv1 marks a compressed message (RFC 7692).
 */

size_t wsb_frame_header(uint8_t *p, unsigned opcode, unsigned rsv1,
    uint64_t len);

/*
 * Writes a whole Close frame, at most 127 bytes; the reason is cut to 123
 * bytes at a character's end.  WSB_CLOSE_NO_STATUS gives an empty payload.
 */

size_t wsb_frame_close(uint8_t *p, unsigned code, const char *reason);


#endif /* WSB_FRAME_H */

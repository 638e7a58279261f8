/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * RFC 6455 messages, server side.
 *
 * The reader is fed whatever arrived and hands out whole messages.  Between
 * calls it holds only what it must: a partial header, and the parts of a
 * message that has not ended.  A message that arrived whole in one frame is
 * unmasked in place and never copied.
 */

#ifndef WSB_READER_H
#define WSB_READER_H


#include "../wsb.h"
#include "wsb_close.h"
#include "wsb_frame.h"
#include "wsb_inflate.h"
#include "wsb_utf8.h"


/* What all readers of a location share; it must outlive them. */

typedef struct {
    size_t                max_message;    /* bytes; more is 1009 */
    wsb_inflate_t        *inflate;        /* per process; NULL: no deflate */
} wsb_reader_conf_t;


/*
 * One for each connection, zeroed by its owner, ended by wsb_reader_done().
 * buf is malloc'd when a message or a control frame spans two reads, and
 * freed as soon as that message has been handed out and the next call made.
 */

typedef struct {
    uint8_t              *buf;            /* parts of the message under way */
    uint8_t              *ctl;            /* a control frame under way */
    uint64_t              remaining;      /* payload of this frame to come */
    uint32_t              len;            /* bytes in buf */
    uint32_t              size;           /* allocated in buf */
    wsb_utf8_t            utf8;
    uint16_t              close_code;     /* set with WSB_ERROR */
    uint8_t               mask[4];
    uint8_t               header[WSB_FRAME_HEADER_MAX];
    uint8_t               nheader;        /* bytes in header */
    uint8_t               nctl;           /* bytes in ctl */
    uint8_t               mask_pos;       /* 0..3 */
    unsigned              opcode:4;       /* of the frame under way */
    unsigned              message:4;      /* opcode of the message, 0: none */
    unsigned              fin:1;
    unsigned              in_payload:1;
    unsigned              compressed:1;   /* RSV1 of the message under way */
    unsigned              deflate:1;      /* set by the owner: negotiated */
    unsigned              handed_out:1;   /* buf holds what was handed out */
    const char           *reason;         /* set with WSB_ERROR, static */
} wsb_reader_t;


typedef struct {
    unsigned              opcode;         /* TEXT BINARY CLOSE PING PONG */
    unsigned              code;           /* of a CLOSE; 1005: it had none */
    uint8_t              *data;           /* unmasked; a CLOSE's reason */
    size_t                len;
} wsb_message_t;


/*
 * Consumes from *pos, up to last, until a message is whole.
 *
 *   WSB_OK     msg is whole; its data lives until the next call on the same
 *              reader (or until the caller's read buffer is reused).  Call
 *              again: there may be more.
 *   WSB_AGAIN  everything has been consumed, *pos == last.
 *   WSB_ERROR  close with rd->close_code and rd->reason: 1002, 1007, 1009.
 *              An error is found with the first byte that shows it: nothing
 *              of a refused payload is awaited or allocated.
 *   WSB_NOMEM  close with 1011.
 *
 * The bytes from *pos to last are overwritten (unmasked in place).
 */

wsb_rc_t wsb_reader_next(wsb_reader_t *rd, const wsb_reader_conf_t *conf,
    uint8_t **pos, uint8_t *last, wsb_message_t *msg);

/* Frees what the reader holds.  The reader may be used again after it. */
void wsb_reader_done(wsb_reader_t *rd);


#endif /* WSB_READER_H */

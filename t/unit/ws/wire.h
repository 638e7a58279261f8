/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Frames of a client, their delivery in pieces, and what came of it as text.
 */

#ifndef WIRE_H
#define WIRE_H


#include "alloc.h"
#include "ws/wsb_reader.h"
#include "tap.h"

#include <sys/types.h>


typedef struct {
    uint8_t  *data;
    size_t    len;
    size_t    size;
} wire_t;


static void
wire_add(wire_t *w, const void *p, size_t n)
{
    if (w->len + n > w->size) {
        w->size = 2 * (w->len + n) + 64;
        w->data = realloc(w->data, w->size);
    }

    memcpy(w->data + w->len, p, n);
    w->len += n;
}


/* A masked frame of count times the data. */

static void
wire_frame(wire_t *w, uint8_t first, const void *data, size_t len,
    size_t count)
{
    size_t          i, n, start;
    uint8_t         h[WSB_FRAME_HEADER_MAX];
    const uint8_t   mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

    n = wsb_frame_header(h, 0, 0, len * count);
    h[0] = first;
    h[1] |= 0x80;
    memcpy(h + n, mask, 4);
    wire_add(w, h, n + 4);

    start = w->len;

    for (i = 0; i < count; i++) {
        wire_add(w, data, len);
    }

    for (i = start; i < w->len; i++) {
        w->data[i] ^= mask[(i - start) & 3];
    }
}


typedef struct {
    char    text[4096];
    size_t  len;
} log_t;


static void __attribute__((format(printf, 2, 3)))
log_add(log_t *log, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    log->len += vsnprintf(log->text + log->len,
                          sizeof(log->text) - log->len, fmt, args);
    va_end(args);

    if (log->len >= sizeof(log->text)) {
        log->len = sizeof(log->text) - 1;
    }
}


static void
log_message(log_t *log, wsb_message_t *m)
{
    size_t       i;
    const char  *name;

    name = m->opcode == WSB_FRAME_TEXT ? "text"
           : m->opcode == WSB_FRAME_BINARY ? "binary"
           : m->opcode == WSB_FRAME_PING ? "ping"
           : m->opcode == WSB_FRAME_PONG ? "pong"
           : m->opcode == WSB_FRAME_CLOSE ? "close" : "?";

    log_add(log, "%s%s", log->len ? "|" : "", name);

    if (m->opcode == WSB_FRAME_CLOSE) {
        log_add(log, " %u", m->code);

    } else if (m->code != 0) {
        log_add(log, " ?");
    }

    for (i = 0; i < m->len && m->data[i] == '*'; i++) { /* void */ }

    if (m->len != 0 && i == m->len) {
        log_add(log, " *%zu", m->len);
        return;
    }

    log_add(log, " ");

    for (i = 0; i < m->len; i++) {
        log_add(log, m->data[i] >= 0x20 && m->data[i] < 0x7f ? "%c" : "<%02x>",
                m->data[i]);
    }
}


/* Returns WSB_OK to go on. */

static wsb_rc_t
feed(wsb_reader_t *rd, wsb_reader_conf_t *conf, const uint8_t *p, size_t n,
    log_t *log)
{
    uint8_t        *copy, *pos;
    wsb_rc_t        rc;
    wsb_message_t   msg;

    if (n == 0) {
        return WSB_OK;
    }

    copy = malloc(n);
    memcpy(copy, p, n);
    pos = copy;

    for ( ;; ) {
        rc = wsb_reader_next(rd, conf, &pos, copy + n, &msg);

        if (rc != WSB_OK) {
            break;
        }

        log_message(log, &msg);
    }

    if (rc == WSB_AGAIN) {
        rc = pos == copy + n ? WSB_OK : WSB_FULL;
    }

    if (rc == WSB_FULL) {
        log_add(log, "|not all consumed");

    } else if (rc == WSB_NOMEM) {
        log_add(log, "%snomem", log->len ? "|" : "");

    } else if (rc == WSB_ERROR) {
        log_add(log, "%s!%u%s", log->len ? "|" : "", rd->close_code,
                rd->reason == NULL ? " no reason" : "");
    }

    free(copy);

    return rc;
}


/* first bytes up to at, then step bytes at a time */

static void
deliver(wsb_reader_conf_t *conf, const wire_t *w, size_t at, size_t step,
    log_t *log)
{
    size_t        n, sent, before;
    wsb_reader_t  rd;

    memset(&rd, 0, sizeof(rd));
    rd.deflate = 1;
    before = live;
    log->len = 0;
    log->text[0] = '\0';

    for (sent = 0; sent < w->len; sent += n) {
        n = sent < at ? at - sent : step;

        if (n > w->len - sent) {
            n = w->len - sent;
        }

        if (feed(&rd, conf, w->data + sent, n, log) != WSB_OK) {
            break;
        }
    }

    wsb_reader_done(&rd);

    if (live != before) {
        log_add(log, "|%zd leaked", (ssize_t) (live - before));
    }
}


static void
check(const char *name, wsb_reader_conf_t *conf, const wire_t *w,
    const char *want)
{
    size_t  i;
    log_t   log;

    deliver(conf, w, w->len, 1, &log);

    if (strcmp(log.text, want) != 0) {
        is_bytes(log.text, log.len, want, "%s, whole", name);
        return;
    }

    deliver(conf, w, 0, 1, &log);

    if (strcmp(log.text, want) != 0) {
        is_bytes(log.text, log.len, want, "%s, byte by byte", name);
        return;
    }

    for (i = 1; i < w->len && w->len <= 1024; i++) {
        deliver(conf, w, i, w->len, &log);

        if (strcmp(log.text, want) != 0) {
            is_bytes(log.text, log.len, want, "%s, split at %zu", name, i);
            return;
        }
    }

    for (i = 2; i < 10; i++) {
        deliver(conf, w, 0, i, &log);

        if (strcmp(log.text, want) != 0) {
            is_bytes(log.text, log.len, want, "%s, %zu at a time", name, i);
            return;
        }
    }

    ok(1, "%s", name);
}


typedef struct {
    uint8_t      first;
    size_t       count;        /* 0: these bytes as they are */
    size_t       len;
    const char  *data;
} piece_t;

typedef struct {
    const char  *name;
    const char  *want;
    piece_t      pieces[10];
} case_t;


#define F(first, s)        { first, 1, sizeof(s) - 1, s }
#define R(first, s, n)     { first, n, sizeof(s) - 1, s }
#define RAW(s)             { 0, 0, sizeof(s) - 1, s }

#define T       0x81
#define B       0x82
#define T0      0x01
#define B0      0x02
#define C0      0x00
#define C1      0x80
#define CLOSE   0x88
#define PING    0x89
#define PONG    0x8a

/* masked with zeros */
#define Z       "\0\0\0\0"


static void
test_cases(case_t *c, size_t n, wsb_reader_conf_t *conf)
{
    wire_t    w;
    size_t    i;
    piece_t  *p;

    for ( /* void */ ; n != 0; c++, n--) {
        memset(&w, 0, sizeof(w));

        for (i = 0; i < 10 && c->pieces[i].data != NULL; i++) {
            p = &c->pieces[i];

            if (p->count == 0) {
                wire_add(&w, p->data, p->len);

            } else {
                wire_frame(&w, p->first, p->data, p->len, p->count);
            }
        }

        check(c->name, conf, &w, c->want);
        free(w.data);
    }
}


#endif /* WIRE_H */

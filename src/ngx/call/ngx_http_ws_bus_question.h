/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Questions, for the files that ask them again.
 */

#ifndef NGX_HTTP_WS_BUS_QUESTION_H
#define NGX_HTTP_WS_BUS_QUESTION_H


#include "ngx_http_ws_bus_call.h"

#include "../../event/wsb_hash.h"


/* Who waits for the answers: in the order in which they are served. */

typedef struct {
    ngx_queue_t                  queue;       /* of the question's */
    ngx_queue_t                  own;         /* of the client's */
    ngx_http_ws_bus_question_t  *question;
    ngx_http_ws_bus_asker_t     *asker;
    ngx_uint_t                   round;       /* in which it was served */
    unsigned                     held:1;      /* no events until it is */
    unsigned                     missed:1;    /* it did not read its answers */
} ngx_http_ws_bus_question_link_t;


/*
 * Private memory of the process: malloc'd, held by its links and by asks that
 * run, and freed with the last of them.
 */

struct ngx_http_ws_bus_question_s {
    ngx_queue_t                  queue;       /* of a bucket */
    ngx_queue_t                  links;
    ngx_uint_t                   refs;
    wsb_key_t                    key;
    ngx_http_ws_bus_zone_t      *bus;
    wsb_op_t                     op;          /* type NOTHING: it is with an
                                                 ask just now */
    uint64_t                     topic;       /* which who mutes is not sent */
    ngx_event_t                  event;
    ngx_msec_t                   began;       /* the last call */
    uint64_t                     head;        /* then */
    uint64_t                     seen;        /* the last event of it */
    ngx_uint_t                   failed;      /* in a row */
    ngx_uint_t                   round;
    wsb_text_t                   text;        /* that is being sent */
    unsigned                     due:1;
    unsigned                     running:1;
    unsigned                     sending:1;
    unsigned                     late:1;      /* the last answer was too late */
    unsigned                     held:1;      /* who waits is sent no events */

    wsb_str_t                    tenant;
    wsb_str_t                    entity;
    wsb_str_t                    section;
    u_char                       bytes[];
};


void ngx_http_ws_bus_question_init_process(ngx_cycle_t *cycle);

/* Takes one out, and lets go of a question, which may be freed by it. */
void ngx_http_ws_bus_question_unlink(ngx_http_ws_bus_question_link_t *link);
void ngx_http_ws_bus_question_release(ngx_http_ws_bus_question_t *q);

/* It is due: its call comes when the last one is long enough ago. */
void ngx_http_ws_bus_refresh_schedule(ngx_http_ws_bus_question_t *q);

/* Of its event. */
void ngx_http_ws_bus_refresh_handler(ngx_event_t *ev);


#endif /* NGX_HTTP_WS_BUS_QUESTION_H */

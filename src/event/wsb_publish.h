/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The body of a publish request, made into a batch: all of it or nothing.
 */

#ifndef WSB_PUBLISH_H
#define WSB_PUBLISH_H


#include "wsb_batch.h"
#include "wsb_problem.h"
#include "wsb_target.h"


typedef enum {
    WSB_FORMAT_JSON = 0,            /* one event, or an array of events */
    WSB_FORMAT_NDJSON,              /* one event a line */
    WSB_FORMAT_CLOUDEVENTS          /* one, or an array */
} wsb_format_t;


typedef struct {
    wsb_batch_conf_t      batch;          /* more than it permits is 413 */
    wsb_str_t             tenant;         /* overrides the body's if not NULL */
    unsigned              bare;           /* an event may be a bare action: a
                                             string, its name, or an object
                                             whose one member is its content */
    wsb_str_t             topic;          /* the entity_type of these, if they
                                             do not come as {"topic":...,
                                             "action":...}; data NULL: they
                                             have none, and do not */
    const wsb_target_t   *target;         /* not NULL: events may say whom they
                                             are for */
} wsb_publish_conf_t;


/*
 * Parses a whole body.  WSB_OK: the batch has at least one entry.  WSB_ERROR:
 * problem says why, the batch is empty.  The batch is zeroed by the caller
 * before, and freed by wsb_batch_done() in either case.
 */

wsb_rc_t wsb_publish_parse(wsb_batch_t *batch, wsb_format_t format,
    wsb_str_t body, const wsb_publish_conf_t *conf, wsb_problem_t *problem);


#endif /* WSB_PUBLISH_H */

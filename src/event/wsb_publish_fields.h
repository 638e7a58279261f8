/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What an event says that is published: its fields, from JSON.
 *
 * Each function returns WSB_OK, or WSB_ERROR when pub->problem says why.
 */

#ifndef WSB_PUBLISH_FIELDS_H
#define WSB_PUBLISH_FIELDS_H


#include "wsb_batch.h"
#include "wsb_problem.h"
#include "wsb_target.h"
#include "../json/wsb_json.h"


#define WSB_VALUE_MAX  256               /* bytes of a field that is no JSON */


/* Where the decoded values of one event are kept until it is a record. */

typedef struct {
    wsb_str_t             event_type;
    unsigned              seen;           /* bit i: field i, or the alias */
    uint8_t               decoded[WSB_NFIELDS + 1][WSB_VALUE_MAX];
} wsb_publish_decoded_t;


typedef struct {
    wsb_batch_t             *batch;
    const wsb_batch_conf_t  *conf;
    wsb_str_t                tenant;      /* of all events, if not NULL */
    wsb_problem_t           *problem;
    wsb_str_t                body;
    unsigned                 bare;        /* actions are taken */
    unsigned                 cloud;       /* they are CloudEvents */
    unsigned                 dropped;     /* some were of no use to anybody */
    wsb_str_t                topic;       /* of them */
    const wsb_target_t      *target;      /* NULL: there is none */
} wsb_publish_t;


/* How a member is read: one of WSB_NFIELDS goes to members->event_type. */

typedef enum {
    WSB_VALUE_STRING = 0,                /* not empty */
    WSB_VALUE_LABEL,                     /* a string; an empty one is none */
    WSB_VALUE_ID,                        /* a string or an integer */
    WSB_VALUE_TIME,
    WSB_VALUE_OBJECT,
    WSB_VALUE_JSON                       /* anything, null too */
} wsb_value_type_t;


typedef struct {
    const char           *name;
    uint8_t               field;
    uint8_t               type;
} wsb_member_t;


/* Where it stands in the body. */

static inline size_t
wsb_publish_fields_offset(const wsb_publish_t *pub, const wsb_json_t *value)
{
    return value->text.data - pub->body.data;
}


/*
 * Reads the members of an object into the fields of ev, which point into the
 * body or into members: both must live as long as ev.  prefix is how the
 * answer names a member that is ignored: "", or "event." in an envelope.
 */

wsb_rc_t wsb_publish_fields_read(wsb_publish_t *pub, const wsb_json_t *object,
    const char *prefix, wsb_event_t *ev, wsb_publish_decoded_t *members);

/* One member, into its field. */
wsb_rc_t wsb_publish_fields_value(wsb_publish_t *pub,
    const wsb_member_t *member, const wsb_json_t *value, wsb_event_t *ev,
    wsb_publish_decoded_t *members);

/* The same of a CloudEvent, which is checked. */
wsb_rc_t wsb_publish_cloud_read(wsb_publish_t *pub, const wsb_json_t *object,
    wsb_event_t *ev, wsb_publish_decoded_t *members);

/*
 * An event that may say whom it is for, and have names of fields that are
 * others: members holds what ev points to.  WSB_DONE: it is none that anybody
 * hears of here.
 */
wsb_rc_t wsb_publish_target_read(wsb_publish_t *pub, const wsb_json_t *object,
    wsb_event_t *ev, wsb_publish_decoded_t *members);

/* An action: its name, and what it holds, or NULL. */
wsb_rc_t wsb_publish_fields_action(wsb_publish_t *pub, const wsb_json_t *name,
    const wsb_json_t *content, wsb_event_t *ev,
    wsb_publish_decoded_t *members);

/* The topic of an action. */
wsb_rc_t wsb_publish_fields_topic(wsb_publish_t *pub, const wsb_json_t *value,
    wsb_event_t *ev, wsb_publish_decoded_t *members);

/* The timestamp of an envelope overrides that of its event. */
wsb_rc_t wsb_publish_fields_time(wsb_publish_t *pub, const wsb_json_t *value,
    wsb_event_t *ev, wsb_publish_decoded_t *members);

/* Nobody looks at it: the event is not refused, but the answer says so. */
wsb_rc_t wsb_publish_fields_ignored(wsb_publish_t *pub, const char *prefix,
    const wsb_json_t *key, const wsb_json_t *value);

/* When all are read: are those there that an event must have? */
wsb_rc_t wsb_publish_fields_check(wsb_publish_t *pub, wsb_event_t *ev,
    const wsb_publish_decoded_t *members);


#endif /* WSB_PUBLISH_FIELDS_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#ifndef WSB_ACTION_H
#define WSB_ACTION_H


#include "wsb_codec.h"
#include "../json/wsb_json.h"


/* The kind of events that are actions. */
#define WSB_ACTION_KIND  "action"

#define WSB_ACTION_INVALID  "Invalid action format: "


/* For codecs of this family. */

/*
 * Reads a message, answers what is none, and a ping; known is told of the
 * others, which have a type.
 */
wsb_rc_t wsb_action_read(wsb_str_t message, wsb_op_t *op,
    void (*known)(wsb_op_t *op, const wsb_json_index_t *message,
    const wsb_json_t *type));

/*
 * Makes a REQUEST of a command; behind its action, op->memory has room for
 * `more` bytes, which are returned.  NULL: it is refused, or no memory.
 */
uint8_t *wsb_action_command(wsb_op_t *op, const wsb_json_index_t *message,
    size_t more);

void wsb_action_ignore(wsb_op_t *op, const char *why);
void wsb_action_pong(wsb_text_t *t, const wsb_op_t *op, wsb_str_t last_id);
void wsb_action_error(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t id, const char *code, wsb_str_t text);
void wsb_action_response(wsb_text_t *t, const wsb_op_t *op,
    const wsb_result_t *result);

/* An event's message, but for the brace that ends it. */
void wsb_action_event(wsb_text_t *t, const wsb_event_t *ev);


/* The set of topics, for people. */
void wsb_topics_filter(wsb_text_t *t, const wsb_filter_t *filter);


#endif /* WSB_ACTION_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The section protocol, for the files that are it.
 */

#ifndef WSB_SECTION_H
#define WSB_SECTION_H


#include "wsb_codec.h"
#include "../json/wsb_json.h"


#define WSB_SECTION_FILTERS       32      /* of one list */
#define WSB_SECTION_PAIRS         (WSB_SECTION_FILTERS + 8)
#define WSB_SECTION_NAME          64      /* bytes of a field or an action */
#define WSB_SECTION_VALUE         256     /* of an id, and of a topic's parts */
#define WSB_SECTION_ACTIONS       60      /* that a connection hears of */

/* Bits of wsb_op_t.topics: these topics, then one for each action. */

#define WSB_SECTION_SNAPSHOT      1
#define WSB_SECTION_LIST          2
#define WSB_SECTION_DETAIL        4
#define WSB_SECTION_ERROR         8
#define WSB_SECTION_FIXED         4       /* of them */

#define WSB_SECTION_UNSUPPORTED   "unsupported action"
#define WSB_SECTION_INVALID       "invalid payload"


typedef struct {
    wsb_str_t             name;
    wsb_str_t             value;
} wsb_pair_t;


/* What a REQUEST is, in op->memory: with all that its strings point to. */

typedef struct {
    unsigned              detail;         /* else a list */
    wsb_str_t             section;
    unsigned              npairs;
    wsb_pair_t            pair[WSB_SECTION_PAIRS];    /* its metadata, but for
                                                         its origin; sorted */
    uint8_t               bytes[];
} wsb_section_request_t;


extern const char *const  wsb_section_topics[WSB_SECTION_FIXED];


wsb_rc_t wsb_section_decode(const wsb_context_t *context, wsb_str_t message,
    wsb_op_t *op);

/* Both as of the codec. */
wsb_rc_t wsb_section_base(const wsb_context_t *context, wsb_op_t *op);
uint64_t wsb_section_topic_bits(const wsb_context_t *context,
    wsb_str_t action);

/*
 * A list, or a detail, with a payload of at most size bytes, which has no text
 * if there is none.
 */
void wsb_section_read(const wsb_context_t *context, wsb_op_t *op,
    const wsb_json_t *payload, size_t size, unsigned detail);


/* Decodes a string to *p, which moves behind it; *s is it, trimmed. */
wsb_rc_t wsb_section_string(const wsb_json_t *value, wsb_str_t *s,
    uint8_t **p);

/* The key in small letters; 0: it is longer than any that is looked for. */
size_t wsb_section_key(const wsb_json_t *key, uint8_t dst[WSB_SECTION_NAME]);

wsb_str_t wsb_section_trim(wsb_str_t s);

/* Letters of ASCII from first to last get the other case. */
void wsb_section_case(uint8_t *p, size_t len, uint8_t first, uint8_t last);

/* How many bytes of it are its singular: four of "dishes". */
size_t wsb_section_singular(wsb_str_t entity);

/* By their bytes. */
int wsb_section_compare(wsb_str_t a, wsb_str_t b);


#endif /* WSB_SECTION_H */

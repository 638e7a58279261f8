/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Hooks: what a backend is told of an operation before it and after it, and
 * what it may answer.
 */

#ifndef WSB_HOOK_H
#define WSB_HOOK_H


#include "../json/wsb_json.h"
#include "../json/wsb_text.h"
#include "../match/wsb_restrict.h"


#define WSB_HOOK_METADATA         4096    /* bytes of a connection's */
#define WSB_HOOK_NAME             64      /* bytes of a name in it */


/* A string or a JSON text whose data is NULL is left out; a status 0, too. */

typedef struct {
    const char           *phase;
    wsb_str_t             id;             /* to know repeats by */
    wsb_str_t             connection_id;
    wsb_str_t             user;           /* whose it is, if told later */
    wsb_str_t             metadata;       /* JSON object, here and below */
    wsb_str_t             uri;            /* of a handshake */
    wsb_str_t             tenant;
    wsb_str_t             claims;
    wsb_str_t             operation;
    wsb_str_t             schema;
    wsb_str_t             entity;
    wsb_str_t             record_id;
    wsb_str_t             subscription_id;
    wsb_str_t             data;           /* JSON */
    wsb_str_t             options;        /* JSON */
    wsb_str_t             result;         /* JSON */
    unsigned              status;
} wsb_hook_t;


/* What a hook's answer changes; of type NULL and without text: nothing. */

typedef struct {
    wsb_json_t            data;
    wsb_json_t            filters;
    wsb_json_t            metadata;
    wsb_json_t            result;
} wsb_hook_answer_t;


/* Adds the body of a hook's request. */
void wsb_hook_text(wsb_text_t *t, const wsb_hook_t *hook);

/*
 * Adds an object with those members of the claims that have one of the n
 * names, as they stand there.
 */
void wsb_hook_claims(wsb_text_t *t, const wsb_json_t *claims,
    const wsb_str_t *names, unsigned n);

/*
 * Reads the body of an answer, which is valid JSON.  WSB_ERROR: it is none of
 * a hook; *why is static text.
 */
wsb_rc_t wsb_hook_answer(const wsb_json_t *body, wsb_hook_answer_t *answer,
    const char **why);

/*
 * Makes forced conditions of an answer's filters: at most `max` of them at
 * forced, whose strings are in *memory, which is freed with wsb_free() in any
 * case.  WSB_ERROR: as above; the operators are not looked at here.
 */
wsb_rc_t wsb_hook_filters(const wsb_json_t *filters, wsb_forced_t *forced,
    unsigned max, unsigned *n, uint8_t **memory, const char **why);

/*
 * Adds the metadata that a change makes of the old, which is an object or of
 * no text.  WSB_ERROR: as above.
 */
wsb_rc_t wsb_hook_merge(wsb_text_t *t, wsb_str_t old,
    const wsb_json_t *change, const char **why);

/*
 * A value of the metadata as text: a string is decoded to dst, which has room
 * for metadata.len bytes.  WSB_NOTFOUND: there is none.
 */
wsb_rc_t wsb_hook_value(wsb_str_t metadata, wsb_str_t name, uint8_t *dst,
    size_t *len);


#endif /* WSB_HOOK_H */

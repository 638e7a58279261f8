/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A query that is being written, for the files that write it.
 */

#ifndef WSB_REST_WRITE_H
#define WSB_REST_WRITE_H


#include "wsb_rest.h"


typedef struct {
    const wsb_rest_t     *rest;
    wsb_rest_style_t      style;
    wsb_text_t           *args;
    wsb_text_t            value;          /* one, decoded */
    wsb_rest_error_t     *err;
} wsb_rest_write_t;


/* The names of operators, by wsb_where_op_t. */
extern const char *const  wsb_rest_ops[];


/* A condition, the i-th; of PostgREST with those joined to it: *i goes on. */
wsb_rc_t wsb_rest_write_json_server(wsb_rest_write_t *w, unsigned i);
wsb_rc_t wsb_rest_write_postgrest(wsb_rest_write_t *w, unsigned *i);

/* Another parameter follows. */
void wsb_rest_begin(wsb_text_t *args);

/*
 * Puts the text of a value into w->value: a string decoded, others as they
 * are written.
 */

wsb_rc_t wsb_rest_value(wsb_rest_write_t *w, const wsb_rest_filter_t *f,
    const wsb_json_t *value);

/* The n-th value: of an array one after the other, else the only one. */
int wsb_rest_next(const wsb_rest_filter_t *f, wsb_json_walk_t *walk,
    unsigned n, wsb_json_t *value);

/* A server may take one for the name of an operator, or of an element. */
int wsb_rest_bracket(wsb_str_t name);

/* What PostgREST takes for nothing but a column. */
int wsb_rest_plain(wsb_str_t name);

int wsb_rest_listed(wsb_str_t name, const char *const *list);

/* WSB_ERROR, with a text that names the style. */
wsb_rc_t wsb_rest_cannot(wsb_rest_write_t *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


#endif /* WSB_REST_WRITE_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a method, a URI, a status and a body say about a row: a mutation that
 * has succeeded, made into events.
 *
 * An odd body never loses the event: what cannot be used is left out, and the
 * metadata say "truncated".  But an event that could only be told of another
 * row, or of none, is not made at all.
 */

#ifndef WSB_MUTATION_H
#define WSB_MUTATION_H


#include "wsb_batch.h"
#include "wsb_uri.h"


#define WSB_MUTATION_FIELD        256     /* bytes of a routing field */


typedef enum {
    WSB_MUTATION_NONE = 0,
    WSB_MUTATION_POST,
    WSB_MUTATION_PUT,
    WSB_MUTATION_PATCH,
    WSB_MUTATION_DELETE
} wsb_mutation_method_t;


/* What is the event's data. */

typedef enum {
    WSB_MUTATION_DEFAULT = 0,             /* none of a DELETE, else response */
    WSB_MUTATION_RESPONSE,
    WSB_MUTATION_REQUEST,
    WSB_MUTATION_NO_DATA
} wsb_mutation_data_t;


/* Zeroed first; what does not say so is filled in by the caller. */

typedef struct {
    wsb_mutation_method_t  method;
    wsb_mutation_data_t    data;
    wsb_uri_t              uri;
    wsb_str_t              prefix;        /* of the location; len 0: none */
    wsb_str_t              location;      /* header of the response */
    wsb_str_t              id_path;       /* names joined by dots */
    wsb_str_t              request_id;    /* for the metadata; len 0: none */
    wsb_str_t              version;       /* the same, */
    wsb_str_t              version_path;  /* or where it is in a row */
    wsb_str_t              response;      /* bodies; len 0: none */
    wsb_str_t              request;
    unsigned               lost_response:1;   /* there was one, but where */
    unsigned               lost_request:1;    /* or it is no JSON */
    unsigned               alone:1;       /* without the row before */

    /*
     * Its fields as far as they are given; entity_type, entity_id and action
     * are found out if they are not.
     */
    wsb_event_t            event;
    wsb_batch_conf_t       conf;

    /* results */
    wsb_batch_t            batch;         /* to be freed by the caller */
    size_t                 nrefused;      /* rows without an event */
    const char            *reason;        /* of that, static */

    /* of its own */
    unsigned               truncated:1;
    uint8_t                entity[WSB_URI_SEGMENT];
} wsb_mutation_t;


/* WSB_OK: look at batch and nrefused.  WSB_ERROR: reason. */
wsb_rc_t wsb_mutation_events(wsb_mutation_t *m);

/* Finds out the entity_type, if it is not given.  WSB_ERROR: it has none. */
wsb_rc_t wsb_mutation_type(wsb_mutation_t *m);

/* Can it be a field of an event? */
int wsb_mutation_field(wsb_str_t value);

/*
 * Does a body of this Content-Type mean what JSON makes of it?  An empty one
 * says nothing, so it may.
 */
int wsb_mutation_is_json(wsb_str_t type);


#endif /* WSB_MUTATION_H */

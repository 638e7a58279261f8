/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a request for records looks like to a REST backend: the end of its
 * path, its query, and how its answer counts what there is.
 *
 * Three styles.  What a style cannot say is an error with a sentence, and is
 * never left out.  Everything that comes from a client is percent-encoded, so
 * that no value can add a parameter or leave its segment of the path.
 *
 *   rest         column=v  column[op]=v  column[in]=a,b  fields=a,b
 *                sort=a,-b  limit=  offset=             /<id>
 *   postgrest    column=eq.v ...  column=in.(a,b)  or=(a.eq.1,b.gt.2)
 *                select=a,b  order=a.asc,b.desc  limit=  offset=  id=eq.<id>
 *   json-server  0.17: column=v  column_ne=v  column_gte=v  column_lte=v
 *                column_like=<regex>  column=a&column=b  _sort=a,b
 *                _order=asc,desc  _limit=  _start=       /<id>
 */

#ifndef WSB_REST_H
#define WSB_REST_H


#include "../json/wsb_json.h"
#include "../json/wsb_text.h"
#include "../match/wsb_restrict.h"


#define WSB_REST_FILTERS          16
#define WSB_REST_COLUMNS          64
#define WSB_REST_SORTS            8
#define WSB_REST_VALUES           256     /* of one `in` */
#define WSB_REST_NAME             256     /* bytes of a column */
#define WSB_REST_ID               256     /* bytes of a record's id */
#define WSB_REST_NONE             UINT64_MAX


typedef enum {
    WSB_REST_PLAIN = 0,
    WSB_REST_POSTGREST,
    WSB_REST_JSON_SERVER
} wsb_rest_style_t;


typedef struct {
    wsb_str_t             column;         /* decoded */
    wsb_where_op_t        op;
    wsb_json_t            value;          /* of a client */
    wsb_str_t             text;           /* of a forced condition */
    unsigned              forced:1;
    unsigned              joined:1;       /* by OR to the one before it */
} wsb_rest_filter_t;


typedef struct {
    wsb_str_t             column;
    int                   desc;
} wsb_rest_sort_t;


/* Points into the message, and into `memory` for what had to be decoded. */

typedef struct {
    wsb_rest_filter_t     filter[WSB_REST_FILTERS + WSB_RESTRICT_CONDITIONS];
    unsigned              nfilters;
    wsb_str_t             column[WSB_REST_COLUMNS];
    unsigned              ncolumns;
    wsb_rest_sort_t       sort[WSB_REST_SORTS];
    unsigned              nsorts;
    uint64_t              limit;          /* WSB_REST_NONE: none */
    uint64_t              offset;
    uint8_t              *memory;         /* malloc'd */
} wsb_rest_t;


typedef struct {
    char                  text[160];      /* printable ASCII without quotes */
    int                   style;          /* it could be said in another one */
} wsb_rest_error_t;


/*
 * Reads `options` of a request: filters, columns, sort, limit, offset; others
 * are ignored.  options->type WSB_JSON_NULL: there are none.  Freed by
 * wsb_rest_done() in any case.  WSB_ERROR: err says what is wrong.
 */

wsb_rc_t wsb_rest_options(wsb_rest_t *rest, const wsb_json_t *options,
    wsb_rest_error_t *err);

/* The same with conditions that stand beside the options, if there are any. */
wsb_rc_t wsb_rest_select(wsb_rest_t *rest, const wsb_json_t *options,
    const wsb_json_t *where, wsb_rest_error_t *err);

void wsb_rest_done(wsb_rest_t *rest);

/*
 * Leaves out the conditions of a client, with those that an OR joins to them,
 * that this style cannot say, or that a forced one on the same column stands
 * beside; the forced ones come later.  They are not there afterwards: returns
 * whether any were left out.  -1: no memory.
 */

int wsb_rest_leave_out(wsb_rest_t *rest, wsb_rest_style_t style,
    const wsb_forced_t *forced, unsigned n);

/*
 * Adds a forced condition on a column.  WSB_CONFLICT: the client has one of
 * its own on this column, which some backend might take instead.
 */

wsb_rc_t wsb_rest_force(wsb_rest_t *rest, const wsb_forced_t *forced,
    wsb_rest_error_t *err);

/*
 * Adds to path what follows the collection, and to args the query, behind
 * what they hold.  id.data NULL: the collection itself.  WSB_ERROR: the style
 * cannot say it, or the id cannot be carried exactly; texts may have grown.
 */

wsb_rc_t wsb_rest_query(const wsb_rest_t *rest, wsb_rest_style_t style,
    wsb_str_t id, wsb_text_t *path, wsb_text_t *args, wsb_rest_error_t *err);

/* May these be one column to some backend? */
int wsb_rest_same(wsb_str_t a, wsb_str_t b);

/* Is s a component of a URI as it is?  Only unreserved bytes are. */
int wsb_rest_plain_bytes(wsb_str_t s);

/* Adds s as a component of a URI, RFC 3986: only unreserved bytes as such. */
void wsb_rest_encode(wsb_text_t *t, wsb_str_t s);

/*
 * How many records there are, from the headers Content-Range, RFC 9110
 * section 14.4, and X-Total-Count; WSB_REST_NONE: neither says it.
 */

uint64_t wsb_rest_total(wsb_str_t content_range, wsb_str_t total_count);


#endif /* WSB_REST_H */

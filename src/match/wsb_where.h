/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Conditions on an event's payload.
 *
 * An array of {"column","operator","value","logic_operator"?}.  The column is
 * a key of the row, or keys joined by dots that lead through objects; arrays
 * are not entered.  A backslash before a dot, a bracket or itself makes it a
 * character of the key, and "data." before the column says nothing more: it
 * is where rows are.  A condition with logic_operator "OR" belongs to the group
 * of its predecessor; of each group one must hold.
 *
 *   eq neq gt gte lt lte   as wsb_value.h compares; neq: not equal
 *   like ilike             as wsb_like.h says, ilike folds ASCII only
 *   in                     eq to one of the values, or of the one value
 *
 * A column that is null or missing, or a value that is null, makes any
 * condition not true, neq too.  So does an `in` without values.
 */

#ifndef WSB_WHERE_H
#define WSB_WHERE_H


#include "wsb_like.h"
#include "wsb_value.h"


#define WSB_WHERE_CONDITIONS      16
#define WSB_WHERE_VALUES          256     /* of one `in` */
#define WSB_WHERE_TEXT            8192    /* bytes of the array */
#define WSB_WHERE_DEPTH           8       /* keys of one column */
#define WSB_WHERE_PATTERN         WSB_LIKE_PATTERN

/* What costs one comparison more. */
#define WSB_WHERE_DIGITS          40      /* of a number, beyond the first */
#define WSB_WHERE_LIST            16      /* values of an `in` */


/* How the row after the write and the row before it match. */

typedef enum {
    WSB_CHANGE_NONE = 0,            /* the new one does */
    WSB_CHANGE_ENTERED,             /* but the old one did not */
    WSB_CHANGE_LEFT,                /* only the old one does */
    WSB_CHANGE_LEFT_HIDDEN,         /* and the new one is not theirs to see */

    /* These two are for subscriptions with a snapshot alone. */

    WSB_CHANGE_LEFT_UNKNOWN,        /* the new one does not, and nobody knows
                                       of the old one: LEFT_HIDDEN to them */
    WSB_CHANGE_ANEW                 /* nobody knows: it is no event for them,
                                       and what they have is to be fetched
                                       anew */
} wsb_change_t;


typedef enum {
    WSB_WHERE_NEVER = 0,            /* it holds for no row */
    WSB_WHERE_EQ,
    WSB_WHERE_NEQ,
    WSB_WHERE_GT,
    WSB_WHERE_GTE,
    WSB_WHERE_LT,
    WSB_WHERE_LTE,
    WSB_WHERE_LIKE,
    WSB_WHERE_ILIKE,
    WSB_WHERE_IN,
    WSB_WHERE_ABSENT                /* it is null or missing; of no client */
} wsb_where_op_t;


/*
 * One malloc'd block without pointers.  Equal conditions are equal bytes,
 * whatever the order, the spelling of numbers and repetitions in the array
 * were; an `in` of one value is an eq.
 *
 * Behind the header: the conditions, see wsb_where_next(), then the columns
 * that they name by number, each a length in 16 bits and its keys, with a NUL
 * behind each.
 */

typedef struct {
    uint32_t              size;           /* of all */
    uint16_t              len;            /* of the conditions */
    uint8_t               nconditions;
    uint8_t               npaths;
    uint8_t               bytes[];
} wsb_where_t;


typedef struct {
    char                  text[128];      /* "where[2]: unknown operator" */
    unsigned              element;        /* 2, or 0 */
} wsb_where_error_t;


/*
 * Of a value of valid JSON.  *where is NULL if it is an empty array, which
 * says nothing.  WSB_ERROR: err names the element; WSB_NOMEM.  Freed with
 * wsb_free().
 */

wsb_rc_t wsb_where_parse(const wsb_json_t *value, wsb_where_t **where,
    wsb_where_error_t *err);

/* "eq", "neq", ...; WSB_WHERE_NEVER: it is none. */
wsb_where_op_t wsb_where_operator(wsb_str_t name);

/* What the operator is called in a message, all of them. */
#define WSB_WHERE_OPERATORS       "eq neq gt gte lt lte like ilike in"

/*
 * What it costs to ask an event, in comparisons with a short text: one for
 * each condition that no hash answers, as it does an eq or an `in` that must
 * hold, and more for long lists; for a pattern what wsb_like.h says.  Long
 * numbers cost more wherever they are, forced conditions nothing.
 */
unsigned wsb_where_cost(const wsb_where_t *where);

/* The same for equal conditions only. */
wsb_key_t wsb_where_id(const uint8_t key[16], const wsb_where_t *where);

/* The keys of column i. */
wsb_str_t wsb_where_path(const wsb_where_t *where, unsigned i);

/*
 * The conditions of a, which may be NULL, and those of b, all of which must
 * hold as well.  Those of b get the flags; with WSB_WHERE_FIELD they are asked
 * of that field of the event instead of a column.  Both stay the caller's.
 * WSB_ERROR: together they are too long.
 */

#define WSB_WHERE_JOINED          0x80    /* in the byte of the operator */
#define WSB_WHERE_FORCED          0x40
#define WSB_WHERE_FIELD           0x20
#define WSB_WHERE_OP              0x1f

wsb_rc_t wsb_where_join(const wsb_where_t *a, const wsb_where_t *b,
    unsigned flags, wsb_field_t field, wsb_where_t **where);

/*
 * The conditions of a, which may be NULL and stays the caller's, and that this
 * field of the event is one of n texts, or, with absent, that it has none;
 * n may be 0 then.  It costs nothing.  Errors as of wsb_where_join().
 */
wsb_rc_t wsb_where_field(const wsb_where_t *a, wsb_field_t field,
    const wsb_str_t *texts, unsigned n, int absent, wsb_where_t **where);


/*
 * A condition, and its values, of which only an `in` has more than one.  An
 * AND is between two conditions, unless the second is joined.
 */

typedef struct {
    wsb_where_op_t        op;
    unsigned              joined;         /* by OR to the one before it */
    unsigned              forced;         /* not the client's: see restrict */
    unsigned              field;          /* path is a field of the event */
    unsigned              path;           /* number of the column */
    unsigned              nvalues;
    const uint8_t        *values;
} wsb_condition_t;

/* Both return what follows. */
const uint8_t *wsb_where_next(const uint8_t *p, wsb_condition_t *condition);
const uint8_t *wsb_where_value(const uint8_t *p, wsb_value_t *value);

/* Behind n values. */
const uint8_t *wsb_where_skip(const uint8_t *p, unsigned n);

/* Does it hold for this value of its column? */
int wsb_where_holds(const wsb_condition_t *condition,
    wsb_subject_t *subject);

/* Is it equal to this one of its values? */
int wsb_where_equal(const wsb_condition_t *condition, const uint8_t *value,
    wsb_subject_t *subject);

/* Is the answer to be remembered?  Of an `in` with few values it is not. */

#define WSB_WHERE_FEW             16

static inline int
wsb_where_costly(const wsb_condition_t *condition)
{
    return condition->op == WSB_WHERE_IN
               ? condition->nvalues > WSB_WHERE_FEW
               : condition->op == WSB_WHERE_LIKE
                 || condition->op == WSB_WHERE_ILIKE;
}


/* What the parser and the reader share. */

#define WSB_WHERE_NUMBER          0x80    /* a string that is one, too */
#define WSB_WHERE_TYPE            0x7f

/* The number of a column of those in paths, to which it is added if new. */
unsigned wsb_where_number(wsb_where_t *where, wsb_text_t *paths,
    wsb_str_t path);

static inline unsigned
wsb_where_get16(const uint8_t *p)
{
    return p[0] | (unsigned) p[1] << 8;
}


#endif /* WSB_WHERE_H */

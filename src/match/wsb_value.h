/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Values of JSON, compared as conditions do.
 *
 * Numbers are compared exactly, as decimals of any length, never as doubles;
 * an exponent beyond 10^18 counts as that.  Strings are compared by their
 * bytes, false is less than true.  A number and a string that is a number in
 * JSON's spelling ("1.0", but not "01" or " 1") are compared as numbers.
 * Everything else is unequal and in no order.
 */

#ifndef WSB_VALUE_H
#define WSB_VALUE_H


#include "../json/wsb_json.h"
#include "../event/wsb_key.h"
#include "../json/wsb_text.h"


/* Domains of wsb_hash(), apart from those of wsb_key.h and wsb_idem.c. */

#define WSB_DOMAIN_COLUMN         66      /* + depth, less than 8 */
#define WSB_DOMAIN_NUMBER         74
#define WSB_DOMAIN_STRING         75
#define WSB_DOMAIN_BOOLEAN        76
#define WSB_DOMAIN_WHERE          77


typedef struct {
    wsb_json_type_t       type;           /* null: absent, too */
    wsb_str_t             text;           /* a string is decoded */
} wsb_value_t;


/*
 * The digits from the first to the last that is not zero, with a point
 * between them perhaps: 0.digits * 10^magnitude.  Zero has none.
 */

typedef struct {
    int64_t               magnitude;
    const uint8_t        *first;
    const uint8_t        *last;
    int                   negative;
} wsb_decimal_t;


/*
 * A value of which much is asked: whether it is a number, and which, is found
 * out when it is first wanted.  Whoever sets the value resets `parsed`.
 */

typedef struct {
    wsb_value_t           value;
    wsb_decimal_t         decimal;
    unsigned              parsed:1;
    unsigned              number:1;
} wsb_subject_t;


typedef enum {
    WSB_UNEQUAL = 0,
    WSB_LESS,
    WSB_EQUAL,
    WSB_GREATER
} wsb_order_t;


wsb_order_t wsb_value_compare(const wsb_value_t *a, const wsb_value_t *b);
wsb_order_t wsb_value_subject_compare(wsb_subject_t *a, const wsb_value_t *b);

/* Has a string the spelling of a number? */
int wsb_value_is_number(wsb_str_t string);

/* What is a text for a pattern: a string, a number, a boolean. */

static inline int
wsb_value_is_scalar(const wsb_value_t *value)
{
    return value->type == WSB_JSON_STRING || value->type == WSB_JSON_NUMBER
           || value->type == WSB_JSON_TRUE || value->type == WSB_JSON_FALSE;
}


/*
 * Values that compare as equal have the same hash, but numbers that differ
 * only behind their 40th digit, and strings that are the same number, have
 * so as well.  0: it is equal to nothing.
 */

int wsb_value_hash(const uint8_t key[16], const wsb_value_t *value,
    wsb_key_t *hash);

/* Is a valid number written as most would: no exponent, no needless zero? */
int wsb_value_plain(wsb_str_t number);

/* Adds a valid number in the one spelling of its value: digits, exponent. */
void wsb_value_number(wsb_text_t *t, wsb_str_t number);


#endif /* WSB_VALUE_H */

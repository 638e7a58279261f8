/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_value.h"


#define WSB_MAGNITUDE_MAX  INT64_C(1000000000000000000)

#define WSB_HASH_DIGITS    40


static int wsb_value_decimal(wsb_str_t s, wsb_decimal_t *d);
static const uint8_t *wsb_value_exponent(const uint8_t *p, const uint8_t *last,
    int64_t *exponent);
static wsb_order_t wsb_value_decimal_compare(const wsb_decimal_t *a,
    const wsb_decimal_t *b);
static wsb_order_t wsb_value_bytes_compare(wsb_str_t a, wsb_str_t b);


static inline wsb_order_t
wsb_value_order(int64_t a, int64_t b)
{
    return a < b ? WSB_LESS : a > b ? WSB_GREATER : WSB_EQUAL;
}


static inline const uint8_t *
wsb_value_digits(const uint8_t *p, const uint8_t *last)
{
    while (p < last && *p >= '0' && *p <= '9') {
        p++;
    }

    return p;
}


static inline int
wsb_value_is_boolean(const wsb_value_t *value)
{
    return value->type == WSB_JSON_TRUE || value->type == WSB_JSON_FALSE;
}


static inline int
wsb_value_is_text(const wsb_value_t *value)
{
    return value->type == WSB_JSON_STRING || value->type == WSB_JSON_NUMBER;
}


wsb_order_t
wsb_value_compare(const wsb_value_t *a, const wsb_value_t *b)
{
    wsb_subject_t  subject;

    subject.value = *a;
    subject.parsed = 0;

    return wsb_value_subject_compare(&subject, b);
}


wsb_order_t
wsb_value_subject_compare(wsb_subject_t *a, const wsb_value_t *b)
{
    wsb_decimal_t       y;
    const wsb_value_t  *x;

    x = &a->value;

    if (wsb_value_is_boolean(x) && wsb_value_is_boolean(b)) {
        return wsb_value_order(x->type, b->type);
    }

    if (!wsb_value_is_text(x) || !wsb_value_is_text(b)) {
        return WSB_UNEQUAL;
    }

    if (x->type == WSB_JSON_STRING && b->type == WSB_JSON_STRING) {
        return wsb_value_bytes_compare(x->text, b->text);
    }

    if (!a->parsed) {
        a->parsed = 1;
        a->number = wsb_value_decimal(x->text, &a->decimal);
    }

    if (!a->number || !wsb_value_decimal(b->text, &y)) {
        return WSB_UNEQUAL;
    }

    return wsb_value_decimal_compare(&a->decimal, &y);
}


int
wsb_value_is_number(wsb_str_t string)
{
    wsb_decimal_t  d;

    return wsb_value_decimal(string, &d);
}


int
wsb_value_plain(wsb_str_t number)
{
    size_t          i;
    const uint8_t  *p;

    p = number.data;

    for (i = 0; i < number.len; i++) {
        if ((p[i] | 0x20) == 'e') {
            return 0;
        }
    }

    return !(number.len == 2 && p[0] == '-' && p[1] == '0')
           && (p[number.len - 1] != '0'
               || memchr(p, '.', number.len) == NULL);
}


int
wsb_value_hash(const uint8_t key[16], const wsb_value_t *value,
    wsb_key_t *hash)
{
    size_t          n;
    uint8_t         buf[1 + sizeof(int64_t) + WSB_HASH_DIGITS];
    const uint8_t  *p;
    wsb_decimal_t   d;

    if (wsb_value_is_boolean(value)) {
        buf[0] = value->type;
        *hash = wsb_hash(key, WSB_DOMAIN_BOOLEAN, buf, 1);
        return 1;
    }

    if (!wsb_value_is_text(value)) {
        return 0;
    }

    if (!wsb_value_decimal(value->text, &d)) {
        *hash = wsb_hash(key, WSB_DOMAIN_STRING, value->text.data,
                         value->text.len);
        return 1;
    }

    buf[0] = d.negative;
    memcpy(buf + 1, &d.magnitude, sizeof(int64_t));
    n = 1 + sizeof(int64_t);

    for (p = d.first; p < d.last && n < sizeof(buf); p++) {
        if (*p != '.') {
            buf[n++] = *p;
        }
    }

    *hash = wsb_hash(key, WSB_DOMAIN_NUMBER, buf, n);

    return 1;
}


void
wsb_value_number(wsb_text_t *t, wsb_str_t number)
{
    uint8_t        *p;
    int64_t         exponent;
    const uint8_t  *digit;
    wsb_decimal_t   d;

    if (!wsb_value_decimal(number, &d) || d.first == d.last) {
        wsb_text_lit(t, "0");
        return;
    }

    if (d.negative) {
        wsb_text_lit(t, "-");
    }

    p = wsb_text_reserve(t, d.last - d.first);

    if (p == NULL) {
        return;
    }

    exponent = d.magnitude;

    for (digit = d.first; digit < d.last; digit++) {
        if (*digit != '.') {
            *p++ = *digit;
            exponent--;
            t->len++;
        }
    }

    if (exponent != 0) {
        wsb_text_lit(t, exponent < 0 ? "e-" : "e");
        wsb_text_uint(t, exponent < 0 ? -exponent : exponent);
    }
}


/* 0: it is no number. */

static int
wsb_value_decimal(wsb_str_t s, wsb_decimal_t *d)
{
    int64_t         exponent;
    const uint8_t  *p, *last, *start, *point, *end;

    if (s.len == 0) {
        return 0;
    }

    p = s.data;
    last = p + s.len;

    d->negative = *p == '-';
    start = p + d->negative;

    point = wsb_value_digits(start, last);

    if (point == start || (*start == '0' && point - start > 1)) {
        return 0;
    }

    end = point;

    if (end < last && *end == '.') {
        end = wsb_value_digits(point + 1, last);

        if (end == point + 1) {
            return 0;
        }
    }

    p = wsb_value_exponent(end, last, &exponent);

    if (p != last) {
        return 0;
    }

    while (start < end && (*start == '0' || *start == '.')) {
        start++;
    }

    while (start < end && (end[-1] == '0' || end[-1] == '.')) {
        end--;
    }

    d->first = start;
    d->last = end;

    if (start == end) {
        d->negative = 0;
        d->magnitude = 0;
        return 1;
    }

    exponent += start < point ? point - start : point - start + 1;

    d->magnitude = exponent > WSB_MAGNITUDE_MAX ? WSB_MAGNITUDE_MAX
                   : exponent < -WSB_MAGNITUDE_MAX ? -WSB_MAGNITUDE_MAX
                   : exponent;

    return 1;
}


/* Returns what follows it, which is nothing of a number. */

static const uint8_t *
wsb_value_exponent(const uint8_t *p, const uint8_t *last, int64_t *exponent)
{
    int             negative;
    const uint8_t  *start, *end;

    *exponent = 0;

    if (p == last || (*p | 0x20) != 'e') {
        return p;
    }

    start = p + 1;
    negative = start < last && *start == '-';

    if (start < last && (*start == '-' || *start == '+')) {
        start++;
    }

    end = wsb_value_digits(start, last);

    if (end == start) {
        return p;
    }

    for (p = start; p < end; p++) {

        if (*exponent > WSB_MAGNITUDE_MAX / 5) {

            /* the length of no text makes up for that */

            *exponent = 2 * WSB_MAGNITUDE_MAX;
            break;
        }

        *exponent = *exponent * 10 + (*p - '0');
    }

    if (negative) {
        *exponent = -*exponent;
    }

    return end;
}


static wsb_order_t
wsb_value_decimal_compare(const wsb_decimal_t *a, const wsb_decimal_t *b)
{
    wsb_order_t           order;
    const uint8_t        *p, *q;
    const wsb_decimal_t  *t;

    if (a->negative != b->negative) {
        return a->negative ? WSB_LESS : WSB_GREATER;
    }

    if (a->negative) {

        /* the one nearer to zero is greater */

        t = a;
        a = b;
        b = t;
    }

    p = a->first;
    q = b->first;

    if (p == a->last || q == b->last) {
        return wsb_value_order(p != a->last, q != b->last);
    }

    order = wsb_value_order(a->magnitude, b->magnitude);

    while (order == WSB_EQUAL) {

        if (p < a->last && *p == '.') {
            p++;
        }

        if (q < b->last && *q == '.') {
            q++;
        }

        if (p == a->last || q == b->last) {
            return wsb_value_order(p != a->last, q != b->last);
        }

        order = wsb_value_order(*p++, *q++);
    }

    return order;
}


static wsb_order_t
wsb_value_bytes_compare(wsb_str_t a, wsb_str_t b)
{
    int     n;
    size_t  len;

    len = a.len < b.len ? a.len : b.len;
    n = len == 0 ? 0 : memcmp(a.data, b.data, len);

    return n != 0 ? wsb_value_order(n, 0) : wsb_value_order((int64_t) a.len,
                                                            (int64_t) b.len);
}

#include "wsb_value.h"


#define WSB_MAGNITUDE_MAX  INT64_C(1000000000000000000)

#define WSB_HASH_DIGITS    40


/*
 * The digits from the first to the last that is not zero, with a point
 * between them perhaps: 0.digits * 10^magnitude.  Zero has none.
 */

typedef struct {
    int                   negative;
    int64_t               magnitude;
    const uint8_t        *first;
    const uint8_t        *last;
} wsb_decimal_t;


static int wsb_decimal_parse(wsb_str_t s, wsb_decimal_t *d);
static const uint8_t *wsb_decimal_exponent(const uint8_t *p,
    const uint8_t *last, int64_t *exponent);
static wsb_order_t wsb_decimal_compare(const wsb_decimal_t *a,
    const wsb_decimal_t *b);
static wsb_order_t wsb_bytes_compare(wsb_str_t a, wsb_str_t b);


static inline wsb_order_t
wsb_order(int64_t a, int64_t b)
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


static inline uint8_t
wsb_value_fold(uint8_t c, int fold)
{
    return fold && c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}


wsb_order_t
wsb_value_compare(const wsb_value_t *a, const wsb_value_t *b)
{
    wsb_decimal_t  x, y;

    if (wsb_value_is_boolean(a) && wsb_value_is_boolean(b)) {
        return wsb_order(a->type, b->type);
    }

    if (!wsb_value_is_text(a) || !wsb_value_is_text(b)) {
        return WSB_UNEQUAL;
    }

    if (a->type == WSB_JSON_STRING && b->type == WSB_JSON_STRING) {
        return wsb_bytes_compare(a->text, b->text);
    }

    if (!wsb_decimal_parse(a->text, &x) || !wsb_decimal_parse(b->text, &y)) {
        return WSB_UNEQUAL;
    }

    return wsb_decimal_compare(&x, &y);
}


/* What follows the last % is tried ever further right, until it fits. */

int
wsb_value_like(const wsb_value_t *value, wsb_str_t pattern, int fold)
{
    const uint8_t  *p, *c, *last, *s, *end, *again, *run;

    if (!wsb_value_is_text(value) && !wsb_value_is_boolean(value)) {
        return 0;
    }

    p = pattern.data;
    last = p + pattern.len;
    s = value->text.data;
    end = s + value->text.len;
    again = NULL;
    run = NULL;

    while (s < end || p < last) {

        if (p < last && *p == '%') {
            again = ++p;
            run = s;
            continue;
        }

        if (p < last && s < end && *p == '_') {
            p++;
            s++;

            while (s < end && (*s & 0xc0) == 0x80) {
                s++;
            }

            continue;
        }

        c = p;

        if (p < last && *p == '\\' && p + 1 < last) {
            c++;
        }

        if (p < last && s < end
            && wsb_value_fold(*c, fold) == wsb_value_fold(*s, fold))
        {
            p = c + 1;
            s++;
            continue;
        }

        if (again == NULL || run == end) {
            return 0;
        }

        if (again == last) {
            return 1;
        }

        p = again;
        s = ++run;
    }

    return 1;
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

    if (!wsb_decimal_parse(value->text, &d)) {
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

    if (!wsb_decimal_parse(number, &d) || d.first == d.last) {
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
wsb_decimal_parse(wsb_str_t s, wsb_decimal_t *d)
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

    p = wsb_decimal_exponent(end, last, &exponent);

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
wsb_decimal_exponent(const uint8_t *p, const uint8_t *last,
    int64_t *exponent)
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
wsb_decimal_compare(const wsb_decimal_t *a, const wsb_decimal_t *b)
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
        return wsb_order(p != a->last, q != b->last);
    }

    order = wsb_order(a->magnitude, b->magnitude);

    while (order == WSB_EQUAL) {

        if (p < a->last && *p == '.') {
            p++;
        }

        if (q < b->last && *q == '.') {
            q++;
        }

        if (p == a->last || q == b->last) {
            return wsb_order(p != a->last, q != b->last);
        }

        order = wsb_order(*p++, *q++);
    }

    return order;
}


static wsb_order_t
wsb_bytes_compare(wsb_str_t a, wsb_str_t b)
{
    int     n;
    size_t  len;

    len = a.len < b.len ? a.len : b.len;
    n = len == 0 ? 0 : memcmp(a.data, b.data, len);

    return n != 0 ? wsb_order(n, 0) : wsb_order((int64_t) a.len,
                                                (int64_t) b.len);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_timestamp.h"


static int wsb_timestamp_offset(const uint8_t *p, const uint8_t *last,
    int *offset);
static const uint8_t *wsb_timestamp_digits(const uint8_t *p,
    const uint8_t *last, unsigned n, unsigned *value);
static unsigned wsb_timestamp_month_days(unsigned year, unsigned month);
static uint8_t *wsb_timestamp_decimal(uint8_t *dst, unsigned n,
    unsigned width);


size_t
wsb_timestamp(uint64_t msec, uint8_t *dst)
{
    uint8_t   *p;
    uint64_t   days;
    unsigned   year, month, day, sec, ms;

    /* the last that four digits of a year can say */

    if (msec > UINT64_C(253402300799999)) {
        msec = UINT64_C(253402300799999);
    }

    ms = msec % 1000;
    sec = msec / 1000 % 86400;
    days = msec / 86400000;

    /* years that begin on March 1st, counted from the year 0 */

    days += 719468;

    year = days / 146097 * 400;
    day = days % 146097;
    days = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    year += days;
    day -= 365 * days + days / 4 - days / 100;

    month = (5 * day + 2) / 153;
    day = day - (153 * month + 2) / 5 + 1;

    month += month < 10 ? 3 : -9;
    year += month <= 2;

    p = wsb_timestamp_decimal(dst, year, 4);
    *p++ = '-';
    p = wsb_timestamp_decimal(p, month, 2);
    *p++ = '-';
    p = wsb_timestamp_decimal(p, day, 2);
    *p++ = 'T';
    p = wsb_timestamp_decimal(p, sec / 3600, 2);
    *p++ = ':';
    p = wsb_timestamp_decimal(p, sec / 60 % 60, 2);
    *p++ = ':';
    p = wsb_timestamp_decimal(p, sec % 60, 2);

    if (ms != 0) {
        *p++ = '.';
        p = wsb_timestamp_decimal(p, ms, 3);
    }

    *p++ = 'Z';

    return p - dst;
}


int
wsb_timestamp_valid(wsb_str_t s)
{
    int             offset;
    unsigned        i, n[6];
    const uint8_t  *p, *last;

    static const unsigned  width[] = { 4, 2, 2, 2, 2, 2 };
    static const uint8_t   after[] = "--T::";

    p = s.data;
    last = p + s.len;

    for (i = 0; i < 6; i++) {

        if (i != 0) {
            if (p == last
                || (*p != after[i - 1] && !(*p == 't' && i == 3)))
            {
                return 0;
            }

            p++;
        }

        p = wsb_timestamp_digits(p, last, width[i], &n[i]);

        if (p == NULL) {
            return 0;
        }
    }

    if (n[1] < 1 || n[1] > 12
        || n[2] < 1 || n[2] > wsb_timestamp_month_days(n[0], n[1])
        || n[3] > 23 || n[4] > 59 || n[5] > 60)
    {
        return 0;
    }

    if (p < last && *p == '.') {
        do {
            p++;
        } while (p < last && *p >= '0' && *p <= '9');

        if (p[-1] == '.') {
            return 0;
        }
    }

    if (!wsb_timestamp_offset(p, last, &offset)) {
        return 0;
    }

    /* leap seconds come at the end of a day of UTC */

    return n[5] != 60
           || ((int) (n[3] * 60 + n[4]) - offset + 1440) % 1440 == 1439;
}


/* "Z" or "+hh:mm", and nothing behind it; the offset is in minutes. */

static int
wsb_timestamp_offset(const uint8_t *p, const uint8_t *last, int *offset)
{
    int       sign;
    unsigned  hour, min;

    *offset = 0;

    if (last - p == 1) {
        return *p == 'Z' || *p == 'z';
    }

    if (last - p != 6 || (*p != '+' && *p != '-') || p[3] != ':') {
        return 0;
    }

    sign = *p == '-' ? -1 : 1;

    if (wsb_timestamp_digits(p + 1, last, 2, &hour) == NULL
        || wsb_timestamp_digits(p + 4, last, 2, &min) == NULL
        || hour > 23 || min > 59)
    {
        return 0;
    }

    *offset = sign * (int) (hour * 60 + min);

    return 1;
}


static const uint8_t *
wsb_timestamp_digits(const uint8_t *p, const uint8_t *last, unsigned n,
    unsigned *value)
{
    if ((size_t) (last - p) < n) {
        return NULL;
    }

    *value = 0;

    while (n-- > 0) {
        if (*p < '0' || *p > '9') {
            return NULL;
        }

        *value = *value * 10 + (*p++ - '0');
    }

    return p;
}


static unsigned
wsb_timestamp_month_days(unsigned year, unsigned month)
{
    static const uint8_t  days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if (month == 2
        && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
    {
        return 29;
    }

    return days[month - 1];
}


static uint8_t *
wsb_timestamp_decimal(uint8_t *dst, unsigned n, unsigned width)
{
    unsigned  i;

    for (i = width; i > 0; i--) {
        dst[i - 1] = '0' + n % 10;
        n /= 10;
    }

    return dst + width;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_claims.h"


static int wsb_claims_has(const wsb_json_t *value, const char **list,
    unsigned n);
static int wsb_claims_date(const wsb_json_t *claims, const char *name,
    uint64_t *date);
static uint64_t wsb_claims_seconds(wsb_str_t number);
static wsb_rc_t wsb_claims_scalar(const wsb_json_t *value, int element,
    wsb_text_t *t);


wsb_rc_t
wsb_claims_check(const wsb_json_t *claims, const wsb_claims_rules_t *rules,
    uint64_t now, uint64_t *exp, const char **reason)
{
    int          has_exp;
    uint64_t     nbf;
    wsb_json_t   value;

    *exp = WSB_NEVER;
    nbf = 0;

    has_exp = wsb_claims_date(claims, "exp", exp);

    if (has_exp == -1 || wsb_claims_date(claims, "nbf", &nbf) == -1) {
        *reason = "its exp or nbf is no number";
        return WSB_ERROR;
    }

    if (!has_exp && !rules->exp_optional) {
        *reason = "it has no exp";
        return WSB_ERROR;
    }

    if (now >= *exp + rules->leeway) {
        *reason = "it has expired";
        return WSB_ERROR;
    }

    if (now + rules->leeway < nbf) {
        *reason = "it is not valid yet";
        return WSB_ERROR;
    }

    if (rules->nissuers != 0
        && (wsb_json_get(claims, "iss", &value) != WSB_OK
            || value.type == WSB_JSON_ARRAY
            || !wsb_claims_has(&value, rules->issuers, rules->nissuers)))
    {
        *reason = "its issuer is not accepted";
        return WSB_ERROR;
    }

    if (rules->naudiences != 0
        && (wsb_json_get(claims, "aud", &value) != WSB_OK
            || !wsb_claims_has(&value, rules->audiences,
                               rules->naudiences)))
    {
        *reason = "its audience is another";
        return WSB_ERROR;
    }

    return WSB_OK;
}


/* Is one of these the string, or one of the strings in the array? */

static int
wsb_claims_has(const wsb_json_t *value, const char **list, unsigned n)
{
    unsigned         i;
    wsb_json_t       element;
    wsb_json_walk_t  walk;

    if (value->type == WSB_JSON_STRING) {

        for (i = 0; i < n; i++) {
            if (wsb_json_key_is(value, list[i])) {
                return 1;
            }
        }

    } else if (value->type == WSB_JSON_ARRAY) {
        wsb_json_enter(&walk, value);

        while (wsb_json_element(&walk, &element) == WSB_OK) {
            if (element.type == WSB_JSON_STRING
                && wsb_claims_has(&element, list, n))
            {
                return 1;
            }
        }
    }

    return 0;
}


/* 1, 0: there is none, -1: it is no number.  null is no number. */

static int
wsb_claims_date(const wsb_json_t *claims, const char *name, uint64_t *date)
{
    wsb_json_t  value;

    if (wsb_json_get(claims, name, &value) != WSB_OK) {
        return 0;
    }

    if (value.type != WSB_JSON_NUMBER) {
        return -1;
    }

    *date = wsb_claims_seconds(value.text);

    return 1;
}


/* A valid number, rounded down, from 0 to WSB_NEVER. */

static uint64_t
wsb_claims_seconds(wsb_str_t number)
{
    int             minus, frac;
    long            exp, places;
    uint64_t        n;
    const uint8_t  *p, *e, *last;

    p = number.data;
    last = p + number.len;

    if (*p == '-') {
        return 0;
    }

    /* the exponent, far beyond what matters */

    e = p;

    while (e < last && (*e | 0x20) != 'e') {
        e++;
    }

    exp = 0;

    if (e < last) {
        number.data = e + 1;
        minus = *number.data == '-';
        number.data += minus || *number.data == '+';

        for (; number.data < last && exp < 100000; number.data++) {
            exp = exp * 10 + (*number.data - '0');
        }

        exp = minus ? -exp : exp;
    }

    /* places: the digits before the point, when the exponent is applied */

    frac = 0;
    places = exp;

    for (number.data = p; number.data < e && !frac; number.data++) {
        frac = *number.data == '.';
        places += !frac;
    }

    for (n = 0; places > 0 && n < WSB_NEVER; places--) {

        if (p < e && *p == '.') {
            p++;
        }

        if (p == e && n == 0) {
            break;
        }

        n = n * 10 + (p < e ? *p++ - '0' : 0);
    }

    return n < WSB_NEVER ? n : WSB_NEVER;
}


wsb_rc_t
wsb_claims_path(wsb_str_t names, const char *joint,
    uint8_t path[WSB_CLAIM_PATH_MAX], size_t *len)
{
    size_t    i, n, start, width;
    unsigned  levels;

    width = strlen(joint);
    levels = 1;
    start = 0;
    n = 0;

    for (i = 0; i < names.len; i++) {

        if (n + 2 > WSB_CLAIM_PATH_MAX) {
            return WSB_ERROR;
        }

        if (names.len - i >= width
            && memcmp(names.data + i, joint, width) == 0)
        {
            if (n == start || ++levels > WSB_CLAIM_LEVELS) {
                return WSB_ERROR;
            }

            path[n++] = '\0';
            start = n;
            i += width - 1;
            continue;
        }

        if (width == 1 && names.data[i] == '\\' && i + 1 < names.len) {
            i++;
        }

        path[n++] = names.data[i];
    }

    if (n == start) {
        return WSB_ERROR;
    }

    path[n++] = '\0';
    *len = n;

    return WSB_OK;
}


wsb_rc_t
wsb_claims_get(const wsb_json_t *claims, const uint8_t *path, size_t len,
    wsb_json_t *value)
{
    const uint8_t  *last;

    last = path + len;
    *value = *claims;

    while (path < last) {

        if (value->type != WSB_JSON_OBJECT
            || wsb_json_get(value, (const char *) path, value) != WSB_OK)
        {
            return WSB_NOTFOUND;
        }

        path += strlen((const char *) path) + 1;
    }

    return value->type == WSB_JSON_NULL ? WSB_NOTFOUND : WSB_OK;
}


wsb_rc_t
wsb_claims_text(const wsb_json_t *value, wsb_text_t *t)
{
    size_t           len;
    wsb_rc_t         rc;
    unsigned         n;
    wsb_json_t       element;
    wsb_json_walk_t  walk;

    len = t->len;

    if (value->type != WSB_JSON_ARRAY) {
        rc = wsb_claims_scalar(value, 0, t);

    } else {
        rc = WSB_OK;
        wsb_json_enter(&walk, value);

        for (n = 0;
             rc == WSB_OK && wsb_json_element(&walk, &element) == WSB_OK;
             n++)
        {
            wsb_text_lit(t, n ? "," : "");
            rc = wsb_claims_scalar(&element, 1, t);
        }
    }

    if (t->failed) {
        return WSB_NOMEM;
    }

    if (rc != WSB_OK) {
        t->len = len;
    }

    return rc;
}


static wsb_rc_t
wsb_claims_scalar(const wsb_json_t *value, int element, wsb_text_t *t)
{
    size_t    i, len;
    uint8_t  *p;

    switch (value->type) {

    case WSB_JSON_NUMBER:
    case WSB_JSON_TRUE:
    case WSB_JSON_FALSE:
        wsb_text_str(t, value->text);
        return WSB_OK;

    case WSB_JSON_STRING:
        break;

    default:
        return WSB_NOTFOUND;
    }

    p = wsb_text_reserve(t, value->text.len);

    if (p == NULL) {
        return WSB_NOMEM;
    }

    if (wsb_json_decode(value, p, &len) != WSB_OK) {
        return WSB_NOTFOUND;
    }

    for (i = 0; i < len; i++) {
        if (p[i] < 0x20 || p[i] == 0x7f || (element && p[i] == ',')) {
            return WSB_NOTFOUND;
        }
    }

    t->len += len;

    return WSB_OK;
}

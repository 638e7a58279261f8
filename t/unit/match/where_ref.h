/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What conditions mean, said in the plainest way: over a few values whose
 * numbers a double can hold, without hashes, caches and canonical forms.
 *
 * Behind a function unsigned rnd(unsigned n).
 */

#ifndef WHERE_REF_H
#define WHERE_REF_H


#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define REF_MAX     16                   /* conditions */
#define REF_VALUES  6                    /* of an in */
#define REF_TEXT    8192


typedef enum { REF_NULL, REF_BOOL, REF_NUM, REF_STR, REF_OTHER } ref_type_t;

typedef struct {
    const char  *json;
    ref_type_t   type;
    double       num;                    /* of a bool, too */
    const char  *str;
    int          numeric;                /* a string that is a number */
} ref_value_t;


static const ref_value_t  ref_values[] = {
    { "1", REF_NUM, 1, NULL, 0 },
    { "2", REF_NUM, 2, NULL, 0 },
    { "\"abc\"", REF_STR, 0, "abc", 0 },
    { "\"1\"", REF_STR, 1, "1", 1 },
    { "1.0", REF_NUM, 1, NULL, 0 },
    { "\"ABC\"", REF_STR, 0, "ABC", 0 },
    { "null", REF_NULL, 0, NULL, 0 },
    { "true", REF_BOOL, 1, NULL, 0 },
    { "false", REF_BOOL, 0, NULL, 0 },
    { "0", REF_NUM, 0, NULL, 0 },
    { "-0", REF_NUM, 0, NULL, 0 },
    { "-0.0e7", REF_NUM, 0, NULL, 0 },
    { "10e-1", REF_NUM, 1, NULL, 0 },
    { "0.01e+2", REF_NUM, 1, NULL, 0 },
    { "-1", REF_NUM, -1, NULL, 0 },
    { "-2.5", REF_NUM, -2.5, NULL, 0 },
    { "1.5", REF_NUM, 1.5, NULL, 0 },
    { "10", REF_NUM, 10, NULL, 0 },
    { "1E1", REF_NUM, 10, NULL, 0 },
    { "100000", REF_NUM, 100000, NULL, 0 },
    { "0.001", REF_NUM, 0.001, NULL, 0 },
    { "\"\"", REF_STR, 0, "", 0 },
    { "\"1.0\"", REF_STR, 1, "1.0", 1 },
    { "\"\\u0031e0\"", REF_STR, 1, "1e0", 1 },
    { "\"-2.50\"", REF_STR, -2.5, "-2.50", 1 },
    { "\"10\"", REF_STR, 10, "10", 1 },
    { "\"01\"", REF_STR, 0, "01", 0 },
    { "\" 1\"", REF_STR, 0, " 1", 0 },
    { "\"+1\"", REF_STR, 0, "+1", 0 },
    { "\"1.\"", REF_STR, 0, "1.", 0 },
    { "\".5\"", REF_STR, 0, ".5", 0 },
    { "\"0x1\"", REF_STR, 0, "0x1", 0 },
    { "\"-\"", REF_STR, 0, "-", 0 },
    { "\"true\"", REF_STR, 0, "true", 0 },
    { "\"null\"", REF_STR, 0, "null", 0 },
    { "\"ab\"", REF_STR, 0, "ab", 0 },
    { "\"abcd\"", REF_STR, 0, "abcd", 0 },
    { "\"a\\u0062c\"", REF_STR, 0, "abc", 0 },
    { "\"\xc3\xa9\"", REF_STR, 0, "\xc3\xa9", 0 },
    { "\"\\u00e9\"", REF_STR, 0, "\xc3\xa9", 0 },
    { "\"a\xc3\xa9z\"", REF_STR, 0, "a\xc3\xa9z", 0 },
    { "\"\\ud83d\\ude00\"", REF_STR, 0, "\xf0\x9f\x98\x80", 0 },
    { "\"%\"", REF_STR, 0, "%", 0 },
    { "\"a%c\"", REF_STR, 0, "a%c", 0 },
    { "\"a\\\\_\"", REF_STR, 0, "a\\_", 0 },
    { "[]", REF_OTHER, 0, NULL, 0 },
    { "[1]", REF_OTHER, 0, NULL, 0 },
    { "{}", REF_OTHER, 0, NULL, 0 },
    { "{\"a\":1}", REF_OTHER, 0, NULL, 0 },
};

#define REF_NVALUES  (sizeof(ref_values) / sizeof(ref_values[0]))


static const char *const  ref_patterns[] = {
    "%", "_", "__", "a%", "%c", "%b%", "a_c", "A%", "abc", "ABC", "%%", "",
    "1%", "1._", "-%", "\xc3\xa9", "_\xc3\xa9_", "%\xc3\xa9%", "t%e", "a\\_",
    "%_", "_%_%_", "a%b%c%d", "%a_c", "%0", "___", "%\xc3\xa9", "a\\%",
    "%\\\\%", "a\\b", "%_b%"
};

#define REF_NPATTERNS  (sizeof(ref_patterns) / sizeof(ref_patterns[0]))


static const char *const  ref_ops[] = {
    "eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "in"
};

#define REF_NOPS  9


/* How columns may be written: n.m.a is three keys. */

static const char *const  ref_columns[] = {
    "a", "b", "n.a", "n.b", "n.m.a", "zz", "a.b", "n"
};

#define REF_NCOLUMNS  8


/* -1: absent.  `n` and `m` are objects, unless the row says otherwise. */

typedef struct {
    int  a, b, n_a, n_b, n_m_a;
    int  n, m;                           /* a value in the object's place */
    int  present;
} ref_row_t;


typedef struct {
    unsigned     column;
    unsigned     op;
    unsigned     nvalues;                /* of an in that is an array */
    int          array;
    int          value[REF_VALUES];      /* or a pattern */
    int          joined;
} ref_condition_t;


typedef struct {
    unsigned         n;
    ref_condition_t  condition[REF_MAX];
} ref_where_t;


static int
ref_order(const ref_value_t *a, const ref_value_t *b, int *order)
{
    int  n;

    if (a->type == REF_STR && b->type == REF_STR) {
        n = strcmp(a->str, b->str);
        *order = (n > 0) - (n < 0);
        return 1;
    }

    if ((a->type == REF_BOOL && b->type == REF_BOOL)
        || ((a->type == REF_NUM || a->numeric)
            && (b->type == REF_NUM || b->numeric)))
    {
        *order = (a->num > b->num) - (a->num < b->num);
        return 1;
    }

    return 0;
}


static int
ref_like(const char *s, const char *p, int fold)
{
    char  a, b;

    if (*p == '\0') {
        return *s == '\0';
    }

    if (*p == '%') {
        do {
            if (ref_like(s, p + 1, fold)) {
                return 1;
            }
        } while (*s++ != '\0');

        return 0;
    }

    if (*s == '\0') {
        return 0;
    }

    if (*p == '_') {
        do {
            s++;
        } while ((*s & 0xc0) == 0x80);

        return ref_like(s, p + 1, fold);
    }

    if (*p == '\\' && p[1] != '\0' && strchr("%_\\", p[1]) != NULL) {
        p++;
    }

    a = *s;
    b = *p;

    if (fold && a >= 'a' && a <= 'z') {
        a -= 'a' - 'A';
    }

    if (fold && b >= 'a' && b <= 'z') {
        b -= 'a' - 'A';
    }

    return a == b && ref_like(s + 1, p + 1, fold);
}


static int
ref_column(const ref_row_t *row, unsigned column)
{
    static const int  other = REF_NVALUES - 1;

    switch (column) {
    case 0:
        return row->a;
    case 1:
        return row->b;
    case 2:
        return row->n == -1 ? row->n_a : -1;
    case 3:
        return row->n == -1 ? row->n_b : -1;
    case 4:
        return row->n == -1 && row->m == -1 ? row->n_m_a : -1;
    case 7:
        return row->n == -1 ? other : row->n;
    default:
        return -1;
    }
}


static int
ref_holds(const ref_condition_t *c, const ref_row_t *row)
{
    int                 order, v;
    unsigned            i;
    const ref_value_t  *value;

    v = ref_column(row, c->column);

    if (v == -1 || ref_values[v].type == REF_NULL) {
        return 0;
    }

    value = &ref_values[v];

    if (c->op == 6 || c->op == 7) {

        if (value->type == REF_OTHER) {
            return 0;
        }

        return ref_like(value->type == REF_STR ? value->str : value->json,
                        ref_patterns[c->value[0]], c->op == 7);
    }

    for (i = 0; i < c->nvalues; i++) {

        if (ref_values[c->value[i]].type == REF_NULL) {
            continue;
        }

        if (!ref_order(value, &ref_values[c->value[i]], &order)) {
            if (c->op == 1) {
                return 1;
            }

            continue;
        }

        switch (c->op) {
        case 0:
        case 8:
            if (order == 0) {
                return 1;
            }
            break;
        case 1:
            return order != 0;
        case 2:
            return order > 0;
        case 3:
            return order >= 0;
        case 4:
            return order < 0;
        case 5:
            return order <= 0;
        }
    }

    return 0;
}


static int
ref_match(const ref_where_t *where, const ref_row_t *row)
{
    int       group;
    unsigned  i;

    if (!row->present) {
        return 0;
    }

    group = 1;

    for (i = 0; i < where->n; i++) {

        if (!where->condition[i].joined || i == 0) {
            if (!group) {
                return 0;
            }

            group = 0;
        }

        group |= ref_holds(&where->condition[i], row);
    }

    return group;
}


/* Of the first of them more often, so that something matches. */

static int
ref_some(unsigned few, unsigned all)
{
    return (int) (rnd(4) ? rnd(few) : rnd(all));
}


static void
ref_random_where(ref_where_t *where, unsigned max)
{
    unsigned          i, k;
    ref_condition_t  *c;

    where->n = 1 + rnd(max);

    for (i = 0; i < where->n; i++) {
        c = &where->condition[i];

        c->column = (unsigned) ref_some(3, REF_NCOLUMNS);
        c->op = rnd(3) ? rnd(REF_NOPS) : rnd(2) * 8;
        c->array = c->op == 8 && rnd(5) != 0;
        c->nvalues = c->array ? rnd(REF_VALUES) : 1;
        c->joined = rnd(4) == 0;

        for (k = 0; k < REF_VALUES; k++) {
            c->value[k] = c->op == 6 || c->op == 7
                              ? (int) rnd(REF_NPATTERNS)
                              : ref_some(8, REF_NVALUES - 4);
        }
    }
}


/* As JSON; the spelling differs from time to time, the meaning does not. */

static char *
ref_where_text(const ref_where_t *where, char *p)
{
    unsigned                i, k;
    const char             *s;
    const ref_condition_t  *c;

    p += sprintf(p, rnd(2) ? "[" : "[ ");

    for (i = 0; i < where->n; i++) {
        c = &where->condition[i];

        p += sprintf(p, "%s{\"column\":\"%s\",\"operator\":\"%s\",\"value\":",
                     i ? rnd(2) ? "," : " , " : "", ref_columns[c->column],
                     ref_ops[c->op]);

        if (c->op == 6 || c->op == 7) {
            *p++ = '"';

            for (s = ref_patterns[c->value[0]]; *s != '\0'; s++) {
                if (*s == '\\') {
                    *p++ = '\\';
                }

                *p++ = *s;
            }

            *p++ = '"';

        } else {
            p += sprintf(p, c->array ? "[" : "");

            for (k = 0; k < c->nvalues; k++) {
                p += sprintf(p, "%s%s", k ? "," : "",
                             ref_values[c->value[k]].json);
            }

            p += sprintf(p, c->array ? "]" : "");
        }

        if (c->joined) {
            p += sprintf(p, ",\"logic_operator\":\"%s\"",
                         rnd(2) ? "OR" : "oR");

        } else if (rnd(3) == 0) {
            p += sprintf(p, ",\"logic_operator\":%s",
                         rnd(2) ? "\"And\"" : "null");
        }

        p += sprintf(p, "}");
    }

    p += sprintf(p, "]");

    return p;
}


static void
ref_random_row(ref_row_t *row)
{
    row->present = rnd(8) != 0;
    row->a = rnd(6) ? ref_some(8, REF_NVALUES) : -1;
    row->b = rnd(6) ? ref_some(8, REF_NVALUES) : -1;
    row->n_a = rnd(6) ? ref_some(8, REF_NVALUES) : -1;
    row->n_b = rnd(6) ? ref_some(8, REF_NVALUES) : -1;
    row->n_m_a = rnd(6) ? ref_some(8, REF_NVALUES) : -1;
    row->n = rnd(8) ? -1 : (int) rnd(REF_NVALUES - 4);
    row->m = rnd(8) ? -1 : (int) rnd(REF_NVALUES - 4);
}


/* A member, perhaps behind others of the same key, which do not count. */

static char *
ref_member(char *p, const char *key, const char *escaped, int v, char *start)
{
    unsigned  i, n;

    if (v == -1) {
        return p;
    }

    n = rnd(5) == 0 ? 1 + rnd(2) : 0;

    for (i = 0; i <= n; i++) {
        p += sprintf(p, "%s\"%s\":%s", p == start ? "" : rnd(3) ? "," : " ,\n",
                     rnd(6) ? key : escaped,
                     i == n ? ref_values[v].json
                            : rnd(2) ? "{\"a\":1,\"m\":{\"a\":1}}"
                                     : ref_values[rnd(REF_NVALUES)].json);
    }

    return p;
}


static char *
ref_row_text(const ref_row_t *row, char *p)
{
    char  *start, *n, *m;

    *p++ = '{';
    start = p;

    p = ref_member(p, "a", "\\u0061", row->a, start);
    p = ref_member(p, "other", "\\u006fther", (int) rnd(REF_NVALUES), start);

    if (row->n != -1) {
        p = ref_member(p, "n", "\\u006e", row->n, start);

    } else {
        if (rnd(5) == 0) {
            p = ref_member(p, "n", "n", (int) rnd(REF_NVALUES), start);
            p += sprintf(p, ",\"n\":{\"a\":1,\"b\":\"abc\",\"m\":{\"a\":2}}");
        }

        p += sprintf(p, "%s\"%s\":{", p == start ? "" : ",",
                     rnd(6) ? "n" : "\\u006E");
        n = p;
        p = ref_member(p, "b", "\\u0062", row->n_b, n);

        if (row->m != -1) {
            p = ref_member(p, "m", "\\u006d", row->m, n);

        } else {
            p += sprintf(p, "%s\"m\":{", p == n ? "" : ",");
            m = p;
            p = ref_member(p, "a", "\\u0061", row->n_m_a, m);
            p += sprintf(p, "}");
        }

        p = ref_member(p, "a", "\\u0061", row->n_a, n);
        p += sprintf(p, "}");
    }

    p = ref_member(p, "b", "\\u0062", row->b, start);

    *p++ = '}';
    *p = '\0';

    return p;
}


#endif /* WHERE_REF_H */

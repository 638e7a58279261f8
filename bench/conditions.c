/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What the conditions of one client cost: clients that each have as many of
 * one kind as the default limits let them have, and one event for all.
 *
 *   build/bench/conditions [milliseconds for each row]
 *
 * A row is the time for matching one event, against that of a client that has
 * as many comparisons by eq, none of which a hash answers.  It ends with 1 if a
 * row is over what docs/performance.md promises.
 */

#include <stdio.h>
#include <time.h>

#include "match/wsb_index.h"
#include "match/wsb_where.h"


#define SUBS         128                  /* ws_bus_max_subscriptions */
#define CONDITIONS   16
#define COMPARISONS  2048                 /* ws_bus_max_comparisons */
#define COLUMN       4096

#define MOST         5.0                  /* ms for one event */
#define RATIO        10.0


typedef struct {
    const char   *name;
    /* condition number n, of a client that has n already */
    void        (*condition)(char *text, unsigned n);
    void        (*column)(char *text);
    int           found;                  /* all must hold, and do */
} row_t;


static const uint8_t  key[16] = "0123456789abcde";

static wsb_sub_t  subs[SUBS];


/* The conditions. */

static void
eq(char *text, unsigned n)
{
    sprintf(text, "\"operator\":\"eq\",\"value\":\"value %u\"", n);
}


static void
lt(char *text, unsigned n)
{
    sprintf(text, "\"operator\":\"lt\",\"value\":%u", n);
}


static void
long_numbers(char *text, unsigned n)
{
    sprintf(text, "\"operator\":\"lt\",\"value\":1%0400u", n);
}


static void
in_numbers(char *text, unsigned n)
{
    unsigned  i;

    text += sprintf(text, "\"operator\":\"in\",\"value\":[");

    for (i = 0; i < 64; i++) {
        text += sprintf(text, "%s%u", i ? "," : "", 1 + n * 64 + i);
    }

    sprintf(text, "]");
}


static void
in_found(char *text, unsigned n)
{
    unsigned  i;

    text += sprintf(text, "\"operator\":\"in\",\"value\":[7");

    for (i = 0; i < 40; i++) {
        text += sprintf(text, ",%u", 10 + n * 40 + i);
    }

    sprintf(text, "]");
}


static void
gap(char *text, unsigned n)
{
    sprintf(text, "\"operator\":\"like\",\"value\":\"%%%.*s\\u0001%u\"",
            240, "________________________________________________________"
                 "________________________________________________________"
                 "________________________________________________________"
                 "________________________________________________________"
                 "________________", n);
}


/* Pieces of this many characters, in which many are missing. */

static void
holes(char *text, unsigned n, unsigned len, const char *op)
{
    unsigned  i;

    text += sprintf(text, "\"operator\":\"%s\",\"value\":\"%%", op);

    for (i = 0; i < len - 8; i++) {
        *text++ = i % 3 == 1 ? '_' : 'a';
    }

    sprintf(text, "b%06u%%\"", n);
}


static void
holes_64(char *text, unsigned n)
{
    holes(text, n, 62, "like");
}


static void
holes_64_fold(char *text, unsigned n)
{
    holes(text, n, 62, "ilike");
}


static void
holes_256(char *text, unsigned n)
{
    holes(text, n, 254, "like");
}


static void
literal(char *text, unsigned n)
{
    sprintf(text, "\"operator\":\"like\",\"value\":\"%%%.*sb%06u%%\"", 50,
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", n);
}


static void
pieces(char *text, unsigned n)
{
    sprintf(text, "\"operator\":\"like\",\"value\":\"%%aab%%aab%%aab%%aab"
                  "%%aab%%aab%%aab%%aab%%aab%%aab%%aab%%%06u%%\"", n);
}


static void
anchored(char *text, unsigned n)
{
    unsigned  i;

    text += sprintf(text, "\"operator\":\"like\",\"value\":\"");

    for (i = 0; i < 200; i++) {
        *text++ = '_';
    }

    sprintf(text, "%06u%%\"", n);
}


/* The columns. */

static void
words(char *text)
{
    unsigned  i;

    for (i = 0; i < COLUMN; i++) {
        text[i] = "the quick brown fox jumps over "[i % 31];
    }
}


static void
digits(char *text)
{
    memset(text, '7', COLUMN);
}


static void
letters(char *text)
{
    memset(text, 'a', COLUMN);
}


static void
nearly(char *text)
{
    unsigned  i;

    for (i = 0; i < COLUMN; i++) {
        text[i] = i % 61 == 60 ? 'b' : 'a';
    }
}


static const row_t  rows[] = {
    { "comparisons, of words", lt, words, 0 },
    { "comparisons, of digits", lt, digits, 0 },
    { "long numbers, of digits", long_numbers, digits, 0 },
    { "lists, of digits", in_numbers, digits, 0 },
    { "lists that are found", in_found, digits, 1 },
    { "a gap", gap, letters, 0 },
    { "a literal", literal, letters, 0 },
    { "a literal, nearly", literal, nearly, 0 },
    { "pieces", pieces, nearly, 0 },
    { "64 with holes", holes_64, letters, 0 },
    { "64 with holes, nearly", holes_64, nearly, 0 },
    { "64 with holes, of words", holes_64, words, 0 },
    { "64 with holes, folded", holes_64_fold, letters, 0 },
    { "256 with holes", holes_256, letters, 0 },
    { "anchored", anchored, letters, 0 },
};


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec * 1e3 + (double) ts.tv_nsec / 1e6;
}


/* What one more subscription costs; -1: that is too much. */

static int
add(wsb_index_t *index, wsb_sub_t *sub, const char *text, unsigned left)
{
    unsigned            cost;
    wsb_str_t           s, tenant = wsb_null_string;
    wsb_json_t          value;
    wsb_plan_t         *plan;
    wsb_filter_t        filter;
    wsb_json_error_t    err;
    wsb_where_error_t   error;

    static const wsb_json_limits_t  limits = { 32, 0 };

    memset(&filter, 0, sizeof(filter));
    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    if (wsb_json_parse(s, &limits, &value, &err) != WSB_OK
        || wsb_where_parse(&value, &filter.where, &error) != WSB_OK)
    {
        fprintf(stderr, "%s\n", text);
        exit(2);
    }

    cost = wsb_where_cost(filter.where);

    if (cost <= left) {
        plan = wsb_plan_create(key, tenant, &filter, NULL);

        if (plan == NULL || wsb_index_add(index, plan, sub) != WSB_OK) {
            exit(2);
        }

        wsb_free(plan);
    }

    wsb_free(filter.where);

    return cost <= left ? (int) cost : -1;
}


/* As many subscriptions as there may be; returns how many conditions. */

static unsigned
subscribe(wsb_index_t *index, const row_t *row)
{
    char      text[16 * 1024], *p;
    int       cost;
    unsigned  i, n, k, c, left;

    left = COMPARISONS;
    n = 0;
    cost = -1;

    for (i = 0; i < SUBS; i++) {

        /* fewer, if more are too many or too long */

        for (k = CONDITIONS; k > 0; k--) {
            p = text;

            for (c = 0; c < k; c++) {
                p += sprintf(p, "%s{\"column\":\"%s\",%s", c ? "," : "[",
                             row->found ? "seven" : "text",
                             c == 0 || row->found
                                 ? "" : "\"logic_operator\":\"OR\",");
                row->condition(p, n + c);
                p += strlen(p);
                p += sprintf(p, "}");
            }

            sprintf(p, "]");

            if (p - text >= WSB_WHERE_TEXT) {
                continue;
            }

            cost = add(index, &subs[i], text, left);

            if (cost != -1) {
                break;
            }
        }

        if (k == 0) {
            break;
        }

        left -= cost;
        n += k;
    }

    return n;
}


static void
on_match(void *ctx, wsb_node_t *node, wsb_change_t change)
{
    (void) node;
    (void) change;

    ++*(unsigned *) ctx;
}


/* ms for one event; the best of several. */

static double
measure(const row_t *row, void (*column)(char *text), unsigned *n,
    double time)
{
    char          data[COLUMN + 64], text[64];
    double        start, spent, best;
    unsigned      i, events, matches;
    wsb_index_t  *index;
    wsb_event_t   ev;
    wsb_parts_t   parts;

    index = wsb_index_create(key);
    *n = subscribe(index, row);

    memset(&ev, 0, sizeof(ev));
    column(data + sprintf(data, "{\"seven\":7,\"text\":\""));
    strcpy(data + sprintf(text, "{\"seven\":7,\"text\":\"") + COLUMN, "\"}");
    ev.field[WSB_DATA].data = (uint8_t *) data;
    ev.field[WSB_DATA].len = strlen(data);
    wsb_key_parts(key, &ev, &parts);

    matches = 0;
    best = 1e9;

    for (i = 0; i < 5; i++) {
        start = now();
        events = 0;

        do {
            (void) wsb_index_match(index, &parts, &ev, on_match, &matches);
            events++;
            spent = now() - start;
        } while (spent < time / 5);

        best = spent / events < best ? spent / events : best;
    }

    wsb_index_destroy(index);

    return best;
}


int
main(int argc, char **argv)
{
    int       failed;
    double    time, ms, equal;
    unsigned  i, n, m;

    static const row_t  same = { "eq", eq, NULL, 0 };

    time = argc > 1 ? atof(argv[1]) : 200;
    failed = 0;

    printf("%-26s %10s %8s %8s\n", "", "conditions", "us", "x eq");

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ms = measure(&rows[i], rows[i].column, &n, time);
        equal = measure(&same, rows[i].column, &m, time);

        printf("%-26s %10u %8.1f %8.1f\n", rows[i].name, n, ms * 1000,
               ms / equal);

        failed |= ms > MOST || ms / equal > RATIO;
    }

    return failed;
}

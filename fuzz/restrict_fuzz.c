/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Forced conditions: the first line is "field operator value", the second the
 * same again or nothing, the third a client's conditions or nothing, then an
 * event's entity_type, entity_id, data and old.
 *
 * What a subscription with forced conditions gets, one without them gets as
 * well; a row that it is shown passes them; and the index finds what a look at
 * the one node says.
 */

#include "fuzz.h"

#include "match/wsb_index.h"


#define LINES     7
#define NOTHING   -1


static const uint8_t  key[16] = "0123456789abcde";

static const wsb_str_t  none = wsb_null_string;

static const wsb_json_limits_t  limits = { 64, 0 };


static wsb_str_t
next_word(wsb_str_t *line)
{
    size_t     n;
    wsb_str_t  word;

    for (n = 0; n < line->len && line->data[n] != ' '; n++) {
        /* void */
    }

    word.data = line->data;
    word.len = n;

    n += n < line->len;

    line->data += n;
    line->len -= n;

    return word;
}


static wsb_restrict_t *
forced_of(const wsb_str_t *line)
{
    unsigned            i, n;
    wsb_rc_t            rc;
    wsb_str_t           rest;
    wsb_forced_t        condition[2];
    wsb_restrict_t     *forced;
    wsb_where_error_t   err;

    for (n = 0, i = 0; i < 2; i++) {
        if (line[i].len != 0) {
            rest = line[i];
            condition[n].field = next_word(&rest);
            condition[n].op = next_word(&rest);
            condition[n++].value = rest;
        }
    }

    memset(&err, 'x', sizeof(err));

    rc = wsb_restrict_create(key, condition, n, &forced, &err);

    if (rc == WSB_ERROR) {
        fuzz_check(forced == NULL);
        fuzz_check(err.element < n);
        fuzz_check(memchr(err.text, '\0', sizeof(err.text)) != NULL);
        return NULL;
    }

    fuzz_check(rc == WSB_OK);

    return forced;
}


static void
on_match(void *ctx, wsb_node_t *node, wsb_change_t change)
{
    (void) node;

    fuzz_check(*(int *) ctx == NOTHING);
    *(int *) ctx = change;
}


/* The change with which it gets the event, or NOTHING. */

static int
gets(const wsb_filter_t *filter, const wsb_restrict_t *forced,
    const wsb_event_t *ev)
{
    int            got;
    wsb_sub_t      sub;
    wsb_plan_t    *plan;
    wsb_parts_t    parts;
    wsb_change_t   change;
    wsb_index_t   *index;

    memset(&sub, 0, sizeof(sub));

    got = NOTHING;
    index = wsb_index_create(key);
    plan = wsb_plan_create(key, none, filter, forced);

    fuzz_check(plan != NULL);
    fuzz_check(wsb_index_add(index, plan, &sub) == WSB_OK);
    free(plan);

    wsb_key_parts(key, ev, &parts);
    fuzz_check(wsb_index_match(index, &parts, ev, on_match, &got) == WSB_OK);

    fuzz_check(wsb_index_begin(index, ev) == WSB_OK);

    if (wsb_index_node_matches(index, sub.node, &parts, &change)) {
        fuzz_check(got == (int) change);

    } else {
        fuzz_check(got == NOTHING);
    }

    wsb_index_remove(index, &sub);
    wsb_index_destroy(index);

    return got;
}


static int
shown(int change)
{
    return change == WSB_CHANGE_NONE || change == WSB_CHANGE_ENTERED
           || change == WSB_CHANGE_LEFT;
}


static void
check(const wsb_where_t *where, const wsb_restrict_t *forced,
    wsb_event_t *ev)
{
    int           both, alone, free_of, row;
    wsb_str_t     old;
    wsb_filter_t  filter;

    memset(&filter, 0, sizeof(filter));

    filter.where = (wsb_where_t *) where;

    both = gets(&filter, forced, ev);
    free_of = gets(&filter, NULL, ev);

    filter.where = NULL;

    alone = gets(&filter, forced, ev);

    fuzz_check(both == NOTHING || (free_of != NOTHING && alone != NOTHING));
    fuzz_check(free_of != WSB_CHANGE_LEFT_HIDDEN);

    /* whoever is shown the new row may see it */

    if (shown(both) && ev->field[WSB_DATA].data != NULL) {
        old = ev->field[WSB_OLD];
        ev->field[WSB_OLD] = none;

        row = gets(&filter, forced, ev);
        fuzz_check(row == WSB_CHANGE_NONE);

        ev->field[WSB_OLD] = old;
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned            i;
    wsb_str_t           line[LINES];
    wsb_json_t          value;
    wsb_where_t        *where;
    wsb_event_t         ev;
    wsb_restrict_t     *forced;
    wsb_json_error_t    err;
    wsb_where_error_t   where_err;

    for (i = 0; i < LINES; i++) {
        line[i] = fuzz_line(&data, &size);
    }

    memset(&ev, 0, sizeof(ev));
    where = NULL;

    if (wsb_json_parse(line[2], &limits, &value, &err) == WSB_OK) {
        (void) wsb_where_parse(&value, &where, &where_err);
    }

    for (i = 3; i < 5; i++) {
        if (line[i].len != 0 && memchr(line[i].data, 0, line[i].len) == NULL)
        {
            ev.field[i == 3 ? WSB_ENTITY_TYPE : WSB_ENTITY_ID] = line[i];
        }
    }

    for (i = 5; i < 7; i++) {
        if (wsb_json_parse(line[i], &limits, &value, &err) == WSB_OK) {
            ev.field[i == 5 ? WSB_DATA : WSB_OLD] = value.text;
        }
    }

    forced = forced_of(line);

    if (forced != NULL) {
        check(where, forced, &ev);
        wsb_restrict_free(forced);
    }

    free(where);

    for (i = 0; i < LINES; i++) {
        free((void *) line[i].data);
    }

    return 0;
}

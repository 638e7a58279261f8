/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Conditions and rows: the first line of the input is an array of conditions,
 * the second an event's data, the third its old.
 *
 * Whatever is accepted means the same when it is written anew, in another
 * order; and the index finds what the conditions say, one by one.
 */

#include "fuzz.h"

#include "match/wsb_index.h"
#include "match/wsb_rows.h"


static const uint8_t  key[16] = "0123456789abcde";

static const wsb_str_t  none = wsb_null_string;

static const wsb_json_limits_t  limits = { 64, 0 };

static const char *const  ops[] = {
    NULL, "eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "in"
};


static void
write_value(wsb_text_t *t, const wsb_value_t *value)
{
    switch (value->type) {

    case WSB_JSON_STRING:
        wsb_text_json(t, value->text);
        break;

    case WSB_JSON_NUMBER:
        fuzz_check(value->text.len != 0);
        wsb_text_str(t, value->text);
        break;

    default:
        fuzz_check(value->type == WSB_JSON_TRUE
                   || value->type == WSB_JSON_FALSE);
        wsb_text_lit(t, value->type == WSB_JSON_TRUE ? "true" : "false");
    }
}


/* Of tokens, the pattern. */

static void
write_pattern(wsb_text_t *t, wsb_str_t tokens)
{
    size_t      i;
    wsb_text_t  pattern;
    wsb_str_t   text;

    memset(&pattern, 0, sizeof(pattern));

    for (i = 0; i < tokens.len; i++) {
        switch (tokens.data[i]) {

        case WSB_LIKE_RUN:
            wsb_text_lit(&pattern, "%");
            break;

        case WSB_LIKE_ONE:
            wsb_text_lit(&pattern, "_");
            break;

        case '%':
        case '_':
        case '\\':
            wsb_text_lit(&pattern, "\\");

            /* fall through */

        default:
            wsb_text_add(&pattern, &tokens.data[i], 1);
        }
    }

    text.data = tokens.len != 0 ? pattern.data : tokens.data;
    text.len = pattern.len;
    wsb_text_json(t, text);
    wsb_text_done(&pattern);
}


/* All keys, whatever is in them. */

static void
write_column(wsb_text_t *t, wsb_str_t path)
{
    size_t      i;
    wsb_text_t  column;
    wsb_str_t   text;

    memset(&column, 0, sizeof(column));
    wsb_text_lit(&column, "data.");

    for (i = 0; i < path.len - 1; i++) {

        if (path.data[i] == '\0') {
            wsb_text_lit(&column, ".");
            continue;
        }

        if (path.data[i] == '.' || path.data[i] == '['
            || path.data[i] == '\\')
        {
            wsb_text_lit(&column, "\\");
        }

        wsb_text_add(&column, &path.data[i], 1);
    }

    text.data = column.data;
    text.len = column.len;
    wsb_text_json(t, text);
    wsb_text_done(&column);
}


static void
write_condition(wsb_text_t *t, const wsb_where_t *where,
    const wsb_condition_t *c, int joined)
{
    size_t          i;
    wsb_str_t       path;
    wsb_value_t     value;
    const uint8_t  *p;

    wsb_text_lit(t, t->len == 1 ? "{\"column\":" : ",{\"column\":");

    if (c->op == WSB_WHERE_NEVER) {
        wsb_text_lit(t, "\"x\",\"operator\":\"neq\",\"value\":null}");
        return;
    }

    fuzz_check(c->path < where->npaths && c->nvalues >= 1);

    path = wsb_where_path(where, c->path);
    fuzz_check(path.len > 1 && path.data[path.len - 1] == '\0');
    write_column(t, path);

    wsb_text_lit(t, ",\"operator\":\"");
    wsb_text_lit(t, ops[c->op]);
    wsb_text_lit(t, c->op == WSB_WHERE_IN ? "\",\"value\":[" : "\",\"value\":");

    p = c->values;

    for (i = 0; i < c->nvalues; i++) {
        p = wsb_where_value(p, &value);
        wsb_text_lit(t, i != 0 ? "," : "");

        if (c->op == WSB_WHERE_LIKE || c->op == WSB_WHERE_ILIKE) {
            write_pattern(t, value.text);

        } else {
            write_value(t, &value);
        }
    }

    wsb_text_lit(t, c->op == WSB_WHERE_IN ? "]" : "");
    wsb_text_lit(t, joined ? ",\"logic_operator\":\"OR\"}" : "}");
}


/* From the last to the first; OR stands before the next one then. */

static void
check_again(const wsb_where_t *where)
{
    unsigned            i, n;
    wsb_str_t           text;
    wsb_json_t          value;
    wsb_text_t          t;
    wsb_where_t        *again;
    const uint8_t      *p, *last;
    wsb_condition_t     c[WSB_WHERE_CONDITIONS];
    wsb_json_error_t    err;
    wsb_where_error_t   where_err;

    p = where->bytes;
    last = p + where->len;

    for (n = 0; p < last; n++) {
        fuzz_check(n < WSB_WHERE_CONDITIONS);
        p = wsb_where_next(p, &c[n]);
    }

    fuzz_check(p == last && n == where->nconditions && !c[0].joined);

    memset(&t, 0, sizeof(t));
    wsb_text_lit(&t, "[");

    for (i = n; i > 0; i--) {
        write_condition(&t, where, &c[i - 1], i < n && c[i].joined);
    }

    wsb_text_lit(&t, "]");
    fuzz_check(!t.failed);

    text.data = t.data;
    text.len = t.len;

    if (text.len <= WSB_WHERE_TEXT) {
        fuzz_check(wsb_json_parse(text, &limits, &value, &err) == WSB_OK);
        fuzz_check(wsb_where_parse(&value, &again, &where_err) == WSB_OK);
        fuzz_check(again->size == where->size
                   && memcmp(again, where, where->size) == 0);
        free(again);
    }

    wsb_text_done(&t);
}


/* Each condition asked of the row by itself. */

static int
holds(const wsb_where_t *where, wsb_rows_t *rows, unsigned row)
{
    int               group;
    uint32_t          id;
    const uint8_t    *p, *last;
    wsb_condition_t   c;

    if (!wsb_rows_present(rows, row)) {
        return 0;
    }

    p = where->bytes;
    last = p + where->len;
    group = 1;

    while (p < last) {
        p = wsb_where_next(p, &c);

        if (!c.joined) {
            if (!group) {
                return 0;
            }

            group = 0;
        }

        if (c.op != WSB_WHERE_NEVER) {
            fuzz_check(wsb_rows_add_path(rows, wsb_where_path(where, c.path),
                                         &id) == WSB_OK);
            group |= wsb_where_holds(&c, wsb_rows_value(rows, row, id));
        }
    }

    return group;
}


typedef struct {
    unsigned      calls;
    wsb_node_t   *node;
    wsb_change_t  change;
} found_t;

static void
on_match(void *ctx, wsb_node_t *node, wsb_change_t change)
{
    found_t  *found = ctx;

    found->calls++;
    found->node = node;
    found->change = change;
}


/*
 * Columns are known before the row is walked: so they are counted in twice
 * here, once to be there and once to be asked.
 */

static int
wanted(const wsb_where_t *where, const wsb_event_t *ev, wsb_change_t *change)
{
    int          fresh, old;
    unsigned     i;
    uint32_t     id;
    wsb_rows_t  *rows;

    rows = wsb_rows_create(key);

    for (i = 0; i < where->npaths; i++) {
        fuzz_check(wsb_rows_add_path(rows, wsb_where_path(where, i), &id)
                   == WSB_OK);
    }

    fuzz_check(wsb_rows_begin(rows, ev) == WSB_OK);

    fresh = holds(where, rows, WSB_ROW_NEW);
    old = holds(where, rows, WSB_ROW_OLD);

    *change = !wsb_rows_present(rows, WSB_ROW_OLD) || fresh == old
                  ? WSB_CHANGE_NONE
                  : fresh ? WSB_CHANGE_ENTERED : WSB_CHANGE_LEFT;

    wsb_rows_destroy(rows);

    return fresh || old;
}


static void
check_match(wsb_where_t *where, const wsb_event_t *ev)
{
    int            want;
    found_t        found;
    wsb_sub_t      sub[2];
    wsb_plan_t    *plan;
    wsb_parts_t    parts;
    wsb_change_t   change, got;
    wsb_index_t   *index;
    wsb_filter_t   filter;

    memset(&filter, 0, sizeof(filter));
    memset(&found, 0, sizeof(found));
    memset(sub, 0, sizeof(sub));

    filter.where = where;
    index = wsb_index_create(key);
    plan = wsb_plan_create(key, none, &filter, NULL);

    fuzz_check(wsb_index_add(index, plan, &sub[0]) == WSB_OK);
    fuzz_check(wsb_index_add(index, plan, &sub[1]) == WSB_OK);
    fuzz_check(sub[0].node == sub[1].node);
    free(plan);

    want = wanted(where, ev, &change);

    wsb_key_parts(key, ev, &parts);
    fuzz_check(wsb_index_match(index, &parts, ev, on_match, &found)
               == WSB_OK);
    fuzz_check(found.calls == (unsigned) want);
    fuzz_check(!want || (found.node == sub[0].node
                         && found.change == change));

    fuzz_check(wsb_index_begin(index, ev) == WSB_OK);
    fuzz_check(wsb_index_node_matches(index, sub[0].node, &parts,
                                      &got) == want);
    fuzz_check(!want || got == change);

    wsb_index_remove(index, &sub[0]);
    wsb_index_remove(index, &sub[1]);
    fuzz_check(wsb_index_nodes(index) == 0);
    wsb_index_destroy(index);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned            i;
    wsb_rc_t            rc;
    wsb_str_t           line[3];
    wsb_json_t          value;
    wsb_where_t        *where;
    wsb_event_t         ev;
    wsb_json_error_t    err;
    wsb_where_error_t   where_err;

    for (i = 0; i < 3; i++) {
        line[i] = fuzz_line(&data, &size);
    }

    memset(&ev, 0, sizeof(ev));
    where = NULL;

    if (wsb_json_parse(line[0], &limits, &value, &err) == WSB_OK) {
        memset(&where_err, 'x', sizeof(where_err));
        rc = wsb_where_parse(&value, &where, &where_err);

        if (rc == WSB_ERROR) {
            fuzz_check(where == NULL
                       && memcmp(where_err.text, "where", 5) == 0);
            fuzz_check(memchr(where_err.text, '\0', sizeof(where_err.text))
                       != NULL);

        } else {
            fuzz_check(rc == WSB_OK);
        }
    }

    /* the conditions own all that they name */

    memset((void *) line[0].data, 'x', line[0].len);
    free((void *) line[0].data);

    for (i = 1; i < 3; i++) {
        if (wsb_json_parse(line[i], &limits, &value, &err) == WSB_OK) {
            ev.field[i == 1 ? WSB_DATA : WSB_OLD] = value.text;
        }
    }

    if (where != NULL) {
        check_again(where);
        check_match(where, &ev);
        free(where);
    }

    free((void *) line[1].data);
    free((void *) line[2].data);

    return 0;
}

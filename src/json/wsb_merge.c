/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_merge.h"


typedef struct {
    wsb_text_t           *out;
    size_t                left;           /* of the budget */
} wsb_merging_t;


static void wsb_merge_value(wsb_merging_t *m, const wsb_json_t *row,
    const wsb_json_t *patch);
static unsigned wsb_merge_object(wsb_merging_t *m, const wsb_json_t *row,
    const wsb_json_t *patch);
static wsb_rc_t wsb_merge_find(wsb_merging_t *m, const wsb_json_t *object,
    const wsb_json_t *key, wsb_json_t *value);
static unsigned wsb_merge_key(wsb_merging_t *m, unsigned n,
    const wsb_json_t *key);


wsb_rc_t
wsb_merge(wsb_text_t *out, const wsb_json_t *row, const wsb_json_t *patch)
{
    wsb_merging_t  m;

    m.out = out;
    m.left = WSB_MERGE_BUDGET;

    wsb_merge_value(&m, row, patch);

    if (out->failed) {
        return WSB_NOMEM;
    }

    return m.left != 0 ? WSB_OK : WSB_ERROR;
}


/* row is NULL where there is none, or no object. */

static void
wsb_merge_value(wsb_merging_t *m, const wsb_json_t *row,
    const wsb_json_t *patch)
{
    unsigned         n;
    wsb_json_t       key, value, theirs;
    wsb_json_walk_t  walk;

    if (patch->type != WSB_JSON_OBJECT) {
        wsb_text_str(m->out, patch->text);
        return;
    }

    if (row != NULL && row->type != WSB_JSON_OBJECT) {
        row = NULL;
    }

    wsb_text_lit(m->out, "{");

    n = row != NULL ? wsb_merge_object(m, row, patch) : 0;

    /* what the row has not, but for what is taken away */

    wsb_json_enter(&walk, patch);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK && m->left != 0) {

        if (value.type == WSB_JSON_NULL
            || (row != NULL
                && wsb_merge_find(m, row, &key, &theirs) == WSB_OK))
        {
            continue;
        }

        n = wsb_merge_key(m, n, &key);
        wsb_merge_value(m, NULL, &value);
    }

    wsb_text_lit(m->out, "}");
}


/* The members of the row; returns how many were added. */

static unsigned
wsb_merge_object(wsb_merging_t *m, const wsb_json_t *row,
    const wsb_json_t *patch)
{
    unsigned         n;
    wsb_json_t       key, value, theirs;
    wsb_json_walk_t  walk;

    n = 0;

    wsb_json_enter(&walk, row);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK && m->left != 0) {

        if (wsb_merge_find(m, patch, &key, &theirs) != WSB_OK) {
            n = wsb_merge_key(m, n, &key);
            wsb_text_str(m->out, value.text);

        } else if (theirs.type != WSB_JSON_NULL) {
            n = wsb_merge_key(m, n, &key);
            wsb_merge_value(m, &value, &theirs);
        }
    }

    return n;
}


/* A member costs its bytes: its value is walked over, too. */

static wsb_rc_t
wsb_merge_find(wsb_merging_t *m, const wsb_json_t *object,
    const wsb_json_t *key, wsb_json_t *value)
{
    size_t           cost;
    wsb_json_t       k;
    wsb_json_walk_t  walk;

    wsb_json_enter(&walk, object);

    while (m->left != 0 && wsb_json_member(&walk, &k, value) == WSB_OK) {
        cost = k.text.len + value->text.len;
        m->left -= cost < m->left ? cost : m->left;

        if (wsb_json_same(k.text, key->text)) {
            return WSB_OK;
        }
    }

    return WSB_NOTFOUND;
}


static unsigned
wsb_merge_key(wsb_merging_t *m, unsigned n, const wsb_json_t *key)
{
    wsb_text_lit(m->out, n != 0 ? "," : "");
    wsb_text_str(m->out, key->text);
    wsb_text_lit(m->out, ":");

    return n + 1;
}

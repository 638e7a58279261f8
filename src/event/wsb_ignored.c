/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_ignored.h"


wsb_rc_t
wsb_ignored_add(wsb_ignored_t **ignored, const char *prefix,
    const wsb_json_t *key)
{
    size_t          len, n;
    uint8_t         name[WSB_IGNORED_PREFIX_MAX + WSB_IGNORED_NAME_MAX + 2];
    unsigned        i;
    wsb_ignored_t  *ig;

    ig = *ignored;

    if (ig == NULL) {
        ig = wsb_malloc(sizeof(wsb_ignored_t));
        if (ig == NULL) {
            return WSB_NOMEM;
        }

        ig->n = 0;
        ig->more = 0;

        *ignored = ig;
    }

    len = strlen(prefix);
    memcpy(name, prefix, len);

    if (key->text.len > WSB_IGNORED_NAME_MAX + 2
        || wsb_json_decode(key, name + len, &n) != WSB_OK)
    {
        ig->more = 1;
        return WSB_OK;
    }

    len += n;

    for (i = 0; i < ig->n; i++) {
        if (ig->len[i] == len && memcmp(ig->name[i], name, len) == 0) {
            return WSB_OK;
        }
    }

    if (i == WSB_IGNORED_NAMES) {
        ig->more = 1;
        return WSB_OK;
    }

    memcpy(ig->name[i], name, len);
    ig->len[i] = len;
    ig->n++;

    return WSB_OK;
}


void
wsb_ignored_text(wsb_text_t *t, const wsb_ignored_t *ignored)
{
    unsigned   i;
    wsb_str_t  name;

    if (ignored == NULL) {
        return;
    }

    wsb_text_lit(t, ",\"ignored\":[");

    for (i = 0; i < ignored->n; i++) {
        name.data = ignored->name[i];
        name.len = ignored->len[i];

        wsb_text_lit(t, i == 0 ? "" : ",");
        wsb_text_json(t, name);
    }

    if (ignored->more) {
        wsb_text_lit(t, i == 0 ? "\"...\"" : ",\"...\"");
    }

    wsb_text_lit(t, "]");
}

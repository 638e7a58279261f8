/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A line with a row, then a patch.  Whatever they are, what comes out is JSON,
 * and the same patch once more changes nothing.
 */

#include "fuzz.h"

#include "json/wsb_merge.h"
#include "json/wsb_repeats.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wsb_str_t          row, patch, text;
    wsb_text_t         once, twice;
    wsb_json_t         a, b, merged;
    const uint8_t     *end;
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    end = memchr(data, '\n', size);

    if (end == NULL) {
        return 0;
    }

    row.data = data;
    row.len = (size_t) (end - data);
    patch.data = end + 1;
    patch.len = size - row.len - 1;

    if (wsb_json_parse(row, &limits, &a, &err) != WSB_OK
        || wsb_json_parse(patch, &limits, &b, &err) != WSB_OK
        || wsb_repeats(&b))
    {
        return 0;
    }

    memset(&once, 0, sizeof(wsb_text_t));
    memset(&twice, 0, sizeof(wsb_text_t));

    if (wsb_merge(&once, &a, &b) == WSB_OK) {
        text.data = once.data;
        text.len = once.len;

        fuzz_check(wsb_json_parse(text, &limits, &merged, &err) == WSB_OK);

        if (wsb_merge(&twice, &merged, &b) == WSB_OK) {
            fuzz_check(twice.len == once.len
                       && memcmp(twice.data, once.data, once.len) == 0);
        }
    }

    wsb_text_done(&once);
    wsb_text_done(&twice);

    return 0;
}

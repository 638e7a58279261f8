/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * UTF-8 against the reference.  The first byte says how the others are cut.
 */

#include "fuzz.h"

#include "ws/wsb_utf8.h"
#include "ws/utf8_ref.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         sent, n, want;
    uint8_t       *copy;
    wsb_utf8_t     state, one;
    fuzz_split_t   split;

    if (size < 1) {
        return 0;
    }

    fuzz_split_init(&split, data[0]);
    data++;
    size--;

    want = ref_text(data, size);
    state = WSB_UTF8_START;

    for (sent = 0; sent < size; sent += n) {
        n = fuzz_split_next(&split, size - sent);

        copy = fuzz_copy(data + sent, n);
        state = wsb_utf8(state, copy, n);
        free(copy);

        /* with the first byte that shows it and not before */

        fuzz_check((state == WSB_UTF8_INVALID) == (want < sent + n));
    }

    fuzz_check((state == WSB_UTF8_START) == (want == size));

    one = WSB_UTF8_START;

    for (sent = 0; sent < size; sent++) {
        one = wsb_utf8(one, data + sent, 1);
    }

    fuzz_check(one == state);

    return 0;
}

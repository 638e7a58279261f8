/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Feeds each file to a fuzz target, as a test: what once was found, and the
 * seeds, without a fuzzer.
 */

#include "fuzz.h"
#include "tap.h"


static int
replay(const char *name)
{
    FILE     *f;
    long      size;
    size_t    n;
    uint8_t  *data;

    f = fopen(name, "rb");

    if (f == NULL) {
        return 0;
    }

    size = -1;

    if (fseek(f, 0, SEEK_END) == 0) {
        size = ftell(f);
        rewind(f);
    }

    if (size < 0) {
        fclose(f);
        return 0;
    }

    data = malloc(size + 1);
    n = data == NULL ? 0 : fread(data, 1, size, f);
    fclose(f);

    if (data == NULL || n != (size_t) size) {
        free(data);
        return 0;
    }

    /* without the byte that was for an empty file */

    data = realloc(data, size + (size == 0));
    LLVMFuzzerTestOneInput(data, size);
    free(data);

    return 1;
}


int
main(int argc, char **argv)
{
    int  i;

    for (i = 1; i < argc; i++) {

        /* before: a target that does not return has to be found */

        printf("# %s\n", argv[i]);
        fflush(stdout);

        ok(replay(argv[i]), "%s", argv[i]);
    }

    ok(argc > 1, "there are files");

    return tap_done();
}

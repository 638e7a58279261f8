/*
 * Options of a request and a record's id: the first line is the id, the second
 * a forced column and its value or nothing, the rest the options.
 *
 * Whatever they say, in each style what goes to the backend is one segment of
 * a path and parameters of which a value has added none: as many `&` as the
 * options ask for at most, and no byte that is not of a component.
 */

#include "fuzz.h"

#include "rest/wsb_rest.h"


static wsb_str_t
next_line(wsb_str_t *text)
{
    size_t     n;
    wsb_str_t  line;

    for (n = 0; n < text->len && text->data[n] != '\n'; n++) {
        /* void */
    }

    line.data = text->data;
    line.len = n;

    n += n < text->len;

    text->data += n;
    text->len -= n;

    return line;
}


static void
check_bytes(const wsb_text_t *t, const char *besides, unsigned max)
{
    char      c;
    size_t    i;
    unsigned  n;

    for (n = 0, i = 0; i < t->len; i++) {
        c = (char) t->data[i];

        fuzz_check((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
                   || (c >= '0' && c <= '9')
                   || (c != '\0' && strchr(besides, c) != NULL));
        n += c == '&';
    }

    fuzz_check(n <= max);
}


static void
check(const wsb_rest_t *rest, wsb_rest_style_t style, wsb_str_t id)
{
    wsb_rc_t          rc;
    wsb_text_t        path, args;
    wsb_rest_error_t  err;

    memset(&path, 0, sizeof(path));
    memset(&args, 0, sizeof(args));

    rc = wsb_rest_query(rest, style, id, &path, &args, &err);

    fuzz_check(rc == WSB_OK || rc == WSB_ERROR);

    if (rc == WSB_ERROR) {
        fuzz_check(memchr(err.text, '\0', sizeof(err.text)) != NULL);

    } else {

        fuzz_check(id.data == NULL || style == WSB_REST_POSTGREST
                   || (path.len > 1 && path.data[0] == '/'));
        check_bytes(&path, "/-._~%", 0);

        if (path.len != 0) {
            fuzz_check(memchr(path.data + 1, '/', path.len - 1) == NULL);
        }

        check_bytes(&args, "-._~%=&,()", WSB_REST_VALUES * WSB_REST_FILTERS);
    }

    wsb_text_done(&path);
    wsb_text_done(&args);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned          style;
    wsb_rc_t          rc;
    wsb_str_t         text, id, line;
    wsb_json_t        options;
    wsb_rest_t        rest;
    wsb_forced_t      forced;
    wsb_json_error_t  wrong;
    wsb_rest_error_t  err;

    static const wsb_str_t  none = wsb_null_string;
    static const wsb_str_t  eq = wsb_string("eq");

    static const wsb_json_limits_t  limits = { 32, 32 };

    text.data = fuzz_copy(data, size);
    text.len = size;
    data = text.data;

    id = next_line(&text);
    line = next_line(&text);

    if (wsb_json_parse(text, &limits, &options, &wrong) == WSB_OK) {

        rc = wsb_rest_options(&rest, &options, &err);
        fuzz_check(rc == WSB_OK || rc == WSB_ERROR);

        if (rc == WSB_OK && line.len != 0) {
            forced.field = line;
            forced.op = eq;
            forced.value = id;

            rc = wsb_rest_force(&rest, &forced, &err);
            fuzz_check(rc == WSB_OK || rc == WSB_CONFLICT);
        }

        if (rc == WSB_OK) {
            for (style = 0; style < 3; style++) {
                check(&rest, (wsb_rest_style_t) style, id);
                check(&rest, (wsb_rest_style_t) style, none);
            }
        }

        wsb_rest_done(&rest);
    }

    free((void *) data);

    return 0;
}

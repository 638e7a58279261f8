/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Strict JSON.  What is taken is walked, compared with cJSON's tree, and
 * taken again when it is written from the walk.
 */

#include "fuzz.h"

#include "json/wsb_json.h"

#include <cjson/cJSON.h>


static const wsb_json_limits_t  loose = { WSB_JSON_DEPTH, 0 };
static const wsb_json_limits_t  outer = { WSB_JSON_DEPTH, 1 };
static const wsb_json_limits_t  strict = { 32, 32 };


/* cJSON reads no more of a number. */

#define NUMBER_MAX  62


/*
 * Room for all that is written, whether all strings can be decoded, and
 * whether there is a number that cJSON cannot read.
 */

typedef struct {
    uint8_t  *out;
    size_t    len;
    int       decoded;
    int       long_number;
} written_t;


static void
check_string(const wsb_json_t *value, written_t *w)
{
    size_t    n;
    char     *name;
    uint8_t  *buf;

    buf = malloc(value->text.len);

    if (wsb_json_decode(value, buf, &n) != WSB_OK) {
        w->decoded = 0;

    } else {
        fuzz_check(n <= value->text.len - 2);
        fuzz_check(memchr(buf, '\0', n) == NULL);

        name = malloc(n + 2);
        memcpy(name, buf, n);
        name[n] = '\0';
        fuzz_check(wsb_json_key_is(value, name));

        strcpy(name + n, "x");
        fuzz_check(!wsb_json_key_is(value, name));

        if (n != 0) {
            name[n - 1] = '\0';
            fuzz_check(!wsb_json_key_is(value, name));
        }

        free(name);
    }

    free(buf);

    fuzz_check(wsb_json_same(value->text, value->text));
}


static void
write_value(const wsb_json_t *value, written_t *w)
{
    size_t             n;
    wsb_json_t         key, v;
    wsb_json_walk_t    walk;
    const uint8_t     *p = value->text.data, *last = p + value->text.len;

    fuzz_check(value->text.len != 0);

    switch (value->type) {

    case WSB_JSON_OBJECT:
        fuzz_check(p[0] == '{' && last[-1] == '}');

        w->out[w->len++] = '{';
        wsb_json_enter(&walk, value);

        for (n = 0; wsb_json_member(&walk, &key, &v) == WSB_OK; n++) {
            fuzz_check(key.type == WSB_JSON_STRING);
            fuzz_check(key.text.data > p && key.text.data < v.text.data);
            p = v.text.data + v.text.len;
            fuzz_check(p < last);

            if (n != 0) {
                w->out[w->len++] = ',';
            }

            write_value(&key, w);
            w->out[w->len++] = ':';
            write_value(&v, w);
        }

        fuzz_check(wsb_json_member(&walk, &key, &v) == WSB_DONE);
        w->out[w->len++] = '}';
        return;

    case WSB_JSON_ARRAY:
        fuzz_check(p[0] == '[' && last[-1] == ']');

        w->out[w->len++] = '[';
        wsb_json_enter(&walk, value);

        for (n = 0; wsb_json_element(&walk, &v) == WSB_OK; n++) {
            fuzz_check(v.text.data > p);
            p = v.text.data + v.text.len - 1;
            fuzz_check(p < last - 1);

            if (n != 0) {
                w->out[w->len++] = ',';
            }

            write_value(&v, w);
        }

        fuzz_check(wsb_json_element(&walk, &v) == WSB_DONE);
        w->out[w->len++] = ']';
        return;

    case WSB_JSON_STRING:
        fuzz_check(value->text.len >= 2 && p[0] == '"' && last[-1] == '"');
        check_string(value, w);
        break;

    case WSB_JSON_NUMBER:
        fuzz_check(*p == '-' || (*p >= '0' && *p <= '9'));
        w->long_number |= value->text.len > NUMBER_MAX;
        break;

    default:
        n = value->type == WSB_JSON_FALSE ? 5 : 4;
        fuzz_check(value->text.len == n);
        fuzz_check(memcmp(p, value->type == WSB_JSON_FALSE ? "false"
                             : value->type == WSB_JSON_TRUE ? "true"
                                                            : "null", n)
                   == 0);
    }

    memcpy(w->out + w->len, value->text.data, value->text.len);
    w->len += value->text.len;
}


static void
compare_string(const wsb_json_t *value, const char *text)
{
    fuzz_check(wsb_json_key_is(value, text));
}


static void
compare(const wsb_json_t *value, const cJSON *tree)
{
    char             *number;
    double            d;
    wsb_json_t        key, v;
    const cJSON      *child;
    wsb_json_walk_t   walk;

    switch (value->type) {

    case WSB_JSON_NULL:
        fuzz_check(cJSON_IsNull(tree));
        break;

    case WSB_JSON_TRUE:
        fuzz_check(cJSON_IsTrue(tree));
        break;

    case WSB_JSON_FALSE:
        fuzz_check(cJSON_IsFalse(tree));
        break;

    case WSB_JSON_NUMBER:
        fuzz_check(cJSON_IsNumber(tree));

        number = strndup((const char *) value->text.data, value->text.len);
        d = strtod(number, NULL);
        fuzz_check(d == tree->valuedouble);
        fuzz_check(wsb_json_is_integer(value)
                   == (strpbrk(number, ".eE") == NULL
                       && strcmp(number, "-0") != 0));
        free(number);
        break;

    case WSB_JSON_STRING:
        fuzz_check(cJSON_IsString(tree));
        compare_string(value, tree->valuestring);
        break;

    case WSB_JSON_ARRAY:
        fuzz_check(cJSON_IsArray(tree));
        wsb_json_enter(&walk, value);

        for (child = tree->child; child != NULL; child = child->next) {
            fuzz_check(wsb_json_element(&walk, &v) == WSB_OK);
            compare(&v, child);
        }

        fuzz_check(wsb_json_element(&walk, &v) == WSB_DONE);
        break;

    case WSB_JSON_OBJECT:
        fuzz_check(cJSON_IsObject(tree));
        wsb_json_enter(&walk, value);

        for (child = tree->child; child != NULL; child = child->next) {
            fuzz_check(wsb_json_member(&walk, &key, &v) == WSB_OK);
            compare_string(&key, child->string);
            compare(&v, child);
        }

        fuzz_check(wsb_json_member(&walk, &key, &v) == WSB_DONE);
        break;
    }
}


/* Of each two keys of an object, do they differ? */

static int
unique(const wsb_json_t *value, unsigned level, unsigned depth)
{
    int              ok = 1;
    unsigned         n = 0;
    wsb_json_t       key, other, v;
    wsb_json_walk_t  walk, rest;

    if (level == depth
        || (value->type != WSB_JSON_OBJECT && value->type != WSB_JSON_ARRAY))
    {
        return 1;
    }

    wsb_json_enter(&walk, value);

    if (value->type == WSB_JSON_ARRAY) {
        while (ok && wsb_json_element(&walk, &v) == WSB_OK) {
            ok = unique(&v, level + 1, depth);
        }

        return ok;
    }

    while (ok && wsb_json_member(&walk, &key, &v) == WSB_OK) {
        rest = walk;

        ok = ++n <= WSB_JSON_STRICT_MEMBERS && unique(&v, level + 1, depth);

        while (ok && wsb_json_member(&rest, &other, &v) == WSB_OK) {
            ok = !wsb_json_same(key.text, other.text);
        }
    }

    return ok;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON              *tree;
    wsb_rc_t            rc;
    wsb_str_t           text;
    written_t           w;
    wsb_json_t          value, v;
    wsb_json_error_t    err;

    text.data = fuzz_copy(data, size);
    text.len = size;

    rc = wsb_json_parse(text, &loose, &value, &err);

    if (rc != WSB_OK) {
        fuzz_check(rc == WSB_ERROR);
        fuzz_check(err.offset <= size && err.reason != NULL);
        fuzz_check(wsb_json_parse(text, &strict, &v, &err) == WSB_ERROR);
        free((void *) text.data);
        return 0;
    }

    w.out = malloc(size);
    w.len = 0;
    w.decoded = 1;
    w.long_number = 0;

    write_value(&value, &w);
    fuzz_check(w.len <= size);

    if (wsb_json_parse(text, &outer, &v, &err) != WSB_OK) {
        fuzz_check(err.offset < size);

    } else {
        fuzz_check(unique(&value, 0, 1));
    }

    if (wsb_json_parse(text, &strict, &v, &err) == WSB_OK) {
        fuzz_check(w.decoded && unique(&value, 0, 32));

    } else {
        fuzz_check(!w.decoded || !unique(&value, 0, 32)
                   || strcmp(err.reason, "nesting is too deep") == 0);
    }

    if (w.decoded && !w.long_number) {
        tree = cJSON_ParseWithLength((const char *) text.data, size);
        fuzz_check(tree != NULL);
        compare(&value, tree);
        cJSON_Delete(tree);
    }

    free((void *) text.data);

    text.data = w.out;
    text.len = w.len;
    fuzz_check(wsb_json_parse(text, &loose, &value, &err) == WSB_OK);
    fuzz_check(value.text.len == w.len);

    free(w.out);

    return 0;
}

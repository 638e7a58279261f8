/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Files of a directory: which count, what has changed, when to look, and
 * whose the directory is.
 */

#include "log/wsb_watch.h"
#include "tap.h"

#include <stdlib.h>


#define len(a)  (sizeof(a) / sizeof((a)[0]))


static const wsb_str_t  ignored[] = {
    wsb_string("schema.json"), wsb_string("default.json")
};

static const wsb_watch_conf_t  conf = {
    .pattern = "*.json", .ignore = ignored, .nignore = 2
};


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { strlen(s), (const uint8_t *) s };

    return v;
}


static void
test_names(void)
{
    char              name[WSB_WATCH_NAME + 2];
    size_t            i;
    wsb_str_t         s;
    wsb_watch_conf_t  c = conf;

    static const struct {
        const char  *name;
        int          wanted;
    } names[] = {
        { "acme.json", 1 }, { "a b.json", 1 }, { "a.b.json", 1 },
        { "\xc3\xa9.json", 1 }, { "schema.jsonx.json", 1 },
        { "Schema.json", 1 }, { "a\".json", 1 },
        { "schema.json", 0 }, { "default.json", 0 }, { "acme.yaml", 0 },
        { "acme.json~", 0 }, { "acme.json.swp", 0 }, { ".json", 0 },
        { ".acme.json", 0 }, { ".#acme.json", 0 }, { "..data", 0 },
        { "", 0 }, { "json", 0 }, { "acme.JSON", 0 }, { "\xff.json", 0 },
        { "\xed\xa0\x80.json", 0 }, { ".", 0 }, { "..", 0 }
    };

    static const struct {
        const char  *path;
        const char  *tenant;
    } stems[] = {
        { "acme.json", "acme" }, { "private/acme.json", "acme" },
        { "a.b.json", "a.b" }, { "examples/x", "x" }, { "x", "x" },
        { "pri.vate/x", "x" }
    };

    for (i = 0; i < len(names); i++) {
        ok(wsb_watch_wanted(&conf, names[i].name) == names[i].wanted,
           "%s %s", names[i].name, names[i].wanted ? "counts" : "does not");
    }

    memset(name, 'a', sizeof(name));
    memcpy(name + WSB_WATCH_NAME - 5, ".json", 6);
    ok(wsb_watch_wanted(&conf, name), "a long name");

    memset(name, 'a', sizeof(name));
    memcpy(name + WSB_WATCH_NAME - 4, ".json", 6);
    ok(!wsb_watch_wanted(&conf, name), "one that is too long");

    for (i = 0; i < len(stems); i++) {
        s = wsb_watch_tenant(&conf, str(stems[i].path));
        is_bytes(s.data, s.len, stems[i].tenant, "of %s", stems[i].path);
    }

    c.tenant = str("globex");
    s = wsb_watch_tenant(&c, str("private/acme.json"));
    is_bytes(s.data, s.len, "globex", "a tenant for all");

    c.nignore = 0;
    ok(wsb_watch_wanted(&c, "schema.json"), "nothing need be ignored");
}


static void
test_sort(void)
{
    size_t             i;
    wsb_rc_t           rc;
    wsb_watch_names_t  names;

    static const char  *const order[] = {
        "B.json", "a.json", "examples/a.json", "private/a.json", "z.json"
    };

    memset(&names, 0, sizeof(names));

    wsb_watch_name(&names, NULL, "z.json");
    wsb_watch_name(&names, "private", "a.json");
    wsb_watch_name(&names, NULL, "a.json");
    wsb_watch_name(&names, "examples", "a.json");
    wsb_watch_name(&names, NULL, "B.json");

    wsb_watch_sort(&names);

    is_uint(names.n, len(order), "so many names");

    for (i = 0; i < len(order); i++) {
        ok(strcmp(wsb_watch_path(&names, i), order[i]) == 0, "%s", order[i]);
    }

    for (rc = WSB_OK; rc == WSB_OK; ) {
        rc = wsb_watch_name(&names, NULL, "x.json");
    }

    ok(rc == WSB_FULL && names.n == WSB_WATCH_NAMES, "not without end");

    wsb_watch_names_done(&names);
    ok(names.n == 0 && names.offset == NULL, "done");
    wsb_watch_sort(&names);
}


static wsb_watch_list_t
list_create(void)
{
    wsb_watch_list_t  list = { malloc(wsb_watch_bytes(WSB_WATCH_FILES)),
                               WSB_WATCH_FILES, 0, 0, 0 };

    return list;
}


static wsb_rc_t
add(wsb_watch_list_t *list, const char *path, unsigned mtime, unsigned size)
{
    wsb_watch_stat_t  st = { mtime, 1, size, 1, 1 };

    return wsb_watch_add(list, path, &st);
}


/* Two states of 12 possible files, told apart by a plain comparison. */

static void
test_diff(void)
{
    char              path[16], want[1024], got[1024];
    unsigned          round, i, was_of[12], is_of[12];
    wsb_str_t         s;
    const char       *action;
    wsb_watch_diff_t  diff;
    wsb_watch_list_t  was = list_create(), is = list_create();
    unsigned          bad = 0;

    srand(7);

    for (round = 0; round < 20000; round++) {
        was.len = was.n = is.len = is.n = 0;
        want[0] = got[0] = '\0';

        for (i = 0; i < 12; i++) {
            /* 0: not there; 1 to 4: time and size */
            was_of[i] = (unsigned) rand() % 5;
            is_of[i] = rand() % 2 ? was_of[i] : (unsigned) rand() % 5;

            /* one is the start of the other */
            snprintf(path, sizeof(path), "%.*s", (int) i + 1,
                     "aaaaaaaaaaaa");

            if (was_of[i]) {
                add(&was, path, was_of[i] / 2, was_of[i] % 2);
            }

            if (is_of[i]) {
                add(&is, path, is_of[i] / 2, is_of[i] % 2);
            }

            if (was_of[i] != is_of[i]) {
                snprintf(want + strlen(want), sizeof(want) - strlen(want),
                         "%s:%s ", path, was_of[i] == 0 ? "created"
                         : is_of[i] == 0 ? "deleted" : "modified");
            }
        }

        memset(&diff, 0, sizeof(diff));
        diff.was = &was;
        diff.is = &is;

        while (wsb_watch_next(&diff, &s, &action) == WSB_OK) {
            snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s:%s ",
                     (int) s.len, (const char *) s.data, action);
        }

        bad += strcmp(want, got) != 0;
    }

    is_uint(bad, 0, "the differences of two lists are those, each once");

    /* what a stray writer could leave */

    was.n = 1;

    for (i = 0; i < 2000; i++) {
        unsigned  k;

        for (k = 0; k < 64; k++) {
            was.data[k] = (uint8_t) (rand() % (i % 3 ? 256 : 3));
        }

        was.len = (uint32_t) rand() % 65;
        was.cut = (uint32_t) rand() % (65 - was.len);
        is.len = is.n = 0;

        memset(&diff, 0, sizeof(diff));
        diff.was = &was;
        diff.is = &is;

        for (k = 0; wsb_watch_next(&diff, &s, &action) == WSB_OK; k++) {
            bad += (s.data + s.len > was.data + was.len
                    && s.data < was.data + 4096) || k > 64;
        }
    }

    is_uint(bad, 0, "and nothing beyond a list is read");

    free(was.data);
    free(is.data);
}


static void
test_limits(void)
{
    char              path[WSB_WATCH_NAME + 1];
    wsb_watch_list_t  list = list_create();

    while (add(&list, "a.json", 1, 1) == WSB_OK) {
        /* void */
    }

    is_uint(list.n, WSB_WATCH_FILES, "so many files");

    memset(path, 'a', sizeof(path));
    path[WSB_WATCH_NAME] = '\0';
    list.len = list.n = 0;

    while (add(&list, path, 1, 1) == WSB_OK) {
        /* void */
    }

    ok(list.len <= WSB_WATCH_FILES * WSB_WATCH_EACH
       && list.len > WSB_WATCH_FILES * WSB_WATCH_EACH - 512,
       "or so many bytes");

    free(list.data);
}


/* What a file is told by, one after the other. */

static void
test_stat(void)
{
    unsigned           i;
    wsb_str_t          s;
    uint64_t          *fields;
    const char        *action;
    wsb_watch_diff_t   diff;
    wsb_watch_list_t   was = list_create(), is = list_create();
    wsb_watch_stat_t   st = { 1, 2, 3, 4, 5 };

    fields = (uint64_t *) &st;
    wsb_watch_add(&was, "a.json", &st);

    for (i = 0; i <= 5; i++) {
        is.len = is.n = 0;

        if (i < 5) {
            fields[i]++;
        }

        wsb_watch_add(&is, "a.json", &st);

        if (i < 5) {
            fields[i]--;
        }

        memset(&diff, 0, sizeof(diff));
        diff.was = &was;
        diff.is = &is;

        ok((wsb_watch_next(&diff, &s, &action) == WSB_OK) == (i < 5),
           "field %u of the state", i);
    }

    free(was.data);
    free(is.data);
}


/*
 * Lists of at most 4 of 10 files that come, go and change: whatever is told
 * has happened, and all is told of files that both lists know.
 */

static void
test_cut(void)
{
    char              path[16], told[16];
    unsigned          round, i, k, was_of[10], is_of[10], bad, missed, n;
    wsb_str_t         s;
    const char       *action;
    wsb_watch_diff_t  diff;
    wsb_watch_list_t  was, is;

    was = list_create();
    is = list_create();
    was.max = is.max = 4;
    bad = missed = 0;
    srand(8);

    for (round = 0; round < 50000; round++) {
        was.len = was.n = was.cut = is.len = is.n = is.cut = 0;

        for (i = 0; i < 10; i++) {
            was_of[i] = (unsigned) rand() % 3;
            is_of[i] = rand() % 2 ? was_of[i] : (unsigned) rand() % 3;
            snprintf(path, sizeof(path), "f%u", i);

            if (was_of[i] && was.cut == 0) {
                add(&was, path, was_of[i], 1);
            }

            if (is_of[i] && is.cut == 0) {
                add(&is, path, is_of[i], 1);
            }
        }

        memset(&diff, 0, sizeof(diff));
        memset(told, 0, sizeof(told));
        diff.was = &was;
        diff.is = &is;

        while (wsb_watch_next(&diff, &s, &action) == WSB_OK) {
            i = s.data[1] - '0';
            told[i]++;

            bad += strcmp(action, was_of[i] == 0 ? "created"
                          : is_of[i] == 0 ? "deleted" : "modified") != 0
                   || was_of[i] == is_of[i];
        }

        /* those before the first that one of the lists has no room for */

        for (i = 0, k = 0, n = 0; i < 10; i++) {
            k += was_of[i] != 0;
            n += is_of[i] != 0;

            if (k > 4 || n > 4) {
                break;
            }

            missed += told[i] != (was_of[i] != is_of[i]);
        }
    }

    is_uint(bad, 0, "beyond the limit nothing is told that has not happened");
    is_uint(missed, 0, "and below it nothing is missed");

    free(was.data);
    free(is.data);
}


static void
test_folders(void)
{
    char          path[16];
    unsigned      i, n;
    wsb_watch_t  *w = malloc(wsb_watch_size(1));

    wsb_watch_init(w, 1);

    for (i = 0, n = 0; i < 200; i++) {
        snprintf(path, sizeof(path), "/d/%u", i / 2);
        n += wsb_watch_name_folder(w, path) != 0;
    }

    is_uint(n, WSB_WATCH_FOLDERS, "each folder once, and so many");

    w->nfolders = UINT32_MAX;
    ok(!wsb_watch_name_folder(w, "/x"), "no more, whatever is there");

    free(w);
}


static void
test_burst(void)
{
    uint64_t           now;
    wsb_watch_burst_t  b;

    memset(&b, 0, sizeof(b));

    wsb_watch_heard(&b, 1000);
    is_uint(wsb_watch_due(&b), 1100, "100 ms after the one change");

    wsb_watch_heard(&b, 1090);
    is_uint(wsb_watch_due(&b), 1190, "after the last one");

    for (now = 1100; now <= 1480; now += 20) {
        wsb_watch_heard(&b, now);
    }

    is_uint(wsb_watch_due(&b), 1500, "but 500 ms after the first");

    b.pending = 0;
    wsb_watch_heard(&b, 2000);
    is_uint(wsb_watch_due(&b), 2100, "and from the beginning");
}


static void
test_shared(void)
{
    wsb_watch_t       *w = malloc(wsb_watch_size(WSB_WATCH_FILES));
    wsb_watch_list_t   list, got;

    wsb_watch_init(w, WSB_WATCH_FILES);
    ok(wsb_watch_valid(w, WSB_WATCH_FILES), "valid");
    ok(!wsb_watch_valid(w, 4097), "for so many files");

    ok(!wsb_watch_get_locked(w, &got) && got.len == 0, "no list yet");

    list = list_create();
    wsb_watch_set_locked(w, &list);
    ok(wsb_watch_get_locked(w, &got) && got.n == 0, "an empty one is one");

    add(&list, "a.json", 1, 2);
    wsb_watch_set_locked(w, &list);
    ok(wsb_watch_get_locked(w, &got) && got.n == 1 && got.len == list.len
       && memcmp(got.data, list.data, list.len) == 0, "then this");

    /* a death before the last store leaves this one */

    add(&list, "b.json", 1, 2);
    memset(w->data + (w->current == 1 ? wsb_watch_bytes(w->max) : 0), 'x',
           wsb_watch_bytes(w->max));
    ok(wsb_watch_get_locked(w, &got) && got.n == 1
       && memcmp(got.data, list.data, got.len) == 0,
       "the other one may be half written");

    wsb_watch_set_locked(w, &list);
    ok(wsb_watch_get_locked(w, &got) && got.n == 2, "then that");

    w->magic++;
    ok(!wsb_watch_valid(w, WSB_WATCH_FILES), "not valid");

    free(list.data);
    free(w);
}


int
main(void)
{
    test_names();
    test_sort();
    test_diff();
    test_limits();
    test_stat();
    test_cut();
    test_folders();
    test_burst();
    test_shared();

    return tap_done();
}

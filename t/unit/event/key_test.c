/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "event/wsb_key.h"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))


/* "openssl mac -macopt size:16 SIPHASH" of 00 01 02 ... under 00 01 ... 0f */

static const struct {
    size_t       len;
    const char  *hash;
} vectors[] = {
    { 0, "a3817f04ba25a8e66df67214c7550293" },
    { 1, "da87c1d86b99af44347659119b22fc45" },
    { 2, "8177228da4a45dc7fca38bdef60affe4" },
    { 3, "9c70b60c5267a94e5f33b6b02985ed51" },
    { 7, "a1f1ebbed8dbc153c0b84aa61ff08239" },
    { 8, "3b62a9ba6258f5610f83e264f31497b4" },
    { 9, "264499060ad9baabc47f8b02bb6d71ed" },
    { 15, "5493e99933b0a8117e08ec0f97cfc3d9" },
    { 16, "6ee2a4ca67b054bbfd3315bf85230577" },
    { 17, "473d06e8738db89854c066c47ae47740" },
    { 31, "2939b0183223fafc1723de4f52c43d35" },
    { 63, "5150d1772f50834a503e069a973fbd7c" },
};


static uint8_t  key[16];


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


static void
test_vectors(void)
{
    char       hex[33];
    size_t     i, j;
    uint8_t   *in;
    wsb_key_t  h;

    for (i = 0; i < len(vectors); i++) {
        in = malloc(vectors[i].len + 1);

        for (j = 0; j < vectors[i].len; j++) {
            in[j] = j;
        }

        h = wsb_hash(key, 0, in, vectors[i].len);

        for (j = 0; j < 16; j++) {
            snprintf(hex + 2 * j, 3, "%02x",
                     (unsigned) (h.h[j / 8] >> (8 * (j % 8)) & 0xff));
        }

        is_bytes(hex, 32, vectors[i].hash, "SipHash-2-4-128 of %zu bytes",
                 vectors[i].len);
        free(in);
    }
}


static void
test_domains(void)
{
    size_t     i, j, same;
    wsb_key_t  h[40];

    for (i = 0; i < len(h); i++) {
        h[i] = wsb_hash(key, i, "order", 5);
    }

    same = 0;

    for (i = 0; i < len(h); i++) {
        for (j = 0; j < i; j++) {
            same += h[i].h[0] == h[j].h[0] || h[i].h[1] == h[j].h[1];
        }
    }

    is_uint(same, 0, "each domain hashes differently");

    h[0] = wsb_hash(key, WSB_DOMAIN_TENANT, "", 0);
    h[1] = wsb_hash(key, WSB_DOMAIN_TENANT, NULL, 0);
    ok(wsb_key_eq(&h[0], &h[1]), "nothing is as good as empty");

    h[0] = wsb_key_tenant(key, str(NULL));
    h[1] = wsb_key_tenant(key, str(""));
    h[2] = wsb_key_tenant(key, str("acme"));
    ok(wsb_key_eq(&h[0], &h[1]), "no tenant: absent or empty");
    ok(!wsb_key_eq(&h[0], &h[2]), "a tenant is another");

    h[0] = wsb_key_part(key, WSB_ENTITY_ID,
                        str("{0123ABCD-0123-0123-0123-0123456789AB}"));
    h[1] = wsb_key_part(key, WSB_ENTITY_ID,
                        str("0123abcd012301230123" "0123456789ab"));
    ok(wsb_key_eq(&h[0], &h[1]), "spellings of a UUID are one id");

    h[0] = wsb_key_part(key, WSB_ENTITY_TYPE,
                        str("0123ABCD-0123-0123-0123-0123456789AB"));
    h[1] = wsb_key_part(key, WSB_ENTITY_TYPE,
                        str("0123abcd-0123-0123-0123-0123456789ab"));
    ok(!wsb_key_eq(&h[0], &h[1]), "but only of an entity id");
}


static void
test_masks(void)
{
    size_t       i, j, same;
    wsb_key_t    keys[WSB_MASKS];
    wsb_event_t  ev;
    wsb_parts_t  parts;

    /* the same word everywhere: only domains and masks tell the fields */

    memset(&ev, 0, sizeof(ev));

    for (i = 0; i < WSB_NFIELDS; i++) {
        ev.field[i] = str("same");
    }

    wsb_key_parts(key, &ev, &parts);
    is_uint(parts.present, 15, "an entity has all four parts");

    same = 0;

    for (i = 0; i < WSB_MASKS; i++) {
        keys[i] = wsb_key(&parts, i);

        for (j = 0; j < i; j++) {
            same += keys[i].h[0] == keys[j].h[0]
                    || keys[i].h[1] == keys[j].h[1];
        }
    }

    is_uint(same, 0, "each mask has its own key");

    /* even if there were nothing to hash */

    memset(&parts, 0, sizeof(parts));
    same = 0;

    for (i = 0; i < WSB_MASKS; i++) {
        keys[i] = wsb_key(&parts, i);

        for (j = 0; j < i; j++) {
            same += keys[i].h[0] == keys[j].h[0]
                    || keys[i].h[1] == keys[j].h[1];
        }
    }

    is_uint(same, 0, "by the mask alone");
}


static void
test_parts(void)
{
    wsb_key_t    h;
    wsb_event_t  ev;
    wsb_parts_t  parts, other;

    memset(&ev, 0, sizeof(ev));
    wsb_key_parts(key, &ev, &parts);
    is_uint(parts.present, 0, "an event of nothing has no part");

    ev.field[WSB_KIND] = str("link");
    ev.field[WSB_ACTION] = str("created");
    ev.field[WSB_ENTITY_TYPE] = str("order");
    ev.field[WSB_ENTITY_ID] = str("17");
    ev.field[WSB_LINK_ID] = str("18");
    wsb_key_parts(key, &ev, &parts);

    is_uint(parts.present,
            1 << WSB_KIND | 1 << WSB_ACTION | 1 << WSB_ENTITY_ID,
            "a link has no entity type");

    h = wsb_key_part(key, WSB_ENTITY_ID, str("18"));
    ok(wsb_key_eq(&h, &parts.part[WSB_ENTITY_ID]), "its id is link_id");

    ev.field[WSB_LINK_ID] = str(NULL);
    wsb_key_parts(key, &ev, &parts);
    is_uint(parts.present, 1 << WSB_KIND | 1 << WSB_ACTION,
            "a link without link_id has no id");

    ev.field[WSB_KIND] = str("entity");
    ev.field[WSB_ACTION] = str("");
    wsb_key_parts(key, &ev, &parts);
    is_uint(parts.present,
            1 << WSB_KIND | 1 << WSB_ENTITY_TYPE | 1 << WSB_ENTITY_ID,
            "an empty value is none");

    ev.field[WSB_TENANT] = str("acme");
    wsb_key_parts(key, &ev, &other);
    ok(!wsb_key_eq(&parts.tenant, &other.tenant), "tenants differ");
    ok(wsb_key_eq(&parts.part[0], &other.part[0]), "values do not");

    key[3] ^= 1;
    wsb_key_parts(key, &ev, &parts);
    ok(!wsb_key_eq(&parts.part[0], &other.part[0]),
       "another key, another hash");
}


/* Values of few bytes are remembered: many more of them than there is room */

static void
test_memo(void)
{
    size_t     n;
    int        wrong;
    uint8_t    keys[2][16], value[40];
    unsigned   i, j, field, random;
    wsb_key_t  a, b, tenant;
    wsb_str_t  s;

    memset(keys[0], 1, 16);
    memcpy(keys[1], keys[0], 16);
    keys[1][15] = 2;

    random = 1;
    wrong = 0;

    for (i = 0; i < 200000; i++) {
        random = random * 1103515245 + 12345;

        n = random >> 8 & 3 ? random >> 10 & 7 : random >> 10 & 31;
        field = (random >> 16) % (WSB_NROUTING - 1);
        field += field >= WSB_ENTITY_ID;

        for (j = 0; j < n; j++) {
            value[j] = random >> (j + 3) % 32 & 1 ? 'a' : 'b';
        }

        s.data = value;
        s.len = n;

        a = wsb_key_part(keys[i & 1], field, s);
        b = wsb_hash(keys[i & 1], WSB_DOMAIN_FIELD + field, value, n);

        tenant = wsb_key_tenant(keys[i & 1], s);
        wrong += !wsb_key_eq(&a, &b);

        b = wsb_hash(keys[i & 1], WSB_DOMAIN_TENANT, value, n);
        wrong += !wsb_key_eq(&tenant, &b);
    }

    ok(wrong == 0, "what is remembered is what is computed");
}


int
main(void)
{
    unsigned  i;

    for (i = 0; i < 16; i++) {
        key[i] = i;
    }

    test_vectors();
    test_domains();
    test_masks();
    test_parts();
    test_memo();

    return tap_done();
}

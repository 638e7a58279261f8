/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_version.h"


#define WSB_VERSION_SHARE  128            /* of the ring */

#define load(p)      __atomic_load_n(p, __ATOMIC_RELAXED)
#define store(p, v)  __atomic_store_n(p, v, __ATOMIC_RELAXED)


static inline uint64_t *
wsb_version_word(const wsb_versions_t *versions, uint64_t hash)
{
    return (uint64_t *) ((uint8_t *) versions + versions->words)
           + hash % versions->nwords;
}


size_t
wsb_version_size(size_t ring)
{
    return (ring / WSB_VERSION_SHARE / 64 + 1) * 64;
}


void
wsb_version_init(wsb_versions_t *versions, void *words, size_t ring)
{
    size_t  size;

    size = wsb_version_size(ring);

    memset(words, 0, size);

    versions->nwords = size / sizeof(uint64_t);
    versions->words = (uint64_t) ((uint8_t *) words - (uint8_t *) versions);
}


void
wsb_version_note_locked(wsb_versions_t *versions, const wsb_entry_t *entry,
    uint64_t seq)
{
    if (!(entry->parts.present & 1u << WSB_ENTITY_TYPE)) {
        return;
    }

    store(wsb_version_word(versions, entry->type), seq);

    WSB_STEP("version of a type");

    if (entry->one != 0) {
        store(wsb_version_word(versions, entry->one), seq);

        WSB_STEP("version of an entity");
    }
}


wsb_version_key_t
wsb_version_key(const uint8_t key[16], wsb_str_t tenant,
    wsb_str_t entity_type, wsb_str_t entity_id)
{
    wsb_key_t          hash;
    wsb_parts_t        parts;
    wsb_version_key_t  v;

    parts.tenant = wsb_key_tenant(key, tenant);
    parts.part[WSB_ENTITY_TYPE] = wsb_key_part(key, WSB_ENTITY_TYPE,
                                               entity_type);
    parts.present = 1u << WSB_ENTITY_TYPE;

    hash = wsb_key(&parts, parts.present);

    v.type = hash.h[0];
    v.kin = hash.h[1] % WSB_KIN;
    v.entity = 0;

    if (entity_id.data != NULL) {
        parts.part[WSB_ENTITY_ID] = wsb_key_part(key, WSB_ENTITY_ID,
                                                 entity_id);
        parts.present |= 1u << WSB_ENTITY_ID;

        hash = wsb_key(&parts, parts.present);
        v.entity = hash.h[0];
    }

    return v;
}


/*
 * The words of what is committed are seen: the head was read with acquire.  A
 * word that is above it is of an event that comes, or of one that never will.
 */

uint64_t
wsb_version(const wsb_versions_t *versions, const wsb_last_t *last,
    const wsb_version_key_t *key, uint64_t head)
{
    uint64_t  version, resync;

    version = load(wsb_version_word(versions, key->entity ? key->entity
                                                          : key->type));
    resync = wsb_last_resync(last, key->kin);

    if (version < resync) {
        version = resync;
    }

    return version < head ? version : head;
}

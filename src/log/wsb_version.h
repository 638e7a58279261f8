/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Versions: what an answer that was fetched is still good for.
 *
 * A table of words, fixed at the zone's init.  Each event stores its seq in
 * the word of its (tenant, entity_type), and in that of its entity.  So the
 * word of a key is the last event of it, or a later one of another key that
 * shares the word: a version may rise for nothing, and never fails to rise.
 *
 * Words are stored under the zone's mutex, before the records are committed.
 * Who dies in between leaves a word above the head: such a one counts as the
 * head, so that what is committed at that seq later is a version of its own.
 */

#ifndef WSB_VERSION_H
#define WSB_VERSION_H


#include "wsb_last.h"


/* In the zone.  nwords and words are constant. */

typedef struct {
    uint64_t              nwords;
    uint64_t              words;          /* from this struct, in bytes */
} wsb_versions_t;


/* What a version is asked for. */

typedef struct {
    uint64_t              type;           /* of (tenant, entity_type) */
    uint64_t              entity;         /* of this and entity_id; 0: all */
    unsigned              kin;            /* as that of events */
} wsb_version_key_t;


/* Bytes of the table for a ring of this size: a 128th of it. */
size_t wsb_version_size(size_t ring);

/* words is aligned to 64 and belongs to the same mapping as versions. */
void wsb_version_init(wsb_versions_t *versions, void *words, size_t ring);

/* For the holder of the mutex: an event that is going to be committed. */
void wsb_version_note_locked(wsb_versions_t *versions,
    const wsb_entry_t *entry, uint64_t seq);

/*
 * entity_id.data NULL: of all entities of this type.  key is that of the zone.
 */
wsb_version_key_t wsb_version_key(const uint8_t key[16], wsb_str_t tenant,
    wsb_str_t entity_type, wsb_str_t entity_id);

/*
 * No event and no resync of the key is in (version, head], where the head is
 * one that was read, with wsb_log_head(), before the call.  Takes no lock.
 * last: the resyncs are in there.
 */
uint64_t wsb_version(const wsb_versions_t *versions, const wsb_last_t *last,
    const wsb_version_key_t *key, uint64_t head);


#endif /* WSB_VERSION_H */

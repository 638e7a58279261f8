/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Texts: what the filters say, for the status page.
 *
 * A slot has at most about 1,000 of them and takes chunks only while half of
 * all are free: a filter without a text is still matched.
 */

#ifndef WSB_FILTER_TEXT_H
#define WSB_FILTER_TEXT_H


#include "wsb_chunk.h"


#define WSB_TEXT_CHUNKS           67
#define WSB_TEXT_SIZE             248     /* longer ones are not kept */
#define WSB_TEXTS_PER_CHUNK       15

typedef struct {
    uint32_t              count;          /* of subscriptions; 0: free */
    uint32_t              len;
    uint8_t               text[WSB_TEXT_SIZE];
} wsb_filter_text_t;

typedef struct {
    uint32_t              next;           /* chunk + 1, or 0 */
    uint32_t              used;           /* texts in it */
    wsb_key_t             tenant[WSB_TEXTS_PER_CHUNK];
    uint8_t               pad[8];
    wsb_filter_text_t     text[WSB_TEXTS_PER_CHUNK];
} wsb_text_chunk_t;

/* Returns a handle for the next two, 0: not kept. */
uint32_t wsb_filter_text_add_locked(wsb_zone_t *zone, unsigned slot,
    wsb_str_t text, const wsb_key_t *tenant);
void wsb_filter_text_count_locked(wsb_zone_t *zone, uint32_t handle,
    uint32_t count);


#endif /* WSB_FILTER_TEXT_H */

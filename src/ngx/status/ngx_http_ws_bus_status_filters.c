/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The filters of the status page: what clients subscribe to, over all workers.
 *
 * Clients decide how many there are.  So equal ones are found by a hash, a
 * text is shown as it was kept, and the page has an end.
 */

#include "ngx_http_ws_bus_status.h"


#define NGX_HTTP_WS_BUS_PAGE_LINES   1000
#define NGX_HTTP_WS_BUS_PAGE_PLACES  2048     /* a power of two */
#define NGX_HTTP_WS_BUS_PAGE_CHUNKS  2048     /* looked at, of texts */

#define NGX_HTTP_WS_BUS_DOMAIN_TEXT  82       /* of wsb_hash(): see wsb_key.h */


typedef struct {
    wsb_key_t                hash;
    uint64_t                 count;
    cJSON                   *item;            /* NULL: a free place */
} ngx_http_ws_bus_line_t;


typedef struct {
    ngx_http_ws_bus_zone_t  *bus;
    const wsb_key_t         *tenant;          /* NULL: of all */
    cJSON                   *filters;
    ngx_uint_t               nlines;
    ngx_uint_t               nchunks;
    uint64_t                 more;            /* texts that are not shown */
    wsb_text_chunk_t         copy;
    ngx_http_ws_bus_line_t   line[NGX_HTTP_WS_BUS_PAGE_PLACES];
} ngx_http_ws_bus_page_t;


static ngx_int_t ngx_http_ws_bus_status_filters_slot(
    ngx_http_ws_bus_page_t *page,
    unsigned slot);
static ngx_uint_t ngx_http_ws_bus_status_filters_chunk(
    ngx_http_ws_bus_page_t *page,
    unsigned slot, uint32_t chunk, uint32_t pid);
static ngx_int_t ngx_http_ws_bus_status_filters_text(
    ngx_http_ws_bus_page_t *page,
    const wsb_filter_text_t *text);
static ngx_int_t ngx_http_ws_bus_status_filters_line(
    ngx_http_ws_bus_page_t *page,
    ngx_http_ws_bus_line_t *line, wsb_str_t text);
static ngx_int_t ngx_http_ws_bus_status_filters_end(
    ngx_http_ws_bus_page_t *page,
    cJSON *zone);


ngx_int_t
ngx_http_ws_bus_status_filters(cJSON *zone, ngx_http_ws_bus_zone_t *bus,
    const wsb_key_t *tenant)
{
    unsigned                 i;
    ngx_int_t                rc;
    ngx_http_ws_bus_page_t  *page;

    page = ngx_calloc(sizeof(ngx_http_ws_bus_page_t), ngx_cycle->log);
    if (page == NULL) {
        return NGX_ERROR;
    }

    page->bus = bus;
    page->tenant = tenant;
    page->filters = cJSON_AddArrayToObject(zone, "filters");

    rc = page->filters ? NGX_OK : NGX_ERROR;

    for (i = wsb_zone_next(bus->zone, 0);
         i < WSB_SLOTS && rc == NGX_OK;
         i = wsb_zone_next(bus->zone, i + 1))
    {
        rc = ngx_http_ws_bus_status_filters_slot(page, i);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_status_filters_end(page, zone);
    }

    ngx_free(page);

    return rc;
}


static ngx_int_t
ngx_http_ws_bus_status_filters_slot(ngx_http_ws_bus_page_t *page, unsigned slot)
{
    uint32_t                 chunk, pid;
    ngx_uint_t               i, n;
    wsb_slot_t              *s;
    const wsb_text_chunk_t  *copy;

    s = wsb_zone_slot(page->bus->zone, slot);
    pid = s->pid;
    chunk = s->texts;
    copy = &page->copy;

    if (pid == 0) {
        return NGX_OK;
    }

    for (n = 0; n < WSB_TEXT_CHUNKS && chunk != 0; n++) {

        if (!ngx_http_ws_bus_status_filters_chunk(page, slot, chunk, pid)) {
            break;
        }

        for (i = 0; i < WSB_TEXTS_PER_CHUNK; i++) {
            if (copy->text[i].count != 0
                && (page->tenant == NULL
                    || wsb_key_eq(&copy->tenant[i], page->tenant))
                && ngx_http_ws_bus_status_filters_text(page,
                                                     &copy->text[i]) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        chunk = copy->next;
    }

    return NGX_OK;
}


/*
 * A chunk at a time is copied under the mutex; between two the slot may have
 * lost them all, then its chain ends early.
 */

static ngx_uint_t
ngx_http_ws_bus_status_filters_chunk(ngx_http_ws_bus_page_t *page,
    unsigned slot,
    uint32_t chunk, uint32_t pid)
{
    ngx_uint_t               found;
    wsb_zone_t              *zone;
    wsb_text_chunk_t        *tc;
    ngx_http_ws_bus_zone_t  *bus;

    bus = page->bus;
    zone = bus->zone;

    if (page->nchunks++ == NGX_HTTP_WS_BUS_PAGE_CHUNKS) {
        page->nchunks--;
        page->more++;
        return 0;
    }

    ngx_shmtx_lock(&bus->shpool->mutex);

    tc = wsb_zone_chunk(zone, chunk);

    found = tc != NULL && wsb_zone_slot(zone, slot)->pid == pid
            && wsb_zone_owners(zone)[chunk - 1] == slot + 1;

    if (found) {
        page->copy = *tc;
    }

    ngx_shmtx_unlock(&bus->shpool->mutex);

    return found;
}


static ngx_int_t
ngx_http_ws_bus_status_filters_text(ngx_http_ws_bus_page_t *page,
    const wsb_filter_text_t *text)
{
    ngx_uint_t               i;
    wsb_key_t                hash;
    wsb_str_t                s;
    ngx_http_ws_bus_line_t  *line;

    s.data = text->text;
    s.len = ngx_min(text->len, WSB_TEXT_SIZE);

    hash = wsb_hash(page->bus->zone->key, NGX_HTTP_WS_BUS_DOMAIN_TEXT, s.data,
                    s.len);

    /* half of the places stay free */

    for (i = hash.h[0]; /* void */ ; i++) {
        line = &page->line[i & (NGX_HTTP_WS_BUS_PAGE_PLACES - 1)];

        if (line->item == NULL) {
            break;
        }

        if (wsb_key_eq(&line->hash, &hash)) {
            line->count += text->count;
            return NGX_OK;
        }
    }

    if (page->nlines == NGX_HTTP_WS_BUS_PAGE_LINES) {
        page->more++;
        return NGX_OK;
    }

    line->hash = hash;
    line->count = text->count;

    return ngx_http_ws_bus_status_filters_line(page, line, s);
}


static ngx_int_t
ngx_http_ws_bus_status_filters_line(ngx_http_ws_bus_page_t *page,
    ngx_http_ws_bus_line_t *line, wsb_str_t text)
{
    char               raw[WSB_TEXT_SIZE + 1];
    cJSON             *item;
    wsb_json_t         value;
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    /* of a worker that died while it wrote it */

    if (wsb_json_parse(text, &limits, &value, &err) != WSB_OK) {
        return NGX_OK;
    }

    ngx_memcpy(raw, text.data, text.len);
    raw[text.len] = '\0';

    item = cJSON_CreateObject();

    if (!cJSON_AddItemToArray(page->filters, item)) {
        cJSON_Delete(item);
        return NGX_ERROR;
    }

    line->item = item;
    page->nlines++;

    return cJSON_AddRawToObject(item, "filter", raw) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_ws_bus_status_filters_end(ngx_http_ws_bus_page_t *page, cJSON *zone)
{
    ngx_uint_t               i;
    ngx_http_ws_bus_line_t  *line;

    for (i = 0; i < NGX_HTTP_WS_BUS_PAGE_PLACES; i++) {
        line = &page->line[i];

        if (line->item != NULL
            && cJSON_AddNumberToObject(line->item, "count",
                                       (double) line->count) == NULL)
        {
            return NGX_ERROR;
        }
    }

    if (page->more == 0) {
        return NGX_OK;
    }

    return cJSON_AddNumberToObject(zone, "filters_more", (double) page->more)
               ? NGX_OK
               : NGX_ERROR;
}

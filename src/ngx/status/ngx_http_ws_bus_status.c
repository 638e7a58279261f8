/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The status location: the state of all zones, as JSON.
 *
 * Only what the zones hold is shown, so any worker can answer for all.
 */

#include "ngx_http_ws_bus_status.h"


static ngx_int_t ngx_http_ws_bus_status_body(ngx_http_request_t *r,
    ngx_str_t *tenant);
static ngx_int_t ngx_http_ws_bus_status_all(ngx_http_request_t *r,
    cJSON *root, ngx_str_t *tenant);
static ngx_int_t ngx_http_ws_bus_status_tenant(cJSON *zones,
    ngx_http_ws_bus_zone_t *bus, ngx_str_t *tenant);
static cJSON *ngx_http_ws_bus_status_item(cJSON *zones,
    ngx_http_ws_bus_zone_t *bus);
static ngx_int_t ngx_http_ws_bus_status_zone(cJSON *zones,
    ngx_http_ws_bus_zone_t *bus);
static ngx_int_t ngx_http_ws_bus_status_workers(cJSON *zone,
    ngx_http_ws_bus_zone_t *bus, uint64_t *totals);
static ngx_int_t ngx_http_ws_bus_status_worker(cJSON *workers,
    ngx_http_ws_bus_zone_t *bus, wsb_slot_t *slot);
static ngx_int_t ngx_http_ws_bus_status_totals(cJSON *zone,
    ngx_http_ws_bus_zone_t *bus, const uint64_t *totals, uint64_t head);
static ngx_int_t ngx_http_ws_bus_status_counters(cJSON *object,
    const ngx_http_ws_bus_counters_t *counters, const uint64_t *n,
    ngx_uint_t shown);
static uint64_t ngx_http_ws_bus_status_underway(const wsb_zone_t *zone);
static ngx_int_t ngx_http_ws_bus_status_captures(cJSON *zone,
    ngx_http_ws_bus_zone_t *bus);
static ngx_int_t ngx_http_ws_bus_status_add(cJSON *object, const char *name,
    uint64_t n);
static ngx_int_t ngx_http_ws_bus_status_add_id(cJSON *object, const char *name,
    uint64_t epoch, uint64_t seq);


ngx_int_t
ngx_http_ws_bus_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                           rc;
    ngx_str_t                           tenant;
    ngx_http_ws_bus_status_loc_conf_t  *stlcf;

    ngx_http_ws_bus_turn();

    stlcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_status_module);

    if (!stlcf->status_any && !ngx_http_ws_bus_http_local(r)) {
        return NGX_HTTP_FORBIDDEN;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_ws_bus_http_add_header(r, "Allow",
                                               "GET, HEAD") == NGX_OK
               ? NGX_HTTP_NOT_ALLOWED : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_ws_bus_http_add_header(r, "Cache-Control", "no-store")
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (stlcf->form == NGX_HTTP_WS_BUS_STATUS_HEALTH) {
        rc = ngx_http_discard_request_body(r);

        return rc == NGX_OK ? ngx_http_ws_bus_status_health(r) : rc;
    }

    /* with no tenant where one is needed, the page would be that of all */

    rc = ngx_http_ws_bus_tenant_of(r, &tenant);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);

    return rc == NGX_OK ? ngx_http_ws_bus_status_body(r, &tenant) : rc;
}


static ngx_int_t
ngx_http_ws_bus_status_body(ngx_http_request_t *r, ngx_str_t *tenant)
{
    char    *text;
    cJSON   *root;
    size_t   len;
    u_char  *data;

    root = cJSON_CreateObject();
    data = NULL;
    len = 0;

    text = ngx_http_ws_bus_status_all(r, root, tenant) == NGX_OK
           ? cJSON_Print(root) : NULL;

    if (text != NULL) {
        len = ngx_strlen(text);
        data = ngx_pnalloc(r->pool, len + 1);

        if (data != NULL) {
            ngx_memcpy(data, text, len);
            data[len++] = '\n';
        }

        cJSON_free(text);
    }

    cJSON_Delete(root);

    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_ws_bus_http_send_body(r, NGX_HTTP_OK, "application/json",
                                          data, len);
}


static ngx_int_t
ngx_http_ws_bus_status_all(ngx_http_request_t *r, cJSON *root,
    ngx_str_t *tenant)
{
    cJSON                         *zones;
    ngx_int_t                      rc;
    ngx_uint_t                     i;
    ngx_http_ws_bus_zone_t       **bus;
    ngx_http_ws_bus_main_conf_t   *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_ws_bus_module);

    if (cJSON_AddStringToObject(root, "version", NGX_HTTP_WS_BUS_VERSION)
        == NULL)
    {
        return NGX_ERROR;
    }

    if (tenant->len == 0
        && (cJSON_AddStringToObject(root, "nginx", NGINX_VERSION) == NULL
            || ngx_http_ws_bus_status_add(root, "pid", (uint64_t) ngx_pid)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    zones = cJSON_AddArrayToObject(root, "zones");
    bus = wmcf->zones.elts;
    rc = NGX_OK;

    for (i = 0; i < wmcf->zones.nelts && rc == NGX_OK; i++) {
        rc = tenant->len
             ? ngx_http_ws_bus_status_tenant(zones, bus[i], tenant)
             : ngx_http_ws_bus_status_zone(zones, bus[i]);
    }

    return rc;
}


/* What is of one tenant: nothing that the others have a part in. */

static ngx_int_t
ngx_http_ws_bus_status_tenant(cJSON *zones, ngx_http_ws_bus_zone_t *bus,
    ngx_str_t *tenant)
{
    cJSON      *item;
    uint64_t    connections, subscriptions;
    wsb_key_t   hash, key[2];
    wsb_str_t   name;

    static const wsb_str_t  none = wsb_string("");

    item = ngx_http_ws_bus_status_item(zones, bus);

    name.data = tenant->data;
    name.len = tenant->len;

    hash = wsb_key_tenant(bus->zone->key, name);
    key[0] = wsb_quota_key(bus->zone->key, WSB_DOMAIN_CONNECTIONS, none,
                           name);
    key[1] = wsb_quota_key(bus->zone->key, WSB_DOMAIN_SUBSCRIPTIONS, none,
                           name);

    ngx_shmtx_lock(&bus->shpool->mutex);
    connections = wsb_interest_count_locked(bus->zone, &key[0]);
    subscriptions = wsb_interest_count_locked(bus->zone, &key[1]);
    ngx_shmtx_unlock(&bus->shpool->mutex);

    if (ngx_http_ws_bus_status_add(item, "connections", connections) != NGX_OK
        || ngx_http_ws_bus_status_add(item, "subscriptions", subscriptions)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_status_filters(item, bus, &hash);
}


/* An element of zones, with the name of the bus; NULL: no memory. */

static cJSON *
ngx_http_ws_bus_status_item(cJSON *zones, ngx_http_ws_bus_zone_t *bus)
{
    char    name[128];
    cJSON  *item;

    item = cJSON_CreateObject();

    if (!cJSON_AddItemToArray(zones, item)) {
        cJSON_Delete(item);
        return NULL;
    }

    *ngx_snprintf((u_char *) name, sizeof(name) - 1, "%V", &bus->name) = '\0';

    return cJSON_AddStringToObject(item, "name", name) ? item : NULL;
}


static ngx_int_t
ngx_http_ws_bus_status_zone(cJSON *zones, ngx_http_ws_bus_zone_t *bus)
{
    cJSON       *item;
    char         name[16];
    uint64_t     head, oldest, totals[WSB_COUNTERS];
    wsb_zone_t  *zone;

    zone = bus->zone;

    item = ngx_http_ws_bus_status_item(zones, bus);

    *ngx_sprintf((u_char *) name, "%012xL", zone->epoch) = '\0';

    if (cJSON_AddStringToObject(item, "epoch", name) == NULL) {
        return NGX_ERROR;
    }

    oldest = wsb_log_oldest(&zone->log);
    head = wsb_log_head(&zone->log);
    ngx_memcpy(totals, zone->past, sizeof(totals));

    if (ngx_http_ws_bus_status_add(item, "size", bus->size) != NGX_OK
        || ngx_http_ws_bus_status_add(item, "history", zone->history) != NGX_OK
        || ngx_http_ws_bus_status_add(item, "used", wsb_log_used(&zone->log))
           != NGX_OK
        || ngx_http_ws_bus_status_add(item, "chunks", zone->nchunks) != NGX_OK
        || ngx_http_ws_bus_status_add(item, "chunks_free",
                                      wsb_chunk_count_free(zone))
           != NGX_OK
        || ngx_http_ws_bus_status_add_id(item, "first_id", zone->epoch,
                                         head >= oldest ? oldest : 0)
           != NGX_OK
        || ngx_http_ws_bus_status_add_id(item, "last_id", zone->epoch, head)
           != NGX_OK
        || ngx_http_ws_bus_status_add(item, "mutations_under_way",
                                      ngx_http_ws_bus_status_underway(zone))
           != NGX_OK
        || ngx_http_ws_bus_status_add(item, "resyncs", zone->resyncs) != NGX_OK
        || ngx_http_ws_bus_status_workers(item, bus, totals) != NGX_OK
        || ngx_http_ws_bus_status_totals(item, bus, totals, head) != NGX_OK
        || ngx_http_ws_bus_status_captures(item, bus) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_status_filters(item, bus, NULL);
}


static ngx_int_t
ngx_http_ws_bus_status_workers(cJSON *zone, ngx_http_ws_bus_zone_t *bus,
    uint64_t *totals)
{
    cJSON       *workers;
    unsigned     i, k;
    wsb_slot_t  *slot;

    workers = cJSON_AddArrayToObject(zone, "workers");

    for (i = wsb_zone_next(bus->zone, 0);
         i < WSB_SLOTS;
         i = wsb_zone_next(bus->zone, i + 1))
    {
        slot = wsb_zone_slot(bus->zone, i);

        if (slot->pid == 0) {
            continue;
        }

        if (ngx_http_ws_bus_status_worker(workers, bus, slot) != NGX_OK) {
            return NGX_ERROR;
        }

        for (k = 0; k < bus->counters->n; k++) {

            if (bus->counters->row[k]->kind == NGX_HTTP_WS_BUS_COUNTER_MAX) {
                totals[k] = ngx_max(totals[k], slot->counters[k]);

            } else {
                totals[k] += slot->counters[k];
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_status_worker(cJSON *workers, ngx_http_ws_bus_zone_t *bus,
    wsb_slot_t *slot)
{
    cJSON     *item;
    unsigned   i;
    uint64_t   head, cursor, filters;

    head = wsb_log_head(&bus->zone->log);
    cursor = slot->cursor;
    filters = 0;

    for (i = 0; i < WSB_MASKS; i++) {
        filters += slot->nmask[i];
    }

    /* with nothing pending, whatever is newer concerns nobody there */

    if (slot->pending_from == 0 || cursor > head) {
        cursor = head;
    }

    item = cJSON_CreateObject();

    if (!cJSON_AddItemToArray(workers, item)) {
        cJSON_Delete(item);
        return NGX_ERROR;
    }

    if (ngx_http_ws_bus_status_add(item, "pid", slot->pid) != NGX_OK
        || ngx_http_ws_bus_status_add(item, "generation", slot->generation)
           != NGX_OK
        || cJSON_AddBoolToObject(item, "draining", slot->draining != 0)
           == NULL
        || ngx_http_ws_bus_status_add(item, "filters", filters) != NGX_OK
        || ngx_http_ws_bus_status_add(item, "lag", head - cursor) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_status_counters(item, bus->counters,
                                           slot->counters,
                                           NGX_HTTP_WS_BUS_COUNTER_WORKERS);
}


static ngx_int_t
ngx_http_ws_bus_status_totals(cJSON *zone, ngx_http_ws_bus_zone_t *bus,
    const uint64_t *totals, uint64_t head)
{
    cJSON  *item;

    item = cJSON_AddObjectToObject(zone, "totals");

    if (ngx_http_ws_bus_status_add(item, "events", head) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_status_counters(item, bus->counters, totals,
                                           NGX_HTTP_WS_BUS_COUNTER_TOTALS);
}


/* Those that the rooms have registered to be shown here. */

static ngx_int_t
ngx_http_ws_bus_status_counters(cJSON *object,
    const ngx_http_ws_bus_counters_t *counters, const uint64_t *n,
    ngx_uint_t shown)
{
    double                            value;
    ngx_uint_t                        i;
    const ngx_http_ws_bus_counter_t  *row;

    for (i = 0; i < counters->n; i++) {
        row = counters->row[i];

        if (!(row->shown & shown)) {
            continue;
        }

        value = (double) n[i];

        if (row->kind == NGX_HTTP_WS_BUS_COUNTER_MAX) {
            value /= 1000;
        }

        if (cJSON_AddNumberToObject(object, row->name, value) == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static uint64_t
ngx_http_ws_bus_status_underway(const wsb_zone_t *zone)
{
    unsigned  i;
    uint64_t  n;

    n = 0;

    for (i = wsb_zone_next(zone, 0);
         i < WSB_SLOTS;
         i = wsb_zone_next(zone, i + 1))
    {
        n += wsb_zone_slot(zone, i)->underway;
    }

    return n;
}


static ngx_int_t
ngx_http_ws_bus_status_captures(cJSON *zone, ngx_http_ws_bus_zone_t *bus)
{
    char            name[WSB_CAPTURE_NAME + 1];
    cJSON          *captures, *item;
    ngx_uint_t      i;
    wsb_capture_t  *c;

    captures = cJSON_AddArrayToObject(zone, "captures");

    for (i = 0; i < WSB_CAPTURES; i++) {
        c = &bus->zone->captures[i];

        if (c->len == 0 || c->len > WSB_CAPTURE_NAME) {
            break;
        }

        ngx_memcpy(name, c->name, c->len);
        name[c->len] = '\0';

        item = cJSON_CreateObject();

        if (!cJSON_AddItemToArray(captures, item)) {
            cJSON_Delete(item);
            return NGX_ERROR;
        }

        if (cJSON_AddStringToObject(item, "location", name) == NULL
            || ngx_http_ws_bus_status_add(item, "events", c->count) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Every function of cJSON takes a NULL for an object, and returns NULL. */

static ngx_int_t
ngx_http_ws_bus_status_add(cJSON *object, const char *name, uint64_t n)
{
    return cJSON_AddNumberToObject(object, name, (double) n) ? NGX_OK
                                                             : NGX_ERROR;
}


static ngx_int_t
ngx_http_ws_bus_status_add_id(cJSON *object, const char *name, uint64_t epoch,
    uint64_t seq)
{
    u_char  id[WSB_ID_LEN + 1];

    if (seq == 0) {
        return cJSON_AddNullToObject(object, name) ? NGX_OK : NGX_ERROR;
    }

    id[wsb_id(id, epoch, seq)] = '\0';

    return cJSON_AddStringToObject(object, name, (char *) id) ? NGX_OK
                                                              : NGX_ERROR;
}

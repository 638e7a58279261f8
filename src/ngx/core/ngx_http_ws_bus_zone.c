/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Zones: declared in the configuration, laid out once in shared memory, and
 * the same memory from reload to reload.
 */

#include "ngx_http_ws_bus_core.h"

#include <sys/random.h>


static ngx_http_ws_bus_zone_t *ngx_http_ws_bus_zone_find(ngx_conf_t *cf,
    ngx_str_t *name);
static char *ngx_http_ws_bus_zone_parameters(ngx_conf_t *cf,
    ngx_http_ws_bus_zone_t *bus);
static char *ngx_http_ws_bus_zone_size(ngx_conf_t *cf, ngx_str_t *param,
    ngx_str_t *name, size_t *size);
static char *ngx_http_ws_bus_zone_same_size(ngx_conf_t *cf,
    ngx_http_ws_bus_zone_t *bus);
static ngx_int_t ngx_http_ws_bus_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_http_ws_bus_zone_reuse(ngx_http_ws_bus_zone_t *bus,
    ngx_log_t *log);


char *
ngx_http_ws_bus_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_zone_t  *bus, written;

    ngx_memzero(&written, sizeof(ngx_http_ws_bus_zone_t));

    written.idempotency = NGX_CONF_UNSET_SIZE;

    if (ngx_http_ws_bus_zone_parameters(cf, &written) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (written.history == 0) {
        /* with the index of last rows it is three quarters of the zone */
        written.history = written.size / 4 * 3;
        written.history -= wsb_last_size(written.history)
                           + wsb_version_size(written.history);
    }

    if (written.history > written.size - written.size / 8) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "history of zone \"%V\" in \"ws_bus_zone\" is too "
                           "large: it must leave an eighth of the zone to "
                           "the subscriptions, so write at most "
                           "\"history=%uzk\"", &written.name,
                           (written.size - written.size / 8) / 1024);
        return NGX_CONF_ERROR;
    }

    bus = ngx_http_ws_bus_zone_get(cf, &written.name);
    if (bus == NULL) {
        return NGX_CONF_ERROR;
    }

    if (bus->declared) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" in \"ws_bus_zone\" is already "
                           "declared: give this one another name",
                           &written.name);
        return NGX_CONF_ERROR;
    }

    bus->declared = 1;
    bus->size = written.size;
    bus->history = written.history & ~(size_t) 7;
    bus->idempotency = written.idempotency;

    if (bus->idempotency == NGX_CONF_UNSET_SIZE) {
        /* 4,096 take 160 KB: a small zone needs them for its subscriptions */
        bus->idempotency = bus->size < 8 * 1024 * 1024 ? 512 : 4096;
    }

    if (ngx_http_ws_bus_zone_same_size(cf, bus) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    bus->shm_zone = ngx_shared_memory_add(cf, &bus->name, bus->size,
                                          &ngx_http_ws_bus_module);
    if (bus->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    bus->shm_zone->init = ngx_http_ws_bus_zone_init;
    bus->shm_zone->data = bus;

    return NGX_CONF_OK;
}


/* What is written: in the directive's own words, defaults not filled in. */

static char *
ngx_http_ws_bus_zone_parameters(ngx_conf_t *cf, ngx_http_ws_bus_zone_t *bus)
{
    ngx_int_t    idem;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0) {

            if (bus->name.len != 0) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "a second zone \"%V\" in \"ws_bus_zone\": "
                                   "write a directive for each", &value[i]);
                return NGX_CONF_ERROR;
            }

            if (ngx_http_ws_bus_zone_size(cf, &value[i], &bus->name,
                                          &bus->size)
                != NGX_CONF_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "history=", 8) == 0) {
            s.data = value[i].data + 8;
            s.len = value[i].len - 8;

            bus->history = ngx_parse_size(&s);

            if (bus->history == (size_t) NGX_ERROR
                || bus->history < WSB_LOG_MIN)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid history \"%V\" in "
                                   "\"ws_bus_zone\": write a size of at "
                                   "least 64k, such as \"history=48m\"", &s);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "idempotency=", 12) == 0) {
            idem = ngx_atoi(value[i].data + 12, value[i].len - 12);

            if (idem == NGX_ERROR || idem > 1024 * 1024) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid parameter \"%V\" in "
                                   "\"ws_bus_zone\": write a number of keys "
                                   "from 0 to 1048576, such as "
                                   "\"idempotency=4096\"", &value[i]);
                return NGX_CONF_ERROR;
            }

            bus->idempotency = idem;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"ws_bus_zone\": "
                           "write \"zone=name:size [history=size] "
                           "[idempotency=number]\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    if (bus->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ws_bus_zone\" without a zone: write "
                           "\"zone=name:size\", such as "
                           "\"zone=events:64m\"");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_zone_size(ngx_conf_t *cf, ngx_str_t *param, ngx_str_t *name,
    size_t *size)
{
    u_char     *p;
    ssize_t     n;
    ngx_str_t   s;

    name->data = param->data + 5;

    p = (u_char *) ngx_strchr(name->data, ':');

    if (p == NULL || p == name->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone \"%V\" in \"ws_bus_zone\": write "
                           "\"zone=name:size\", such as "
                           "\"zone=events:64m\"", param);
        return NGX_CONF_ERROR;
    }

    name->len = p - name->data;

    s.data = p + 1;
    s.len = param->data + param->len - s.data;

    n = ngx_parse_size(&s);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone size \"%V\" in \"ws_bus_zone\": "
                           "write a size such as \"64m\"", &s);
        return NGX_CONF_ERROR;
    }

    if (n < WSB_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" in \"ws_bus_zone\" is too small: "
                           "write a size of at least 1m", name);
        return NGX_CONF_ERROR;
    }

    *size = n;

    return NGX_CONF_OK;
}


/*
 * nginx would give a zone of another size fresh memory, without a word: the
 * history would be gone, and events of the old workers would not reach the
 * new ones.
 */

static char *
ngx_http_ws_bus_zone_same_size(ngx_conf_t *cf, ngx_http_ws_bus_zone_t *bus)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *shm_zone;
    ngx_list_part_t  *part;

    if (cf->cycle->old_cycle == NULL) {
        return NGX_CONF_OK;
    }

    part = &cf->cycle->old_cycle->shared_memory.part;
    shm_zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            shm_zone = part->elts;
            i = 0;
        }

        if (shm_zone[i].tag != &ngx_http_ws_bus_module
            || shm_zone[i].shm.name.len != bus->name.len
            || ngx_strncmp(shm_zone[i].shm.name.data, bus->name.data,
                           bus->name.len)
               != 0)
        {
            continue;
        }

        if (shm_zone[i].shm.size != bus->size) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"ws_bus_zone\" cannot change the size of "
                               "zone \"%V\" from %uz to %uz on a reload: "
                               "restart nginx, or keep the size",
                               &bus->name, shm_zone[i].shm.size, bus->size);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


ngx_http_ws_bus_zone_t *
ngx_http_ws_bus_zone_get(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_str_t                    *directive;
    ngx_http_ws_bus_zone_t       *bus, **p;
    ngx_http_ws_bus_main_conf_t  *wmcf;

    bus = ngx_http_ws_bus_zone_find(cf, name);
    if (bus != NULL) {
        return bus;
    }

    directive = cf->args->elts;

    if (ngx_strcmp(name->data, "on") == 0
        && ngx_strcmp(directive->data, "ws_bus_zone") != 0)
    {
        /* else a zone of that name would be proposed */
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" needs the name of a zone, not \"on\": "
                           "that of a \"ws_bus_zone\", such as \"events\" "
                           "of \"ws_bus_zone zone=events:64m;\"", directive);
        return NULL;
    }

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ws_bus_module);

    bus = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_zone_t));
    if (bus == NULL) {
        return NULL;
    }

    p = ngx_array_push(&wmcf->zones);
    if (p == NULL) {
        return NULL;
    }

    *p = bus;

    /* where it is first named, in case it is declared nowhere */

    bus->name = *name;
    bus->counters = &wmcf->counters;
    bus->file = cf->conf_file->file.name.data;
    bus->line = cf->conf_file->line;

    return bus;
}


static ngx_http_ws_bus_zone_t *
ngx_http_ws_bus_zone_find(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                     i;
    ngx_http_ws_bus_zone_t       **bus;
    ngx_http_ws_bus_main_conf_t   *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ws_bus_module);
    bus = wmcf->zones.elts;

    for (i = 0; i < wmcf->zones.nelts; i++) {
        if (bus[i]->name.len == name->len
            && ngx_strncmp(bus[i]->name.data, name->data, name->len) == 0)
        {
            return bus[i];
        }
    }

    return NULL;
}


char *
ngx_http_ws_bus_zone_check_all(ngx_conf_t *cf,
    ngx_http_ws_bus_main_conf_t *wmcf)
{
    ngx_uint_t                i;
    ngx_http_ws_bus_zone_t  **bus;

    bus = wmcf->zones.elts;

    for (i = 0; i < wmcf->zones.nelts; i++) {
        if (!bus[i]->declared) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown ws_bus zone \"%V\": declare it by "
                          "\"ws_bus_zone zone=%V:64m;\" in the http block; "
                          "it is named in %s:%ui",
                          &bus[i]->name, &bus[i]->name,
                          bus[i]->file, bus[i]->line);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/*
 * Runs in the master, before there are workers of this cycle; on a reload the
 * workers of the old one are using the zone meanwhile.
 */

static ngx_int_t
ngx_http_ws_bus_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    void                    *mem;
    size_t                   size, len;
    uint64_t                 epoch;
    u_char                   key[16];
    ngx_http_ws_bus_zone_t  *bus;

    bus = shm_zone->data;
    bus->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data != NULL || shm_zone->shm.exists) {
        return ngx_http_ws_bus_zone_reuse(bus, shm_zone->shm.log);
    }

    len = sizeof(" in ws_bus zone \"\"") + shm_zone->shm.name.len;

    bus->shpool->log_ctx = ngx_slab_alloc(bus->shpool, len);
    if (bus->shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(bus->shpool->log_ctx, " in ws_bus zone \"%V\"%Z",
                &shm_zone->shm.name);

    /* all that is left, in one piece: nothing is allocated after this */

    size = bus->shpool->pfree * ngx_pagesize;
    mem = ngx_slab_alloc(bus->shpool, size);

    if (mem == NULL
        || getrandom(&epoch, sizeof(epoch), 0) != sizeof(epoch)
        || getrandom(key, sizeof(key), 0) != sizeof(key))
    {
        return NGX_ERROR;
    }

    if (wsb_zone_init(mem, size, bus->history, bus->idempotency, epoch, key)
        != WSB_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "ws_bus zone \"%V\" is too small for a history of %uz "
                      "and %uz idempotency keys: make the zone larger, or "
                      "these smaller",
                      &bus->name, bus->history, bus->idempotency);
        return NGX_ERROR;
    }

    bus->zone = mem;
    bus->zone->kept = ngx_http_ws_bus_counter_kept(bus->counters);
    bus->zone->counted = ngx_http_ws_bus_counter_digest(bus->counters);

    bus->shpool->data = mem;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_zone_reuse(ngx_http_ws_bus_zone_t *bus, ngx_log_t *log)
{
    wsb_zone_t  *zone;

    zone = bus->shpool->data;

    if (zone == NULL || !wsb_zone_valid(zone)
        || zone->counted != ngx_http_ws_bus_counter_digest(bus->counters))
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "ws_bus zone \"%V\" was laid out by another version of "
                      "the module: restart nginx, a reload cannot change it",
                      &bus->name);
        return NGX_ERROR;
    }

    if (zone->history != bus->history
        || wsb_zone_idem(zone)->n != bus->idempotency)
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "\"ws_bus_zone\" cannot change the history of zone "
                      "\"%V\" from %uL to %uz, or its idempotency keys from "
                      "%uD to %uz, on a reload: restart nginx, or keep them",
                      &bus->name, zone->history, bus->history,
                      wsb_zone_idem(zone)->n, bus->idempotency);
        return NGX_ERROR;
    }

    bus->zone = zone;

    return NGX_OK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Health: may this nginx be sent clients?
 *
 * Each worker answers for itself: a probe that reaches one without a slot
 * fails, as its clients would.  Who asks with "?live" wants to know only
 * whether a worker runs its event loop; that it answers says so.
 */

#include "ngx_http_ws_bus_status.h"


static ngx_int_t ngx_http_ws_bus_status_health_reasons(ngx_http_request_t *r,
    cJSON *reasons);
static ngx_int_t ngx_http_ws_bus_status_health_add(cJSON *reasons,
    const char *code, ngx_str_t *zone, const char *meaning);


ngx_int_t
ngx_http_ws_bus_status_health(ngx_http_request_t *r)
{
    char        *text;
    cJSON       *root, *reasons;
    size_t       len;
    u_char      *data;
    ngx_int_t    rc;
    ngx_uint_t   live, ready;

    live = (r->args.len == 4 && ngx_strncmp(r->args.data, "live", 4) == 0);

    root = cJSON_CreateObject();
    reasons = cJSON_AddArrayToObject(root, "reasons");

    rc = reasons == NULL ? NGX_ERROR
         : live ? NGX_OK
         : ngx_http_ws_bus_status_health_reasons(r, reasons);

    ready = cJSON_GetArraySize(reasons) == 0;
    text = NULL;
    data = NULL;
    len = 0;

    if (rc == NGX_OK
        && cJSON_AddStringToObject(root, "status", live ? "live"
                                   : ready ? "ready" : "not ready"))
    {
        text = cJSON_PrintUnformatted(root);
    }

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

    return ngx_http_ws_bus_http_send_body(r, ready
                                          ? NGX_HTTP_OK
                                          : NGX_HTTP_SERVICE_UNAVAILABLE,
                                          "application/json", data, len);
}


/* An old worker after a reload is no reason: new ones serve clients. */

static ngx_int_t
ngx_http_ws_bus_status_health_reasons(ngx_http_request_t *r, cJSON *reasons)
{
    ngx_uint_t                     i;
    ngx_http_ws_bus_zone_t       **bus;
    ngx_http_ws_bus_main_conf_t   *wmcf;

    if (ngx_exiting && !ngx_http_ws_bus_worker_succeeded()
        && ngx_http_ws_bus_status_health_add(reasons, "draining", NULL,
                                             "nginx is shutting down")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_ws_bus_module);
    bus = wmcf->zones.elts;

    for (i = 0; i < wmcf->zones.nelts; i++) {

        if (bus[i]->worker != NULL && bus[i]->worker->slot != -1) {
            continue;
        }

        if (ngx_http_ws_bus_status_health_add(reasons, "no_slot",
                                              &bus[i]->name,
                                              "this worker has no slot in the "
                                              "zone and refuses its clients")
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_status_health_add(cJSON *reasons, const char *code,
    ngx_str_t *zone, const char *meaning)
{
    char    name[128];
    cJSON  *item;

    item = cJSON_CreateObject();

    if (!cJSON_AddItemToArray(reasons, item)) {
        cJSON_Delete(item);
        return NGX_ERROR;
    }

    if (zone != NULL) {
        *ngx_snprintf((u_char *) name, sizeof(name) - 1, "%V", zone) = '\0';

        if (cJSON_AddStringToObject(item, "zone", name) == NULL) {
            return NGX_ERROR;
        }
    }

    return cJSON_AddStringToObject(item, "code", code)
           && cJSON_AddStringToObject(item, "message", meaning)
           ? NGX_OK : NGX_ERROR;
}

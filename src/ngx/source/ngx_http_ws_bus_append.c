/*
 * The one way into the log.
 */

#include "ngx_http_ws_bus_source.h"


wsb_rc_t
ngx_http_ws_bus_append(ngx_http_ws_bus_zone_t *bus,
    wsb_batch_t *batch, const wsb_request_t *req, wsb_appended_t *appended)
{
    uint64_t     msec;
    wsb_rc_t     rc;
    ngx_time_t  *tp;

    tp = ngx_timeofday();
    msec = (uint64_t) tp->sec * 1000 + tp->msec;

    ngx_shmtx_lock(&bus->shpool->mutex);
    rc = wsb_append_locked(bus->zone, batch, msec, req, appended);
    ngx_shmtx_unlock(&bus->shpool->mutex);

    if (rc != WSB_OK) {
        return rc;
    }

    ngx_http_ws_bus_wake(bus, appended);

    return WSB_OK;
}

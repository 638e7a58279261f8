/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A client's command to a topic: an action from client to clients, which no
 * backend sees but in a hook.
 */

#include "ngx_http_ws_bus_call.h"


typedef struct {
    ngx_http_ws_bus_done_t       done;
    wsb_rc_t                     rc;
} ngx_http_ws_bus_command_t;


static void ngx_http_ws_bus_command_done(ngx_http_ws_bus_done_t *done,
    wsb_rc_t rc, const wsb_appended_t *appended);


ngx_int_t
ngx_http_ws_bus_command(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result)
{
    wsb_batch_t                 batch;
    wsb_problem_t               problem;
    wsb_op_request_t           *req;
    wsb_publish_conf_t          conf;
    ngx_http_ws_bus_client_t   *wc;
    ngx_http_ws_bus_command_t   command;

    static const wsb_str_t  refused =
                  wsb_string("The action could not be published: try again");

    wc = ask->kept->client;
    req = &ask->kept->op.request;

    wsb_result_init(result);

    ngx_memzero(&batch, sizeof(wsb_batch_t));
    ngx_memzero(&conf, sizeof(wsb_publish_conf_t));

    wsb_zone_batch(ask->bus->zone, &conf.batch);

    conf.bare = 1;
    conf.topic = req->topic;

    if (wc->tenant.len != 0) {
        conf.tenant.data = wc->tenant.data;
        conf.tenant.len = wc->tenant.len;
    }

    if (wsb_publish_parse(&batch, WSB_FORMAT_JSON, req->data, &conf, &problem)
        != WSB_OK)
    {
        wsb_batch_done(&batch);

        result->code = "validation_error";
        result->text.data = ask->text;
        result->text.len = ngx_snprintf(ask->text, sizeof(ask->text),
                                        "Invalid action format: %s",
                                        problem.detail)
                           - ask->text;
        return NGX_DECLINED;
    }

    command.done.handler = ngx_http_ws_bus_command_done;

    ngx_http_ws_bus_append_submit(ask->bus, &batch, NULL, NULL,
                                  &command.done);
    wsb_batch_done(&batch);

    if (command.rc == WSB_OK) {
        return NGX_OK;
    }

    result->code = "create_error";
    result->text = refused;

    return NGX_DECLINED;
}


static void
ngx_http_ws_bus_command_done(ngx_http_ws_bus_done_t *done, wsb_rc_t rc,
    const wsb_appended_t *appended)
{
    ngx_http_ws_bus_command_t  *command;

    command = (ngx_http_ws_bus_command_t *) done;

    command->rc = rc;
}

#include "wsb_codec.h"

#include <stdarg.h>
#include <stdio.h>


#define WSB_REFUSAL_MAX  512


const char *const  wsb_operation_names[] = {
    "read", "create", "update", "delete", "meta"
};


const char *
wsb_operation_error(wsb_operation_t operation)
{
    static const char *const  codes[] = {
        "read_error", "create_error", "update_error", "delete_error",
        "read_error"
    };

    return codes[operation];
}


void
wsb_result_init(wsb_result_t *result)
{
    memset(result, 0, sizeof(wsb_result_t));

    result->total = WSB_RESULT_NONE;
    result->count = WSB_RESULT_NONE;
    result->retry_after = WSB_RESULT_NONE;
}


void
wsb_op_refuse(wsb_op_t *op, const char *code, const char *fmt, ...)
{
    int       n;
    char      buf[WSB_REFUSAL_MAX];
    va_list   args;

    va_start(args, fmt);
    n = vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);

    if (n < 0) {
        n = 0;
    }

    op->type = WSB_OP_REFUSE;
    op->code = code;
    op->text.len = 0;

    wsb_text_add(&op->text, buf, (size_t) n < sizeof(buf) ? (size_t) n
                                                          : sizeof(buf) - 1);
}


void
wsb_op_not_found(wsb_op_t *op)
{
    op->type = WSB_OP_REFUSE;
    op->code = "not_found";
    op->text.len = 0;

    wsb_text_lit(&op->text, "Subscription ");
    wsb_text_str(&op->text, op->subscription);
    wsb_text_lit(&op->text, " not found");
}


void
wsb_op_done(wsb_op_t *op)
{
    wsb_free(op->filter.where);
    wsb_free(op->ignored);
    wsb_free(op->memory);
    wsb_text_done(&op->text);
    memset(op, 0, sizeof(wsb_op_t));
}

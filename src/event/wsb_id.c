#include "wsb_id.h"
#include "../json/wsb_text.h"


size_t
wsb_id(uint8_t *dst, uint64_t epoch, uint64_t seq)
{
    unsigned           i;
    static const char  hex[] = "0123456789abcdef";

    for (i = 0; i < WSB_EPOCH_LEN; i++) {
        dst[i] = hex[epoch >> (4 * (WSB_EPOCH_LEN - 1 - i)) & 15];
    }

    dst[WSB_EPOCH_LEN] = '-';

    return WSB_EPOCH_LEN + 1
           + wsb_text_digits(dst + WSB_EPOCH_LEN + 1, seq);
}


wsb_rc_t
wsb_id_parse(wsb_str_t s, uint64_t *epoch, uint64_t *seq)
{
    uint8_t   c;
    size_t    i;
    uint64_t  e, n;

    if (s.len < WSB_EPOCH_LEN + 2
        || s.len > WSB_ID_LEN
        || s.data[WSB_EPOCH_LEN] != '-')
    {
        return WSB_ERROR;
    }

    e = 0;

    for (i = 0; i < WSB_EPOCH_LEN; i++) {
        c = s.data[i];

        if (c >= '0' && c <= '9') {
            e = e << 4 | (c - '0');

        } else if (c >= 'a' && c <= 'f') {
            e = e << 4 | (c - 'a' + 10);

        } else {
            return WSB_ERROR;
        }
    }

    i = WSB_EPOCH_LEN + 1;

    if (s.data[i] == '0' && s.len != i + 1) {
        return WSB_ERROR;
    }

    n = 0;

    for ( /* void */ ; i < s.len; i++) {
        c = s.data[i];

        if (c < '0' || c > '9'
            || __builtin_mul_overflow(n, 10, &n)
            || __builtin_add_overflow(n, c - '0', &n))
        {
            return WSB_ERROR;
        }
    }

    if (n > WSB_SEQ_MAX) {
        return WSB_ERROR;
    }

    *epoch = e;
    *seq = n;

    return WSB_OK;
}

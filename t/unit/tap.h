/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Just enough TAP for the unit tests.  A test program calls ok() and the
 * like, and returns tap_done().
 */

#ifndef TAP_H
#define TAP_H


#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>


static unsigned  tap_count, tap_failed;


static inline int __attribute__((format(printf, 4, 5)))
tap_ok(int pass, const char *file, int line, const char *fmt, ...)
{
    va_list  args;

    tap_count++;
    printf("%sok %u - ", pass ? "" : "not ", tap_count);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n");

    if (!pass) {
        tap_failed++;
        printf("# failed at %s:%d\n", file, line);
    }

    fflush(stdout);

    return pass;
}


#define ok(pass, ...)                                                        \
    tap_ok(!!(pass), __FILE__, __LINE__, __VA_ARGS__)

#define is_uint(got, want, ...)                                              \
    do {                                                                     \
        uint64_t  g_ = (uint64_t) (got), w_ = (uint64_t) (want);             \
        if (!tap_ok(g_ == w_, __FILE__, __LINE__, __VA_ARGS__)) {            \
            printf("# got %llu, want %llu\n", (unsigned long long) g_,       \
                   (unsigned long long) w_);                                 \
        }                                                                    \
    } while (0)

/* bytes with a length against a C string */
#define is_bytes(got, len, want, ...)                                        \
    do {                                                                     \
        const char  *g_ = (const char *) (got), *w_ = (want);                \
        size_t  l_ = (len);                                                  \
        /* nothing may be NULL, which memcmp() may not be given */           \
        g_ = g_ ? g_ : "";                                                   \
        if (!tap_ok(l_ == strlen(w_) && memcmp(g_, w_, l_) == 0,             \
                    __FILE__, __LINE__, __VA_ARGS__)) {                      \
            printf("# got  %.*s\n# want %s\n", (int) l_, g_, w_);            \
        }                                                                    \
    } while (0)


static inline int
tap_done(void)
{
    printf("1..%u\n", tap_count);
    return tap_failed != 0;
}


#endif /* TAP_H */

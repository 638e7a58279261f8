/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Patterns of SQL's LIKE, over the whole of a text: % is any run, _ is one
 * code point, and a backslash takes the meaning of %, _ and of itself.  Before
 * anything else it is an ordinary character.
 *
 * A pattern is compiled to tokens, one byte each: WSB_LIKE_RUN, WSB_LIKE_ONE,
 * or a byte of the text.  Neither of the two is a byte of UTF-8.  Between two
 * other tokens there is at most one run, and it comes last, so that patterns
 * that match the same have the same tokens.
 *
 * Matching takes time in proportion to the text, whatever the pattern and the
 * text are: one pass for each 64 tokens.
 */

#ifndef WSB_LIKE_H
#define WSB_LIKE_H


#include "../json/wsb_text.h"


#define WSB_LIKE_PATTERN          256     /* tokens */

#define WSB_LIKE_RUN              0xff
#define WSB_LIKE_ONE              0xfe


/*
 * Returns how many tokens there are, not more than bytes of the pattern, in
 * whose place they may be written.  With `fold` the letters of ASCII match in
 * either case.
 */
size_t wsb_like_compile(uint8_t *tokens, wsb_str_t pattern, int fold);

/* Of at most WSB_LIKE_PATTERN tokens, with the fold they are compiled with. */
int wsb_like_match(wsb_str_t tokens, wsb_str_t text, int fold);

/*
 * In comparisons of short texts: 64 for each 64 tokens, if they have to be
 * searched for in the text, or else 1 for each 8.
 */
unsigned wsb_like_cost(wsb_str_t tokens);


#endif /* WSB_LIKE_H */

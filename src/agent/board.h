/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board of texts: one thread hangs up new ones, others take copies.
 *
 * Threading: any thread, under a lock that is held for a copy of a text at most.
 */
#ifndef AGENT_BOARD_H
#define AGENT_BOARD_H

#include <stdbool.h>
#include <stddef.h>

enum board_text { BOARD_METRICS, BOARD_STATUS, BOARD_TEXTS };

struct board;

/** board_create() - NULL when memory is short; no text hangs there yet */
struct board *board_create(void);
void board_destroy(struct board *b);
/** board_hang() - replace a text; @text is malloc'ed and taken over */
void board_hang(struct board *b, enum board_text which, char *text, size_t len);
/** board_copy() - a malloc'ed copy with its length; NULL when none hangs, or memory is short */
char *board_copy(struct board *b, enum board_text which, size_t *len);
/** board_set_healthy() / board_is_healthy() - all is as recorded */
void board_set_healthy(struct board *b, bool healthy);
bool board_is_healthy(struct board *b);

#endif

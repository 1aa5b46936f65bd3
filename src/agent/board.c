/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board of texts, see board.h.
 *
 * Threading: as board.h.
 */
#include "agent/board.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct board {
	pthread_mutex_t lock;
	char *text[BOARD_TEXTS];
	size_t len[BOARD_TEXTS];
	bool healthy;
};

struct board *board_create(void)
{
	struct board *b = calloc(1, sizeof(*b));

	if (b)
		pthread_mutex_init(&b->lock, NULL);
	return b;
}

void board_destroy(struct board *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < BOARD_TEXTS; i++)
		free(b->text[i]);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

void board_hang(struct board *b, enum board_text which, char *text, size_t len)
{
	char *old;

	pthread_mutex_lock(&b->lock);
	old = b->text[which];
	b->text[which] = text;
	b->len[which] = len;
	pthread_mutex_unlock(&b->lock);
	free(old);
}

char *board_copy(struct board *b, enum board_text which, size_t *len)
{
	char *copy;

	pthread_mutex_lock(&b->lock);
	*len = b->len[which];
	copy = b->text[which] ? malloc(*len + 1) : NULL;
	if (copy)
		memcpy(copy, b->text[which], *len);
	pthread_mutex_unlock(&b->lock);
	if (copy)
		copy[*len] = '\0';
	return copy;
}

void board_set_healthy(struct board *b, bool healthy)
{
	pthread_mutex_lock(&b->lock);
	b->healthy = healthy;
	pthread_mutex_unlock(&b->lock);
}

bool board_is_healthy(struct board *b)
{
	bool healthy;

	pthread_mutex_lock(&b->lock);
	healthy = b->healthy;
	pthread_mutex_unlock(&b->lock);
	return healthy;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repeated receiving and accepting, as far as both backends do it alike.
 *
 * Threading: the reactor's own thread.
 */
#ifndef REACTOR_RECV_H
#define REACTOR_RECV_H

#include <assert.h>

#include "reactor/internal.h"

/**
 * struct recv_state - a receiver, in struct reactor_recv's priv
 * @armed: the kernel (io_uring) or the table of descriptors (epoll) has it
 * @starving: in the queue of those that found no buffer
 * @stopping: reactor_recv_stop() was called; @stopped answers it
 */
struct recv_state {
	int fd;
	bool armed;
	bool starving;
	bool stopping;
	void (*stopped)(struct reactor_recv *recv);
	struct reactor_recv *starved_next;
	struct reactor_msg answer;
};

_Static_assert(sizeof(struct recv_state) <= sizeof(((struct reactor_recv *)0)->priv), "priv");

static inline struct recv_state *recv_state(struct reactor_recv *recv)
{
	return (struct recv_state *)(void *)recv->priv;
}

/** recv_starve() - queue @recv for a buffer */
void recv_starve(struct reactor *r, struct reactor_recv *recv);
/** recv_starved_take() - the first in the queue leaves it; NULL when there is none */
struct reactor_recv *recv_starved_take(struct reactor *r);
/**
 * recv_stop_begin() - note a stop
 *
 * Return: true when the backend has to disarm it and call recv_stopped() then; else the answer is
 * under way.
 */
bool recv_stop_begin(struct reactor *r, struct reactor_recv *recv,
		     void (*stopped)(struct reactor_recv *recv));
void recv_stopped(struct reactor_recv *recv);
/** recv_end() - tell end of stream or an error, the last there is to tell; answers a stop too */
void recv_end(struct reactor_recv *recv, int32_t result);

/**
 * struct accept_state - a listening socket, in struct reactor_accept's priv
 * @armed: as in struct recv_state
 * @retry: runs after an error
 */
struct accept_state {
	int fd;
	bool armed;
	bool stopping;
	void (*arm)(struct reactor *r, struct reactor_accept *accept);
	void (*stopped)(struct reactor_accept *accept);
	struct reactor_timer retry;
	struct reactor_msg answer;
};

_Static_assert(sizeof(struct accept_state) <= sizeof(((struct reactor_accept *)0)->priv), "priv");

static inline struct accept_state *accept_state(struct reactor_accept *accept)
{
	return (struct accept_state *)(void *)accept->priv;
}

void accept_start(struct reactor *r, struct reactor_accept *accept, int fd,
		  void (*arm)(struct reactor *r, struct reactor_accept *accept));
/** accept_result() - a descriptor or an errno; @armed says already whether more will come */
void accept_result(struct reactor *r, struct reactor_accept *accept, int32_t result);
/** accept_stop_begin() - as recv_stop_begin(), answered through accept_result() */
bool accept_stop_begin(struct reactor_accept *accept,
		       void (*stopped)(struct reactor_accept *accept));

#endif

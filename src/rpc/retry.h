/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods that need what a program just killed may still have: the kernel's io_uring keeps its
 * files with their locks, and its listening sockets, some milliseconds longer. Without another try
 * a target that is started again at once would fail by its own predecessor.
 *
 * Threading: reactor 0.
 */
#ifndef RPC_RETRY_H
#define RPC_RETRY_H

#include "reactor/reactor.h"
#include "rpc/rpc.h"

struct rpc_retry;
typedef void rpc_retry_fn(struct rpc_retry *r);

/** struct rpc_retry - a call on its way, in the arena of its request */
struct rpc_retry {
	struct rpc_request *req;
	void *params;
	rpc_retry_fn *attempt;
	uint64_t until_ns;
	struct reactor_timer timer;
};

/** rpc_retry_start() - @attempt is called now; it answers @r->req, or calls rpc_retry_later() */
void rpc_retry_start(struct rpc_request *req, void *params, rpc_retry_fn *attempt);
/**
 * rpc_retry_later() - what is needed is not free
 *
 * Return: true: @attempt is called again in 20 ms. false: a second has passed, nobody waits for the
 * answer, or the target leaves: answer the refusal.
 */
bool rpc_retry_later(struct rpc_retry *r);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket in the file system, and the lock beside it.
 *
 * Threading: called at start and at the end.
 */
#ifndef RPC_SOCKET_H
#define RPC_SOCKET_H

#include "base/error.h"

/**
 * struct rpc_socket - a listening socket, and the lock that says that it is ours
 * @path, @lock_path: as they were given, so relative to the directory at the start
 */
struct rpc_socket {
	char *path;
	char *lock_path;
	int fd;
	int lock;
};

/** rpc_socket_open() - see rpc_server_open(); non-blocking, mode 0600 */
int rpc_socket_open(struct rpc_socket *s, const char *path, struct error *err);
/** rpc_socket_close() - remove both files, then let go of the lock */
void rpc_socket_close(struct rpc_socket *s);

#endif

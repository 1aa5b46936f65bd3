/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who listens on a UNIX socket.
 *
 * The kernel takes connections on the socket of a killed process until it has taken down the
 * io_uring that holds it: under load that takes seconds. Whoever connects then is hung up on
 * without an answer, and must not believe that a server runs.
 *
 * Threading: pure functions of the system.
 */
#ifndef BASE_LISTENER_H
#define BASE_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * listener_is_stale() - the process that made the socket listen has ended
 * @fd: connected to it
 * @since: stale is also one that began before this process; 0: it does not matter
 *
 * Return: false also where that cannot be told: it lives in another pid namespace, /proc hides it.
 */
bool listener_is_stale(int fd, pid_t since);

#endif

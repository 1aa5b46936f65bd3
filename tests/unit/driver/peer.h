/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted target for tests of the client: a thread that does with each connection what its
 * script says.
 *
 * Threading: scripts run in the peer's thread, all else in the test's.
 */
#ifndef TESTS_DRIVER_PEER_H
#define TESTS_DRIVER_PEER_H

#include <pthread.h>
#include <stddef.h>

#include "driver/client.h"

typedef void (*peer_script)(int fd);

/**
 * struct peer - a scripted target, and a client that is connected to it
 * @scripts: what it does with each connection, in order; ends with NULL
 * @accepted: connections so far
 */
struct peer {
	char dir[64], path[96];
	int listener;
	_Atomic int accepted;
	pthread_t thread;
	peer_script scripts[3];
	struct loop *loop;
	struct client *client;
};

extern struct peer peer;

/** peer_start() - fill @peer; @second: NULL for one connection only */
void peer_start(peer_script first, peer_script second);
/** peer_stop() - after every test */
void peer_stop(void);

/** peer_take() - take what was sent in one go, whatever it is */
void peer_take(int fd);
void peer_say(int fd, const char *text);
void peer_say_bytes(int fd, const char *text, size_t len);
void peer_wait_for_close(int fd);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server with a few methods on a reactor of its own thread; the test is its client.
 *
 * Methods: "level" answers "NOTICE"; "echo" its text; "later" true after ms; "big" a string of so
 * many bytes; "never" waits until its client is gone.
 *
 * Threading: cmocka's assertions belong to the test's main thread, which is the client's.
 */
#ifndef TESTS_UNIT_RPC_SERVER_UNIT_H
#define TESTS_UNIT_RPC_SERVER_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "rpc/rpc.h"
#include "rpc/server.h"

/* How long a test waits for what must come; it fails by it, it never passes by it. */
#define UNIT_PATIENCE_MS 20000

#define LEVEL(id)  "{\"jsonrpc\":\"2.0\",\"method\":\"level\",\"id\":" id "}"
#define NOTICE(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":\"NOTICE\"}"

#define assert_text_has(text, part)                                                                \
	do {                                                                                       \
		if (!strstr(text, part))                                                           \
			fail_msg("'%s' lacks '%s'", text, part);                                   \
	} while (0)

/* Calls of "big", and of "never" whose client is gone. */
extern atomic_uint unit_bigs;
extern atomic_uint unit_gone;

/** unit_setup(), unit_teardown() - cmocka's: a server with the default limits */
int unit_setup(void **state);
int unit_teardown(void **state);
/** unit_start() - a server with limits of the test's own */
void unit_start(const struct rpc_server_limits *limits);
void unit_stop(void);
/** unit_path() - of the socket */
const char *unit_path(void);

/** unit_connect() - a client's socket, blocking, with UNIT_PATIENCE_MS */
int unit_connect(void);
void unit_send(int fd, const char *text);
void unit_send_bytes(int fd, const void *data, size_t len);
/** unit_lines() - receive until there are @count lines; in a static buffer */
const char *unit_lines(int fd, unsigned int count);
/** unit_rest() - receive until the server hangs up; in a static buffer */
const char *unit_rest(int fd);
/** unit_exchange() - on a connection of its own: send, end our side, receive everything */
const char *unit_exchange(const char *text);

#endif

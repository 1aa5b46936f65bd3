/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends of a connection for a test: by default both are streams on reactor 0. With
 * CYBORG_SPDK_TEST_TLS in the environment they speak TLS, so that a test of streams is one of TLS.
 *
 * Threading: reactor 0.
 */
#ifndef TESTS_UNIT_NET_NET_UNIT_H
#define TESTS_UNIT_NET_NET_UNIT_H

#include <stdlib.h>

#include "../reactor/reactor_unit.h"
#include "net/net.h"
#include "net/tls.h"

/**
 * struct unit_pair - a listener and both ends of one connection through it
 * @ready: called when both ends are there, not attached
 */
struct unit_pair {
	struct net_listener *listener;
	struct net_connect connect;
	struct net_stream *client;
	struct net_stream *server;
	void (*ready)(struct unit_pair *pair);
};

#define UNIT_IDENTITY "NVMe0R01 host subsystem"

/** unit_key() - for UNIT_IDENTITY; @len: 32 or 48 */
static inline void unit_key(struct net_tls_key *key, uint8_t len)
{
	memset(key, 0, sizeof(*key));
	key->len = len;
	for (uint8_t i = 0; i < len; i++)
		key->bytes[i] = (uint8_t)(i * 3 + 1);
}

static inline bool unit_find_key(void *arg, const char *identity, struct net_tls_key *key)
{
	unit_key(key, arg ? 48 : 32);
	return strcmp(identity, UNIT_IDENTITY) == 0;
}

static inline bool unit_is_tls(void)
{
	return getenv("CYBORG_SPDK_TEST_TLS") != NULL;
}

static inline void unit_secure(struct unit_pair *pair)
{
	struct net_tls_key key;

	unit_key(&key, 32);
	assert_int_equal(net_stream_tls_connect(pair->client, UNIT_IDENTITY, &key), 0);
	assert_int_equal(net_stream_tls_accept(pair->server, unit_find_key, NULL), 0);
}

static inline void unit_listener_gone(void *user)
{
	struct unit_pair *pair = user;

	if (unit_is_tls())
		unit_secure(pair);
	pair->ready(pair);
}

static inline void unit_pair_check(struct unit_pair *pair)
{
	if (pair->client && pair->server)
		net_listener_close(pair->listener, unit_listener_gone);
}

static inline void unit_pair_accepted(struct net_listener *listener, void *user,
				      struct net_stream *stream)
{
	struct unit_pair *pair = user;

	(void)listener;
	assert_null(pair->server);
	pair->server = stream;
	unit_pair_check(pair);
}

static inline void unit_pair_connected(struct net_connect *connect, int result)
{
	struct unit_pair *pair = container_of(connect, struct unit_pair, connect);

	assert_int_equal(result, 0);
	pair->client = connect->stream;
	unit_pair_check(pair);
}

/** unit_listen() - on a free port of the loopback address */
static inline struct net_listener *
unit_listen(void (*accepted)(struct net_listener *listener, void *user, struct net_stream *stream),
	    void *user, struct net_addr *addr)
{
	struct net_listener *listener = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(net_addr_parse(addr, "127.0.0.1", "0", &err), 0);
	if (net_listen(addr, 512, accepted, user, &listener, &err) < 0)
		fail_msg("%s", err.text);
	net_listener_addr(listener, addr);
	return listener;
}

static inline void unit_pair_start(struct unit_pair *pair)
{
	pair->client = NULL;
	pair->server = NULL;
	pair->listener = unit_listen(unit_pair_accepted, pair, &pair->connect.addr);
	pair->connect.timeout_ms = 10000;
	pair->connect.done = unit_pair_connected;
	net_connect_start(&pair->connect);
}

/** struct unit_send - a send that owns its bytes and goes with them */
struct unit_send {
	struct net_send send;
	struct iovec iov[3];
	void (*done)(void *arg, int result);
	void *arg;
	uint8_t data[];
};

static inline void unit_send_done(struct net_send *send, int result)
{
	struct unit_send *u = container_of(send, struct unit_send, send);

	if (u->done)
		u->done(u->arg, result);
	free(u);
}

/** unit_send() - a copy of the bytes, in up to three pieces */
static inline void unit_send(struct net_stream *stream, const void *data, size_t len,
			     void (*done)(void *arg, int result), void *arg)
{
	struct unit_send *u = malloc(sizeof(*u) + len);
	size_t third = len / 3;

	assert_non_null(u);
	memcpy(u->data, data, len);
	u->iov[0] = (struct iovec){ u->data, third };
	u->iov[1] = (struct iovec){ u->data + third, third };
	u->iov[2] = (struct iovec){ u->data + 2 * third, len - 2 * third };
	u->done = done;
	u->arg = arg;
	u->send = (struct net_send){ .iov = u->iov, .iovcnt = 3, .done = unit_send_done };
	net_stream_send(stream, &u->send);
}

/** unit_byte() - the byte at @offset of the stream that tests send */
static inline uint8_t unit_byte(size_t offset)
{
	return (uint8_t)((offset * 7) ^ (offset >> 9));
}

/** unit_send_pattern() - @len bytes of that stream from @offset on */
static inline void unit_send_pattern(struct net_stream *stream, size_t offset, size_t len)
{
	uint8_t *data = malloc(len);

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = unit_byte(offset + i);
	unit_send(stream, data, len, NULL, NULL);
	free(data);
}

static inline void unit_check_pattern(const uint8_t *data, size_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != unit_byte(offset + i))
			fail_msg("byte %zu is 0x%02x, not 0x%02x", offset + i, data[i],
				 unit_byte(offset + i));
	}
}

/** unit_rand() - below @bound, the same in each run */
static inline size_t unit_rand(size_t bound)
{
	return (size_t)rand() % bound;
}

#endif

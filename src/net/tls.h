/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.3 (RFC 8446) on a stream, by a pre-shared key and nothing else: no certificates, no
 * tickets, no early data, no older version. Both sides prove the key, and a fresh Diffie-Hellman
 * exchange (psk_dhe_ke) keeps what was said secret when the key becomes known later.
 *
 * A stream is made secure before it is attached; from then on it carries the same bytes through the
 * same functions of net.h. What is sent waits until the handshake is over, and data() sees nothing
 * before. When the handshake fails, or a record is not what its sender sealed, ops->closed() is
 * called with -EACCES (the key is not the other side's) or -EPROTO (no TLS, or none that may be),
 * and net_stream_tls_error() has words. A connection that ends without the peer's close_notify ends
 * with -ECONNRESET: somebody may have cut it. A handshake has no time limit of its own: the user of
 * the stream has one for what must follow it.
 *
 * Threading: as net.h.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "net/net.h"

#define NET_TLS_KEY_MAX	     48u
#define NET_TLS_IDENTITY_MAX 576u /* with its end; two NQNs and what is around them fit */

/**
 * struct net_tls_key - a pre-shared key
 * @len: 32: for TLS_AES_128_GCM_SHA256; 48: for TLS_AES_256_GCM_SHA384
 */
struct net_tls_key {
	uint8_t bytes[NET_TLS_KEY_MAX];
	uint8_t len;
};

/**
 * net_stream_tls_connect() - secure a new stream as its client
 * @identity: which key it is, as the server knows it; copied, as is @key
 *
 * Return: 0, or -ENOMEM.
 */
int net_stream_tls_connect(struct net_stream *stream, const char *identity,
			   const struct net_tls_key *key);

/**
 * net_stream_tls_accept() - secure a new stream as its server
 * @find: on the stream's reactor, within the handshake: the key of an identity that a client says,
 *        which may be anything without a NUL; false when there is none. Called several times when a
 *        client offers several.
 *
 * Return: 0, or -ENOMEM.
 */
int net_stream_tls_accept(struct net_stream *stream,
			  bool (*find)(void *arg, const char *identity, struct net_tls_key *key),
			  void *arg);

/** net_stream_tls_identity() - of the key that the handshake proved; NULL before, and without TLS
 */
const char *net_stream_tls_identity(const struct net_stream *stream);
/** net_stream_tls_error() - why TLS ended the stream; NULL when it did not */
const char *net_stream_tls_error(const struct net_stream *stream);

#endif

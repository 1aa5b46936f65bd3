/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of OpenSSL that the TLS of streams uses: a session between memory and memory, with the
 * one way of proving that is allowed.
 *
 * Threading: a session is one stream's; what all share is made once and not changed.
 */
#ifndef NET_TLS_SESSION_H
#define NET_TLS_SESSION_H

#include <openssl/ssl.h>

#include "net/tls.h"

/* Sealed bytes that wait: what one turn seals, and room for what TLS says by itself. */
#define TLS_BATCH_BYTES (128u * 1024)
#define TLS_NEXT_MAX	(2 * TLS_BATCH_BYTES)
#define TLS_RECORD_MAX	16384u
#define TLS_WORDS	400u

struct tls_buffer {
	uint8_t *data;
	size_t len, size;
};

/**
 * struct tls_session
 * @in, @in_len: sealed bytes that came and were not read yet
 * @next: sealed bytes to go out
 * @find, @arg: of a server; @key: of a client, until the handshake is over
 * @ready: the handshake is over and the key was proved
 */
struct tls_session {
	SSL *ssl;
	const uint8_t *in;
	size_t in_len;
	struct tls_buffer next;
	bool server, ready;
	bool (*find)(void *arg, const char *identity, struct net_tls_key *key);
	void *arg;
	struct net_tls_key key;
	char identity[NET_TLS_IDENTITY_MAX];
	char words[TLS_WORDS];
};

/** tls_session_init() - @t->server, @t->find or @t->identity and @t->key are set; 0 or -ENOMEM */
int tls_session_init(struct tls_session *t);
void tls_session_fini(struct tls_session *t);
/** tls_session_handshake() - go on: 1 when over, 0 when bytes are missing, or a negative errno */
int tls_session_handshake(struct tls_session *t);
/** tls_session_failure() - the errno of what OpenSSL told last, and @t->words */
int tls_session_failure(struct tls_session *t);

#endif

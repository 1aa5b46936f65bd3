/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL for streams, see tls_session.h.
 *
 * What goes in and out are bytes in memory, by a BIO of our own: sockets are the reactor's. The
 * contexts allow TLS 1.3 with a pre-shared key only. A client that was shown a certificate instead
 * would take any without the checks here: it trusts none, and looks whether the key was used.
 *
 * Threading: as tls_session.h.
 */
#include "net/tls_session.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE_SHA256	 "TLS_AES_128_GCM_SHA256"
#define SUITE_SHA384	 "TLS_AES_256_GCM_SHA384"
#define SHA256_BYTES	 32u
#define BUFFER_START	 1024u
#define TICKET_AGE_BYTES 4u
#define ALERT_REASON_MIN SSL_AD_REASON_OFFSET
#define ALERT_REASON_MAX (SSL_AD_REASON_OFFSET + 255)

static struct {
	pthread_once_t once;
	BIO_METHOD *bio;
	SSL_CTX *client, *server;
} shared = { .once = PTHREAD_ONCE_INIT };

/* --- bytes in memory -------------------------------------------------------------------------- */

static int take_in(BIO *bio, char *out, int len)
{
	struct tls_session *t = BIO_get_data(bio);
	size_t n = (size_t)len < t->in_len ? (size_t)len : t->in_len;

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(out, t->in, n);
	t->in += n;
	t->in_len -= n;
	return (int)n;
}

static bool grow(struct tls_buffer *b, size_t more)
{
	size_t size = b->size ? b->size : BUFFER_START;
	uint8_t *data;

	/* Answers to a peer that asks and never reads would pile up without it. */
	if (more > TLS_NEXT_MAX - b->len)
		return false;
	while (size < b->len + more)
		size *= 2;
	if (size == b->size)
		return true;
	data = realloc(b->data, size);
	if (!data)
		return false;
	b->data = data;
	b->size = size;
	return true;
}

static int put_out(BIO *bio, const char *data, int len)
{
	struct tls_session *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (len < 0 || !grow(&t->next, (size_t)len))
		return -1;
	memcpy(t->next.data + t->next.len, data, (size_t)len);
	t->next.len += (size_t)len;
	return len;
}

static long control(BIO *bio, int cmd, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

static int create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

/* --- keys ------------------------------------------------------------------------------------- */

/* The session that OpenSSL takes for a pre-shared key: its secret and its suite. */
static SSL_SESSION *session_of(SSL *ssl, const struct net_tls_key *key)
{
	static const uint8_t sha256[] = { 0x13, 0x01 }, sha384[] = { 0x13, 0x02 };
	const SSL_CIPHER *suite = SSL_CIPHER_find(ssl, key->len == SHA256_BYTES ? sha256 : sha384);
	SSL_SESSION *session = SSL_SESSION_new();

	if (session && suite && SSL_SESSION_set_cipher(session, suite) == 1 &&
	    SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1 &&
	    SSL_SESSION_set1_master_key(session, key->bytes, key->len) == 1)
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

static int client_key(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_len,
		      SSL_SESSION **session)
{
	struct tls_session *t = SSL_get_app_data(ssl);

	(void)md; /* only the key's own suite was offered */
	*session = session_of(ssl, &t->key);
	*id = (const unsigned char *)t->identity;
	*id_len = strlen(t->identity);
	return *session != NULL;
}

/* An identity goes into messages: what is not plain text is nobody's. */
static bool is_plain(const unsigned char *id, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (id[i] < 0x20 || id[i] > 0x7e)
			return false;
	}
	return len > 0 && len < NET_TLS_IDENTITY_MAX;
}

static bool find_key(struct tls_session *t, const unsigned char *id, size_t len,
		     struct net_tls_key *key)
{
	char identity[NET_TLS_IDENTITY_MAX];

	if (!is_plain(id, len))
		return false;
	memcpy(identity, id, len);
	identity[len] = '\0';
	if (!t->find(t->arg, identity, key))
		return false;
	memcpy(t->identity, identity, len + 1);
	return true;
}

static int server_key(SSL *ssl, const unsigned char *id, size_t len, SSL_SESSION **session)
{
	struct net_tls_key key = { .len = 0 };

	*session = find_key(SSL_get_app_data(ssl), id, len, &key) ? session_of(ssl, &key) : NULL;
	OPENSSL_cleanse(&key, sizeof(key));
	return 1;
}

static const char *suite_of(const struct net_tls_key *key)
{
	return key->len == SHA256_BYTES ? SUITE_SHA256 : SUITE_SHA384;
}

/* The next identity of a client's offer (RFC 8446, 4.2.11); @at moves behind it. */
static bool next_identity(const unsigned char **at, size_t *left, const unsigned char **id,
			  size_t *len)
{
	size_t all;

	if (*left < 2)
		return false;
	*len = (size_t)(*at)[0] << 8 | (*at)[1];
	all = 2 + *len + TICKET_AGE_BYTES;
	if (*left < all)
		return false;
	*id = *at + 2;
	*at += all;
	*left -= all;
	return true;
}

/*
 * A key is for one suite, and OpenSSL takes the client's first suite before it looks at keys: so
 * the offer is looked through here, and only the suite of the first known key stays.
 */
static int client_hello(SSL *ssl, int *alert, void *arg)
{
	struct net_tls_key key = { .len = 0 };
	const unsigned char *at, *id;
	size_t left, len;

	(void)alert;
	(void)arg;
	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &at, &left) || left < 2)
		return SSL_CLIENT_HELLO_SUCCESS;
	len = (size_t)at[0] << 8 | at[1];
	at += 2;
	left = len < left - 2 ? len : left - 2;
	while (next_identity(&at, &left, &id, &len)) {
		if (!find_key(SSL_get_app_data(ssl), id, len, &key))
			continue;
		(void)SSL_set_ciphersuites(ssl, suite_of(&key));
		break;
	}
	OPENSSL_cleanse(&key, sizeof(key));
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* --- contexts --------------------------------------------------------------------------------- */

static SSL_CTX *context(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx)
		return NULL;
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	    SSL_CTX_set_ciphersuites(ctx, SUITE_SHA384 ":" SUITE_SHA256) == 1 &&
	    SSL_CTX_set_num_tickets(ctx, 0) == 1)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

static void make_shared(void)
{
	BIO_METHOD *bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");

	if (!bio)
		return;
	BIO_meth_set_create(bio, create);
	BIO_meth_set_read(bio, take_in);
	BIO_meth_set_write(bio, put_out);
	BIO_meth_set_ctrl(bio, control);
	shared.bio = bio;
	shared.client = context(TLS_client_method());
	shared.server = context(TLS_server_method());
	if (shared.client) {
		SSL_CTX_set_psk_use_session_callback(shared.client, client_key);
		SSL_CTX_set_verify(shared.client, SSL_VERIFY_PEER, NULL);
	}
	if (shared.server) {
		SSL_CTX_set_client_hello_cb(shared.server, client_hello, NULL);
		SSL_CTX_set_psk_find_session_callback(shared.server, server_key);
	}
}

int tls_session_init(struct tls_session *t)
{
	SSL_CTX *ctx;
	BIO *bio;

	pthread_once(&shared.once, make_shared);
	ctx = t->server ? shared.server : shared.client;
	t->ssl = ctx ? SSL_new(ctx) : NULL;
	bio = t->ssl ? BIO_new(shared.bio) : NULL;
	if (!bio) {
		tls_session_fini(t);
		return -ENOMEM;
	}
	BIO_set_data(bio, t);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, t);
	if (t->server) {
		SSL_set_accept_state(t->ssl);
		return 0;
	}
	SSL_set_connect_state(t->ssl);
	return SSL_set_ciphersuites(t->ssl, suite_of(&t->key)) == 1 ? 0 : -ENOMEM;
}

void tls_session_fini(struct tls_session *t)
{
	SSL_free(t->ssl);
	t->ssl = NULL;
	free(t->next.data);
	OPENSSL_cleanse(&t->key, sizeof(t->key));
}

/* --- the handshake and its failures ----------------------------------------------------------- */

static int fail(struct tls_session *t, int code, const char *words)
{
	snprintf(t->words, sizeof(t->words), "%s", words);
	return code;
}

static int failed_by_alert(struct tls_session *t, int alert)
{
	snprintf(t->words, sizeof(t->words), "the other side ended it with the alert \"%s\"%s",
		 SSL_alert_desc_string_long(alert),
		 t->ready ? "" : ": it does not know the pre-shared key, or has another one");
	return t->ready ? -EPROTO : -EACCES;
}

int tls_session_failure(struct tls_session *t)
{
	unsigned long error = ERR_peek_error();
	int reason = ERR_GET_REASON(error);
	const char *text = ERR_reason_error_string(error);

	if (reason >= ALERT_REASON_MIN && reason <= ALERT_REASON_MAX)
		return failed_by_alert(t, reason - ALERT_REASON_MIN);
	switch (reason) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_UNSUPPORTED_PROTOCOL:
		if (!t->ready)
			return fail(t, -EPROTO, "the other side does not speak TLS 1.3");
		break;
	case SSL_R_BINDER_DOES_NOT_VERIFY:
		return fail(t, -EACCES, "the other side has another pre-shared key");
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return fail(t, -EACCES, "there is no pre-shared key that both sides know");
	}
	return fail(t, -EPROTO, text ? text : "a record or message of it is wrong");
}

int tls_session_handshake(struct tls_session *t)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	if (rc != 1) {
		if (SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ)
			return 0;
		return tls_session_failure(t);
	}
	OPENSSL_cleanse(&t->key, sizeof(t->key));
	if (!SSL_session_reused(t->ssl))
		return fail(t, -EACCES, "the other side did not prove the pre-shared key");
	t->ready = true;
	return 1;
}

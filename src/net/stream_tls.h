/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stream asks of TLS; each call is for a stream that has it.
 *
 * Threading: the stream's reactor.
 */
#ifndef NET_STREAM_TLS_H
#define NET_STREAM_TLS_H

#include "net/internal.h"

/** stream_tls_input() - sealed bytes came; returns how many were taken, fewer when the user pauses
 */
size_t stream_tls_input(struct net_stream *s, const uint8_t *data, size_t len);
/** stream_tls_shakes() - the handshake is not over */
bool stream_tls_shakes(const struct net_stream *s);
/** stream_tls_has_more() - opened bytes wait for the user */
bool stream_tls_has_more(const struct net_stream *s);
/** stream_tls_gather() - seal what is queued; what is to go out now, or NULL */
struct iovec *stream_tls_gather(struct net_stream *s);
/** stream_tls_sent() - the kernel took @bytes; returns how many of the user's are out by that */
size_t stream_tls_sent(struct net_stream *s, size_t bytes);
/** stream_tls_finish() - true when all went out that ever will, and close_notify behind it */
bool stream_tls_finish(struct net_stream *s);
/** stream_tls_end() - what the connection's end, @reason, means; 0 only behind a close_notify */
int stream_tls_end(struct net_stream *s, int reason);
void stream_tls_free(struct net_stream *s);

#endif

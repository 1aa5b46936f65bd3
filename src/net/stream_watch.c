/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noticing a broken connection while nothing is read from it.
 *
 * A user that takes no bytes has the receive stopped, and a reset would go unseen until it takes
 * some again. So from the first pause on the socket is polled for errors alone. An orderly end of
 * the peer's is no error: it lies behind bytes that are still to be taken, and is told in its turn.
 *
 * Threading: the stream's reactor.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "net/internal.h"

static int socket_error(int fd)
{
	socklen_t len = sizeof(int);
	int error = 0;

	/* EPIPE is a reset behind the peer's end of stream; 0, one whose errno a send has got. */
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error == 0 || error == EPIPE)
		return -ECONNRESET;
	return -error;
}

static void watch_done(struct reactor_io *io, int32_t result)
{
	struct net_stream *s = container_of(io, struct net_stream, watch_io);

	s->watching = false;
	if (s->silent || s->ended) {
		stream_step_later(s);
		return;
	}
	if (result < 0 || !(result & (POLLERR | POLLHUP))) {
		/* io_uring tells an orderly end too, and would do so again and again. */
		s->watched = true;
		return;
	}
	/* A receive that is under way finds the error by itself, behind the bytes before it. */
	if (s->receiving == NET_RECEIVING_OFF)
		stream_end(s, socket_error(s->fd));
}

void stream_watch_start(struct net_stream *s)
{
	if (s->watching || s->watched)
		return;
	s->watching = true;
	s->watch_io.done = watch_done;
	reactor_io_poll(&s->watch_io, s->fd, POLLERR);
}

void stream_watch_stop(struct net_stream *s)
{
	if (!s->watching || s->watched)
		return;
	s->watched = true;
	reactor_io_cancel(&s->watch_io);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reactor asks of the kernel: files, sockets and descriptors to watch. One interface over
 * two backends (io_uring; epoll with libaio).
 *
 * Threading and completion: as reactor.h says. An operation is prepared in the turn that asks for
 * it and goes to the kernel with all others at the turn's end.
 */
#ifndef REACTOR_IO_H
#define REACTOR_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

/**
 * struct reactor_io - one operation; embedded in what asks for it, and untouched until it is done
 * @done: called once with the result: bytes (or a descriptor), or a negative errno
 *
 * The rest is the backend's.
 */
struct reactor_io {
	void (*done)(struct reactor_io *io, int32_t result);
	uint64_t priv[14];
};

/**
 * reactor_io_readv(), reactor_io_writev() - at a place in a file or block device
 * @iov: must stay until the operation is done, as must what it points to
 * @dsync: the data is durable when the write is done (RWF_DSYNC)
 *
 * The result may be fewer bytes than asked for, as with preadv(2).
 */
void reactor_io_readv(struct reactor_io *io, int fd, const struct iovec *iov, unsigned int iovcnt,
		      uint64_t offset);
void reactor_io_writev(struct reactor_io *io, int fd, const struct iovec *iov, unsigned int iovcnt,
		       uint64_t offset, bool dsync);
/** reactor_io_fdatasync() - fdatasync(2) */
void reactor_io_fdatasync(struct reactor_io *io, int fd);
/** reactor_io_fallocate() - fallocate(2): holes, zeroes, discard */
void reactor_io_fallocate(struct reactor_io *io, int fd, int mode, uint64_t offset, uint64_t len);
/** reactor_io_connect() - connect(2) of a non-blocking socket */
void reactor_io_connect(struct reactor_io *io, int fd, const struct sockaddr *addr, socklen_t len);
/** reactor_io_sendmsg() - sendmsg(2) with MSG_NOSIGNAL; may send less than was asked for */
void reactor_io_sendmsg(struct reactor_io *io, int fd, const struct msghdr *msg);
/** reactor_io_recvmsg() - recvmsg(2); @flags as there (MSG_WAITALL for "all of it") */
void reactor_io_recvmsg(struct reactor_io *io, int fd, struct msghdr *msg, int flags);
/** reactor_io_poll() - once, when one of @events (poll(2)) is there; the result is the events */
void reactor_io_poll(struct reactor_io *io, int fd, uint32_t events);
/**
 * reactor_io_cancel() - ask for an early end; @io is done once all the same, with -ECANCELED or
 * with what it came to before
 */
void reactor_io_cancel(struct reactor_io *io);

/**
 * struct reactor_recv - bytes of a socket, again and again, into this reactor's receive buffers
 * @data: called for each piece that arrived, with a buffer that stays the callee's until
 *        reactor_recv_release(); @len 0: the peer closed its side; negative: an errno. After 0 or
 * an errno other than -ENOBUFS nothing more comes.
 *
 * When no buffer is free the reactor goes on by itself as soon as one is released: a slow consumer
 * that keeps buffers slows its peers down, it loses nothing. A consumer keeps at most a few.
 */
struct reactor_recv {
	void (*data)(struct reactor_recv *recv, void *buffer, int32_t len);
	uint64_t priv[16];
};

#define REACTOR_RECV_BUFFER 16384u

void reactor_recv_start(struct reactor_recv *recv, int fd);
/**
 * reactor_recv_stop() - no more calls of @data
 * @stopped: called once, later, when the kernel has let go of the socket; pieces that arrived
 * before are still given to @data first, in order
 */
void reactor_recv_stop(struct reactor_recv *recv, void (*stopped)(struct reactor_recv *recv));
/** reactor_recv_release() - give back a buffer that @data got; @buffer is its start */
void reactor_recv_release(void *buffer);

/**
 * struct reactor_accept - connections of a listening socket, again and again
 * @accepted: called with each new descriptor (non-blocking, close-on-exec), or a negative errno
 *            (-EMFILE and its like: the reactor tries again by itself a little later)
 */
struct reactor_accept {
	void (*accepted)(struct reactor_accept *accept, int32_t fd);
	uint64_t priv[12];
};

void reactor_accept_start(struct reactor_accept *accept, int fd);
void reactor_accept_stop(struct reactor_accept *accept,
			 void (*stopped)(struct reactor_accept *accept));

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.h on whichever backend runs.
 *
 * Threading: as io.h says.
 */
#include "reactor/io.h"

#include <assert.h>

#include "reactor/internal.h"

void reactor_io_readv(struct reactor_io *io, int fd, const struct iovec *iov, unsigned int iovcnt,
		      uint64_t offset)
{
	reactor_current->ops->readv(reactor_current, io, fd, iov, iovcnt, offset);
}

void reactor_io_writev(struct reactor_io *io, int fd, const struct iovec *iov, unsigned int iovcnt,
		       uint64_t offset, bool dsync)
{
	reactor_current->ops->writev(reactor_current, io, fd, iov, iovcnt, offset, dsync);
}

void reactor_io_fdatasync(struct reactor_io *io, int fd)
{
	reactor_current->ops->fdatasync(reactor_current, io, fd);
}

void reactor_io_fallocate(struct reactor_io *io, int fd, int mode, uint64_t offset, uint64_t len)
{
	reactor_current->ops->fallocate(reactor_current, io, fd, mode, offset, len);
}

void reactor_io_connect(struct reactor_io *io, int fd, const struct sockaddr *addr, socklen_t len)
{
	reactor_current->ops->connect(reactor_current, io, fd, addr, len);
}

void reactor_io_sendmsg(struct reactor_io *io, int fd, const struct msghdr *msg)
{
	reactor_current->ops->sendmsg(reactor_current, io, fd, msg);
}

void reactor_io_recvmsg(struct reactor_io *io, int fd, struct msghdr *msg, int flags)
{
	reactor_current->ops->recvmsg(reactor_current, io, fd, msg, flags);
}

void reactor_io_poll(struct reactor_io *io, int fd, uint32_t events)
{
	reactor_current->ops->poll(reactor_current, io, fd, events);
}

void reactor_io_cancel(struct reactor_io *io)
{
	reactor_current->ops->cancel(reactor_current, io);
}

void reactor_recv_start(struct reactor_recv *recv, int fd)
{
	reactor_current->ops->recv_start(reactor_current, recv, fd);
}

void reactor_recv_stop(struct reactor_recv *recv, void (*stopped)(struct reactor_recv *recv))
{
	reactor_current->ops->recv_stop(reactor_current, recv, stopped);
}

void reactor_recv_release(void *buffer)
{
	struct reactor *r = reactor_current;

	assert((uint8_t *)buffer >= r->recv.base &&
	       (uint8_t *)buffer < r->recv.base + (size_t)r->recv.total * REACTOR_RECV_BUFFER);
	assert(r->recv.held > 0);
	r->recv.held--;
	r->ops->recv_released(r, buffer);
}

void reactor_accept_start(struct reactor_accept *accept, int fd)
{
	reactor_current->ops->accept_start(reactor_current, accept, fd);
}

void reactor_accept_stop(struct reactor_accept *accept,
			 void (*stopped)(struct reactor_accept *accept))
{
	reactor_current->ops->accept_stop(reactor_current, accept, stopped);
}

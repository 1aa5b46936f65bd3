/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll backend: files. What is open with O_DIRECT goes through libaio, all of a turn in one
 * call; io_submit(2) would wait for the disk on anything else, so that goes to the helper threads,
 * as do flushes, allocation, and everything where libaio is refused.
 *
 * Threading: the reactor's own thread, but for thread_run().
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "reactor/epoll.h"

#define AIO_DEPTH 256
#define AIO_BATCH 64

static struct reactor_io *io_of(struct epoll_io *x)
{
	return container_of((void *)x, struct reactor_io, priv);
}

/* --- libaio --------------------------------------------------------------------------------- */

/* Not before it is needed: the kernel waits for a grace period of RCU when it ends a queue. */
static void aio_open(struct reactor *r)
{
	struct epoll *e = r->backend;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &e->aio_fd };
	int rc = io_setup(AIO_DEPTH, &e->aio);

	e->aio_asked = true;
	if (rc == 0) {
		e->aio_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (e->aio_fd < 0 || epoll_ctl(e->fd, EPOLL_CTL_ADD, e->aio_fd, &event) < 0)
			rc = -errno;
	}
	if (rc == 0)
		return;
	log_notice("reactor %u: no libaio (%s; see fs.aio-max-nr): files go through helper threads",
		   r->index, error_errno_text(rc));
	epoll_files_close(r);
}

void epoll_files_close(struct reactor *r)
{
	struct epoll *e = r->backend;

	if (e->aio)
		(void)io_destroy(e->aio);
	if (e->aio_fd >= 0)
		close(e->aio_fd);
	e->aio = NULL;
	e->aio_fd = -1;
}

static int submit_batch(struct epoll *e)
{
	struct iocb *batch[AIO_BATCH];
	long count = 0;

	for (struct reactor_io *io = e->files.head; io && count < AIO_BATCH;
	     io = epoll_io(io)->next)
		batch[count++] = &epoll_io(io)->iocb;
	return io_submit(e->aio, count, batch);
}

void epoll_files_submit(struct reactor *r)
{
	struct epoll *e = r->backend;

	while (e->files.head) {
		int rc = submit_batch(e);

		r->stats.syscalls++;
		/* The queue is full: again when something of it is done. */
		if (rc == -EAGAIN && e->aio_flying > 0)
			return;
		if (rc == 0 || rc == -EINTR)
			return;
		/* An error is the first one's. */
		if (rc < 0)
			epoll_done(e, io_list_take(&e->files), rc);
		for (int i = 0; i < rc; i++)
			(void)io_list_take(&e->files);
		if (rc > 0)
			e->aio_flying += (unsigned int)rc;
	}
}

bool epoll_files_reap(struct reactor *r)
{
	struct epoll *e = r->backend;
	struct timespec now = { .tv_sec = 0 };
	struct io_event events[AIO_BATCH];
	int count;

	if (e->aio_flying == 0)
		return false;
	/* libaio looks into the shared ring first: no system call while nothing is done. */
	count = io_getevents(e->aio, 0, AIO_BATCH, events, &now);
	for (int i = 0; i < count; i++) {
		struct reactor_io *io = events[i].data;

		e->aio_flying--;
		io->done(io, (int32_t)(long)events[i].res);
	}
	return count > 0;
}

static void aio_start(struct epoll *e, struct reactor_io *io, const struct iovec *iov,
		      unsigned int iovcnt, uint64_t offset)
{
	struct epoll_io *x = epoll_io(io);
	struct iocb *cb = &x->iocb;

	if (x->kind == EPOLL_IO_READV)
		io_prep_preadv(cb, x->fd, iov, (int)iovcnt, (long long)offset);
	else
		io_prep_pwritev(cb, x->fd, iov, (int)iovcnt, (long long)offset);
	if (x->dsync)
		cb->aio_rw_flags = RWF_DSYNC;
	io_set_eventfd(cb, e->aio_fd);
	cb->data = io;
	io_list_add(&e->files, io);
}

/* --- helper threads ------------------------------------------------------------------------- */

static ssize_t thread_try(struct epoll_io *x)
{
	off_t offset = (off_t)x->thread.offset;

	switch (x->kind) {
	case EPOLL_IO_READV:
		return preadv(x->fd, x->thread.iov, (int)x->thread.iovcnt, offset);
	case EPOLL_IO_WRITEV:
		return pwritev2(x->fd, x->thread.iov, (int)x->thread.iovcnt, offset,
				x->dsync ? RWF_DSYNC : 0);
	case EPOLL_IO_FDATASYNC:
		return fdatasync(x->fd);
	default:
		return fallocate(x->fd, x->thread.mode, offset, (off_t)x->thread.len);
	}
}

static void thread_run(struct reactor_work *work)
{
	struct epoll_io *x = container_of(work, struct epoll_io, thread.work);
	ssize_t n;

	do {
		n = thread_try(x);
	} while (n < 0 && errno == EINTR);
	x->result = n < 0 ? -errno : (int32_t)n;
}

static void thread_done(struct reactor_work *work)
{
	struct epoll_io *x = container_of(work, struct epoll_io, thread.work);

	io_of(x)->done(io_of(x), x->result);
}

static void thread_start(struct epoll_io *x)
{
	x->thread.work.run = thread_run;
	x->thread.work.done = thread_done;
	reactor_work_start(&x->thread.work);
}

/* --- operations ----------------------------------------------------------------------------- */

static struct epoll_io *begin(struct reactor_io *io, enum epoll_io_kind kind, int fd)
{
	struct epoll_io *x = epoll_io(io);

	*x = (struct epoll_io){ .kind = (uint8_t)kind, .fd = fd };
	return x;
}

static bool may_be_aio(struct reactor *r, int fd)
{
	struct epoll *e = r->backend;
	int flags;

	if (e->aio_asked && !e->aio)
		return false;
	flags = fcntl(fd, F_GETFL);
	r->stats.syscalls++;
	if (flags < 0 || !(flags & O_DIRECT))
		return false;
	if (!e->aio_asked)
		aio_open(r);
	return e->aio != NULL;
}

static void transfer(struct reactor *r, struct reactor_io *io, const struct iovec *iov,
		     unsigned int iovcnt, uint64_t offset)
{
	struct epoll *e = r->backend;
	struct epoll_io *x = epoll_io(io);
	if (may_be_aio(r, x->fd)) {
		aio_start(e, io, iov, iovcnt, offset);
		return;
	}
	x->thread.iov = iov;
	x->thread.iovcnt = iovcnt;
	x->thread.offset = offset;
	thread_start(x);
}

void epoll_readv(struct reactor *r, struct reactor_io *io, int fd, const struct iovec *iov,
		 unsigned int iovcnt, uint64_t offset)
{
	begin(io, EPOLL_IO_READV, fd);
	transfer(r, io, iov, iovcnt, offset);
}

void epoll_writev(struct reactor *r, struct reactor_io *io, int fd, const struct iovec *iov,
		  unsigned int iovcnt, uint64_t offset, bool dsync)
{
	begin(io, EPOLL_IO_WRITEV, fd)->dsync = dsync;
	transfer(r, io, iov, iovcnt, offset);
}

void epoll_fdatasync(struct reactor *r, struct reactor_io *io, int fd)
{
	(void)r;
	thread_start(begin(io, EPOLL_IO_FDATASYNC, fd));
}

void epoll_fallocate(struct reactor *r, struct reactor_io *io, int fd, int mode, uint64_t offset,
		     uint64_t len)
{
	struct epoll_io *x = begin(io, EPOLL_IO_FALLOCATE, fd);

	(void)r;
	x->thread.mode = mode;
	x->thread.offset = offset;
	x->thread.len = len;
	thread_start(x);
}

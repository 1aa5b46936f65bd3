/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring backend: single operations, completions, submission and sleep.
 *
 * Threading: the reactor's own thread; it is the ring's single issuer.
 *
 * System calls: with deferred task run nothing completes unless this thread enters the kernel, and
 * the kernel says in the flags of the submission ring that there is something to complete. So a
 * turn reads these flags, and enters only when they, or what it has to submit, ask for it.
 */
#include "reactor/uring.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

/* --- entering the kernel -------------------------------------------------------------------- */

static bool entry_failed_for_good(int rc)
{
	/* Signals, an overflown completion ring and short memory pass. */
	return rc < 0 && rc != -EINTR && rc != -EBUSY && rc != -EAGAIN && rc != -ENOMEM &&
	       rc != -ETIME;
}

static void check_entry(const struct reactor *r, int rc)
{
	if (!entry_failed_for_good(rc))
		return;
	log_error("reactor %u: io_uring_enter: %s; giving up", r->index, error_errno_text(rc));
	abort();
}

static void enter(struct reactor *r)
{
	struct uring *u = r->backend;

	r->stats.syscalls++;
	check_entry(r, io_uring_submit_and_get_events(&u->ring));
}

struct io_uring_sqe *uring_sqe(struct reactor *r)
{
	struct uring *u = r->backend;
	struct io_uring_sqe *sqe;

	while ((sqe = io_uring_get_sqe(&u->ring)) == NULL)
		enter(r);
	return sqe;
}

static void uring_submit(struct reactor *r)
{
	struct uring *u = r->backend;
	/* Relaxed: a flag that is seen a turn later is seen early enough. */
	unsigned int flags = __atomic_load_n(u->ring.sq.kflags, __ATOMIC_RELAXED);

	if ((flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) ||
	    io_uring_sq_ready(&u->ring) > 0)
		enter(r);
}

static void uring_wait(struct reactor *r, uint64_t timeout_ns)
{
	struct uring *u = r->backend;
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	int rc;

	r->stats.syscalls++;
	if (timeout_ns == UINT64_MAX) {
		rc = io_uring_submit_and_wait(&u->ring, 1);
	} else {
		ts.tv_sec = (long long)(timeout_ns / NS_PER_SEC);
		ts.tv_nsec = (long long)(timeout_ns % NS_PER_SEC);
		rc = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
	}
	check_entry(r, rc);
}

/* --- completions ---------------------------------------------------------------------------- */

static void wake_arm(struct reactor *r)
{
	struct uring *u = r->backend;
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_read(sqe, r->wake_fd, &u->wake_count, sizeof(u->wake_count), 0);
	io_uring_sqe_set_data64(sqe, uring_data(NULL, URING_TAG_WAKE));
}

static void complete(struct reactor *r, const struct io_uring_cqe *cqe)
{
	void *p = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)URING_TAG_MASK);

	switch ((enum uring_tag)(cqe->user_data & URING_TAG_MASK)) {
	case URING_TAG_IO:
		((struct reactor_io *)p)->done(p, cqe->res);
		break;
	case URING_TAG_RECV:
		uring_recv_done(r, p, cqe);
		break;
	case URING_TAG_ACCEPT:
		uring_accept_done(r, p, cqe);
		break;
	case URING_TAG_WAKE:
		wake_arm(r);
		break;
	default:
		break;
	}
}

static bool uring_reap(struct reactor *r)
{
	struct uring *u = r->backend;
	struct io_uring_cq *cq = &u->ring.cq;
	unsigned int head = *cq->khead;
	/* Pairs with the kernel's release: entries up to the tail are written. */
	unsigned int tail = io_uring_smp_load_acquire(cq->ktail);

	if (head == tail)
		return false;
	do {
		/* Copied, since a callback that has to enter lets the kernel write here. */
		struct io_uring_cqe cqe = cq->cqes[head & *cq->kring_mask];

		head++;
		io_uring_smp_store_release(cq->khead, head);
		complete(r, &cqe);
	} while (head != tail);
	return true;
}

/* --- operations ----------------------------------------------------------------------------- */

static struct io_uring_sqe *finish(struct io_uring_sqe *sqe, struct reactor_io *io)
{
	io_uring_sqe_set_data64(sqe, uring_data(io, URING_TAG_IO));
	return sqe;
}

static void uring_readv(struct reactor *r, struct reactor_io *io, int fd, const struct iovec *iov,
			unsigned int iovcnt, uint64_t offset)
{
	struct io_uring_sqe *sqe = uring_sqe(r);

	/* A single piece needs no vector to be copied in. */
	if (iovcnt == 1 && iov->iov_len <= INT32_MAX)
		io_uring_prep_read(sqe, fd, iov->iov_base, (unsigned int)iov->iov_len, offset);
	else
		io_uring_prep_readv(sqe, fd, iov, iovcnt, offset);
	finish(sqe, io);
}

static void uring_writev(struct reactor *r, struct reactor_io *io, int fd, const struct iovec *iov,
			 unsigned int iovcnt, uint64_t offset, bool dsync)
{
	struct io_uring_sqe *sqe = uring_sqe(r);

	if (iovcnt == 1 && iov->iov_len <= INT32_MAX)
		io_uring_prep_write(sqe, fd, iov->iov_base, (unsigned int)iov->iov_len, offset);
	else
		io_uring_prep_writev(sqe, fd, iov, iovcnt, offset);
	sqe->rw_flags = dsync ? RWF_DSYNC : 0;
	finish(sqe, io);
}

static void uring_fdatasync(struct reactor *r, struct reactor_io *io, int fd)
{
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	finish(sqe, io);
}

static void uring_fallocate(struct reactor *r, struct reactor_io *io, int fd, int mode,
			    uint64_t offset, uint64_t len)
{
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_fallocate(sqe, fd, mode, (off_t)offset, (off_t)len);
	finish(sqe, io);
}

static void uring_connect(struct reactor *r, struct reactor_io *io, int fd,
			  const struct sockaddr *addr, socklen_t len)
{
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_connect(sqe, fd, addr, len);
	finish(sqe, io);
}

static void uring_sendmsg(struct reactor *r, struct reactor_io *io, int fd,
			  const struct msghdr *msg)
{
	struct io_uring_sqe *sqe = uring_sqe(r);

	/* With MSG_WAITALL the kernel itself goes on when the socket's buffer was full. */
	io_uring_prep_sendmsg(sqe, fd, msg, MSG_NOSIGNAL | MSG_WAITALL);
	finish(sqe, io);
}

static void uring_recvmsg(struct reactor *r, struct reactor_io *io, int fd, struct msghdr *msg,
			  int flags)
{
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_recvmsg(sqe, fd, msg, (unsigned int)flags);
	finish(sqe, io);
}

static void uring_poll(struct reactor *r, struct reactor_io *io, int fd, uint32_t events)
{
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_poll_add(sqe, fd, events);
	finish(sqe, io);
}

static void uring_cancel(struct reactor *r, struct reactor_io *io)
{
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_cancel64(sqe, uring_data(io, URING_TAG_IO), 0);
	io_uring_sqe_set_data64(sqe, uring_data(NULL, URING_TAG_NONE));
}

static void uring_begin(struct reactor *r)
{
	struct uring *u = r->backend;
	int rc = uring_enable(&u->ring);

	check_entry(r, rc);
	/* Saves looking the descriptor up at each entry; works without. */
	(void)io_uring_register_ring_fd(&u->ring);
	wake_arm(r);
	uring_buffers_issue(r, RECV_BUFFERS_START);
}

const struct backend_ops backend_uring = {
	.name = "io_uring",
	.probe = uring_probe,
	.open = uring_open,
	.begin = uring_begin,
	.close = uring_close,
	.reap = uring_reap,
	.submit = uring_submit,
	.wait = uring_wait,
	.readv = uring_readv,
	.writev = uring_writev,
	.fdatasync = uring_fdatasync,
	.fallocate = uring_fallocate,
	.connect = uring_connect,
	.sendmsg = uring_sendmsg,
	.recvmsg = uring_recvmsg,
	.poll = uring_poll,
	.cancel = uring_cancel,
	.recv_start = uring_recv_start,
	.recv_stop = uring_recv_stop,
	.recv_released = uring_recv_released,
	.accept_start = uring_accept_start,
	.accept_stop = uring_accept_stop,
};

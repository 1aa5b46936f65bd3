/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring backend: making a ring, and finding out whether this kernel, or what confines this
 * process, has all that is needed. The floor is Linux 6.1.
 *
 * Threading: main thread, before the reactor runs; the ring stays disabled until then, since
 * IORING_SETUP_SINGLE_ISSUER binds it to the thread that enables it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "reactor/uring.h"

#define URING_SQ 512u
#define URING_CQ 4096u

static const unsigned int needed_ops[] = {
	IORING_OP_READV,     IORING_OP_WRITEV,	IORING_OP_READ,	   IORING_OP_FSYNC,
	IORING_OP_FALLOCATE, IORING_OP_CONNECT, IORING_OP_SENDMSG, IORING_OP_RECVMSG,
	IORING_OP_POLL_ADD,  IORING_OP_RECV,	IORING_OP_ACCEPT,  IORING_OP_ASYNC_CANCEL,
};

static int ring_init_with(struct io_uring *ring, unsigned int flags, struct io_uring_params *p)
{
	memset(p, 0, sizeof(*p));
	p->flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
		   IORING_SETUP_R_DISABLED | IORING_SETUP_TASKRUN_FLAG;
	p->cq_entries = URING_CQ;
	return io_uring_queue_init_params(URING_SQ, ring, p);
}

static int ring_make(struct io_uring *ring, struct error *err)
{
	const unsigned int features =
		IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
	struct io_uring_params p;
	int rc = ring_init_with(ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, &p);

	/* Before 6.1 there is no deferred task run; cooperative is the next best. */
	if (rc == -EINVAL)
		rc = ring_init_with(ring, IORING_SETUP_COOP_TASKRUN, &p);
	if (rc == -EPERM || rc == -EACCES)
		return error_set(err, rc, "%s (kernel.io_uring_disabled or seccomp)",
				 error_errno_text(rc));
	if (rc == -ENOSYS)
		return error_set(err, rc, "this kernel has none, or seccomp hides it");
	if (rc == -EINVAL)
		return error_set(err, rc, "this kernel's is too old (Linux 6.1 has all of it)");
	if (rc == -ENOMEM)
		return error_set(err, rc,
				 "no memory for a ring (see RLIMIT_MEMLOCK; 8 MiB is plenty)");
	if (rc < 0)
		return error_set(err, rc, "cannot make a ring: %s", error_errno_text(rc));
	if ((p.features & features) != features) {
		io_uring_queue_exit(ring);
		return error_set(err, -EINVAL, "this kernel's is too old (features 0x%x of 0x%x)",
				 p.features & features, features);
	}
	return 0;
}

/* liburing 2.3 declares io_uring_enable_rings() and does not export it. */
int uring_enable(struct io_uring *ring)
{
	return io_uring_register((unsigned int)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
				 0);
}

static int ops_check(struct io_uring *ring, struct error *err)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	int rc = 0;

	if (!probe)
		return error_set(err, -EINVAL, "operations cannot be asked for (seccomp?)");
	for (size_t i = 0; i < sizeof(needed_ops) / sizeof(needed_ops[0]) && rc == 0; i++) {
		if (!io_uring_opcode_supported(probe, (int)needed_ops[i]))
			rc = error_set(err, -EINVAL, "operation %u is missing", needed_ops[i]);
	}
	io_uring_free_probe(probe);
	return rc;
}

/* --- provided buffers ----------------------------------------------------------------------- */

static int buf_ring_make(struct uring *u, struct error *err)
{
	struct io_uring_buf_reg reg = {
		.ring_entries = RECV_BUFFERS_MAX,
		.bgid = URING_BUF_GROUP,
	};
	void *p;
	int rc;

	u->bufs_size = RECV_BUFFERS_MAX * sizeof(struct io_uring_buf);
	p = mmap(NULL, u->bufs_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return error_set(err, -errno, "no memory for the ring of receive buffers");
	u->bufs = p;
	reg.ring_addr = (uint64_t)(uintptr_t)p;
	rc = io_uring_register_buf_ring(&u->ring, &reg, 0);
	if (rc < 0) {
		munmap(p, u->bufs_size);
		u->bufs = NULL;
		return error_set(err, rc, "cannot register receive buffers: %s",
				 error_errno_text(rc));
	}
	io_uring_buf_ring_init(u->bufs);
	return 0;
}

int uring_open(struct reactor *r, struct error *err)
{
	struct uring *u = calloc(1, sizeof(*u));
	struct error cause = ERROR_INIT;
	int rc;

	if (!u)
		return error_set(err, -ENOMEM, "reactor %u: no memory for its ring", r->index);
	rc = ring_make(&u->ring, &cause);
	if (rc < 0)
		goto free_uring;
	rc = buf_ring_make(u, &cause);
	if (rc < 0)
		goto exit_ring;
	r->backend = u;
	return 0;

exit_ring:
	io_uring_queue_exit(&u->ring);
free_uring:
	free(u);
	return error_set(err, rc, "reactor %u: io_uring: %s", r->index, cause.text);
}

void uring_close(struct reactor *r)
{
	struct uring *u = r->backend;

	io_uring_queue_exit(&u->ring);
	munmap(u->bufs, u->bufs_size);
	free(u);
	r->backend = NULL;
}

/* --- probe ---------------------------------------------------------------------------------- */

/* A byte through a socket pair by multishot receive: no flag tells whether that is there. */
static int multishot_try(struct uring *u, const int pair[2])
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	struct __kernel_timespec ts = { .tv_sec = 1 };
	struct io_uring_cqe *cqe = NULL;
	uint8_t byte;
	int rc;

	io_uring_buf_ring_add(u->bufs, &byte, 1, 0, io_uring_buf_ring_mask(RECV_BUFFERS_MAX), 0);
	io_uring_buf_ring_advance(u->bufs, 1);
	io_uring_prep_recv_multishot(sqe, pair[0], NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = URING_BUF_GROUP;
	if (write(pair[1], "x", 1) != 1)
		return -errno;
	rc = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
	if (rc < 0)
		return rc;
	if (cqe->res < 0)
		return cqe->res;
	return cqe->res == 1 && (cqe->flags & IORING_CQE_F_MORE) ? 0 : -EINVAL;
}

static int multishot_check(struct uring *u, struct error *err)
{
	int pair[2];
	int rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set(err, -errno, "socketpair: %s", error_errno_text(-errno));
	rc = uring_enable(&u->ring);
	if (rc == 0)
		rc = multishot_try(u, pair);
	close(pair[0]);
	close(pair[1]);
	if (rc == -EPERM || rc == -EACCES)
		return error_set(err, rc, "%s behind io_uring_setup (seccomp)",
				 error_errno_text(rc));
	if (rc < 0)
		return error_set(err, rc, "multishot receive is missing (Linux 6.0 has it): %s",
				 error_errno_text(rc));
	return 0;
}

int uring_probe(struct error *err)
{
	struct uring u = { .bufs = NULL };
	int rc = ring_make(&u.ring, err);

	if (rc < 0)
		return rc;
	rc = ops_check(&u.ring, err);
	if (rc == 0)
		rc = buf_ring_make(&u, err);
	if (rc == 0)
		rc = multishot_check(&u, err);
	io_uring_queue_exit(&u.ring);
	if (u.bufs)
		munmap(u.bufs, u.bufs_size);
	return rc;
}

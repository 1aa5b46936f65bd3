/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the io_uring backend share.
 *
 * Threading: as backend.h says.
 */
#ifndef REACTOR_URING_H
#define REACTOR_URING_H

#include <liburing.h>

#include "reactor/internal.h"

/**
 * struct uring - one reactor's ring
 * @bufs, @bufs_size: the ring of provided receive buffers, shared with the kernel
 */
struct uring {
	struct io_uring ring;
	struct io_uring_buf_ring *bufs;
	size_t bufs_size;
	uint64_t wake_count;
};

/* What a completion is for: the low bits of its user data, the rest is a pointer. */
enum uring_tag {
	URING_TAG_IO,
	URING_TAG_RECV,
	URING_TAG_ACCEPT,
	URING_TAG_WAKE,
	URING_TAG_NONE, /* nobody waits for it */
	URING_TAG_MASK = 7,
};

#define URING_BUF_GROUP 0

static inline uint64_t uring_data(const void *p, enum uring_tag tag)
{
	return (uint64_t)(uintptr_t)p | (uint64_t)tag;
}

/* uring.c */
struct io_uring_sqe *uring_sqe(struct reactor *r);

/* uring_setup.c */
int uring_probe(struct error *err);
int uring_open(struct reactor *r, struct error *err);
void uring_close(struct reactor *r);
int uring_enable(struct io_uring *ring);

/* uring_recv.c */
void uring_buffers_issue(struct reactor *r, uint32_t count);
void uring_recv_done(struct reactor *r, struct reactor_recv *recv, const struct io_uring_cqe *cqe);
void uring_recv_start(struct reactor *r, struct reactor_recv *recv, int fd);
void uring_recv_stop(struct reactor *r, struct reactor_recv *recv,
		     void (*stopped)(struct reactor_recv *recv));
void uring_recv_released(struct reactor *r, void *buffer);

void uring_accept_done(struct reactor *r, struct reactor_accept *accept,
		       const struct io_uring_cqe *cqe);
void uring_accept_start(struct reactor *r, struct reactor_accept *accept, int fd);
void uring_accept_stop(struct reactor *r, struct reactor_accept *accept,
		       void (*stopped)(struct reactor_accept *accept));

#endif

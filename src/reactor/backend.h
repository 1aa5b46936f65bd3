/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backend does for a reactor: hand operations to the kernel and bring back what came of
 * them.
 *
 * Threading: probe(), open() and close() are called by the main thread while the reactor does not
 * run; all else on the reactor's own thread.
 */
#ifndef REACTOR_BACKEND_H
#define REACTOR_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "reactor/io.h"

struct reactor;

/**
 * struct backend_ops - one backend
 * @probe: whether it can run here; a negative errno with @err filled when not
 * @open: everything that may fail, so that start can refuse
 * @begin: first call on the reactor's own thread
 * @reap: call what is done; true when there was anything
 * @submit: hand what was prepared to the kernel, without a system call when there is nothing
 * @wait: submit(), then sleep until something is done, the reactor is woken by its wake_fd, or
 *        @timeout_ns is over (UINT64_MAX: no end)
 * @recv_released: a receive buffer came back
 */
struct backend_ops {
	const char *name;
	int (*probe)(struct error *err);
	int (*open)(struct reactor *r, struct error *err);
	void (*begin)(struct reactor *r);
	void (*close)(struct reactor *r);
	bool (*reap)(struct reactor *r);
	void (*submit)(struct reactor *r);
	void (*wait)(struct reactor *r, uint64_t timeout_ns);

	void (*readv)(struct reactor *r, struct reactor_io *io, int fd, const struct iovec *iov,
		      unsigned int iovcnt, uint64_t offset);
	void (*writev)(struct reactor *r, struct reactor_io *io, int fd, const struct iovec *iov,
		       unsigned int iovcnt, uint64_t offset, bool dsync);
	void (*fdatasync)(struct reactor *r, struct reactor_io *io, int fd);
	void (*fallocate)(struct reactor *r, struct reactor_io *io, int fd, int mode,
			  uint64_t offset, uint64_t len);
	void (*connect)(struct reactor *r, struct reactor_io *io, int fd,
			const struct sockaddr *addr, socklen_t len);
	void (*sendmsg)(struct reactor *r, struct reactor_io *io, int fd, const struct msghdr *msg);
	void (*recvmsg)(struct reactor *r, struct reactor_io *io, int fd, struct msghdr *msg,
			int flags);
	void (*poll)(struct reactor *r, struct reactor_io *io, int fd, uint32_t events);
	void (*cancel)(struct reactor *r, struct reactor_io *io);

	void (*recv_start)(struct reactor *r, struct reactor_recv *recv, int fd);
	void (*recv_stop)(struct reactor *r, struct reactor_recv *recv,
			  void (*stopped)(struct reactor_recv *recv));
	void (*recv_released)(struct reactor *r, void *buffer);
	void (*accept_start)(struct reactor *r, struct reactor_accept *accept, int fd);
	void (*accept_stop)(struct reactor *r, struct reactor_accept *accept,
			    void (*stopped)(struct reactor_accept *accept));
};

extern const struct backend_ops backend_uring;
extern const struct backend_ops backend_epoll;

/* After an errno that says "no descriptor, no memory", accepting starts again this much later. */
#define ACCEPT_RETRY_NS UINT64_C(100000000)

#endif

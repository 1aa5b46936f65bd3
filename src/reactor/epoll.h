/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the epoll backend share.
 *
 * Threading: as backend.h says.
 */
#ifndef REACTOR_EPOLL_H
#define REACTOR_EPOLL_H

#include <libaio.h>
#include <sys/epoll.h>

#include "reactor/recv.h"

enum epoll_io_kind {
	EPOLL_IO_SEND,
	EPOLL_IO_RECV,
	EPOLL_IO_CONNECT,
	EPOLL_IO_POLL,
	EPOLL_IO_READV,
	EPOLL_IO_WRITEV,
	EPOLL_IO_FDATASYNC,
	EPOLL_IO_FALLOCATE,
};

/**
 * struct epoll_io - an operation, in struct reactor_io's priv
 * @list: the list it is in: to be tried, waiting for its descriptor, done; NULL while libaio, a
 *        helper thread or nobody has it
 */
struct epoll_io {
	uint8_t kind;
	bool dsync;
	int fd;
	int32_t result;
	struct io_list *list;
	struct reactor_io *next;
	union {
		struct {
			struct msghdr *msg;
			size_t done;
			int flags;
			uint32_t events;
			const struct sockaddr *addr;
			socklen_t addr_len;
		} sock;
		struct iocb iocb;
		struct {
			struct reactor_work work;
			const struct iovec *iov;
			unsigned int iovcnt;
			int mode;
			uint64_t offset;
			uint64_t len;
		} thread;
	};
};

_Static_assert(sizeof(struct epoll_io) <= sizeof(((struct reactor_io *)0)->priv), "priv");

static inline struct epoll_io *epoll_io(struct reactor_io *io)
{
	return (struct epoll_io *)(void *)io->priv;
}

/** struct io_list - operations in order; @tail is valid only while @head is not NULL */
struct io_list {
	struct reactor_io *head;
	struct reactor_io *tail;
};

/**
 * struct epoll_fd - what waits for a descriptor
 * @armed: the events that epoll knows of
 * @renew: nobody waited for a moment, in which the number may have become another file
 */
struct epoll_fd {
	int fd;
	struct io_list waiting;
	struct reactor_recv *recv;
	struct reactor_accept *accept;
	uint32_t armed;
	bool dirty;
	bool renew;
	struct epoll_fd *dirty_next;
};

#define EPOLL_EVENTS 256

/**
 * struct epoll - one reactor's backend
 * @fds: [descriptor], made on first use and kept
 * @trying: socket operations asked for in this turn
 * @files: file operations for libaio
 * @done: completed; told in the next turn
 * @told: submission had to call somebody, whose work is for the next turn: no sleep before it
 * @aio: made for the first direct I/O (@aio_asked); NULL where libaio is refused
 */
struct epoll {
	int fd;
	int aio_fd;
	io_context_t aio;
	bool aio_asked;
	unsigned int aio_flying;
	struct epoll_fd **fds;
	unsigned int fds_size;
	struct epoll_fd *dirty;
	struct io_list trying;
	struct io_list files;
	struct io_list done;
	int ready;
	bool told;
	bool wait_by_ms; /* epoll_pwait2(2) is not there */
	struct epoll_event events[EPOLL_EVENTS];
};

/* epoll_fds.c */
void io_list_add(struct io_list *list, struct reactor_io *io);
struct reactor_io *io_list_take(struct io_list *list);
void io_list_remove(struct reactor_io *io);
struct epoll_fd *epoll_fd_get(struct epoll *e, int fd);
/** epoll_fd_changed() - who waits for it has changed */
void epoll_fd_changed(struct epoll *e, struct epoll_fd *f);
void epoll_fds_sync(struct reactor *r);
void epoll_fds_free(struct epoll *e);
static inline void epoll_done(struct epoll *e, struct reactor_io *io, int32_t result)
{
	epoll_io(io)->result = result;
	io_list_add(&e->done, io);
}

/* epoll_socket.c */
void epoll_connect(struct reactor *r, struct reactor_io *io, int fd, const struct sockaddr *addr,
		   socklen_t len);
void epoll_sendmsg(struct reactor *r, struct reactor_io *io, int fd, const struct msghdr *msg);
void epoll_recvmsg(struct reactor *r, struct reactor_io *io, int fd, struct msghdr *msg, int flags);
void epoll_poll(struct reactor *r, struct reactor_io *io, int fd, uint32_t events);
void epoll_cancel(struct reactor *r, struct reactor_io *io);
uint32_t epoll_io_events(struct reactor_io *io);
/** epoll_try_all() - the operations of this turn */
void epoll_try_all(struct reactor *r);
/** epoll_ready() - try those that wait for @f */
void epoll_ready(struct reactor *r, struct epoll_fd *f, uint32_t events);

/* epoll_recv.c */
void epoll_recv_start(struct reactor *r, struct reactor_recv *recv, int fd);
void epoll_recv_stop(struct reactor *r, struct reactor_recv *recv,
		     void (*stopped)(struct reactor_recv *recv));
void epoll_recv_released(struct reactor *r, void *buffer);
void epoll_recv_ready(struct reactor *r, struct epoll_fd *f);
void epoll_recv_failed(struct reactor *r, struct epoll_fd *f, int error);
void epoll_accept_start(struct reactor *r, struct reactor_accept *accept, int fd);
void epoll_accept_stop(struct reactor *r, struct reactor_accept *accept,
		       void (*stopped)(struct reactor_accept *accept));
void epoll_accept_ready(struct reactor *r, struct epoll_fd *f);

/* epoll_file.c */
void epoll_files_close(struct reactor *r);
void epoll_files_submit(struct reactor *r);
bool epoll_files_reap(struct reactor *r);
void epoll_readv(struct reactor *r, struct reactor_io *io, int fd, const struct iovec *iov,
		 unsigned int iovcnt, uint64_t offset);
void epoll_writev(struct reactor *r, struct reactor_io *io, int fd, const struct iovec *iov,
		  unsigned int iovcnt, uint64_t offset, bool dsync);
void epoll_fdatasync(struct reactor *r, struct reactor_io *io, int fd);
void epoll_fallocate(struct reactor *r, struct reactor_io *io, int fd, int mode, uint64_t offset,
		     uint64_t len);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll backend: who waits for which descriptor, and telling epoll about it once a turn.
 *
 * Level-triggered: a descriptor is in epoll only while somebody waits for it, and only for what is
 * waited for, so nothing fires that nobody handles and no event can be lost.
 *
 * Threading: the reactor's own thread.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "reactor/epoll.h"

#define FDS_START 64u

/* --- lists ---------------------------------------------------------------------------------- */

void io_list_add(struct io_list *list, struct reactor_io *io)
{
	struct epoll_io *x = epoll_io(io);

	x->list = list;
	x->next = NULL;
	if (list->head)
		epoll_io(list->tail)->next = io;
	else
		list->head = io;
	list->tail = io;
}

struct reactor_io *io_list_take(struct io_list *list)
{
	struct reactor_io *io = list->head;

	if (io) {
		list->head = epoll_io(io)->next;
		epoll_io(io)->list = NULL;
	}
	return io;
}

void io_list_remove(struct reactor_io *io)
{
	struct io_list *list = epoll_io(io)->list;
	struct reactor_io *prev = NULL;

	/* What is taken out of the middle is rare, and lists are short. */
	for (struct reactor_io *at = list->head; at != io; at = epoll_io(at)->next)
		prev = at;
	if (prev)
		epoll_io(prev)->next = epoll_io(io)->next;
	else
		list->head = epoll_io(io)->next;
	if (list->tail == io)
		list->tail = prev;
	epoll_io(io)->list = NULL;
}

/* --- the table ------------------------------------------------------------------------------ */

static void no_memory(int fd)
{
	log_error("no memory to watch descriptor %d: giving up", fd);
	abort();
}

static void grow(struct epoll *e, int fd)
{
	unsigned int size = e->fds_size ? e->fds_size : FDS_START;
	struct epoll_fd **fds;

	while (size <= (unsigned int)fd)
		size *= 2;
	fds = reallocarray(e->fds, size, sizeof(*fds));
	if (!fds)
		no_memory(fd);
	memset(&fds[e->fds_size], 0, (size - e->fds_size) * sizeof(*fds));
	e->fds = fds;
	e->fds_size = size;
}

struct epoll_fd *epoll_fd_get(struct epoll *e, int fd)
{
	assert(fd >= 0);
	if ((unsigned int)fd >= e->fds_size)
		grow(e, fd);
	if (!e->fds[fd]) {
		e->fds[fd] = calloc(1, sizeof(*e->fds[fd]));
		if (!e->fds[fd])
			no_memory(fd);
		e->fds[fd]->fd = fd;
	}
	return e->fds[fd];
}

void epoll_fds_free(struct epoll *e)
{
	for (unsigned int i = 0; i < e->fds_size; i++)
		free(e->fds[i]);
	free(e->fds);
}

/* --- what epoll knows ----------------------------------------------------------------------- */

static uint32_t wanted(const struct epoll_fd *f)
{
	uint32_t events = 0;

	if (f->recv && !recv_state(f->recv)->starving)
		events |= EPOLLIN;
	if (f->accept)
		events |= EPOLLIN;
	for (struct reactor_io *io = f->waiting.head; io; io = epoll_io(io)->next)
		events |= epoll_io_events(io);
	return events;
}

void epoll_fd_changed(struct epoll *e, struct epoll_fd *f)
{
	if (wanted(f) == 0)
		f->renew = true;
	if (f->dirty)
		return;
	f->dirty = true;
	f->dirty_next = e->dirty;
	e->dirty = f;
}

static int control(struct epoll *e, int op, struct epoll_fd *f, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = f };

	return epoll_ctl(e->fd, op, f->fd, &event) < 0 ? -errno : 0;
}

/* What epoll cannot watch fails, except that poll(2) calls a file ready at all times. */
static void watch_failed(struct reactor *r, struct epoll_fd *f, int rc)
{
	struct reactor_io *io;

	while ((io = io_list_take(&f->waiting)) != NULL) {
		struct epoll_io *x = epoll_io(io);

		if (rc == -EPERM && x->kind == EPOLL_IO_POLL)
			epoll_done(r->backend, io, x->sock.events & (POLLIN | POLLOUT));
		else
			epoll_done(r->backend, io, rc);
	}
	epoll_recv_failed(r, f, rc);
}

static void sync_one(struct reactor *r, struct epoll_fd *f)
{
	struct epoll *e = r->backend;
	uint32_t events = wanted(f);
	int rc;

	if (events == 0) {
		/* Fails when the descriptor was closed meanwhile, which is as good. */
		if (f->armed)
			(void)control(e, EPOLL_CTL_DEL, f, 0);
		f->armed = 0;
		return;
	}
	if (events == f->armed && !f->renew)
		return;
	rc = control(e, f->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, f, events);
	if (rc == -ENOENT)
		rc = control(e, EPOLL_CTL_ADD, f, events);
	else if (rc == -EEXIST)
		rc = control(e, EPOLL_CTL_MOD, f, events);
	r->stats.syscalls++;
	f->renew = false;
	f->armed = rc < 0 ? 0 : events;
	if (rc < 0)
		watch_failed(r, f, rc);
}

void epoll_fds_sync(struct reactor *r)
{
	struct epoll *e = r->backend;
	struct epoll_fd *f;

	while ((f = e->dirty) != NULL) {
		e->dirty = f->dirty_next;
		f->dirty = false;
		sync_one(r, f);
	}
}

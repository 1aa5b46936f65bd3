/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll backend: for kernels and containers that forbid io_uring. Opening, the turn and sleep.
 *
 * Threading: as backend.h says.
 */
#include "reactor/epoll.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

/* --- opening -------------------------------------------------------------------------------- */

static int epoll_probe(struct error *err)
{
	(void)err;
	return 0;
}

static int epoll_open(struct reactor *r, struct error *err)
{
	struct epoll *e = calloc(1, sizeof(*e));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &r->wake_fd };
	int rc;

	if (!e)
		return error_set(err, -ENOMEM, "reactor %u: no memory for epoll", r->index);
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0 || epoll_ctl(e->fd, EPOLL_CTL_ADD, r->wake_fd, &event) < 0) {
		rc = error_set(err, -errno, "reactor %u: epoll: %s", r->index,
			       error_errno_text(-errno));
		if (e->fd >= 0)
			close(e->fd);
		free(e);
		return rc;
	}
	e->aio_fd = -1;
	r->backend = e;
	return 0;
}

static void epoll_begin(struct reactor *r)
{
	(void)r;
}

static void epoll_close(struct reactor *r)
{
	struct epoll *e = r->backend;

	epoll_files_close(r);
	epoll_fds_free(e);
	close(e->fd);
	free(e);
	r->backend = NULL;
}

/* --- the turn ------------------------------------------------------------------------------- */

static void drain(int fd)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	/* Readable, as epoll said; what it counts is of no interest. */
	(void)n;
}

static void dispatch(struct reactor *r, const struct epoll_event *event)
{
	struct epoll *e = r->backend;
	struct epoll_fd *f = event->data.ptr;

	if (event->data.ptr == &r->wake_fd) {
		drain(r->wake_fd);
		return;
	}
	if (event->data.ptr == &e->aio_fd) {
		drain(e->aio_fd);
		return;
	}
	epoll_ready(r, f, event->events);
	if (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
		if (f->recv && !recv_state(f->recv)->starving)
			epoll_recv_ready(r, f);
		if (f->accept)
			epoll_accept_ready(r, f);
	}
}

static bool tell_done(struct epoll *e)
{
	struct reactor_io *last = e->done.head ? e->done.tail : NULL;
	struct reactor_io *io = NULL;

	/* What is done inside these calls is for the next turn. */
	while (last && io != last) {
		io = io_list_take(&e->done);
		io->done(io, epoll_io(io)->result);
	}
	return last != NULL;
}

static bool epoll_reap(struct reactor *r)
{
	struct epoll *e = r->backend;
	bool any;
	int ready = e->ready;

	if (ready == 0) {
		r->stats.syscalls++;
		ready = epoll_wait(e->fd, e->events, EPOLL_EVENTS, 0);
	}
	e->ready = 0;
	for (int i = 0; i < ready; i++)
		dispatch(r, &e->events[i]);
	any = ready > 0;
	any |= epoll_files_reap(r);
	any |= tell_done(e);
	return any;
}

static void epoll_submit(struct reactor *r)
{
	struct epoll *e = r->backend;

	epoll_try_all(r);
	if (e->files.head)
		epoll_files_submit(r);
	if (e->dirty)
		epoll_fds_sync(r);
}

/* --- sleep ---------------------------------------------------------------------------------- */

static int sleep_for(struct epoll *e, uint64_t timeout_ns)
{
	const uint64_t hour_ns = 3600 * NS_PER_SEC;
	struct timespec ts;
	int rc;

	if (timeout_ns == UINT64_MAX)
		return epoll_wait(e->fd, e->events, EPOLL_EVENTS, -1);
	if (timeout_ns > hour_ns)
		timeout_ns = hour_ns;
	if (!e->wait_by_ms) {
		ts.tv_sec = (time_t)(timeout_ns / NS_PER_SEC);
		ts.tv_nsec = (long)(timeout_ns % NS_PER_SEC);
		rc = epoll_pwait2(e->fd, e->events, EPOLL_EVENTS, &ts, NULL);
		if (rc >= 0 || errno == EINTR)
			return rc;
		/* Before Linux 5.11, or hidden by seccomp: a timer may be up to 1 ms late. */
		e->wait_by_ms = true;
	}
	return epoll_wait(e->fd, e->events, EPOLL_EVENTS,
			  (int)((timeout_ns + NS_PER_MSEC - 1) / NS_PER_MSEC));
}

static void epoll_sleep(struct reactor *r, uint64_t timeout_ns)
{
	struct epoll *e = r->backend;
	int ready;

	e->told = false;
	epoll_submit(r);
	/* What was told may have started a timer or sent a message behind the back of the loop. */
	if (e->told || e->done.head || e->trying.head || e->dirty ||
	    (e->files.head && e->aio_flying == 0))
		return;
	r->stats.syscalls++;
	ready = sleep_for(e, timeout_ns);
	e->ready = ready > 0 ? ready : 0;
}

const struct backend_ops backend_epoll = {
	.name = "epoll",
	.probe = epoll_probe,
	.open = epoll_open,
	.begin = epoll_begin,
	.close = epoll_close,
	.reap = epoll_reap,
	.submit = epoll_submit,
	.wait = epoll_sleep,
	.readv = epoll_readv,
	.writev = epoll_writev,
	.fdatasync = epoll_fdatasync,
	.fallocate = epoll_fallocate,
	.connect = epoll_connect,
	.sendmsg = epoll_sendmsg,
	.recvmsg = epoll_recvmsg,
	.poll = epoll_poll,
	.cancel = epoll_cancel,
	.recv_start = epoll_recv_start,
	.recv_stop = epoll_recv_stop,
	.recv_released = epoll_recv_released,
	.accept_start = epoll_accept_start,
	.accept_stop = epoll_accept_stop,
};

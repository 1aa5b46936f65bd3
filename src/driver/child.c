/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a program to its end with its output read meanwhile.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/driver.h"

#define LEAVE_NS    NS_PER_SEC /* of one that was killed */
#define DRAIN_READS 64	       /* as much as a pipe may hold */

extern char **environ;

struct stream {
	struct child *child;
	struct loop_watch *watch;
	int fd;
	char *text;
	size_t len;
};

/**
 * struct child - a running program
 * @timer: of its time limit; NULL once that is over
 * @alone: it leads a process group, which ends with it
 * @pidfd: readable when it has ended: a program that leaves its output open to a daemon of its own
 *         is not waited for longer
 */
struct child {
	struct loop *loop;
	pid_t pid;
	int pidfd;
	struct stream out, err;
	struct loop_watch *end;
	struct loop_timer *timer;
	bool alone;
	bool ended;
	bool timed_out;
	char name[PATH_MAX];
};

static void stream_close(struct stream *s)
{
	loop_unwatch(s->child->loop, s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void stream_read(void *arg, short revents)
{
	struct stream *s = arg;
	char buf[16384];
	size_t room = CHILD_OUTPUT_MAX - s->len;
	ssize_t n = read(s->fd, buf, sizeof(buf));
	char *more;

	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		stream_close(s);
		return;
	}
	if ((size_t)n < room)
		room = (size_t)n;
	more = realloc(s->text, s->len + room + 1);
	if (!more)
		return;
	s->text = more;
	memcpy(more + s->len, buf, room);
	s->len += room;
	more[s->len] = '\0';
}

static void child_kill(const struct child *c)
{
	kill(c->alone ? -c->pid : c->pid, SIGKILL);
}

/* What it wrote last is in the pipe; who still writes to it is somebody else. */
static void drain(struct stream *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	for (int i = 0; i < DRAIN_READS && s->fd >= 0 && poll(&p, 1, 0) > 0; i++)
		stream_read(s, POLLIN);
}

static void on_end(void *arg, short revents)
{
	struct child *c = arg;

	(void)revents;
	/* As long as it is a zombie its group is no other's. */
	if (c->alone)
		child_kill(c);
	drain(&c->out);
	drain(&c->err);
	loop_timer_cancel(c->loop, c->timer);
	loop_unwatch(c->loop, c->end); /* it stays readable */
	c->timer = NULL;
	c->end = NULL;
	c->ended = true;
}

/* It sits in the kernel, where nothing ends it: nobody waits for it. */
static void on_stuck(void *arg)
{
	struct child *c = arg;

	c->timer = NULL;
	c->pid = 0;
	c->ended = true;
}

static void on_timeout(void *arg)
{
	struct child *c = arg;

	c->timed_out = true;
	child_kill(c);
	c->timer = loop_timer(c->loop, clock_ns() + LEAVE_NS, on_stuck, c);
	if (!c->timer)
		on_stuck(c);
}

/*
 * A supervisor outlives its caller by months: it may hold neither a lock that came by a descriptor
 * nor the mount of the working directory, and a caller that ignores SIGCHLD must not have made it
 * blind for the end of its target.
 */
static int spawn(struct child *c, char *const argv[], int out, int err_out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						(c->alone ? POSIX_SPAWN_SETPGROUP : 0)));
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, err_out, STDERR_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	posix_spawn_file_actions_addchdir_np(&actions, "/");
	rc = posix_spawnp(&c->pid, argv[0], &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

static int start(struct child *c, char *const argv[])
{
	int out[2], err_out[2], rc;

	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(err_out, O_CLOEXEC) < 0) {
		rc = -errno;
		close(out[0]);
		close(out[1]);
		return rc;
	}
	rc = spawn(c, argv, out[1], err_out[1]);
	close(out[1]);
	close(err_out[1]);
	c->out.fd = out[0];
	c->err.fd = err_out[0];
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err_out[0], F_SETFL, O_NONBLOCK);
	return rc;
}

static int follow(struct child *c, uint64_t timeout_ns)
{
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->pidfd < 0)
		return errno == ESRCH ? -ECHILD : -errno;
	c->out.watch = loop_watch(c->loop, c->out.fd, POLLIN, stream_read, &c->out);
	c->err.watch = loop_watch(c->loop, c->err.fd, POLLIN, stream_read, &c->err);
	c->end = loop_watch(c->loop, c->pidfd, POLLIN, on_end, c);
	c->timer = loop_timer(c->loop, clock_ns() + timeout_ns, on_timeout, c);
	return c->out.watch && c->err.watch && c->end && c->timer ? 0 : -ENOMEM;
}

/* Return: the status of waitpid(2), or -ECHILD in a process that ignores SIGCHLD. */
static int child_reap(struct child *c)
{
	int status = 0, rc = 0;

	while (c->pid > 0 && (rc = waitpid(c->pid, &status, 0)) < 0 && errno == EINTR)
		;
	c->pid = 0;
	return rc < 0 ? -ECHILD : status;
}

static void child_free(struct child *c)
{
	child_reap(c);
	loop_timer_cancel(c->loop, c->timer);
	loop_unwatch(c->loop, c->end);
	stream_close(&c->out);
	stream_close(&c->err);
	if (c->pidfd >= 0)
		close(c->pidfd);
	free(c->out.text);
	free(c->err.text);
	free(c);
}

static const char *failure_text(int rc)
{
	return rc == -ECHILD ? "this process ignores SIGCHLD, so that nobody is told of its end"
			     : error_errno_text(rc);
}

int child_begin(struct loop *l, char *const argv[], uint64_t timeout_ns, bool alone,
		struct child **out, struct error *err)
{
	struct child *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (!c)
		return error_set(err, -ENOMEM, "out of memory");
	*c = (struct child){ .loop = l, .alone = alone, .pidfd = -1, .out.fd = -1, .err.fd = -1 };
	c->out.child = c->err.child = c;
	snprintf(c->name, sizeof(c->name), "%s", argv[0]);
	rc = start(c, argv);
	if (rc == 0) {
		rc = follow(c, timeout_ns);
		if (rc < 0)
			child_kill(c);
	} else {
		c->pid = 0;
	}
	if (rc == 0) {
		*out = c;
		return 0;
	}
	child_free(c);
	return error_set(err, rc, "%s cannot be started: %s", argv[0], failure_text(rc));
}

/* What was read becomes the caller's. */
static int take_result(struct child *c, struct child_result *r)
{
	r->out = c->out.text ? c->out.text : strdup("");
	r->err_out = c->err.text ? c->err.text : strdup("");
	c->out.text = c->err.text = NULL;
	return r->out && r->err_out ? 0 : -ENOMEM;
}

int child_end(struct child *c, struct child_result *r, struct error *err)
{
	int rc = loop_run(c->loop, &c->ended);

	memset(r, 0, sizeof(*r));
	if (rc < 0)
		child_kill(c);
	r->status = child_reap(c);
	if (rc == 0)
		rc = c->timed_out ? -ETIMEDOUT : r->status < 0 ? r->status : take_result(c, r);
	if (rc < 0) {
		error_set(err, rc, "%s: %s", c->name,
			  rc == -ETIMEDOUT ? "did not end in time: killed" : failure_text(rc));
		child_result_fini(r);
	}
	child_free(c);
	return rc;
}

int child_run(struct loop *l, char *const argv[], uint64_t timeout_ns, struct child_result *r,
	      struct error *err)
{
	struct child *c;
	int rc = child_begin(l, argv, timeout_ns, false, &c, err);

	memset(r, 0, sizeof(*r));
	return rc < 0 ? rc : child_end(c, r, err);
}

void child_result_fini(struct child_result *r)
{
	free(r->out);
	free(r->err_out);
	r->out = r->err_out = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may block for ever (a device that hangs in open, a name server that is silent) is done in a
 * child process, each item under a time limit. A thread would not do: one that sits in the kernel
 * keeps its whole process from ending.
 *
 * The child keeps nothing of its parent open, above all no lock and no standard output, so that
 * one that cannot even be killed holds nobody up.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "probe/internal.h"

#define CHILD_FD     3
#define REAP_TRIES   20
#define REAP_WAIT_NS (NS_PER_MSEC / 2)

struct session {
	const struct probe_limited *job;
	size_t first; /* item of this child */
	pid_t pid;    /* -1: none runs */
	int fd;
};

static bool write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* The pipe first: it has a number below three where the caller has closed its standard streams. */
static void drop_inherited(int fd)
{
	int null;

	dup2(fd, CHILD_FD);
	null = open("/dev/null", O_RDWR);
	for (int i = 0; i < CHILD_FD && null >= 0; i++)
		dup2(null, i);
	close_range(CHILD_FD + 1, ~0U, 0);
}

static _Noreturn void child_main(const struct session *s, int fd)
{
	const struct probe_limited *job = s->job;
	char *answer = malloc(job->size);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, PROBE_CHILD_NAME);
	signal(SIGPIPE, SIG_DFL);
	drop_inherited(fd);
	for (size_t i = s->first; answer && i < job->count; i++) {
		memset(answer, 0, job->size);
		job->work(job->arg, i, answer);
		if (!write_all(CHILD_FD, answer, job->size))
			break;
	}
	_exit(0);
}

static int session_start(struct session *s, size_t first)
{
	int ends[2];

	s->first = first;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	s->pid = fork();
	if (s->pid == 0)
		child_main(s, ends[1]);
	close(ends[1]);
	if (s->pid < 0) {
		int rc = -errno;

		close(ends[0]);
		return rc;
	}
	s->fd = ends[0];
	return 0;
}

/* One that sits in the kernel does not even die: it is left to the next look. */
static void reap(struct probe *p, pid_t pid)
{
	for (int i = 0; i < REAP_TRIES; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = (long)REAP_WAIT_NS }, NULL);
	}
	if (p->stuck_count < sizeof(p->stuck) / sizeof(p->stuck[0]))
		p->stuck[p->stuck_count++] = pid;
}

static void session_end(struct probe *p, struct session *s)
{
	if (s->pid < 0)
		return;
	kill(s->pid, SIGKILL);
	close(s->fd);
	reap(p, s->pid);
	s->pid = -1;
}

void probe_reap(struct probe *p)
{
	size_t left = 0;

	for (size_t i = 0; i < p->stuck_count; i++) {
		if (waitpid(p->stuck[i], NULL, WNOHANG) == 0)
			p->stuck[left++] = p->stuck[i];
	}
	p->stuck_count = left;
}

/* Return: above 0 when there is something to read, 0 when the time is over. */
static int wait_for(const struct probe *p, int fd, uint64_t until)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t now;
	int rc = 0;

	if (p->wait)
		return p->wait(p->meanwhile_arg, fd, until);
	while (rc == 0 && (now = clock_ns()) < until) {
		rc = poll(&pfd, 1, (int)((until - now) / NS_PER_MSEC) + 1);
		if (rc < 0 && errno == EINTR)
			rc = 0;
	}
	return rc < 0 ? -errno : rc;
}

static int session_read(const struct probe *p, const struct session *s, char *answer,
			uint64_t until)
{
	size_t at = 0;

	while (at < s->job->size) {
		int rc = wait_for(p, s->fd, until);
		ssize_t n;

		if (rc <= 0)
			return rc < 0 ? rc : -ETIMEDOUT;
		n = read(s->fd, answer + at, s->job->size - at);
		if (n == 0)
			return -ECHILD;
		if (n > 0)
			at += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int take(const struct probe *p, struct session *s, size_t i, char *answer)
{
	int rc = s->pid < 0 ? session_start(s, i) : 0;

	return rc < 0 ? rc : session_read(p, s, answer, clock_ns() + s->job->limit_ns);
}

int probe_limited(struct probe *p, const struct probe_limited *job)
{
	struct session s = { .job = job, .pid = -1 };
	unsigned int blocked = 0;
	char *answer = malloc(job->size);

	if (!answer)
		return -ENOMEM;
	probe_reap(p);
	for (size_t i = 0; i < job->count; i++) {
		/* Many that block must not add up. */
		int rc = blocked < PROBE_LIMITED_ALL ? take(p, &s, i, answer) : -ETIME;

		blocked += rc == -ETIMEDOUT;
		if (rc < 0)
			session_end(p, &s);
		job->done(job->arg, i, rc, rc < 0 ? NULL : answer);
	}
	session_end(p, &s);
	free(answer);
	return 0;
}

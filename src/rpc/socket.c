/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket in the file system, and the lock beside it.
 *
 * PATH.lock is locked with flock(2) and holds the pid. Whoever has the lock may remove a stale
 * socket; the lock file is removed while it is held, so after locking one must see whether the
 * file one has locked is still the one that the name leads to.
 *
 * Threading: called at start and at the end.
 */
#include "rpc/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/listener.h"

#define LINGER_NS      NS_PER_SEC
#define STALE_NS       (30 * NS_PER_SEC) /* of a process that has ended */
#define LINGER_STEP_US 1000

static int refuse(const char *path, const char *what, int code, struct error *err)
{
	return error_set(err, code, "RPC socket %s: %s: %s", path, what, error_errno_text(code));
}

/* --- the lock --------------------------------------------------------------------------------- */

static void read_pid(int fd, char *pid, size_t size)
{
	ssize_t len = pread(fd, pid, size - 1, 0);

	pid[len > 0 ? len : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
}

static int refuse_second(const char *path, const char *lock_path, int lock, struct error *err)
{
	char pid[16];

	read_pid(lock, pid, sizeof(pid));
	return error_set(
		err, -EBUSY,
		"RPC socket %s: the process with pid %s serves it and holds %s; stop it, or "
		"choose another path with -r",
		path, pid[0] ? pid : "(not written yet)", lock_path);
}

static bool still_there(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_dev == named.st_dev &&
	       ours.st_ino == named.st_ino;
}

static int write_pid(int fd)
{
	char pid[16];
	int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) != len)
		return errno ? -errno : -EIO;
	return 0;
}

static int lock_take(struct rpc_socket *s, struct error *err)
{
	int rc;

	for (;;) {
		s->lock = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (s->lock < 0)
			return refuse(s->path, "cannot make its lock file beside it", -errno, err);
		if (flock(s->lock, LOCK_EX | LOCK_NB) < 0) {
			rc = errno == EWOULDBLOCK
				     ? refuse_second(s->path, s->lock_path, s->lock, err)
				     : refuse(s->path, "cannot lock its lock file", -errno, err);
			break;
		}
		if (still_there(s->lock, s->lock_path)) {
			rc = write_pid(s->lock);
			if (rc == 0)
				return 0;
			refuse(s->path, "cannot write its lock file", rc, err);
			unlink(s->lock_path);
			break;
		}
		/* Its holder removed it between our open and our lock. */
		close(s->lock);
	}
	close(s->lock);
	s->lock = -1;
	return rc;
}

static void lock_drop(struct rpc_socket *s)
{
	if (s->lock < 0)
		return;
	unlink(s->lock_path);
	close(s->lock);
	s->lock = -1;
}

/* --- the socket ------------------------------------------------------------------------------- */

static int address(const char *path, struct sockaddr_un *sa, struct error *err)
{
	size_t len = strlen(path);

	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len == 0 || len >= sizeof(sa->sun_path))
		return error_set(err, -EINVAL,
				 "RPC socket: the path has %zu bytes; it may have 1 to %zu", len,
				 sizeof(sa->sun_path) - 1);
	memcpy(sa->sun_path, path, len);
	return 0;
}

/* 1: somebody listens at @path; 0: nobody; -errno with @err. @stale: that one has ended */
static int is_served(const char *path, const struct sockaddr_un *sa, bool *stale, struct error *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc;

	if (fd < 0)
		return refuse(path, "cannot make a socket", -errno, err);
	rc = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0;
	if (rc)
		*stale = listener_is_stale(fd, 0);
	else
		rc = errno == EAGAIN; /* its backlog is full */
	close(fd);
	return rc;
}

/*
 * A server without a lock file of ours would lose its socket without noticing. That of a killed
 * server listens on for a moment, under load for seconds: its ring holds the socket until the
 * kernel has taken it down.
 */
static int check_unserved(const char *path, const struct sockaddr_un *sa, struct error *err)
{
	uint64_t begun = clock_ns();
	bool stale = false;
	int rc;

	while ((rc = is_served(path, sa, &stale, err)) > 0 &&
	       clock_ns() - begun < (stale ? STALE_NS : LINGER_NS))
		usleep(LINGER_STEP_US);
	if (rc > 0)
		return error_set(
			err, -EBUSY,
			"RPC socket %s: some process without a lock file serves it; stop it, or "
			"choose another path with -r",
			path);
	return rc;
}

static int remove_stale(const char *path, const struct sockaddr_un *sa, struct error *err)
{
	struct stat st;
	int rc;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : refuse(path, "cannot look at it", -errno, err);
	if (!S_ISSOCK(st.st_mode))
		return error_set(
			err, -EEXIST,
			"RPC socket %s: there is something that is no socket; remove it, or "
			"choose another path with -r",
			path);
	rc = check_unserved(path, sa, err);
	if (rc < 0)
		return rc;
	if (unlink(path) < 0 && errno != ENOENT)
		return refuse(path, "cannot remove what an earlier process left", -errno, err);
	return 0;
}

static int listen_on(struct rpc_socket *s, const struct sockaddr_un *sa, struct error *err)
{
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return refuse(s->path, "cannot make a socket", -errno, err);
	/* The file takes the mode that the socket has when it is bound: no moment with another. */
	if (fchmod(s->fd, 0600) < 0)
		return refuse(s->path, "cannot set its mode", -errno, err);
	if (bind(s->fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
		return refuse(s->path, "cannot bind", -errno, err);
	if (listen(s->fd, SOMAXCONN) < 0) {
		int rc = refuse(s->path, "cannot listen", -errno, err);

		unlink(s->path);
		return rc;
	}
	return 0;
}

static int socket_make(struct rpc_socket *s, struct error *err)
{
	struct sockaddr_un sa;
	int rc = address(s->path, &sa, err);

	if (rc == 0)
		rc = lock_take(s, err);
	if (rc == 0)
		rc = remove_stale(s->path, &sa, err);
	if (rc == 0)
		rc = listen_on(s, &sa, err);
	return rc;
}

static void socket_free(struct rpc_socket *s)
{
	if (s->fd >= 0)
		close(s->fd);
	lock_drop(s);
	free(s->path);
	free(s->lock_path);
}

int rpc_socket_open(struct rpc_socket *s, const char *path, struct error *err)
{
	int rc;

	*s = (struct rpc_socket){ .fd = -1, .lock = -1, .path = strdup(path) };
	if (asprintf(&s->lock_path, "%s.lock", path) < 0)
		s->lock_path = NULL;
	if (s->path && s->lock_path)
		rc = socket_make(s, err);
	else
		rc = error_set(err, -ENOMEM, "RPC socket %s: no memory", path);
	if (rc < 0)
		socket_free(s);
	return rc;
}

void rpc_socket_close(struct rpc_socket *s)
{
	unlink(s->path);
	socket_free(s);
}

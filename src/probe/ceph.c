/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ceph clusters that this node is configured for: do their monitors answer, which pools are there.
 * Name servers, monitors and librados may all be silent for ever: they are asked in a child
 * process.
 *
 * Threading: as probe.h.
 */
#include "probe/ceph.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MONITOR_WAIT_NS (NS_PER_SEC + NS_PER_SEC / 2)
#define MONITOR_JOB_NS	(4 * NS_PER_SEC) /* with the name server's time */
#define POOLS_JOB_NS	(5 * NS_PER_SEC)
#define POOLS_SECONDS	"2" /* for each answer */
#define BANNER_V2	"ceph v2\n"
#define BANNER_V1	"ceph v027"
#define BANNER_MAX	9

struct monitors_answer {
	struct {
		char protocol[4];
		char error[96];
	} items[PROBE_CEPH_MONITORS];
};

struct pools_answer {
	bool librbd;
	char user[64];
	char error[256];
	size_t count;
	char names[PROBE_CEPH_POOLS][128];
};

/** struct ask - a monitor that is being asked */
struct ask {
	int fd;
	bool connected;
	char banner[BANNER_MAX];
	size_t len;
};

static int start_connect(const struct probe_ceph_monitor *m, char *error, size_t size)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
					.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG };
	struct addrinfo *list = NULL;
	char port[16];
	int rc, fd;

	snprintf(port, sizeof(port), "%u", m->port);
	rc = getaddrinfo(m->host, port, &hints, &list);
	if (rc != 0) {
		snprintf(error, size, "no address: %s", gai_strerror(rc));
		return -1;
	}
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) < 0 && errno != EINPROGRESS) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		snprintf(error, size, "%s", error_errno_text(-errno));
	freeaddrinfo(list);
	return fd;
}

static void ask_end(struct ask *a, const char *protocol, char *out, char *error, const char *why)
{
	close(a->fd);
	a->fd = -1;
	if (protocol)
		strcpy(out, protocol);
	else
		snprintf(error, sizeof(((struct probe_ceph_monitor *)0)->error), "%s", why);
}

/* A monitor speaks first. */
static void ask_event(struct ask *a, char *protocol, char *error)
{
	int code = 0;
	ssize_t n;

	if (!a->connected) {
		getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &code, &(socklen_t){ sizeof(code) });
		a->connected = true;
		if (code) {
			ask_end(a, NULL, protocol, error, error_errno_text(-code));
			return;
		}
	}
	n = recv(a->fd, a->banner + a->len, sizeof(a->banner) - a->len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		ask_end(a, NULL, protocol, error, "it closed the connection without a greeting");
		return;
	}
	a->len += (size_t)n;
	if (a->len >= strlen(BANNER_V2) && !memcmp(a->banner, BANNER_V2, strlen(BANNER_V2)))
		ask_end(a, "v2", protocol, error, NULL);
	else if (a->len == BANNER_MAX)
		ask_end(a, memcmp(a->banner, BANNER_V1, BANNER_MAX) ? NULL : "v1", protocol, error,
			"what answers there is no Ceph monitor");
}

static void ask_all(struct ask *asks, size_t count, struct monitors_answer *answer)
{
	uint64_t until = clock_ns() + MONITOR_WAIT_NS, now;
	struct pollfd fds[PROBE_CEPH_MONITORS];
	size_t left;

	while ((now = clock_ns()) < until) {
		left = 0;
		for (size_t i = 0; i < count; i++) {
			fds[i].fd = asks[i].fd;
			fds[i].events = asks[i].connected ? POLLIN : POLLOUT;
			left += asks[i].fd >= 0;
		}
		if (!left || poll(fds, count, (int)((until - now) / NS_PER_MSEC) + 1) < 0)
			break;
		for (size_t i = 0; i < count; i++) {
			if (asks[i].fd >= 0 && fds[i].revents)
				ask_event(&asks[i], answer->items[i].protocol,
					  answer->items[i].error);
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (asks[i].fd >= 0)
			ask_end(&asks[i], NULL, answer->items[i].protocol, answer->items[i].error,
				asks[i].connected ? "it took the connection and is silent"
						  : "no answer in time");
	}
}

static void ask_monitors(void *arg, size_t i, void *out)
{
	const struct probe_ceph *c = &((const struct probe_ceph *)arg)[i];
	struct ask asks[PROBE_CEPH_MONITORS] = { 0 };
	struct monitors_answer *answer = out;

	for (size_t k = 0; k < c->monitor_count; k++)
		asks[k].fd = start_connect(&c->monitors[k], answer->items[k].error,
					   sizeof(answer->items[k].error));
	ask_all(asks, c->monitor_count, answer);
}

static void done_monitors(void *arg, size_t i, int status, const void *out)
{
	struct probe_ceph *c = &((struct probe_ceph *)arg)[i];
	const struct monitors_answer *answer = out;

	for (size_t k = 0; k < c->monitor_count; k++) {
		struct probe_ceph_monitor *m = &c->monitors[k];

		if (status < 0) {
			snprintf(m->error, sizeof(m->error), "not asked in time (name server?)");
			continue;
		}
		snprintf(m->protocol, sizeof(m->protocol), "%s", answer->items[k].protocol);
		snprintf(m->error, sizeof(m->error), "%s", answer->items[k].error);
		c->reachable = c->reachable || m->protocol[0];
	}
	if (!c->reachable && !c->error[0])
		snprintf(c->error, sizeof(c->error), "no monitor answers; %.100s port %u: %.90s",
			 c->monitors[0].host, c->monitors[0].port, c->monitors[0].error);
}

/* Names one after another, each with its end; an empty one ends them. */
static void take_pools(const struct ceph_rados *r, void *cluster, struct pools_answer *answer)
{
	static char buf[64 * 1024];
	int n = r->pool_list(cluster, buf, sizeof(buf) - 1);

	if (n < 0) {
		snprintf(answer->error, sizeof(answer->error), "its pools were not told: %s",
			 error_errno_text(n));
		return;
	}
	for (const char *at = buf; *at && answer->count < PROBE_CEPH_POOLS; at += strlen(at) + 1)
		snprintf(answer->names[answer->count++], sizeof(answer->names[0]), "%.127s", at);
}

/* As the first user that is let in; without a keyring too, since a cluster may want none. */
static int rados_enter(const struct ceph_rados *r, const struct probe_ceph *c, void **cluster,
		       struct pools_answer *answer)
{
	const char *none = ", without a keyring that may be read";
	int rc = -EACCES;

	for (size_t i = 0; rc != 0 && rc != -ETIMEDOUT && i < c->keyring_count; i++) {
		if (!c->keyrings[i].readable)
			continue;
		none = "";
		snprintf(answer->user, sizeof(answer->user), "%s", c->keyrings[i].user);
		rc = ceph_rados_session(r,
					&(struct ceph_session){ c->name, c->keyrings[i].user,
								c->path, c->keyrings[i].path,
								POOLS_SECONDS },
					cluster);
	}
	if (none[0]) {
		snprintf(answer->user, sizeof(answer->user), "client.admin");
		rc = ceph_rados_session(r,
					&(struct ceph_session){ c->name, answer->user, c->path,
								NULL, POOLS_SECONDS },
					cluster);
	}
	if (rc < 0)
		snprintf(answer->error, sizeof(answer->error), "as %s%s it was not let in: %s",
			 answer->user, none, error_errno_text(rc));
	return rc;
}

static void ask_pools(void *arg, size_t i, void *out)
{
	const struct probe_ceph *c = &((const struct probe_ceph *)arg)[i];
	struct pools_answer *answer = out;
	void *cluster = NULL;
	struct ceph_rados r;

	answer->librbd = ceph_has_librbd();
	if (!c->reachable)
		return;
	if (!ceph_rados_open(&r))
		snprintf(answer->error, sizeof(answer->error),
			 "its pools cannot be listed without librados: install librados2");
	else if (rados_enter(&r, c, &cluster, answer) == 0)
		take_pools(&r, cluster, answer);
}

static void done_pools(void *arg, size_t i, int status, const void *out)
{
	struct probe_ceph *c = &((struct probe_ceph *)arg)[i];
	const struct pools_answer *answer = out;

	c->librbd = status == 0 && answer->librbd;
	if (!c->reachable)
		return;
	if (status < 0) {
		snprintf(c->error, sizeof(c->error), "its pools were not told in time");
		return;
	}
	snprintf(c->user, sizeof(c->user), "%s", answer->user);
	snprintf(c->error, sizeof(c->error), "%s", answer->error);
	c->pools = calloc(answer->count + 1, sizeof(*c->pools));
	c->pool_count = c->pools ? answer->count : 0;
	if (c->pool_count)
		memcpy(c->pools, answer->names, answer->count * sizeof(*c->pools));
}

static bool is_known(const struct probe_ceph *list, ssize_t count, const char *path)
{
	for (ssize_t i = 0; i < count; i++) {
		if (!strcmp(list[i].path, path))
			return true;
	}
	return false;
}

static ssize_t add_conf(struct probe *p, struct probe_ceph **list, ssize_t count, const char *path)
{
	struct probe_ceph *more;

	if (count < 0 || is_known(*list, count, path))
		return count;
	more = realloc(*list, (size_t)(count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	*list = more;
	ceph_read_conf(p, &more[count], path);
	return count + 1;
}

static ssize_t add_confs(struct probe *p, struct probe_ceph **list)
{
	const char *own = p->live ? getenv("CEPH_CONF") : NULL;
	ssize_t count = own && own[0] == '/' ? add_conf(p, list, 0, own) : 0;
	DIR *dir = probe_opendir(p, "/etc/ceph");
	char path[PATH_MAX];
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		size_t len = strlen(e->d_name);

		if (len < 6 || e->d_name[0] == '.' || strcmp(e->d_name + len - 5, ".conf") != 0)
			continue;
		snprintf(path, sizeof(path), "/etc/ceph/%s", e->d_name);
		count = add_conf(p, list, count, path);
	}
	if (dir)
		closedir(dir);
	return count;
}

ssize_t probe_ceph(struct probe *p, struct probe_ceph **out)
{
	struct probe_limited job = { .limit_ns = MONITOR_JOB_NS,
				     .size = sizeof(struct monitors_answer),
				     .work = ask_monitors,
				     .done = done_monitors };
	ssize_t count;
	int rc;

	*out = NULL;
	count = add_confs(p, out);
	if (count <= 0)
		return count;
	job.arg = *out;
	job.count = (size_t)count;
	rc = probe_limited(p, &job);
	job.limit_ns = POOLS_JOB_NS;
	job.size = sizeof(struct pools_answer);
	job.work = ask_pools;
	job.done = done_pools;
	if (rc == 0)
		rc = probe_limited(p, &job);
	if (rc == 0)
		return count;
	probe_ceph_free(*out, (size_t)count);
	*out = NULL;
	return rc;
}

void probe_ceph_free(struct probe_ceph *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i].pools);
	free(list);
}

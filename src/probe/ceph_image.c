/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One image of a Ceph cluster: is it there, how large is it, who has it open.
 *
 * Threading: as probe.h. The cluster is asked in a child process, under a time limit.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "probe/ceph.h"

#define IMAGE_JOB_NS  (12 * NS_PER_SEC)
#define IMAGE_SECONDS "5" /* for each answer */
#define WATCHERS_MAX  16
#define LOCK_TEXT     1024
#define AUTOMATIC     "auto " /* how librbd's own locks are called, which it takes from the dead */
#define LIBRADOS_NAME "ceph"

/** struct question - to a cluster; @pool and @image NULL when only it is asked itself */
struct question {
	const char *conf, *user, *pool, *image;
	struct probe_ceph_image *out;
	int rc;
};

struct answer {
	int rc;
	struct probe_ceph_image image;
};

/* As in librbd.h. */
struct watcher {
	char *addr;
	int64_t id;
	uint64_t cookie;
};

struct rbd {
	int (*open_read_only)(void *ioctx, const char *name, void **image, const char *snapshot);
	int (*get_size)(void *image, uint64_t *size);
	int (*watchers_list)(void *image, struct watcher *watchers, size_t *max);
	ssize_t (*list_lockers)(void *image, int *exclusive, char *tag, size_t *tag_len,
				char *clients, size_t *clients_len, char *cookies,
				size_t *cookies_len, char *addrs, size_t *addrs_len);
};

static bool rbd_open(struct rbd *r)
{
	void *lib = dlopen("librbd.so.1", RTLD_NOW | RTLD_LOCAL);

	if (!lib)
		return false;
	*(void **)&r->open_read_only = dlsym(lib, "rbd_open_read_only");
	*(void **)&r->get_size = dlsym(lib, "rbd_get_size");
	*(void **)&r->watchers_list = dlsym(lib, "rbd_watchers_list");
	*(void **)&r->list_lockers = dlsym(lib, "rbd_list_lockers");
	return r->open_read_only && r->get_size && r->watchers_list && r->list_lockers;
}

static int fail(struct answer *a, int rc, const char *what, const char *name)
{
	snprintf(a->image.error, sizeof(a->image.error), "%s%s%.100s%s: %s", what,
		 name ? " \"" : "", name ? name : "", name ? "\"" : "", error_errno_text(rc));
	return rc;
}

/* Whoever has it open for writing; one that reads only is not told by librbd. */
static int take_watchers(const struct rbd *r, void *image, struct probe_ceph_image *out)
{
	struct watcher list[WATCHERS_MAX];
	size_t count = WATCHERS_MAX;
	int rc = r->watchers_list(image, list, &count);

	if (rc == -ERANGE)
		rc = 0;
	else if (rc == 0 && count)
		snprintf(out->watcher, sizeof(out->watcher), "%.60s", list[0].addr);
	out->watchers = rc == 0 ? count : 0;
	return rc;
}

/* Not what librbd locks by itself while it writes: that goes with the watcher. */
static int take_locker(const struct rbd *r, void *image, struct probe_ceph_image *out)
{
	char tag[LOCK_TEXT], clients[LOCK_TEXT], cookies[LOCK_TEXT], addrs[LOCK_TEXT];
	size_t tag_len = LOCK_TEXT, clients_len = LOCK_TEXT, cookies_len = LOCK_TEXT,
	       addrs_len = LOCK_TEXT;
	int exclusive;
	ssize_t n = r->list_lockers(image, &exclusive, tag, &tag_len, clients, &clients_len,
				    cookies, &cookies_len, addrs, &addrs_len);

	if (n > 0 && strncmp(cookies, AUTOMATIC, strlen(AUTOMATIC)) != 0)
		snprintf(out->locker, sizeof(out->locker), "%.60s, \"%.40s\"", clients, cookies);
	return n < 0 && n != -ERANGE ? (int)n : 0;
}

static int look(const struct rbd *r, void *image, struct probe_ceph_image *out)
{
	int rc = r->get_size(image, &out->size);

	if (rc == 0)
		rc = take_watchers(r, image, out);
	return rc < 0 ? rc : take_locker(r, image, out);
}

static int ask_image(const struct question *q, const struct ceph_rados *rados, void *cluster,
		     struct answer *a)
{
	void *ioctx, *image;
	struct rbd r;
	int rc;

	if (!rbd_open(&r))
		return fail(a, -ENOSYS, "librbd is not installed (librbd1)", NULL);
	rc = rados->ioctx_create(cluster, q->pool, &ioctx);
	if (rc < 0)
		return fail(a, rc, "pool", q->pool);
	rc = r.open_read_only(ioctx, q->image, &image, NULL);
	if (rc == 0)
		rc = look(&r, image, &a->image);
	return rc < 0 ? fail(a, rc, "image", q->image) : 0;
}

static void ask(void *arg, size_t i, void *out)
{
	const struct question *q = arg;
	struct answer *a = out;
	void *cluster = NULL;
	struct ceph_rados r;
	char user[80];

	(void)i;
	snprintf(user, sizeof(user), "client.%.70s", q->user);
	if (!ceph_rados_open(&r)) {
		a->rc = fail(a, -ENOSYS, "librados is not installed (librados2)", NULL);
		return;
	}
	a->rc = ceph_rados_session(
		&r, &(struct ceph_session){ LIBRADOS_NAME, user, q->conf, NULL, IMAGE_SECONDS },
		&cluster);
	if (a->rc < 0)
		fail(a, a->rc, "not let in as the user", q->user);
	a->image.entered = a->rc == 0;
	if (a->rc == 0 && q->image)
		a->rc = ask_image(q, &r, cluster, a);
}

static void done(void *arg, size_t i, int status, const void *out)
{
	struct question *q = arg;
	const struct answer *a = out;

	(void)i;
	q->rc = status < 0 ? status : a->rc;
	if (status == 0)
		*q->out = a->image;
	else
		snprintf(q->out->error, sizeof(q->out->error), "no answer in time");
}

int probe_ceph_image(struct probe *p, const char *conf, const char *user, const char *pool,
		     const char *image, struct probe_ceph_image *out)
{
	struct question q = {
		.conf = conf, .user = user, .pool = pool, .image = image, .out = out
	};
	struct probe_limited job = { .count = 1,
				     .size = sizeof(struct answer),
				     .limit_ns = IMAGE_JOB_NS,
				     .work = ask,
				     .done = done,
				     .arg = &q };
	int rc;

	memset(out, 0, sizeof(*out));
	rc = probe_limited(p, &job);
	return rc < 0 ? rc : q.rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to Ceph clusters: by name, for many bdevs, or of one bdev alone.
 *
 * Threading: reactor 0, except connecting and disconnecting, which are for threads of calls.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpuset.h"
#include "base/log.h"
#include "bdev_modules/rbd_internal.h"

static TAILQ_HEAD(, rbd_cluster) clusters = TAILQ_HEAD_INITIALIZER(clusters);

static struct rbd_cluster *find(const char *name)
{
	struct rbd_cluster *c;

	TAILQ_FOREACH (c, &clusters, link) {
		if (!strcmp(c->name, name))
			return c;
	}
	return NULL;
}

static void cluster_free(struct rbd_cluster *c)
{
	json_decref(c->settings);
	free(c->name);
	free(c);
}

/* --- settings ------------------------------------------------------------------------------- */

static void set_text(json_t *settings, const char *name, const char *value)
{
	if (value != NULL)
		json_object_set_new(settings, name, json_string(value));
}

static void set_pairs(json_t *settings, const char *name, const char **pairs)
{
	json_t *o;

	if (pairs == NULL)
		return;
	o = json_object();
	for (; *pairs != NULL; pairs += 2)
		json_object_set_new(o, pairs[0], json_string(pairs[1]));
	json_object_set_new(settings, name, o);
}

static const char *setting(const struct rbd_cluster *c, const char *name)
{
	return json_string_value(json_object_get(c->settings, name));
}

static struct rbd_cluster *cluster_new(const char *name)
{
	struct rbd_cluster *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->settings = json_object();
	if (name != NULL)
		c->name = strdup(name);
	if (c->settings == NULL || (name != NULL && c->name == NULL)) {
		cluster_free(c);
		return NULL;
	}
	return c;
}

/* --- connecting (a call's thread) ----------------------------------------------------------- */

/* librados's threads are started by this one and run where it does. */
static int keep_to_cores(const struct rbd_cluster *c, struct error *err)
{
	const char *mask = setting(c, "core_mask");
	cpu_set_t cores;

	if (mask == NULL)
		return 0;
	if (cpuset_parse(mask, &cores, err) < 0)
		return err->code;
	if (sched_setaffinity(0, sizeof(cores), &cores) < 0)
		return error_set(err, -errno, "core_mask %s: %s", mask, error_errno_text(-errno));
	return 0;
}

static int set_option(const struct rbd_cluster *c, void *rados, const char *name, const char *value,
		      struct error *err)
{
	int rc = c->lib->rados_conf_set(rados, name, value);

	return rc < 0 ? error_set(err, rc, "librados does not take the option %s = \"%s\": %s",
				  name, value, error_errno_text(rc))
		      : 0;
}

/* As SPDK: a bdev's own connection has its own options or the file, others may have both. */
static int read_file(const struct rbd_cluster *c, void *rados, struct error *err)
{
	const char *path = setting(c, "config_file");
	int rc = 0;

	if (json_object_get(c->settings, "config") == NULL)
		rc = c->lib->rados_conf_read_file(rados, path);
	if (rc < 0 && (path != NULL || c->name == NULL))
		return error_set(err, rc, "Ceph's configuration %s cannot be read: %s",
				 path != NULL ? path : "/etc/ceph/ceph.conf", error_errno_text(rc));
	return 0;
}

static int configure(const struct rbd_cluster *c, void *rados, struct error *err)
{
	json_t *pairs = json_object_get(c->settings, c->name != NULL ? "config_param" : "config");
	const char *name, *key_file = setting(c, "key_file");
	json_t *value;
	int rc = read_file(c, rados, err);

	/* A target whose cluster is away must say so soon. */
	if (rc == 0)
		rc = set_option(c, rados, "client_mount_timeout", RBD_CONNECT_SECONDS, err);
	if (rc == 0)
		rc = set_option(c, rados, "rados_mon_op_timeout", RBD_CONNECT_SECONDS, err);
	json_object_foreach (pairs, name, value) {
		if (rc == 0)
			rc = set_option(c, rados, name, json_string_value(value), err);
	}
	if (rc == 0 && key_file != NULL)
		rc = set_option(c, rados, "keyring", key_file, err);
	return rc;
}

static int refuse_connect(const struct rbd_cluster *c, int rc, struct error *err)
{
	const char *user = setting(c, "user_id"), *advice = "";

	if (rc == -ETIMEDOUT)
		advice = ": no monitor answered; look at them, and at mon_host";
	else if (rc == -EACCES || rc == -EPERM)
		advice = ": its key is not the cluster's";
	else if (rc == -ENOENT)
		advice = ": its keyring, or the address of a monitor, is not found";
	return error_set(err, rc, "Ceph cluster%s%s, as user %s: %s%s", c->name != NULL ? " " : "",
			 c->name != NULL ? c->name : "", user != NULL ? user : "admin",
			 error_errno_text(rc), advice);
}

int rbd_cluster_connect(struct rbd_cluster *c, struct error *err)
{
	void *rados = NULL;
	int rc = rbd_lib_open(&c->lib, err);

	if (rc == 0)
		rc = keep_to_cores(c, err);
	if (rc < 0)
		return rc;
	rc = c->lib->rados_create(&rados, setting(c, "user_id"));
	if (rc < 0)
		return error_set(err, rc, "librados cannot be used: %s", error_errno_text(rc));
	rc = configure(c, rados, err);
	if (rc == 0) {
		rc = c->lib->rados_connect(rados);
		if (rc < 0)
			refuse_connect(c, rc, err);
	}
	if (rc < 0) {
		c->lib->rados_shutdown(rados);
		return rc;
	}
	c->rados = rados;
	return 0;
}

void rbd_cluster_disconnect(struct rbd_cluster *c)
{
	if (c->rados != NULL)
		c->lib->rados_shutdown(c->rados);
	c->rados = NULL;
}

/* --- disconnecting -------------------------------------------------------------------------- */

static struct rbd_cluster *cluster_of(struct rbd_call *call)
{
	return container_of(call, struct rbd_cluster, call);
}

static int shutdown_run(struct rbd_call *call, struct error *err)
{
	(void)err;
	rbd_cluster_disconnect(cluster_of(call));
	return 0;
}

static void shutdown_answer(struct rbd_call *call, int result, const struct error *err)
{
	struct rbd_cluster *c = cluster_of(call);

	if (c->done != NULL)
		c->done(c->arg, result, NULL, err);
}

static void shutdown_end(struct rbd_call *call)
{
	cluster_free(cluster_of(call));
}

/* Of one that is in no list any more. */
static void shut_down(struct rbd_cluster *c, bdev_rbd_done_fn *done, void *arg)
{
	c->done = done;
	c->arg = arg;
	c->call = (struct rbd_call){ .limit_ns = RBD_CLOSE_NS,
				     .run = shutdown_run,
				     .answer = shutdown_answer,
				     .end = shutdown_end };
	snprintf(c->call.what, sizeof(c->call.what), "the connection to Ceph cluster %s is closed",
		 c->name);
	rbd_call_start_sure(&c->call);
}

/* --- registering ---------------------------------------------------------------------------- */

static int connect_run(struct rbd_call *call, struct error *err)
{
	return rbd_cluster_connect(cluster_of(call), err);
}

static void connect_answer(struct rbd_call *call, int result, const struct error *err)
{
	struct rbd_cluster *c = cluster_of(call);

	c->ready = result == 0;
	if (result < 0)
		TAILQ_REMOVE(&clusters, c, link);
	c->done(c->arg, result, NULL, err);
}

/* A connection that came too late is not wanted any more. */
static void connect_end(struct rbd_call *call)
{
	struct rbd_cluster *c = cluster_of(call);

	if (c->ready)
		return;
	if (c->rados != NULL)
		shut_down(c, NULL, NULL);
	else
		cluster_free(c);
}

static int check(const struct bdev_rbd_cluster_options *o, struct error *err)
{
	cpu_set_t cores;

	if (find(o->name) != NULL)
		return error_set(err, -EEXIST,
				 "there is a Ceph cluster \"%s\" already: choose another name, or "
				 "unregister that",
				 o->name);
	if (o->core_mask != NULL && cpuset_parse(o->core_mask, &cores, err) < 0)
		return error_prefix(err, "core_mask of Ceph cluster \"%s\": ", o->name);
	return 0;
}

int bdev_rbd_register_cluster(const struct bdev_rbd_cluster_options *o, bdev_rbd_done_fn *done,
			      void *arg, struct error *err)
{
	struct rbd_cluster *c;
	int rc = check(o, err);

	if (rc < 0)
		return rc;
	c = cluster_new(o->name);
	if (c == NULL)
		return error_set(err, -ENOMEM, "no memory for Ceph cluster \"%s\"", o->name);
	set_text(c->settings, "user_id", o->user_id);
	set_pairs(c->settings, "config_param", o->config_param);
	set_text(c->settings, "config_file", o->config_file);
	set_text(c->settings, "key_file", o->key_file);
	set_text(c->settings, "core_mask", o->core_mask);
	c->done = done;
	c->arg = arg;
	c->call = (struct rbd_call){ .limit_ns = RBD_CALL_NS,
				     .run = connect_run,
				     .answer = connect_answer,
				     .end = connect_end };
	snprintf(c->call.what, sizeof(c->call.what), "Ceph cluster %s is connected to", o->name);
	rc = rbd_call_start(&c->call, err);
	if (rc < 0)
		cluster_free(c);
	else
		TAILQ_INSERT_TAIL(&clusters, c, link);
	return rc;
}

/* --- unregistering -------------------------------------------------------------------------- */

static int refuse_name(const char *name, struct error *err)
{
	return error_set(err, -ENOENT,
			 "there is no Ceph cluster \"%s\": register it first "
			 "(bdev_rbd_register_cluster)",
			 name);
}

int bdev_rbd_unregister_cluster(const char *name, bdev_rbd_done_fn *done, void *arg,
				struct error *err)
{
	struct rbd_cluster *c = find(name);

	if (c == NULL)
		return refuse_name(name, err);
	if (!c->ready)
		return error_set(err, -EBUSY, "Ceph cluster \"%s\" is just being connected to",
				 name);
	if (c->users > 0)
		return error_set(err, -EBUSY, "Ceph cluster \"%s\" has %u bdevs: delete them first",
				 name, c->users);
	TAILQ_REMOVE(&clusters, c, link);
	shut_down(c, done, arg);
	return 0;
}

void rbd_clusters_close(void)
{
	struct rbd_cluster *c = TAILQ_FIRST(&clusters), *next;

	for (; c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!c->ready || c->users > 0)
			continue;
		TAILQ_REMOVE(&clusters, c, link);
		shut_down(c, NULL, NULL);
	}
}

/* --- users ---------------------------------------------------------------------------------- */

int rbd_cluster_take(const struct bdev_rbd_options *o, struct rbd_cluster **out, struct error *err)
{
	struct rbd_cluster *c = o->cluster_name != NULL ? find(o->cluster_name) : cluster_new(NULL);

	if (o->cluster_name != NULL && (c == NULL || !c->ready))
		return refuse_name(o->cluster_name, err);
	if (c == NULL)
		return error_set(err, -ENOMEM, "no memory for a connection to Ceph");
	if (c->name == NULL) {
		set_text(c->settings, "user_id", o->user_id);
		set_pairs(c->settings, "config", o->config);
	}
	c->users++;
	*out = c;
	return 0;
}

void rbd_cluster_put(struct rbd_cluster *c)
{
	c->users--;
	if (c->name == NULL)
		cluster_free(c);
}

/* --- what is shown and saved ---------------------------------------------------------------- */

json_t *bdev_rbd_clusters(void)
{
	json_t *list = json_array(), *o;
	const struct rbd_cluster *c;

	TAILQ_FOREACH (c, &clusters, link) {
		if (!c->ready)
			continue;
		o = json_pack("{s:s}", "cluster_name", c->name);
		json_object_update(o, c->settings);
		json_array_append_new(list, o);
	}
	return list;
}

void rbd_clusters_save(json_t *array)
{
	const struct rbd_cluster *c;
	json_t *params;

	TAILQ_FOREACH (c, &clusters, link) {
		if (!c->ready)
			continue;
		params = json_pack("{s:s}", "name", c->name);
		json_object_update(params, c->settings);
		bdev_save_method(array, "bdev_rbd_register_cluster", params);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target shows: looking at it, and making it what is recorded. Everything here may be
 * repeated at any point.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "driver/export.h"

json_t *export_namespace(const json_t *subsystem, uint32_t nsid)
{
	json_t *ns;
	size_t i;

	json_array_foreach (json_object_get(subsystem, "namespaces"), i, ns) {
		if (json_integer_value(json_object_get(ns, "nsid")) == (json_int_t)nsid)
			return ns;
	}
	return NULL;
}

static const json_t *listener_at(const json_t *subsystem, const struct attachment *a)
{
	char port[8];
	json_t *l;
	size_t i;

	snprintf(port, sizeof(port), "%u", a->port);
	json_array_foreach (json_object_get(subsystem, "listen_addresses"), i, l) {
		if (!strcasecmp(view_text(l, "trtype"), "TCP") &&
		    !strcmp(view_text(l, "traddr"), a->address) &&
		    !strcmp(view_text(l, "trsvcid"), port))
			return l;
	}
	return NULL;
}

bool export_listens(const json_t *subsystem, const struct attachment *a)
{
	const json_t *l = listener_at(subsystem, a);

	return l && (!a->psk[0] || json_is_true(json_object_get(l, "secure_channel")));
}

static bool ns_is_right(const json_t *ns, const struct attachment *a)
{
	return !strcmp(view_text(ns, "bdev_name"), a->bdev) &&
	       !strcasecmp(view_text(ns, "uuid"), a->uuid);
}

/* SPDK before 19.04 has one model number for all, and does not show it. */
bool export_model_is_right(const json_t *s, const struct attachment *a)
{
	json_t *model = json_object_get(s, "model_number");

	return !model || !strcmp(view_text(s, "model_number"), a->model);
}

/* Identity cannot be changed in place: a subsystem that shows another one is made anew. */
static bool identity_is_right(const json_t *s, const struct attachment *a)
{
	json_t *ns = export_namespace(s, a->nsid);

	return !strcmp(view_text(s, "serial_number"), a->serial) && export_model_is_right(s, a) &&
	       (!ns || ns_is_right(ns, a));
}

static int create_subsystem(struct client *c, const struct attachment *a, struct error *err)
{
	return client_wait(c, "nvmf_create_subsystem",
			   json_pack("{s:s, s:s, s:s, s:b, s:i}", "nqn", a->nqn, "serial_number",
				     a->serial, "model_number", a->model, "allow_any_host", 0,
				     "max_namespaces", 32),
			   NULL, err);
}

static int add_namespace(struct client *c, const struct attachment *a, struct error *err)
{
	return client_wait(c, "nvmf_subsystem_add_ns",
			   json_pack("{s:s, s:{s:s, s:I, s:s, s:s}}", "nqn", a->nqn, "namespace",
				     "bdev_name", a->bdev, "nsid", (json_int_t)a->nsid, "uuid",
				     a->uuid, "nguid", a->nguid),
			   NULL, err);
}

static int allow_host(struct client *c, const struct attachment *a, struct error *err)
{
	json_t *params = json_pack("{s:s, s:s}", "nqn", a->nqn, "host", a->host);
	int rc;

	keys_host(c, a, params);
	rc = client_wait(c, "nvmf_subsystem_add_host", params, NULL, err);
	if (rc == -EREMOTEIO && keys_are_set(a))
		error_prefix(err,
			     "instance %s: the host's keys need a target that takes them "
			     "(SPDK since 23.05 for TLS, 24.09 for DH-HMAC-CHAP): ",
			     a->instance);
	return rc;
}

/* A host that may connect without the key that it should have is let in anew, with the key. */
static bool host_is_right(const json_t *host, const struct attachment *a)
{
	return !strcmp(view_text(host, "nqn"), a->host) &&
	       (!a->dhchap_key[0] || view_text(host, "dhchap_key")[0]) &&
	       (!a->psk[0] || view_text(host, "psk")[0]);
}

static int ensure_hosts(struct client *c, const json_t *s, const struct attachment *a,
			struct error *err)
{
	json_t *hosts = json_object_get(s, "hosts"), *h;
	int rc = 0;
	size_t i;

	if (json_is_true(json_object_get(s, "allow_any_host")))
		rc = client_wait(c, "nvmf_subsystem_allow_any_host",
				 json_pack("{s:s, s:b}", "nqn", a->nqn, "allow_any_host", 0), NULL,
				 err);
	json_array_foreach (hosts, i, h) {
		if (rc == 0 && !host_is_right(h, a))
			rc = client_wait(
				c, "nvmf_subsystem_remove_host",
				json_pack("{s:s, s:s}", "nqn", a->nqn, "host", view_text(h, "nqn")),
				NULL, err);
	}
	h = view_by(hosts, "nqn", a->host);
	if (rc == 0 && (!h || !host_is_right(h, a)))
		rc = allow_host(c, a, err);
	return rc;
}

static json_t *listener_params(const struct attachment *a)
{
	char port[8];

	snprintf(port, sizeof(port), "%u", a->port);
	return json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "nqn", a->nqn, "listen_address", "trtype",
			 "TCP", "adrfam", a->family, "traddr", a->address, "trsvcid", port);
}

/* One that is there without TLS, which it should have, goes first. */
static int add_listener(struct client *c, const json_t *s, const struct attachment *a,
			struct error *err)
{
	json_t *params = listener_params(a);
	int rc = 0;

	if (listener_at(s, a))
		rc = client_wait(c, "nvmf_subsystem_remove_listener", listener_params(a), NULL,
				 err);
	if (rc < 0) {
		json_decref(params);
		return rc;
	}
	if (a->psk[0])
		json_object_set_new(params, "secure_channel", json_true());
	return client_wait(c, "nvmf_subsystem_add_listener", params, NULL, err);
}

/* Of a namespace that somebody else added the bdev stays. */
static int remove_others(struct client *c, const json_t *s, const struct attachment *a,
			 struct error *err)
{
	json_t *ns;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(s, "namespaces"), i, ns) {
		json_int_t nsid = json_integer_value(json_object_get(ns, "nsid"));

		if (rc == 0 && nsid != (json_int_t)a->nsid)
			rc = client_wait(c, "nvmf_subsystem_remove_ns",
					 json_pack("{s:s, s:I}", "nqn", a->nqn, "nsid", nsid), NULL,
					 err);
	}
	return rc;
}

static int ensure_subsystem(struct client *c, const struct view *v, const struct attachment *a,
			    struct error *err)
{
	const json_t *s = view_by(v->subsystems, "nqn", a->nqn);
	int rc = 0;

	if (s && !identity_is_right(s, a)) {
		rc = client_wait(c, "nvmf_delete_subsystem", json_pack("{s:s}", "nqn", a->nqn),
				 NULL, err);
		s = NULL;
	}
	if (rc == 0 && !s)
		rc = create_subsystem(c, a, err);
	if (rc == 0 && !export_namespace(s, a->nsid))
		rc = add_namespace(c, a, err);
	if (rc == 0)
		rc = remove_others(c, s, a, err);
	/* The listener comes last: before it nobody but the recorded host is allowed. */
	if (rc == 0)
		rc = ensure_hosts(c, s, a, err);
	if (rc == 0 && !export_listens(s, a))
		rc = add_listener(c, s, a, err);
	return rc;
}

static int missing(const struct attachment *a, const struct accelerator *acc, struct error *err)
{
	return error_set(err, -EPROTO,
			 "instance %s: %s (bdev %s) is not on accelerator %s any more: detach the "
			 "instance, or bring the volume back",
			 a->instance, a->volume[0] ? a->volume : "the whole backing", a->bdev,
			 acc->id);
}

static int remove_subsystem(struct client *c, const struct view *v, const struct attachment *a,
			    struct error *err)
{
	if (!view_by(v->subsystems, "nqn", a->nqn))
		return 0;
	return client_wait(c, "nvmf_delete_subsystem", json_pack("{s:s}", "nqn", a->nqn), NULL,
			   err);
}

/*
 * As long as nobody does I/O, SPDK puts the limits of a bdev into force anew at each open, its own
 * RPC's too, and refuses to change them meanwhile. A vhost controller does none without a machine:
 * a namespace that no host may connect to stands in for it.
 */
static int set_limits_unused(struct client *c, const struct attachment *a, const json_t *bdev,
			     const struct qos *q, struct error *err)
{
	int rc = create_subsystem(c, a, err), removed;

	if (rc == 0)
		rc = add_namespace(c, a, err);
	if (rc == 0)
		rc = qos_ensure(c, bdev, q, err);
	removed = client_wait(c, "nvmf_delete_subsystem", json_pack("{s:s}", "nqn", a->nqn), NULL,
			      rc < 0 ? NULL : err);
	return rc < 0 ? rc : removed;
}

static int set_limits(struct client *c, const struct attachment *a, const json_t *bdev,
		      const struct qos *q, struct error *err)
{
	int rc = qos_ensure(c, bdev, q, err);

	if (rc != -EREMOTEIO || strcmp(a->transport, TRANSPORT_VHOST) != 0)
		return rc;
	*err = (struct error)ERROR_INIT;
	return set_limits_unused(c, a, bdev, q, err);
}

/* The subsystem is one of set_limits_unused() that was killed. */
static int ensure_vhost(struct client *c, const struct view *v, const struct attachment *a,
			struct error *err)
{
	int rc = remove_subsystem(c, v, a, err);

	return rc < 0 ? rc : vhost_ensure(c, v, a, err);
}

/* The volumes of a store come one after another behind it. */
static int await_volume(struct client *c, const struct accelerator *acc, const struct attachment *a,
			struct view *v, struct error *err)
{
	uint64_t until_ns = 0;
	int rc = 0, more;

	while (rc == 0 && acc->store_uuid[0] && !view_bdev(v->bdevs, a->bdev)) {
		more = store_wait(c, &until_ns, err);
		if (more <= 0)
			return more;
		view_fini(v);
		rc = view_take(c, v, err);
	}
	return rc;
}

int export_ensure(struct client *c, const struct accelerator *acc, const struct attachment *a,
		  struct error *err)
{
	const json_t *bdev;
	struct view v;
	int rc = a->leaving ? 0 : view_take(c, &v, err);

	if (rc < 0 || a->leaving)
		return rc;
	if (!strcmp(a->source, SOURCE_RBD) && !view_bdev(v.bdevs, a->bdev)) {
		view_fini(&v);
		rc = rbd_create(c, acc, a, err);
		if (rc == 0)
			rc = view_take(c, &v, err);
		if (rc < 0)
			return rc;
	}
	rc = await_volume(c, acc, a, &v, err);
	if (rc == 0)
		rc = tls_look(c, &v, a, 1, err);
	bdev = view_bdev(v.bdevs, a->bdev);
	if (rc == 0 && !bdev)
		rc = missing(a, acc, err);
	if (rc == 0)
		rc = keys_ensure(c, &v, a, err);
	if (rc == 0 && !strcmp(a->transport, TRANSPORT_VHOST))
		rc = ensure_vhost(c, &v, a, err);
	else if (rc == 0)
		rc = ensure_subsystem(c, &v, a, err);
	/* Behind the export: SPDK changes limits only of a bdev that somebody has open. */
	if (rc == 0)
		rc = set_limits(c, a, bdev, &a->qos, err);
	view_fini(&v);
	return rc;
}

int export_remove(struct client *c, const struct attachment *a, struct error *err)
{
	static const struct qos none;
	const json_t *bdev;
	struct view v;
	int rc = view_take(c, &v, err);

	if (rc < 0)
		return rc;
	bdev = view_bdev(v.bdevs, a->bdev);
	if (!strcmp(a->transport, TRANSPORT_VHOST))
		rc = remove_subsystem(c, &v, a, err);
	if (rc == 0 && bdev && qos_is_set(&a->qos))
		rc = set_limits(c, a, bdev, &none, err);
	if (rc == 0 && !strcmp(a->transport, TRANSPORT_VHOST))
		rc = vhost_remove(c, &v, a, err);
	else if (rc == 0)
		rc = remove_subsystem(c, &v, a, err);
	if (rc == 0)
		rc = keys_remove(c, &v, a, err);
	if (rc == 0 && !strcmp(a->source, SOURCE_RBD))
		rc = rbd_remove(c, &v, a, err);
	view_fini(&v);
	return rc;
}

int export_drop(const char *config, const struct attachment *a, struct error *err)
{
	char controller[VHOST_NAME_SIZE];
	/* The bdev of a whole backing stays; of a volume the file has no more than its limits. */
	const char *names[] = { a->nqn, controller, a->volume[0] ? a->bdev : NULL, NULL };

	vhost_name(a, controller);
	return config_drop(config, names, err);
}

int export_forget(struct driver *d, const struct accelerator *acc, const struct attachment *a,
		  struct error *err)
{
	struct target_paths paths;
	int rc = target_paths(d, acc->id, &paths, err);

	return rc == 0 ? export_drop(paths.config, a, err) : rc;
}

static int count_controllers(struct client *c, const struct attachment *a, struct error *err)
{
	json_t *list = NULL;
	int rc = client_wait(c, "nvmf_subsystem_get_controllers", json_pack("{s:s}", "nqn", a->nqn),
			     &list, err);

	if (rc == 0)
		rc = (int)json_array_size(list);
	json_decref(list);
	return rc;
}

int export_hosts(struct client *c, const struct attachment *a, struct error *err)
{
	struct view v;
	int rc = view_take(c, &v, err);

	if (rc < 0)
		return rc;
	if (!strcmp(a->transport, TRANSPORT_VHOST))
		rc = vhost_sessions(&v, a, err);
	else if (view_by(v.subsystems, "nqn", a->nqn))
		rc = count_controllers(c, a, err);
	view_fini(&v);
	return rc;
}

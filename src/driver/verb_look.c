/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover, list, status: verbs that only look.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "driver/verb.h"

#define LOOK_TIMEOUT_NS (5 * NS_PER_SEC)
#define SPDK_SOCKET	"/var/tmp/spdk.sock"

static json_t *kit_json(const struct kit *k)
{
	return json_pack("{s:s, s:s, s:s}", "path", k->path, "kind", k->kind, "version",
			 k->version);
}

static json_t *kits_json(struct driver *d)
{
	json_t *list = json_array();
	struct kit *kits;
	ssize_t n = kits_find(d, &kits);

	for (ssize_t i = 0; i < n; i++)
		json_array_append_new(list, kit_json(&kits[i]));
	free(kits);
	return list;
}

static void describe(struct client *c, json_t *o)
{
	static const char *const features[] = {
		"nvmf_create_subsystem", "bdev_uring_create", "bdev_aio_create",
		"bdev_lvol_create",	 "bdev_rbd_create",   "vhost_create_blk_controller"
	};
	json_t *list = json_array(), *version = NULL;
	const char *text;

	client_wait(c, "spdk_get_version", NULL, &version, NULL);
	text = json_string_value(json_object_get(version, "version"));
	json_object_set_new(o, "version", json_string(text ? text : ""));
	json_object_set_new(o, "kind",
			    json_string(text && strstr(text, "cyborg") ? "engine" : "spdk"));
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (client_has(c, features[i]))
			json_array_append_new(list, json_string(features[i]));
	}
	json_object_set_new(o, "features", list);
	json_decref(version);
}

/* A socket that does not speak JSON-RPC is no target; one that is silent is told as such. */
static json_t *target_json(struct driver *d, const struct probe_socket *s)
{
	json_t *o = json_pack("{s:s, s:i, s:s}", "socket", s->path, "pid", (int)s->pid, "command",
			      s->command);
	struct error err = ERROR_INIT;
	struct client *c;

	if (client_connect(d->loop, s->path, &c, &err) == 0) {
		client_set_timeout(c, LOOK_TIMEOUT_NS);
		if (client_learn(c, &err) == 0)
			describe(c, o);
	}
	json_object_set_new(o, "answers", json_boolean(err.code == 0));
	json_object_set_new(o, "error", json_string(err.text));
	client_destroy(c);
	return o;
}

static json_t *targets_json(struct driver *d)
{
	json_t *list = json_array();
	struct probe_socket *sockets;
	ssize_t n = probe_sockets(d->probe, "", &sockets);

	for (ssize_t i = 0; i < n; i++) {
		if (strstr(sockets[i].path, "spdk") || strstr(sockets[i].path, d->dir) ||
		    !strcmp(sockets[i].command, "cyborg-spdk-tgt"))
			json_array_append_new(list, target_json(d, &sockets[i]));
	}
	free(sockets);
	return list;
}

static int devices_json(struct driver *d, json_t **out, struct error *err)
{
	struct probe_devices devices;
	int rc = probe_devices(d->probe, &devices, err);

	*out = json_array();
	for (size_t i = 0; rc == 0 && i < devices.count; i++)
		json_array_append_new(*out, probe_device_json(&devices.items[i]));
	probe_devices_fini(&devices);
	return rc;
}

int verb_discover(struct driver *d, const json_t *request, json_t **answer, struct error *err)
{
	static const char *const names[] = { "type", NULL };
	struct probe_node node;
	json_t *devices;
	int rc = request_check(request, names, err);

	if (rc == 0)
		rc = check_type(request, err);
	if (rc == 0)
		rc = probe_node(d->probe, &node);
	if (rc < 0)
		return err->code ? rc : error_set(err, rc, "node: %s", error_errno_text(rc));
	driver_begin(d, "discover");
	driver_step(d, "look at the node's devices", 1, 3);
	*answer = json_pack("{s:o}", "node", probe_node_json(&node));
	probe_node_fini(&node);
	rc = devices_json(d, &devices, err);
	json_object_set_new(*answer, "devices", devices);
	driver_step(d, "ask installed kits for their versions", 2, 3);
	json_object_set_new(*answer, "kits", kits_json(d));
	driver_step(d, "ask running targets", 3, 3);
	json_object_set_new(*answer, "targets", targets_json(d));
	driver_end(d);
	if (rc < 0) {
		json_decref(*answer);
		*answer = NULL;
	}
	return rc;
}

/*
 * The score of a candidate, 0 when it may not be used: 100 for a free one, 10 for one that holds
 * data, and on top 40 for NVMe, 20 for other flash, 10 for a whole disk, 1 for each doubling of the
 * size.
 */
static int score_of(const struct probe_device *dev)
{
	enum probe_verdict verdict = probe_device_verdict(dev);
	int score = verdict == PROBE_FREE ? 100 : verdict == PROBE_HOLDS_DATA ? 10 : 0;

	if (!score)
		return 0;
	if (!strncmp(dev->name, "nvme", 4))
		score += 40;
	else if (!dev->rotational && strcmp(dev->kind, "file") != 0)
		score += 20;
	if (!strcmp(dev->kind, "disk"))
		score += 10;
	for (uint64_t size = dev->size >> 20; size > 1; size >>= 1)
		score++;
	return score;
}

static void add_candidate(json_t *list, const struct probe_device *dev)
{
	json_t *o = probe_device_json(dev);
	int score = score_of(dev);
	size_t i = 0;

	json_object_set_new(o, "score", json_integer(score));
	json_object_set_new(o, "attach", json_boolean(probe_device_verdict(dev) == PROBE_FREE));
	while (i < json_array_size(list) &&
	       json_integer_value(json_object_get(json_array_get(list, i), "score")) >= score)
		i++;
	json_array_insert_new(list, i, o);
}

static int add_paths(struct driver *d, const json_t *paths, json_t *list, struct error *err)
{
	struct probe_device *dev = calloc(1, sizeof(*dev));
	json_t *v;
	size_t i;
	int rc = dev ? 0 : error_set(err, -ENOMEM, "out of memory");

	if (rc == 0 && paths && !json_is_array(paths))
		rc = error_set(err, -EINVAL, "the request's \"paths\" must be an array of texts");
	json_array_foreach ((json_t *)paths, i, v) {
		if (rc < 0)
			break;
		rc = json_is_string(v)
			     ? probe_path(d->probe, json_string_value(v), dev, err)
			     : error_set(err, -EINVAL, "the request's \"paths\" must be texts");
		if (rc == 0) {
			add_candidate(list, dev);
			probe_device_fini(dev);
		}
	}
	free(dev);
	return rc;
}

static int list_blobstore(struct driver *d, const json_t *request, json_t *answer,
			  struct error *err)
{
	struct probe_devices devices;
	json_t *list = json_array();
	int rc = probe_devices(d->probe, &devices, err);

	for (size_t i = 0; rc == 0 && i < devices.count; i++)
		add_candidate(list, &devices.items[i]);
	probe_devices_fini(&devices);
	if (rc == 0)
		rc = add_paths(d, json_object_get(request, "paths"), list, err);
	json_object_set_new(answer, "candidates", list);
	return rc;
}

/* An RBD image can be attached where a running target has the module for it. */
static int list_ceph(struct driver *d, json_t *answer)
{
	json_t *targets = targets_json(d), *t, *f, *list = json_array();
	size_t i, k;

	json_array_foreach (targets, i, t) {
		bool has = false;
		char text[256];

		json_array_foreach (json_object_get(t, "features"), k, f)
			has = has || !strcmp(json_string_value(f), "bdev_rbd_create");
		snprintf(
			text, sizeof(text),
			has ? "the target at %.128s has bdev_rbd_create"
			    : "the target at %.128s has no bdev_rbd_create: run an SPDK built with "
			      "--with-rbd",
			json_string_value(json_object_get(t, "socket")));
		json_array_append_new(list, json_pack("{s:O, s:b, s:b, s:i, s:s}", "path",
						      json_object_get(t, "socket"), "eligible", has,
						      "attach", has, "score", has ? 100 : 0,
						      "reason", text));
	}
	json_object_set_new(answer, "candidates", list);
	if (json_array_size(list) == 0)
		json_object_set_new(
			answer, "note",
			json_string("no target runs here that could serve an RBD image"));
	json_decref(targets);
	return 0;
}

static int add_installed(struct driver *d, json_t *answer, struct error *err)
{
	json_t *list = json_array();
	struct accelerator *rows = NULL;
	ssize_t n = 0;
	int rc = driver_state(d, DRIVER_STATE_READ, err);

	if (rc == 0)
		n = state_accelerators(d->state, &rows, err);
	for (ssize_t i = 0; i < n; i++)
		json_array_append_new(list, accelerator_json(&rows[i]));
	free(rows);
	json_object_set_new(answer, "accelerators", list);
	return rc == -ENOENT ? 0 : rc < 0 ? rc : n < 0 ? (int)n : 0;
}

int verb_list(struct driver *d, const json_t *request, json_t **answer, struct error *err)
{
	static const char *const names[] = { "scenario", "paths", "type", NULL };
	const char *scenario = request_text(request, "scenario", err);
	int rc = err->code ? err->code : request_check(request, names, err);

	if (rc == 0)
		rc = check_type(request, err);
	if (rc < 0)
		return rc;
	if (!scenario)
		scenario = "blobstore";
	driver_begin(d, "list");
	driver_step(d, "look at the node's devices", 1, 1);
	*answer = json_pack("{s:s}", "scenario", scenario);
	if (!strcmp(scenario, "blobstore"))
		rc = list_blobstore(d, request, *answer, err);
	else if (!strcmp(scenario, "ceph"))
		rc = list_ceph(d, *answer);
	else
		rc = error_set(err, -EINVAL,
			       "scenario \"%s\" is not known: allowed are blobstore and ceph",
			       scenario);
	if (rc == 0)
		rc = add_installed(d, *answer, err);
	driver_end(d);
	if (rc < 0) {
		json_decref(*answer);
		*answer = NULL;
	}
	return rc;
}

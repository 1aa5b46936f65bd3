/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exports over vhost-user-blk: a controller of the target, whose socket a hypervisor of this node
 * opens.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/export.h"

/* Unique on the node: the NQN ends with the UUID that the instance has here. */
void vhost_name(const struct attachment *a, char out[static VHOST_NAME_SIZE])
{
	const char *uuid = strrchr(a->nqn, ':');

	snprintf(out, VHOST_NAME_SIZE, "cs-%.40s", uuid ? uuid + 1 : a->nqn);
}

json_t *export_controller(const json_t *controllers, const struct attachment *a)
{
	char name[VHOST_NAME_SIZE];

	vhost_name(a, name);
	return view_by(controllers, "ctrlr", name);
}

static const json_t *block_of(const json_t *controller)
{
	return json_object_get(json_object_get(controller, "backend_specific"), "block");
}

static int delete_controller(struct client *c, const struct attachment *a, struct error *err)
{
	char name[VHOST_NAME_SIZE];

	vhost_name(a, name);
	return client_wait(c, "vhost_delete_controller", json_pack("{s:s}", "ctrlr", name), NULL,
			   err);
}

int vhost_ensure(struct client *c, const struct view *v, const struct attachment *a,
		 struct error *err)
{
	const json_t *has = export_controller(v->controllers, a);
	char name[VHOST_NAME_SIZE];
	int rc = need_method(c, "vhost_create_blk_controller", "vhost-user-blk", err);

	if (rc == 0 && has && strcmp(view_text(block_of(has), "bdev"), a->bdev) != 0) {
		rc = delete_controller(c, a, err);
		has = NULL;
	}
	if (rc < 0 || has)
		return rc;
	vhost_name(a, name);
	return client_wait(c, "vhost_create_blk_controller",
			   json_pack("{s:s, s:s, s:b}", "ctrlr", name, "dev_name", a->bdev,
				     "readonly", a->read_only),
			   NULL, err);
}

int vhost_remove(struct client *c, const struct view *v, const struct attachment *a,
		 struct error *err)
{
	return export_controller(v->controllers, a) ? delete_controller(c, a, err) : 0;
}

int vhost_sessions(const struct view *v, const struct attachment *a)
{
	return (int)json_array_size(
		json_object_get(export_controller(v->controllers, a), "sessions"));
}

/* SPDK names sockets as its -S option does, which may be relative to where it was started. */
int vhost_socket(struct driver *d, struct client *c, struct attachment *a, struct error *err)
{
	char cwd[64], path[2 * PATH_MAX], real[PATH_MAX];
	const char *socket;
	pid_t supervisor, target;
	struct view v;
	int rc = view_take(c, &v, err);

	if (rc < 0)
		return rc;
	socket = view_text(export_controller(v.controllers, a), "socket");
	target_pids(d, a->accelerator, &supervisor, &target);
	snprintf(cwd, sizeof(cwd), "/proc/%d/cwd", target);
	if (socket[0] == '/')
		snprintf(path, sizeof(path), "%s", socket);
	else
		snprintf(path, sizeof(path), "%s/%s", cwd, socket);
	if (!socket[0] || !realpath(path, real))
		rc = error_set(err, -EPROTO,
			       "instance %s: the target tells no socket of its vhost controller",
			       a->instance);
	else if (snprintf(a->socket, sizeof(a->socket), "%s", real) >= (int)sizeof(a->socket))
		rc = error_set(
			err, -ENAMETOOLONG,
			"vhost socket %.200s has more than 107 bytes: start the target with a "
			"shorter folder of sockets (--target-argument -S)",
			real);
	view_fini(&v);
	return rc;
}

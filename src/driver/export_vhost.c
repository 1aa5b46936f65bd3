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
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "driver/drift.h"
#include "driver/export.h"

#define CLOSE_PATIENCE_NS (1 * NS_PER_SEC)

/* Unique on the node: the NQN ends with the UUID that the instance has here. */
void vhost_name(const struct attachment *a, char out[static VHOST_NAME_SIZE])
{
	const char *uuid = strrchr(a->nqn, ':');

	snprintf(out, VHOST_NAME_SIZE, VHOST_PREFIX "%.40s", uuid ? uuid + 1 : a->nqn);
}

json_t *export_controller(const json_t *controllers, const struct attachment *a)
{
	char name[VHOST_NAME_SIZE];

	vhost_name(a, name);
	return view_by(controllers, "ctrlr", name);
}

/* By what it is: the way to it may lead over links. */
static bool same_file(const char *path, const char *other)
{
	struct stat a, b;

	return !strcmp(path, other) || (stat(path, &a) == 0 && stat(other, &b) == 0 &&
					a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

static const json_t *block_of(const json_t *controller)
{
	return json_object_get(json_object_get(controller, "backend_specific"), "block");
}

static bool shows_bdev(const json_t *controller, const struct attachment *a)
{
	return !strcmp(view_text(block_of(controller), "bdev"), a->bdev);
}

static bool gives_rights(const json_t *controller, const struct attachment *a)
{
	return json_is_true(json_object_get(block_of(controller), "readonly")) == a->read_only;
}

static bool is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* A file that somebody removed: who has it open goes on, nobody else comes in. */
static bool can_be_opened(const json_t *controller, const struct attachment *a)
{
	const char *socket = view_text(controller, "socket");

	if (socket[0] != '/')
		socket = a->socket;
	return !socket[0] || is_socket(socket);
}

/* Return: -ENOSYS where the target does not tell. */
static int count_sessions(const json_t *controller)
{
	const json_t *sessions = json_object_get(controller, "sessions");

	return json_is_array(sessions) ? (int)json_array_size(sessions) : -ENOSYS;
}

int vhost_sessions(const struct view *v, const struct attachment *a, struct error *err)
{
	const json_t *k = export_controller(v->controllers, a);
	int sessions = k ? count_sessions(k) : 0;

	if (sessions != -ENOSYS)
		return sessions;
	return error_set(err, -ENOSYS,
			 "instance %s: an SPDK before 23.05 cannot tell whether a machine has %s "
			 "open: stop that, then detach with --force",
			 a->instance, a->socket);
}

/* Return: how many machines have it open now; -ENOENT when there is no controller any more. */
static int ask_sessions(struct client *c, const struct attachment *a, struct error *err)
{
	json_t *controllers = NULL;
	const json_t *k;
	int rc = client_wait(c, "vhost_get_controllers", NULL, &controllers, err);

	k = export_controller(controllers, a);
	if (rc == 0)
		rc = k ? count_sessions(k) : -ENOENT;
	json_decref(controllers);
	return rc;
}

static int is_open(const struct attachment *a, struct error *err)
{
	return error_set(err, -EBUSY,
			 "instance %s: a machine has %s open, and SPDK takes no disk from a "
			 "machine: stop it, or unplug the disk there, and try again",
			 a->instance, a->socket);
}

/*
 * SPDK ends a session a moment after its connection. Asked to delete a controller that has one, it
 * refuses, or since 24.09 tries again without a pause and answers only when the machine has gone.
 */
static int wait_unused(struct client *c, const struct attachment *a, struct error *err)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	uint64_t until = clock_ns() + CLOSE_PATIENCE_NS;
	int sessions;

	while ((sessions = ask_sessions(c, a, err)) > 0 && clock_ns() < until)
		nanosleep(&pause, NULL);
	return sessions <= 0 ? sessions : is_open(a, err);
}

static int delete_controller(struct client *c, const struct attachment *a, struct error *err)
{
	char name[VHOST_NAME_SIZE];
	int known = wait_unused(c, a, err), rc;

	if (known < 0 && known != -ENOSYS)
		return known == -ENOENT ? 0 : known;
	vhost_name(a, name);
	rc = client_wait(c, "vhost_delete_controller", json_pack("{s:s}", "ctrlr", name), NULL,
			 err);
	return rc == -EREMOTEIO && known == -ENOSYS ? is_open(a, err) : rc;
}

static int create_controller(struct client *c, const struct attachment *a, struct error *err)
{
	char name[VHOST_NAME_SIZE];

	vhost_name(a, name);
	return client_wait(c, "vhost_create_blk_controller",
			   json_pack("{s:s, s:s, s:b}", "ctrlr", name, "dev_name", a->bdev,
				     "readonly", a->read_only),
			   NULL, err);
}

int vhost_ensure(struct client *c, const struct view *v, const struct attachment *a,
		 struct error *err)
{
	const json_t *has = export_controller(v->controllers, a);
	int rc = need_method(c, "vhost_create_blk_controller", "vhost-user-blk", err);

	if (rc < 0)
		return rc;
	if (has && shows_bdev(has, a) && gives_rights(has, a) &&
	    (can_be_opened(has, a) || count_sessions(has) > 0))
		return 0;
	rc = has ? delete_controller(c, a, err) : 0;
	return rc < 0 ? rc : create_controller(c, a, err);
}

int vhost_remove(struct client *c, const struct view *v, const struct attachment *a,
		 struct error *err)
{
	return export_controller(v->controllers, a) ? delete_controller(c, a, err) : 0;
}

void vhost_drift(const struct view *v, const struct attachment *a, json_t *list)
{
	const json_t *k = export_controller(v->controllers, a);
	const char *socket = view_text(k, "socket");

	if (!k) {
		drift(list, "instance %s: vhost controller %s is not exported", a->instance,
		      a->socket);
		return;
	}
	if (!shows_bdev(k, a))
		drift(list,
		      "instance %s: its vhost controller shows bdev \"%s\", recorded is \"%s\"",
		      a->instance, view_text(block_of(k), "bdev"), a->bdev);
	if (!gives_rights(k, a))
		drift(list, "instance %s: its machine may %s and should %s", a->instance,
		      a->read_only ? "write" : "only read", a->read_only ? "only read" : "write");
	if (!can_be_opened(k, a))
		drift(list, "instance %s: socket %s is gone: no machine can open it", a->instance,
		      socket[0] == '/' ? socket : a->socket);
	else if (socket[0] == '/' && !same_file(socket, a->socket))
		drift(list, "instance %s: its socket is %s, recorded is %s", a->instance, socket,
		      a->socket);
}

static int others_attached(struct driver *d, const struct accelerator *acc,
			   const struct attachment *a, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, acc->id, &list, err);
	int others = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; i < n; i++)
		others += strcmp(list[i].instance, a->instance) != 0;
	free(list);
	return others;
}

int vhost_cut_off(struct driver *d, const struct accelerator *acc, const struct attachment *a,
		  struct error *err)
{
	struct client *c;
	int rc = others_attached(d, acc, a, err);

	if (rc < 0)
		return rc;
	if (rc > 0)
		return error_set(err, -EBUSY,
				 "instance %s: a machine has %s open, SPDK takes no disk from a "
				 "machine, and a restart of the target would disturb the %d other "
				 "attachments of accelerator %s: stop the machine, or unplug the "
				 "disk there, and detach again",
				 a->instance, a->socket, rc, acc->id);
	*err = (struct error)ERROR_INIT;
	rc = target_stop(d, acc, err);
	if (rc == 0)
		rc = target_ensure(d, acc, &c, err);
	if (rc == 0)
		client_destroy(c);
	return rc;
}

static int socket_too_long(const char *path, struct error *err)
{
	return error_set(err, -EINVAL,
			 "vhost socket %.200s has more than 107 bytes: install with a shorter "
			 "--socket-dir",
			 path);
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
	/* DPDK cuts a longer name silently, and listens there. */
	if (strlen(socket) >= sizeof(a->socket)) {
		rc = socket_too_long(socket, err);
		view_fini(&v);
		return rc;
	}
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
		rc = socket_too_long(real, err);
	view_fini(&v);
	return rc;
}

int vhost_socket_again(struct driver *d, struct client *c, struct attachment *a, struct error *err)
{
	struct attachment was = *a;
	int rc = vhost_socket(d, c, a, err);

	if (rc < 0 || !strcmp(was.socket, a->socket))
		return rc;
	return state_put_attachment(d->state, a, err);
}

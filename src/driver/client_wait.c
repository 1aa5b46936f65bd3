/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls by their name of today, and calls that are waited for.
 *
 * Threading: as client.h.
 */
#include <errno.h>
#include <string.h>

#include "driver/client_internal.h"

/* Names that SPDK changed in 19.10 and later, of the methods that the driver calls. */
static const struct {
	const char *name;
	const char *older[3];
} renamed[] = {
	{ "rpc_get_methods", { "get_rpc_methods" } },
	{ "spdk_get_version", { "get_spdk_version" } },
	{ "spdk_kill_instance", { "kill_instance" } },
	{ "framework_get_subsystems", { "get_subsystems" } },
	{ "framework_get_config", { "get_subsystem_config" } },
	{ "framework_wait_init", { "wait_subsystem_init" } },
	{ "bdev_get_bdevs", { "get_bdevs" } },
	{ "bdev_malloc_create", { "construct_malloc_bdev" } },
	{ "bdev_malloc_delete", { "delete_malloc_bdev", "delete_bdev" } },
	{ "bdev_aio_create", { "construct_aio_bdev" } },
	{ "bdev_aio_delete", { "delete_aio_bdev", "delete_bdev" } },
	{ "bdev_rbd_create", { "construct_rbd_bdev" } },
	{ "nvmf_get_subsystems", { "get_nvmf_subsystems" } },
	{ "nvmf_get_transports", { "get_nvmf_transports" } },
	{ "nvmf_create_subsystem", { "nvmf_subsystem_create", "construct_nvmf_subsystem" } },
	{ "nvmf_delete_subsystem", { "delete_nvmf_subsystem" } },
	{ "vhost_create_blk_controller", { "construct_vhost_blk_controller" } },
	{ "vhost_get_controllers", { "get_vhost_controllers" } },
};

const char *const *client_old_names(const char *method)
{
	static const char *const none[] = { NULL };

	for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
		if (!strcmp(renamed[i].name, method))
			return renamed[i].older;
	}
	return none;
}

const char *client_name(const struct client *c, const char *method)
{
	const char *const *old = client_old_names(method);

	if (!c->methods || json_object_get(c->methods, method))
		return method;
	for (; *old; old++) {
		if (json_object_get(c->methods, *old))
			return *old;
	}
	return NULL;
}

bool client_has(const struct client *c, const char *method)
{
	return c->methods && client_name(c, method);
}

int client_call(struct client *c, const char *method, json_t *params, uint64_t timeout_ns,
		client_done_fn done, void *arg)
{
	const char *name = client_name(c, method);

	/* Unknown here means unknown there: the target's own answer says so best. */
	return client_send(c, name ? name : method, params, timeout_ns, done, arg);
}

/**
 * struct waiting - requests that somebody waits for
 * @left: not answered yet
 */
struct waiting {
	size_t left;
	bool done;
};

struct wait_slot {
	struct waiting *waiting;
	struct client *client;
	struct client_request *request;
};

static void on_answer(void *arg, const struct client_answer *answer)
{
	struct wait_slot *slot = arg;
	struct client_request *r = slot->request;

	r->status = answer->status;
	r->result = answer->status ? NULL : json_incref(answer->result);
	if (answer->status == -EREMOTEIO || answer->status == -ENOSYS)
		error_set(&r->err, answer->status, "target %s refused %s: %s (code %lld)",
			  slot->client->path, r->method, answer->message, (long long)answer->code);
	else if (answer->status)
		error_set(&r->err, answer->status, "target %s, %s: %s", slot->client->path,
			  r->method, answer->message);
	slot->waiting->done = --slot->waiting->left == 0;
}

static int wait_all(struct client *c, struct client_request *requests, struct wait_slot *slots,
		    size_t count, bool translate)
{
	struct waiting w = { .left = count };
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		struct client_request *r = &requests[i];
		json_t *params = r->params;

		r->params = NULL;
		slots[i] = (struct wait_slot){ &w, c, r };
		r->status = translate ? client_call(c, r->method, params, c->timeout_ns, on_answer,
						    &slots[i])
				      : client_send(c, r->method, params, c->timeout_ns, on_answer,
						    &slots[i]);
		if (r->status < 0) {
			error_set(&r->err, r->status, "%s: out of memory", r->method);
			w.done = --w.left == 0;
		}
	}
	/* Calls point to this frame: none may stay when the wait ends early. */
	rc = loop_run(c->loop, &w.done);
	if (rc < 0)
		client_abort(c, rc, error_errno_text(rc));
	return rc;
}

int client_wait_all(struct client *c, struct client_request *requests, size_t count,
		    struct error *err)
{
	struct wait_slot slots[CLIENT_BATCH_MAX];
	int rc = c->methods ? 0 : client_learn(c, err);

	for (size_t at = 0; rc == 0 && at < count; at += CLIENT_BATCH_MAX) {
		size_t n = count - at < CLIENT_BATCH_MAX ? count - at : CLIENT_BATCH_MAX;

		rc = wait_all(c, requests + at, slots, n, true);
	}
	for (size_t i = 0; i < count; i++) {
		json_decref(requests[i].params);
		requests[i].params = NULL;
		if (rc == 0 && requests[i].status) {
			rc = requests[i].status;
			if (err)
				*err = requests[i].err;
		}
	}
	return rc;
}

int client_wait(struct client *c, const char *method, json_t *params, json_t **result,
		struct error *err)
{
	struct client_request r = { .method = method, .params = params };
	int rc = client_wait_all(c, &r, 1, err);

	if (result)
		*result = r.result;
	else
		json_decref(r.result);
	return rc;
}

static int methods_keep(struct client *c, json_t *list, struct error *err)
{
	json_t *name;
	size_t i;

	if (!json_is_array(list))
		return error_set(err, -EBADMSG,
				 "target %s: rpc_get_methods answered no array of names", c->path);
	c->methods = json_object();
	json_array_foreach (list, i, name) {
		if (json_is_string(name))
			json_object_set_new(c->methods, json_string_value(name), json_true());
	}
	return 0;
}

int client_learn(struct client *c, struct error *err)
{
	static const char *const names[] = { "rpc_get_methods", "get_rpc_methods" };
	struct wait_slot slot;
	int rc = -ENOSYS;

	if (c->methods)
		return 0;
	for (size_t i = 0; i < 2 && rc == -ENOSYS; i++) {
		struct client_request r = { .method = names[i] };

		rc = wait_all(c, &r, &slot, 1, false);
		if (rc == 0)
			rc = r.status;
		if (rc == 0)
			rc = methods_keep(c, r.result, err);
		else if (err)
			*err = r.err;
		json_decref(r.result);
	}
	return rc;
}

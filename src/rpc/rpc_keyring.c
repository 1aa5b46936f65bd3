/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyring_*: names for files that hold keys. Only the names are kept: a key is read when something
 * is to use it, and its text is in no answer and no saved configuration.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rpc/areas.h"

/** struct named - a key of the ring */
struct named {
	char *name;
	char *path;
	TAILQ_ENTRY(named) link;
};

static TAILQ_HEAD(, named) ring = TAILQ_HEAD_INITIALIZER(ring);

static struct named *find(const char *name)
{
	struct named *k;

	TAILQ_FOREACH (k, &ring, link) {
		if (strcmp(k->name, name) == 0)
			return k;
	}
	return NULL;
}

static void forget(struct named *k)
{
	free(k->name);
	free(k->path);
	free(k);
}

int rpc_keyring_read(const char *name, const struct key_form *form, struct key *key,
		     struct error *err)
{
	const struct named *k = find(name);
	int rc;

	if (!k)
		return error_set(err, -ENOENT,
				 "there is no key '%s'; keyring_file_add_key adds one, and "
				 "keyring_get_keys lists them",
				 name);
	rc = key_file_read(k->path, form, key, err);
	return rc < 0 ? error_prefix(err, "key '%s': ", name) : 0;
}

/* --- methods ---------------------------------------------------------------------------------- */

struct add {
	const char *name;
	const char *path;
};

static const struct rpc_param add_params[] = {
	RPC_PARAM(struct add, name, RPC_STRING, .required = true),
	RPC_PARAM(struct add, path, RPC_STRING, .required = true, .max = 4095),
	RPC_END,
};

static int check_path(const char *path, struct error *err)
{
	struct stat st;

	if (path[0] != '/')
		return error_set(err, -EPERM,
				 "key file %s: the path must be absolute, since it is read later",
				 path);
	if (stat(path, &st) < 0)
		return error_set(err, -errno, "key file %s: %s", path, error_errno_text(-errno));
	if (!S_ISREG(st.st_mode) || st.st_mode & (S_IRWXG | S_IRWXO))
		return error_set(err, -EPERM,
				 "key file %s: it must be a regular file that nobody but its owner "
				 "has rights on (mode %04o): chmod 600",
				 path, (unsigned int)st.st_mode & 07777);
	if (st.st_uid != geteuid())
		return error_set(err, -EPERM, "key file %s is user %u's, not this target's (%u)",
				 path, st.st_uid, geteuid());
	return 0;
}

static int add_key(const struct add *p, struct error *err)
{
	struct named *k;
	int rc = check_path(p->path, err);

	if (rc < 0)
		return rc;
	if (find(p->name))
		return error_set(err, -EEXIST, "there is a key '%s' already", p->name);
	k = calloc(1, sizeof(*k));
	if (!k)
		return error_set(err, -ENOMEM, "no memory for a key");
	k->name = strdup(p->name);
	k->path = strdup(p->path);
	if (!k->name || !k->path) {
		forget(k);
		return error_set(err, -ENOMEM, "no memory for a key");
	}
	TAILQ_INSERT_TAIL(&ring, k, link);
	return 0;
}

static void add(struct rpc_request *req, void *params)
{
	struct error err = ERROR_INIT;

	rpc_done(req, add_key(params, &err), 0, &err);
}

struct by_name {
	const char *name;
};

static const struct rpc_param remove_params[] = {
	RPC_PARAM(struct by_name, name, RPC_STRING, .required = true),
	RPC_END,
};

/* Who uses it goes on: what was made of it is with the user. */
static void remove_key(struct rpc_request *req, void *params)
{
	const struct by_name *p = params;
	struct named *k = find(p->name);
	struct error err = ERROR_INIT;

	if (!k) {
		error_set(&err, -ENOENT, "there is no key '%s'", p->name);
		rpc_fail_error(req, &err);
		return;
	}
	TAILQ_REMOVE(&ring, k, link);
	forget(k);
	rpc_reply_true(req);
}

static void get_keys(struct rpc_request *req, void *params)
{
	json_t *list = json_array();
	const struct named *k;

	(void)params;
	TAILQ_FOREACH (k, &ring, link)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:b, s:b, s:i, s:s}", "name", k->name,
						"module", "keyring_file", "removed", 0, "probed", 0,
						"refcnt", 1, "path", k->path));
	rpc_reply(req, list);
}

static const struct rpc_method methods[] = {
	{ .name = "keyring_file_add_key",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = add_params,
	  .size = sizeof(struct add),
	  .call = add },
	{ .name = "keyring_file_remove_key",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = remove_params,
	  .size = sizeof(struct by_name),
	  .call = remove_key },
	{ .name = "keyring_get_keys",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = get_keys },
};
RPC_AREA(keyring, methods);

/* --- of the engine ---------------------------------------------------------------------------- */

void rpc_keyring_save(json_t *array)
{
	const struct named *k;

	TAILQ_FOREACH (k, &ring, link)
		json_array_append_new(array, json_pack("{s:s, s:{s:s, s:s}}", "method",
						       "keyring_file_add_key", "params", "name",
						       k->name, "path", k->path));
}

void rpc_keyring_fini(void)
{
	struct named *k;

	while ((k = TAILQ_FIRST(&ring))) {
		TAILQ_REMOVE(&ring, k, link);
		forget(k);
	}
}

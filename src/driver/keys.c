/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host proves itself with: DH-HMAC-CHAP keys and TLS PSKs. Only the names of their files are
 * kept, told and given to the target, whose keyring reads them; their content is looked at once, to
 * refuse what is no key, and goes nowhere.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/key_file.h"
#include "driver/dialect.h"
#include "driver/drift.h"

#define KEY_NAME_SIZE 64

/** struct kind - of key */
struct kind {
	const char *member, *parameter;
	const struct key_form *form;
	const char *suffix;
};

static const struct kind kinds[] = {
	{ "dhchap_key", "dhchap_key", &key_form_dhchap, "dhchap" },
	{ "dhchap_ctrlr_key", "dhchap_ctrlr_key", &key_form_dhchap, "ctrlr" },
	{ "psk", "psk", &key_form_tls, "psk" },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const char *file_of(const struct attachment *a, size_t kind)
{
	return kind == 0 ? a->dhchap_key : kind == 1 ? a->dhchap_ctrlr_key : a->psk;
}

static char *place_of(struct attachment *a, size_t kind)
{
	return kind == 0 ? a->dhchap_key : kind == 1 ? a->dhchap_ctrlr_key : a->psk;
}

/* Unique in the target: the NQN ends with the UUID that the instance has on this node. */
static void key_name(const struct attachment *a, size_t kind, char name[static KEY_NAME_SIZE])
{
	const char *uuid = strrchr(a->nqn, ':');

	snprintf(name, KEY_NAME_SIZE, "cs-%.40s-%s", uuid ? uuid + 1 : a->nqn, kinds[kind].suffix);
}

/* The content goes nowhere: the target reads it by itself. */
static int check_file(const struct kind *k, const char *path, bool *line_end, struct error *err)
{
	struct key key;
	int rc = key_file_read(path, k->form, &key, err);

	*line_end = key.line_end;
	explicit_bzero(&key, sizeof(key));
	return rc < 0 ? error_prefix(err, "%s: ", k->member) : 0;
}

static int take_file(const struct kind *k, const char *path, char out[static STATE_PATH_SIZE],
		     struct error *err)
{
	char *real = realpath(path, NULL);
	bool line_end;
	int rc = 0;

	if (!real)
		return error_set(err, -errno, "key file %s: %s", path, error_errno_text(-errno));
	if (snprintf(out, STATE_PATH_SIZE, "%s", real) >= STATE_PATH_SIZE)
		rc = error_set(err, -ENAMETOOLONG, "the path of key file %.100s... is too long",
			       real);
	free(real);
	return rc == 0 ? check_file(k, out, &line_end, err) : rc;
}

int keys_request(const json_t *request, struct attachment *a, struct error *err)
{
	const char *path;
	int rc = 0;

	for (size_t i = 0; i < KINDS && rc == 0; i++) {
		path = request_text(request, kinds[i].member, err);
		rc = err->code;
		if (rc == 0 && path)
			rc = take_file(&kinds[i], path, place_of(a, i), err);
	}
	if (rc == 0 && a->dhchap_ctrlr_key[0] && !a->dhchap_key[0])
		rc = error_set(err, -EINVAL,
			       "--dhchap-ctrlr-key is for a host that proves itself too: give "
			       "--dhchap-key");
	return rc;
}

bool keys_are_set(const struct attachment *a)
{
	return a->dhchap_key[0] || a->psk[0];
}

static bool is_psk(const struct kind *k)
{
	return k->form == &key_form_tls;
}

/* Before 24.05 there is no keyring, and from 23.05 on a PSK is named by its file. */
static bool has_keyring(const struct client *c)
{
	return client_has(c, "keyring_file_add_key");
}

/* nvmf_subsystem_set_keys came with the release whose targets authenticate hosts. */
static int check_target(struct client *c, const struct kind *k, const char *path, bool line_end,
			struct error *err)
{
	int rc;

	if (!is_psk(k)) {
		rc = need_method(c, "nvmf_subsystem_set_keys", "authentication of hosts", err);
		return rc < 0 ? rc : need_method(c, "keyring_file_add_key", "keys of hosts", err);
	}
	if (line_end && !client_dialect(c)->is_engine)
		return error_set(err, -EINVAL,
				 "psk: file %s has an end of line behind the key, which SPDK does "
				 "not take: write the key alone, as printf %%s does",
				 path);
	return 0;
}

/* SPDK shows one that was removed as long as a host has it. */
static bool is_there(const struct view *v, const char *name)
{
	json_t *key;
	size_t i;

	json_array_foreach (v->keys, i, key) {
		if (!strcmp(view_text(key, "name"), name) &&
		    !json_is_true(json_object_get(key, "removed")))
			return true;
	}
	return false;
}

static int ensure_key(struct client *c, const struct view *v, const char *name, const char *path,
		      struct error *err)
{
	if (!has_keyring(c) || is_there(v, name))
		return 0;
	return client_wait(c, "keyring_file_add_key",
			   json_pack("{s:s, s:s}", "name", name, "path", path), NULL, err);
}

/* Members that name the keys of one sort, PSK or not. */
static void put_names(struct client *c, const struct attachment *a, bool psk, json_t *params)
{
	char name[KEY_NAME_SIZE];

	for (size_t i = 0; i < KINDS; i++) {
		if (!file_of(a, i)[0] || is_psk(&kinds[i]) != psk)
			continue;
		key_name(a, i, name);
		json_object_set_new(params, kinds[i].parameter,
				    json_string(psk && !has_keyring(c) ? file_of(a, i) : name));
	}
}

/*
 * A host that has keys already, ours or what somebody else gave it, gets what our files hold now:
 * the engine takes a key when it is named, SPDK whenever a host proves itself. Who is connected
 * stays.
 */
static int renew(struct client *c, const struct view *v, const struct attachment *a,
		 struct error *err)
{
	const json_t *s = view_by(v->subsystems, "nqn", a->nqn);
	const json_t *host = view_by(json_object_get(s, "hosts"), "nqn", a->host);
	json_t *params;

	if (!host || !view_text(host, "dhchap_key")[0] || !client_has(c, "nvmf_subsystem_set_keys"))
		return 0;
	params = json_pack("{s:s, s:s}", "nqn", a->nqn, "host", a->host);
	put_names(c, a, false, params);
	return client_wait(c, "nvmf_subsystem_set_keys", params, NULL, err);
}

int keys_ensure(struct client *c, const struct view *v, const struct attachment *a,
		struct error *err)
{
	char name[KEY_NAME_SIZE];
	bool line_end = false;
	int rc = 0;

	for (size_t i = 0; i < KINDS && rc == 0; i++) {
		if (!file_of(a, i)[0])
			continue;
		rc = check_file(&kinds[i], file_of(a, i), &line_end, err);
		if (rc == 0)
			rc = check_target(c, &kinds[i], file_of(a, i), line_end, err);
		key_name(a, i, name);
		if (rc == 0)
			rc = ensure_key(c, v, name, file_of(a, i), err);
	}
	return rc == 0 ? renew(c, v, a, err) : rc;
}

void keys_host(struct client *c, const struct attachment *a, json_t *params)
{
	put_names(c, a, false, params);
	put_names(c, a, true, params);
}

bool keys_are_named(const struct attachment *a, const json_t *host)
{
	char name[KEY_NAME_SIZE];

	for (size_t i = 0; i < KINDS; i++) {
		if (is_psk(&kinds[i]))
			continue;
		key_name(a, i, name);
		if (strcmp(view_text(host, kinds[i].parameter), file_of(a, i)[0] ? name : "") != 0)
			return false;
	}
	return true;
}

/* Hosts that are let in stay so without it, but what is saved then does not start again. */
void keys_drift(const struct view *v, const struct attachment *a, json_t *list)
{
	char name[KEY_NAME_SIZE];

	for (size_t i = 0; v->keys && i < KINDS; i++) {
		key_name(a, i, name);
		if (file_of(a, i)[0] && !is_there(v, name))
			drift(list, "instance %s: the key %s is not in the keyring", a->instance,
			      name);
	}
}

int keys_remove(struct client *c, const struct view *v, const struct attachment *a,
		struct error *err)
{
	char name[KEY_NAME_SIZE];
	int rc = 0;

	for (size_t i = 0; i < KINDS && rc == 0; i++) {
		key_name(a, i, name);
		if (file_of(a, i)[0] && is_there(v, name))
			rc = client_wait(c, "keyring_file_remove_key",
					 json_pack("{s:s}", "name", name), NULL, err);
	}
	return rc;
}

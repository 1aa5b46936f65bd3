/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target shows: looking at it, and making it what is recorded. Everything here may be
 * repeated at any point.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "driver/driver.h"

#define MODEL_BLOCK_SIZE 512

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static json_t *find_by(const json_t *list, const char *name, const char *value)
{
	json_t *o;
	size_t i;

	json_array_foreach ((json_t *)list, i, o) {
		if (!strcmp(text_of(o, name), value))
			return o;
	}
	return NULL;
}

static bool has_transport(const json_t *transports)
{
	json_t *t;
	size_t i;

	json_array_foreach ((json_t *)transports, i, t) {
		if (!strcasecmp(text_of(t, "trtype"), "TCP"))
			return true;
	}
	return false;
}

static int ensure_transport(struct client *c, struct error *err)
{
	json_t *transports = NULL;
	int rc = client_wait(c, "nvmf_get_transports", NULL, &transports, err);

	if (rc == 0 && !has_transport(transports))
		rc = client_wait(c, "nvmf_create_transport", json_pack("{s:s}", "trtype", "TCP"),
				 NULL, err);
	json_decref(transports);
	return rc;
}

static int create_memory(struct client *c, const struct accelerator *a, struct error *err)
{
	json_int_t blocks = (json_int_t)(a->size / MODEL_BLOCK_SIZE);

	return client_wait(c, "bdev_malloc_create",
			   json_pack("{s:s, s:I, s:i, s:s}", "name", a->bdev, "num_blocks", blocks,
				     "block_size", MODEL_BLOCK_SIZE, "uuid", a->uuid),
			   NULL, err);
}

/* io_uring where the target has it; the older AIO module otherwise, which wants the block size. */
static int create_backing(struct client *c, const struct accelerator *a, struct error *err)
{
	json_t *params;

	if (!strcmp(a->kind, "memory"))
		return create_memory(c, a, err);
	params = json_pack("{s:s, s:s, s:I, s:s}", "name", a->bdev, "filename", a->path,
			   "block_size", (json_int_t)a->block_size, "uuid", a->uuid);
	return client_wait(
		c, client_has(c, "bdev_uring_create") ? "bdev_uring_create" : "bdev_aio_create",
		params, NULL, err);
}

int export_backing(struct client *c, const struct accelerator *a, struct error *err)
{
	json_t *bdevs = NULL;
	int rc = client_wait(c, "bdev_get_bdevs", NULL, &bdevs, err);

	if (rc == 0 && !find_by(bdevs, "name", a->bdev))
		rc = create_backing(c, a, err);
	json_decref(bdevs);
	return rc == 0 ? ensure_transport(c, err) : rc;
}

static int get_subsystem(struct client *c, const char *nqn, json_t **out, struct error *err)
{
	json_t *all = NULL;
	int rc = client_wait(c, "nvmf_get_subsystems", NULL, &all, err);

	*out = NULL;
	if (rc == 0)
		*out = json_incref(find_by(all, "nqn", nqn));
	json_decref(all);
	return rc;
}

static json_t *namespace_of(const json_t *subsystem, uint32_t nsid)
{
	json_t *ns;
	size_t i;

	json_array_foreach (json_object_get(subsystem, "namespaces"), i, ns) {
		if (json_integer_value(json_object_get(ns, "nsid")) == (json_int_t)nsid)
			return ns;
	}
	return NULL;
}

static bool listens(const json_t *subsystem, const struct attachment *a)
{
	char port[8];
	json_t *l;
	size_t i;

	snprintf(port, sizeof(port), "%u", a->port);
	json_array_foreach (json_object_get(subsystem, "listen_addresses"), i, l) {
		if (!strcasecmp(text_of(l, "trtype"), "TCP") &&
		    !strcmp(text_of(l, "traddr"), a->address) &&
		    !strcmp(text_of(l, "trsvcid"), port))
			return true;
	}
	return false;
}

static bool ns_is_right(const json_t *ns, const struct attachment *a)
{
	return !strcmp(text_of(ns, "bdev_name"), a->bdev) &&
	       !strcasecmp(text_of(ns, "uuid"), a->uuid);
}

/* SPDK before 19.04 has one model number for all, and does not show it. */
static bool model_is_right(const json_t *s, const struct attachment *a)
{
	json_t *model = json_object_get(s, "model_number");

	return !model || !strcmp(text_of(s, "model_number"), a->model);
}

/* Identity cannot be changed in place: a subsystem that shows another one is made anew. */
static bool identity_is_right(const json_t *s, const struct attachment *a)
{
	json_t *ns = namespace_of(s, a->nsid);

	return !strcmp(text_of(s, "serial_number"), a->serial) && model_is_right(s, a) &&
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
		if (rc == 0 && strcmp(text_of(h, "nqn"), a->host) != 0)
			rc = client_wait(
				c, "nvmf_subsystem_remove_host",
				json_pack("{s:s, s:s}", "nqn", a->nqn, "host", text_of(h, "nqn")),
				NULL, err);
	}
	if (rc == 0 && !find_by(hosts, "nqn", a->host))
		rc = client_wait(c, "nvmf_subsystem_add_host",
				 json_pack("{s:s, s:s}", "nqn", a->nqn, "host", a->host), NULL,
				 err);
	return rc;
}

static int add_listener(struct client *c, const struct attachment *a, struct error *err)
{
	char port[8];

	snprintf(port, sizeof(port), "%u", a->port);
	return client_wait(c, "nvmf_subsystem_add_listener",
			   json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "nqn", a->nqn,
				     "listen_address", "trtype", "TCP", "adrfam", a->family,
				     "traddr", a->address, "trsvcid", port),
			   NULL, err);
}

int export_ensure(struct client *c, const struct attachment *a, struct error *err)
{
	json_t *s = NULL;
	int rc = get_subsystem(c, a->nqn, &s, err);

	if (rc == 0 && s && !identity_is_right(s, a)) {
		rc = export_remove(c, a->nqn, err);
		json_decref(s);
		s = NULL;
	}
	if (rc == 0 && !s)
		rc = create_subsystem(c, a, err);
	if (rc == 0 && !namespace_of(s, a->nsid))
		rc = add_namespace(c, a, err);
	/* The listener comes last: before it nobody but the recorded host is allowed. */
	if (rc == 0)
		rc = ensure_hosts(c, s, a, err);
	if (rc == 0 && !listens(s, a))
		rc = add_listener(c, a, err);
	json_decref(s);
	return rc;
}

int export_remove(struct client *c, const char *nqn, struct error *err)
{
	json_t *s;
	int rc = get_subsystem(c, nqn, &s, err);

	if (rc == 0 && s)
		rc = client_wait(c, "nvmf_delete_subsystem", json_pack("{s:s}", "nqn", nqn), NULL,
				 err);
	json_decref(s);
	return rc;
}

int export_hosts(struct client *c, const char *nqn, struct error *err)
{
	json_t *s, *list = NULL;
	int rc = get_subsystem(c, nqn, &s, err);

	if (rc == 0 && s) {
		rc = client_wait(c, "nvmf_subsystem_get_controllers",
				 json_pack("{s:s}", "nqn", nqn), &list, err);
		if (rc == 0)
			rc = (int)json_array_size(list);
		json_decref(list);
	}
	json_decref(s);
	return rc;
}

static void drift(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void drift(json_t *list, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_array_append_new(list, json_string(text));
}

static void drift_text(json_t *list, const struct attachment *a, const char *what,
		       const char *found, const char *recorded)
{
	if (strcasecmp(found, recorded) != 0)
		drift(list, "instance %s: %s is \"%s\", recorded is \"%s\"", a->instance, what,
		      found, recorded);
}

static void drift_hosts(const json_t *s, const struct attachment *a, json_t *list)
{
	json_t *hosts = json_object_get(s, "hosts"), *h;
	size_t i;

	if (json_is_true(json_object_get(s, "allow_any_host")))
		drift(list, "instance %s: any host may connect", a->instance);
	if (!find_by(hosts, "nqn", a->host))
		drift(list, "instance %s: host %s may not connect", a->instance, a->host);
	json_array_foreach (hosts, i, h) {
		if (strcmp(text_of(h, "nqn"), a->host) != 0)
			drift(list, "instance %s: host %s may connect and should not", a->instance,
			      text_of(h, "nqn"));
	}
}

void export_drift(const json_t *subsystems, const struct attachment *a, json_t *list)
{
	json_t *s = find_by(subsystems, "nqn", a->nqn), *ns;

	if (!s) {
		drift(list, "instance %s: subsystem %s is not exported", a->instance, a->nqn);
		return;
	}
	drift_text(list, a, "serial number", text_of(s, "serial_number"), a->serial);
	if (!model_is_right(s, a))
		drift_text(list, a, "model", text_of(s, "model_number"), a->model);
	ns = namespace_of(s, a->nsid);
	if (!ns) {
		drift(list, "instance %s: namespace %u is missing", a->instance, a->nsid);
	} else {
		drift_text(list, a, "UUID", text_of(ns, "uuid"), a->uuid);
		drift_text(list, a, "NGUID", text_of(ns, "nguid"), a->nguid);
		drift_text(list, a, "bdev", text_of(ns, "bdev_name"), a->bdev);
	}
	if (!listens(s, a))
		drift(list, "instance %s: nobody listens at %s port %u", a->instance, a->address,
		      a->port);
	drift_hosts(s, a, list);
}

void backing_drift(const json_t *bdevs, const struct accelerator *a, json_t *list)
{
	json_t *b = find_by(bdevs, "name", a->bdev);
	json_int_t size;

	if (!b) {
		drift(list, "bdev %s on %s is missing", a->bdev, a->path[0] ? a->path : "memory");
		return;
	}
	size = json_integer_value(json_object_get(b, "num_blocks")) *
	       json_integer_value(json_object_get(b, "block_size"));
	if ((uint64_t)size != a->size)
		drift(list, "bdev %s has %lld bytes, recorded are %llu", a->bdev, (long long)size,
		      (unsigned long long)a->size);
}

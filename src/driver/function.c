/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI function in the target: taken, compared with what is recorded, let go, see function.h.
 *
 * Threading: as driver.h.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "driver/drift.h"
#include "driver/function.h"

/* --- what the target shows -------------------------------------------------------------------- */

/* A list of paths to the namespace since 21.04, one path before. */
static const json_t *path_of(const json_t *bdev)
{
	const json_t *o = json_object_get(json_object_get(bdev, "driver_specific"), "nvme");

	return json_is_array(o) ? json_array_get(o, 0) : o;
}

static bool is_of(const json_t *bdev, const struct accelerator *a)
{
	const json_t *path = path_of(bdev);

	return !strcasecmp(view_text(json_object_get(path, "trid"), "traddr"), a->path) ||
	       !strcasecmp(view_text(path, "pci_address"), a->path);
}

static const json_t *next_of(const struct view *v, const struct accelerator *a, size_t *i)
{
	while (*i < json_array_size(v->bdevs)) {
		const json_t *b = json_array_get(v->bdevs, (*i)++);

		if (is_of(b, a))
			return b;
	}
	return NULL;
}

static uint32_t nsid_of(const json_t *bdev)
{
	json_int_t id = json_integer_value(
		json_object_get(json_object_get(path_of(bdev), "ns_data"), "id"));

	return id > 0 && id <= UINT32_MAX ? (uint32_t)id : 0;
}

static const char *serial_of(const json_t *bdev)
{
	return view_text(json_object_get(path_of(bdev), "ctrlr_data"), "serial_number");
}

/* --- is it the recorded one ------------------------------------------------------------------- */

/*
 * A store has a UUID of its own, which says more. What tells no UUID is given one by the target,
 * another one each time.
 */
static void drift_identity(const json_t *bdev, const struct accelerator *a, json_t *list)
{
	static const char prefix[] = "uuid.";
	const char *recorded = a->identity + sizeof(prefix) - 1, *uuid = view_text(bdev, "uuid");

	if (a->store[0] || strncmp(a->identity, prefix, sizeof(prefix) - 1) != 0 || !uuid[0] ||
	    !strcasecmp(uuid, recorded))
		return;
	drift(list, "namespace %u of PCI function %s has the UUID %s, recorded is %s", a->nsid,
	      a->path, uuid, recorded);
}

void function_drift(const struct view *v, const struct accelerator *a, json_t *list)
{
	const json_t *b = view_bdev(v->bdevs, a->bdev);
	json_int_t block_size = json_integer_value(json_object_get(b, "block_size"));
	const char *serial = serial_of(b);

	if (!b)
		return;
	if (!is_of(b, a))
		drift(list, "bdev %s is not on PCI function %s", a->bdev, a->path);
	if (serial[0] && strcmp(serial, a->serial) != 0)
		drift(list, "PCI function %s has the serial \"%s\", recorded is \"%s\"", a->path,
		      serial, a->serial);
	if (block_size != (json_int_t)a->block_size)
		drift(list, "bdev %s has blocks of %lld bytes, recorded are %u", a->bdev,
		      (long long)block_size, a->block_size);
	drift_identity(b, a, list);
}

static int compare(const struct view *v, const struct accelerator *a, struct error *err)
{
	const json_t *b = view_bdev(v->bdevs, a->bdev);
	json_t *list = json_array();
	int rc = 0;

	if (!b)
		drift(list, "PCI function %s has no namespace %u (bdev %s)", a->path, a->nsid,
		      a->bdev);
	else if (view_bdev_size(b) != a->size)
		drift(list, "namespace %u of PCI function %s has %llu bytes, recorded are %llu",
		      a->nsid, a->path, (unsigned long long)view_bdev_size(b),
		      (unsigned long long)a->size);
	function_drift(v, a, list);
	if (json_array_size(list))
		rc = error_set(err, -ENODEV,
			       "accelerator %s: %s: it is not used; put back what was there, or "
			       "uninstall the accelerator with --keep-backing",
			       a->id, json_string_value(json_array_get(list, 0)));
	json_decref(list);
	return rc;
}

/* --- taken and let go ------------------------------------------------------------------------- */

static int attach(struct client *c, const struct accelerator *a, struct error *err)
{
	char what[64];
	int rc;

	snprintf(what, sizeof(what), "PCI function %.20s as a backing", a->path);
	rc = need_method(c, "bdev_nvme_attach_controller", what, err);
	if (rc == 0)
		rc = client_wait(c, "bdev_nvme_attach_controller",
				 json_pack("{s:s, s:s, s:s}", "name", a->id, "trtype", "PCIe",
					   "traddr", a->path),
				 NULL, err);
	return rc < 0 ? error_prefix(err, "PCI function %s: ", a->path) : 0;
}

int function_open(struct client *c, const struct accelerator *a, struct error *err)
{
	size_t i = 0;
	struct view v;
	int rc = view_take(c, &v, err);

	if (rc == 0 && !next_of(&v, a, &i)) {
		view_fini(&v);
		rc = attach(c, a, err);
		if (rc == 0)
			rc = view_take(c, &v, err);
	}
	if (rc < 0)
		return rc;
	if (a->size)
		rc = compare(&v, a, err);
	view_fini(&v);
	if (rc < 0)
		function_close(c, a, NULL);
	return rc;
}

static int choose(const struct view *v, const struct accelerator *a, const json_t **out,
		  struct error *err)
{
	size_t i = 0, found = 0, at = 0;
	char list[128] = "";
	const json_t *b;

	*out = NULL;
	while ((b = next_of(v, a, &i))) {
		if (at < sizeof(list))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%u", at ? ", " : "",
					       nsid_of(b));
		if (a->nsid && nsid_of(b) != a->nsid)
			continue;
		*out = b;
		found++;
	}
	if (found == 1)
		return 0;
	if (found > 1)
		return function_several(a, list, nsid_of(*out), err);
	return error_set(err, -ENODEV,
			 "PCI function %s has no %s that the target can use: there %s %s", a->path,
			 a->nsid ? "namespace of that number" : "namespace", list[0] ? "are" : "is",
			 list[0] ? list : "none");
}

int function_learn(struct client *c, struct accelerator *a, struct error *err)
{
	const json_t *b;
	struct view v;
	int rc = view_take(c, &v, err);

	if (rc < 0)
		return rc;
	rc = choose(&v, a, &b, err);
	if (rc == 0) {
		a->nsid = nsid_of(b);
		a->size = view_bdev_size(b);
		a->block_size = (uint32_t)json_integer_value(json_object_get(b, "block_size"));
		snprintf(a->serial, sizeof(a->serial), "%s", serial_of(b));
		snprintf(a->bdev, sizeof(a->bdev), "%s", view_text(b, "name"));
	}
	view_fini(&v);
	return rc;
}

int function_close(struct client *c, const struct accelerator *a, struct error *err)
{
	bool is_there = false;
	size_t i = 0;
	struct view v;
	int rc = view_take(c, &v, err);

	if (rc < 0)
		return rc;
	is_there = next_of(&v, a, &i) != NULL;
	view_fini(&v);
	/* Before 18.07 there is no way but to end the target. */
	if (!is_there || !client_has(c, "bdev_nvme_detach_controller"))
		return 0;
	return client_wait(c, "bdev_nvme_detach_controller", json_pack("{s:s}", "name", a->id),
			   NULL, err);
}

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
#include "base/utf8.h"
#include "driver/look.h"
#include "driver/verb.h"

/* See score_of(). */
#define SCORE_FREE 100
#define SCORE_DATA 10
#define SCORE_NVME 40

#define KITS_S 3u /* that all kits together may take to tell their versions */

static json_t *kit_json(const struct kit *k)
{
	return json_pack("{s:s, s:s, s:s}", "path", k->path, "kind", k->kind, "version",
			 k->version);
}

/* @silent: paths of those that did not end in time; @unsafe: of those that were not run */
static json_t *kits_json(struct kits_search *search, json_t *silent, json_t *unsafe)
{
	json_t *list = json_array();
	struct kit *kits;
	ssize_t n = kits_end(search, &kits, silent, unsafe, NULL);

	for (ssize_t i = 0; i < n; i++)
		json_array_append_new(list, kit_json(&kits[i]));
	free(kits);
	return list;
}

static json_t *devices_json(const struct probe_devices *devices)
{
	json_t *list = json_array();

	for (size_t i = 0; i < devices->count; i++)
		json_array_append_new(list, probe_device_json(&devices->items[i]));
	return list;
}

static json_t *unseen_json(struct driver *d, const json_t *silent_kits, const json_t *unsafe_kits)
{
	json_t *list = json_array(), *path;
	char text[160];
	size_t i;

	for (i = 0; probe_unseen(d->probe, i, text, sizeof(text)); i++)
		json_array_append_new(list, json_string(text));
	json_array_foreach ((json_t *)silent_kits, i, path)
		json_array_append_new(list, json_sprintf("the version of %s: it did not tell "
							 "within %u s, and was killed",
							 json_string_value(path), KITS_S));
	json_array_foreach ((json_t *)unsafe_kits, i, path)
		json_array_append_new(list,
				      json_sprintf("the version of %s: root does not run what "
						   "others may change (it, or a folder above)",
						   json_string_value(path)));
	return list;
}

/* The node and its devices; the rest does not fail. */
static int look_node(struct driver *d, json_t *answer, struct error *err)
{
	struct probe_node *node = calloc(1, sizeof(*node));
	struct probe_devices devices = { 0 };
	int rc = node ? probe_devices_seen(d->probe, &devices, err) : -ENOMEM;

	if (rc == 0)
		rc = probe_node(d->probe, &devices, node);
	if (rc == 0) {
		owned_mark(d, devices.items, devices.count, node);
		json_object_set_new(answer, "node", probe_node_json(node));
		json_object_set_new(answer, "devices", devices_json(&devices));
		probe_node_fini(node);
	}
	probe_devices_fini(&devices);
	free(node);
	return rc == 0 || err->code ? rc : error_set(err, rc, "node: %s", error_errno_text(rc));
}

/* What takes others a while is begun first: kits and targets work on it while this looks around. */
static int discover(struct driver *d, json_t *answer, struct error *err)
{
	struct kits_search *kits = kits_begin(d, KITS_S * NS_PER_SEC);
	json_t *silent = json_array(), *unsafe = json_array(), *ceph = NULL;
	struct looks *looks;
	int rc;

	probe_refresh(d->probe);
	driver_step(d, "find running targets", 1, 5);
	looks = look_start(d, true);
	driver_step(d, "look at the node and its devices", 2, 5);
	rc = look_node(d, answer, err);
	driver_step(d, "ask Ceph's monitors", 3, 5);
	if (rc == 0)
		ceph = look_ceph(d);
	driver_step(d, "wait for the versions of installed kits", 4, 5);
	json_object_set_new(answer, "kits", kits_json(kits, silent, unsafe));
	driver_step(d, "wait for what the targets answer", 5, 5);
	json_object_set_new(answer, "targets", look_finish(looks));
	json_object_set_new(answer, "ceph", ceph);
	json_object_set_new(answer, "unseen", unseen_json(d, silent, unsafe));
	json_decref(silent);
	json_decref(unsafe);
	return rc;
}

int verb_discover(struct driver *d, const json_t *request, json_t **answer, struct error *err)
{
	static const char *const names[] = { "type", NULL };
	int rc = request_check(request, names, err);

	if (rc == 0)
		rc = check_type(request, err);
	if (rc < 0)
		return rc;
	driver_begin(d, "discover");
	*answer = json_object();
	rc = discover(d, *answer, err);
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
static int score_of_verdict(enum probe_verdict verdict)
{
	return verdict == PROBE_FREE ? SCORE_FREE : verdict == PROBE_HOLDS_DATA ? SCORE_DATA : 0;
}

static int score_of_size(uint64_t bytes)
{
	int score = 0;

	for (uint64_t size = bytes >> 20; size > 1; size >>= 1)
		score++;
	return score;
}

static int score_of(const struct probe_device *dev)
{
	int score = score_of_verdict(probe_device_verdict(dev));

	if (!score)
		return 0;
	if (!strncmp(dev->name, "nvme", 4))
		score += SCORE_NVME;
	else if (!dev->rotational && strcmp(dev->kind, "file") != 0)
		score += 20;
	if (!strcmp(dev->kind, "disk"))
		score += 10;
	return score + score_of_size(dev->size);
}

static const char *size_text(uint64_t bytes, char out[static 32])
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1024 && unit < 5; unit++)
		value /= 1024;
	snprintf(out, 32, "%.4g %s", value, units[unit]);
	return out;
}

static void add_candidate(json_t *list, const struct probe_device *dev)
{
	const struct probe_finding *f = probe_device_reason(dev);
	json_t *o = probe_device_json(dev);
	char why[400], size[32];

	if (f)
		snprintf(why, sizeof(why), "no: %.380s", f->text);
	else
		snprintf(why, sizeof(why), "yes: unused and empty; %s, %s",
			 !strncmp(dev->name, "nvme", 4) ? "NVMe"
			 : !strcmp(dev->kind, "file")	? "a file"
			 : dev->rotational		? "a spinning disk"
							: "flash or virtual",
			 size_text(dev->size, size));
	utf8_mend(why);
	json_object_set_new(o, "score", json_integer(score_of(dev)));
	json_object_set_new(o, "attach", json_boolean(!f));
	json_object_set_new(o, "why", json_string(why));
	look_insert(list, o);
}

/*
 * Below its block device, which needs neither an SPDK nor a binding. Of one that the nvme driver
 * does not have no namespace is seen, and data may be on it: install looks through the target.
 */
static void judge_function(const struct probe_nvme *f, int *score, char *why, size_t size)
{
	bool is_seen = !strcmp(f->driver, "nvme");
	char text[32];

	*score = score_of_verdict(f->finding.verdict);
	if (f->finding.verdict == PROBE_IN_USE || f->finding.verdict == PROBE_UNFIT) {
		snprintf(why, size, "no: %s", f->finding.text);
	} else if (f->iommu_group < 0) {
		*score = 0;
		snprintf(why, size, "no: %s has no IOMMU group, without which no target drives it",
			 f->address);
	} else if (is_seen && !f->namespaces[0]) {
		*score = 0;
		snprintf(why, size, "no: %s has no namespace", f->address);
	} else if (f->finding.verdict != PROBE_FREE) {
		snprintf(why, size, "no: %s%s", f->finding.text,
			 is_seen ? "" : " before an SPDK drives it (install looks then)");
	} else {
		snprintf(why, size,
			 "yes: unused and empty; NVMe, %s, for an SPDK that drives it itself "
			 "(--bind %s)",
			 size_text(f->size, text), f->address);
	}
	if (*score)
		*score += SCORE_NVME + score_of_size(f->size);
}

static void add_functions(const struct probe_node *node, json_t *list)
{
	json_t *all = probe_node_json(node), *v;
	char why[480];
	int score;
	size_t i;

	json_array_foreach (json_object_get(all, "nvme"), i, v) {
		judge_function(&node->nvme[i], &score, why, sizeof(why));
		json_object_set(v, "path", json_object_get(v, "address"));
		json_object_set_new(v, "kind", json_string("nvme-function"));
		json_object_set_new(v, "attach", json_boolean(!strncmp(why, "yes", 3)));
		json_object_set_new(v, "score", json_integer(score));
		json_object_set_new(v, "why", json_string(why));
		look_insert(list, json_incref(v));
	}
	json_decref(all);
}

/* What is named is read thoroughly: it takes the place of the glance at all devices. */
static void drop_candidate(json_t *list, const char *path)
{
	for (size_t i = json_array_size(list); i > 0; i--) {
		if (!strcmp(view_text(json_array_get(list, i - 1), "path"), path))
			json_array_remove(list, i - 1);
	}
}

static int add_paths(struct driver *d, const json_t *paths, struct probe_node *node, json_t *list,
		     struct error *err)
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
			drop_candidate(list, dev->path);
			owned_mark(d, dev, 1, node);
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
	struct probe_node *node = calloc(1, sizeof(*node));
	struct probe_devices devices = { 0 };
	json_t *list = json_array();
	int rc = node ? 0 : error_set(err, -ENOMEM, "out of memory");

	driver_step(d, "look at the node's devices", 1, 1);
	if (rc == 0)
		rc = probe_devices(d->probe, &devices, err);
	if (rc == 0)
		rc = probe_node(d->probe, &devices, node);
	if (rc == 0)
		owned_mark(d, devices.items, devices.count, node);
	for (size_t i = 0; rc == 0 && i < devices.count; i++)
		add_candidate(list, &devices.items[i]);
	if (rc == 0) {
		add_functions(node, list);
		rc = add_paths(d, json_object_get(request, "paths"), node, list, err);
		probe_node_fini(node);
	}
	probe_devices_fini(&devices);
	free(node);
	json_object_set_new(answer, "candidates", list);
	return rc;
}

static int list_ceph(struct driver *d, json_t *answer)
{
	json_t *targets, *clusters;

	probe_refresh(d->probe);
	driver_step(d, "ask running targets", 1, 2);
	targets = look_finish(look_start(d, false));
	driver_step(d, "ask Ceph's monitors", 2, 2);
	clusters = look_ceph(d);
	json_object_set_new(answer, "candidates", look_ceph_candidates(targets, clusters));
	json_object_set_new(answer, "clusters", clusters);
	if (json_array_size(clusters) == 0)
		json_object_set_new(answer, "note",
				    json_string("no Ceph cluster is configured here: /etc/ceph has "
						"no .conf, and CEPH_CONF names none"));
	else if (json_array_size(targets) == 0)
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

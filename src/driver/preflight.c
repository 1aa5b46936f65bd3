/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before a target is replaced: its successor starts on a socket of its own, beside it, answers, and
 * has every method that what is recorded needs. It gets no configuration: backing and ports are the
 * old one's still.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/dialect.h"
#include "driver/function.h"

/* No accelerator's id begins so, and no path gets longer by it. */
#define TRIAL_ID "_"

int preflight_clean(struct driver *d, struct error *err)
{
	int rc = service_stop_trial(d, TRIAL_ID, err);

	return rc < 0 ? rc : target_remove_files(d, TRIAL_ID, err);
}

/* One of them is enough. */
struct way {
	const char *method, *other;
};

static const struct way of_file[] = { { "bdev_uring_create", "bdev_aio_create" }, { NULL, NULL } };
static const struct way of_function[] = { { "bdev_nvme_attach_controller", NULL }, { NULL, NULL } };
static const struct way of_memory[] = { { "bdev_malloc_create", NULL }, { NULL, NULL } };
static const struct way of_ceph[] = { { "bdev_rbd_create", NULL }, { NULL, NULL } };
static const struct way of_store[] = { { "bdev_lvol_get_lvstores", NULL }, { NULL, NULL } };
static const struct way of_exports[] = {
	{ "bdev_get_bdevs", NULL },
	{ "nvmf_get_subsystems", NULL },
	{ "nvmf_create_subsystem", NULL },
	{ "nvmf_delete_subsystem", NULL },
	{ "nvmf_subsystem_add_ns", NULL },
	{ "nvmf_subsystem_add_host", NULL },
	{ "nvmf_subsystem_add_listener", NULL },
	{ NULL, NULL },
};

static void note_lacking(const struct client *c, const struct way *ways, char *list, size_t size)
{
	for (; ways->method; ways++) {
		size_t at = strlen(list);

		if (client_has(c, ways->method) || (ways->other && client_has(c, ways->other)))
			continue;
		snprintf(list + at, size - at, "%s%s", at ? ", " : "", ways->method);
	}
}

/* What is recorded needs these; what the saved configuration has besides is looked at with it. */
static int check_methods(const struct client *c, const struct accelerator *a, struct error *err)
{
	char lacking[320] = "";

	if (!strcmp(a->kind, "memory"))
		note_lacking(c, of_memory, lacking, sizeof(lacking));
	else if (!strcmp(a->kind, "ceph"))
		note_lacking(c, of_ceph, lacking, sizeof(lacking));
	else if (is_function(a))
		note_lacking(c, of_function, lacking, sizeof(lacking));
	else
		note_lacking(c, of_file, lacking, sizeof(lacking));
	if (a->store_uuid[0])
		note_lacking(c, of_store, lacking, sizeof(lacking));
	note_lacking(c, of_exports, lacking, sizeof(lacking));
	return lacking[0] ? error_set(err, -ENOSYS, "it has no %s, which what is recorded needs",
				      lacking)
			  : 0;
}

/* One that cannot be asked to wait for stores would leave by what stands on their volumes. */
static int drop_on_volumes(struct driver *d, const struct client *c, const char *id,
			   const char *config, struct error *err)
{
	struct attachment *list;
	ssize_t n;
	int rc;

	if (client_has(c, "bdev_wait_for_examine"))
		return 0;
	n = state_attachments(d->state, id, &list, err);
	rc = n < 0 ? (int)n : 0;
	for (ssize_t i = 0; i < n && rc == 0; i++) {
		if (list[i].volume[0] && strcmp(list[i].source, SOURCE_RBD) != 0)
			rc = export_drop(config, &list[i], err);
	}
	free(list);
	return rc;
}

static bool is_older(const struct accelerator *a, const struct accelerator *than)
{
	return dialect_release(a->version) < dialect_release(than->version);
}

static int look(struct driver *d, const struct accelerator *a, const struct accelerator *trial,
		const char *config, const char *next, struct error *err)
{
	json_t *translated = NULL;
	struct accelerator old;
	struct client *c;
	int rc = target_connect(d, trial, &c, err);

	/* An SPDK has its socket before it has what it may fail by. */
	if (rc < 0)
		return target_tell_end(d, trial, 0, false, rc, err);
	rc = check_methods(c, trial, err);
	if (rc == 0)
		rc = state_accelerator(d->state, a->id, &old, err);
	/* A target that was never configured has none. */
	if (rc == 0 && access(config, F_OK) == 0)
		rc = config_translate(c, config, is_older(trial, &old), &translated, err);
	if (rc == 0 && translated)
		rc = config_write(next, translated, err);
	if (rc == 0 && translated)
		rc = drop_on_volumes(d, c, a->id, next, err);
	json_decref(translated);
	client_destroy(c);
	return rc;
}

int preflight_run(struct driver *d, const struct accelerator *a, const char *of_node,
		  const char *config, const char *next, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct accelerator trial = *a;
	struct target_paths paths;
	int rc = preflight_clean(d, err), cleaned;

	snprintf(trial.id, sizeof(trial.id), TRIAL_ID);
	if (rc == 0)
		rc = target_paths(d, trial.id, &paths, err);
	if (rc == 0)
		rc = target_make_folder(d, paths.dir, err);
	if (rc == 0)
		rc = service_start_trial(d, &trial, &paths, of_node, err);
	if (rc == 0)
		rc = look(d, a, &trial, config, next, err);
	if (rc < 0)
		error_prefix(err, "pre-flight of %s: ", a->target);
	cleaned = preflight_clean(d, rc < 0 ? &ignored : err);
	return rc < 0 ? rc : cleaned;
}

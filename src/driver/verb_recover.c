/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover: complete or undo what was interrupted, start targets that are down, bring back what is
 * recorded. One accelerator that cannot be brought back does not keep the others from it.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/function.h"
#include "driver/verb.h"

static bool is_as_recorded(const char *health, const json_t *status)
{
	return !strcmp(health, "ok") && json_array_size(json_object_get(status, "drift")) == 0;
}

/* Why the attempt failed, and what of the node it may follow from. */
static void tell_reason(const json_t *status, const struct error *err, char *out, size_t size)
{
	size_t at = (size_t)snprintf(out, size, "%s", err->text), i;
	const json_t *drift = json_object_get(status, "drift"), *one;

	json_array_foreach (drift, i, one) {
		if (at < size)
			at += (size_t)snprintf(out + at, size - at, "%s%s", at ? "; " : "",
					       json_string_value(one));
	}
}

/* Recorded things first, by the record; then the rest, as far as it is possible now. */
static int serve_without(struct driver *d, const struct accelerator *a, const char *config,
			 const char *kept, struct error *err)
{
	struct client *c;
	int rc = target_ensure(d, a, &c, err);

	if (rc == 0)
		rc = config_replay(c, kept, err);
	if (rc == 0)
		rc = config_save(c, config, err);
	client_destroy(c);
	return rc;
}

/*
 * One failing line of the saved configuration keeps a target from its start: a remote disk that
 * somebody else gave it and that is away, say. That is no reason to keep what is recorded down. The
 * file is kept for whoever made that line.
 *
 * @kept: where it is kept; filled after 0
 */
static int start_without(struct driver *d, const struct accelerator *a, char kept[static PATH_MAX],
			 struct error *err)
{
	struct target_paths p;
	/* Of a function the file has nothing that its next start needs. */
	int rc = is_function(a) ? -ENOTSUP : backing_look(a, err);

	if (rc == 0)
		rc = target_paths(d, a->id, &p, err);
	if (rc < 0 || snprintf(kept, PATH_MAX, "%s.unusable", p.config) >= PATH_MAX)
		return rc < 0 ? rc : -ENAMETOOLONG;
	rc = access(p.config, F_OK) < 0 ? -errno : target_stop(d, a, err);
	if (rc < 0 || rename(p.config, kept) < 0)
		return rc < 0 ? rc : -errno;
	rc = serve_without(d, a, p.config, kept, err);
	if (rc < 0) {
		target_stop(d, a, NULL);
		rename(kept, p.config);
	}
	return rc;
}

static bool is_dead(const struct error *err)
{
	return err->code == -EHOSTDOWN || err->code == -ECONNRESET;
}

/* @why: filled when it was done otherwise than by the saved configuration */
static int bring_back(struct driver *d, const struct accelerator *a, char *why, size_t size,
		      struct error *err)
{
	struct error ignored = ERROR_INIT;
	char kept[PATH_MAX];
	struct client *c;
	int rc = target_ensure(d, a, &c, err);

	if (rc == 0)
		client_destroy(c);
	if (rc == 0 || !is_dead(err) || start_without(d, a, kept, &ignored) < 0)
		return rc;
	snprintf(
		why, size,
		"what is recorded was made anew; the saved configuration, kept as %.400s, does not "
		"start: %s",
		kept, err->text);
	return 0;
}

/* @outcome: "ok", "restored", "failed", and of a trial "would be restored" */
static const char *recover_accelerator(struct driver *d, const struct accelerator *a, bool dry_run,
				       json_t *list)
{
	struct error err = ERROR_INIT;
	const char *health, *outcome = "ok";
	char why[2 * ERROR_TEXT_MAX] = "";
	json_t *status = status_of(d, a, &health, NULL);

	if (!is_as_recorded(health, status) && dry_run) {
		outcome = "would be restored";
	} else if (!is_as_recorded(health, status)) {
		bring_back(d, a, why, sizeof(why), &err);
		json_decref(status);
		status = status_of(d, a, &health, NULL);
		outcome = is_as_recorded(health, status) ? "restored" : "failed";
	}
	if (strcmp(outcome, "ok") != 0 && strcmp(outcome, "restored") != 0)
		tell_reason(status, &err, why, sizeof(why));
	json_array_append_new(list,
			      json_pack("{s:s, s:s, s:s, s:s*}", "id", a->id, "outcome", outcome,
					"health", health, "reason", why[0] ? why : NULL));
	json_decref(status);
	return !strcmp(outcome, "failed") && !strcmp(health, "ok") ? "degraded" : health;
}

static int recover_all(struct driver *d, const char *id, bool dry_run, json_t *answer,
		       struct error *err)
{
	struct accelerator *rows = NULL;
	ssize_t n = state_accelerators(d->state, &rows, err);
	const char *health = "ok";
	json_t *list = json_array();

	for (ssize_t i = 0; i < n; i++) {
		if (id && strcmp(rows[i].id, id) != 0)
			continue;
		driver_step(d, rows[i].id, (unsigned int)i + 1, (unsigned int)n);
		health = status_worse(health, recover_accelerator(d, &rows[i], dry_run, list));
	}
	free(rows);
	json_object_set_new(answer, "health", json_string(health));
	json_object_set_new(answer, "accelerators", list);
	return n < 0 ? (int)n : 0;
}

int verb_recover(struct driver *d, const json_t *request, json_t **answer, struct error *err)
{
	static const char *const names[] = { "id", "dry_run", NULL };
	const char *id = request_text(request, "id", err);
	bool dry_run = request_flag(request, "dry_run", err);
	int lock = -1, rc = err->code ? err->code : request_check(request, names, err);
	struct accelerator *a = rc == 0 ? malloc(sizeof(*a)) : NULL;

	*answer = json_pack("{s:s}", "state_dir", d->dir);
	if (rc == 0)
		rc = a ? verb_begin(d, "recover", dry_run, &lock, err)
		       : error_set(err, -ENOMEM, "out of memory");
	if (rc == 0 && id)
		rc = load_accelerator(d, id, a, err);
	if (rc == 0)
		rc = recover_all(d, id, dry_run, *answer, err);
	json_object_set(*answer, "finished", d->finished);
	driver_end(d);
	if (lock >= 0)
		close(lock);
	free(a);
	if (rc < 0) {
		json_decref(*answer);
		*answer = NULL;
	}
	return rc;
}

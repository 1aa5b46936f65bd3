/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uninstall: stop the target and remove what install made.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/verb.h"

static int check_unattached(struct driver *d, const struct accelerator *a, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, a->id, &list, err);
	int rc = n < 0 ? (int)n : 0;

	if (n > 0)
		rc = error_set(err, -ENOTEMPTY,
			       "accelerator %s is attached to instance %s%s: detach first", a->id,
			       list[0].instance, n > 1 ? " and others" : "");
	free(list);
	return rc;
}

static int plan(struct verb_run *v, const json_t *request, struct error *err)
{
	static const char *const names[] = { "id", "type", "keep_backing", "dry_run", NULL };
	const char *id = request_text(request, "id", err);
	bool keep = request_flag(request, "keep_backing", err);
	struct accelerator a;
	int rc = err->code ? err->code : request_check(request, names, err);

	if (rc == 0)
		rc = check_type(request, err);
	if (rc == 0 && !id)
		rc = error_set(err, -EINVAL, "uninstall needs the accelerator's id");
	if (rc == 0)
		rc = load_accelerator(v->d, id, &a, err);
	if (rc == -ENOENT && verb_done_before(v, id, NULL) == 0)
		return 0;
	if (rc == 0)
		rc = check_unattached(v->d, &a, err);
	if (rc < 0)
		return rc;
	snprintf(v->intent.object, sizeof(v->intent.object), "%s", a.id);
	json_object_set_new(v->argument, "accelerator", accelerator_json(&a));
	json_object_set_new(v->argument, "keep_backing", json_boolean(keep));
	return 0;
}

static int stop(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	int rc;

	verb_accelerator(v, &a);
	rc = target_stop(v->d, &a, err);
	return rc == 0 ? service_forget(v->d, a.id, err) : rc;
}

static int remove_files(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	verb_accelerator(v, &a);
	if (a.made && !json_is_true(json_object_get(v->argument, "keep_backing")) &&
	    unlink(a.path) < 0 && errno != ENOENT)
		return error_set(err, -errno, "backing %s cannot be removed: %s", a.path,
				 error_errno_text(-errno));
	return target_remove_files(v->d, a.id, err);
}

static int forget(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	verb_accelerator(v, &a);
	return state_drop_accelerator(v->d->state, a.id, err);
}

static int finish(struct verb_run *v, struct error *err)
{
	(void)err;
	json_object_set(v->answer, "uninstalled", json_object_get(v->argument, "accelerator"));
	json_object_set_new(v->answer, "already", json_boolean(v->already));
	return 0;
}

static const struct verb_step steps[] = {
	{ "stop", "drain and stop the target", stop, NULL },
	{ "remove", "remove the files that install made", remove_files, NULL },
	{ "forget", "forget the accelerator", forget, NULL },
	{ NULL, NULL, NULL, NULL },
};

const struct verb verb_uninstall = { "uninstall", true, steps, plan, finish };

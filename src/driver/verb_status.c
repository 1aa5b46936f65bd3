/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status: the health of each piece, and what is not as recorded.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "driver/drift.h"
#include "driver/function.h"
#include "driver/verb.h"

#define STATUS_TIMEOUT_NS (5 * NS_PER_SEC)

/* Of all images one stands for the cluster: a node must not wait for each. */
static void check_cluster(struct driver *d, const struct accelerator *a,
			  const struct attachment *list, ssize_t n, json_t *wrong)
{
	struct error err = ERROR_INIT;

	if (rbd_drift(d, a, n > 0 ? list[0].volume : NULL, &err) < 0)
		drift(wrong, "%s", err.text);
}

static void check_backing(struct driver *d, const struct accelerator *a, json_t *wrong)
{
	struct error err = ERROR_INIT;

	if (is_function(a))
		function_slot_drift(d, a, wrong);
	else if (backing_look(a, &err) < 0)
		drift(wrong, "%s", err.text);
}

static const char *check_served(struct client *c, const struct accelerator *a,
				const struct attachment *attached, ssize_t n, json_t *o,
				json_t *wrong)
{
	struct error err = ERROR_INIT;
	json_t *version = NULL;
	struct view v;
	int rc;

	rc = client_wait(c, "spdk_get_version", NULL, &version, &err);
	if (rc == 0)
		rc = view_take(c, &v, &err);
	if (rc == 0) {
		backing_drift(&v, a, wrong);
		if (n > 0 && tls_look(c, &v, attached, (size_t)n, &err) < 0)
			drift(wrong, "%s", err.text);
		for (ssize_t i = 0; i < n; i++)
			export_drift(&v, &attached[i], wrong);
		json_object_set(o, "running_version", json_object_get(version, "version"));
		view_fini(&v);
	} else {
		drift(wrong, "%s", err.text);
	}
	json_decref(version);
	return rc < 0 ? "down" : json_array_size(wrong) ? "degraded" : "ok";
}

static void tell_stopped(const struct accelerator *a, const json_t *history, json_t *wrong)
{
	char boot[40];

	env_boot("", boot);
	if (history && strcmp(view_text(history, "boot"), boot) != 0)
		drift(wrong,
		      "the node was booted since the target of %s ran: recover, or the next verb "
		      "that uses it, starts it",
		      a->id);
	else
		drift(wrong,
		      "the target's supervisor does not run: the next verb that uses %s starts it",
		      a->id);
}

static const char *check_target(struct driver *d, const struct accelerator *a,
				const struct attachment *list, ssize_t n, json_t *o, json_t *wrong)
{
	struct error err = ERROR_INIT;
	pid_t supervisor, target;
	const char *health;
	json_t *history;
	struct client *c;

	target_pids(d, a->id, &supervisor, &target);
	json_object_set_new(o, "supervisor_pid", json_integer(supervisor));
	json_object_set_new(o, "target_pid", json_integer(target));
	history = target_history(d, a->id);
	if (history)
		json_object_set_new(o, "history", history);
	if (!supervisor)
		tell_stopped(a, history, wrong);
	else if (!target)
		drift(wrong, "the target died and waits for its next start");
	env_drift(d, a, !supervisor, wrong);
	if (!strcmp(a->kind, "ceph"))
		check_cluster(d, a, list, n, wrong);
	else
		check_backing(d, a, wrong);
	if (target_connect_within(d, a, STATUS_TIMEOUT_NS, &c, &err) < 0) {
		drift(wrong, "%s", err.text);
		return "down";
	}
	health = check_served(c, a, list, n, o, wrong);
	client_destroy(c);
	return health;
}

json_t *status_of(struct driver *d, const struct accelerator *a, const char **health,
		  struct error *err)
{
	json_t *o = accelerator_json(a), *wrong = json_array(), *attached = json_array();
	struct attachment *list;
	ssize_t n = state_attachments(d->state, a->id, &list, err);
	struct target_paths paths;

	for (ssize_t i = 0; i < n; i++)
		json_array_append_new(attached, attachment_json(&list[i]));
	*health = check_target(d, a, list, n, o, wrong);
	free(list);
	if (target_paths(d, a->id, &paths, NULL) == 0)
		json_object_set_new(o, "socket", json_string(paths.sock));
	json_object_set_new(o, "health", json_string(*health));
	json_object_set_new(o, "drift", wrong);
	json_object_set_new(o, "attachments", attached);
	return o;
}

const char *status_worse(const char *a, const char *b)
{
	static const char *const order[] = { "down", "degraded", "ok" };

	for (size_t i = 0; i < 3; i++) {
		if (!strcmp(a, order[i]) || !strcmp(b, order[i]))
			return order[i];
	}
	return a;
}

static int add_interrupted(struct driver *d, json_t *answer, struct error *err)
{
	struct intent *i = malloc(sizeof(*i));
	int rc = i ? intent_open(d->state, i, err) : error_set(err, -ENOMEM, "out of memory");

	if (rc == 0)
		json_object_set_new(answer, "interrupted",
				    json_pack("{s:s, s:s, s:i}", "verb", i->verb, "object",
					      i->object, "step", i->step));
	free(i);
	return rc == -ENOENT ? 0 : rc;
}

static int add_all(struct driver *d, const char *id, json_t *answer, struct error *err)
{
	json_t *list = json_array();
	struct accelerator *rows = NULL;
	const char *health = "ok", *one;
	bool found = false;
	ssize_t n = state_accelerators(d->state, &rows, err);

	for (ssize_t i = 0; i < n; i++) {
		if (id && strcmp(rows[i].id, id) != 0)
			continue;
		found = true;
		json_array_append_new(list, status_of(d, &rows[i], &one, err));
		health = status_worse(health, one);
	}
	free(rows);
	json_object_set_new(answer, "health", json_string(health));
	json_object_set_new(answer, "accelerators", list);
	if (n < 0 || !id || found)
		return n < 0 ? (int)n : 0;
	return error_set(err, -ENOENT, "no accelerator \"%s\" is installed", id);
}

/* Nothing can be changed now, and the next crash could not be noted. */
static void add_still(const struct driver *d, json_t *answer)
{
	const char *health = view_text(answer, "health");

	json_object_set_new(answer, "state_error", json_string(d->still.text));
	json_object_set_new(answer, "health", json_string(status_worse(health, "degraded")));
}

int verb_status(struct driver *d, const json_t *request, json_t **answer, struct error *err)
{
	static const char *const names[] = { "id", NULL };
	const char *id = request_text(request, "id", err);
	int rc = err->code ? err->code : request_check(request, names, err);

	if (rc < 0)
		return rc;
	driver_begin(d, "status");
	driver_step(d, "ask the targets", 1, 1);
	rc = driver_state(d, DRIVER_STATE_READ, err);
	*answer = json_pack("{s:s}", "state_dir", d->dir);
	if (rc == -ENOENT && !id) {
		json_object_set_new(*answer, "health", json_string("ok"));
		json_object_set_new(*answer, "accelerators", json_array());
		rc = 0;
	} else if (rc == -ENOENT) {
		error_set(err, rc, "no accelerator \"%s\" is installed", id);
	} else if (rc == 0) {
		rc = add_all(d, id, *answer, err);
		if (rc == 0)
			rc = add_interrupted(d, *answer, err);
		if (rc == 0 && d->still.code)
			add_still(d, *answer);
	}
	driver_end(d);
	if (rc < 0) {
		json_decref(*answer);
		*answer = NULL;
	}
	return rc;
}

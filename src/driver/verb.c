/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running verbs, see verb.h.
 *
 * Threading: as driver.h.
 */
#include "driver/verb.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct verb *const verbs[] = { &verb_install, &verb_attach, &verb_detach, &verb_update,
					    &verb_uninstall };

void verb_accelerator(const struct verb_run *v, struct accelerator *out)
{
	accelerator_from(json_object_get(v->argument, "accelerator"), out);
}

void verb_attachment(const struct verb_run *v, struct attachment *out)
{
	attachment_from(json_object_get(v->argument, "attachment"), out);
}

bool verb_is_existing(const struct verb_run *v)
{
	return json_is_true(json_object_get(v->argument, "existing"));
}

int verb_done_before(struct verb_run *v, const char *object, struct error *err)
{
	int rc = intent_last_done(v->d->state, v->verb->name, object, &v->intent, err);
	json_t *argument = rc == 0 ? json_loads(v->intent.argument, 0, NULL) : NULL;

	if (rc == 0 && !argument)
		rc = -ENOENT;
	if (rc < 0)
		return rc;
	json_decref(v->argument);
	v->argument = argument;
	v->already = true;
	return 0;
}

static unsigned int count_steps(const struct verb *verb)
{
	unsigned int n = 0;

	while (verb->steps[n].name)
		n++;
	return n;
}

/*
 * Fault injection: CYBORG_SPDK_FAULT=VERB:STEP kills this process right behind that step,
 * VERB:STEP:begin right before it, with the step noted in the journal.
 */
static void fault_point(const struct verb_run *v, const struct verb_step *step, const char *where)
{
	const char *fault = getenv("CYBORG_SPDK_FAULT");
	char here[64];

	if (!fault)
		return;
	snprintf(here, sizeof(here), "%s:%s%s", v->verb->name, step->name, where);
	if (!strcmp(fault, here))
		raise(SIGKILL);
}

static int run_steps(struct verb_run *v, struct error *err)
{
	unsigned int count = count_steps(v->verb);
	int rc = 0;

	for (unsigned int i = 0; i < count && rc == 0; i++) {
		const struct verb_step *step = &v->verb->steps[i];

		driver_step(v->d, step->title, i + 1, count);
		if (v->intent.step != (int)i)
			rc = intent_step(v->d->state, &v->intent, (int)i, err);
		if (rc < 0)
			break;
		fault_point(v, step, ":begin");
		rc = step->run(v, err);
		if (rc == 0)
			fault_point(v, step, "");
	}
	return rc < 0 ? rc : 0;
}

static int undo_steps(struct verb_run *v, struct error *err)
{
	int rc = 0;

	if (verb_is_existing(v))
		return 0;
	for (int i = v->intent.step; i >= 0 && rc == 0; i--) {
		const struct verb_step *step = &v->verb->steps[i];

		driver_step(v->d, "undo", (unsigned int)i + 1, (unsigned int)v->intent.step + 1);
		if (step->undo)
			rc = step->undo(v, err);
	}
	return rc;
}

/* A verb failed: go back, or leave what removes to be repeated. The first error stays the reason.
 */
static int fail(struct verb_run *v, int rc, struct error *err)
{
	struct error undo_err = ERROR_INIT;

	if (v->verb->completes) {
		intent_end(v->d->state, &v->intent, "failed", NULL);
		return rc;
	}
	if (undo_steps(v, &undo_err) < 0) {
		error_prefix(err,
			     "%s of %s failed and could not be undone (%s): the next call "
			     "tries again; the reason was: ",
			     v->verb->name, v->intent.object, undo_err.text);
		return rc;
	}
	intent_end(v->d->state, &v->intent, "undone", NULL);
	if (v->verb != &verb_update || v->intent.step == 0)
		return rc;
	if (v->left.code)
		return error_prefix(
			err,
			"update of %s failed, and what was there before does not serve "
			"either (%.200s): `cyborg-spdk recover` tries again; the reason "
			"was: ",
			v->intent.object, v->left.text);
	error_prefix(err, "update of %s was rolled back, all is as it was; the reason: ",
		     v->intent.object);
	err->code = -ECANCELED;
	return err->code;
}

static int set_argument(struct verb_run *v, struct error *err)
{
	char *text = json_dumps(v->argument, JSON_COMPACT);
	int rc = text ? 0 : -ENOMEM;

	if (text && strlen(text) >= sizeof(v->intent.argument))
		rc = error_set(err, -E2BIG, "%s of %s: the request is too long", v->verb->name,
			       v->intent.object);
	else if (text)
		snprintf(v->intent.argument, sizeof(v->intent.argument), "%s", text);
	free(text);
	return rc;
}

static void tell_finished(struct driver *d, const struct intent *i, const char *outcome,
			  const char *reason)
{
	json_array_append_new(d->finished,
			      json_pack("{s:s, s:s, s:s, s:s*}", "verb", i->verb, "object",
					i->object, "outcome", outcome, "reason", reason));
}

/*
 * What removes may fail again: its rows are still there, and status tells that it did not end, so
 * it keeps no other verb from its work. What creates holds names that others could take.
 */
static int end_interrupted(struct verb_run *v, int rc, struct error *err)
{
	struct driver *d = v->d;
	const char *outcome = v->verb->completes ? "done" : "undone";
	const char *reason = v->left.code ? v->left.text : NULL;

	if (rc < 0 && !v->verb->completes)
		return error_prefix(err,
				    "an interrupted %s of %s cannot be undone: ", v->intent.verb,
				    v->intent.object);
	tell_finished(d, &v->intent, rc < 0 ? "failed" : outcome, rc < 0 ? err->text : reason);
	*err = (struct error)ERROR_INIT;
	return intent_end(d->state, &v->intent, rc < 0 ? "failed" : outcome, err);
}

static int recover_one(struct driver *d, struct intent *i, struct error *err)
{
	struct verb_run v = { .d = d, .intent = *i, .answer = json_object() };
	int rc;

	for (size_t n = 0; n < sizeof(verbs) / sizeof(verbs[0]); n++) {
		if (!strcmp(verbs[n]->name, i->verb))
			v.verb = verbs[n];
	}
	v.argument = json_loads(i->argument, 0, NULL);
	if (!v.verb || !v.argument || i->step < 0 || i->step >= (int)count_steps(v.verb)) {
		rc = error_set(err, -EPROTO,
			       "an interrupted %s of %s cannot be read in the journal", i->verb,
			       i->object);
	} else {
		rc = v.verb->completes ? run_steps(&v, err) : undo_steps(&v, err);
		rc = end_interrupted(&v, rc, err);
	}
	json_decref(v.argument);
	json_decref(v.answer);
	return rc;
}

static int recover(struct driver *d, struct error *err)
{
	struct intent *i = malloc(sizeof(*i));
	int rc = i ? 0 : error_set(err, -ENOMEM, "out of memory");

	while (rc == 0 && (rc = intent_open(d->state, i, err)) == 0)
		rc = recover_one(d, i, err);
	free(i);
	return rc == -ENOENT ? 0 : rc;
}

static void answer_steps(struct verb_run *v)
{
	json_t *list = json_array();

	for (const struct verb_step *s = v->verb->steps; s->name; s++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s}", "name", s->name, "title", s->title));
	json_object_set_new(v->answer, "dry_run", json_true());
	json_object_set_new(v->answer, "steps", list);
	json_object_set(v->answer, "plan", v->argument);
}

static int act(struct verb_run *v, struct error *err)
{
	int rc = set_argument(v, err);

	if (rc == 0)
		rc = intent_begin(v->d->state, &v->intent, err);
	if (rc < 0)
		return rc;
	rc = run_steps(v, err);
	if (rc < 0)
		return fail(v, rc, err);
	rc = intent_end(v->d->state, &v->intent, "done", err);
	if (rc == 0 && v->verb->finish)
		rc = v->verb->finish(v, err);
	return rc;
}

int verb_begin(struct driver *d, const char *name, bool dry_run, int *lock, struct error *err)
{
	int rc;

	*lock = -1;
	driver_begin(d, name);
	rc = driver_state(d, dry_run ? DRIVER_STATE_TRY : DRIVER_STATE_CHANGE, err);
	if (rc < 0 || dry_run)
		return rc;
	rc = state_lock(d->dir, name, d->lock_wait_ns, err);
	if (rc < 0)
		return rc;
	*lock = rc;
	return recover(d, err);
}

int verb_call(struct driver *d, const struct verb *verb, const json_t *request, json_t **answer,
	      struct error *err)
{
	struct verb_run *v = calloc(1, sizeof(*v));
	bool dry_run = request_flag(request, "dry_run", err);
	int lock = -1, rc = v ? err->code : error_set(err, -ENOMEM, "out of memory");

	*answer = NULL;
	if (rc == 0)
		rc = verb_begin(d, verb->name, dry_run, &lock, err);
	if (rc == 0) {
		v->d = d;
		v->verb = verb;
		v->argument = json_object();
		v->answer = json_object();
		snprintf(v->intent.verb, sizeof(v->intent.verb), "%s", verb->name);
		rc = verb->plan(v, request, err);
	}
	if (rc == 0 && dry_run)
		answer_steps(v);
	else if (rc == 0)
		rc = v->already ? verb->finish(v, err) : act(v, err);
	if (rc == 0)
		*answer = json_incref(v->answer);
	if (v) {
		json_decref(v->argument);
		json_decref(v->answer);
	}
	free(v);
	driver_end(d);
	if (lock >= 0)
		close(lock);
	return rc;
}

static void name_all(struct driver *d, char *out, size_t size)
{
	struct accelerator *list;
	ssize_t n = state_accelerators(d->state, &list, NULL);
	size_t at = 0;

	out[0] = '\0';
	for (ssize_t i = 0; i < n && at < size - 1; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "", list[i].id);
	free(list);
}

int load_accelerator(struct driver *d, const char *id, struct accelerator *out, struct error *err)
{
	char all[256];
	int rc = check_id(id, err);

	if (rc == 0)
		rc = state_accelerator(d->state, id, out, err);
	if (rc != -ENOENT)
		return rc;
	name_all(d, all, sizeof(all));
	return error_set(err, rc, "no accelerator \"%s\" is installed: there %s %s", id,
			 all[0] ? "are" : "is", all[0] ? all : "none");
}

int only_accelerator(struct driver *d, const char *id, struct accelerator *out, struct error *err)
{
	struct accelerator *list;
	char all[256];
	ssize_t n;

	if (id)
		return load_accelerator(d, id, out, err);
	n = state_accelerators(d->state, &list, err);
	if (n == 1)
		*out = list[0];
	free(list);
	if (n < 0 || n == 1)
		return n < 0 ? (int)n : 0;
	name_all(d, all, sizeof(all));
	if (n == 0)
		return error_set(err, -ENOENT, "no accelerator is installed: install one first");
	return error_set(err, -EINVAL, "several accelerators are installed: say which of %s", all);
}

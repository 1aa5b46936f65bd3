/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs that change something: a plan that refuses what must be refused and changes nothing; the
 * intent in the journal; idempotent steps; done.
 *
 * A verb that was interrupted is found by the next one in the journal: what creates (install,
 * attach, update) is undone from the last step begun, what removes (detach, uninstall) is
 * completed. A verb that fails does the same with itself.
 *
 * Threading: as driver.h; the lock of the state directory is held from plan to done.
 */
#ifndef DRIVER_VERB_H
#define DRIVER_VERB_H

#include "driver/driver.h"

/**
 * struct verb_run - one call, or what the journal keeps of one
 * @argument: all that the steps need, made by the plan; "existing": true when the verb repeats what
 *            is recorded already, so that nothing may be undone
 * @answer: of this call; what steps measure goes in here
 * @left: what an undoing could not bring back, though the record is as it was: recover tries again
 * @already: the plan found that it was done before: no step is taken, only the answer given
 */
struct verb_run {
	struct driver *d;
	const struct verb *verb;
	struct intent intent;
	json_t *argument;
	json_t *answer;
	struct error left;
	bool already;
};

/**
 * struct verb_step - one thing to do
 * @name: in the journal, for fault injection and --dry-run
 * @title: for a person
 * @run: may be repeated; 0 or a negative errno with @err filled
 * @undo: also right when @run never began; NULL when there is nothing to undo
 */
struct verb_step {
	const char *name;
	const char *title;
	int (*run)(struct verb_run *v, struct error *err);
	int (*undo)(struct verb_run *v, struct error *err);
};

/**
 * struct verb - a kind of call
 * @completes: an interrupted one is completed, not undone
 * @plan: check @request, refuse, and fill @argument (an empty object) and @object
 * @finish: fill @v->answer after the last step
 */
struct verb {
	const char *name;
	bool completes;
	const struct verb_step *steps; /* ends with a NULL name */
	int (*plan)(struct verb_run *v, const json_t *request, struct error *err);
	int (*finish)(struct verb_run *v, struct error *err);
};

extern const struct verb verb_install, verb_attach, verb_detach, verb_update, verb_uninstall;

/** verb_call() - lock, recover, plan, steps; @answer is a new reference after 0 */
int verb_call(struct driver *d, const struct verb *verb, const json_t *request, json_t **answer,
	      struct error *err);

/**
 * verb_begin() - take the lock and complete or undo what was interrupted
 * @dry_run: neither; a trial state when there is none
 * @lock: to be closed by the caller after driver_end(); -1 when there is none, also after a failure
 */
int verb_begin(struct driver *d, const char *name, bool dry_run, int *lock, struct error *err);

/**
 * verb_done_before() - the journal has this verb on @object as done: take its argument over
 *
 * Return: 0 and @v->already set; -ENOENT when it has not.
 */
int verb_done_before(struct verb_run *v, const char *object, struct error *err);
/** verb_accelerator() / verb_attachment() - the row in the argument of a run */
void verb_accelerator(const struct verb_run *v, struct accelerator *out);
void verb_attachment(const struct verb_run *v, struct attachment *out);
/** verb_is_existing() - the call repeats what is recorded */
bool verb_is_existing(const struct verb_run *v);

/* Verbs that only look. */
int verb_discover(struct driver *d, const json_t *request, json_t **answer, struct error *err);
int verb_list(struct driver *d, const json_t *request, json_t **answer, struct error *err);
int verb_status(struct driver *d, const json_t *request, json_t **answer, struct error *err);
/**
 * status_of() - what status says of one accelerator, new reference
 * @health: "ok", "degraded", "down"
 */
json_t *status_of(struct driver *d, const struct accelerator *a, const char **health,
		  struct error *err);
/** status_worse() - the worse of two words for health */
const char *status_worse(const char *a, const char *b);

/** verb_recover() - completes interrupted verbs and makes true what is recorded */
int verb_recover(struct driver *d, const json_t *request, json_t **answer, struct error *err);

/** load_accelerator() - the recorded one; -ENOENT with words that name those that are there */
int load_accelerator(struct driver *d, const char *id, struct accelerator *out, struct error *err);
/** only_accelerator() - @id, or the only one there is when @id is NULL */
int only_accelerator(struct driver *d, const char *id, struct accelerator *out, struct error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round of the agent, see look.h.
 *
 * Threading: as look.h.
 */
#include "agent/look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/notify.h"
#include "driver/verb.h"

void look_ping(struct look *l)
{
	uint64_t now = clock_ns();

	if (l->watchdog_ns == 0 || now - l->pinged_ns < l->watchdog_ns)
		return;
	l->pinged_ns = now;
	notify_send("WATCHDOG=1");
}

/* The library's own waits come by here about every 100 ms. */
static void on_progress(void *arg, const struct cyborg_spdk_progress *progress)
{
	(void)progress;
	look_ping(arg);
}

static json_t *ask_status(struct look *l)
{
	json_t *request = json_object(), *status = NULL;
	struct error err = ERROR_INIT;
	int rc = verb_status(l->d, request, &status, &err);

	json_decref(request);
	if (rc == 0) {
		l->failure[0] = '\0';
		return status;
	}
	if (strcmp(l->failure, err.text) != 0)
		journal(LOG_ERROR, "status_failed", json_pack("{s:s}", "reason", err.text));
	memcpy(l->failure, err.text, sizeof(l->failure));
	return json_pack("{s:s, s:s, s:[], s:s}", "state_dir", l->d->dir, "health", "down",
			 "accelerators", "error", err.text);
}

/* -EAGAIN: somebody is at work there, and what looks wrong may be their doing. */
static int recover(struct look *l, const char *id, struct error *err)
{
	json_t *request = id ? json_pack("{s:s}", "id", id) : json_object(), *answer = NULL;
	uint64_t patience = l->d->lock_wait_ns;
	int rc;

	l->d->lock_wait_ns = LOOK_LOCK_NS;
	rc = verb_recover(l->d, request, &answer, err);
	l->d->lock_wait_ns = patience;
	if (rc == 0 && strcmp(json_string_value(json_object_get(answer, "health")), "ok") != 0) {
		const json_t *one = json_array_get(json_object_get(answer, "accelerators"), 0);
		const char *reason = json_string_value(json_object_get(one, "reason"));

		rc = error_set(err, -EHOSTDOWN, "%s", reason ? reason : "it stays as it was");
	}
	json_decref(request);
	json_decref(answer);
	return rc;
}

static bool recover_patient(struct look *l, struct patient *p)
{
	struct error err = ERROR_INIT;
	char reason[sizeof(p->reason)];
	int rc;

	memcpy(reason, p->reason, sizeof(reason));
	rc = recover(l, p->id, &err);
	/* Busy, or uninstalled since status was asked: not its fault. */
	if (rc == -EAGAIN || rc == -ENOENT)
		return false;
	patient_tried(p, rc == 0, clock_ns());
	if (rc == 0)
		journal(LOG_NOTICE, "recovered",
			json_pack("{s:s, s:s}", "accelerator", p->id, "was", reason));
	else
		journal(LOG_ERROR, "recovery_failed",
			json_pack("{s:s, s:s, s:s, s:f}", "accelerator", p->id, "was", reason,
				  "reason", err.text, "next_try_s",
				  (double)p->pause_ns / (double)NS_PER_SEC));
	return true;
}

/* Whether it is to be tried now. Its supervisor, or a person, may have got ahead of the next try.
 */
static bool look_at_patient(struct patient *p, const json_t *accelerator)
{
	bool failed = p->pause_ns != 0, due;
	char reason[sizeof(p->reason)];

	memcpy(reason, p->reason, sizeof(reason));
	due = patient_look(p, accelerator, clock_ns());
	if (failed && !p->sick)
		journal(LOG_NOTICE, "recovered",
			json_pack("{s:s, s:s, s:b}", "accelerator", p->id, "was", reason,
				  "by_itself", true));
	return due;
}

/* A verb that did not end, and whose process is gone: it holds nothing back but itself. */
static bool recover_interrupted(struct look *l, const json_t *interrupted)
{
	struct error err = ERROR_INIT;
	int rc = recover(l, NULL, &err);

	if (rc == -EAGAIN)
		return false;
	journal(rc == 0 ? LOG_NOTICE : LOG_ERROR,
		rc == 0 ? "interrupted_verb_settled" : "interrupted_verb_stays",
		json_pack("{s:O, s:O, s:s*}", "verb", json_object_get(interrupted, "verb"),
			  "object", json_object_get(interrupted, "object"), "reason",
			  rc == 0 ? NULL : err.text));
	return true;
}

/* Whether anything was tried, so that status has to be asked again. */
static bool mend(struct look *l, const json_t *status)
{
	const json_t *list = json_object_get(status, "accelerators"), *a;
	const json_t *interrupted = json_object_get(status, "interrupted");
	bool tried = interrupted && l->recover && recover_interrupted(l, interrupted);
	size_t i;

	patients_keep(&l->patients, list);
	json_array_foreach (list, i, a) {
		const char *id = json_string_value(json_object_get(a, "id"));
		struct patient *p = patient_of(&l->patients, id);

		if (!p)
			continue;
		if (look_at_patient(p, a) && l->recover)
			tried |= recover_patient(l, p);
		look_ping(l);
	}
	return tried;
}

static char *print_metrics(struct look *l, const json_t *list, struct sample *samples, size_t *len)
{
	size_t n = json_array_size(list), i;
	struct metrics_target *targets = calloc(n + 1, sizeof(*targets));
	char *text = NULL;
	FILE *f = targets ? open_memstream(&text, len) : NULL;
	const json_t *a;

	json_array_foreach (list, i, a) {
		if (f)
			targets[i] = (struct metrics_target){
				a, &samples[i],
				patient_of(&l->patients,
					   json_string_value(json_object_get(a, "id")))
			};
	}
	if (f) {
		metrics_print(f, targets, n, &l->figures);
		fclose(f);
	}
	free(targets);
	return text;
}

static void sample_all(struct look *l, const json_t *list, struct sample *samples)
{
	const json_t *a;
	size_t i;

	json_array_foreach (list, i, a) {
		const char *socket = json_string_value(json_object_get(a, "socket"));
		const char *health = json_string_value(json_object_get(a, "health"));

		if (socket && health && strcmp(health, "down") != 0)
			sample_take(l->d->loop, socket, LOOK_CALL_NS, &samples[i], NULL);
		look_ping(l);
	}
}

static void add_agent(struct look *l, json_t *status)
{
	json_t *list = json_array();

	for (const struct patient *p = l->patients; p; p = p->next) {
		if (p->sick)
			json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "accelerator",
							      p->id, "reason", p->reason, "tries",
							      (json_int_t)p->tries));
	}
	json_object_set_new(status, "agent",
			    json_pack("{s:I, s:f, s:f, s:b, s:o}", "looks",
				      (json_int_t)l->figures.looks, "look_seconds",
				      l->figures.look_seconds, "looked_at", l->figures.looked_at,
				      "recovers", l->recover, "sick", list));
}

static void publish(struct look *l, json_t *status, struct sample *samples)
{
	const char *health = json_string_value(json_object_get(status, "health"));
	const json_t *list = json_object_get(status, "accelerators");
	size_t len = 0;
	char *text = print_metrics(l, list, samples, &len);

	if (text)
		board_hang(l->board, BOARD_METRICS, text, len);
	add_agent(l, status);
	text = json_dumps(status, JSON_INDENT(2));
	if (text)
		board_hang(l->board, BOARD_STATUS, text, strlen(text));
	board_set_healthy(l->board, health && !strcmp(health, "ok"));
}

void look_round(struct look *l)
{
	uint64_t begin = clock_ns();
	struct sample *samples;
	json_t *status;
	size_t n;

	l->d->progress = on_progress;
	l->d->progress_arg = l;
	status = ask_status(l);
	if (mend(l, status)) {
		json_decref(status);
		status = ask_status(l);
	}
	n = json_array_size(json_object_get(status, "accelerators"));
	samples = calloc(n + 1, sizeof(*samples));
	if (samples) {
		sample_all(l, json_object_get(status, "accelerators"), samples);
		l->figures.looks++;
		l->figures.look_seconds = (double)(clock_ns() - begin) / (double)NS_PER_SEC;
		l->figures.looked_at = (double)clock_ns_of(CLOCK_REALTIME) / (double)NS_PER_SEC;
		publish(l, status, samples);
		for (size_t i = 0; i < n; i++)
			sample_fini(&samples[i]);
	}
	free(samples);
	json_decref(status);
	look_ping(l);
}

void look_fini(struct look *l)
{
	patients_free(&l->patients);
}

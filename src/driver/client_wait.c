/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls in the target's dialect, and calls that are waited for.
 *
 * Threading: as client.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "driver/client_internal.h"

#define REOPEN_NS	(1 * NS_PER_SEC)
#define REOPEN_PAUSE_NS (20 * NS_PER_MSEC)

const struct dialect *client_dialect(const struct client *c)
{
	return c->learnt ? &c->dialect : NULL;
}

bool client_has(const struct client *c, const char *method)
{
	return c->learnt && dialect_name(&c->dialect, method);
}

int client_call_picked(struct client *c, const char *method, json_t *params,
		       const struct client_pick *pick, uint64_t timeout_ns, client_done_fn done,
		       void *arg)
{
	struct error err = ERROR_INIT;
	const char *name = method;
	json_t *own = c->learnt ? dialect_own_answer(&c->dialect, method) : NULL;
	int rc = 0;

	if (c->learnt && !own)
		rc = dialect_request(&c->dialect, method, params, &name, &err);
	if (rc == 0 && !own)
		return client_send(c, method, name, params, pick, timeout_ns, done, arg);
	json_decref(params);
	return client_settle(c, rc, err.text, own, done, arg);
}

int client_call(struct client *c, const char *method, json_t *params, uint64_t timeout_ns,
		client_done_fn done, void *arg)
{
	return client_call_picked(c, method, params, NULL, timeout_ns, done, arg);
}

/**
 * struct waiting - requests that somebody waits for
 * @left: not answered yet
 */
struct waiting {
	size_t left;
	bool done;
};

struct wait_slot {
	struct waiting *waiting;
	struct client *client;
	struct client_request *request;
};

void client_answer_error(const struct client *c, const char *method,
			 const struct client_answer *answer, struct error *err)
{
	*err = (struct error)ERROR_INIT;
	if (answer->status == -EREMOTEIO || answer->code)
		error_set(err, answer->status, "target %s refused %s: %s (code %lld)", c->path,
			  method, answer->message, (long long)answer->code);
	else if (answer->status)
		error_set(err, answer->status, "target %s, %s: %s", c->path, method,
			  answer->message);
}

static void on_answer(void *arg, const struct client_answer *answer)
{
	struct wait_slot *slot = arg;
	struct client_request *r = slot->request;

	r->status = answer->status;
	r->result = answer->status ? NULL : json_incref(answer->result);
	client_answer_error(slot->client, r->method, answer, &r->err);
	slot->waiting->done = --slot->waiting->left == 0;
}

static uint64_t time_left(uint64_t until)
{
	uint64_t now = clock_ns();

	return until > now ? until - now : 0;
}

/* What may be asked again keeps its parameters; a dialect changes those that it is given. */
static json_t *params_of(struct client_request *r, bool keep)
{
	json_t *params = r->params;

	if (keep)
		return json_deep_copy(params);
	r->params = NULL;
	return params;
}

static int send_one(struct wait_slot *slot, uint64_t until, bool keep)
{
	struct client_request *r = slot->request;
	json_t *params = params_of(r, keep);

	if (!params && r->params)
		return -ENOMEM;
	return client_call_picked(slot->client, r->method, params, r->pick, time_left(until),
				  on_answer, slot);
}

/* Each slot has its client and request. */
static int wait_slots(struct wait_slot *slots, size_t count, uint64_t until, bool keep)
{
	struct waiting w = { .left = count, .done = count == 0 };
	int rc;

	for (size_t i = 0; i < count; i++) {
		struct client_request *r = slots[i].request;

		slots[i].waiting = &w;
		r->status = send_one(&slots[i], until, keep);
		if (r->status < 0) {
			error_set(&r->err, r->status, "target %s, %s: %s", slots[i].client->path,
				  r->method, error_errno_text(r->status));
			w.done = --w.left == 0;
		}
	}
	rc = w.done ? 0 : loop_run(slots[0].client->loop, &w.done);
	/* Calls point to this frame: none may stay when the wait ends early. */
	for (size_t i = 0; rc < 0 && i < count; i++)
		client_abort(slots[i].client, rc, error_errno_text(rc));
	return rc;
}

static int wait_batch(struct client *c, struct client_request *requests, size_t count,
		      uint64_t until, bool keep)
{
	struct wait_slot slots[CLIENT_BATCH_MAX];

	for (size_t i = 0; i < count; i++)
		slots[i] = (struct wait_slot){ .client = c, .request = &requests[i] };
	return wait_slots(slots, count, until, keep);
}

static int first_failure(const struct client_request *requests, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (requests[i].status == 0)
			continue;
		if (err)
			*err = requests[i].err;
		return requests[i].status;
	}
	return 0;
}

int client_pause(struct client *c, uint64_t ns, struct error *err)
{
	int rc = loop_sleep(c->loop, ns);

	return rc < 0 ? error_set(err, rc, "waiting failed: %s", error_errno_text(rc)) : 0;
}

struct learnt {
	struct error err;
	bool done;
};

static void on_learnt(void *arg, const struct error *err)
{
	struct learnt *l = arg;

	l->err = *err;
	l->done = true;
}

static int learn(struct client *c, uint64_t until, struct error *err)
{
	struct learnt l = { .done = false };
	int rc = client_learn_begin(c, time_left(until), on_learnt, &l);

	if (rc == 0)
		rc = loop_run(c->loop, &l.done);
	/* It points to this frame: it may not stay when the wait ends early. */
	if (rc < 0 && !l.done)
		client_abort(c, rc, error_errno_text(rc));
	else
		rc = l.err.code;
	if (rc < 0 && err && l.err.code)
		*err = l.err;
	else if (rc < 0)
		error_set(err, rc, "target %s: %s", c->path, error_errno_text(rc));
	return rc;
}

int client_learn(struct client *c, struct error *err)
{
	return c->learnt ? 0 : learn(c, clock_ns() + c->timeout_ns, err);
}

static int ask_all(struct client *c, struct client_request *requests, size_t count, uint64_t until,
		   bool keep, struct error *err)
{
	int rc = c->learnt ? 0 : learn(c, until, err);

	for (size_t at = 0; rc == 0 && at < count; at += CLIENT_BATCH_MAX) {
		size_t n = count - at < CLIENT_BATCH_MAX ? count - at : CLIENT_BATCH_MAX;

		rc = wait_batch(c, requests + at, n, until, keep);
		if (rc < 0)
			error_set(err, rc, "target %s: %s", c->path, error_errno_text(rc));
	}
	return rc < 0 ? rc : first_failure(requests, count, err);
}

static bool all_read(const struct client_request *requests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!dialect_is_read(requests[i].method))
			return false;
	}
	return true;
}

/*
 * Who answers now may be a target that has just been started, or another release: it is learnt
 * anew, and has to be initialised before what it shows means anything.
 */
static int reopen(struct client *c, uint64_t until)
{
	uint64_t start = clock_ns();
	struct client_request init = { .method = "framework_wait_init" };
	int rc = client_reopen(c, NULL);

	while (rc == -EHOSTDOWN && clock_ns() - start < REOPEN_NS && time_left(until)) {
		rc = loop_sleep(c->loop, REOPEN_PAUSE_NS);
		if (rc == 0)
			rc = client_reopen(c, NULL);
	}
	if (rc == 0)
		rc = learn(c, until, NULL);
	if (rc == 0 && client_has(c, init.method)) {
		rc = ask_all(c, &init, 1, until, false, NULL);
		json_decref(init.result);
	}
	return rc;
}

static void forget_results(struct client_request *requests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		json_decref(requests[i].result);
		requests[i].result = NULL;
		requests[i].status = 0;
	}
}

int client_wait_all(struct client *c, struct client_request *requests, size_t count,
		    struct error *err)
{
	uint64_t until = clock_ns() + c->timeout_ns;
	bool again = all_read(requests, count);
	int rc = ask_all(c, requests, count, until, again, err);

	if (rc == -ECONNRESET && again && !c->distrusted && reopen(c, until) == 0) {
		forget_results(requests, count);
		if (err)
			*err = (struct error)ERROR_INIT;
		rc = ask_all(c, requests, count, until, again, err);
	}
	for (size_t i = 0; i < count; i++) {
		json_decref(requests[i].params);
		requests[i].params = NULL;
	}
	return rc;
}

int client_wait(struct client *c, const char *method, json_t *params, json_t **result,
		struct error *err)
{
	struct client_request r = { .method = method, .params = params };
	int rc = client_wait_all(c, &r, 1, err);

	if (result)
		*result = r.result;
	else
		json_decref(r.result);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting to know a target: its methods and its version, asked under the names as they are, since
 * who does not know the names yet asks for them.
 *
 * Threading: as client.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "driver/client_internal.h"

enum { METHODS, VERSION, QUESTIONS };

/** struct question - one of those that are asked */
struct question {
	struct learning *learning;
	const char *method;
	json_t *result;
	struct error err;
};

/**
 * struct learning - a target that is asked
 * @left: answers that are owed
 * @is_old: it has no rpc_get_methods; asked under the names before 19.10
 */
struct learning {
	struct client *client;
	struct question questions[QUESTIONS];
	unsigned int left;
	bool is_old;
	uint64_t until;
	client_learnt_fn done;
	void *arg;
};

static int ask(struct learning *l);

static void learning_end(struct learning *l, const struct error *err)
{
	client_learnt_fn done = l->done;
	void *arg = l->arg;
	struct error copy = *err;

	l->client->learnt = err->code == 0;
	for (size_t i = 0; i < QUESTIONS; i++)
		json_decref(l->questions[i].result);
	free(l);
	done(arg, &copy);
}

static void learning_take(struct learning *l)
{
	struct client *c = l->client;
	struct error err = l->questions[METHODS].err;

	if (err.code == -ENOSYS && !l->is_old) {
		l->is_old = true;
		if (ask(l) == 0)
			return;
		error_set(&err, -ENOMEM, "target %s: %s", c->path, error_errno_text(-ENOMEM));
	}
	if (err.code == 0 && dialect_learn(&c->dialect, l->questions[METHODS].result,
					   l->questions[VERSION].result, &err) < 0)
		error_prefix(&err, "target %s: ", c->path);
	learning_end(l, &err);
}

static void on_answer(void *arg, const struct client_answer *answer)
{
	struct question *q = arg;
	struct learning *l = q->learning;

	client_answer_error(l->client, q->method, answer, &q->err);
	q->result = answer->status ? NULL : json_incref(answer->result);
	if (--l->left == 0)
		learning_take(l);
}

/* Return: 0 when an answer is owed. */
static int ask(struct learning *l)
{
	static const char *const names[2][QUESTIONS] = {
		{ "rpc_get_methods", "spdk_get_version" },
		{ "get_rpc_methods", "get_spdk_version" },
	};
	uint64_t now = clock_ns();
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < QUESTIONS; i++) {
		struct question *q = &l->questions[i];

		json_decref(q->result);
		*q = (struct question){ .learning = l, .method = names[l->is_old][i] };
		rc = client_send(l->client, q->method, q->method, NULL, NULL,
				 l->until > now ? l->until - now : 0, on_answer, q);
		l->left += rc == 0;
	}
	return l->left ? 0 : rc;
}

int client_learn_begin(struct client *c, uint64_t timeout_ns, client_learnt_fn done, void *arg)
{
	struct learning *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	dialect_fini(&c->dialect);
	c->learnt = false;
	l->client = c;
	l->until = clock_ns() + timeout_ns;
	l->done = done;
	l->arg = arg;
	rc = ask(l);
	if (rc < 0)
		free(l);
	return rc;
}

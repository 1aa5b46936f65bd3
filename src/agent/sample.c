/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks a target for its figures: one connection, all calls at once, the time of each measured.
 *
 * Threading: as driver/loop.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "driver/client.h"

static const char *const methods[SAMPLE_ANSWERS] = {
	[SAMPLE_BDEVS] = "bdev_get_bdevs",
	[SAMPLE_IOSTAT] = "bdev_get_iostat",
	[SAMPLE_REACTORS] = "framework_get_reactors",
	[SAMPLE_SUBSYSTEMS] = "nvmf_get_subsystems",
	[SAMPLE_LVSTORES] = "bdev_lvol_get_lvstores",
};

struct question {
	struct inquiry *inquiry;
	struct sample_answer *answer;
	uint64_t sent_ns;
};

/** struct inquiry - calls in flight together; it outlives the client, which may still answer them
 */
struct inquiry {
	size_t left;
	bool done;
	struct question questions[SAMPLE_ANSWERS];
};

static void answered(void *arg, const struct client_answer *answer)
{
	struct question *q = arg;

	q->answer->seconds = (double)(clock_ns() - q->sent_ns) / (double)NS_PER_SEC;
	if (answer->status == 0)
		q->answer->result = json_incref(answer->result);
	q->inquiry->done = --q->inquiry->left == 0;
}

static int ask_all(struct loop *l, struct client *c, struct inquiry *in, struct sample *s,
		   uint64_t timeout_ns)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < SAMPLE_ANSWERS; i++) {
		struct question *q = &in->questions[i];

		s->answers[i].method = methods[i];
		if (!client_has(c, methods[i]))
			continue;
		*q = (struct question){ in, &s->answers[i], clock_ns() };
		rc = client_call(c, methods[i], NULL, timeout_ns, answered, q);
		in->left += rc == 0;
	}
	in->done = in->left == 0;
	return rc < 0 ? rc : loop_run(l, &in->done);
}

/* Who is connected to each subsystem. */
static int ask_controllers(struct client *c, struct sample *s, struct error *err)
{
	const json_t *list = s->answers[SAMPLE_SUBSYSTEMS].result, *one;
	struct client_request *r = calloc(json_array_size(list) + 1, sizeof(*r));
	size_t i;

	s->controllers = json_object();
	if (!r || !client_has(c, "nvmf_subsystem_get_controllers")) {
		free(r);
		return 0;
	}
	json_array_foreach (list, i, one) {
		r[i].method = "nvmf_subsystem_get_controllers";
		r[i].params = json_pack("{s:O}", "nqn", json_object_get(one, "nqn"));
	}
	/* A subsystem may be gone by now: what is refused is not counted, and no failure. */
	client_wait_all(c, r, json_array_size(list), err);
	json_array_foreach (list, i, one) {
		const char *nqn = json_string_value(json_object_get(one, "nqn"));

		if (nqn && r[i].result)
			json_object_set_new(s->controllers, nqn,
					    json_integer((json_int_t)json_array_size(r[i].result)));
		json_decref(r[i].result);
	}
	free(r);
	return client_is_connected(c) ? 0 : -ECONNRESET;
}

int sample_take(struct loop *l, const char *socket, uint64_t timeout_ns, struct sample *s,
		struct error *err)
{
	struct inquiry in = { .left = 0 };
	struct client *c;
	int rc;

	*s = (struct sample){ .controllers = NULL };
	rc = client_connect(l, socket, &c, err);
	if (rc < 0)
		return rc;
	client_set_timeout(c, timeout_ns);
	rc = client_learn(c, err);
	if (rc == 0)
		rc = ask_all(l, c, &in, s, timeout_ns);
	if (rc == 0)
		rc = ask_controllers(c, s, err);
	client_destroy(c);
	return rc;
}

void sample_fini(struct sample *s)
{
	for (size_t i = 0; i < SAMPLE_ANSWERS; i++)
		json_decref(s->answers[i].result);
	json_decref(s->controllers);
	*s = (struct sample){ .controllers = NULL };
}

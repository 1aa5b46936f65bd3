/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running targets: version, features, and what each serves.
 *
 * All are greeted at once, so that silent ones cost their time limit only once, and asked for the
 * rest in the same breath under today's names: old ones, which do not know these, are asked again
 * when their dialect is known. They work on it while the caller looks at something else; what has
 * come is taken whenever the loop turns. Sockets that can be told at a glance are greeted even
 * before anybody looks at each process.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/dialect.h"
#include "driver/look.h"

#define GREET_TIMEOUT_NS (3 * NS_PER_SEC)
#define WAIT_NS		 (5 * NS_PER_SEC)
#define ASK_TIMEOUT_NS	 (3600 * NS_PER_SEC) /* who waits for it says for how long */
#define EARLY_MAX	 16

/**
 * struct served - a method that tells what a target serves
 * @member: of our answer
 */
static const struct served {
	const char *member, *method;
	struct client_pick pick;
} served[] = {
	{ "bdevs",
	  "bdev_get_bdevs",
	  { NULL,
	    { "name", "aliases", "product_name", "uuid", "block_size", "num_blocks",
	      "claimed" } } },
	{ "lvol_stores",
	  "bdev_lvol_get_lvstores",
	  { NULL,
	    { "name", "uuid", "base_bdev", "total_data_clusters", "free_clusters", "cluster_size",
	      "block_size" } } },
	{ "transports",
	  "nvmf_get_transports",
	  { NULL,
	    { "trtype", "max_queue_depth", "max_io_qpairs_per_ctrlr", "in_capsule_data_size",
	      "max_io_size" } } },
	{ "subsystems",
	  "nvmf_get_subsystems",
	  { NULL,
	    { "nqn", "subtype", "listen_addresses", "allow_any_host", "hosts", "serial_number",
	      "model_number", "namespaces" } } },
	{ "vhost_controllers",
	  "vhost_get_controllers",
	  { NULL, { "ctrlr", "cpumask", "socket", "backend_specific" } } },
	{ "threads",
	  "thread_get_stats",
	  { "threads",
	    { "name", "id", "cpumask", "busy", "idle", "active_pollers_count",
	      "timed_pollers_count" } } },
	{ "reactors",
	  "framework_get_reactors",
	  { "reactors", { "lcore", "busy", "idle", "in_interrupt", "lw_threads" } } },
};
#define SERVED (sizeof(served) / sizeof(served[0]))

/**
 * struct told - what a target told of one thing that it serves
 * @asked: it can tell
 * @unknown: it does not know the method's name of today
 * @err: why it did not
 */
struct told {
	struct look *look;
	const struct served *what;
	bool asked, unknown;
	json_t *result;
	struct error err;
};

/**
 * struct look - one target that is looked at
 * @target: NULL as long as only its socket is known
 * @socket: its path
 * @fd: of its socket, where its path does not do; -1
 * @owed: answers that are waited for
 * @err: why it does not answer
 */
struct look {
	const struct probe_target *target;
	char socket[PATH_MAX];
	struct client *client;
	struct looks *all;
	int fd;
	size_t owed;
	struct told told[SERVED];
	struct error err;
};

/**
 * struct looks - all of them
 * @early: greeted before their process was known; NULL when they found their place in @items
 * @left: those that owe answers
 */
struct looks {
	struct driver *d;
	struct probe_target *targets;
	struct look **items, *early[EARLY_MAX];
	size_t count, early_count, left;
	bool served, done;
};

static const char *const features[] = {
	"nvmf_create_subsystem", "bdev_uring_create", "bdev_aio_create",
	"bdev_lvol_create",	 "bdev_rbd_create",   "vhost_create_blk_controller",
};

/* A refusal that names the descriptor by which we came says nothing to a person. */
static void name_socket(struct look *l)
{
	char through[32], text[ERROR_TEXT_MAX], *at;

	snprintf(through, sizeof(through), "/proc/self/fd/%d", l->fd);
	at = l->fd >= 0 ? strstr(l->err.text, through) : NULL;
	if (!at)
		return;
	snprintf(text, sizeof(text), "%.*s%.200s%s", (int)(at - l->err.text), l->err.text,
		 l->socket, at + strlen(through));
	memcpy(l->err.text, text, sizeof(text));
}

static void look_connect(struct look *l)
{
	const struct probe_target *t = l->target;
	struct driver *d = l->all->d;
	char through[32];
	int rc;

	if (!t->socket[0]) {
		error_set(&l->err, -ENOENT, "%s, process %d, listens on no socket that was found",
			  t->program[0] ? t->program : "a target", t->pid);
		return;
	}
	if (!t->inside[0] && strlen(t->socket) < sizeof(((struct sockaddr_un *)0)->sun_path)) {
		client_connect(d->loop, t->socket, &l->client, &l->err);
		return;
	}
	rc = probe_target_open(d->probe, t);
	if (rc < 0) {
		error_set(&l->err, rc, "socket %s cannot be reached: %s", t->socket,
			  error_errno_text(rc));
		return;
	}
	l->fd = rc;
	snprintf(through, sizeof(through), "/proc/self/fd/%d", rc);
	client_connect(d->loop, through, &l->client, &l->err);
	name_socket(l);
}

/* What was not picked, because it is no list, is shown as an empty one. */
static json_t *list_of(const struct served *s, json_t *result)
{
	json_t *list = s->pick.inside ? json_object_get(result, s->pick.inside) : result;

	return json_is_array(list) ? json_incref(list) : json_array();
}

static void set_version(json_t *o, const struct look *l)
{
	const struct dialect *dialect = client_dialect(l->client);
	const char *kind = l->target->kind;

	if (!strcmp(kind, "unknown"))
		kind = dialect->is_engine ? "engine" : "spdk";
	json_object_set_new(o, "version", json_string(dialect->version));
	json_object_set_new(o, "kind", json_string(kind));
}

static void set_features(json_t *o, const struct client *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (client_has(c, features[i]))
			json_array_append_new(list, json_string(features[i]));
	}
	json_object_set_new(o, "features", list);
}

static void owe(struct look *l)
{
	l->all->left += l->owed++ == 0;
}

/* Of one that was given up late answers may come. */
static void answer_taken(struct look *l)
{
	if (l->owed && --l->owed == 0)
		l->all->done = --l->all->left == 0;
}

static void on_told(void *arg, const struct client_answer *answer);

static void ask(struct told *t)
{
	if (client_call_picked(t->look->client, t->what->method, NULL, &t->what->pick,
			       ASK_TIMEOUT_NS, on_told, t) == 0)
		owe(t->look);
	else
		error_set(&t->err, -ENOMEM, "out of memory");
}

/* It does not know the name of today, and its own words are known now. */
static void ask_again(struct told *t)
{
	const char *name = dialect_name(client_dialect(t->look->client), t->what->method);

	t->asked = name;
	t->unknown = false;
	if (!name || !strcmp(name, t->what->method))
		return;
	t->err = (struct error)ERROR_INIT;
	ask(t);
}

static void on_told(void *arg, const struct client_answer *answer)
{
	struct told *t = arg;
	struct look *l = t->look;

	t->result = json_incref(answer->result);
	t->unknown = answer->status == -ENOSYS;
	if (answer->status)
		error_set(&t->err, answer->status, "target %s, %s: %s", l->socket, t->what->method,
			  answer->message);
	if (t->unknown && client_dialect(l->client))
		ask_again(t);
	answer_taken(l);
}

static void on_greeted(void *arg, const struct error *err)
{
	struct look *l = arg;

	l->err = *err;
	name_socket(l);
	if (err->code && l->owed)
		l->owed = 1;
	for (size_t k = 0; !err->code && k < SERVED; k++) {
		if (l->told[k].unknown)
			ask_again(&l->told[k]);
	}
	client_flush(l->client);
	answer_taken(l);
}

static void greet(struct look *l)
{
	if (!l->client)
		return;
	if (client_learn_begin(l->client, GREET_TIMEOUT_NS, on_greeted, l) < 0) {
		error_set(&l->err, -ENOMEM, "out of memory");
		return;
	}
	owe(l);
	for (size_t k = 0; l->all->served && k < SERVED; k++) {
		l->told[k] = (struct told){ .look = l, .what = &served[k], .asked = true };
		ask(&l->told[k]);
	}
	client_flush(l->client);
}

static void set_served(json_t *o, const struct look *l)
{
	json_t *errors = json_object();

	for (size_t k = 0; k < SERVED; k++) {
		const struct told *t = &l->told[k];

		if (!t->asked)
			continue;
		if (t->result)
			json_object_set_new(o, t->what->member, list_of(t->what, t->result));
		else
			json_object_set_new(
				errors, t->what->member,
				json_string(t->err.code ? t->err.text : "no answer in time"));
	}
	json_object_set_new(o, "errors", errors);
}

static void describe(struct look *l, json_t *o)
{
	set_version(o, l);
	set_features(o, l->client);
	if (l->all->served)
		set_served(o, l);
	if (!client_is_connected(l->client))
		error_set(&l->err, -ECONNRESET, "target %s went away while it was asked",
			  l->socket);
}

static json_t *target_json(struct look *l)
{
	const struct probe_target *t = l->target;
	json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:s, s:b, s:b, s:s}", "socket", t->socket,
			      "pid", (int)t->pid, "command", t->command, "program", t->program,
			      "kind", t->kind, "container", t->contained, "locked", t->locked,
			      "cores", t->cores);

	if (!o)
		return json_pack("{s:i, s:b, s:s}", "pid", (int)t->pid, "answers", false, "error",
				 "its socket's path is no UTF-8");
	if (t->inside[0])
		json_object_set_new(o, "socket_inside", json_string(t->inside));
	if (!l->err.code && l->client)
		describe(l, o);
	json_object_set_new(o, "answers", json_boolean(l->err.code == 0));
	json_object_set_new(o, "error", json_string(l->err.text));
	return o;
}

static struct look *look_create(struct looks *all, const char *socket)
{
	struct look *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->all = all;
	l->fd = -1;
	snprintf(l->socket, sizeof(l->socket), "%s", socket);
	return l;
}

/* Late answers find nobody: the calls end with the client, before the rest goes. */
static void look_destroy(struct look *l)
{
	if (!l)
		return;
	client_destroy(l->client);
	if (l->fd >= 0)
		close(l->fd);
	for (size_t k = 0; k < SERVED; k++)
		json_decref(l->told[k].result);
	free(l);
}

static void greet_early(struct looks *all)
{
	char sockets[EARLY_MAX][PROBE_SOCKET_SIZE];
	size_t n = probe_target_sockets(all->d->probe, sockets, EARLY_MAX);

	for (size_t i = 0; i < n; i++) {
		struct look *l = look_create(all, sockets[i]);

		if (!l)
			break;
		all->early[all->early_count++] = l;
		client_connect(all->d->loop, l->socket, &l->client, &l->err);
		greet(l);
	}
}

/* Return: who was greeted at that socket already; NULL when nobody was. */
static struct look *take_early(struct looks *all, const struct probe_target *t)
{
	for (size_t i = 0; i < all->early_count; i++) {
		struct look *l = all->early[i];

		if (l && !strcmp(l->socket, t->socket)) {
			all->early[i] = NULL;
			return l;
		}
	}
	return NULL;
}

static void take_target(struct looks *all, const struct probe_target *t)
{
	struct look *l = take_early(all, t);
	bool is_greeted = l;

	if (!l)
		l = look_create(all, t->socket);
	if (!l)
		return;
	all->items[all->count++] = l;
	l->target = t;
	if (is_greeted)
		return;
	look_connect(l);
	greet(l);
}

struct looks *look_start(struct driver *d, bool all_served)
{
	struct looks *all = calloc(1, sizeof(*all));
	ssize_t n;

	if (!all)
		return NULL;
	all->d = d;
	all->served = all_served;
	greet_early(all);
	n = probe_targets(d->probe, d->dir, &all->targets);
	all->items = n > 0 ? calloc((size_t)n, sizeof(struct look *)) : NULL;
	for (ssize_t i = 0; all->items && i < n; i++)
		take_target(all, &all->targets[i]);
	for (size_t i = 0; i < all->early_count; i++)
		look_destroy(all->early[i]);
	return all;
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void looks_free(struct looks *all)
{
	for (size_t i = 0; i < all->count; i++)
		look_destroy(all->items[i]);
	free(all->items);
	free(all->targets);
	free(all);
}

json_t *look_finish(struct looks *all)
{
	json_t *list = json_array();
	struct loop_timer *late;

	if (!all)
		return list;
	all->done = all->left == 0;
	late = all->done ? NULL
			 : loop_timer(all->d->loop, clock_ns() + WAIT_NS, set_true, &all->done);
	if (late)
		loop_run(all->d->loop, &all->done);
	if (all->left == 0)
		loop_timer_cancel(all->d->loop, late);
	for (size_t i = 0; i < all->count; i++)
		json_array_append_new(list, target_json(all->items[i]));
	looks_free(all);
	return list;
}

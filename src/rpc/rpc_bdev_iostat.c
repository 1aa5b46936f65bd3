/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bdev_get_iostat, bdev_reset_iostat: one bdev after the other is asked on all reactors.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "bdev/bdev.h"
#include "rpc/areas.h"

static const char *const mode_names[] = { "all", "maxmin", "error", "none", NULL };
static const enum bdev_iostat_reset modes[] = { BDEV_IOSTAT_RESET_ALL, BDEV_IOSTAT_RESET_MAXMIN,
						BDEV_IOSTAT_RESET_ERRORS, BDEV_IOSTAT_KEEP };
#define MODE_NONE 3

/**
 * struct tour - a request on its way through the bdevs
 * @descs, @count, @at: they are kept open until the end; @at is being asked
 * @bdevs: what was gathered; NULL when only resetting
 * @per_reactor: entries of the one bdev whose channels are shown; NULL for sums
 */
struct tour {
	struct rpc_request *req;
	struct bdev_iostat_get get;
	struct bdev_desc **descs;
	size_t count, room, at;
	json_t *bdevs;
	struct bdev_iostat *per_reactor;
};

static json_t *stat_json(json_t *object, const struct bdev_iostat *s)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "bytes_read", s->bytes_read },
		{ "num_read_ops", s->reads },
		{ "bytes_written", s->bytes_written },
		{ "num_write_ops", s->writes },
		{ "bytes_unmapped", s->bytes_unmapped },
		{ "num_unmap_ops", s->unmaps },
		{ "bytes_copied", 0 },
		{ "num_copy_ops", s->copies },
		{ "read_latency_ticks", s->read_ticks },
		{ "max_read_latency_ticks", s->max_read_ticks },
		{ "min_read_latency_ticks", s->min_read_ticks },
		{ "write_latency_ticks", s->write_ticks },
		{ "max_write_latency_ticks", s->max_write_ticks },
		{ "min_write_latency_ticks", s->min_write_ticks },
		{ "unmap_latency_ticks", s->unmap_ticks },
		{ "max_unmap_latency_ticks", s->max_unmap_ticks },
		{ "min_unmap_latency_ticks", s->min_unmap_ticks },
		{ "copy_latency_ticks", 0 },
		{ "max_copy_latency_ticks", 0 },
		{ "min_copy_latency_ticks", 0 },
	};
	json_t *errors = json_object();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_object_set_new(object, rows[i].name, json_integer((json_int_t)rows[i].value));
	if (s->errors > 0)
		json_object_set_new(errors, "failed", json_integer((json_int_t)s->errors));
	json_object_set_new(object, "io_error", errors);
	return object;
}

static json_t *channels_json(const struct tour *t)
{
	static const struct bdev_iostat nothing;
	json_t *array = json_array();

	for (unsigned int i = 0; i < reactor_count(); i++) {
		const struct bdev_iostat *s = &t->per_reactor[i];

		if (memcmp(s, &nothing, sizeof(nothing)) != 0)
			json_array_append_new(
				array, stat_json(json_pack("{s:i}", "thread_id", (int)i + 1), s));
	}
	return array;
}

static json_t *answer_json(struct tour *t)
{
	json_t *object;

	if (!t->bdevs)
		return json_true();
	object = json_pack("{s:I,s:I}", "tick_rate", (json_int_t)clock_ticks_hz(), "ticks",
			   (json_int_t)clock_ticks());
	if (t->per_reactor) {
		json_object_set_new(object, "name", json_string(bdev_name(bdev_of(t->descs[0]))));
		json_object_set_new(object, "channels", channels_json(t));
	} else {
		json_object_set(object, "bdevs", t->bdevs);
	}
	return object;
}

static void tour_free(struct tour *t)
{
	for (size_t i = 0; i < t->count; i++)
		bdev_close(t->descs[i]);
	json_decref(t->bdevs);
	free(t->per_reactor);
	free(t->descs);
	free(t);
}

static void next(struct tour *t)
{
	if (t->at < t->count) {
		t->get.bdev = bdev_of(t->descs[t->at]);
		bdev_iostat_get(&t->get);
		return;
	}
	rpc_reply(t->req, answer_json(t));
	tour_free(t);
}

static void got(struct bdev_iostat_get *get)
{
	struct tour *t = container_of(get, struct tour, get);

	if (t->bdevs)
		json_array_append_new(
			t->bdevs,
			stat_json(json_pack("{s:s}", "name", bdev_name(get->bdev)), &get->total));
	t->at++;
	next(t);
}

/* A bdev that goes meanwhile waits for the end of the tour. */
static void ignore_event(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	(void)desc;
	(void)event;
	(void)user;
}

static int add_bdev(struct tour *t, const char *name, struct error *err)
{
	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 8;
		struct bdev_desc **descs = reallocarray(t->descs, room, sizeof(*descs));

		if (!descs)
			return error_set(err, -ENOMEM, "no memory for the list of bdevs");
		t->descs = descs;
		t->room = room;
	}
	if (!bdev_find(name))
		return error_set(err, -ENODEV, "there is no bdev \"%.64s\"", name);
	if (bdev_open(name, false, ignore_event, NULL, &t->descs[t->count], err) < 0)
		return err->code;
	t->count++;
	return 0;
}

/* One that is just going is left out: nobody named it. */
static int add_all(struct tour *t, struct error *err)
{
	for (struct bdev *bdev = bdev_first(); bdev; bdev = bdev_next(bdev)) {
		int rc = add_bdev(t, bdev_name(bdev), err);

		if (rc < 0 && rc != -ENODEV)
			return rc;
	}
	return 0;
}

static int add_named(struct tour *t, const struct rpc_strings *names, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < names->count; i++)
		rc = add_bdev(t, names->items[i], err);
	return rc;
}

static struct tour *tour_create(struct rpc_request *req, int mode)
{
	struct tour *t = calloc(1, sizeof(*t));

	if (!t) {
		rpc_done(req, -ENOMEM, 0, NULL);
		return NULL;
	}
	t->req = req;
	t->get.reset = modes[mode];
	t->get.done = got;
	return t;
}

static void tour_start(struct tour *t, int rc, const struct error *err)
{
	if (rc < 0) {
		rpc_done(t->req, rc, 0, err);
		tour_free(t);
		return;
	}
	next(t);
}

struct get_iostat {
	struct rpc_strings names;
	const char *name;
	bool has_names;
	bool per_channel;
	int reset_mode;
};

static const struct rpc_param get_iostat_params[] = {
	RPC_PARAM(struct get_iostat, names, RPC_STRINGS, RPC_GIVEN(struct get_iostat, has_names)),
	RPC_PARAM(struct get_iostat, name, RPC_STRING),
	RPC_PARAM(struct get_iostat, per_channel, RPC_BOOL),
	RPC_PARAM(struct get_iostat, reset_mode, RPC_ENUM, .names = mode_names),
	RPC_END,
};

static void get_iostat_defaults(void *params)
{
	((struct get_iostat *)params)->reset_mode = MODE_NONE;
}

static int choose(struct tour *t, struct get_iostat *p, struct error *err)
{
	/* Releases before 23.09 take one name. */
	if (p->name) {
		if (p->has_names)
			return error_set(err, -EINVAL,
					 "bdev_get_iostat: give either \"names\" or \"name\"");
		p->names = (struct rpc_strings){ .items = &p->name, .count = 1 };
		p->has_names = true;
	}
	if (p->per_channel && (!p->has_names || p->names.count != 1))
		return error_set(
			err, -EINVAL,
			"bdev_get_iostat: \"per_channel\" shows one bdev: give one name, not "
			"%zu",
			p->names.count);
	if (p->per_channel) {
		t->per_reactor = calloc(reactor_count(), sizeof(*t->per_reactor));
		if (!t->per_reactor)
			return error_set(err, -ENOMEM, "no memory for the channels");
		t->get.per_reactor = t->per_reactor;
	}
	return p->has_names ? add_named(t, &p->names, err) : add_all(t, err);
}

static void get_iostat(struct rpc_request *req, void *params)
{
	struct get_iostat *p = params;
	struct error err = ERROR_INIT;
	struct tour *t = tour_create(req, p->reset_mode);

	if (!t)
		return;
	t->bdevs = json_array();
	tour_start(t, choose(t, p, &err), &err);
}

struct reset_iostat {
	const char *name;
	int mode;
};

static const struct rpc_param reset_iostat_params[] = {
	RPC_PARAM(struct reset_iostat, name, RPC_STRING),
	RPC_PARAM(struct reset_iostat, mode, RPC_ENUM, .names = mode_names),
	RPC_END,
};

static void reset_iostat(struct rpc_request *req, void *params)
{
	const struct reset_iostat *p = params;
	struct error err = ERROR_INIT;
	struct tour *t = tour_create(req, p->mode);

	if (t)
		tour_start(t, p->name ? add_bdev(t, p->name, &err) : add_all(t, &err), &err);
}

static const struct rpc_method methods[] = {
	{ .name = "bdev_get_iostat",
	  .aliases = { "get_bdevs_iostat" },
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INTERNAL_ERROR,
	  .params = get_iostat_params,
	  .size = sizeof(struct get_iostat),
	  .defaults = get_iostat_defaults,
	  .call = get_iostat },
	{ .name = "bdev_reset_iostat",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INTERNAL_ERROR,
	  .params = reset_iostat_params,
	  .size = sizeof(struct reset_iostat),
	  .call = reset_iostat },
};
RPC_AREA(bdev_iostat, methods);

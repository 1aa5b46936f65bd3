/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rbd module: making, deleting, growing, and what is shown and saved.
 *
 * Threading: reactor 0; the run functions of calls have threads of their own.
 */
#include "bdev_modules/rbd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "bdev_modules/rbd_internal.h"

#define STOP_POLL_NS (NS_PER_MSEC)

static TAILQ_HEAD(, rbd_bdev) rbd_bdevs = TAILQ_HEAD_INITIALIZER(rbd_bdevs);

/* @done: NULL until the program leaves */
static struct {
	void (*done)(void *arg);
	void *arg;
	struct reactor_timer timer;
} stopping;

static struct bdev_module module = { .name = "rbd", .save = rbd_clusters_save };

__attribute__((constructor)) static void register_module(void)
{
	bdev_module_register(&module);
}

static struct rbd_bdev *rbd_of(struct bdev *bdev)
{
	return container_of(bdev, struct rbd_bdev, bdev);
}

static void rbd_free(struct rbd_bdev *r)
{
	if (r->listed)
		TAILQ_REMOVE(&rbd_bdevs, r, link);
	if (r->cluster != NULL)
		rbd_cluster_put(r->cluster);
	free(r->name);
	free(r->pool);
	free(r->image_name);
	free(r);
}

static void name_call(struct rbd_call *call, const struct rbd_bdev *r, const char *what)
{
	snprintf(call->what, sizeof(call->what), "image %.60s/%.60s is %s", r->pool, r->image_name,
		 what);
}

/* --- closing -------------------------------------------------------------------------------- */

static struct rbd_bdev *rbd_of_call(struct rbd_call *call)
{
	return container_of(call, struct rbd_bdev, call);
}

/* The block layer is told; what is left of it is between us and librbd. */
static void let_go(struct rbd_bdev *r, int result)
{
	if (!r->registered)
		return;
	r->registered = false;
	bdev_destruct_done(&r->bdev, result);
}

static int close_run(struct rbd_call *call, struct error *err)
{
	(void)err;
	return rbd_image_close(rbd_of_call(call));
}

static void close_answer(struct rbd_call *call, int result, const struct error *err)
{
	(void)err;
	let_go(rbd_of_call(call), result);
}

static void close_end(struct rbd_call *call)
{
	rbd_free(rbd_of_call(call));
}

static void close_start(struct rbd_bdev *r)
{
	r->call = (struct rbd_call){
		.limit_ns = RBD_CLOSE_NS, .run = close_run, .answer = close_answer, .end = close_end
	};
	name_call(&r->call, r, "closed");
	rbd_call_start_sure(&r->call);
}

/* What still asks librbd about the image has it; beyond its time nobody waits for it. */
static void rbd_destruct(struct bdev *bdev)
{
	struct rbd_bdev *r = rbd_of(bdev);

	r->closing = true;
	if (r->calls == 0)
		close_start(r);
	else if (r->late > 0)
		let_go(r, -ETIMEDOUT);
}

static void call_is_late(struct rbd_bdev *r)
{
	r->late++;
	if (r->closing)
		let_go(r, -ETIMEDOUT);
}

static void call_ended(struct rbd_bdev *r, const struct rbd_call *call)
{
	r->calls--;
	if (rbd_call_was_late(call))
		r->late--;
	if (r->closing && r->calls == 0)
		close_start(r);
}

/* --- what is shown and saved ---------------------------------------------------------------- */

static void rbd_dump(const struct bdev *bdev, json_t *object)
{
	const struct rbd_bdev *r = container_of(bdev, const struct rbd_bdev, bdev);
	json_t *o = json_pack("{s:s,s:s}", "pool_name", r->pool, "rbd_name", r->image_name);

	json_object_update(o, r->cluster->settings);
	json_object_del(o, "core_mask");
	json_object_set_new(object, "rbd", o);
}

static void rbd_save(const struct bdev *bdev, json_t *array)
{
	const struct rbd_bdev *r = container_of(bdev, const struct rbd_bdev, bdev);
	char uuid[UUID_TEXT_SIZE];
	json_t *p;

	uuid_to_text(&bdev->uuid, uuid);
	p = json_pack("{s:s,s:s,s:s,s:I}", "name", bdev->name, "pool_name", r->pool, "rbd_name",
		      r->image_name, "block_size", (json_int_t)bdev->block_size);
	if (r->cluster->name != NULL)
		json_object_set_new(p, "cluster_name", json_string(r->cluster->name));
	else
		json_object_update(p, r->cluster->settings);
	json_object_set_new(p, "uuid", json_string(uuid));
	if (bdev->read_only)
		json_object_set_new(p, "read_only", json_true());
	bdev_save_method(array, "bdev_rbd_create", p);
}

static const struct bdev_ops ops = {
	.submit = rbd_bdev_submit,
	.destruct = rbd_destruct,
	.dump = rbd_dump,
	.save = rbd_save,
};

/* --- a new size ----------------------------------------------------------------------------- */

static int grow(struct rbd_bdev *r, uint64_t bytes, struct error *err)
{
	uint64_t blocks = bytes / r->bdev.block_size;
	int rc;

	if (!r->registered || r->closing || blocks == bdev_num_blocks(&r->bdev))
		return 0;
	rc = bdev_resize(&r->bdev, blocks, err);
	return rc < 0 ? error_prefix(err, "image \"%s/%s\": ", r->pool, r->image_name) : 0;
}

static struct rbd_bdev *rbd_of_look(struct rbd_call *call)
{
	return container_of(call, struct rbd_bdev, look);
}

static int look_run(struct rbd_call *call, struct error *err)
{
	struct rbd_bdev *r = rbd_of_look(call);
	int rc = r->cluster->lib->rbd_get_size(r->image, &r->bytes);

	return rc < 0 ? error_set(err, rc, "image \"%s/%s\" does not tell its size: %s", r->pool,
				  r->image_name, error_errno_text(rc))
		      : 0;
}

static void look_answer(struct rbd_call *call, int result, const struct error *err)
{
	struct rbd_bdev *r = rbd_of_look(call);
	struct error refusal = ERROR_INIT;

	if (result == -ETIMEDOUT)
		call_is_late(r);
	else if (result < 0)
		log_warning("%s", err->text);
	else if (grow(r, r->bytes, &refusal) < 0)
		log_warning("%s", refusal.text);
}

static void look_start(struct rbd_bdev *r);

static void look_end(struct rbd_call *call)
{
	struct rbd_bdev *r = rbd_of_look(call);

	bool again = r->look_again && !r->closing;

	r->looking = r->look_again = false;
	if (again)
		look_start(r);
	call_ended(r, call);
}

static void look_start(struct rbd_bdev *r)
{
	struct error err = ERROR_INIT;

	r->look = (struct rbd_call){
		.limit_ns = RBD_CALL_NS, .run = look_run, .answer = look_answer, .end = look_end
	};
	name_call(&r->look, r, "measured");
	if (rbd_call_start(&r->look, &err) < 0) {
		log_warning("%s", err.text);
		return;
	}
	r->looking = true;
	r->calls++;
}

static void changed(struct reactor_msg *msg)
{
	struct rbd_bdev *r = container_of(msg, struct rbd_bdev, changed);

	atomic_store(&r->changed_sent, false);
	if (r->looking)
		r->look_again = true;
	else if (r->registered && !r->closing)
		look_start(r);
}

/** struct growth - bdev_rbd_resize() under way */
struct growth {
	struct rbd_call call;
	struct rbd_bdev *r;
	uint64_t bytes;
	bdev_rbd_done_fn *done;
	void *arg;
};

static struct growth *growth_of(struct rbd_call *call)
{
	return container_of(call, struct growth, call);
}

static int grow_run(struct rbd_call *call, struct error *err)
{
	struct growth *g = growth_of(call);
	struct rbd_bdev *r = g->r;
	int rc = r->cluster->lib->rbd_resize(r->image, g->bytes);

	return rc < 0 ? error_set(err, rc, "image \"%s/%s\" cannot be given %llu bytes: %s",
				  r->pool, r->image_name, (unsigned long long)g->bytes,
				  error_errno_text(rc))
		      : 0;
}

static void grow_answer(struct rbd_call *call, int result, const struct error *err)
{
	struct growth *g = growth_of(call);
	struct error refusal = *err;

	if (result == 0)
		result = grow(g->r, g->bytes, &refusal);
	g->done(g->arg, result, NULL, &refusal);
	if (result == -ETIMEDOUT)
		call_is_late(g->r);
}

static void grow_end(struct rbd_call *call)
{
	call_ended(growth_of(call)->r, call);
	free(growth_of(call));
}

static int check_growth(const struct bdev *bdev, uint64_t mib, uint64_t *bytes, struct error *err)
{
	if (!checked_mul_u64(mib, 1024 * 1024, bytes) || *bytes > INT64_MAX)
		return error_set(err, -EINVAL,
				 "new size %llu MiB of bdev \"%s\": at most 2^63 - 1 bytes",
				 (unsigned long long)mib, bdev->name);
	if (*bytes / bdev->block_size < bdev_num_blocks(bdev))
		return error_set(err, -EINVAL,
				 "new size %llu MiB of bdev \"%s\" is smaller than what it has, "
				 "%llu blocks of %u bytes: an image only grows here",
				 (unsigned long long)mib, bdev->name,
				 (unsigned long long)bdev_num_blocks(bdev), bdev->block_size);
	if (bdev->read_only)
		return error_set(err, -EROFS, "bdev \"%s\" is read-only: its image is not resized",
				 bdev->name);
	return 0;
}

int bdev_rbd_resize(const char *name, uint64_t mib, bdev_rbd_done_fn *done, void *arg,
		    struct error *err)
{
	struct growth *g;
	struct bdev *bdev;
	uint64_t bytes = 0;
	int rc = bdev_find_of_module(name, &module, &bdev, err);

	if (rc == 0)
		rc = check_growth(bdev, mib, &bytes, err);
	if (rc < 0)
		return rc;
	if (rbd_of(bdev)->closing)
		return error_set(err, -EBUSY, "bdev \"%s\" is being removed already", name);
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return error_set(err, -ENOMEM, "no memory for the new size of bdev \"%s\"", name);
	*g = (struct growth){ .r = rbd_of(bdev), .bytes = bytes, .done = done, .arg = arg };
	g->call = (struct rbd_call){
		.limit_ns = RBD_CALL_NS, .run = grow_run, .answer = grow_answer, .end = grow_end
	};
	name_call(&g->call, g->r, "resized");
	rc = rbd_call_start(&g->call, err);
	if (rc < 0)
		free(g);
	else
		g->r->calls++;
	return rc;
}

/* --- making --------------------------------------------------------------------------------- */

/*
 * Two bdevs that may write to one image would not see each other's caches; also one that is gone
 * may still be closing, and write what it has.
 */
static int check_unshared(const struct rbd_bdev *r, struct error *err)
{
	const struct rbd_bdev *other;

	TAILQ_FOREACH (other, &rbd_bdevs, link) {
		if (strcmp(other->identity, r->identity) != 0 ||
		    (other->bdev.read_only && r->bdev.read_only))
			continue;
		return error_set(err, -EBUSY,
				 "image \"%s/%s\" is already used by bdev \"%s\"%s: delete that "
				 "first, or have both read-only",
				 r->pool, r->image_name, other->name,
				 other->registered ? "" : ", which is still being closed");
	}
	return 0;
}

static int measure(struct rbd_bdev *r, struct error *err)
{
	r->bdev.num_blocks = r->bytes / r->bdev.block_size;
	if (r->bdev.num_blocks == 0)
		return error_set(err, -EINVAL,
				 "image \"%s/%s\" has %llu bytes, less than one block of %u: make "
				 "it larger",
				 r->pool, r->image_name, (unsigned long long)r->bytes,
				 r->bdev.block_size);
	if (r->bytes % r->bdev.block_size != 0)
		log_notice("bdev \"%s\": the last %llu bytes of image \"%s/%s\" fill no block and "
			   "are not used",
			   r->name, (unsigned long long)(r->bytes % r->bdev.block_size), r->pool,
			   r->image_name);
	return 0;
}

static int show(struct rbd_bdev *r, struct error *err)
{
	struct bdev *bdev = &r->bdev;
	int rc = stopping.done == NULL ? check_unshared(r, err)
				       : error_set(err, -ESHUTDOWN, "the target is leaving");

	if (rc == 0)
		rc = measure(r, err);
	if (rc < 0)
		return rc;
	bdev->product_name = "Ceph Rbd Disk";
	bdev->types = 1u << BDEV_IO_READ | 1u << BDEV_IO_FLUSH;
	if (!bdev->read_only)
		bdev->types |=
			1u << BDEV_IO_WRITE | 1u << BDEV_IO_UNMAP | 1u << BDEV_IO_WRITE_ZEROES;
	bdev->alignment = 1;
	bdev->write_cache = !bdev->read_only;
	bdev->module = &module;
	bdev->ops = &ops;
	rc = bdev_register(bdev, r->name, err);
	if (rc < 0)
		return rc;
	r->registered = r->listed = true;
	TAILQ_INSERT_TAIL(&rbd_bdevs, r, link);
	return 0;
}

static int open_run(struct rbd_call *call, struct error *err)
{
	return rbd_image_open(rbd_of_call(call), err);
}

static void open_answer(struct rbd_call *call, int result, const struct error *err)
{
	struct rbd_bdev *r = rbd_of_call(call);
	struct error refusal = *err;

	if (result == 0)
		result = show(r, &refusal);
	r->done(r->arg, result, result == 0 ? &r->bdev : NULL, &refusal);
}

/* What was opened and is not wanted, or came too late, is closed. */
static void open_end(struct rbd_call *call)
{
	struct rbd_bdev *r = rbd_of_call(call);

	if (r->registered)
		return;
	if (r->image != NULL)
		close_start(r);
	else
		rbd_free(r);
}

static int check_options(const struct bdev_rbd_options *o, const char *name, struct error *err)
{
	if (bdev_find(name) != NULL)
		return error_set(
			err, -EEXIST,
			"\"%s\" is already a name, alias or UUID of a bdev: choose another", name);
	if (o->block_size < BDEV_BLOCK_SIZE_MIN || o->block_size > BDEV_BLOCK_SIZE_MAX ||
	    !is_power_of_two(o->block_size))
		return error_set(err, -EINVAL,
				 "block size %u of bdev \"%s\": a power of two from %u to %u is "
				 "needed",
				 o->block_size, name, BDEV_BLOCK_SIZE_MIN, BDEV_BLOCK_SIZE_MAX);
	if (o->cluster_name != NULL && (o->config != NULL || o->user_id != NULL))
		return error_set(err, -EINVAL,
				 "bdev \"%s\" has cluster_name \"%s\", which has a user and a "
				 "configuration: leave out user_id and config",
				 name, o->cluster_name);
	return 0;
}

static struct rbd_bdev *rbd_new(const struct bdev_rbd_options *o, const char *name)
{
	struct rbd_bdev *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->name = strdup(name);
	r->pool = strdup(o->pool_name);
	r->image_name = strdup(o->rbd_name);
	if (r->name == NULL || r->pool == NULL || r->image_name == NULL) {
		rbd_free(r);
		return NULL;
	}
	r->bdev.block_size = o->block_size;
	r->bdev.uuid = o->uuid;
	r->bdev.read_only = o->read_only;
	r->changed.fn = changed;
	r->call = (struct rbd_call){
		.limit_ns = RBD_CALL_NS, .run = open_run, .answer = open_answer, .end = open_end
	};
	name_call(&r->call, r, "opened");
	return r;
}

int bdev_rbd_create(const struct bdev_rbd_options *o, bdev_rbd_done_fn *done, void *arg,
		    struct error *err)
{
	static unsigned int unnamed;
	const char *name = o->name;
	struct rbd_bdev *r;
	char own[24];
	int rc;

	snprintf(own, sizeof(own), "Ceph%u", unnamed);
	if (name == NULL) {
		name = own;
		unnamed++;
	}
	rc = check_options(o, name, err);
	if (rc < 0)
		return rc;
	r = rbd_new(o, name);
	if (r == NULL)
		return error_set(err, -ENOMEM, "no memory for bdev \"%s\"", name);
	r->done = done;
	r->arg = arg;
	rc = rbd_cluster_take(o, &r->cluster, err);
	if (rc == 0)
		rc = rbd_call_start(&r->call, err);
	if (rc < 0)
		rbd_free(r);
	return rc;
}

int bdev_rbd_delete(const char *name, void (*done)(void *arg, int result), void *arg,
		    struct error *err)
{
	return bdev_delete_of_module(name, &module, done, arg, err);
}

/* --- the end -------------------------------------------------------------------------------- */

/* Whoever waits for us has a time limit too: a thread that librbd holds would come back to nothing.
 */
static void stop_when_idle(struct reactor_timer *timer)
{
	rbd_clusters_close();
	if (rbd_calls() > 0)
		reactor_timer_start(timer, STOP_POLL_NS);
	else
		stopping.done(stopping.arg);
}

void bdev_rbd_stop(void (*done)(void *arg), void *arg)
{
	stopping.done = done;
	stopping.arg = arg;
	stopping.timer.fn = stop_when_idle;
	stop_when_idle(&stopping.timer);
}

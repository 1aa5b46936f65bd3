/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bdevs there are: registration, descriptors, claims, resizing and removal.
 *
 * Removal: users are told, each closes its descriptor, and when no descriptor, channel, range lock,
 * reset or examination is left the module destructs the bdev. Until it says that it has done so the
 * names stay taken, so that nothing is made twice under one name.
 *
 * Threading: reactor 0, but what bdev_*() of plain facts returns may be read anywhere as long as a
 * descriptor keeps the bdev.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "bdev/internal.h"

struct bdev_list bdev_list = TAILQ_HEAD_INITIALIZER(bdev_list);

/* --- facts ---------------------------------------------------------------------------------- */

const char *bdev_name(const struct bdev *bdev)
{
	return bdev->name;
}

const struct uuid *bdev_uuid(const struct bdev *bdev)
{
	return &bdev->uuid;
}

uint32_t bdev_block_size(const struct bdev *bdev)
{
	return bdev->block_size;
}

uint64_t bdev_num_blocks(const struct bdev *bdev)
{
	return bdev_blocks_now(bdev);
}

bool bdev_supports(const struct bdev *bdev, enum bdev_io_type type)
{
	return (bdev_allowed_types(bdev) & BDEV_BIT(type)) != 0;
}

bool bdev_has_write_cache(const struct bdev *bdev)
{
	return bdev->write_cache;
}

bool bdev_unmap_zeroes(const struct bdev *bdev)
{
	return bdev->unmap_zeroes;
}

uint32_t bdev_optimal_boundary(const struct bdev *bdev)
{
	return bdev->boundary;
}

uint64_t bdev_max_unmap(const struct bdev *bdev)
{
	return bdev->max_unmap;
}

struct bdev *bdev_find(const char *name)
{
	return bdev_label_find(name);
}

struct bdev *bdev_first(void)
{
	struct bdev_internal *in = TAILQ_FIRST(&bdev_list);

	return in == NULL ? NULL : in->bdev;
}

struct bdev *bdev_next(const struct bdev *bdev)
{
	struct bdev_internal *in = TAILQ_NEXT(bdev->internal, link);

	return in == NULL ? NULL : in->bdev;
}

/* --- watchers ------------------------------------------------------------------------------- */

static TAILQ_HEAD(, bdev_watcher) watchers = TAILQ_HEAD_INITIALIZER(watchers);

void bdev_watch(struct bdev_watcher *watcher)
{
	TAILQ_INSERT_TAIL(&watchers, watcher, link);
}

void bdev_unwatch(struct bdev_watcher *watcher)
{
	TAILQ_REMOVE(&watchers, watcher, link);
}

static void watchers_tell(struct bdev *bdev, enum bdev_change change)
{
	struct bdev_watcher *watcher;

	TAILQ_FOREACH (watcher, &watchers, link)
		watcher->changed(watcher, bdev, change);
}

/* --- registration --------------------------------------------------------------------------- */

static int check_size(const struct bdev *bdev, const char *name, uint64_t num_blocks,
		      struct error *err)
{
	uint64_t bytes;

	if (num_blocks == 0 && !bdev->may_be_empty)
		return error_set(err, -EINVAL,
				 "bdev \"%s\" would have 0 blocks: it needs at least one", name);
	if (!checked_mul_u64(num_blocks, bdev->block_size, &bytes) || bytes > INT64_MAX)
		return error_set(err, -EINVAL,
				 "bdev \"%s\" of %llu blocks of %u bytes: at most 2^63 - 1 bytes",
				 name, (unsigned long long)num_blocks, bdev->block_size);
	return 0;
}

static int check_geometry(const struct bdev *bdev, const char *name, struct error *err)
{
	uint32_t physical = bdev->physical_block_size;

	if (bdev->block_size < BDEV_BLOCK_SIZE_MIN || bdev->block_size > BDEV_BLOCK_SIZE_MAX ||
	    bdev->block_size % BDEV_BLOCK_SIZE_MIN != 0)
		return error_set(
			err, -EINVAL,
			"block size %u of bdev \"%s\": a multiple of %u up to %u is needed",
			bdev->block_size, name, BDEV_BLOCK_SIZE_MIN, BDEV_BLOCK_SIZE_MAX);
	if (physical != 0 && (physical < BDEV_BLOCK_SIZE_MIN || !is_power_of_two(physical)))
		return error_set(err, -EINVAL,
				 "physical block size %u of bdev \"%s\": a power of two from %u on "
				 "is needed",
				 physical, name, BDEV_BLOCK_SIZE_MIN);
	return check_size(bdev, name, bdev->num_blocks, err);
}

static void check_programmer(const struct bdev *bdev)
{
	assert(bdev->module != NULL && bdev->ops != NULL && bdev->product_name != NULL);
	assert(is_power_of_two(bdev->alignment) && bdev->alignment <= REACTOR_BUFFER_ALIGN);
	assert(bdev->block_size % bdev->alignment == 0);
	assert((bdev->types & BDEV_BIT(BDEV_IO_READ)) != 0);
	assert(!bdev->write_cache || (bdev->types & BDEV_BIT(BDEV_IO_FLUSH)) != 0);
	(void)bdev;
}

static struct bdev_internal *internal_create(struct bdev *bdev)
{
	unsigned int reactors = reactor_count();
	size_t size = sizeof(struct bdev_internal) + reactors * sizeof(struct bdev_local);
	size_t align = _Alignof(struct bdev_internal);
	struct bdev_internal *in = aligned_alloc(align, (size + align - 1) / align * align);

	if (in == NULL)
		return NULL;
	memset(in, 0, size);
	in->bdev = bdev;
	TAILQ_INIT(&in->labels);
	TAILQ_INIT(&in->descs);
	TAILQ_INIT(&in->lock_queue);
	TAILQ_INIT(&in->resets);
	return in;
}

static void internal_free(struct bdev_internal *in)
{
	while (!TAILQ_EMPTY(&in->labels))
		bdev_label_remove(TAILQ_FIRST(&in->labels));
	free(in);
}

/* A bdev that is called by its UUID needs no second label for it. */
static int add_labels(struct bdev *bdev, const char *name, struct error *err)
{
	char text[UUID_TEXT_SIZE];
	int rc = bdev_label_add(bdev, name, err);

	if (rc < 0)
		return rc;
	bdev->name = TAILQ_FIRST(&bdev->internal->labels)->text;
	uuid_to_text(&bdev->uuid, text);
	if (strcmp(text, name) == 0)
		return 0;
	return bdev_label_add(bdev, text, err);
}

int bdev_register(struct bdev *bdev, const char *name, struct error *err)
{
	struct bdev_internal *in;
	int rc = check_geometry(bdev, name, err);

	if (rc < 0)
		return rc;
	check_programmer(bdev);
	if (uuid_is_nil(&bdev->uuid))
		uuid_make(&bdev->uuid);
	if (bdev->physical_block_size == 0)
		bdev->physical_block_size = bdev->block_size;

	in = internal_create(bdev);
	if (in == NULL)
		return error_set(err, -ENOMEM, "no memory for bdev \"%s\"", name);
	bdev->internal = in;
	rc = add_labels(bdev, name, err);
	if (rc < 0) {
		internal_free(in);
		bdev->internal = NULL;
		bdev->name = NULL;
		return rc;
	}
	TAILQ_INSERT_TAIL(&bdev_list, in, link);
	bdev_examine(in);
	watchers_tell(bdev, BDEV_CHANGE_ADDED);
	return 0;
}

/* --- removal -------------------------------------------------------------------------------- */

static void announce_end(struct reactor_msg *msg)
{
	struct bdev_internal *in = container_of(msg, struct bdev_internal, msg);

	if (in->done != NULL)
		in->done(in->done_arg, in->result);
	free(in->locks);
	free(in->qos);
	free(in);
}

void bdev_destruct_done(struct bdev *bdev, int result)
{
	struct bdev_internal *in = bdev->internal;

	assert(in->destructing);
	watchers_tell(bdev, BDEV_CHANGE_REMOVED);
	while (!TAILQ_EMPTY(&in->labels))
		bdev_label_remove(TAILQ_FIRST(&in->labels));
	TAILQ_REMOVE(&bdev_list, in, link);
	bdev->name = NULL;
	bdev->internal = NULL;
	in->result = result;
	in->msg.fn = announce_end;
	reactor_defer(&in->msg);
}

static void destruct(struct reactor_msg *msg)
{
	struct bdev_internal *in = container_of(msg, struct bdev_internal, msg);

	in->bdev->ops->destruct(in->bdev);
}

void bdev_try_destruct(struct bdev_internal *in)
{
	if (!atomic_load_explicit(&in->removing, memory_order_relaxed) || in->destructing)
		return;
	if (!TAILQ_EMPTY(&in->descs) || in->examining || in->reset != NULL)
		return;
	if (!bdev_locks_idle(in))
		return;
	/* Pairs with nothing: the message that lowered it brought what came before. */
	if (atomic_load_explicit(&in->channels, memory_order_relaxed) != 0)
		return;
	in->destructing = true;
	in->msg.fn = destruct;
	reactor_defer(&in->msg);
}

static void desc_tell(struct reactor_msg *msg)
{
	struct bdev_desc *desc = container_of(msg, struct bdev_desc, msg);

	while (!desc->closed && desc->pending != 0) {
		enum bdev_event event = (desc->pending & (1u << BDEV_EVENT_RESIZE)) != 0
						? BDEV_EVENT_RESIZE
						: BDEV_EVENT_REMOVE;

		desc->pending &= ~(1u << event);
		/* The last bit stays set while the event is told: bdev_close() leaves the memory.
		 */
		desc->pending |= 1u << 31;
		if (desc->event != NULL)
			desc->event(desc, event, desc->user);
		desc->pending &= ~(1u << 31);
	}
	if (desc->closed)
		free(desc);
}

static void desc_notify(struct bdev_desc *desc, enum bdev_event event)
{
	if (desc->pending == 0) {
		desc->msg.fn = desc_tell;
		reactor_defer(&desc->msg);
	}
	desc->pending |= 1u << event;
}

static void notify_all(struct bdev_internal *in, enum bdev_event event)
{
	struct bdev_desc *desc;

	TAILQ_FOREACH (desc, &in->descs, link)
		desc_notify(desc, event);
}

int bdev_unregister(struct bdev *bdev, void (*done)(void *arg, int result), void *arg)
{
	struct bdev_internal *in = bdev->internal;

	if (atomic_load_explicit(&in->removing, memory_order_relaxed))
		return -EBUSY;
	atomic_store_explicit(&in->removing, true, memory_order_relaxed);
	in->done = done;
	in->done_arg = arg;
	notify_all(in, BDEV_EVENT_REMOVE);
	bdev_try_destruct(in);
	return 0;
}

/* --- descriptors ---------------------------------------------------------------------------- */

static int check_open(const struct bdev *bdev, const char *name, bool writable, struct error *err)
{
	if (bdev == NULL)
		return error_set(err, -ENODEV, "there is no bdev with name, alias or UUID \"%s\"",
				 name);
	if (atomic_load_explicit(&bdev->internal->removing, memory_order_relaxed))
		return error_set(err, -ENODEV, "bdev \"%s\" is being removed", name);
	if (writable && bdev->internal->claim != NULL)
		return error_set(
			err, -EPERM,
			"bdev \"%s\" is claimed by module %s: it can be opened for reading "
			"only",
			name, bdev->internal->claim_module->name);
	return 0;
}

int bdev_open(const char *name, bool writable,
	      void (*event)(struct bdev_desc *desc, enum bdev_event event, void *user), void *user,
	      struct bdev_desc **desc, struct error *err)
{
	struct bdev *bdev = bdev_label_find(name);
	int rc = check_open(bdev, name, writable, err);
	struct bdev_desc *d;

	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return error_set(err, -ENOMEM, "no memory to open bdev \"%s\"", name);
	d->bdev = bdev;
	d->writable = writable;
	d->event = event;
	d->user = user;
	TAILQ_INSERT_TAIL(&bdev->internal->descs, d, link);
	*desc = d;
	return 0;
}

void bdev_close(struct bdev_desc *desc)
{
	struct bdev_internal *in = desc->bdev->internal;

	assert(!desc->closed);
	if (in->claim == desc)
		bdev_release(desc);
	TAILQ_REMOVE(&in->descs, desc, link);
	desc->closed = true;
	if (desc->pending == 0)
		free(desc);
	bdev_try_destruct(in);
}

struct bdev *bdev_of(const struct bdev_desc *desc)
{
	return desc->bdev;
}

/* --- claims --------------------------------------------------------------------------------- */

int bdev_claim(struct bdev_desc *desc, const struct bdev_module *module, struct error *err)
{
	struct bdev_internal *in = desc->bdev->internal;
	struct bdev_desc *other;

	if (in->claim != NULL)
		return error_set(err, -EPERM, "bdev \"%s\" is already claimed by module %s",
				 in->bdev->name, in->claim_module->name);
	TAILQ_FOREACH (other, &in->descs, link) {
		if (other != desc && other->writable)
			return error_set(err, -EPERM,
					 "bdev \"%s\" is open for writing elsewhere: module %s "
					 "cannot have it for itself",
					 in->bdev->name, module->name);
	}
	in->claim = desc;
	in->claim_module = module;
	desc->writable = true;
	return 0;
}

void bdev_release(struct bdev_desc *desc)
{
	struct bdev_internal *in = desc->bdev->internal;

	assert(in->claim == desc);
	in->claim = NULL;
	in->claim_module = NULL;
}

/* --- changes -------------------------------------------------------------------------------- */

int bdev_alias_add(struct bdev *bdev, const char *alias, struct error *err)
{
	return bdev_label_add(bdev, alias, err);
}

/* The name, and the text of the UUID, are no aliases that somebody gave. */
static bool is_own_label(const struct bdev *bdev, const struct bdev_label *label)
{
	char text[UUID_TEXT_SIZE];

	uuid_to_text(&bdev->uuid, text);
	return label->text == bdev->name || strcmp(label->text, text) == 0;
}

int bdev_alias_remove(struct bdev *bdev, const char *alias)
{
	struct bdev_label *label = bdev_label_of(bdev, alias);

	if (label == NULL || is_own_label(bdev, label))
		return -ENOENT;
	bdev_label_remove(label);
	return 0;
}

int bdev_rename(struct bdev *bdev, const char *name, struct error *err)
{
	struct bdev_internal *in = bdev->internal;
	struct bdev_label *old = TAILQ_FIRST(&in->labels), *label;

	label = bdev_label_of(bdev, name);
	if (label == old)
		return 0;
	if (label == NULL) {
		int rc = bdev_label_add(bdev, name, err);

		if (rc < 0)
			return rc;
		label = TAILQ_LAST(&in->labels, bdev_labels);
	}
	TAILQ_REMOVE(&in->labels, label, link);
	TAILQ_INSERT_HEAD(&in->labels, label, link);
	bdev->name = label->text;
	if (!is_own_label(bdev, old))
		bdev_label_remove(old);
	return 0;
}

int bdev_resize(struct bdev *bdev, uint64_t num_blocks, struct error *err)
{
	struct bdev_internal *in = bdev->internal;
	uint64_t now = bdev_blocks_now(bdev);
	int rc = check_size(bdev, bdev->name, num_blocks, err);

	if (rc < 0)
		return rc;
	if (num_blocks == now)
		return 0;
	if (num_blocks < now && !TAILQ_EMPTY(&in->descs))
		return error_set(err, -EBUSY,
				 "bdev \"%s\" is in use and cannot shrink from %llu to %llu blocks",
				 bdev->name, (unsigned long long)now,
				 (unsigned long long)num_blocks);
	__atomic_store_n(&bdev->num_blocks, num_blocks, __ATOMIC_RELAXED);
	notify_all(in, BDEV_EVENT_RESIZE);
	watchers_tell(bdev, BDEV_CHANGE_RESIZED);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds of bdevs: the list of modules, who looks at a bdev that appeared, and what is saved.
 *
 * Threading: reactor 0; modules may register before there are reactors.
 */
#include "bdev/internal.h"

static TAILQ_HEAD(, bdev_module) modules = TAILQ_HEAD_INITIALIZER(modules);
static unsigned int under_way;

struct waiter {
	struct reactor_msg *first, **last;
};
static struct waiter waiters;

void bdev_module_register(struct bdev_module *module)
{
	TAILQ_INSERT_TAIL(&modules, module, link);
}

static void one_less(void)
{
	if (--under_way > 0)
		return;
	while (waiters.first != NULL) {
		struct reactor_msg *msg = waiters.first;

		waiters.first = msg->next;
		reactor_defer(msg);
	}
}

void bdev_examine_done(const struct bdev_module *module, struct bdev *bdev)
{
	(void)module;
	(void)bdev;
	one_less();
}

/* A module that is told may register other bdevs: hence not inside bdev_register(). */
static void tell_modules(struct reactor_msg *msg)
{
	struct bdev_internal *in = container_of(msg, struct bdev_internal, examine_msg);
	struct bdev_module *module;

	TAILQ_FOREACH (module, &modules, link) {
		if (module->examine == NULL ||
		    atomic_load_explicit(&in->removing, memory_order_relaxed))
			continue;
		under_way++;
		module->examine(in->bdev);
	}
	in->examining = false;
	one_less();
	bdev_try_destruct(in);
}

void bdev_examine(struct bdev_internal *in)
{
	under_way++;
	in->examining = true;
	in->examine_msg.fn = tell_modules;
	reactor_defer(&in->examine_msg);
}

void bdev_wait_for_examine(struct reactor_msg *msg)
{
	if (under_way == 0) {
		reactor_defer(msg);
		return;
	}
	msg->next = NULL;
	if (waiters.first == NULL)
		waiters.last = &waiters.first;
	*waiters.last = msg;
	waiters.last = &msg->next;
}

void bdev_save_config(json_t *array)
{
	struct bdev_module *module;
	struct bdev_internal *in;

	TAILQ_FOREACH (module, &modules, link) {
		if (module->save != NULL)
			module->save(array);
	}
	/* What stands on a bdev was registered after it. */
	TAILQ_FOREACH (in, &bdev_list, link) {
		if (in->bdev->ops->save == NULL)
			continue;
		in->bdev->ops->save(in->bdev, array);
		bdev_save_limits(in->bdev, array);
	}
}

void bdev_save_found(json_t *array)
{
	struct bdev_internal *in;

	TAILQ_FOREACH (in, &bdev_list, link) {
		if (in->bdev->ops->save == NULL)
			bdev_save_limits(in->bdev, array);
	}
}

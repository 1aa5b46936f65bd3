/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backing that is an NVMe function on PCI, driven by the target itself: an SPDK on vfio-pci. The
 * kernel has no block device for it while it is bound, so whatever is done to its bytes is done
 * through the target.
 *
 * Its controller in the target is named after the accelerator, its bdev IDnNSID. What is recorded
 * of it is address, namespace, serial and size, and what the namespace calls itself; another one in
 * its place is never used.
 *
 * Threading: as driver.h.
 */
#ifndef DRIVER_FUNCTION_H
#define DRIVER_FUNCTION_H

#include "driver/env.h"
#include "driver/verb.h"

#define KIND_FUNCTION "nvme"

/** struct function_name - how a function is named as a backing; @nsid 0: its only namespace */
struct function_name {
	char address[ENV_ADDRESS_SIZE];
	uint32_t nsid;
};

bool is_function(const struct accelerator *a);

/* function_plan.c: before it is given to the target */

/**
 * function_named() - read "[nvme:][DDDD:]BB:DD.F[/NSID]"
 *
 * Return: 1; 0 when @text is not of that form; -EINVAL when only its NSID is not.
 */
int function_named(const char *text, struct function_name *out, struct error *err);
/**
 * function_plan() - install on a function: what the kernel shows of it, judged as any backing
 *
 * Fills kind, path, and of a function that the kernel's driver has also namespace, serial, size and
 * identity. Puts into the argument "seen", the kernel's name of the namespace, or "unseen": true
 * when only the target will be able to tell what is there.
 *
 * Return: 0; what env_driver() says; -EBUSY: in use, or the kernel's and nobody asked for --bind;
 * -EINVAL: which namespace is not clear; -ENOTEMPTY: data on it.
 */
int function_plan(struct verb_run *v, const struct function_name *name, const json_t *request,
		  struct accelerator *a, struct error *err);
/** function_several() - the refusal of a function with the namespaces @list, of which none is named
 */
int function_several(const struct accelerator *a, const char *list, uint32_t nsid,
		     struct error *err);
/** function_check_kit() - a kit that can drive functions, with arguments that let it */
int function_check_kit(const struct verb_run *v, const struct accelerator *a, const struct kit *kit,
		       struct error *err);
/** function_identity() - what the namespace with the kernel's name @name calls itself; "" */
void function_identity(const char *name, char out[static STATE_IDENTITY_SIZE]);
/**
 * function_check_slot() - what the kernel shows at the address, before the target is started
 *
 * Return: 0, also when it shows nothing; -ENODEV: the function is gone, or another one is there.
 */
int function_check_slot(struct driver *d, const struct accelerator *a, struct error *err);
/**
 * function_is_of() - @f is the backing of @a, where it was or, by its serial, elsewhere
 * @node: of which @f is one
 */
bool function_is_of(const struct probe_node *node, const struct probe_nvme *f,
		    const struct accelerator *a);
/** function_check_not_moved() - -EBUSY when an accelerator's function is at @address by now */
int function_check_not_moved(struct driver *d, const char *address, struct error *err);
/**
 * function_hold_back() - take out of the saved configuration what stands on the function
 *
 * So that a target which is started drives it only after it was seen to be the recorded one.
 */
int function_hold_back(struct driver *d, const struct accelerator *a, struct error *err);
/** function_slot_drift() - append to @list what the kernel shows otherwise than recorded */
void function_slot_drift(struct driver *d, const struct accelerator *a, json_t *list);

/* function.c: in the target */

/**
 * function_open() - the target drives the function, and it is the recorded one
 *
 * One that is not is let go of. Before function_learn() there is nothing to compare.
 *
 * Return: 0; -ENODEV: another one, or it has no such namespace; -ENOSYS; what the target says.
 */
int function_open(struct client *c, const struct accelerator *a, struct error *err);
/** function_learn() - fill namespace, bdev, serial and size; what is known already must be so */
int function_learn(struct client *c, struct accelerator *a, struct error *err);
/** function_drift() - append to @list what the target shows otherwise than recorded */
void function_drift(const struct view *v, const struct accelerator *a, json_t *list);
/** function_close() - the target lets go of it; 0 when it does not drive it */
int function_close(struct client *c, const struct accelerator *a, struct error *err);
/**
 * function_look() - what is on a function that no other eye has seen; its bdev is open
 * @force: serial of one whose data may be lost, or NULL
 * @named: the store's name was asked for
 *
 * Takes a store over where one is wanted, and removes one whose loss was consented to.
 *
 * Return: 0; -EEXIST, -ENOTEMPTY with what is there and what to do.
 */
int function_look(struct driver *d, struct client *c, struct accelerator *a, const char *force,
		  bool named, struct error *err);
/** function_check_whole() - -EEXIST where a store is on it, which the target would not let go of */
int function_check_whole(struct client *c, const struct accelerator *a, struct error *err);
/**
 * function_clear() - zero the store's super block and metadata, or with @wipe all; its bdev is open
 *
 * A store is removed first. May be repeated.
 */
int function_clear(struct driver *d, struct client *c, const struct accelerator *a, bool wipe,
		   struct error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target needs of its node: hugepages, PCI functions bound to vfio-pci, and a folder for
 * vhost-user sockets. The engine needs none of them; a real SPDK takes hugepages unless it is told
 * to do without, and functions only by explicit choice.
 *
 * What was there before is in the plan, which is written down before anything is changed, so that
 * it is put back whatever happens: by uninstall, by the undoing of a verb that failed, or by the
 * next verb after one that was killed.
 *
 * Paths lie below a prefix, "" on the running system, for tests on made-up trees.
 *
 * Threading: as driver.h.
 */
#ifndef DRIVER_ENV_H
#define DRIVER_ENV_H

#include <sched.h>

#include "driver/driver.h"

struct verb_run;

#define ENV_DEVICES_MAX	   8
#define ENV_ADDRESS_SIZE   16 /* 0000:01:00.0 */
#define ENV_MEMORY_DEFAULT (UINT64_C(1) << 30)
#define ENV_MEMORY_MIN	   (UINT64_C(256) << 20)
#define ENV_MEMORY_MAX	   (UINT64_C(1) << 40)
#define ENV_ARGUMENTS_SIZE 512

/** enum env_memory - what a target's memory is */
enum env_memory {
	ENV_MEMORY_OWN,	  /* its own business: the engine */
	ENV_MEMORY_PLAIN, /* ordinary pages of a size that it is told */
	ENV_MEMORY_HUGE,  /* hugepages */
};

/**
 * struct env_pages - hugepages of one size on one NUMA node
 * @node: -1: of the whole system, where nodes are not told
 * @page_size: bytes
 * @before: how many there were; @wanted: how many there are to be; equal: nothing is changed
 */
struct env_pages {
	int node;
	uint64_t page_size;
	uint64_t before;
	uint64_t wanted;
};

/**
 * struct env_device - a PCI function for vfio-pci
 * @driver: bound before; "" for none
 * @override: its driver_override before; "" for none
 * @serial: what the kernel's driver told of it then; "" where another one had it
 */
struct env_device {
	char address[ENV_ADDRESS_SIZE];
	char driver[32];
	char override[32];
	char serial[24];
};

/**
 * struct env_sockets - where an SPDK makes its vhost-user sockets
 * @told: it takes a folder for them (-S); else they are where it was started
 * @dir: it has a folder of its own below this one; "": its folder in the state directory
 * @group: whose members may open them; "": only the target's own user
 */
struct env_sockets {
	bool told;
	char dir[108];
	char group[64];
};

/**
 * struct environment - of one accelerator
 * @size: of the target's memory, bytes; 0 with ENV_MEMORY_OWN
 * @arguments: what the target is told of it, one a line
 * @boot: the boot in which it was made; another one has forgotten pages and bindings
 */
struct environment {
	enum env_memory memory;
	uint64_t size;
	struct env_pages pages;
	struct env_device devices[ENV_DEVICES_MAX];
	size_t device_count;
	struct env_sockets sockets;
	char arguments[ENV_ARGUMENTS_SIZE];
	char boot[40];
};

/**
 * struct env_function - the PCI function that is to be the accelerator's backing
 * @address: as the kernel writes it
 * @seen: kernel name of the namespace that was judged as a backing already; "" when the kernel
 * shows none, because another driver has the function
 */
struct env_function {
	const char *address;
	const char *seen;
};

/** env_is_empty() - there is nothing to prepare and nothing to put back */
bool env_is_empty(const struct environment *e);

/* env.c: hugepages, and all together */

/**
 * env_plan_pages() - hugepages for @e->size bytes
 * @old: what the target that is to be replaced has; NULL for none
 * @kept: how many of the free pages are other targets', which do not run
 *
 * On the NUMA node of the first processor. Free pages are taken before more are reserved.
 * Return: 0; -ENOTSUP: no hugepages in this kernel, or no file system for them; -EPERM: more are
 * needed and may not be reserved; -ENOMEM: more than the node has.
 */
int env_plan_pages(const char *root, struct environment *e, const struct environment *old,
		   uint64_t kept, struct error *err);
/** env_apply() - make it so; may be repeated */
int env_apply(const char *root, struct environment *e, struct error *err);
/** env_restore() - put back what was there before, if it was made in this boot; may be repeated */
int env_restore(const char *root, const struct environment *e, struct error *err);
/**
 * env_plan_release() - before env_restore() of what has been in use for a while
 *
 * Others may have reserved pages since: only as many go as were added. After another boot there is
 * nothing to put back, and whatever has a function now was given it by somebody else.
 */
void env_plan_release(const char *root, struct environment *e);
/** env_pages_drift() - append to @list that the node has fewer hugepages than @e takes */
void env_pages_drift(const char *root, const struct environment *e, json_t *list);
/** env_boot() - an id of this boot; "" when the kernel tells none */
void env_boot(const char *root, char out[static 40]);

/* env_bind.c: PCI functions */

#define ENV_DRIVER_VFIO "vfio-pci"
#define ENV_DRIVER_NVME "nvme"

/** env_address() - "[DDDD:]BB:DD.F" in the kernel's own form; false when @text is none */
bool env_address(const char *text, char out[static ENV_ADDRESS_SIZE]);
/**
 * env_driver() - who has the NVMe function @address; "" for nobody
 *
 * Return: 0; -EINVAL: no address, or no NVMe function; -ENOENT: nothing is there.
 */
int env_driver(const char *root, const char *address, char driver[static 32], struct error *err);
/**
 * env_plan_device() - @address may be taken from its driver and given to vfio-pci
 * @seen: kernel name of a namespace of it whose data was judged already; NULL for none
 * @force: serial number of a function that holds data, or NULL
 *
 * Return: 0 with @e longer by one; -ENOENT: no such function; -EINVAL: no NVMe function, or its
 * IOMMU group has others; -ENOTSUP: no IOMMU, no vfio-pci; -EBUSY: in use; -ENOTEMPTY: data on it.
 */
int env_plan_device(const char *root, struct probe *probe, const char *address, const char *seen,
		    const char *force, struct environment *e, struct error *err);
/** env_check_device() - nobody uses it; the data on it is our own by now */
int env_check_device(const char *root, struct probe *probe, const char *address, struct error *err);
/** env_check_serial() - -ENODEV when the kernel shows another function at the address of @d */
int env_check_serial(const char *root, const struct env_device *d, struct error *err);
int env_bind(const char *root, const struct env_device *d, struct error *err);
/** env_unbind() - back to the driver it had; 0 also when the function is gone */
int env_unbind(const char *root, const struct env_device *d, struct error *err);

/* env_sockets.c: the folder of vhost-user sockets */

/**
 * env_sockets_plan() - fill @e->sockets
 * @has_option: the kit takes a folder for them
 * @old: as for env_plan()
 */
int env_sockets_plan(const json_t *request, const struct kit *kit, bool has_option,
		     const struct environment *old, struct environment *e, struct error *err);
/** env_sockets_folder() - which folder that is for the accelerator @id */
void env_sockets_folder(const struct environment *e, const struct target_paths *p, const char *id,
			char out[static PATH_MAX]);
/** env_sockets_check() - -EINVAL when no socket could be opened in the recorded folder */
int env_sockets_check(struct driver *d, const char *id, struct error *err);
/** env_sockets_make() - the folder is there, for the right users; may be repeated */
int env_sockets_make(const struct environment *e, const char *id, struct error *err);
/** env_sockets_remove() - with the sockets that a dead target left; may be repeated */
int env_sockets_remove(const struct environment *e, const char *id, struct error *err);

/* env_cores.c: the core that an SPDK polls on */

#define ENV_CORE_SIZE 48

/** env_core_note() - count the core of @e in @taken */
void env_core_note(const struct environment *e, unsigned int taken[static CPU_SETSIZE]);
/**
 * env_core_plan() - options, one a line, that give an SPDK the core that fewest poll on
 * @arguments: that the operator gives it now, one a line; NULL for those that it has
 * @old: the target that is to be replaced, whose core is kept; NULL for none
 * @taken: how many of our own SPDKs have each core; locks of others are looked at here
 * @can_do_without_lock: the kit has the option for that
 *
 * @out is "" where the operator's own arguments name cores.
 */
void env_core_plan(const struct probe *probe, const char *arguments, const struct environment *old,
		   const unsigned int taken[static CPU_SETSIZE], bool can_do_without_lock,
		   char out[static ENV_CORE_SIZE]);
/** env_core_keep() - the same core for a target that runs beside that of @e for a moment */
void env_core_keep(const struct environment *e, char out[static ENV_CORE_SIZE]);

/* env_record.c: requests, rows, JSON */

/**
 * env_plan() - what a kit needs here
 * @request: members "hugepages" (bytes), "no_huge", "bind" (addresses), "force", "socket_dir",
 * "socket_group"
 * @function: the backing when that is a function, bound or to be bound; NULL
 * @old: NULL for a new accelerator; else what it has: kept where the request does not differ
 */
int env_plan(struct driver *d, const json_t *request, const struct kit *kit,
	     const struct env_function *function, const struct environment *old,
	     struct environment *out, struct error *err);
/** env_same_memory() - pages need not be changed between the two */
bool env_same_memory(const struct environment *a, const struct environment *b);
json_t *env_json(const struct environment *e);
void env_from(const json_t *o, struct environment *out);
/** env_load() - the recorded one; an empty one when there is none */
int env_load(struct driver *d, const char *id, struct environment *out, struct error *err);
/** env_record() - an empty one is forgotten */
int env_record(struct driver *d, const char *id, const struct environment *e, struct error *err);
/**
 * env_verb_prepare() - step of a verb: make and record the environment in its argument
 * env_verb_restore() - step, and undoing of that: put back what was there, forget the record
 */
int env_verb_prepare(struct verb_run *v, struct error *err);
int env_verb_restore(struct verb_run *v, struct error *err);
/**
 * env_ensure() - before a start of the target: what is recorded is there, also after another boot
 *
 * Return: 0; what env_apply(), env_check_serial() and env_check_device() say.
 */
int env_ensure(struct driver *d, const char *id, struct error *err);
/**
 * env_drift() - append to @list what the node has otherwise than recorded, besides the backing
 * @is_down: the target does not run, so that what it needs must be there for it
 */
void env_drift(struct driver *d, const struct accelerator *a, bool is_down, json_t *list);

#endif

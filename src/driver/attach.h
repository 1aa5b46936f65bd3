/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of attach share: the request as it was understood, names, ports, volumes.
 *
 * Threading: as driver.h.
 */
#ifndef DRIVER_ATTACH_H
#define DRIVER_ATTACH_H

#include "driver/verb.h"

/**
 * struct wish - a request for an attachment
 * @size: of a new volume, or what the backing must have; 0 when none was given
 * @volume: an existing one, or the name of what is made; NULL
 * @clone: the snapshot of which a clone is wanted; NULL
 * @rbd: POOL/IMAGE; NULL
 * @want: what of the request is recorded as it came: instance, host, read_only, qos, keys,
 *        transport, and address with port when the request had "listen"
 */
struct wish {
	const char *instance, *accelerator, *listen, *volume, *clone, *rbd;
	uint64_t size;
	bool thick, dry_run;
	struct attachment want;
};

/** attach_plan() - struct verb's */
int attach_plan(struct verb_run *v, const json_t *request, struct error *err);

/* attach_names.c */

/** names_make() - NQN and namespace, which follow from node and instance */
void names_make(struct driver *d, const struct accelerator *acc, struct attachment *a);
/** names_uuid() - a version 5 UUID below this node's, as text */
void names_uuid(struct driver *d, const char *kind, const char *name,
		char text[static UUID_TEXT_SIZE]);
/** port_is_free() - of this node at the attachment's address */
bool port_is_free(const struct attachment *a, uint16_t port);
/**
 * port_check() - -EBUSY when attachments at the port speak TLS and @a does not, or the other
 * way: a target decides it for the port with the first
 */
int port_check(struct driver *d, const struct attachment *a, struct error *err);
/** port_choose() - the first from 4420 that neither this node uses nor a record has */
int port_choose(struct driver *d, struct attachment *a, struct error *err);

/* attach_volume.c */

/**
 * volume_plan() - which volume, and whether it is to be made
 * @w->size and the rest are held against what the store has; a target that is down is started,
 * except for a trial
 */
int volume_plan(struct driver *d, const struct accelerator *acc, const struct wish *w,
		struct attachment *a, struct error *err);

#endif

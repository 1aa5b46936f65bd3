/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of methods offer each other; only for this room.
 *
 * Threading: reactor 0.
 */
#ifndef RPC_AREAS_H
#define RPC_AREAS_H

#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "base/key_file.h"
#include "rpc/rpc.h"

extern struct rpc_area rpc_area_framework;
extern struct rpc_area rpc_area_reactors;
extern struct rpc_area rpc_area_context_switch;
extern struct rpc_area rpc_area_log;
extern struct rpc_area rpc_area_notify;
extern struct rpc_area rpc_area_bdev;
extern struct rpc_area rpc_area_bdev_modules;
extern struct rpc_area rpc_area_bdev_rbd;
extern struct rpc_area rpc_area_bdev_iostat;
extern struct rpc_area rpc_area_bdev_limits;
extern struct rpc_area rpc_area_lvol_store;
extern struct rpc_area rpc_area_lvol_volume;
extern struct rpc_area rpc_area_lvol_change;
extern struct rpc_area rpc_area_tuning;
extern struct rpc_area rpc_area_nvmf_target;
extern struct rpc_area rpc_area_nvmf_transport;
extern struct rpc_area rpc_area_nvmf_subsystem;
extern struct rpc_area rpc_area_nvmf_access;
extern struct rpc_area rpc_area_keyring;

/* Of what follows the state of bdevs. */
void rpc_notify_start(void);
void rpc_notify_fini(void);
void rpc_bdev_start(void);
void rpc_bdev_fini(void);
/** rpc_keyring_read() - the key of a name; -ENOENT, or as key_file_read() */
int rpc_keyring_read(const char *name, const struct key_form *form, struct key *key,
		     struct error *err);
/** rpc_keyring_save() - append what adds the keys again; rpc_keyring_fini() - forget them */
void rpc_keyring_save(json_t *array);
void rpc_keyring_fini(void);
/** rpc_context_switch_stop() - no timer of it runs any more */
void rpc_context_switch_stop(void);
/** rpc_bdev_waits_end() - answer every bdev_get_bdevs that waits for a bdev */
void rpc_bdev_waits_end(void);
/** rpc_tuning_save_bdev(), rpc_tuning_save_iobuf() - append what was set */
void rpc_tuning_save_bdev(json_t *array);
void rpc_tuning_save_iobuf(json_t *array);
void rpc_tuning_save_scheduler(json_t *array);
/** rpc_max_connections() - see framework_set_max_connections() */
uint32_t rpc_max_connections(void);
/** rpc_engine_start() - what framework_start_init makes */
int rpc_engine_start(struct error *err);
/** rpc_nvmf_start() - make the default target, as the start-up methods asked for it */
int rpc_nvmf_start(struct error *err);

#endif

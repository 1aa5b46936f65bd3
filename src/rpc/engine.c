/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine as a whole: its areas of methods, and its subsystems in the order in which a
 * configuration loads.
 *
 * Threading: reactor 0.
 */
#include "bdev/module.h"
#include "nvmf/nvmf.h"
#include "rpc/areas.h"
#include "rpc/framework.h"

void rpc_engine_register(void)
{
	static struct rpc_area *const areas[] = {
		&rpc_area_framework,	  &rpc_area_reactors,
		&rpc_area_context_switch, &rpc_area_log,
		&rpc_area_notify,	  &rpc_area_tuning,
		&rpc_area_bdev,		  &rpc_area_bdev_iostat,
		&rpc_area_bdev_modules,	  &rpc_area_bdev_rbd,
		&rpc_area_lvol_store,	  &rpc_area_lvol_volume,
		&rpc_area_lvol_change,	  &rpc_area_nvmf_target,
		&rpc_area_nvmf_transport, &rpc_area_nvmf_subsystem,
		&rpc_area_nvmf_access,	  &rpc_area_bdev_limits,
		&rpc_area_keyring,
	};

	for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++)
		rpc_area_add(areas[i]);
	rpc_notify_start();
	rpc_bdev_start();
}

void rpc_engine_unregister(void)
{
	rpc_bdev_fini();
	rpc_notify_fini();
	rpc_keyring_fini();
	rpc_methods_free();
}

/* SPDK 26.05 ends the bdevs of a configuration so: then what stands on them is there. */
static void save_bdev(json_t *array)
{
	rpc_tuning_save_bdev(array);
	bdev_save_config(array);
	json_array_append_new(array, json_pack("{s:s}", "method", "bdev_wait_for_examine"));
	bdev_save_found(array);
}

const struct framework_subsystem *framework_subsystems(void)
{
	static const char *const nothing[] = { NULL };
	static const char *const of_bdev[] = { "iobuf", NULL };
	static const char *const of_nvmf[] = { "bdev", "keyring", "iobuf", NULL };
	static const struct framework_subsystem subsystems[] = {
		{ "keyring", nothing, rpc_keyring_save },
		{ "scheduler", nothing, rpc_tuning_save_scheduler },
		{ "iobuf", nothing, rpc_tuning_save_iobuf },
		{ "bdev", of_bdev, save_bdev },
		{ "nvmf", of_nvmf, nvmf_save_config },
		{ NULL, NULL, NULL },
	};

	return subsystems;
}

static uint32_t max_connections;

void framework_set_max_connections(uint32_t count)
{
	max_connections = count;
}

uint32_t rpc_max_connections(void)
{
	return max_connections;
}

int rpc_engine_start(struct error *err)
{
	return rpc_nvmf_start(err);
}

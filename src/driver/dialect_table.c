/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came when in SPDK, of all that the driver calls: names, parameters, forms.
 *
 * Threading: constants.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/dialect_table.h"

#define OLD(...) .older = { __VA_ARGS__ }
#define READS	 .reads = true
#define LIST	 .reads = true, .kind = DIALECT_ARRAY
#define FACTS	 .reads = true, .kind = DIALECT_OBJECT

/*
 * io_uring counts as there only since 20.01: before, the block size could not be said, and without
 * the method the driver takes bdev_aio_create, which does the same.
 */
const struct dialect_method dialect_methods[] = {
	{ .name = "rpc_get_methods", OLD("get_rpc_methods"), LIST },
	{ .name = "spdk_get_version", OLD("get_spdk_version"), .since = 1904, FACTS },
	{ .name = "spdk_kill_instance", OLD("kill_instance") },
	{ .name = "framework_get_subsystems", OLD("get_subsystems"), LIST },
	{ .name = "framework_get_config", OLD("get_subsystem_config"), READS },
	{ .name = "framework_wait_init", OLD("wait_subsystem_init"), .since = 1901, READS },
	{ .name = "framework_start_init", OLD("start_subsystem_init"), .since = 1807 },
	{ .name = "framework_get_reactors", .since = 2001, FACTS },
	{ .name = "thread_get_stats", .since = 1907, FACTS },
	{ .name = "bdev_get_bdevs", OLD("get_bdevs"), LIST },
	{ .name = "bdev_set_options", OLD("set_bdev_options"), .since = 1807 },
	{ .name = "bdev_get_iostat", OLD("get_bdevs_iostat"), .since = 1807, READS },
	{ .name = "bdev_examine", .since = 2010 },
	{ .name = "bdev_wait_for_examine", .since = 2101, READS },
	{ .name = "bdev_set_qos_limit", OLD("set_bdev_qos_limit", "set_bdev_qos_limit_iops") },
	{ .name = "bdev_malloc_create", OLD("construct_malloc_bdev") },
	{ .name = "bdev_malloc_delete", OLD("delete_malloc_bdev", "delete_bdev") },
	{ .name = "bdev_aio_create", OLD("construct_aio_bdev") },
	{ .name = "bdev_aio_delete", OLD("delete_aio_bdev", "delete_bdev") },
	{ .name = "bdev_aio_rescan", .since = 2201 },
	{ .name = "bdev_uring_create", .since = 2001 },
	{ .name = "bdev_uring_delete", .since = 2001 },
	{ .name = "bdev_rbd_create",
	  OLD("construct_rbd_bdev"),
	  .without = "run one that was built with --with-rbd" },
	{ .name = "bdev_rbd_delete", OLD("delete_rbd_bdev", "delete_bdev") },
	{ .name = "bdev_rbd_register_cluster",
	  .since = 2107,
	  .without = "run one that was built with --with-rbd" },
	{ .name = "bdev_rbd_unregister_cluster", .since = 2107 },
	{ .name = "bdev_rbd_get_clusters_info", .since = 2107, READS },
	{ .name = "bdev_nvme_attach_controller", OLD("construct_nvme_bdev") },
	{ .name = "bdev_nvme_detach_controller", OLD("delete_nvme_controller"), .since = 1807 },
	{ .name = "bdev_nvme_get_controllers", OLD("get_nvme_controllers"), .since = 1810, LIST },
	{ .name = "bdev_nvme_set_options", OLD("set_bdev_nvme_options"), .since = 1807 },
	{ .name = "bdev_nvme_set_hotplug", OLD("set_bdev_nvme_hotplug"), .since = 1807 },
	{ .name = "iscsi_set_options", OLD("set_iscsi_options"), .since = 1807 },
	{ .name = "bdev_lvol_create_lvstore", OLD("construct_lvol_store") },
	{ .name = "bdev_lvol_delete_lvstore", OLD("destroy_lvol_store") },
	{ .name = "bdev_lvol_rename_lvstore", OLD("rename_lvol_store") },
	{ .name = "bdev_lvol_get_lvstores", OLD("get_lvol_stores"), LIST },
	{ .name = "bdev_lvol_get_lvols", .since = 2305, LIST },
	{ .name = "bdev_lvol_create", OLD("construct_lvol_bdev") },
	{ .name = "bdev_lvol_delete", OLD("destroy_lvol_bdev") },
	{ .name = "bdev_lvol_resize", OLD("resize_lvol_bdev") },
	{ .name = "bdev_lvol_rename", OLD("rename_lvol_bdev") },
	{ .name = "bdev_lvol_snapshot", OLD("snapshot_lvol_bdev") },
	{ .name = "bdev_lvol_clone", OLD("clone_lvol_bdev") },
	{ .name = "bdev_lvol_inflate", OLD("inflate_lvol_bdev"), .since = 1807 },
	{ .name = "bdev_lvol_decouple_parent", OLD("decouple_parent_lvol_bdev"), .since = 1807 },
	{ .name = "bdev_lvol_set_read_only", OLD("set_read_only_lvol_bdev"), .since = 1901 },
	{ .name = "nvmf_get_transports",
	  OLD("get_nvmf_transports"),
	  .since = 1901,
	  LIST,
	  .without = "without it there is no NVMe/TCP" },
	{ .name = "nvmf_create_transport",
	  .since = 1901,
	  .without = "without it there is no NVMe/TCP" },
	{ .name = "nvmf_set_config", OLD("set_nvmf_target_config"), .since = 1807 },
	{ .name = "nvmf_set_max_subsystems", OLD("set_nvmf_target_max_subsystems"), .since = 1901 },
	{ .name = "nvmf_get_subsystems", OLD("get_nvmf_subsystems"), LIST },
	{ .name = "nvmf_get_stats", .since = 1907, FACTS },
	{ .name = "nvmf_create_subsystem",
	  OLD("nvmf_subsystem_create", "construct_nvmf_subsystem") },
	{ .name = "nvmf_delete_subsystem", OLD("delete_nvmf_subsystem") },
	{ .name = "nvmf_subsystem_add_ns" },
	{ .name = "nvmf_subsystem_remove_ns" },
	{ .name = "nvmf_subsystem_add_host" },
	{ .name = "nvmf_subsystem_remove_host" },
	{ .name = "nvmf_subsystem_allow_any_host" },
	{ .name = "nvmf_subsystem_add_listener" },
	{ .name = "nvmf_subsystem_remove_listener" },
	{ .name = "nvmf_subsystem_get_listeners", .since = 2010, LIST },
	{ .name = "nvmf_subsystem_get_qpairs", .since = 2010, LIST },
	{ .name = "nvmf_subsystem_get_controllers",
	  .since = 2010,
	  LIST,
	  .without = "before, a target cannot tell which hosts are connected: have the host "
		     "disconnect, then detach with --force" },
	{ .name = "nvmf_subsystem_set_keys", .since = 2409 },
	{ .name = "keyring_file_add_key",
	  .since = 2405,
	  .without = "before, hosts cannot be asked for a key" },
	{ .name = "keyring_file_remove_key", .since = 2405 },
	{ .name = "keyring_get_keys", .since = 2405, LIST },
	{ .name = "vhost_create_blk_controller",
	  OLD("construct_vhost_blk_controller"),
	  .without = "run SPDK's vhost or spdk_tgt" },
	{ .name = "vhost_delete_controller", OLD("remove_vhost_controller") },
	{ .name = "vhost_get_controllers", OLD("get_vhost_controllers"), LIST },
	{ .name = NULL },
};

const struct dialect_param dialect_params[] = {
	{ "rpc_get_methods", "current", 1807, DIALECT_LEAVE_OUT },
	{ "rpc_get_methods", "include_aliases", 1910, DIALECT_LEAVE_OUT },
	{ "framework_get_config", "with_batches", 2605, DIALECT_LEAVE_OUT },
	{ "bdev_get_bdevs", "timeout", 2205, DIALECT_LEAVE_OUT },
	{ "bdev_get_iostat", "per_channel", 2301, DIALECT_REFUSE },
	{ "bdev_get_iostat", "reset_mode", 2501, DIALECT_REFUSE },
	{ "bdev_set_qos_limit", "rw_mbytes_per_sec", 1810, DIALECT_REFUSE },
	{ "bdev_set_qos_limit", "r_mbytes_per_sec", 1901, DIALECT_REFUSE },
	{ "bdev_set_qos_limit", "w_mbytes_per_sec", 1901, DIALECT_REFUSE },
	{ "bdev_malloc_create", "optimal_io_boundary", 2201, DIALECT_LEAVE_OUT },
	{ "bdev_malloc_create", "physical_block_size", 2305, DIALECT_LEAVE_OUT },
	{ "bdev_malloc_create", "md_size", 2301, DIALECT_REFUSE },
	{ "bdev_malloc_create", "numa_id", 2601, DIALECT_LEAVE_OUT },
	{ "bdev_aio_create", "readonly", 2301, DIALECT_REFUSE },
	{ "bdev_aio_create", "fallocate", 2405, DIALECT_LEAVE_OUT },
	{ "bdev_aio_create", "uuid", 2409, DIALECT_LEAVE_OUT },
	{ "bdev_aio_create", "nowait", 2601, DIALECT_LEAVE_OUT },
	{ "bdev_uring_create", "uuid", 2405, DIALECT_LEAVE_OUT },
	{ "bdev_rbd_create", "user_id", 1901, DIALECT_REFUSE },
	{ "bdev_rbd_create", "config", 1901, DIALECT_REFUSE },
	{ "bdev_rbd_create", "cluster_name", 2107, DIALECT_REFUSE },
	{ "bdev_rbd_create", "uuid", 2110, DIALECT_LEAVE_OUT },
	{ "bdev_rbd_create", "read_only", 2509, DIALECT_REFUSE },
	{ "bdev_rbd_register_cluster", "key_file", 2201, DIALECT_REFUSE },
	{ "bdev_rbd_register_cluster", "core_mask", 2305, DIALECT_LEAVE_OUT },
	{ "bdev_nvme_attach_controller", "hostnqn", 1807, DIALECT_REFUSE },
	{ "bdev_nvme_attach_controller", "hdgst", 2104, DIALECT_REFUSE },
	{ "bdev_nvme_attach_controller", "ddgst", 2104, DIALECT_REFUSE },
	{ "bdev_nvme_attach_controller", "dhchap_key", 2405, DIALECT_REFUSE },
	{ "bdev_nvme_attach_controller", "dhchap_ctrlr_key", 2405, DIALECT_REFUSE },
	{ "bdev_lvol_create_lvstore", "clear_method", 1904, DIALECT_LEAVE_OUT },
	{ "bdev_lvol_create_lvstore", "num_md_pages_per_cluster_ratio", 2209, DIALECT_LEAVE_OUT },
	{ "bdev_lvol_create_lvstore", "md_page_size", 2501, DIALECT_REFUSE },
	{ "bdev_lvol_create", "clear_method", 1901, DIALECT_LEAVE_OUT },
	{ "nvmf_get_subsystems", "nqn", 2110, DIALECT_LEAVE_OUT },
	{ "nvmf_get_subsystems", "tgt_name", 1910, DIALECT_REFUSE },
	{ "nvmf_get_transports", "trtype", 2110, DIALECT_LEAVE_OUT },
	{ "nvmf_create_transport", "acceptor_backlog", 2007, DIALECT_LEAVE_OUT },
	{ "nvmf_create_transport", "max_io_qpairs_per_ctrlr", 2007, DIALECT_LEAVE_OUT },
	{ "nvmf_create_transport", "c2h_success", 1907, DIALECT_LEAVE_OUT },
	{ "nvmf_create_transport", "zcopy", 2201, DIALECT_LEAVE_OUT },
	{ "nvmf_create_subsystem", "model_number", 1904, DIALECT_LEAVE_OUT },
	{ "nvmf_create_subsystem", "tgt_name", 1910, DIALECT_REFUSE },
	{ "nvmf_create_subsystem", "ana_reporting", 2010, DIALECT_REFUSE },
	{ "nvmf_create_subsystem", "min_cntlid", 2107, DIALECT_REFUSE },
	{ "nvmf_create_subsystem", "max_cntlid", 2107, DIALECT_REFUSE },
	{ "nvmf_subsystem_add_ns", "namespace.uuid", 1807, DIALECT_REFUSE },
	{ "nvmf_subsystem_add_ns", "namespace.ptpl_file", 1907, DIALECT_REFUSE },
	{ "nvmf_subsystem_add_ns", "namespace.anagrpid", 2110, DIALECT_REFUSE },
	{ "nvmf_subsystem_add_ns", "namespace.no_auto_visible", 2405, DIALECT_REFUSE },
	{ "nvmf_subsystem_add_host", "psk", 2305, DIALECT_REFUSE },
	{ "nvmf_subsystem_add_host", "dhchap_key", 2405, DIALECT_REFUSE },
	{ "nvmf_subsystem_add_host", "dhchap_ctrlr_key", 2405, DIALECT_REFUSE },
	{ "nvmf_subsystem_remove_host", "timeout_ms", 2605, DIALECT_LEAVE_OUT },
	{ "nvmf_subsystem_add_listener", "secure_channel", 2305, DIALECT_REFUSE },
	{ "nvmf_subsystem_add_listener", "ana_state", 2401, DIALECT_REFUSE },
	{ "nvmf_subsystem_add_listener", "sock_impl", 2409, DIALECT_LEAVE_OUT },
	{ "vhost_create_blk_controller", "packed_ring", 2004, DIALECT_LEAVE_OUT },
	{ "vhost_create_blk_controller", "transport", 2205, DIALECT_LEAVE_OUT },
	{ "vhost_get_controllers", "name", 1810, DIALECT_LEAVE_OUT },
	{ .method = NULL },
};

/* Bytes before, MiB today. */
static int size_in_bytes(json_t *params, struct error *err)
{
	json_t *mib = json_object_get(params, "size_in_mib");

	if (!mib)
		return 0;
	if (!json_is_integer(mib) || json_integer_value(mib) < 0 ||
	    json_integer_value(mib) > INT64_MAX >> 20)
		return error_set(err, -EINVAL, "size_in_mib is no number of MiB below 8 EiB");
	json_object_set_new(params, "size", json_integer(json_integer_value(mib) << 20));
	json_object_del(params, "size_in_mib");
	return 0;
}

/* One bdev by its name before, a list of names today. */
static int one_name(json_t *params, struct error *err)
{
	json_t *names = json_object_get(params, "names");

	if (!names)
		return 0;
	if (json_array_size(names) != 1)
		return error_set(err, -ENOTSUP,
				 "this release takes one bdev or all: ask for one at a time");
	json_object_set(params, "name", json_array_get(names, 0));
	json_object_del(params, "names");
	return 0;
}

static int one_limit(json_t *params, struct error *err)
{
	json_t *limit = json_object_get(params, "rw_ios_per_sec");

	(void)err;
	if (!limit)
		return 0;
	json_object_set(params, "ios_per_sec", limit);
	json_object_del(params, "rw_ios_per_sec");
	return 0;
}

const struct dialect_form dialect_forms[] = {
	{ "bdev_lvol_create", 2305, size_in_bytes },
	{ "bdev_lvol_resize", 2305, size_in_bytes },
	{ "bdev_get_iostat", 2601, one_name },
	{ "bdev_set_qos_limit", 1810, one_limit },
	{ .method = NULL },
};

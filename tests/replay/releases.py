# SPDX-License-Identifier: Apache-2.0
"""What SPDK's releases call and take, as facts: of the methods that the driver may call.

A row is (first release, name, parameters): "x?" may be left out, "*" at the end stands for any
other (transports take their own). What stands here is what SPDK's own decoders take, of the
releases in RELEASES; the newest comes from SPDK's schema, which is not part of this repository.
"""

import json

RELEASES = ("18.04", "19.01", "19.10", "20.10", "22.01", "24.01", "26.05")
NEWEST = RELEASES[-1]

METHODS = {
    "rpc_get_methods": (
        ("18.04", "get_rpc_methods", ""),
        ("19.01", "get_rpc_methods", "current?"),
        ("19.10", "rpc_get_methods", "current? include_aliases?"),
    ),
    "spdk_get_version": (
        ("19.10", "spdk_get_version", ""),
    ),
    "spdk_kill_instance": (
        ("18.04", "kill_instance", "sig_name"),
        ("19.10", "spdk_kill_instance", "sig_name"),
    ),
    "framework_get_subsystems": (
        ("18.04", "get_subsystems", ""),
        ("19.10", "framework_get_subsystems", ""),
    ),
    "framework_get_config": (
        ("18.04", "get_subsystem_config", "name"),
        ("19.10", "framework_get_config", "name"),
    ),
    "framework_wait_init": (
        ("19.01", "wait_subsystem_init", ""),
        ("19.10", "framework_wait_init", ""),
    ),
    "framework_start_init": (
        ("19.01", "start_subsystem_init", ""),
        ("19.10", "framework_start_init", ""),
    ),
    "framework_get_reactors": (
        ("20.10", "framework_get_reactors", ""),
    ),
    "thread_get_stats": (
        ("19.10", "thread_get_stats", ""),
    ),
    "bdev_get_bdevs": (
        ("18.04", "get_bdevs", "name?"),
        ("19.10", "bdev_get_bdevs", "name?"),
        ("24.01", "bdev_get_bdevs", "name? timeout?"),
    ),
    "bdev_get_iostat": (
        ("19.01", "get_bdevs_iostat", "name?"),
        ("19.10", "bdev_get_iostat", "name?"),
        ("24.01", "bdev_get_iostat", "name? per_channel?"),
    ),
    "bdev_examine": (
        ("20.10", "bdev_examine", "name"),
    ),
    "bdev_wait_for_examine": (
        ("22.01", "bdev_wait_for_examine", ""),
    ),
    "bdev_set_qos_limit": (
        ("18.04", "set_bdev_qos_limit_iops", "name ios_per_sec"),
        ("19.01", "set_bdev_qos_limit",
         "name rw_ios_per_sec? rw_mbytes_per_sec? r_mbytes_per_sec? w_mbytes_per_sec?"),
        ("19.10", "bdev_set_qos_limit",
         "name rw_ios_per_sec? rw_mbytes_per_sec? r_mbytes_per_sec? w_mbytes_per_sec?"),
    ),
    "bdev_malloc_create": (
        ("18.04", "construct_malloc_bdev", "name? uuid? num_blocks block_size"),
        ("19.10", "bdev_malloc_create", "name? uuid? num_blocks block_size"),
        ("22.01", "bdev_malloc_create", "name? uuid? num_blocks block_size optimal_io_boundary?"),
        ("24.01", "bdev_malloc_create",
         "name? uuid? num_blocks block_size physical_block_size? optimal_io_boundary? md_size? "
         "md_interleave? dif_type? dif_is_head_of_md?"),
    ),
    "bdev_malloc_delete": (
        ("18.04", "delete_bdev", "name"),
        ("19.01", "delete_malloc_bdev", "name"),
        ("19.10", "bdev_malloc_delete", "name"),
    ),
    "bdev_aio_create": (
        ("18.04", "construct_aio_bdev", "name filename? block_size?"),
        ("19.10", "bdev_aio_create", "name filename block_size?"),
        ("24.01", "bdev_aio_create", "name filename block_size? readonly?"),
    ),
    "bdev_aio_delete": (
        ("18.04", "delete_bdev", "name"),
        ("19.01", "delete_aio_bdev", "name"),
        ("19.10", "bdev_aio_delete", "name"),
    ),
    "bdev_aio_rescan": (
        ("22.01", "bdev_aio_rescan", "name"),
    ),
    "bdev_uring_create": (
        ("19.10", "bdev_uring_create", "name filename"),
        ("20.10", "bdev_uring_create", "name filename block_size?"),
    ),
    "bdev_uring_delete": (
        ("19.10", "bdev_uring_delete", "name"),
    ),
    "bdev_rbd_create": (
        ("18.04", "construct_rbd_bdev", "name? pool_name rbd_name block_size"),
        ("19.01", "construct_rbd_bdev", "name? user_id? pool_name rbd_name block_size config?"),
        ("19.10", "bdev_rbd_create", "name? user_id? pool_name rbd_name block_size config?"),
        ("22.01", "bdev_rbd_create",
         "name? user_id? pool_name rbd_name block_size config? cluster_name? uuid?"),
    ),
    "bdev_rbd_delete": (
        ("18.04", "delete_bdev", "name"),
        ("19.01", "delete_rbd_bdev", "name"),
        ("19.10", "bdev_rbd_delete", "name"),
    ),
    "bdev_rbd_register_cluster": (
        ("22.01", "bdev_rbd_register_cluster",
         "name? user_id? config_param? config_file? key_file?"),
        ("24.01", "bdev_rbd_register_cluster",
         "name? user_id? config_param? config_file? key_file? core_mask?"),
    ),
    "bdev_rbd_unregister_cluster": (
        ("22.01", "bdev_rbd_unregister_cluster", "name"),
    ),
    "bdev_rbd_get_clusters_info": (
        ("22.01", "bdev_rbd_get_clusters_info", "name?"),
    ),
    "bdev_nvme_attach_controller": (
        ("18.04", "construct_nvme_bdev", "name trtype traddr adrfam? trsvcid? subnqn?"),
        ("19.01", "construct_nvme_bdev",
         "name trtype traddr adrfam? trsvcid? subnqn? hostnqn? hostaddr? hostsvcid?"),
        ("19.10", "bdev_nvme_attach_controller",
         "name trtype traddr adrfam? trsvcid? subnqn? hostnqn? hostaddr? hostsvcid? "
         "prchk_reftag? prchk_guard?"),
        ("20.10", "bdev_nvme_attach_controller",
         "name trtype traddr adrfam? trsvcid? priority? subnqn? hostnqn? hostaddr? hostsvcid? "
         "prchk_reftag? prchk_guard?"),
        ("22.01", "bdev_nvme_attach_controller",
         "name trtype traddr adrfam? trsvcid? priority? subnqn? hostnqn? hostaddr? hostsvcid? "
         "prchk_reftag? prchk_guard? hdgst? ddgst? fabrics_connect_timeout_us? multipath? "
         "num_io_queues? ctrlr_loss_timeout_sec? reconnect_delay_sec? "
         "fast_io_fail_timeout_sec?"),
        ("24.01", "bdev_nvme_attach_controller",
         "name trtype traddr adrfam? trsvcid? priority? subnqn? hostnqn? hostaddr? hostsvcid? "
         "prchk_reftag? prchk_guard? hdgst? ddgst? fabrics_connect_timeout_us? multipath? "
         "num_io_queues? ctrlr_loss_timeout_sec? reconnect_delay_sec? "
         "fast_io_fail_timeout_sec? psk? max_bdevs?"),
    ),
    "bdev_nvme_detach_controller": (
        ("19.01", "delete_nvme_controller", "name"),
        ("19.10", "bdev_nvme_detach_controller", "name"),
        ("20.10", "bdev_nvme_detach_controller", "name trtype? traddr? adrfam? trsvcid? subnqn?"),
        ("22.01", "bdev_nvme_detach_controller",
         "name trtype? traddr? adrfam? trsvcid? subnqn? hostaddr? hostsvcid?"),
    ),
    "bdev_nvme_get_controllers": (
        ("19.01", "get_nvme_controllers", "name?"),
        ("19.10", "bdev_nvme_get_controllers", "name?"),
    ),
    "bdev_lvol_create_lvstore": (
        ("18.04", "construct_lvol_store", "bdev_name cluster_sz? lvs_name"),
        ("19.10", "bdev_lvol_create_lvstore", "bdev_name cluster_sz? lvs_name clear_method?"),
        ("24.01", "bdev_lvol_create_lvstore",
         "bdev_name cluster_sz? lvs_name clear_method? num_md_pages_per_cluster_ratio?"),
    ),
    "bdev_lvol_delete_lvstore": (
        ("18.04", "destroy_lvol_store", "uuid? lvs_name?"),
        ("19.10", "bdev_lvol_delete_lvstore", "uuid? lvs_name?"),
    ),
    "bdev_lvol_rename_lvstore": (
        ("18.04", "rename_lvol_store", "old_name new_name"),
        ("19.10", "bdev_lvol_rename_lvstore", "old_name new_name"),
    ),
    "bdev_lvol_get_lvstores": (
        ("18.04", "get_lvol_stores", "uuid? lvs_name?"),
        ("19.10", "bdev_lvol_get_lvstores", "uuid? lvs_name?"),
    ),
    "bdev_lvol_get_lvols": (
        ("24.01", "bdev_lvol_get_lvols", "lvs_uuid? lvs_name?"),
    ),
    "bdev_lvol_create": (
        ("18.04", "construct_lvol_bdev", "uuid? lvs_name? lvol_name? size thin_provision?"),
        ("19.01", "construct_lvol_bdev",
         "uuid? lvs_name? lvol_name? size thin_provision? clear_method?"),
        ("19.10", "bdev_lvol_create",
         "uuid? lvs_name? lvol_name size thin_provision? clear_method?"),
        ("24.01", "bdev_lvol_create",
         "uuid? lvs_name? lvol_name size? size_in_mib? thin_provision? clear_method?"),
    ),
    "bdev_lvol_delete": (
        ("18.04", "destroy_lvol_bdev", "name"),
        ("19.10", "bdev_lvol_delete", "name"),
    ),
    "bdev_lvol_resize": (
        ("18.04", "resize_lvol_bdev", "name size"),
        ("19.10", "bdev_lvol_resize", "name size"),
        ("24.01", "bdev_lvol_resize", "name size? size_in_mib?"),
    ),
    "bdev_lvol_rename": (
        ("18.04", "rename_lvol_bdev", "old_name new_name"),
        ("19.10", "bdev_lvol_rename", "old_name new_name"),
    ),
    "bdev_lvol_snapshot": (
        ("18.04", "snapshot_lvol_bdev", "lvol_name snapshot_name"),
        ("19.10", "bdev_lvol_snapshot", "lvol_name snapshot_name"),
    ),
    "bdev_lvol_clone": (
        ("18.04", "clone_lvol_bdev", "snapshot_name clone_name?"),
        ("19.10", "bdev_lvol_clone", "snapshot_name clone_name?"),
    ),
    "bdev_lvol_inflate": (
        ("19.01", "inflate_lvol_bdev", "name"),
        ("19.10", "bdev_lvol_inflate", "name"),
    ),
    "bdev_lvol_decouple_parent": (
        ("19.01", "decouple_parent_lvol_bdev", "name"),
        ("19.10", "bdev_lvol_decouple_parent", "name"),
    ),
    "bdev_lvol_set_read_only": (
        ("19.01", "set_read_only_lvol_bdev", "name"),
        ("19.10", "bdev_lvol_set_read_only", "name"),
    ),
    "nvmf_get_transports": (
        ("19.01", "get_nvmf_transports", ""),
        ("19.10", "nvmf_get_transports", "tgt_name?"),
        ("22.01", "nvmf_get_transports", "trtype? tgt_name?"),
    ),
    "nvmf_create_transport": (
        ("19.01", "nvmf_create_transport",
         "trtype max_queue_depth? max_qpairs_per_ctrlr? in_capsule_data_size? max_io_size? "
         "io_unit_size? max_aq_depth? num_shared_buffers? buf_cache_size?"),
        ("19.10", "nvmf_create_transport",
         "trtype max_queue_depth? max_qpairs_per_ctrlr? in_capsule_data_size? max_io_size? "
         "io_unit_size? max_aq_depth? num_shared_buffers? buf_cache_size? max_srq_depth? "
         "no_srq? c2h_success? dif_insert_or_strip? sock_priority? tgt_name?"),
        ("20.10", "nvmf_create_transport",
         "trtype max_queue_depth? max_qpairs_per_ctrlr? max_io_qpairs_per_ctrlr? "
         "in_capsule_data_size? max_io_size? io_unit_size? max_aq_depth? num_shared_buffers? "
         "buf_cache_size? dif_insert_or_strip? abort_timeout_sec? tgt_name? *"),
        ("22.01", "nvmf_create_transport",
         "trtype max_queue_depth? max_qpairs_per_ctrlr? max_io_qpairs_per_ctrlr? "
         "in_capsule_data_size? max_io_size? io_unit_size? max_aq_depth? num_shared_buffers? "
         "buf_cache_size? dif_insert_or_strip? abort_timeout_sec? zcopy? tgt_name? "
         "acceptor_poll_rate? *"),
        ("24.01", "nvmf_create_transport",
         "trtype max_queue_depth? max_io_qpairs_per_ctrlr? in_capsule_data_size? max_io_size? "
         "io_unit_size? max_aq_depth? num_shared_buffers? buf_cache_size? dif_insert_or_strip? "
         "abort_timeout_sec? zcopy? tgt_name? acceptor_poll_rate? *"),
    ),
    "nvmf_get_subsystems": (
        ("18.04", "get_nvmf_subsystems", ""),
        ("19.10", "nvmf_get_subsystems", "tgt_name?"),
        ("22.01", "nvmf_get_subsystems", "nqn? tgt_name?"),
    ),
    "nvmf_get_stats": (
        ("19.10", "nvmf_get_stats", "tgt_name?"),
    ),
    "nvmf_create_subsystem": (
        ("18.04", "construct_nvmf_subsystem",
         "core? mode? nqn listen_addresses? hosts? allow_any_host? serial_number? namespaces? "
         "max_namespaces?"),
        ("19.01", "nvmf_subsystem_create", "nqn serial_number? max_namespaces? allow_any_host?"),
        ("19.10", "nvmf_create_subsystem",
         "nqn serial_number? model_number? tgt_name? max_namespaces? allow_any_host?"),
        ("20.10", "nvmf_create_subsystem",
         "nqn serial_number? model_number? tgt_name? max_namespaces? allow_any_host? "
         "ana_reporting?"),
        ("22.01", "nvmf_create_subsystem",
         "nqn serial_number? model_number? tgt_name? max_namespaces? allow_any_host? "
         "ana_reporting? min_cntlid? max_cntlid?"),
        ("24.01", "nvmf_create_subsystem",
         "nqn serial_number? model_number? tgt_name? max_namespaces? allow_any_host? "
         "ana_reporting? min_cntlid? max_cntlid? max_discard_size_kib? "
         "max_write_zeroes_size_kib?"),
    ),
    "nvmf_delete_subsystem": (
        ("18.04", "delete_nvmf_subsystem", "nqn"),
        ("19.10", "nvmf_delete_subsystem", "nqn tgt_name?"),
    ),
    "nvmf_subsystem_add_ns": (
        ("18.04", "nvmf_subsystem_add_ns", "nqn namespace"),
        ("19.10", "nvmf_subsystem_add_ns", "nqn namespace tgt_name?"),
    ),
    "nvmf_subsystem_remove_ns": (
        ("18.04", "nvmf_subsystem_remove_ns", "nqn nsid"),
        ("19.10", "nvmf_subsystem_remove_ns", "nqn nsid tgt_name?"),
    ),
    "nvmf_subsystem_add_host": (
        ("18.04", "nvmf_subsystem_add_host", "nqn host"),
        ("19.10", "nvmf_subsystem_add_host", "nqn host tgt_name?"),
        ("24.01", "nvmf_subsystem_add_host", "nqn host tgt_name? *"),
    ),
    "nvmf_subsystem_remove_host": (
        ("18.04", "nvmf_subsystem_remove_host", "nqn host"),
        ("19.10", "nvmf_subsystem_remove_host", "nqn host tgt_name?"),
    ),
    "nvmf_subsystem_allow_any_host": (
        ("18.04", "nvmf_subsystem_allow_any_host", "nqn allow_any_host"),
        ("19.10", "nvmf_subsystem_allow_any_host", "nqn allow_any_host tgt_name?"),
    ),
    "nvmf_subsystem_add_listener": (
        ("18.04", "nvmf_subsystem_add_listener", "nqn listen_address"),
        ("19.10", "nvmf_subsystem_add_listener", "nqn listen_address tgt_name?"),
        ("22.01", "nvmf_subsystem_add_listener", "nqn listen_address tgt_name? *"),
        ("24.01", "nvmf_subsystem_add_listener",
         "nqn listen_address tgt_name? secure_channel? ana_state? *"),
    ),
    "nvmf_subsystem_remove_listener": (
        ("18.04", "nvmf_subsystem_remove_listener", "nqn listen_address"),
        ("19.10", "nvmf_subsystem_remove_listener", "nqn listen_address tgt_name?"),
        ("24.01", "nvmf_subsystem_remove_listener",
         "nqn listen_address tgt_name? secure_channel? ana_state?"),
    ),
    "nvmf_subsystem_get_listeners": (
        ("20.10", "nvmf_subsystem_get_listeners", "nqn tgt_name?"),
    ),
    "nvmf_subsystem_get_qpairs": (
        ("20.10", "nvmf_subsystem_get_qpairs", "nqn tgt_name?"),
    ),
    "nvmf_subsystem_get_controllers": (
        ("20.10", "nvmf_subsystem_get_controllers", "nqn tgt_name?"),
    ),
    "vhost_create_blk_controller": (
        ("18.04", "construct_vhost_blk_controller", "ctrlr dev_name cpumask? readonly?"),
        ("19.10", "vhost_create_blk_controller", "ctrlr dev_name cpumask? readonly?"),
        ("20.10", "vhost_create_blk_controller", "ctrlr dev_name cpumask? readonly? packed_ring?"),
        ("22.01", "vhost_create_blk_controller",
         "ctrlr dev_name cpumask? readonly? packed_ring? packed_ring_recovery?"),
        ("24.01", "vhost_create_blk_controller", "ctrlr dev_name cpumask? transport? *"),
    ),
    "vhost_delete_controller": (
        ("18.04", "remove_vhost_controller", "ctrlr"),
        ("19.10", "vhost_delete_controller", "ctrlr"),
    ),
    "vhost_get_controllers": (
        ("18.04", "get_vhost_controllers", ""),
        ("19.01", "get_vhost_controllers", "name?"),
        ("19.10", "vhost_get_controllers", "name?"),
    ),
}

# Members of an object inside the parameters; the same for all methods.
INNER = {
    "namespace": (
        ("18.04", "nsid? bdev_name nguid? eui64?"),
        ("19.01", "nsid? bdev_name nguid? eui64? uuid?"),
        ("19.10", "nsid? bdev_name ptpl_file? nguid? eui64? uuid?"),
        ("22.01", "nsid? bdev_name ptpl_file? nguid? eui64? uuid? anagrpid?"),
    ),
    "listen_address": (
        ("18.04", "transport? trtype? adrfam? traddr trsvcid"),
        ("24.01", "transport? trtype? adrfam? traddr trsvcid?"),
    ),
}

# Members of answers, by the release that brought them.
ANSWERS = {
    "nvmf_get_subsystems": (
        ("18.04", "nqn subtype listen_addresses allow_any_host hosts serial_number namespaces"),
        ("19.01", "max_namespaces"),
        ("19.10", "model_number"),
        ("22.01", "min_cntlid max_cntlid"),
    ),
    "bdev_get_bdevs": (
        ("18.04", "name aliases product_name block_size num_blocks uuid claimed supported_io_types "
                  "driver_specific"),
        ("19.01", "assigned_rate_limits"),
        ("20.10", "zoned"),
    ),
}


def as_number(release):
    return int(release[:2]) * 100 + int(release[3:])


def newest_until(rows, release):
    """The last of the rows whose release is not newer; None when all are."""
    fitting = [row for row in rows if as_number(row[0]) <= as_number(release)]
    return fitting[-1] if fitting else None


class Refusal(Exception):
    """An error answer as SPDK gives it."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


class Params:
    """Which parameters a method takes."""

    def __init__(self, text):
        words = text.split()
        self.takes_any = "*" in words
        self.all = {word.rstrip("?") for word in words if word != "*"}
        self.required = {word for word in words if word != "*" and not word.endswith("?")}

    def fit(self, given):
        return (isinstance(given, dict) and self.required <= set(given)
                and (self.takes_any or set(given) <= self.all))


class Release:
    """One release: its names, its rules, its answers. `schema` is the text that NEWEST needs."""

    def __init__(self, name, schema=None):
        self.name, self.number = name, as_number(name)
        self.methods = {}
        for today, rows in METHODS.items():
            row = newest_until(rows, name)
            if row:
                self.methods.setdefault(row[1], []).append((today, Params(row[2])))
        if schema:
            self.read_schema(json.loads(schema))
        self.inner = {key: Params(row[1]) for key, rows in INNER.items()
                      if (row := newest_until(rows, name)) and not schema}

    def read_schema(self, schema):
        for method in schema["methods"]:
            text = " ".join(p["name"] + ("" if p.get("required") else "?")
                            for p in method.get("params", []))
            if method["name"] in METHODS:
                self.methods[method["name"]] = [(method["name"], Params(text))]

    def keep(self, todays):
        """Forget what the engine behind cannot do."""
        self.methods = {name: kept for name, rows in self.methods.items()
                        if (kept := [row for row in rows if row[0] in todays])}

    def says(self, year, month):
        return self.number >= year * 100 + month

    def check(self, method, params):
        """Today's names of a method (several before delete_bdev was split), or a Refusal."""
        if method not in self.methods:
            raise Refusal(-32601, "Method not found")
        takes = self.methods[method][0][1]
        if not takes.all and not takes.takes_any and params is not None:
            raise Refusal(-32602, f"{method} requires no parameters")
        if (params is not None or takes.required) and not self.fit(takes, params):
            if "nvmf" in method or not self.says(19, 10):
                raise Refusal(-32602, "Invalid parameters")
            raise Refusal(-32603, "spdk_json_decode_object failed")
        return [today for today, _ in self.methods[method]]

    def fit(self, takes, params):
        return takes.fit(params) and all(
            self.inner[key].fit(value) for key, value in params.items() if key in self.inner)

    def to_today(self, today, params):
        """The parameters in the form of 26.05."""
        params = dict(params or {})
        if "size" in params:
            params["size_in_mib"] = params.pop("size") // (1 << 20)
        if "ios_per_sec" in params:
            params["rw_ios_per_sec"] = params.pop("ios_per_sec")
        if today == "bdev_get_iostat" and "name" in params:
            params["names"] = [params.pop("name")]
        return params or None

    def from_today(self, today, params):
        """A call of a saved configuration as this release would save it; None: it has no such."""
        row = next(((name, takes) for name, rows in self.methods.items()
                    for method, takes in rows if method == today), None)
        if row is None:
            return None
        name, takes = row
        if params is None:
            return {"method": name}
        kept = {key: self.inner_from_today(key, value) for key, value in params.items()
                if takes.takes_any or key in takes.all}
        return {"method": name, "params": kept}

    def inner_from_today(self, key, value):
        if key not in self.inner:
            return value
        return {k: v for k, v in value.items() if k in self.inner[key].all}

    def answer(self, today, result):
        """An answer of today as this release would give it."""
        if today in ANSWERS and self.name != NEWEST:
            known = {word for since, text in ANSWERS[today] if as_number(since) <= self.number
                     for word in text.split()}
            result = [{k: v for k, v in item.items() if k in known} for item in result]
        if today == "nvmf_get_subsystems" and self.name != NEWEST:
            for subsystem in result:
                for address in subsystem["listen_addresses"]:
                    address["transport"] = address["trtype"]
        if today == "bdev_get_iostat" and not self.says(20, 1):
            result = [{"tick_rate": result["tick_rate"]}, *result["bdevs"]]
        if today == "framework_get_config":
            result = [entry for call in result or []
                      if (entry := self.from_today(call["method"], call.get("params")))]
        return result

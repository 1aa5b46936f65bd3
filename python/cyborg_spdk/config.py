# SPDX-License-Identifier: Apache-2.0
"""The options of cyborg.conf's group [spdk], by oslo.config.

Threading: register() before other threads start.
"""

from oslo_config import cfg

GROUP = cfg.OptGroup("spdk", title="Storage acceleration by cyborg-spdk")

COMMON = [
    cfg.StrOpt("state_dir",
               help="State directory of cyborg-spdk. Unset: the library's default, which is "
                    "/var/lib/cyborg-spdk for root."),
    cfg.StrOpt("helper",
               help="Command in front of the driver's own process, where the agent's user is not "
                    "the state directory's, such as sudo -n -u cyborg-spdk. An agent that is root "
                    "needs none: it takes that user's place."),
    cfg.StrOpt("library",
               help="File of libcyborg-spdk. Unset: the one that the dynamic linker finds."),
    cfg.IntOpt("slots", default=1, min=1, max=64,
               help="How many volumes of an accelerator with a store, or images of one with a Ceph "
                    "cluster, are handed out at once. Each is a deployable with one accelerator. "
                    "What was installed whole is handed out whole, to one."),
]

DRIVER = [
    cfg.IntOpt("discover_timeout", default=20, min=1, max=50,
               help="Seconds after which a node that does not answer is reported with its last "
                    "known devices."),
    cfg.StrOpt("memory",
               help="File in which the driver keeps the devices as last seen. Unset: "
                    "cyborg-devices.json in the state directory. An agent that may not write there "
                    "needs another."),
    cfg.StrOpt("resource_class", default="CUSTOM_SSD", regex="^CUSTOM_[A-Z0-9_]+$", max_length=255,
               help="Resource class of the deployables in placement."),
    cfg.ListOpt("traits", default=[],
                item_type=cfg.types.String(regex="^CUSTOM_[A-Z0-9_]+$", max_length=255),
                help="Traits of all deployables of this host, besides CUSTOM_SPDK, "
                     "CUSTOM_SPDK_NVME_TCP and the one for the kind of backing."),
]

ARQD = [
    cfg.IntOpt("poll_interval", default=5, min=1, max=3600,
               help="Seconds between two looks at the accelerator requests."),
    cfg.StrOpt("listen",
               help="Numeric address of this node, with :PORT if it matters, on which instances "
                    "reach their volumes. Unset: loopback."),
    cfg.StrOpt("host_nqn", default="nqn.2014-08.org.nvmexpress:uuid:{instance}",
               help="Who may connect: {instance} stands for the instance's UUID, {arq} for that "
                    "of the request, {host} for the compute host. The default is what "
                    "nvme gen-hostnqn gives inside a Nova instance."),
    cfg.DictOpt("host_nqns", default={},
                help="NQNs by compute host, as HOST:NQN; used in place of host_nqn for the hosts "
                     "that are named."),
    cfg.DictOpt("attach", default={},
                help="Members of every attach request, as NAME:VALUE, such as size:10G, which "
                     "accelerators with a store need; those of qos as qos_rw_mb and so on. A "
                     "device profile overrides each by accel:spdk_NAME."),
    cfg.IntOpt("detach_wait", default=10, min=0, max=600,
               help="Seconds that a detach waits for the host to leave; it is tried again later."),
    cfg.BoolOpt("detach_force", default=False,
                help="Detach from a host that is still connected after that."),
    cfg.StrOpt("detach_data", default="keep", choices=["keep", "delete", "wipe"],
               help="What becomes of the data when a request is gone. keep: it stays, and whoever "
                    "is given the same whole accelerator next reads it. delete: volumes that were "
                    "made for the request go. wipe: all is overwritten, and volumes that were made "
                    "for the request go."),
    cfg.StrOpt("report", default="auto", choices=["auto", "always", "never"],
               help="Whether each attach and detach is told to the conductor at once. auto: "
                    "where spdk_driver is the agent's only driver. always: the other drivers "
                    "are asked here too, so this service needs the agent's rights. The agent's "
                    "own report comes in any case."),
]


def register(conf):
    """What the driver needs; calling it again changes nothing."""
    conf.register_group(GROUP)
    conf.register_opts(COMMON + DRIVER, group=GROUP)


def _adapter_options():
    from keystoneauth1 import loading
    options = loading.get_adapter_conf_options(include_deprecated=False)
    cfg.set_defaults(options, service_type="accelerator", valid_interfaces=["internal", "public"])
    return options


def _session_options():
    from keystoneauth1 import loading
    options = loading.get_session_conf_options()
    cfg.set_defaults(options, timeout=30)
    return options


def register_service(conf):
    """What cyborg-spdk-arqd needs, with keystoneauth's options in the same group."""
    from keystoneauth1 import loading
    register(conf)
    conf.register_opts(ARQD + _adapter_options() + _session_options(), group=GROUP)
    loading.register_auth_conf_options(conf, GROUP.name)


def list_opts():
    """For oslo-config-generator, by the entry point oslo.config.opts."""
    from keystoneauth1 import loading
    return [(GROUP, COMMON + DRIVER + ARQD + _adapter_options() + _session_options() +
             loading.get_auth_common_conf_options() +
             loading.get_auth_plugin_conf_options("password"))]

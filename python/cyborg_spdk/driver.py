# SPDX-License-Identifier: Apache-2.0
"""The class that cyborg-agent loads: entry point `spdk_driver` of cyborg.accelerator.driver.

It only reports. Cyborg binds without asking a driver; what is bound is attached by cyborg-spdk-arqd
or by an operator.

Threading: one instance belongs to the agent's thread.
"""

import json
import logging
from pathlib import Path

from cyborg.accelerator.drivers.driver import GenericDriver

from cyborg_spdk import child, devices
from cyborg_spdk.library import SpdkError, default_state_dir

LOG = logging.getLogger(__name__)

UPDATE_SECONDS = 600.0


def to_objects(described):
    """Cyborg's objects, with every field assigned, since declared defaults are not applied."""
    from cyborg.objects.driver_objects import (driver_attach_handle, driver_attribute,
                                               driver_controlpath_id, driver_deployable,
                                               driver_device)

    def attribute(key, value):
        return driver_attribute.DriverAttribute(key=key, value=value)

    def deployable(slot):
        handle = driver_attach_handle.DriverAttachHandle(
            attach_type="TEST_PCI", attach_info=slot["attach_info"], in_use=False)
        return driver_deployable.DriverDeployable(
            name=slot["name"], num_accelerators=1, driver_name=devices.DRIVER_NAME,
            attribute_list=[attribute(*pair) for pair in slot["attributes"]],
            attach_handle_list=[handle])

    def device(one):
        identity = driver_controlpath_id.DriverControlPathID(cpid_type="PCI",
                                                             cpid_info=one["cpid_info"])
        return driver_device.DriverDevice(
            vendor=devices.VENDOR, model=one["model"], type="SSD",
            std_board_info=one["std_board_info"], vendor_board_info=one["vendor_board_info"],
            controlpath_id=identity, stub=one["stub"],
            deployable_list=[deployable(slot) for slot in one["deployables"]])

    return [device(one) for one in described]


class SPDKDriver(GenericDriver):
    """Storage acceleration of this host, by libcyborg-spdk."""

    VENDOR = devices.VENDOR

    def __init__(self, in_agent=True):
        """in_agent: False beside the agent, in a process of the state directory's own user, who
        needs no helper, and may not write what the agent remembers"""
        self._memory = None
        self._in_agent = in_agent

    @property
    def _conf(self):
        from cyborg.conf import CONF

        from cyborg_spdk import config
        config.register(CONF)
        return CONF

    def _call(self, verb, request, timeout):
        options = self._conf.spdk
        return child.call(verb, request, options.state_dir, options.library, timeout,
                          options.helper if self._in_agent else None)

    def _remembered(self):
        if self._memory is None:
            options = self._conf.spdk
            folder = Path(options.state_dir or default_state_dir())
            self._memory = devices.Memory(options.memory or folder / devices.CACHE_NAME,
                                          is_mine=self._in_agent)
        return self._memory

    def describe(self):
        """The devices as plain descriptions."""
        conf, memory = self._conf, self._remembered()
        try:
            status = self._call("status", {}, conf.spdk.discover_timeout)
        except SpdkError as e:
            LOG.error("the node's accelerators cannot be seen, the last known are reported: %s", e)
            return devices.stubs(memory.devices)
        return devices.from_status(status, memory, conf.host, conf.spdk.slots,
                                   conf.spdk.resource_class, conf.spdk.traits)

    def discover(self):
        """The devices of this host. Never raises: that would lose the report of all drivers."""
        try:
            return to_objects(self.describe())
        except Exception:
            LOG.exception("discover failed; the last known devices are reported")
        try:
            return to_objects(devices.stubs(self._memory.devices)) if self._memory else []
        except Exception:
            LOG.exception("nothing is reported")
            return []

    def update(self, control_path, image_path):
        """Replace the target of an accelerator by the program @image_path.

        control_path: what discover() gave as controlpath_id, or its cpid_info
        Return: whether it was updated
        """
        try:
            info = getattr(control_path, "cpid_info", control_path)
            accelerator = json.loads(info)["accelerator"]
            self._call("update", {"id": accelerator, "target": image_path}, UPDATE_SECONDS)
            return True
        except (SpdkError, ValueError, KeyError, TypeError) as e:
            LOG.error("update of %s to %s: %s", control_path, image_path, e)
            return False

    def get_stats(self):
        """By accelerator: health, size, what is attached; {} when the node does not answer."""
        try:
            status = self._call("status", {}, self._conf.spdk.discover_timeout)
        except SpdkError as e:
            LOG.error("no statistics: %s", e)
            return {}
        return {a["id"]: {"health": a["health"], "size": a["size"],
                          "attachments": sorted(x["instance"] for x in a["attachments"])}
                for a in status["accelerators"]}

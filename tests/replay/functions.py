# SPDX-License-Identifier: Apache-2.0
"""NVMe functions of a stand-in: files in their place, served by the engine behind. What a target
tells of a function and asks for one is held as SPDK has it; nothing of it is PCI.

A JSON file says which there are, and is read at each attach, so that a test can change a slot:
{"0000:01:00.0": {"serial": TEXT, "namespaces": [FILE, ...]}}. Whoever drives one holds a lock
beside that file, as VFIO lets one program have a function.

Threading: shared by all connections; one call at a time.
"""

import fcntl
import json
import os
import threading

from releases import Refusal

METHODS = ("bdev_nvme_attach_controller", "bdev_nvme_detach_controller",
           "bdev_nvme_get_controllers")
BLOCK_SIZE = 512


class Controller:
    """One that is attached."""

    def __init__(self, address, serial, names, lock):
        self.address, self.serial, self.names, self.lock = address, serial, names, lock


class Functions:
    """The functions that the file at @path names, of those that the target was allowed."""

    def __init__(self, path, allowed):
        self.path, self.allowed = path, allowed
        self.controllers = {}
        self.mutex = threading.Lock()

    def call(self, engine, today, params):
        with self.mutex:
            return getattr(self, today)(engine, **(params or {}))

    def bdev_nvme_attach_controller(self, engine, name, trtype, traddr, **_):
        with open(self.path, encoding="utf-8") as file:
            slot = json.load(file).get(traddr)
        if trtype != "PCIe" or not slot or traddr not in self.allowed:
            raise Refusal(-19, "No such device")
        if name in self.controllers:
            raise Refusal(-114, f"A controller named {name} already exists")
        lock = os.open(f"{self.path}.{traddr}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            os.close(lock)
            raise Refusal(-16, "Device or resource busy") from taken
        names = [f"{name}n{i}" for i in range(1, len(slot["namespaces"]) + 1)]
        for bdev, path in zip(names, slot["namespaces"]):
            engine.call("bdev_aio_create", {"name": bdev, "filename": path,
                                            "block_size": BLOCK_SIZE})
        self.controllers[name] = Controller(traddr, slot["serial"], names, lock)
        return names

    def bdev_nvme_detach_controller(self, engine, name, **_):
        controller = self.controllers.pop(name, None)
        if not controller:
            raise Refusal(-19, "No such device")
        for bdev in controller.names:
            engine.call("bdev_aio_delete", {"name": bdev})
        os.close(controller.lock)
        return True

    def bdev_nvme_get_controllers(self, _engine, name=None):
        return [{"name": n, "trid": {"trtype": "PCIe", "traddr": c.address}}
                for n, c in self.controllers.items() if name in (None, n)]

    def find(self, bdev):
        return next(((name, c) for name, c in self.controllers.items() if bdev in c.names), None)

    def tell_bdevs(self, bdevs, as_list):
        """What is of a function, as SPDK shows it: a list of paths since 21.04."""
        for bdev in bdevs:
            found = self.find(bdev["name"])
            if not found:
                continue
            controller = found[1]
            path = {"pci_address": controller.address,
                    "trid": {"trtype": "PCIe", "traddr": controller.address},
                    "ctrlr_data": {"serial_number": controller.serial},
                    "ns_data": {"id": controller.names.index(bdev["name"]) + 1}}
            bdev["product_name"] = "NVMe disk"
            bdev["driver_specific"] = {"nvme": [path] if as_list else path}

    def tell_config(self, entries):
        """The files in a saved configuration are functions again."""
        told, kept = set(), []
        for entry in entries or []:
            found = self.find((entry.get("params") or {}).get("name"))
            if not found:
                kept.append(entry)
            elif found[0] not in told:
                told.add(found[0])
                kept.append({"method": "bdev_nvme_attach_controller", "params": {
                    "name": found[0], "trtype": "PCIe", "traddr": found[1].address}})
        return kept

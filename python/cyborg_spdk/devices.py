# SPDX-License-Identifier: Apache-2.0
"""What Cyborg is told of a node: the answer of `status` as plain descriptions of devices.

A device is an installed accelerator. Candidates are none: Cyborg would hand them out while nothing
serves them. What can be handed out at once is a slot, a deployable with one accelerator and one
attach handle: one for a backing that is handed out whole, `slots` of them for volumes of a store.

All texts that Cyborg compares are byte-stable: JSON with sorted keys, in ASCII.

Threading: pure functions, but Memory belongs to one thread.
"""

import hashlib
import json
import logging
import os
import re
import tempfile
from pathlib import Path

LOG = logging.getLogger(__name__)

DRIVER_NAME = "cyborg-spdk"
VENDOR = "cyborg-spdk"
CACHE_NAME = "cyborg-devices.json"
HOST_SIZE = 64
# Columns of Cyborg's database, and the name of a resource provider in placement.
TEXT_SIZE = 255
NAME_SIZE = 200
BOARD_SIZE = 60000
TEXTS = {"accelerator", "model", "std_board_info", "vendor_board_info", "cpid_info"}
KEYS = TEXTS | {"deployables"}
DEPLOYABLE_TEXTS = {"name", "attach_info"}


def compact(value):
    """JSON, the same bytes for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def host_part(host):
    """@host as part of a name that is unique in the cloud; what is changed of it gets a digest."""
    if re.fullmatch(r"[A-Za-z0-9.-]{1,%d}" % HOST_SIZE, host):
        return host
    digest = hashlib.sha256(host.encode(errors="surrogatepass")).hexdigest()[:12]
    return re.sub(r"[^A-Za-z0-9.-]", "-", host)[:HOST_SIZE - 13] + "-" + digest


def deployable_name(host, accelerator, slot):
    """Name of a slot; the first has no number, so that more slots leave it as it is."""
    return f"{host_part(host)}_spdk{slot or ''}_{accelerator}"


def is_whole(accelerator):
    """Handed out as it is, to one."""
    return accelerator.get("scenario", "whole") == "whole"


def slots_of(accelerator, slots):
    """How many are handed out at once."""
    return 1 if is_whole(accelerator) else slots


def _printable(text):
    """What every database holds: MariaDB's utf8 has no four bytes, PostgreSQL's no NUL."""
    return re.sub(r"[^ -~]", "?", text)


def _trait(text):
    return "CUSTOM_SPDK_" + re.sub(r"[^A-Z0-9]", "_", text.upper())[:200]


def _attributes(accelerator, resource_class, traits):
    """Each trait under a key of its own: Cyborg loses one whose value moved to another key."""
    values = {"CUSTOM_SPDK", "CUSTOM_SPDK_NVME_TCP", _trait(accelerator["kind"]), *traits}
    return [["rc", resource_class]] + [[f"trait_{value}", value] for value in sorted(values)]


def _deployable(host, accelerator, slot, attributes):
    name = deployable_name(host, accelerator["id"], slot)
    info = compact({"accelerator": accelerator["id"], "deployable": name, "driver": DRIVER_NAME})
    return {"name": name, "attributes": attributes, "attach_info": info}


def _attachment(attachment):
    names = ("instance", "host", "nqn", "nsid", "address", "port", "size", "transport", "socket")
    return {name: attachment[name] for name in names if attachment.get(name)}


def _vendor_board(accelerator):
    attached = sorted(map(_attachment, accelerator["attachments"]), key=lambda a: a["instance"])
    text = compact({"attachments": attached, "health": accelerator["health"]})
    return text if len(text) <= BOARD_SIZE else compact({"attachments": len(attached),
                                                         "health": accelerator["health"]})


def _function(accelerator):
    """Where a function is that its target drives. No attach handle: instances reach the target."""
    if accelerator["kind"] != "nvme":
        return {}
    return {"pci_address": accelerator["backing"], "nsid": accelerator["nsid"],
            "serial": accelerator["serial"]}


def _std_board(accelerator):
    fixed = {"class": "NVMe-oF target", "device_id": accelerator["id"],
             **_function(accelerator)}
    known = {name: accelerator[name] for name in ("kind", "size", "block_size", "target",
                                                  "version", "scenario", "store")
             if accelerator.get(name)}
    text = compact({**fixed, **known})
    return text if len(text) <= BOARD_SIZE else compact({**fixed, "size": accelerator["size"]})


def describe(accelerator, host, slots, resource_class, traits):
    """One accelerator of a status answer."""
    attributes = _attributes(accelerator, resource_class, traits)
    return {
        "accelerator": accelerator["id"],
        "model": _printable(f"NVMe-oF on {accelerator['kind']}")[:TEXT_SIZE],
        "std_board_info": _std_board(accelerator),
        "vendor_board_info": _vendor_board(accelerator),
        "cpid_info": compact({"accelerator": accelerator["id"], "uuid": accelerator["uuid"]}),
        "deployables": [_deployable(host, accelerator, slot, attributes)
                        for slot in range(slots_of(accelerator, slots))],
    }


def _is_reportable(device):
    """What Cyborg's columns cannot hold would abort the report of all drivers."""
    longest = [device["cpid_info"]] + [d["attach_info"] for d in device["deployables"]]
    names = [d["name"] for d in device["deployables"]]
    if (max(map(len, longest)) <= TEXT_SIZE and
            all(len(name) <= NAME_SIZE and name == _printable(name) for name in names)):
        return True
    LOG.error("accelerator %s is not reported: Cyborg's database cannot hold its name; install it "
              "under an id of up to 48 plain letters and digits", device["accelerator"])
    return False


def _has_texts(value, names):
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in names)


def _is_deployable(slot):
    pairs = slot.get("attributes") if _has_texts(slot, DEPLOYABLE_TEXTS) else None
    return isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        for pair in pairs)


def _is_description(device):
    """Whether this is what describe() makes, as read from a file."""
    return (_has_texts(device, TEXTS) and set(device) == KEYS and
            isinstance(device["deployables"], list) and bool(device["deployables"]) and
            all(map(_is_deployable, device["deployables"])) and _is_reportable(device))


class Memory:
    """The devices as last seen, kept in a file over restarts of the agent."""

    def __init__(self, path, is_mine=True):
        """is_mine: False where another process keeps the file, which is then only read"""
        self.path, self._is_mine = Path(path), is_mine
        self.devices = self._read()

    def _read(self):
        try:
            devices = json.loads(self.path.read_bytes())
            if isinstance(devices, list) and all(map(_is_description, devices)):
                return devices
            LOG.warning("%s is not of this release: not used", self.path)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError) as e:
            LOG.warning("%s cannot be used: %s", self.path, e)
        return []

    def by_identity(self):
        return {device["cpid_info"]: device for device in self.devices}

    def keep(self, devices):
        if devices == self.devices:
            return
        self.devices = devices
        if not self._is_mine or not self.path.parent.is_dir():
            return
        try:
            with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix=self.path.name,
                                             delete=False) as new:
                json.dump(devices, new)
            os.chmod(new.name, 0o644)
            os.replace(new.name, self.path)
        except OSError as e:
            LOG.error("the devices cannot be kept in %s (%s): when the agent starts anew while "
                      "this node does not answer, Cyborg loses them; name another file by the "
                      "option memory", self.path, e)


def is_state_there(status):
    """False where a state directory is not mounted, which reads as nothing installed; who may not
    look takes the answer for true."""
    try:
        return Path(status["state_dir"], "state.db").exists()
    except PermissionError:
        return True


def stubs(devices):
    """Devices that Cyborg shall leave as they are."""
    return [dict(device, stub=True) for device in devices]


def from_status(status, memory, host, slots, resource_class, traits):
    """The devices to report. One whose target is down is as last seen, and a stub."""
    if memory.devices and not is_state_there(status):
        LOG.warning("%s has no state any more: the last known devices are reported",
                    status["state_dir"])
        return stubs(memory.devices)
    last = memory.by_identity()
    reported = []
    for accelerator in sorted(status["accelerators"], key=lambda a: a["id"]):
        device = describe(accelerator, host, slots, resource_class, traits)
        if not _is_reportable(device):
            continue
        is_down = accelerator["health"] == "down"
        if is_down:
            device = last.get(device["cpid_info"], device)
        reported.append(dict(device, stub=is_down))
    memory.keep([{key: device[key] for key in sorted(KEYS)} for device in reported])
    return reported

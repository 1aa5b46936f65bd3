# SPDX-License-Identifier: Apache-2.0
"""The Linux kernel's NVMe/TCP host on a thin volume and on a clone of its snapshot; the target is
killed while both are written to."""

import fcntl
import re
import signal

import pytest

from conftest import SANITIZER_WORDS, Target, free_port
from guest_kit import HOSTNQN, MODEL, NQN, SERIAL, Control, boot, steps_of

STORE_BYTES = 192 << 20
VOLUME_BYTES = 64 << 20
CLUSTER_BYTES = 1 << 20


class Node:
    """A target on one file, that can be killed and started again on what is in the file."""

    def __init__(self, program, folder):
        self.program = program
        self.file = folder / "disk"
        self.port = free_port()
        self.namespaces = ["store/thin"]
        self.logs = []
        with open(self.file, "wb") as file:
            file.truncate(STORE_BYTES)
        self.start()
        call = self.rpc.call
        call("bdev_lvol_create_lvstore", bdev_name="Disk", lvs_name="store",
             cluster_sz=CLUSTER_BYTES)
        call("bdev_lvol_create", lvs_name="store", lvol_name="thin", size=VOLUME_BYTES,
             thin_provision=True)
        self.export()

    def start(self):
        self.target = Target(self.program("cyborg-spdk-tgt")).wait_ready()
        self.rpc = self.target.client()
        self.rpc.call("bdev_uring_create", name="Disk", filename=str(self.file), block_size=4096)
        self.rpc.call("bdev_wait_for_examine")

    def export(self):
        call = self.rpc.call
        call("nvmf_create_transport", trtype="TCP")
        call("nvmf_create_subsystem", nqn=NQN, serial_number=SERIAL, model_number=MODEL)
        call("nvmf_subsystem_add_host", nqn=NQN, host=HOSTNQN)
        for nsid, name in enumerate(self.namespaces, 1):
            call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": name, "nsid": nsid})
        call("nvmf_subsystem_add_listener", nqn=NQN,
             listen_address={"trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1",
                             "trsvcid": str(self.port)})

    def clone(self):
        call = self.rpc.call
        call("bdev_lvol_snapshot", lvol_name="store/thin", snapshot_name="snapshot")
        call("bdev_lvol_clone", snapshot_name="store/snapshot", clone_name="clone")
        call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "store/clone", "nsid": 2})
        self.namespaces.append("store/clone")

    def kill(self):
        self.target.stop(signal.SIGKILL)
        self.remove()
        # With io_uring the files of a program are closed a moment after it is gone.
        with open(self.file, "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
        self.start()
        self.export()

    def remove(self):
        self.logs.append(self.target.log)
        self.target.remove()

    def volumes(self):
        """What the store has in the end, by alias, and whose clone each is."""
        return {bdev["aliases"][0]: bdev["driver_specific"]["lvol"].get("base_snapshot")
                for bdev in self.rpc.call("bdev_get_bdevs")
                if bdev["product_name"] == "Logical Volume"}


@pytest.fixture(scope="module")
def run(program, tmp_path_factory):
    """(the finished boot, volumes in the end, our target's last exit code, its logs)"""
    node = Node(program, tmp_path_factory.mktemp("lvol"))
    control = Control(clone=node.clone, kill=node.kill)
    try:
        result = boot("lvol.sh", "10.0.2.2", node.port, control.port)
        volumes = node.volumes()
        code = node.target.stop()
    finally:
        control.close()
        node.remove()
    return result, volumes, code, node.logs


@pytest.mark.parametrize("step", steps_of("lvol.sh"))
def test_kernel_host_on_volumes(run, step):
    run[0].check(step)


def test_store_was_recovered(run):
    _, volumes, code, logs = run
    assert len(logs) == 2 and code == 0, logs
    assert re.search("recovering the store", logs[1]), logs[1]
    assert volumes == {"store/thin": "snapshot", "store/clone": "snapshot",
                       "store/snapshot": None}
    assert not any(SANITIZER_WORDS.search(log) for log in logs), logs

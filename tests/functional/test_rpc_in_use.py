# SPDX-License-Identifier: Apache-2.0
"""Methods that take away what a host is using at that moment."""

import signal
import subprocess
import time

import pytest

from conftest import PATIENCE, free_port, wait_until

NQN = "nqn.2024-01.org.example:in-use"
HOST = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-4333-8444-555555555555"


class Export:
    """A malloc bdev shown to HOST, and that host doing I/O."""

    def __init__(self, target, perf):
        self.rpc = target.client()
        port = free_port()
        self.address = {"trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1",
                        "trsvcid": str(port)}
        self.rpc.call("nvmf_create_transport", trtype="TCP")
        self.show()
        self.host = subprocess.Popen(
            [str(perf), "--addr", f"127.0.0.1:{port}", "--hostnqn", HOST, "--nqn", NQN,
             "--time", "600s"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: self.reads() > 1000, "I/O of the host")

    def show(self):
        self.rpc.call("bdev_malloc_create", name="m", num_blocks=32768, block_size=512)
        self.rpc.call("nvmf_create_subsystem", nqn=NQN)
        self.rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "m"})
        self.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=HOST)
        self.rpc.call("nvmf_subsystem_add_listener", nqn=NQN, listen_address=self.address)

    def reads(self):
        return self.rpc.call("bdev_get_iostat", names=["m"])["bdevs"][0]["num_read_ops"]

    def stop(self):
        self.host.send_signal(signal.SIGCONT)
        self.host.kill()
        self.host.wait(PATIENCE)


@pytest.fixture
def export(target, program):
    export = Export(target, program("cyborg-spdk-perf"))
    yield export
    export.stop()


def test_what_is_shown_of_it(export):
    controller, = export.rpc.call("nvmf_subsystem_get_controllers", nqn=NQN)
    assert controller["hostnqn"] == HOST and controller["num_io_qpairs"] >= 1
    qpairs = export.rpc.call("nvmf_subsystem_get_qpairs", nqn=NQN)
    assert {q["qid"] for q in qpairs} >= {0, 1}
    assert all(q["listen_address"] == export.address for q in qpairs)
    groups = export.rpc.call("nvmf_get_stats")["poll_groups"]
    assert sum(group["current_io_qpairs"] for group in groups) == controller["num_io_qpairs"]
    channels = export.rpc.call("bdev_get_iostat", names=["m"], per_channel=True)["channels"]
    assert channels and channels[0]["num_read_ops"] > 0


@pytest.mark.parametrize("method, params, disconnects", [
    ("nvmf_subsystem_remove_host", {"nqn": NQN, "host": HOST}, True),
    ("nvmf_delete_subsystem", {"nqn": NQN}, True),
    ("nvmf_subsystem_remove_listener", {"nqn": NQN}, True),
    ("nvmf_delete_target", {"name": "nvmf_tgt"}, True),
    ("nvmf_subsystem_remove_ns", {"nqn": NQN, "nsid": 1}, False),
    ("bdev_malloc_delete", {"name": "m"}, False),
])
def test_taken_away(export, method, params, disconnects):
    if method == "nvmf_subsystem_remove_listener":
        params = {**params, "listen_address": export.address}
    assert export.rpc.call(method, **params) is True
    if disconnects:
        assert export.host.wait(PATIENCE) != 0
    if method in ("nvmf_subsystem_remove_ns", "bdev_malloc_delete"):
        assert export.rpc.call("nvmf_get_subsystems", nqn=NQN)[0]["namespaces"] == []
    assert export.rpc.call("log_get_level") == "NOTICE"


def test_two_takings_at_once(export):
    """Asked for in one batch: each is answered, in any order, and nothing is left."""
    answers = export.rpc.batch([
        ("nvmf_subsystem_remove_ns", {"nqn": NQN, "nsid": 1}),
        ("bdev_malloc_delete", {"name": "m"}),
        ("nvmf_subsystem_remove_host", {"nqn": NQN, "host": HOST}),
        ("nvmf_delete_subsystem", {"nqn": NQN}),
        ("nvmf_delete_subsystem", {"nqn": NQN}),
    ])
    assert answers[1]["result"] is True and answers[3]["result"] is True
    assert "error" in answers[4]
    assert export.rpc.call("bdev_get_bdevs") == []
    assert len(export.rpc.call("nvmf_get_subsystems")) == 1


def test_leaving_with_a_host(export, target):
    target.process.send_signal(signal.SIGTERM)
    assert target.process.wait(PATIENCE) == 0
    assert export.host.wait(PATIENCE) != 0


def test_second_signal_forces(export, target):
    """A host that does not follow the close holds the drain; a second wish ends it."""
    export.host.send_signal(signal.SIGSTOP)
    target.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "leaving" in target.log, "the first signal")
    # What comes sooner counts as the same wish; the drain itself would end after two seconds.
    target.process.send_signal(signal.SIGSTOP)
    time.sleep(1.1)
    target.process.send_signal(signal.SIGTERM)
    target.process.send_signal(signal.SIGCONT)
    assert target.process.wait(PATIENCE) == 1
    assert "a second signal came" in target.log
    assert not target.sock.exists()
    target.remove()

# SPDX-License-Identifier: Apache-2.0
"""A target killed in the middle of its work, and started again on the same files at once."""

import fcntl
import json
import os
import signal
import struct
import subprocess
import threading
import time

import pytest

from conftest import PATIENCE, RpcError, free_port, wait_until

NQN = "nqn.2024-01.org.example:killed"
HOST = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-4333-8444-555555555555"
FILES = 4


def config(folder, port):
    """FILES bdevs on files, the first one shown to HOST."""
    bdevs = [{"method": kind, "params": {"name": f"f{i}", "filename": str(folder / f"f{i}"),
                                         "block_size": 512}}
             for i, kind in zip(range(FILES), ["bdev_uring_create", "bdev_aio_create"] * FILES)]
    address = {"trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(port)}
    nvmf = [("nvmf_create_transport", {"trtype": "TCP"}),
            ("nvmf_create_subsystem", {"nqn": NQN, "allow_any_host": True}),
            ("nvmf_subsystem_add_ns", {"nqn": NQN, "namespace": {"bdev_name": "f0"}}),
            ("nvmf_subsystem_add_listener", {"nqn": NQN, "listen_address": address})]
    path = folder / "config.json"
    path.write_text(json.dumps({"subsystems": [
        {"subsystem": "bdev", "config": bdevs},
        {"subsystem": "nvmf", "config": [{"method": m, "params": p} for m, p in nvmf]}]}))
    return path


def test_starts_again_at_once(target_factory, program, tmp_path):
    """io_uring of a killed process keeps its files, and their locks, some milliseconds longer."""
    port = free_port()
    for i in range(FILES):
        (tmp_path / f"f{i}").touch()
        os.truncate(tmp_path / f"f{i}", 16 << 20)
    path = config(tmp_path, port)
    for _ in range(12):
        target = target_factory("-c", path)
        target.call("framework_wait_init")
        host = subprocess.Popen(
            [program("cyborg-spdk-perf"), "--addr", f"127.0.0.1:{port}", "--hostnqn", HOST,
             "--nqn", NQN, "-w", "randwrite", "-q", "32", "--time", "600s"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: target.call("bdev_get_iostat", names=["f0"])
                   ["bdevs"][0]["num_write_ops"] > 100, "I/O of the host")
        os.kill(target.pid, signal.SIGKILL)
        again = target_factory("-c", path)
        host.kill()
        host.wait(PATIENCE)
        again.call("framework_wait_init")
        assert len(again.call("bdev_get_bdevs")) == FILES
        again.check()
        again.remove()
        target.remove()


def lock(path):
    """A file locked as another program would, by its open file description."""
    f = open(path, "r+b")
    fcntl.fcntl(f, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return f


@pytest.mark.parametrize("method", ["bdev_uring_create", "bdev_aio_create"])
def test_waits_for_a_lock(rpc, tmp_path, method):
    """The target answers others meanwhile; who keeps the lock is refused in the end."""
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    params = {"name": "f", "filename": str(path), "block_size": 512}
    with lock(path):
        with pytest.raises(RpcError) as refused:
            rpc.call(method, **params)
        assert "is locked by another program" in refused.value.message
    f = lock(path)
    threading.Timer(0.05, f.close).start()
    waiting = rpc.request(method, params)
    rpc.send(json.dumps(waiting))
    other = rpc.request("rpc_get_methods")
    rpc.send(json.dumps(other))
    assert [rpc.receive()["id"] for _ in range(2)] == [other["id"], waiting["id"]]
    assert rpc.call("bdev_get_bdevs")[0]["name"] == "f"


def test_signal_while_a_failed_start_leaves(program, tmp_path):
    """Whenever it comes, the target leaves once, and well."""
    path = config(tmp_path, free_port())
    for i in range(40):
        target = subprocess.Popen([program("cyborg-spdk-tgt"), "-r", tmp_path / "sock", "-c", path],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.002 * i)
        target.send_signal(signal.SIGTERM)
        assert target.wait(PATIENCE) in (0, 1, -signal.SIGTERM)

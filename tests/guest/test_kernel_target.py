# SPDX-License-Identifier: Apache-2.0
"""Our NVMe/TCP host, cyborg-spdk-perf, against the Linux kernel's own target in a guest."""

import json
import subprocess
import threading

import pytest

from conftest import free_port
from guest_kit import HOSTNQN, MODEL, NQN, SERIAL, Control, boot

PATIENCE = 60.0
SIZE = 64 * 1024 * 1024


class KernelTarget:
    """The target in the guest: there when the guest says so, until release()."""

    def __init__(self):
        self.port = free_port()
        self.ready = threading.Event()
        self.released = threading.Event()
        self.control = Control(ready=self.hold)
        self.boot = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        self.boot = boot("kernel-target.sh", "4420", self.control.port,
                         forwards=[(self.port, 4420)])
        self.ready.set()

    def hold(self):
        self.ready.set()
        self.released.wait()

    def wait_ready(self):
        assert self.ready.wait(PATIENCE), "the guest did not come up"
        assert self.boot is None, self.boot.output

    def release(self):
        self.released.set()
        self.thread.join()
        self.control.close()


@pytest.fixture(scope="module")
def kernel():
    target = KernelTarget()
    try:
        target.wait_ready()
        yield target
    finally:
        target.release()
    assert target.boot.code == 0, target.boot.output


@pytest.fixture
def perf(program, kernel):
    """perf(*options, code=0): what it printed, as JSON; its standard error after a refusal."""
    def run(*options, code=0, nqn=NQN, hostnqn=HOSTNQN):
        done = subprocess.run(
            [str(program("cyborg-spdk-perf")), "--addr", f"127.0.0.1:{kernel.port}",
             "--hostnqn", hostnqn, *(["--nqn", nqn] if nqn else []), "--json", "--quiet",
             *map(str, options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=PATIENCE, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if code == 0 else done.stderr
    return run


def test_discover(perf):
    records = perf("--discover", nqn=None)["records"]
    record, = [r for r in records if r["subnqn"] == NQN]
    assert (record["trtype"], record["traddr"], record["trsvcid"]) == ("TCP", "10.0.2.15", "4420")


def test_identify(perf):
    answer = perf("--identify", "--prove")
    assert answer["subnqn"] == NQN
    ctrlr = answer["controller"]
    assert (ctrlr["serial"], ctrlr["model"]) == (SERIAL, MODEL)
    spaces = {ns["nsid"]: (ns["block_size"], ns["bytes"]) for ns in answer["namespaces"]}
    assert spaces == {1: (512, SIZE), 2: (4096, SIZE)}


@pytest.mark.parametrize("nsid", [1, 2])
@pytest.mark.parametrize("digests", [[], ["--hdgst"], ["--ddgst"], ["--hdgst", "--ddgst"]],
                         ids=["no-digest", "header", "data", "both"])
def test_verify(perf, nsid, digests):
    perf("-w", "verify", "--nsid", nsid, "-o", "64K", "-q", 8, "--length", "4M", *digests)


@pytest.mark.parametrize("size,count", [("4K", 300), ("32K", 100), ("1M", 20)])
def test_mixed_and_verified(perf, size, count):
    perf("-w", "randrw", "--verify", "-o", size, "-q", 16, "-P", 2, "-n", count, "--length", "8M")


def test_pattern_outlives_the_run(perf):
    perf("-w", "write", "--verify-pattern", "persistent", "--seed", 7, "-o", "128K",
         "--length", "4M", "--nsid", 2)
    perf("--verify-only", "--seed", 7, "-o", "16K", "--length", "4M", "--nsid", 2)
    perf("--verify-only", "--seed", 8, "-o", "16K", "--length", "4M", "--nsid", 2, code=5)


def test_other_host_is_refused(perf):
    text = perf("--identify", code=3, hostnqn="nqn.2014-08.org.nvmexpress:uuid:"
                "99999999-2222-3333-4444-555555555555")
    assert NQN in text


def test_unknown_subsystem_is_refused(perf):
    assert NQN + "x" in perf("--identify", code=3, nqn=NQN + "x")

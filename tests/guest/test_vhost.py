# SPDX-License-Identifier: Apache-2.0
"""Attachments over vhost-user-blk, seen from within a virtual machine whose QEMU is given the words
that attach answers. Its target is replaced and killed under it.

CYBORG_SPDK_REAL_TGT  command that starts a real target without hugepages, followed by the path of
                      its RPC socket and further arguments; it was built --with-vhost
"""

import os
import re
import signal

import pytest

from conftest import Cli, RpcClient, vhost_kit, wait_until
from guest_kit import Control, boot, steps_of

MEMORY = "256M"
SHARED = (f"-object memory-backend-memfd,id=shared,size={MEMORY},share=on "
          "-machine memory-backend=shared")
SIZE = 8 << 20


class Machine:
    """A store on a real SPDK, and two instances of one virtual machine attached to it."""

    def __init__(self, cli, kit):
        self.cli = cli
        self.other = cli.dir / "other"
        self.other.write_bytes(kit.read_bytes())
        self.other.chmod(0o755)
        cli("install", "a", "--backing", cli.dir / "backing", "--size", "64M", "--store", "pool",
            "--cluster-size", "64K", "--target", kit, "--no-huge")

    def attach(self):
        self.written = self.cli("attach", "vm1", "--size", SIZE, "--transport", "vhost-user-blk",
                                "--qos", "rw_mb=900")
        self.shown = self.cli("attach", "vm2", "--volume", "vm1", "--read-only",
                              "--transport", "vhost-user-blk")

    def boot(self, script, *words):
        return boot(script, *words, memory=MEMORY, seconds=240,
                    qemu=[SHARED, self.written["command"], self.shown["command"]])

    def refuse_detach(self):
        failure = self.cli.refused("detach", "vm1", "--wait", "0.1s")
        assert "a machine still has" in failure.message
        sessions = [s for k in self.controllers() for s in k["sessions"]]
        assert len(sessions) == 2 and all(s["started"] for s in sessions)

    def controllers(self):
        with RpcClient(self.cli.socket()) as rpc:
            return rpc.call("vhost_get_controllers")

    def update(self):
        assert self.cli("update", "a", "--target", self.other)["stall_ns"] > 0
        self.wait_machine()

    def kill(self):
        target = self.cli.pids()[1]
        os.kill(target, signal.SIGKILL)
        wait_until(lambda: self.cli.pids()[1] not in (0, target), "the supervisor's next start")
        self.wait_machine()

    def wait_machine(self):
        """Until it has connected again."""
        def connected():
            try:
                return all(k["sessions"] for k in self.controllers())
            except OSError:
                return False
        wait_until(connected, "the machine")

    def life(self):
        self.attach()
        control = Control(detach=self.refuse_detach, attach=self.attach, update=self.update,
                          kill=self.kill)
        try:
            serial = self.written["attachment"]["bdev"][:20]
            first = self.boot("vhost.sh", control.port, serial, SIZE // 512)
        finally:
            control.close()
        health = self.cli.status()
        for instance in "vm2", "vm1":
            self.cli("detach", instance)
        self.attach()
        found = re.search(r"sum (\w+)", first.output)
        again = self.boot("vhost-again.sh", found[1] if found else "none", SIZE // 512)
        return {"vhost.sh": first, "vhost-again.sh": again}, health


@pytest.fixture(scope="module")
def run(program):
    program("cyborg-spdk-supervise")
    cli = Cli(program("cyborg-spdk"))
    try:
        yield Machine(cli, vhost_kit(cli)).life()
    finally:
        cli.remove()


SCRIPTS = ["vhost.sh", "vhost-again.sh"]


@pytest.mark.parametrize("script, step", [(x, s) for x in SCRIPTS for s in steps_of(x)])
def test_machine(run, script, step):
    run[0][script].check(step)


def test_all_is_well_afterwards(run):
    assert all(boot.code == 0 for boot in run[0].values())
    assert run[1]["health"] == "ok", run[1]["accelerators"][0]["drift"]

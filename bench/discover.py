#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""discover on a target with many bdevs and subsystems, against SPDK's rpc.py doing the same calls.

Wall time of the whole `cyborg-spdk discover --json` (process, the node's devices, kits, targets) to
that of rpc.py, called once for each method that discover asks; both in turn, medians of several.
rpc.py with all calls in one process, its best, is told as well.

CYBORG_SPDK_REAL_RPC  command of SPDK's rpc.py; without it a client of our own that does nothing but
                      one call a process stands in, and the rows say so
CYBORG_SPDK_REAL_TGT  a real target, see tests/real_spdk.py: measured as well
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_kit as kit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import real_spdk  # noqa: E402

GOAL_RATIO = 50.0
CALLS = ("spdk_get_version", "rpc_get_methods", "bdev_get_bdevs", "bdev_lvol_get_lvstores",
         "nvmf_get_transports", "nvmf_get_subsystems", "vhost_get_controllers", "thread_get_stats",
         "framework_get_reactors")
STAND_IN = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
for method in sys.argv[2:]:
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode())
    text = b""
    while True:
        text += s.recv(1 << 20)
        try:
            answer = json.loads(text)
            break
        except ValueError:
            pass
    print(json.dumps(answer.get("result"), indent=2))
"""


class RealTarget:
    """A real target."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="csb-"))
        self.sock = self.dir / "spdk.sock"
        self.process = real_spdk.start(self.sock, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.rpc = self.first_connection(time.monotonic() + kit.PATIENCE)

    def first_connection(self, until):
        while True:
            try:
                rpc = kit.Rpc(self.sock)
                rpc.call("framework_wait_init")
                return rpc
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    sys.exit("the real target did not come up")
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(kit.PATIENCE)
        shutil.rmtree(self.dir, ignore_errors=True)


def fill(rpc, bdevs, subsystems):
    """Null bdevs, the first of them shown in a subsystem each."""
    port = str(kit.free_port())
    for i in range(bdevs):
        rpc.call("bdev_null_create", name=f"null{i}", block_size=512, num_blocks=2048)
    rpc.call("nvmf_create_transport", trtype="TCP")
    for i in range(subsystems):
        nqn = f"{kit.NQN}{i}"
        rpc.call("nvmf_create_subsystem", nqn=nqn, allow_any_host=True, serial_number=f"B{i}")
        rpc.call("nvmf_subsystem_add_ns", nqn=nqn, namespace={"bdev_name": f"null{i}"})
        rpc.call("nvmf_subsystem_add_listener", nqn=nqn, listen_address={
            "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": port})


def timed(command, text=None):
    begin = time.monotonic()
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return time.monotonic() - begin, done


def discover(state, sock, bdevs, subsystems):
    """Seconds of one discover, whose answer is held to what the target has."""
    seconds, done = timed([kit.program("cyborg-spdk"), "discover", "--json", "--state-dir", state])
    if done.returncode:
        sys.exit(f"discover: {done.stderr.decode()}")
    found = [t for t in json.loads(done.stdout)["targets"] if t["socket"] == str(sock)]
    if not found or len(found[0]["bdevs"]) != bdevs or len(found[0]["subsystems"]) <= subsystems:
        sys.exit("discover did not see all that the target has")
    return seconds


class Client:
    """Who makes the same calls."""

    def __init__(self, has):
        command = real_spdk.client() if os.environ.get("CYBORG_SPDK_REAL_RPC") else None
        self.calls = [call for call in CALLS if call in has]
        self.command = command
        self.name = "rpc.py" if command else "one-call client (no rpc.py is named)"

    def one(self, sock, call):
        if self.command:
            seconds, done = timed([*self.command, "-s", str(sock), call])
        else:
            seconds, done = timed([sys.executable, "-c", STAND_IN, str(sock), call])
        if done.returncode:
            sys.exit(f"{call}: {done.stderr.decode()}")
        return seconds

    def each(self, sock):
        return sum(self.one(sock, call) for call in self.calls)

    def at_once(self, sock):
        if self.command:
            return timed([*self.command, "-s", str(sock)], "\n".join(self.calls).encode())[0]
        return timed([sys.executable, "-c", STAND_IN, str(sock), *self.calls])[0]


def measure(goals, name, target, args):
    fill(target.rpc, args.bdevs, args.subsystems)
    client = Client(target.rpc.call("rpc_get_methods"))
    target.rpc.close()
    state = tempfile.mkdtemp(prefix="csb-")
    ours, theirs, best = [], [], []
    for _ in range(args.runs):
        ours.append(discover(state, target.sock, args.bdevs, args.subsystems))
        theirs.append(client.each(target.sock))
        best.append(client.at_once(target.sock))
    shutil.rmtree(state)
    note = f"spread {kit.spread(ours):.0%} and {kit.spread(theirs):.0%}"
    goals.add(f"{name}: discover", kit.median(ours) * 1e3, None, "ms")
    goals.add(f"{name}: {client.name}, a process a call", kit.median(theirs) * 1e3, None, "ms",
              note=f"{len(client.calls)} calls")
    goals.add(f"{name}: {client.name}, all in one process", kit.median(best) * 1e3, None, "ms")
    goals.add(f"{name}: process a call / discover", kit.median(theirs) / kit.median(ours),
              GOAL_RATIO if client.command else None, "x", at_least=True, note=note)
    return {"discover_s": ours, "process_a_call_s": theirs, "one_process_s": best,
            "client": client.name}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--bdevs", type=int, default=1000)
    p.add_argument("--subsystems", type=int, default=200)
    p.add_argument("--runs", type=int, default=7)
    p.add_argument("--json", metavar="FILE", help="also write the figures there")
    args = p.parse_args()
    goals, figures = kit.Goals(), {}
    with kit.Target("-m", hex(1 << kit.cores()[0]), "--disable-cpumask-locks") as target:
        figures["engine"] = measure(goals, "engine", target, args)
    if os.environ.get("CYBORG_SPDK_REAL_TGT"):
        with RealTarget() as target:
            figures["spdk"] = measure(goals, "real SPDK", target, args)
    print(f"discover with {args.bdevs} bdevs and {args.subsystems} subsystems:")
    goals.print()
    if args.json:
        Path(args.json).write_text(json.dumps({**figures, "goals": goals.rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()

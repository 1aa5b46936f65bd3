# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: programs, targets, CPU time of processes, medians, goals.

CYBORG_SPDK_BIN    folder of the built programs (default: build/bin of this repository)
CYBORG_SPDK_BUILD  folder they were built in (default: build/meson)
"""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
BIN = Path(os.environ.get("CYBORG_SPDK_BIN", REPOSITORY / "build" / "bin")).resolve()
NQN = "nqn.2024-01.org.example:bench"
PATIENCE = 30.0


def program(name):
    path = BIN / name
    if not path.exists():
        sys.exit(f"{path} is not built: run `make build` or set CYBORG_SPDK_BIN")
    return str(path)


def cores():
    """The cores of this process, in order."""
    return sorted(os.sched_getaffinity(0))


def compile_c(name, folder):
    """A C program of this folder, built for this machine."""
    out = Path(folder) / name
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", str(out),
                    str(REPOSITORY / "bench" / f"{name}.c")], check=True)
    return str(out)


def built(name):
    """A program of this folder that is built with the engine, in CYBORG_SPDK_BUILD."""
    build = Path(os.environ.get("CYBORG_SPDK_BUILD", REPOSITORY / "build" / "meson"))
    subprocess.run(["ninja", "-C", str(build), f"bench/{name}"], check=True,
                   stdout=subprocess.DEVNULL)
    return str(build / "bench" / name)


def callgrind(command):
    """User instructions of a command that says when to begin counting; None without valgrind."""
    if not shutil.which("valgrind"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        subprocess.run(["valgrind", "--tool=callgrind", "--instr-atstart=no",
                        f"--callgrind-out-file={out}", *command],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return int(re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)[1])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Rpc:
    """JSON-RPC over the target's socket, one request at a time."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(path))

    def raw(self, text):
        """Send one request and read its answer, as bytes."""
        self.sock.sendall(text)
        data = b""
        while not data.endswith(b"\n"):
            piece = self.sock.recv(1 << 16)
            if not piece:
                raise ConnectionError("the target closed the connection")
            data += piece
            if complete(data):
                break
        return data

    def call(self, method, **params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method}
        if params:
            request["params"] = params
        answer = json.loads(self.raw(json.dumps(request).encode()))
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def close(self):
        self.sock.close()


def complete(data):
    """A whole JSON text, should the target not end it by a newline."""
    try:
        json.loads(data)
        return True
    except ValueError:
        return False


class Target:
    """A cyborg-spdk-tgt of our own."""

    def __init__(self, *options, prefix=(), patience=PATIENCE):
        self.dir = Path(tempfile.mkdtemp(prefix="csb-"))
        self.sock = self.dir / "rpc.sock"
        self.log = open(self.dir / "log", "wb")
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [*prefix, program("cyborg-spdk-tgt"), "-r", str(self.sock), *options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        self.rpc = self.first_connection(patience)

    @property
    def pid(self):
        return self.process.pid

    def first_connection(self, patience):
        while True:
            try:
                return Rpc(self.sock)
            except OSError:
                if self.process.poll() is not None or time.monotonic() > self.begun + patience:
                    text = (self.dir / "log").read_text(errors="replace")
                    self.stop()
                    sys.exit(f"the target did not come up:\n{text}")
                time.sleep(0.0001)

    def export(self, megabytes=1, block_size=4096):
        """A memory-backed namespace on a port of 127.0.0.1, for any host; the port."""
        port = free_port()
        self.rpc.call("bdev_malloc_create", name="disk", block_size=block_size,
                      num_blocks=megabytes * (1 << 20) // block_size)
        self.rpc.call("nvmf_create_transport", trtype="TCP")
        self.rpc.call("nvmf_create_subsystem", nqn=NQN, allow_any_host=True, serial_number="BENCH")
        self.rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "disk"})
        self.rpc.call("nvmf_subsystem_add_listener", nqn=NQN, listen_address={
            "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(port)})
        return port

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def cpu_ns(pid):
    """CPU time of a process with all its threads, in nanoseconds."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass
    return total


def rss_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def median(values):
    return statistics.median(values)


def spread(values):
    """Largest distance from the median, as a share of it."""
    middle = median(values)
    return max(abs(v - middle) for v in values) / middle if middle else 0.0


def busy_share():
    """Share of all CPU time that others use now: how far figures can be trusted."""
    def read():
        fields = [int(f) for f in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]
    total, idle = read()
    time.sleep(0.5)
    total2, idle2 = read()
    return 1 - (idle2 - idle) / max(1, total2 - total)


class Goals:
    """Goals with what was measured; printed as they come."""

    def __init__(self):
        self.rows = []

    def add(self, name, value, limit, unit, at_least=False, note=""):
        met = None if limit is None else value >= limit if at_least else value <= limit
        self.rows.append({"name": name, "value": value, "goal": limit, "unit": unit,
                          "at_least": at_least, "met": met, "note": note})

    def print(self, out=sys.stdout):
        for row in self.rows:
            goal = "" if row["goal"] is None else (
                f"goal {'>=' if row['at_least'] else '<='} {row['goal']:g}: "
                f"{'met' if row['met'] else 'NOT MET'}")
            print(f"  {row['name']:<44} {row['value']:>10.3f} {row['unit']:<6} {goal}"
                  f"{'  (' + row['note'] + ')' if row['note'] else ''}", file=out)

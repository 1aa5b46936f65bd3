#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cost of 4 KiB random reads over NVMe/TCP, against a bare program that moves the same bytes.

The target has one reactor on one core, the host (cyborg-spdk-perf) one on another; the bare
server and client stand on the same cores, while the target is stopped. All four spin. Rounds
alternate between both pairs. Each ratio is of two medians; beside it is the largest distance of a
round from its median, for either side. Both read a region of 1 MiB, so that it is the protocol that
is measured and not the memory.

CPU time of an I/O: the share of a core that the serving process used, divided by I/Os a second.
Since it spins, that is the time of the slower of both ends, as it is for the bare pair.
Latency at depth 1: the median round trip that the host saw, against the bare ping-pong's.
Instructions of an I/O: the slope between a short and a long run, so that starting up cancels out:
from hardware counters where there are any, else from callgrind, which sees user code only (and then
for both; system calls of the kernel are not in it).
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import bench_kit as kit

DEPTHS = (1, 32, 128)
GOAL_CPU_128 = 1.5
GOAL_LATENCY = 1.3
SLOPE_SHORT, SLOPE_LONG = 2000, 12000


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--addr", help="measure this NVMe/TCP target (ADDRESS:PORT) instead of our own")
    p.add_argument("--nqn", default=kit.NQN, help="its subsystem")
    p.add_argument("--pid", type=int, help="its process, for CPU time and instructions")
    p.add_argument("--pause", action="store_true",
                   help="stop that process (SIGSTOP) while the bare pair runs on its core")
    p.add_argument("--target-core", type=int, help="core of the target (the first)")
    p.add_argument("--host-core", type=int, help="core of the host (the second)")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=1.0, help="of each round and side")
    p.add_argument("--depths", default=",".join(map(str, DEPTHS)))
    p.add_argument("--no-instructions", action="store_true")
    p.add_argument("--json", metavar="FILE", help="also write the figures there")
    return p.parse_args()


class Side:
    """A target to measure: our own, started here, or one whose address was given."""

    def __init__(self, args):
        self.args = args
        self.own = None
        if not args.addr:
            self.own = kit.Target("-m", hex(1 << args.target_core), "--poll",
                                  "--disable-cpumask-locks")
            self.addr = f"127.0.0.1:{self.own.export()}"
            self.pid = self.own.pid
        else:
            self.addr, self.pid = args.addr, args.pid

    def stop(self):
        if self.own:
            self.own.stop()

    def pause(self, on):
        """A target that spins would share its core with the bare server."""
        if self.own or (self.args.pause and self.pid):
            os.kill(self.pid, signal.SIGSTOP if on else signal.SIGCONT)

    def perf(self, depth, *options):
        return perf(self.addr, self.args, depth, *options)

    def round(self, depth):
        """One measurement: I/Os a second, CPU share of the target, round trip."""
        before = kit.cpu_ns(self.pid) if self.pid else 0
        answer, wall = timed(self.perf, depth, "-t", str(self.args.seconds), "--poll")
        share = (kit.cpu_ns(self.pid) - before) / wall if self.pid else None
        return {"iops": answer["read"]["iops"], "share": share,
                "p50_us": answer["read"]["latency_us"]["p50"],
                "host_cpu_us": answer["cpu_us_per_io"]}


def timed(call, *args):
    import time  # pylint: disable=import-outside-toplevel
    begin = time.monotonic_ns()
    value = call(*args)
    return value, time.monotonic_ns() - begin


def perf(addr, args, depth, *options, core=None):
    core = args.host_core if core is None else core
    done = subprocess.run(
        [kit.program("cyborg-spdk-perf"), "--addr", addr, "--nqn", args.nqn, "--json", "--quiet",
         "-m", hex(1 << core), "--disable-cpumask-locks", "-w", "randread", "-o", "4096", "-q", str(depth), *options],
        stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"cyborg-spdk-perf left with {done.returncode}")
    return json.loads(done.stdout)


def bare_round(bare, args, depth):
    done = subprocess.run([bare, str(depth), str(args.seconds), str(args.target_core),
                           str(args.host_core)], stdout=subprocess.PIPE, text=True, check=True)
    answer = json.loads(done.stdout)
    return {"iops": answer["iops"], "share": answer["server_cpu_share"],
            "p50_us": answer["p50_us"], "host_cpu_us": answer["client_cpu_us_per_io"]}


def cpu_us(round_):
    return None if round_["share"] is None else round_["share"] * 1e6 / round_["iops"]


def measure_depth(side, bare, args, depth):
    ours, bares = [], []
    for _ in range(args.rounds):
        side.pause(True)
        try:
            bares.append(bare_round(bare, args, depth))
        finally:
            side.pause(False)
        ours.append(side.round(depth))
    figures = {"depth": depth, "rounds": {"target": ours, "bare": bares}}
    if side.pid:
        a, b = [cpu_us(r) for r in ours], [cpu_us(r) for r in bares]
        figures["cpu"] = {"target_us": kit.median(a), "bare_us": kit.median(b),
                          "ratio": kit.median(a) / kit.median(b),
                          "spread": [kit.spread(a), kit.spread(b)]}
    a, b = [1e6 / r["iops"] for r in ours], [1e6 / r["iops"] for r in bares]
    figures["per_io"] = {"target_us": kit.median(a), "bare_us": kit.median(b),
                         "ratio": kit.median(a) / kit.median(b),
                         "spread": [kit.spread(a), kit.spread(b)]}
    if depth == 1:
        a, b = [r["p50_us"] for r in ours], [r["p50_us"] for r in bares]
        figures["latency"] = {"target_us": kit.median(a), "bare_us": kit.median(b),
                              "ratio": kit.median(a) / kit.median(b),
                              "spread": [kit.spread(a), kit.spread(b)]}
    figures["host_cpu_us"] = kit.median([r["host_cpu_us"] for r in ours])
    return figures


# --- instructions -------------------------------------------------------------------------------

def have_counters():
    """Hardware counters of instructions, for this user."""
    if not shutil.which("perf"):
        return False
    done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions", "true"],
                          stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode == 0 and done.stderr.split(",")[0].isdigit()


def counted(command):
    """Instructions of a command, kernel included."""
    done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions", *command],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return int(done.stderr.split(",")[0])


def counted_process(pid, call):
    """Instructions of a running process while call() runs, kernel included."""
    watch = subprocess.Popen(["perf", "stat", "-x,", "-e", "instructions", "-p", str(pid)],
                             stderr=subprocess.PIPE, text=True)
    call()
    watch.send_signal(2)
    return int(watch.communicate()[1].split(",")[0])


def callgrind_total(folder):
    """Instructions in the outputs of callgrind of all processes that left one."""
    totals = {}
    for path in Path(folder).glob("callgrind.*"):
        found = re.search(r"^(?:totals|summary): (\d+)", path.read_text(), re.MULTILINE)
        totals[path.name] = int(found[1]) if found else 0
    return totals


def callgrind_target(args, depth, count):
    """User instructions of our target in a run of @count reads."""
    with tempfile.TemporaryDirectory() as folder:
        target = kit.Target("-m", hex(1 << args.target_core), "--disable-cpumask-locks", patience=60, prefix=[
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.%p"])
        try:
            perf(f"127.0.0.1:{target.export()}", args, depth, "-n", str(count))
        finally:
            target.stop()
        return sum(callgrind_total(folder).values())


def callgrind_bare(bare, args, depth, count):
    """User instructions of the bare server: it is the process that spins less in this setting."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--trace-children=yes",
             f"--callgrind-out-file={folder}/callgrind.%p", bare, str(depth), "60",
             str(args.target_core), str(args.host_core), str(count)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process.wait()
        totals = callgrind_total(folder)
        return sum(n for name, n in totals.items() if not name.endswith(f".{process.pid}"))


def slope(run):
    """Instructions of one I/O: what a longer run has more, divided by its more I/Os."""
    return (run(SLOPE_LONG) - run(SLOPE_SHORT)) / (SLOPE_LONG - SLOPE_SHORT)


def instructions(side, bare, args, depth):
    if have_counters() and side.pid:
        ours = slope(lambda n: counted_process(
            side.pid, lambda: side.perf(depth, "-n", str(n), "--poll")))
        bares = slope(lambda n: counted([bare, str(depth), "60", str(args.target_core),
                                         str(args.host_core), str(n)]))
        return {"target": ours, "bare": bares, "ratio": ours / bares,
                "source": "counters, kernel included; bare: server and client"}
    if not side.own or not shutil.which("valgrind"):
        return None
    side.pause(True)
    try:
        ours = slope(lambda n: callgrind_target(args, depth, n))
        bares = slope(lambda n: callgrind_bare(bare, args, depth, n))
    finally:
        side.pause(False)
    return {"target": ours, "bare": bares, "ratio": ours / bares if bares > 0 else None,
            "source": "callgrind, user code only"}


# --- the whole ----------------------------------------------------------------------------------

def run(args):
    result = {"depths": [], "busy_before": kit.busy_share()}
    with tempfile.TemporaryDirectory() as folder:
        bare = kit.compile_c("bare_tcp", folder)
        side = Side(args)
        try:
            for depth in map(int, args.depths.split(",")):
                figures = measure_depth(side, bare, args, depth)
                if not args.no_instructions:
                    figures["instructions"] = instructions(side, bare, args, depth)
                result["depths"].append(figures)
                show(figures)
        finally:
            side.stop()
    return result


def line(name, f, unit="us"):
    return (f"  {name:<26} target {f['target_us']:8.3f} {unit}   bare {f['bare_us']:8.3f} {unit}   "
            f"ratio {f['ratio']:.2f}   spread {f['spread'][0]:.0%} and {f['spread'][1]:.0%}")


def show(figures):
    print(f"4 KiB reads, depth {figures['depth']}:")
    if "cpu" in figures:
        print(line("CPU time an I/O", figures["cpu"]))
    print(line("wall time an I/O", figures["per_io"]))
    if "latency" in figures:
        print(line("round trip, median", figures["latency"]))
    print(f"  {'CPU time of the host':<26} {figures['host_cpu_us']:.3f} us an I/O")
    if figures.get("instructions"):
        f = figures["instructions"]
        ratio = f"ratio {f['ratio']:.2f}" if f["ratio"] else "no ratio"
        print(f"  {'instructions an I/O':<26} target {f['target']:8.0f}      "
              f"bare {f['bare']:8.0f}      {ratio}   ({f['source']})")
    sys.stdout.flush()


def goals(result):
    g = kit.Goals()
    for figures in result["depths"]:
        if "cpu" in figures:
            g.add(f"CPU time of a 4 KiB read, depth {figures['depth']}", figures["cpu"]["ratio"],
                  GOAL_CPU_128 if figures["depth"] == 128 else None, "x bare")
        if "latency" in figures:
            g.add("latency at depth 1", figures["latency"]["ratio"], GOAL_LATENCY, "x bare")
    return g


def main():
    args = parse()
    have = kit.cores()
    if len(have) < 2:
        sys.exit("two cores are needed, one for each spinning end")
    args.target_core = have[0] if args.target_core is None else args.target_core
    args.host_core = have[1] if args.host_core is None else args.host_core
    result = run(args)
    g = goals(result)
    result["goals"] = g.rows
    shares = [r["share"] for d in result["depths"] for r in d["rounds"]["bare"]]
    if result["busy_before"] > 0.1 or min(shares) < 0.9:
        print(f"Other programs used {result['busy_before']:.0%} of this machine before, and the "
              f"bare server got down to {min(shares):.0%} of its core: do not trust these figures.")
    g.print()
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    main()

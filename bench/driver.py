#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Latency of attach and detach, with proof of the data path, on an engine over a file.

Each call is the whole command, from starting the process to its end. Of a new thin volume on a
store, and of a whole backing. Beside it what the database's synchronous writes took of it: strace
tells that of other calls, made in turns with these, since it makes a call longer itself.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_kit as kit

GOAL_MS = 20.0
HOST = "nqn.2016-06.io.spdk:bench"
SYNC = re.compile(r"f(?:data)?sync\(\d+<([^>]*)>\).*<([\d.]+)>$")


class Node:
    """The command with a state directory of its own and one accelerator."""

    def __init__(self, *install):
        self.dir = Path(tempfile.mkdtemp(prefix="csb-"))
        self.env = {**os.environ, "CYBORG_SPDK_STATE_DIR": str(self.dir / "state"),
                    "CYBORG_SPDK_BIN": str(kit.BIN)}
        self.command = kit.program("cyborg-spdk")
        self.call("install", "a", "--backing", str(self.dir / "file"), "--size", "64M", *install)

    def call(self, *words, prefix=()):
        """Milliseconds."""
        begun = time.monotonic()
        done = subprocess.run([*prefix, self.command, *words], env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{words}: {done.stderr}")
        return (time.monotonic() - begun) * 1e3

    def traced(self, *words):
        """Milliseconds of the database's synchronous writes, and how many those and others are."""
        trace = self.dir / "trace"
        self.call(*words, prefix=("strace", "-f", "--seccomp-bpf", "-qq", "-y", "-T", "-e",
                                  "trace=fsync,fdatasync", "-o", str(trace)))
        found = [m for m in map(SYNC.search, trace.read_text().splitlines()) if m]
        mine = [float(m[2]) * 1e3 for m in found if "/state.db" in m[1]]
        return {"db_ms": sum(mine), "db_syncs": len(mine), "other_syncs": len(found) - len(mine)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.command, "uninstall", "a"], env=self.env, stdout=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)


def measure(goals, name, install, attach, detach, runs):
    """Plain and traced calls in turns, so that what else the machine does meets both."""
    plain = {"attach": [], "detach": []}
    traced = {"attach": [], "detach": []}
    with Node(*install) as node:
        for n in range(runs):
            for verb, words in (("attach", attach), ("detach", detach)):
                plain[verb].append(node.call(verb, "vm1", *words))
            if not shutil.which("strace"):
                continue
            for verb, words in (("attach", attach), ("detach", detach)):
                traced[verb].append(node.traced(verb, "vm1", *words))
    for verb in plain:
        whole = kit.median(plain[verb])
        goals.add(f"{verb}, {name}", whole, None, "ms")
        if traced[verb]:
            syncs = kit.median([t["db_ms"] for t in traced[verb]])
            count = kit.median([t["db_syncs"] for t in traced[verb]])
            goals.add(f"{verb}, {name}: database's fsyncs", syncs, None, "ms",
                      note=f"{count:g} of them")
            goals.add(f"{verb}, {name}: besides them", whole - syncs, GOAL_MS, "ms")
    return {"plain_ms": plain, "traced": traced}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--runs", type=int, default=15)
    p.add_argument("--json", metavar="FILE", help="also write the figures there")
    args = p.parse_args()
    goals = kit.Goals()
    if not shutil.which("strace"):
        print("no strace: the database's fsyncs are not told apart", file=sys.stderr)
    figures = {
        "whole": measure(goals, "whole backing", [], ["--host", HOST], [], args.runs),
        "volume": measure(goals, "new volume", ["--store", "pool", "--cluster-size", "64K"],
                          ["--host", HOST, "--size", "4M"], ["--delete"], args.runs),
    }
    print(f"attach and detach, with proof, medians of {args.runs}; others use "
          f"{kit.busy_share():.0%} of the CPUs:")
    goals.print()
    if args.json:
        Path(args.json).write_text(json.dumps({**figures, "goals": goals.rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()

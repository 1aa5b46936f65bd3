#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the agent of a node takes: resident memory and CPU time, with accelerators to look after."""

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import bench_kit as kit

GOAL_RSS_MIB = 16.0
ACCELERATORS = 3
ATTACHMENTS = 2
HOST = "nqn.2016-06.io.spdk:bench"


class Node:
    """A state directory with accelerators, taken down at the end."""

    def __init__(self, folder):
        self.command = kit.program("cyborg-spdk")
        self.env = {**os.environ, "CYBORG_SPDK_STATE_DIR": str(folder / "state")}
        for i in range(ACCELERATORS):
            self.run("install", f"a{i}", "--memory", "8M")
        for i in range(ATTACHMENTS):
            self.run("attach", f"vm{i}", "--accelerator", f"a{i}", "--host", HOST)

    def run(self, *words):
        subprocess.run([self.command, *words], env=self.env, check=True,
                       stdout=subprocess.DEVNULL)

    def close(self):
        for i in range(ATTACHMENTS):
            self.run("detach", f"vm{i}", "--force")
        for i in range(ACCELERATORS):
            self.run("uninstall", f"a{i}")


def measure(node, interval, seconds):
    port = kit.free_port()
    agent = subprocess.Popen([kit.program("cyborg-spdk-agent"), "--interval", str(interval),
                              "--listen", f"127.0.0.1:{port}"], env=node.env,
                             stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        before, begin = kit.cpu_ns(agent.pid), time.monotonic()
        while time.monotonic() < begin + seconds:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read()
            urllib.request.urlopen(f"http://127.0.0.1:{port}/status").read()
            time.sleep(interval)
        wall = time.monotonic() - begin
        looks = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/status"))["agent"]
        return {"rss_mib": kit.rss_kib(agent.pid) / 1024, "looks": looks["looks"],
                "cpu_ms_a_look": (kit.cpu_ns(agent.pid) - before) / 1e6 / (wall / interval)}
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interval", type=float, default=0.1, help="seconds between two looks")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="csb-") as folder:
        node = Node(Path(folder))
        try:
            seen = measure(node, args.interval, args.seconds)
        finally:
            node.close()
    print(f"The agent, {ACCELERATORS} accelerators, {ATTACHMENTS} attachments, "
          f"{seen['looks']} looks, each with a scrape:")
    g = kit.Goals()
    g.add("resident memory of the agent", seen["rss_mib"], GOAL_RSS_MIB, "MiB")
    g.add("CPU time of the agent a look", seen["cpu_ms_a_look"], None, "ms")
    g.print()
    if args.json:
        Path(args.json).write_text(json.dumps({**seen, "goals": g.rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()

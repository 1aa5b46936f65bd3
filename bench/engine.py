#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Start-up, idle cost and RPC rate of cyborg-spdk-tgt.

Start-up: from starting the process until an RPC is answered (median of several).
Idle: one reactor, the NVMe/TCP transport, no connection; CPU time over some seconds; resident memory.
RPC: small requests on one connection, one after the other and sixteen in flight.
"""

import argparse
import json
import time
from pathlib import Path

import bench_kit as kit

GOAL_START_MS = 30.0
GOAL_IDLE_PERCENT = 1.0
GOAL_RSS_MIB = 32.0
GOAL_RPC = 10000.0
REQUEST = b'{"jsonrpc":"2.0","id":1,"method":"spdk_get_version"}'
IN_FLIGHT = 16


def options():
    return "-m", hex(1 << kit.cores()[0]), "--disable-cpumask-locks"


def start_ms():
    with kit.Target(*options()) as target:
        target.rpc.call("spdk_get_version")
        return (time.monotonic() - target.begun) * 1e3


def idle(seconds):
    with kit.Target(*options()) as target:
        target.rpc.call("nvmf_create_transport", trtype="TCP")
        time.sleep(1)
        before = kit.cpu_ns(target.pid)
        time.sleep(seconds)
        cpu = (kit.cpu_ns(target.pid) - before) / (seconds * 1e9) * 100
        return {"cpu_percent": cpu, "rss_mib": kit.rss_kib(target.pid) / 1024}


def rate_one_by_one(rpc, seconds):
    answer = rpc.raw(REQUEST)
    sock, size, count = rpc.sock, len(answer), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(100):
            sock.sendall(REQUEST)
            got = len(sock.recv(65536))
            while got < size:
                got += len(sock.recv(65536))
        count += 100
    return count / seconds


def rate_pipelined(rpc, seconds):
    """Sixteen requests a send; the next when all their answers came."""
    size = len(rpc.raw(REQUEST)) * IN_FLIGHT
    sock, batch, count = rpc.sock, REQUEST * IN_FLIGHT, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sock.sendall(batch)
        got = 0
        while got < size:
            got += len(sock.recv(65536))
        count += IN_FLIGHT
    return count / seconds


def rpc_rates(seconds):
    with kit.Target(*options()) as target:
        return {"one_by_one": rate_one_by_one(target.rpc, seconds),
                "in_flight_16": rate_pipelined(target.rpc, seconds)}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    p.add_argument("--starts", type=int, default=15)
    p.add_argument("--json", metavar="FILE", help="also write the figures there")
    args = p.parse_args()
    starts = [start_ms() for _ in range(args.starts)]
    quiet = idle(args.seconds)
    rates = rpc_rates(args.seconds)
    g = kit.Goals()
    g.add("start until the RPC answers, median", kit.median(starts), GOAL_START_MS, "ms",
          note=f"spread {kit.spread(starts):.0%}")
    g.add("CPU of an idle target", quiet["cpu_percent"], GOAL_IDLE_PERCENT, "%")
    g.add("resident memory of an idle target", quiet["rss_mib"], GOAL_RSS_MIB, "MiB")
    g.add("RPC, one request at a time", rates["one_by_one"], None, "/s")
    g.add("RPC on one connection, 16 in flight", rates["in_flight_16"], GOAL_RPC, "/s",
          at_least=True)
    print("The engine at rest and its RPC:")
    g.print()
    if args.json:
        Path(args.json).write_text(json.dumps(
            {"starts_ms": starts, "idle": quiet, "rpc": rates, "goals": g.rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()

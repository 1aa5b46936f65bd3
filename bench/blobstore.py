#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What logical volumes cost, as ratios within one run.

overhead   CPU time of the target for a 4 KiB random read over NVMe/TCP: a thick, written volume
           against its like without a volume, a bare file bdev (in memory where there is /dev/shm, so
           that no disk hides the cost) and a bare null bdev; namespaces of one target, which sleeps
           when it has nothing to do, in rounds that alternate.
lookup     the same on a store of 64 TiB over a null bdev: a volume of nearly all of it against one
           of a single cluster.
inside     the same within one program, without a network (volumes.c): a volume on a null bdev
           against that, and one of 63 TiB against one of a cluster; user instructions by callgrind.
thin       a 4 KiB write that allocates its cluster, at depth 1, against the same writes once more;
           and how many I/Os, bytes and flushes reach the base for it.
many       creating and deleting thin volumes; time of each and memory.
snapshot   of a 1 TiB volume with all clusters allocated: time, and the longest I/O beside it.
load       of stores in sparse files, half of the clusters allocated: 15 TiB, and 64 TiB in
           /dev/shm, since ext4 ends at 16 TiB. Clean and after SIGKILL, up to the end of the
           examination of all volumes; the metadata region read sequentially in MiBs; memory.
"""

import argparse
import fcntl
import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import bench_kit as kit

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
CLUSTER = 4 * MIB
MEMORY = Path("/dev/shm")
PARTS = ("overhead", "lookup", "inside", "thin", "many", "snapshot", "load")
GOAL_OVERHEAD = 1.03
GOAL_CLEAN_S = 0.5
GOAL_DIRTY = 3.0
GOAL_MEMORY = 2.0
READS = {32: 60000, 128: 60000}


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--parts", default=",".join(PARTS), help="some of them, with commas between")
    p.add_argument("--folder", default=os.environ.get("TMPDIR", "/var/tmp"),
                   help="where the sparse files are made (some 200 MiB are written)")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--volumes", type=int, default=10000, help="of parts many and load")
    p.add_argument("--json", metavar="FILE", help="also write the figures there")
    return p.parse_args()


# --- targets with files and stores --------------------------------------------------------------

def start():
    target = kit.Target("-m", hex(1 << kit.cores()[0]), "--disable-cpumask-locks")
    target.rpc.sock.settimeout(600)
    return target


def kill(target, path):
    target.process.kill()
    target.process.wait()
    target.stop()
    # With io_uring the files of a program are closed a moment after it is gone.
    with open(path, "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)


@contextmanager
def sparse(folder, size):
    """The path of a file without data."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="csb-") as file:
        os.truncate(file.name, size)
        yield file.name


def memory(folder):
    return MEMORY if MEMORY.is_dir() else folder


def add_file(target, name, path):
    target.rpc.call("bdev_uring_create", name=name, filename=path, block_size=4096)


def add_store(target, bdev, name="store"):
    target.rpc.call("bdev_lvol_create_lvstore", bdev_name=bdev, lvs_name=name, cluster_sz=CLUSTER)


def add_volume(target, name, size, thin=False, store="store"):
    target.rpc.call("bdev_lvol_create", lvs_name=store, lvol_name=name, size=size,
                    thin_provision=thin)
    return f"{store}/{name}"


def export(target, bdevs):
    """Namespaces 1, 2, ... of one subsystem; its address."""
    call, port = target.rpc.call, kit.free_port()
    call("nvmf_create_transport", trtype="TCP")
    call("nvmf_create_subsystem", nqn=kit.NQN, allow_any_host=True, serial_number="BENCH")
    for bdev in bdevs:
        call("nvmf_subsystem_add_ns", nqn=kit.NQN, namespace={"bdev_name": bdev})
    call("nvmf_subsystem_add_listener", nqn=kit.NQN, listen_address={
        "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(port)})
    return f"127.0.0.1:{port}"


def perf_start(addr, nsid, *options):
    return subprocess.Popen(
        [kit.program("cyborg-spdk-perf"), "--addr", addr, "--nqn", kit.NQN, "--json", "--quiet",
         "-m", hex(1 << kit.cores()[-1]), "--disable-cpumask-locks", "--nsid", str(nsid),
         *map(str, options)], stdout=subprocess.PIPE, text=True)


def perf_end(process):
    text = process.communicate()[0]
    if process.returncode != 0:
        sys.exit(f"cyborg-spdk-perf left with {process.returncode}")
    return json.loads(text)


def perf(*args):
    return perf_end(perf_start(*args))


def timed(call, *args, **params):
    begin = time.monotonic()
    call(*args, **params)
    return time.monotonic() - begin


# --- overhead -----------------------------------------------------------------------------------

def cpu_us(target, addr, nsid, depth):
    """CPU time of the target for one random read."""
    before = kit.cpu_ns(target.pid)
    perf(addr, nsid, "-w", "randread", "-o", 4096, "-q", depth, "-n", READS[depth])
    return (kit.cpu_ns(target.pid) - before) / 1e3 / READS[depth]


def compare(target, addr, depth, rounds):
    """Namespace 2 against namespace 1; the ratio of each pair of rounds is near in time."""
    bare, volume = [], []
    for i in range(rounds):
        for nsid in ((1, 2), (2, 1))[i % 2]:
            (bare, volume)[nsid - 1].append(cpu_us(target, addr, nsid, depth))
    ratios = [v / b for v, b in zip(volume, bare)]
    return {"depth": depth, "bare_us": kit.median(bare), "volume_us": kit.median(volume),
            "ratio": kit.median(ratios), "ratios": ratios,
            "spread": [kit.spread(bare), kit.spread(volume)]}


def tell(name, f, g, goal=None):
    g.add(f"{name}, depth {f['depth']}", f["ratio"], goal, "x",
          note=f"{f['volume_us']:.2f} and {f['bare_us']:.2f} us, spread {f['spread'][1]:.0%} and "
               f"{f['spread'][0]:.0%}, ratios {min(f['ratios']):.2f} to {max(f['ratios']):.2f}")
    return f


def over_file(args, g):
    size, folder = 64 * MIB, memory(args.folder)
    with sparse(folder, size) as bare, sparse(folder, 2 * size) as base, start() as target:
        add_file(target, "bare", bare)
        add_file(target, "base", base)
        add_store(target, "base")
        addr = export(target, ["bare", add_volume(target, "thick", size)])
        for nsid in (1, 2):
            perf(addr, nsid, "-w", "write", "-o", 65536, "-q", 8, "-n", size // 65536)
        return [tell("volume over file", compare(target, addr, depth, args.rounds), g,
                     GOAL_OVERHEAD) for depth in READS]


def add_null(target, name, size):
    target.rpc.call("bdev_null_create", name=name, block_size=4096, num_blocks=size // 4096)


def over_null(args, g):
    with start() as target:
        add_null(target, "bare", 64 * MIB)
        add_null(target, "base", 128 * MIB)
        add_store(target, "base")
        addr = export(target, ["bare", add_volume(target, "thick", 64 * MIB)])
        return [tell("volume over null", compare(target, addr, depth, args.rounds), g)
                for depth in READS]


def part_overhead(args, g):
    return {"file": over_file(args, g), "null": over_null(args, g)}


def part_lookup(args, g):
    with start() as target:
        add_null(target, "base", 64 * TIB)
        add_store(target, "base")
        small = add_volume(target, "small", CLUSTER)
        large = add_volume(target, "large", 63 * TIB)
        addr = export(target, [small, large])
        figures = tell("63 TiB volume over one of a cluster",
                       compare(target, addr, 32, args.rounds), g)
        figures["rss_mib"] = kit.rss_kib(target.pid) / 1024
        g.add("memory of that target", figures["rss_mib"], None, "MiB",
              note=f"{figures['rss_mib'] * MIB / (63 * TIB / CLUSTER):.2f} bytes a cluster")
        return figures


# --- inside one program ---------------------------------------------------------------------------

INSIDE_READS = 1000000
COUNTED_READS = 10000


def volumes(*args):
    """The answer of bench-volumes."""
    core = str(kit.cores()[0])
    done = subprocess.run(["taskset", "-c", core, kit.built("bench-volumes"), *map(str, args)],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(done.stdout)


def inside_instructions(what, side, depth):
    """Of one read."""
    total = kit.callgrind([kit.built("bench-volumes"), "read", what, str(depth),
                           str(COUNTED_READS), "1", side])
    return total and total / COUNTED_READS


def inside(args, g, what, name, depth):
    f = volumes("read", what, depth, INSIDE_READS, args.rounds)
    ratios = [v / b for v, b in zip(f["volume_ns"], f["bare_ns"])]
    f["instructions"] = [inside_instructions(what, side, depth) for side in ("volume", "bare")]
    counted = "" if not f["instructions"][0] else (
        "; {:.0f} and {:.0f} instructions".format(*f["instructions"]))
    g.add(f"{name}, depth {depth}", kit.median(ratios), None, "x",
          note=f"{kit.median(f['volume_ns']):.0f} and {kit.median(f['bare_ns']):.0f} ns of CPU, "
               f"spread {kit.spread(f['volume_ns']):.0%} and {kit.spread(f['bare_ns']):.0%}"
               f"{counted}")
    return f


def part_inside(args, g):
    return [inside(args, g, "null", "in-process, volume over null", depth) for depth in READS] + [
        inside(args, g, "size", "in-process, 63 TiB over a cluster", 32)]


# --- thin ---------------------------------------------------------------------------------------

def allocated(target, name):
    return target.rpc.call("bdev_get_bdevs", name=name)[0]["driver_specific"]["lvol"][
        "num_allocated_clusters"]


def thin_round(target, addr, nsid, name):
    """Latency of a write that allocates and of one that does not, in us, and CPU time of each."""
    options = ("-w", "randwrite", "-o", 4096, "-q", 1, "-n", 1000, "--seed", 7)
    sums, cpus = [], []
    for _ in range(2):
        before = kit.cpu_ns(target.pid)
        sums.append(perf(addr, nsid, *options)["write"]["latency_us"]["mean"] * 1000)
        cpus.append((kit.cpu_ns(target.pid) - before) / 1e3)
    count = allocated(target, name)
    first = [after / 1000 + (before - after) / count for before, after in (sums, cpus)]
    return {"first_us": first[0], "again_us": sums[1] / 1000,
            "first_cpu_us": first[1], "again_cpu_us": cpus[1] / 1000}


def base_of_first_writes(g):
    """What reaches the base for one; clones copy a cluster each, so that few are enough."""
    figures = {}
    for what, count in (("fresh", 1000), ("loaded", 1000), ("clone", 32)):
        for depth in (1, 32):
            f = figures[f"{what}, depth {depth}"] = volumes("write", what, depth, count)
            requests = sum(f[k] for k in ("reads", "writes", "flushes", "unmaps", "write_zeroes"))
            g.add(f"base requests of a first write: {what}, depth {depth}", requests, None, "",
                  note=f"{f['reads']:.2f} reads, {f['writes']:.2f} writes of "
                       f"{f['bytes_written'] / 1024:.0f} KiB, {f['flushes']:.3f} flushes, "
                       f"{f['unmaps']:.3f} unmaps; {f['cpu_ns'] / 1000:.1f} us of CPU")
    return figures


def part_thin(args, g):
    with sparse(args.folder, 16 * GIB) as base, start() as target:
        add_file(target, "base", base)
        add_store(target, "base")
        names = [add_volume(target, f"thin{i}", 4 * GIB, thin=True) for i in range(3)]
        addr = export(target, names)
        rounds = [thin_round(target, addr, i + 1, name) for i, name in enumerate(names)]
    for what, unit in (("", ""), ("_cpu", "CPU time of ")):
        first = kit.median([r[f"first{what}_us"] for r in rounds])
        again = kit.median([r[f"again{what}_us"] for r in rounds])
        g.add(f"{unit}a first write to a thin cluster", first / again, None, "x",
              note=f"{first:.0f} and {again:.0f} us, spread "
                   f"{kit.spread([r[f'first{what}_us'] for r in rounds]):.0%} and "
                   f"{kit.spread([r[f'again{what}_us'] for r in rounds]):.0%}")
    return {"rounds": rounds, "base": base_of_first_writes(g)}


# --- many ---------------------------------------------------------------------------------------

def part_many(args, g):
    with sparse(args.folder, TIB) as base, start() as target:
        add_file(target, "base", base)
        add_store(target, "base")
        idle = kit.rss_kib(target.pid)
        figures = {"create_s": [timed(add_volume, target, f"v{i}", GIB, True)
                                for i in range(args.volumes)]}
        figures["rss_kib"] = kit.rss_kib(target.pid) - idle
        figures["delete_s"] = [timed(target.rpc.call, "bdev_lvol_delete", name=f"store/v{i}")
                               for i in range(args.volumes)]
        figures["rss_after_kib"] = kit.rss_kib(target.pid) - idle
    tenth = args.volumes // 10
    for what in ("create", "delete"):
        times = figures.pop(f"{what}_s")
        figures[what] = {"total_s": sum(times), "median_ms": kit.median(times) * 1e3,
                         "max_ms": max(times) * 1e3,
                         "last_over_first": kit.median(times[-tenth:]) / kit.median(times[:tenth])}
        f = figures[what]
        g.add(f"to {what} {args.volumes} volumes", f["total_s"], None, "s",
              note=f"median {f['median_ms']:.2f} ms, longest {f['max_ms']:.0f} ms, last tenth "
                   f"{f['last_over_first']:.2f} x the first")
    g.add("memory of a thin volume", figures["rss_kib"] / args.volumes, None, "KiB",
          note=f"{figures['rss_after_kib'] / 1024:.1f} MiB are kept when all are deleted")
    return figures


# --- snapshot -----------------------------------------------------------------------------------

def longest_us(addr, workload, change=None):
    """The longest I/O at depth 1 in two seconds, and the time of the change in the middle."""
    process = perf_start(addr, 1, "-w", workload, "-o", 4096, "-q", 1, "-t", 2, "--length", CLUSTER)
    time.sleep(1)
    took = timed(change) if change else 0.0
    side = perf_end(process)["read" if workload == "randread" else "write"]
    return side["latency_us"]["max"], took


def part_snapshot(args, g):
    figures = []
    with sparse(args.folder, TIB + 16 * GIB) as base, start() as target:
        add_file(target, "base", base)
        add_store(target, "base")
        made = timed(add_volume, target, "large", TIB)
        addr = export(target, ["store/large"])
        for i, workload in enumerate(("randread", "randwrite")):
            quiet = longest_us(addr, workload)[0]
            stall, took = longest_us(addr, workload, lambda n=i: target.rpc.call(
                "bdev_lvol_snapshot", lvol_name="store/large", snapshot_name=f"s{n}"))
            figures.append({"workload": workload, "quiet_us": quiet, "stall_us": stall,
                            "snapshot_s": took})
    g.add("to create a thick volume of 1 TiB", made, None, "s")
    g.add("snapshot of 1 TiB, all allocated", figures[0]["snapshot_s"] * 1e3, None, "ms",
          note=f"a second, of an empty clone: {figures[1]['snapshot_s'] * 1e3:.1f} ms")
    for f in figures:
        g.add(f"longest {f['workload']} I/O beside a snapshot", f["stall_us"] / 1e3, None, "ms",
              note=f"without: {f['quiet_us'] / 1e3:.1f} ms")
    return figures


# --- load ---------------------------------------------------------------------------------------

def fill(path, size, volumes):
    """Half of the clusters in thick volumes; the target is killed, the store is dirty."""
    clusters = size // CLUSTER // 2 // volumes
    target = start()
    add_file(target, "base", path)
    add_store(target, "base")
    for i in range(volumes):
        add_volume(target, f"v{i}", clusters * CLUSTER)
    kill(target, path)


def load_once(path, volumes, then_clean):
    """Time of loading, memory above an idle target's; the store is left clean or dirty."""
    target = start()
    idle = kit.rss_kib(target.pid)
    begin = time.monotonic()
    add_file(target, "base", path)
    target.rpc.call("bdev_wait_for_examine")
    took = time.monotonic() - begin
    memory_kib = kit.rss_kib(target.pid) - idle
    if len(target.rpc.call("bdev_lvol_get_lvols")) != volumes:
        sys.exit(f"{path}: not all of its {volumes} volumes were loaded")
    if then_clean:
        target.stop()
    else:
        for old, new in (("store", "other"), ("other", "store")):
            target.rpc.call("bdev_lvol_rename_lvstore", old_name=old, new_name=new)
        kill(target, path)
    return took, memory_kib


def read_metadata(path):
    """Time to read the metadata region from begin to end, past the page cache where that goes."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        buffer = mmap.mmap(-1, MIB)
        os.preadv(file, [buffer], 0)
        first, count = struct.unpack_from("<II", buffer, 48)
        page = struct.unpack_from("<I", buffer, 92)[0] or 4096
        begin = time.monotonic()
        for at in range(first * page, (first + count) * page, MIB):
            os.preadv(file, [buffer], at)
        return time.monotonic() - begin
    finally:
        os.close(file)


def load(args, g, folder, size, volumes, goals):
    name = f"{size // TIB} TiB, {volumes} volumes"
    with sparse(folder, size) as path:
        filled = timed(fill, path, size, volumes)
        dirty = [load_once(path, volumes, False) for _ in range(args.rounds)]
        load_once(path, volumes, True)
        clean = [load_once(path, volumes, True) for _ in range(args.rounds)]
        read = [read_metadata(path) for _ in range(2)]
    clean_s, dirty_s = ([t for t, _ in rounds] for rounds in (clean, dirty))
    g.add(f"{name}: clean load", kit.median(clean_s), GOAL_CLEAN_S if goals else None, "s",
          note=f"spread {kit.spread(clean_s):.0%}; filled in {filled:.0f} s")
    g.add(f"{name}: recovery", kit.median(dirty_s) / min(read), GOAL_DIRTY if goals else None, "x",
          note=f"{kit.median(dirty_s):.2f} s, spread {kit.spread(dirty_s):.0%}; reading the "
               f"metadata region {min(read):.2f} s")
    kib = kit.median([m for _, m in clean])
    g.add(f"{name}: memory over 4 bytes a cluster", kib * 1024 / (size // CLUSTER * 4),
          GOAL_MEMORY if goals else None, "x", note=f"{kib / 1024:.1f} MiB")
    return {"size": size, "volumes": volumes, "clean": clean, "dirty": dirty, "read_s": read,
            "filled_s": filled}


def part_load(args, g):
    figures = [load(args, g, args.folder, 15 * TIB, args.volumes, True)]
    if MEMORY.is_dir():
        figures.append(load(args, g, MEMORY, 64 * TIB, args.volumes, False))
    return figures


# --- the whole ----------------------------------------------------------------------------------

def main():
    args = parse()
    unknown = set(args.parts.split(",")) - set(PARTS)
    if unknown:
        sys.exit(f"unknown part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    result = {"busy_before": kit.busy_share(), "parts": {}}
    print(f"Logical volumes (others used {result['busy_before']:.0%} of this machine before):")
    rows = []
    for name in args.parts.split(","):
        g = kit.Goals()
        result["parts"][name] = globals()[f"part_{name}"](args, g)
        g.print()
        sys.stdout.flush()
        rows += g.rows
    result["goals"] = rows
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

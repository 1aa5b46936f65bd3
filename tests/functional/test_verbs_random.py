# SPDX-License-Identifier: Apache-2.0
"""Random verbs from several processes at once, some killed on the way: nothing is attached twice,
nothing is left over.

CYBORG_SPDK_RANDOM_VERBS  how many (default 200)
CYBORG_SPDK_RANDOM_SEED   of the run to repeat (default: another one in each run; it is printed)
"""

import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor

from conftest import RpcClient

HOST = "nqn.2016-06.io.spdk:host1"
VERBS = int(os.environ.get("CYBORG_SPDK_RANDOM_VERBS", "200"))
PROCESSES = 8
INSTANCES = [f"vm{i}" for i in range(6)]
# Refused: in use, there already, not there, or interrupted by the fault; never a failure.
ALLOWED = {0, 2, 3, 4, -9}
FAULTS = ["attach:volume", "attach:record", "attach:export", "attach:prove", "detach:unexport",
          "detach:delete", "detach:forget"]


def random_words(dice):
    instance = dice.choice(INSTANCES)
    attach = ["attach", instance, "--host", HOST]
    return dice.choices([
        [*attach, "--size", dice.choice(["1M", "2M"])],
        [*attach, "--accelerator", "whole"],
        [*attach, "--clone", "golden"],
        [*attach, "--volume", "base", "--read-only"],
        ["detach", instance],
        ["detach", instance, "--delete"],
        ["recover"],
        ["status"],
    ], weights=[6, 2, 3, 2, 4, 5, 1, 1])[0]


def run(cli, seed):
    """A process that calls its share of the verbs, one after the other."""
    dice = random.Random(seed)
    done = []
    for _ in range(VERBS // PROCESSES):
        words = random_words(dice)
        fault = {"CYBORG_SPDK_FAULT": dice.choice(FAULTS)} if dice.random() < 0.1 else {}
        process = subprocess.run([str(cli.program), *words], env={**cli.env, **fault},
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
        done.append((words, fault, process.returncode, process.stdout))
    return done


def check(cli, accelerators):
    """What the targets have is what is recorded, and nothing else."""
    recorded = {a["id"]: a for a in accelerators}
    attachments = [x for a in accelerators for x in a["attachments"]]
    for key in ("instance", "bdev", "nqn", "port"):
        values = [a[key] for a in attachments]
        assert len(set(values)) == len(values), (key, values)
    for name, accelerator in recorded.items():
        with RpcClient(cli.socket(name)) as rpc:
            subsystems = {s["nqn"]: s for s in rpc.call("nvmf_get_subsystems")
                          if s["subtype"] == "NVMe"}
            bdevs = rpc.call("bdev_get_bdevs")
            volumes = {v["name"]: v for v in rpc.call("bdev_lvol_get_lvols")}
        mine = {a["nqn"]: a for a in accelerator["attachments"]}
        assert set(subsystems) == set(mine)
        for nqn, subsystem in subsystems.items():
            assert [n["bdev_name"] for n in subsystem["namespaces"]] == [mine[nqn]["bdev"]]
        assert len(bdevs) == len(volumes) + 1
        # Detach keeps what hosts could write to; all else is attached or was there before.
        attached = {a["volume"] for a in mine.values()}
        left = set(volumes) - {"base", "golden"} - attached
        assert left <= set(INSTANCES), left
        for a in mine.values():
            assert not a["volume"] or a["volume"] in volumes


def test_random_verbs(node):
    seed = int(os.environ.get("CYBORG_SPDK_RANDOM_SEED", random.randrange(1 << 32)))
    print(f"CYBORG_SPDK_RANDOM_SEED={seed}")
    node("install", "a", "--backing", node.dir / "backing", "--size", "64M", "--store", "pool",
         "--cluster-size", "64K")
    node("install", "whole", "--memory", "2M")
    with RpcClient(node.socket()) as rpc:
        rpc.call("bdev_lvol_create", lvs_name="pool", lvol_name="base", size_in_mib=1)
        rpc.call("bdev_lvol_snapshot", lvol_name="pool/base", snapshot_name="golden")
    with ThreadPoolExecutor(PROCESSES) as pool:
        done = [one for part in pool.map(lambda n: run(node, seed + n), range(PROCESSES))
                for one in part]
    assert len(done) == VERBS // PROCESSES * PROCESSES
    for words, fault, code, text in done:
        assert code in ALLOWED or (words == ["status"] and code == 8), (words, fault, code, text)
    assert any(code == 0 and words[0] == "attach" for words, _, code, _ in done)
    node("recover")
    status = node.status()
    assert status["health"] == "ok" and "interrupted" not in status
    check(node, status["accelerators"])
    for a in [x for a in status["accelerators"] for x in a["attachments"]]:
        node("detach", a["instance"])
    with RpcClient(node.socket()) as rpc:
        left = {v["name"] for v in rpc.call("bdev_lvol_get_lvols")}
        assert len(rpc.call("nvmf_get_subsystems")) == 1
    assert {"base", "golden"} <= left <= {"base", "golden", *INSTANCES}, left
    node("uninstall", "a", "--delete")
    node("uninstall", "whole")
    assert node.status()["accelerators"] == []

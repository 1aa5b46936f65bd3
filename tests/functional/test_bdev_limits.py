# SPDX-License-Identifier: Apache-2.0
"""bdev_set_qos_limit: SPDK's rules, what is shown and saved, and that hosts are held to it."""

import json
import subprocess

import pytest

from conftest import PATIENCE, RpcError, free_port, wait_until
from lvol_target import Lvols

NQN = "nqn.2024-01.org.example:limits"
LIMITS = ("rw_ios_per_sec", "rw_mbytes_per_sec", "r_mbytes_per_sec", "w_mbytes_per_sec")


def limits(rpc, name="m"):
    shown = rpc.call("bdev_get_bdevs", name=name)[0]["assigned_rate_limits"]
    assert tuple(shown) == LIMITS
    return tuple(shown.values())


def set_limits(rpc, name="m", **values):
    assert rpc.call("bdev_set_qos_limit", name=name, **values) is True


@pytest.fixture
def malloc(rpc):
    rpc.call("bdev_malloc_create", name="m", block_size=512, num_blocks=32768)
    return rpc


def test_shown(malloc):
    assert limits(malloc) == (0, 0, 0, 0)
    set_limits(malloc, rw_ios_per_sec=20000, w_mbytes_per_sec=7)
    assert limits(malloc) == (20000, 0, 0, 7)
    set_limits(malloc, r_mbytes_per_sec=5, rw_mbytes_per_sec=100)
    assert limits(malloc) == (20000, 100, 5, 7)
    set_limits(malloc, rw_ios_per_sec=0, r_mbytes_per_sec=0)
    assert limits(malloc) == (0, 100, 0, 7)
    set_limits(malloc, **dict.fromkeys(LIMITS, 0))
    assert limits(malloc) == (0, 0, 0, 0)


@pytest.mark.parametrize("asked, given", [
    (1, 1000), (999, 1000), (1000, 1000), (1001, 2000), (1500, 2000),
    (2**64 - 2, (2**63 - 1) // 1000 * 1000)])
def test_ios_are_rounded_up(malloc, asked, given):
    set_limits(malloc, rw_ios_per_sec=asked)
    assert limits(malloc)[0] == given


def test_all_ones_is_not_given(malloc):
    set_limits(malloc, rw_ios_per_sec=3000)
    set_limits(malloc, rw_ios_per_sec=2**64 - 1, r_mbytes_per_sec=2)
    assert limits(malloc) == (3000, 0, 2, 0)


@pytest.mark.parametrize("params, code, words", [
    ({"name": "nope", "rw_ios_per_sec": 1000}, -19, '"nope"'),
    ({"name": "m"}, -22, "No rate limits specified"),
    ({"name": "m", "rw_ios_per_sec": 2**64 - 1}, -22, "No rate limits specified"),
    ({"rw_ios_per_sec": 1000}, -32603, '"name"'),
    ({"name": "m", "rw_ios_per_sec": -1}, -32603, '"rw_ios_per_sec"'),
    ({"name": "m", "w_mbytes_per_sec": "x"}, -32603, '"w_mbytes_per_sec"'),
    ({"name": "m", "ios": 5}, -32603, '"ios"')])
def test_refused(malloc, params, code, words):
    with pytest.raises(RpcError) as e:
        malloc.call("bdev_set_qos_limit", **params)
    assert e.value.code == code and words in e.value.message
    assert limits(malloc) == (0, 0, 0, 0)


def config_of(rpc):
    return {"subsystems": [{"subsystem": "bdev",
                            "config": rpc.call("framework_get_config", name="bdev")}]}


def test_saved(malloc, target_factory, tmp_path):
    set_limits(malloc, rw_ios_per_sec=4000, w_mbytes_per_sec=9)
    config = config_of(malloc)
    assert {"method": "bdev_set_qos_limit", "params": {
        "name": "m", "rw_ios_per_sec": 4000, "w_mbytes_per_sec": 9}} in (
            config["subsystems"][0]["config"])
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    second = target_factory("-c", str(path)).client()
    assert limits(second) == (4000, 0, 0, 9)
    set_limits(second, rw_ios_per_sec=0, w_mbytes_per_sec=0)
    assert "bdev_set_qos_limit" not in [m["method"] for m in
                                        config_of(second)["subsystems"][0]["config"]]


def test_saved_for_a_volume(target, target_factory, tmp_path):
    """It is not there before its store was found."""
    lvols = Lvols(target, tmp_path)
    lvols.file()
    lvols.store()
    uuid = lvols.create("v", 2)
    set_limits(lvols.rpc, "lvs0/v", rw_mbytes_per_sec=3)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config_of(lvols.rpc)))
    target.stop()
    second = target_factory("-c", str(path)).client()
    assert limits(second, uuid) == (0, 3, 0, 0)


# --- hosts ----------------------------------------------------------------------------------------

@pytest.fixture
def export(malloc):
    port = free_port()
    malloc.call("nvmf_create_transport", trtype="TCP")
    malloc.call("nvmf_create_subsystem", nqn=NQN, allow_any_host=True)
    malloc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "m"})
    malloc.call("nvmf_subsystem_add_listener", nqn=NQN, listen_address={
        "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(port)})
    return port


@pytest.fixture
def perf(program, export):
    """cyborg-spdk-perf with these options, started; its end is its JSON."""
    def start(*options):
        return subprocess.Popen(
            [program("cyborg-spdk-perf"), "--addr", f"127.0.0.1:{export}", "--nqn", NQN, "--json",
             "--quiet", *map(str, options)], stdout=subprocess.PIPE, text=True)
    return start


def operations(rpc, kind):
    return rpc.call("bdev_get_iostat", names=["m"])["bdevs"][0][f"num_{kind}_ops"]


def result(process):
    out = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0
    return json.loads(out)


@pytest.mark.parametrize("limit, workload, size, rate", [
    ({"rw_ios_per_sec": 5000}, "randrw", 4096, 5000),
    ({"rw_mbytes_per_sec": 8}, "write", 16384, 512),
    ({"r_mbytes_per_sec": 4}, "randread", 4096, 1024)])
def test_host_is_held(malloc, perf, limit, workload, size, rate):
    """No more than the rate, a burst of a millisecond and what was begun, by the host's count."""
    set_limits(malloc, **limit)
    got = result(perf("-w", workload, "-o", size, "-q", 16, "-t", 0.5))
    ios = sum(got[side]["ios"] for side in ("read", "write") if side in got)
    assert 0 < ios <= rate * (got["seconds"] + 0.001) + 17


def test_changed_while_io_runs(malloc, perf):
    """A limit that lets nothing through for long is lifted, and what it held goes on."""
    process = perf("-w", "randrw", "-o", 131072, "-q", 32, "-n", 200)
    for value in (1, 0, 2, 1, 0):
        set_limits(malloc, rw_mbytes_per_sec=value)
    got = result(process)
    assert sum(got[side]["ios"] for side in ("read", "write")) == 200


@pytest.mark.target_options("--drain-timeout", "1s")
def test_target_leaves_while_io_waits(target, malloc, perf):
    """A queue that a megabyte a second would keep for 16 s."""
    set_limits(malloc, rw_mbytes_per_sec=1)
    process = perf("-w", "randread", "-o", 131072, "-q", 128, "-t", 60)
    wait_until(lambda: operations(malloc, "read") > 4, "the first reads")
    assert target.stop() == 0
    assert "not everything could be released in time" not in target.log
    process.kill()
    process.communicate()


def test_bdev_goes_while_io_waits(malloc, perf):
    """A megabyte a second holds what is in flight for seconds; removal does not wait for it."""
    set_limits(malloc, rw_mbytes_per_sec=1)
    process = perf("-w", "randwrite", "-o", 131072, "-q", 32, "-t", 60)
    wait_until(lambda: operations(malloc, "write") > 0, "the first write")
    malloc.call("bdev_malloc_delete", name="m")
    assert malloc.call("bdev_get_bdevs") == []
    process.kill()
    process.communicate()

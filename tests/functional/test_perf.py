# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk-perf against a running cyborg-spdk-tgt: what it tells, its checks, its exit codes."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import PATIENCE, SANITIZER_WORDS, free_port, wait_until

NQN = "nqn.2024-01.org.example:perf"
HOST = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-4333-8444-555555555555"
UUID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
MIB = 1 << 20


class Perf:
    """cyborg-spdk-perf as the host HOST of one subsystem."""

    def __init__(self, path, port):
        self.path = path
        self.port = port

    def command(self, *options, nqn=NQN, hostnqn=HOST):
        return [str(self.path), "--addr", f"127.0.0.1:{self.port}", "--hostnqn", hostnqn,
                *(["--nqn", nqn] if nqn else []), *map(str, options)]

    def start(self, *options, **names):
        return subprocess.Popen(self.command(*options, **names), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, process, code):
        out, err = process.communicate(timeout=PATIENCE)
        assert not SANITIZER_WORDS.search(err), err
        assert process.returncode == code, f"left with {process.returncode}\n{out}{err}"
        return out, err

    def run(self, *options, code=0, **names):
        """Standard output and error."""
        return self.finish(self.start(*options, **names), code)

    def json(self, *options, code=0, **names):
        return json.loads(self.run("--json", *options, code=code, **names)[0])

    def refused(self, *options, code, **names):
        out, err = self.run(*options, code=code, **names)
        assert out == ""
        assert err.startswith("cyborg-spdk-perf: ")
        return err


@pytest.fixture
def export(target):
    """A subsystem with one namespace of 16 MiB, for HOST only; its port."""
    port = free_port()
    target.call("bdev_malloc_create", name="disk", num_blocks=16 * MIB // 512, block_size=512,
                uuid=UUID)
    target.call("nvmf_create_transport", trtype="TCP")
    target.call("nvmf_create_subsystem", nqn=NQN, serial_number="PERF1", model_number="Test model")
    target.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "disk"})
    target.call("nvmf_subsystem_add_host", nqn=NQN, host=HOST)
    target.call("nvmf_subsystem_add_listener", nqn=NQN, listen_address={
        "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(port)})
    return port


@pytest.fixture
def perf(program, export):
    return Perf(program("cyborg-spdk-perf"), export)


# --- what it tells ------------------------------------------------------------------------------

def test_identify(perf):
    answer = perf.json("--identify", "--prove")
    assert answer["subnqn"] == NQN
    assert answer["hostnqn"] == HOST
    assert answer["address"] == f"127.0.0.1:{perf.port}"
    assert answer["proved"] is True
    assert answer["controller"]["serial"] == "PERF1"
    assert answer["controller"]["model"] == "Test model"
    space, = answer["namespaces"]
    assert (space["nsid"], space["bytes"], space["block_size"]) == (1, 16 * MIB, 512)
    assert space["uuid"] == UUID


def test_identify_text(perf):
    out, _ = perf.run("--identify", "--prove")
    for part in (NQN, "PERF1", "Test model", UUID, "was read"):
        assert part in out


def test_transport_id(program, export):
    done = subprocess.run(
        [str(program("cyborg-spdk-perf")), "--identify", "--json", "-r",
         f"trtype:TCP adrfam:IPv4 traddr:127.0.0.1 trsvcid:{export} subnqn:{NQN} hostnqn:{HOST}"],
        stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True)
    assert json.loads(done.stdout)["controller"]["serial"] == "PERF1"


def test_prove_without_namespace(target, perf):
    target.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=1)
    assert perf.json("--identify")["namespaces"] == []
    assert "no namespace" in perf.refused("--identify", "--prove", code=4)


def test_prove_read_only_of_what_can_be_written(perf):
    perf.run("-w", "write", "-n", "8")
    assert "was not refused" in perf.refused("--identify", "--prove-read-only", code=4)
    perf.run("--identify", "--prove")


def test_zero(perf):
    perf.run("-w", "write", "-o", "64K", "--verify-pattern", "persistent", "--length", "4M")
    assert perf.json("--zero", "--offset", "1M", "--length", "2M") == {
        "bytes": 2 * MIB, "written": 2 * MIB}
    for offset in ("0", "3M"):
        perf.run("--verify-only", "-o", "64K", "--offset", offset, "--length", "1M")
    perf.run("--verify-only", "-o", "64K", "--offset", "1M", "--length", "64K", code=5)
    assert perf.json("--zero") == {"bytes": 16 * MIB, "written": 2 * MIB}
    assert perf.json("--zero") == {"bytes": 16 * MIB, "written": 0}


def test_zero_outside_the_namespace(perf):
    assert "32768 blocks" in perf.refused("--zero", "--length", "17M", code=2)
    assert "no whole blocks" in perf.refused("--zero", "--offset", "100", code=2)


def test_empty(perf):
    assert perf.json("--empty") == {"bytes": 16 * MIB, "empty": True}
    perf.run("-w", "write", "-o", "4K", "--verify-pattern", "persistent", "--offset", "9M",
             "--length", "4K")
    assert perf.json("--empty", code=5)["empty"] is False
    assert "see LBA 18432" in perf.run("--empty", code=5)[1]
    assert "leave --offset and --length away" in perf.refused("--empty", "--offset", "1M", code=2)


@pytest.mark.parametrize("place, empty", [(0, False), (15 * MIB, False), (17 * MIB + (64 << 10), True),
                                          (64 * MIB - 512, False)])
def test_empty_of_a_larger_namespace(perf, target, place, empty):
    target.call("bdev_malloc_create", name="large", num_blocks=64 * MIB // 512, block_size=512)
    target.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "large"})
    perf.run("--nsid", "2", "-w", "write", "-o", "512", "--verify-pattern", "persistent",
             "--offset", place, "--length", "512")
    answer = perf.json("--empty", "--nsid", "2", code=0 if empty else 5)
    assert answer == {"bytes": 33 * MIB, "empty": empty}


def test_discover(perf):
    records = perf.json("--discover", nqn=None)["records"]
    record, = [r for r in records if r["subnqn"] == NQN]
    assert record["trtype"] == "TCP"
    assert record["traddr"] == "127.0.0.1"
    assert record["trsvcid"] == str(perf.port)
    out, _ = perf.run("--discover", nqn=None)
    assert NQN in out


def test_version_and_help(program):
    for option, part in (("--version", "cyborg-spdk-perf"), ("--help", "--verify-only")):
        done = subprocess.run([str(program("cyborg-spdk-perf")), option], stdout=subprocess.PIPE,
                              text=True, timeout=PATIENCE, check=True)
        assert part in done.stdout


# --- I/O ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("workload", ["randread", "randwrite", "randrw", "read", "write", "rw"])
def test_count(perf, workload):
    answer = perf.json("-w", workload, "-n", 1000, "-q", 16, "-o", "4K")
    reads, writes = answer["read"]["ios"], answer["write"]["ios"]
    assert reads + writes == 1000
    assert (reads > 0) == ("write" not in workload)
    assert (writes > 0) == ("read" not in workload)
    latency = answer["read" if reads else "write"]["latency_us"]
    steps = [latency[name] for name in ("min", "p50", "p90", "p99", "p99_9", "max")]
    assert steps == sorted(steps)


def test_read_mix(perf):
    assert perf.json("-w", "randrw", "-M", 100, "-n", 300)["read"]["ios"] == 300
    assert perf.json("-w", "rw", "-M", 0, "-n", 300)["write"]["ios"] == 300


def test_time(perf):
    answer = perf.json("-w", "randread", "-t", "100ms")
    assert answer["seconds"] >= 0.1
    assert answer["read"]["ios"] > 0


def test_several_queue_pairs(perf):
    answer = perf.json("-n", 500, "-P", 4, "-q", 3)
    assert answer["queue_pairs"] == 4
    assert answer["read"]["ios"] == 500


def test_two_cores(perf):
    """Queue pairs on two reactors, each with its own part of the region."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        pytest.skip("needs two cores, this process may use one")
    answer = perf.json("-m", f"[{cores[0]},{cores[1]}]", "--disable-cpumask-locks", "-w", "verify",
                       "--length", "4M", "-P", 2, "-q", 8)
    assert (answer["cores"], answer["queue_pairs"]) == (2, 4)
    assert answer["verify"] == {"checked": 1024, "unchecked": 0, "mismatched_blocks": 0}


@pytest.mark.parametrize("size", ["512", "4K", "64K", "128K"])
@pytest.mark.parametrize("digests", [[], ["--hdgst"], ["--ddgst"], ["--hdgst", "--ddgst"]],
                         ids=["none", "header", "data", "both"])
def test_verify(perf, size, digests):
    answer = perf.json("-w", "verify", "-o", size, "-q", 8, "--length", "4M", *digests)
    count = 4 * MIB // {"512": 512, "4K": 4096, "64K": 65536, "128K": 131072}[size]
    assert answer["write"]["ios"] == count
    assert answer["verify"] == {"checked": count, "unchecked": 0, "mismatched_blocks": 0}


def test_mixture_is_verified(perf):
    answer = perf.json("-w", "randrw", "--verify", "-n", 3000, "-o", "8K", "-q", 32, "--length", "1M")
    assert answer["verify"]["mismatched_blocks"] == 0
    assert answer["verify"]["checked"] > 1000


def test_pattern_outlives_the_run(perf):
    region = ["--offset", "1M", "--length", "2M"]
    perf.json("-w", "write", "--verify-pattern", "persistent", "--seed", 7, "-o", "128K", *region)
    answer = perf.json("--verify-only", "--seed", 7, "-o", "16K", *region)
    assert answer["verify"] == {"checked": 128, "unchecked": 0, "mismatched_blocks": 0}


def test_mismatch_is_found(perf):
    perf.json("-w", "write", "--verify-pattern", "persistent", "-o", "64K", "--length", "1M")
    # One block in the middle gets other data.
    perf.json("-w", "write", "-n", 1, "-o", "512", "--offset", "512K", "--length", "512")
    out, err = perf.run("--json", "--verify-only", "-o", "64K", "--length", "1M", code=5)
    assert json.loads(out)["verify"]["mismatched_blocks"] == 1
    assert "LBA 1024: no stamp" in err


def test_other_seed_is_a_mismatch(perf):
    perf.json("-w", "write", "--verify-pattern", "persistent", "--seed", 7, "--length", "64K")
    _, err = perf.run("--verify-only", "--seed", 8, "--length", "64K", code=5)
    assert "data of another seed" in err


def test_data_of_an_earlier_run_is_not_taken(perf):
    """Two verified runs have different seeds: stale data of the first would be seen."""
    seeds = {perf.json("-w", "verify", "--length", "64K")["seed"] for _ in range(2)}
    assert len(seeds) == 2


# --- refusals -----------------------------------------------------------------------------------

@pytest.mark.parametrize("options, part", [
    (["-w", "sideways"], "'sideways'"),
    (["-o", "1000"], "1000"),
    (["-q", "0"], "-q"),
    (["-q", "5000"], "4095"),
    (["-M", "50"], "rw and randrw"),
    (["-w", "rw", "-M", "101"], "0 to 100"),
    (["-t", "1", "-n", "1"], "exclude"),
    (["-w", "verify", "-t", "1"], "goes once over the region"),
    (["--verify-pattern", "plaid"], "'plaid'"),
    (["--identify", "--discover"], "exclude"),
    (["--prove"], "--identify"),
    (["--offset", "100"], "no multiple of 512"),
    (["--offset", "16M"], "lies outside"),
    (["--length", "17M"], "lies outside"),
    (["--length", "512"], "too few places"),
    (["-o", "16M"], "limit"),
    (["-P", "1000"], "grants"),
    (["extra"], "'extra'"),
])
def test_wrong_command_lines(perf, options, part):
    assert part in perf.refused(*options, code=2)


def test_nothing_named(program):
    done = subprocess.run([str(program("cyborg-spdk-perf"))], stderr=subprocess.PIPE, text=True,
                          timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert "--addr" in done.stderr


def test_no_such_namespace(perf):
    assert "no such namespace" in perf.refused("--nsid", 9, "-n", 1, code=3)


def test_other_host_is_refused(perf):
    err = perf.refused("--identify", hostnqn=HOST[:-1] + "6", code=3)
    assert NQN in err and HOST[:-1] + "6" in err and "not allowed" in err


def test_unknown_subsystem_is_refused(perf):
    err = perf.refused("--identify", nqn=NQN + "x", code=3)
    assert NQN + "x" in err and "no subsystem" in err


def test_nobody_listens(program):
    perf = Perf(program("cyborg-spdk-perf"), free_port())
    assert "Connection refused" in perf.refused("--identify", code=3)


def test_listener_that_says_nothing(program):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        perf = Perf(program("cyborg-spdk-perf"), s.getsockname()[1])
        err = perf.refused("--identify", "--connect-timeout", "100ms", code=3)
        assert "no ICResp within 100 ms" in err


def test_listener_that_talks_something_else(program):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()

        def talk():
            with s.accept()[0] as c:
                c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                while c.recv(4096):
                    pass
        thread = threading.Thread(target=talk)
        thread.start()
        perf = Perf(program("cyborg-spdk-perf"), s.getsockname()[1])
        assert "bad PDU" in perf.refused("--identify", code=3)
        thread.join()


# --- ends ---------------------------------------------------------------------------------------

def running(target):
    """The target has an I/O queue pair."""
    stats = target.call("nvmf_get_stats")
    return any(group["current_io_qpairs"] for group in stats["poll_groups"])


def test_interrupt_ends_in_order(target, perf):
    process = perf.start("-t", "60", "--json")
    wait_until(lambda: running(target), "an I/O queue pair")
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = perf.finish(process, 0)
    answer = json.loads(out)
    assert answer["interrupted"] is True
    assert answer["read"]["ios"] > 0


def test_target_goes(target, perf):
    process = perf.start("-t", "60")
    wait_until(lambda: running(target), "an I/O queue pair")
    target.process.kill()
    target.process.wait()
    _, err = perf.finish(process, 4)
    assert NQN in err
    target.remove()


def test_subsystem_goes(target, perf):
    process = perf.start("-t", "60")
    wait_until(lambda: running(target), "an I/O queue pair")
    target.call("nvmf_delete_subsystem", nqn=NQN)
    _, err = perf.finish(process, 4)
    assert NQN in err

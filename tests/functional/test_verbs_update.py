# SPDX-License-Identifier: Apache-2.0
"""update: exports come back the same, or the old build does."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from conftest import RpcClient, stale_listener, wait_for_end

HOST = "nqn.2016-06.io.spdk:host1"
IDENTITY = ["nqn", "nsid", "uuid", "nguid", "serial", "model", "port"]


@pytest.fixture
def attached(installed):
    installed("attach", "vm1", "--host", HOST)
    return installed


def recorded(cli):
    a = cli.status()["accelerators"][0]["attachments"][0]
    return {key: a[key] for key in IDENTITY}


def shown(cli):
    """What the target shows, in order of the protocol's names."""
    with RpcClient(cli.socket()) as rpc:
        return [s for s in rpc.call("nvmf_get_subsystems") if s["subtype"] == "NVMe"]


def script_kit(cli, body):
    kit = cli.dir / "kit"
    kit.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo cyborg-spdk-tgt 9.9.9 && exit 0\n"
                   + body)
    kit.chmod(0o755)
    return kit


def test_exports_come_back_the_same(attached, program):
    kit = attached.dir / "cyborg-spdk-tgt"
    shutil.copy(program("cyborg-spdk-tgt"), kit)
    before, seen = recorded(attached), shown(attached)
    answer = attached("update", "a", "--target", kit)
    assert answer["accelerator"]["target"] == str(kit) and answer["stall_ns"] > 0
    assert os.readlink(f"/proc/{attached.pids()[1]}/exe") == str(kit)
    assert recorded(attached) == before and shown(attached) == seen
    assert attached.status()["health"] == "ok"


def test_data_survives(attached, program):
    data = attached("attach", "vm1", "--host", HOST)["data"]
    address, port, _ = data["portals"][0]
    where = ["--hostnqn", HOST, "-r", f"trtype:TCP adrfam:IPv4 traddr:{address} trsvcid:{port} "
             f"subnqn:{data['target_nqn']}"]
    perf = str(program("cyborg-spdk-perf"))
    with open(attached.dir / "backing", "rb") as f:
        f.seek(8 << 20)
        before = f.read(4096)
    subprocess.run([perf, *where, "-w", "randwrite", "-n", "256"], check=True,
                   stdout=subprocess.DEVNULL)
    content = (attached.dir / "backing").read_bytes()
    assert content != bytes(16 << 20) and len(before) == 4096
    attached("update")
    assert (attached.dir / "backing").read_bytes() == content


def hang_up_on_all(listener):
    try:
        while True:
            listener.accept()[0].close()
    except OSError:
        pass


def test_socket_that_a_killed_target_still_holds(attached):
    """Who connects is hung up on without an answer: to be taken for a target that is down."""
    before = recorded(attached)
    os.unlink(attached.socket())
    with stale_listener(attached.socket()) as listener:
        threading.Thread(target=hang_up_on_all, args=(listener,), daemon=True).start()
        attached("update")
        listener.shutdown(socket.SHUT_RDWR)
    assert recorded(attached) == before and attached.status()["health"] == "ok"


def test_default_is_the_newest_installed(attached):
    answer = attached("update-driver", "a", "nvmf")
    assert answer["accelerator"]["target"].endswith("/cyborg-spdk-tgt")


def check_rolled_back(cli, kit, text):
    before, target = recorded(cli), cli.status()["accelerators"][0]["target"]
    failure = cli.refused("update", "a", "--target", kit)
    assert failure.code == 7 and "rolled back" in failure.message
    assert text in failure.message
    status = cli.status()
    assert status["health"] == "ok" and status["accelerators"][0]["target"] == target
    assert recorded(cli) == before


def test_kit_that_does_not_start_is_rolled_back(attached):
    kit = script_kit(attached, "echo wrong machine >&2; exit 1\n")
    check_rolled_back(attached, kit, "wrong machine")


def test_kit_that_dies_of_the_configuration_is_rolled_back(attached, program):
    kit = script_kit(attached, f"[ \"$3\" = -c ] && echo bad config >&2 && exit 1\n"
                               f"exec {program('cyborg-spdk-tgt')} \"$@\"\n")
    check_rolled_back(attached, kit, "bad config")


def test_last_error_of_the_log_is_told(attached, program):
    """A kit that is up, and then fails by the configuration."""
    kit = script_kit(attached, "[ \"$3\" = -c ] && sed -i s/bdev_uring_create/no_such_method/ $4\n"
                               f"exec {program('cyborg-spdk-tgt')} \"$@\"\n")
    check_rolled_back(attached, kit, "method no_such_method: Method not found")


def test_kit_of_a_script_that_does_not_become_the_target(attached, program):
    """Its target is none of the supervisor's children, and ends all the same."""
    kit = script_kit(attached, f'{program("cyborg-spdk-tgt")} "$@"\nexit $?\n')
    before = recorded(attached)
    attached("update", "a", "--target", kit)
    supervisor, script = attached.pids()
    with open(f"/proc/{script}/task/{script}/children") as f:
        target = int(f.read())
    os.kill(supervisor, signal.SIGKILL)
    attached("recover")
    wait_for_end(target)
    assert attached.status()["health"] == "ok" and recorded(attached) == before
    attached("update", "a", "--target", program("cyborg-spdk-tgt"))
    assert recorded(attached) == before
    attached("detach", "vm1")
    attached("uninstall", "a")


def test_kit_that_serves_nothing_is_rolled_back(attached):
    serve = attached.dir / "serve.py"
    serve.write_text("import socket, sys, time\n"
                     "s = socket.socket(socket.AF_UNIX)\n"
                     "s.bind(sys.argv[1]); s.listen()\n"
                     "while True:\n"
                     "    c, _ = s.accept(); c.close()\n")
    kit = script_kit(attached, f"rm -f \"$2\"; exec /usr/bin/python3 {serve} \"$2\"\n")
    check_rolled_back(attached, kit, "closed the connection")


def test_kit_that_dies_behind_its_socket_tells_why(attached):
    """An SPDK listens before it has the memory that it may fail for."""
    die = attached.dir / "die.py"
    die.write_text("import socket, sys\n"
                   "s = socket.socket(socket.AF_UNIX)\n"
                   "s.bind(sys.argv[1]); s.listen()\n"
                   "c, _ = s.accept(); c2, _ = s.accept(); c2.recv(1)\n"
                   "print('[1] iscsi.c: 1:init: *ERROR*: no memory for PDUs', flush=True)\n"
                   "sys.exit(3)\n")
    kit = script_kit(attached, f"rm -f \"$2\"; exec /usr/bin/python3 {die} \"$2\"\n")
    check_rolled_back(attached, kit, "left with exit code 3 while it started; its last words: "
                                     "no memory for PDUs")


def test_kit_that_leaves_out_what_others_export_is_rolled_back(attached, program):
    """The saved configuration is not loaded, and what is not recorded nobody brings back."""
    kit = script_kit(attached, f"[ \"$3\" = -c ] && set -- \"$1\" \"$2\"\n"
                               f"exec {program('cyborg-spdk-tgt')} \"$@\"\n")
    other = "nqn.2016-06.io.spdk:other"
    with RpcClient(attached.socket()) as rpc:
        rpc.call("bdev_malloc_create", name="m", num_blocks=2048, block_size=512)
        rpc.call("nvmf_create_subsystem", nqn=other, allow_any_host=True)
        rpc.call("nvmf_subsystem_add_ns", nqn=other, namespace={"bdev_name": "m"})
    seen = shown(attached)
    check_rolled_back(attached, kit, f"subsystem {other}, which the saved configuration has")
    assert shown(attached) == seen
    attached("update")
    assert shown(attached) == seen


def test_old_kit_that_is_gone_keeps_no_verb_from_its_work(attached, program):
    """Neither the new nor the old one serves: that is told, and another update is the remedy."""
    old = attached.dir / "cyborg-spdk-tgt"
    shutil.copy(program("cyborg-spdk-tgt"), old)
    attached("update", "a", "--target", old)
    old.unlink()
    kit = script_kit(attached, f"[ \"$3\" = -c ] && echo bad config >&2 && exit 1\n"
                               f"exec {program('cyborg-spdk-tgt')} \"$@\"\n")
    failure = attached.refused("update", "a", "--target", kit)
    assert failure.code == 5 and "does not serve either" in failure.message
    assert "bad config" in failure.message and "cyborg-spdk-tgt" in failure.message
    status = attached.status()
    assert status["health"] == "down" and "interrupted" not in status
    attached("install", "b", "--memory", "4M")
    attached("update", "a", "--target", program("cyborg-spdk-tgt"))
    assert attached.status()["health"] == "ok"


@pytest.fixture
def volume(node):
    node("install", "a", "--backing", node.dir / "backing", "--size", "32M", "--store", "pool",
         "--cluster-size", "64K")
    node("attach", "vm1", "--host", HOST, "--size", "2M")
    return node


def test_volume_that_somebody_resized_is_told_before_anything(volume):
    pids = volume.pids()
    with RpcClient(volume.socket()) as rpc:
        rpc.call("bdev_lvol_resize", name="pool/vm1", size_in_mib=4)
    failure = volume.refused("update", "a")
    assert "4194304 bytes, recorded are 2097152" in failure.message
    assert "rolled back" not in failure.message and volume.pids() == pids
    volume("detach", "vm1")
    volume("attach", "vm1", "--host", HOST, "--size", "4M")
    volume("update", "a")


def test_detach_that_did_not_end_is_no_hindrance(volume):
    """The snapshot cannot be deleted: two clones came to stand on it."""
    with RpcClient(volume.socket()) as rpc:
        rpc.call("bdev_lvol_snapshot", lvol_name="pool/vm1", snapshot_name="s")
        volume("attach", "vm2", "--host", HOST, "--volume", "s", "--read-only")
        volume.killed("detach:unexport", "detach", "vm2", "--delete")
        for name in ("c1", "c2"):
            rpc.call("bdev_lvol_clone", snapshot_name="pool/s", clone_name=name)
    volume("update", "a")
    (drift,) = volume.status()["accelerators"][0]["drift"]
    assert "vm2: its detach did not end" in drift


def test_wrong_kits_are_refused_before_anything(attached):
    pids = attached.pids()
    for kit, code in (("/nonexistent", 4), ("/bin/false", 1), ("/bin/ls", 1),
                      (attached.dir, 1)):
        assert attached.refused("update", "a", "--target", kit).code == code
    assert attached.pids() == pids


def test_deleted_backing_keeps_its_target(attached, program):
    """With the target that has it open the data would go."""
    backing, pids = attached.dir / "backing", attached.pids()
    backing.rename(attached.dir / "elsewhere")
    failure = attached.refused("update", "a", "--target", program("cyborg-spdk-tgt"))
    assert failure.code == 4 and "would not find what it serves" in failure.message
    (attached.dir / "elsewhere").rename(backing)
    os.truncate(backing, 32 << 20)
    failure = attached.refused("update", "a", "--target", program("cyborg-spdk-tgt"))
    assert failure.code == 5 and attached.pids() == pids
    os.truncate(backing, 16 << 20)
    attached("update", "a", "--target", program("cyborg-spdk-tgt"))


def test_memory_is_not_lost_unasked(node):
    node("install", "m", "--memory", "4M")
    node("attach", "vm1", "--host", HOST)
    failure = node.refused("update", "m")
    assert failure.code == 3 and "--lose-volatile" in failure.message
    before = recorded(node)
    node("update", "m", "--lose-volatile")
    assert recorded(node) == before and node.status()["health"] == "ok"


def test_which_of_several(installed):
    installed("install", "b", "--memory", "4M")
    failure = installed.refused("update")
    assert failure.code == 2 and "a, b" in failure.message


def stand_in(cli, name, version, program):
    """A kit that calls itself `version`; the engine does its work."""
    folder = cli.dir / name
    folder.mkdir()
    kit = folder / "spdk_tgt"
    kit.write_text(f"""#!/bin/sh
case $1 in
--version) echo "{version}" ;;
--help) echo --no-huge --no-pci --disable-cpumask-locks ;;
*) exec {program("cyborg-spdk-tgt")} "$@" ;;
esac
""")
    kit.chmod(0o755)
    return kit


def test_pre_releases_are_taken_only_when_named(node, program):
    """The newest stable one of the kind that runs, and nothing older than that."""
    old = stand_in(node, "old", "SPDK v24.01 git sha1 0123456789", program)
    stable = stand_in(node, "stable", "SPDK v24.09.1 git sha1 0123456789", program)
    pre = stand_in(node, "pre", "SPDK v98.01-pre git sha1 0123456789", program)
    stand_in(node, "rc", "SPDK v98.05-rc1", program)
    node.env["PATH"] = os.pathsep.join(
        [*(str(node.dir / name) for name in ("old", "pre", "rc")), os.environ["PATH"]])
    node("install", "a", "--backing", node.dir / "backing", "--size", "16M", "--target", old,
         "--no-huge")
    node("attach", "vm1", "--host", HOST)
    answer = node("update", "a")
    newest = answer["accelerator"]["version"]
    assert "98." not in newest and "cyborg" not in newest
    node.env["PATH"] = str(node.dir / "stable") + os.pathsep + node.env["PATH"]
    assert node("update", "a")["accelerator"]["version"] >= "SPDK v24.09.1"
    assert "--no-huge" in open(f"/proc/{node.pids()[1]}/cmdline").read()
    assert node("update", "a", "--target", pre)["accelerator"]["version"].startswith("SPDK v98.01")
    failure = node.refused("update", "a")
    assert failure.code == 4 and "is older than what runs (SPDK v98.01-pre" in failure.message
    node("update", "a", "--target", stable)
    assert node.status()["health"] == "ok"


def test_older_release_is_not_told_what_came_later(node, program):
    """Members of tuning and of transports that it does not know, by which its start would fail."""
    new = stand_in(node, "new", "SPDK v98.09", program)
    node("install", "a", "--backing", node.dir / "backing", "--size", "16M", "--target", new,
         "--no-huge")
    node("attach", "vm1", "--host", HOST)
    for pid in node.pids():
        os.kill(pid, signal.SIGKILL)
    path = node.state / "targets" / "a" / "config.json"
    config = json.loads(path.read_text())
    entries = [e for s in config["subsystems"] for e in s["config"] or []]
    for method in ("nvmf_set_config", "nvmf_create_transport", "nvmf_create_subsystem"):
        next(e for e in entries if e["method"] == method)["params"]["came_later"] = 1
    path.write_text(json.dumps(config))
    old = stand_in(node, "old", "SPDK v98.05", program)
    node("update", "a", "--target", old)
    assert node.status()["health"] == "ok"
    assert "came_later" not in path.read_text()


def test_no_stable_kit_names_those_passed_over(node, program):
    pre = stand_in(node, "pre", "SPDK v98.01-pre", program)
    node.env["PATH"] = str(node.dir / "pre") + os.pathsep + os.environ["PATH"]
    node("install", "a", "--memory", "4M", "--target", pre, "--no-huge")
    stable = [k for k in node("discover")["kits"]
              if k["kind"] == "spdk" and "-pre" not in k["version"]]
    if stable:
        pytest.skip(f"{stable[0]['path']} is installed")
    failure = node.refused("update", "a", "--lose-volatile")
    assert failure.code == 4 and f"{pre} (SPDK v98.01-pre)" in failure.message


def test_lacking_methods_are_named_before_anything(attached, program):
    kit = script_kit(attached, f"exec {program('cyborg-spdk-tgt')} \"$@\" --rpcs-allowed "
                               "rpc_get_methods,spdk_get_version,framework_wait_init\n")
    pids = attached.pids()
    check_rolled_back(attached, kit, "bdev_uring_create, bdev_get_bdevs, nvmf_get_subsystems")
    assert attached.pids() == pids and "pre-flight" in attached.refused(
        "update", "a", "--target", kit).message


def test_methods_of_the_saved_configuration_are_needed(attached, program):
    """What somebody made by RPC beside the verbs is not lost silently."""
    with RpcClient(attached.socket()) as rpc:
        rpc.call("bdev_null_create", name="n", num_blocks=100, block_size=512)
        names = [m for m in rpc.call("rpc_get_methods") if m != "bdev_null_create"]
    kit = script_kit(attached, f"exec {program('cyborg-spdk-tgt')} \"$@\" --rpcs-allowed "
                               f"{','.join(names)}\n")
    check_rolled_back(attached, kit, "it has no bdev_null_create")


def test_kit_without_the_configuration_gets_all_by_rpc(attached, program):
    kit = script_kit(attached, f"[ \"$3\" = -c ] && set -- \"$1\" \"$2\"\n"
                               f"exec {program('cyborg-spdk-tgt')} \"$@\"\n")
    before = shown(attached)
    attached("update", "a", "--target", kit)
    assert shown(attached) == before


def test_aio_stands_for_uring(attached, program):
    """A kit without bdev_uring_create serves the same file by bdev_aio_create, and back."""
    with RpcClient(attached.socket()) as rpc:
        names = [m for m in rpc.call("rpc_get_methods") if not m.startswith("bdev_uring")]
        before = rpc.call("bdev_get_bdevs")[0]
    old = attached.status()["accelerators"][0]["target"]
    kit = script_kit(attached, f"exec {program('cyborg-spdk-tgt')} \"$@\" --rpcs-allowed "
                               f"{','.join(names)}\n")
    for target, product in (kit, "AIO disk"), (old, "AIO disk"):
        attached("update", "a", "--target", target)
        with RpcClient(attached.socket()) as rpc:
            bdev = rpc.call("bdev_get_bdevs")[0]
        assert bdev["product_name"] == product
        for name in ("uuid", "block_size", "num_blocks"):
            assert bdev[name] == before[name]


def test_arguments_belong_to_a_kind(node, program):
    node("install", "a", "--backing", node.dir / "backing", "--size", "16M",
         "--target-argument=--drain-timeout", "--target-argument=7")

    def command():
        return open(f"/proc/{node.pids()[1]}/cmdline").read().split("\0")
    node("update", "a")
    assert "--drain-timeout" in command()
    node("update", "a", "--target", stand_in(node, "other", "SPDK v24.09", program), "--no-huge")
    assert "--drain-timeout" not in command()
    node("update", "a", "--target", program("cyborg-spdk-tgt"),
         "--target-argument=--drain-timeout", "--target-argument=9")
    assert command()[command().index("--drain-timeout") + 1] == "9"


def test_hugepages_are_refused_for_the_engine(installed):
    failure = installed.refused("update", "a", "--hugepages", "1G")
    assert failure.code == 2 and "needs none" in failure.message

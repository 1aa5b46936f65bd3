# SPDX-License-Identifier: Apache-2.0
"""discover, list, status and the command line itself: what changes nothing."""

import fcntl
import json
import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from conftest import wait_until

HOST = "nqn.2016-06.io.spdk:host1"
VERBS = ["discover", "list", "install", "attach", "detach", "update", "uninstall", "status"]
LONG_NAMES = ["discover-driver", "driver-list", "install-driver", "attach-instance",
              "detach-instance", "update-driver", "uninstall-driver"]


def test_discover_tells_the_node(cli):
    answer = cli("discover")
    assert answer["node"]["cpus"] == os.cpu_count() or answer["node"]["cpus"] > 0
    assert answer["node"]["memory"] > 0
    for device in answer["devices"]:
        assert device["serial"] and device["eligible"] == (device["verdict"] == "free")
        assert device["eligible"] or device["reason"] and device["remedy"]
    assert not cli.state.exists()


def test_discover_finds_kits_and_targets(cli, target):
    answer = cli("discover")
    kits = [k for k in answer["kits"] if k["path"].endswith("/cyborg-spdk-tgt")]
    assert kits and kits[0]["kind"] == "engine" and "cyborg-spdk" in kits[0]["version"]
    found = [t for t in answer["targets"] if t["socket"] == str(target.sock)]
    assert found and found[0]["answers"] and found[0]["pid"] == target.pid
    assert "nvmf_create_subsystem" in found[0]["features"]


def test_discover_prints_each_word_below_its_head(cli, target):
    lines = cli.start("discover").stdout.splitlines()
    head = next(line for line in lines if line.startswith("TARGET "))
    row = next(line for line in lines if line.startswith(str(target.sock)))
    assert row[head.index("PID"):].split()[:2] == [str(target.pid), "engine"]
    assert "1 thread" in row[head.index("SERVES"):head.index("VERSION")]
    assert row[head.index("VERSION"):].startswith("SPDK v")


def test_silent_socket_does_not_hold_discover(cli):
    path = cli.dir / "spdk-silent.sock"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        answer = cli("discover")
    found = [t for t in answer["targets"] if t["socket"] == str(path)]
    assert found and not found[0]["answers"] and "no answer" in found[0]["error"]


def test_security_hostile_socket_does_not_hurt_discover(cli):
    path = cli.dir / "spdk-hostile.sock"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()

        def lie():
            peer, _ = s.accept()
            peer.recv(65536)
            peer.sendall(b'{"id":1,"result":' + b"[" * 10000)
            peer.recv(1)
        liar = threading.Thread(target=lie)
        liar.start()
        answer = cli("discover")
        liar.join()
    found = [t for t in answer["targets"] if t["socket"] == str(path)]
    assert found and not found[0]["answers"] and found[0]["error"]


def test_list_ranks_and_explains(cli):
    backing = cli.dir / "empty"
    backing.touch()
    os.truncate(backing, 64 << 20)
    used = cli.dir / "used"
    used.write_bytes(b"data" * 1048576)
    answer = cli("list", backing, used)
    scores = [c["score"] for c in answer["candidates"]]
    assert scores == sorted(scores, reverse=True)
    by_path = {c["path"]: c for c in answer["candidates"]}
    assert by_path[str(backing)]["attach"] is True
    assert by_path[str(used)]["attach"] is False
    assert by_path[str(used)]["verdict"] == "holds-data"
    assert by_path[str(used)]["serial"].startswith("FILE-")


def test_list_names_each_once(cli):
    backing = cli.dir / "empty"
    backing.touch()
    os.truncate(backing, 64 << 20)
    link = cli.dir / "link"
    link.symlink_to(backing)
    devices = [d["path"] for d in cli("discover")["devices"]][:1]
    paths = [c["path"] for c in cli("list", *devices, backing, link, backing)["candidates"]]
    assert len(paths) == len(set(paths)) and paths.count(str(backing)) == 1


def test_list_ceph_says_what_targets_lack(cli, target):
    answer = cli("list", "ceph")
    mine = [c for c in answer["candidates"] if c["path"] == str(target.sock)]
    assert mine and "has bdev_rbd_create" in mine[0]["reason"]
    if not answer["clusters"]:
        assert mine[0]["eligible"] and not mine[0]["attach"]
        assert "no Ceph cluster is reachable" in mine[0]["reason"]


def test_status_of_nothing(cli):
    answer = cli("status")
    assert answer["health"] == "ok" and answer["accelerators"] == []
    assert not cli.state.exists()


def test_human_tables_have_no_trailing_blanks(cli):
    process = cli.start("discover")
    assert process.returncode == 0
    assert "io_uring" in process.stdout
    assert all(line == line.rstrip() for line in process.stdout.splitlines())


@pytest.mark.parametrize("verb", VERBS + LONG_NAMES)
def test_each_verb_has_help(cli, verb):
    process = cli.start(verb, "--help")
    assert process.returncode == 0 and process.stdout.startswith("usage: cyborg-spdk ")
    assert "--json" in process.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_tells_the_version(cli, verb):
    assert cli.start(verb, "--version").stdout == cli.start("--version").stdout


def test_overview_names_all_verbs(cli):
    process = cli.start("--help")
    assert process.returncode == 0
    assert all(name in process.stdout for name in VERBS + LONG_NAMES)
    assert cli.start().returncode == 2
    assert cli.start("--version").stdout.startswith("cyborg-spdk (cyborg-spdk) ")


@pytest.mark.parametrize("words, text", [
    (["nonsense"], "nonsense"),
    (["status", "a", "b"], "one too many"),
    (["list", "--scenario", "x"], "allowed are blobstore and ceph"),
    (["discover", "vhost"], "not supported"),
    (["install"], "needs an id"),
    (["install", "../x", "--memory", "1M"], "allowed are"),
    (["install", "a"], "one of --backing"),
    (["install", "a", "--memory", "1M", "--backing", "/x"], "one of --backing"),
    (["install", "a", "vhost", "--memory", "4M"], "not supported"),
    (["install", "a", "--size", "x"], "size"),
    (["install", "a", "--backing", "/x", "--size", "0"], "'0' is out of range, allowed is 1 to"),
    (["install", "a", "--memory", "0"], "'0' is out of range"),
    (["install", "a", "--memory", "8388608T"], "is out of range"),
    (["attach", "vm1"], "--host NQN"),
    (["attach", "--host", "nqn.2016-06.io.spdk:h"], "--instance ID"),
    (["attach", "vm1", "--host", "me"], "is no NQN"),
    (["attach", "v m", "--host", "nqn.2016-06.io.spdk:h"], "allowed are"),
    (["detach"], "--instance ID"),
    (["detach", "a", "--instance", "b"], "given twice"),
    (["uninstall"], "needs the accelerator's id"),
])
def test_usage_errors_name_what_came(cli, words, text):
    process = cli.start(*words)
    assert process.returncode == 2, process.stderr
    assert text in process.stderr
    assert process.stdout == ""


def test_json_errors_are_json(cli):
    failure = cli.refused("detach", "vm1")
    assert failure.code == 4 and failure.error["name"] == "ENOENT"
    assert failure.error["message"] in failure.message


@pytest.mark.parametrize("words", [["nonsense"], ["status", "--nonsense"], ["install", "--size"],
                                   ["detach", "a", "--instance", "b"]])
def test_json_errors_of_a_wrong_command_line_are_json(cli, words):
    process = cli.start(words[0], *words[1:-1], "--json", *words[1:][-1:])
    assert process.returncode == 2
    error = json.loads(process.stdout)["error"]
    assert error["name"] == "EINVAL" and error["message"] in process.stderr


@pytest.mark.parametrize("words", [
    [b"status", b"\xff"], [b"update", b"--target", b"/k\xff"], [b"x\xff"],
    [b"attach", b"vm1", b"--host", HOST.encode(), b"--dhchap-key", b"/k\xff"],
    [b"status", b"--state-dir", b"/s\xff"]])
def test_security_words_that_json_cannot_hold_are_refused(cli, words):
    """Left out of the request they would be as if they had not been asked for."""
    done = subprocess.run([str(cli.program), *words, b"--json"], env=cli.env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["name"] == "EINVAL"


def test_words_that_are_cut_are_told_in_json(cli):
    for start in "a", "ab":
        failure = cli.refused("install", start + "\u00e4" * 200, "--memory", "8M")
        assert failure.error["message"].startswith("accelerator id")


@pytest.mark.parametrize("words", [["status"], ["discover", "--json"], ["--help"],
                                   ["status", "--help"], ["--version"]])
def test_answer_that_cannot_be_written_is_told(cli, words):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([str(cli.program), *words], env=cli.env, stdout=full,
                              stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and b"cannot be written to standard output" in done.stderr


def test_closed_streams_are_nobody_elses(node):
    """Else what is printed would go into whatever file got the number."""
    def close():
        for fd in 0, 1, 2:
            os.close(fd)
    image = node.dir / "image"
    image.touch()
    os.truncate(image, 32 << 20)
    for words in (["install", "a", "--memory", "8M"], ["attach", "vm1", "--host", HOST],
                  ["status"], ["blob", "create", image, "s"], ["blob", "check", image]):
        subprocess.run([str(node.program), *words], env=node.env, preexec_fn=close, check=True)
    assert len(node.status()["accelerators"][0]["attachments"]) == 1
    assert (node.state / "lock").read_text().startswith("attach (pid ")


def test_what_a_caller_happens_to_have_is_not_kept(node):
    """A lock by a descriptor, the working directory, an ignored SIGCHLD: the daemon is free of it."""
    here = node.dir / "here"
    here.mkdir()
    with open(node.dir / "locked", "wb") as lock:
        subprocess.run([str(node.program), "install", "a", "--memory", "8M"], env=node.env,
                       cwd=here, pass_fds=[lock.fileno()], check=True,
                       preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    supervisor, target = node.pids()
    for pid in supervisor, target:
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        opened = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert str(node.dir / "locked") not in opened
    os.kill(target, signal.SIGKILL)
    wait_until(lambda: node.pids()[1] not in (0, target), "the next start")


@pytest.mark.parametrize("columns", [80, 40, 10])
def test_progress_keeps_to_its_line(node, columns):
    """What the terminal breaks into two lines is not written over."""
    kit = node.dir / "kit"
    kit.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo cyborg-spdk-tgt 9.9.9 && exit 0\n"
                   "sleep 1.3\nexit 3\n")
    kit.chmod(0o755)
    node("install", "a", "--backing", node.dir / "backing", "--size", "8M")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    subprocess.run([str(node.program), "update", "a", "--target", kit], env=node.env,
                   stdout=subprocess.DEVNULL, stderr=theirs, check=False)
    os.close(theirs)
    said = b""
    with suppress(OSError):
        while more := os.read(ours, 65536):
            said += more
    os.close(ours)
    *lines, refusal = said.decode().split("\r\x1b[K")
    assert len(lines) > 2 and b"rolled back" in refusal.encode()
    assert all(len(line) < max(columns, 25) for line in lines)
    assert any("update [2/7]" in line for line in lines)


def test_no_home(cli):
    process = subprocess.run([str(cli.program), "status"], env={}, stderr=subprocess.PIPE,
                             text=True, check=False)
    if os.geteuid() == 0:
        # Whatever this node has in the system's own directory.
        assert process.returncode in (0, 8)
    else:
        assert process.returncode == 2 and "--state-dir DIR" in process.stderr


def test_dry_run_makes_nothing(cli, program):
    program("cyborg-spdk-tgt")
    answer = cli("install", "a", "--memory", "16M", "--dry-run")
    assert [s["name"] for s in answer["steps"]] == ["backing", "record", "environment", "start",
                                                   "configure", "store", "check"]
    assert not cli.state.exists()


@pytest.mark.parametrize("verb", [["status"], ["install", "a", "--memory", "8M"]])
def test_wrong_state_directories(cli, verb):
    plain = cli.dir / "plain"
    plain.touch()
    assert "is no directory" in cli.refused(*verb, "--state-dir", plain).message
    assert "is empty" in cli.refused(*verb, "--state-dir", "").message


def test_state_that_may_not_be_seen_is_not_nothing(cli):
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(cli.program)]
    mine = cli.dir / "mine"
    mine.mkdir()
    if os.geteuid() == 0:
        os.chown(mine, 65534, 65534)
        cli.dir.chmod(0o755)
    mine.chmod(0)
    for path in mine, mine / "state":
        done = subprocess.run([*words[0 if os.geteuid() == 0 else 4:], "status", "--state-dir",
                               str(path)], stderr=subprocess.PIPE, text=True, check=False)
        if "failed to execute" in done.stderr:
            pytest.skip("nobody else may run the programs here")
        assert done.returncode == 1 and "Permission denied" in done.stderr
    mine.chmod(0o700)


@pytest.mark.parametrize("verb", [["status"], ["install", "a", "--memory", "8M"]])
def test_security_state_directory_that_others_may_write(cli, verb):
    shared = cli.dir / "shared"
    shared.mkdir()
    for mode in 0o777, 0o1777, 0o770:
        shared.chmod(mode)
        failure = cli.refused(*verb, "--state-dir", shared)
        assert "may be written by others" in failure.message
        assert list(shared.iterdir()) == []
    if os.geteuid() == 0:
        shared.chmod(0o700)
        os.chown(shared, 65534, -1)
        assert "belongs to the user 65534" in cli.refused(*verb, "--state-dir", shared).message


def test_relative_state_directory(node):
    env = {"CYBORG_SPDK_STATE_DIR": os.path.relpath(node.state)}
    node("install", "a", "--memory", "8M", env=env)
    assert node("status")["accelerators"][0]["socket"] == str(node.socket())
    node("uninstall", "a", env=env)


def test_state_dir_of_a_user(cli):
    env = {k: v for k, v in os.environ.items() if k != "CYBORG_SPDK_STATE_DIR"}
    env["XDG_STATE_HOME"] = str(cli.dir / "xdg")
    words = [str(cli.program), "status", "--json"]
    if os.geteuid() == 0:
        out = subprocess.run(words, env=env, stdout=subprocess.PIPE, check=False).stdout
        assert json.loads(out)["state_dir"] == "/var/lib/cyborg-spdk"
    else:
        out = subprocess.run(words, env=env, stdout=subprocess.PIPE, check=True).stdout
        assert json.loads(out)["state_dir"] == str(cli.dir / "xdg" / "cyborg-spdk")

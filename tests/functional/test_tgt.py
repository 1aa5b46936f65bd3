# SPDX-License-Identifier: Apache-2.0
"""The program itself: options, a second instance, readiness, signals, limits."""

import os
import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import RpcClient, RpcError, Target, stale_listener, wait_until


def run(program, *options):
    return subprocess.run([program("cyborg-spdk-tgt"), *map(str, options)], capture_output=True,
                          text=True, timeout=60)


# --- options ----------------------------------------------------------------------------------

def test_version(program):
    for option in ("--version", "-v"):
        done = run(program, option)
        assert done.returncode == 0
        assert re.fullmatch(r"cyborg-spdk-tgt \(cyborg-spdk\) \S+, commit \S+\n", done.stdout)


def test_help(program):
    done = run(program, "-h")
    assert done.returncode == 0
    for word in ("--rpc-socket", "--cpumask", "--wait-for-rpc", "--drain-timeout", "--poll"):
        assert word in done.stdout


@pytest.mark.parametrize("options, words", [
    (["--nope"], "--nope"),
    (["word"], '"word" is no option'),
    (["-s", "many"], "many"),
    (["-n", "x"], 'option -n: "x" is no whole number'),
    (["-s", "x"], "option -s: size 'x'"),
    (["--backend", "kqueue"], "it must be auto, uring or epoll"),
    (["--spin-time", "-1"], "--spin-time"),
    (["--max-connections", "0"], "--max-connections"),
    (["-m", "0x1", "--lcores", "0"], "give either -m or --lcores"),
    (["-m", "nonsense"], "nonsense"),
    (["--lcores", "0-"], "0-"),
    (["--lcores", "(0-1)@0"], "--lcores"),
    (["-L", "nope"], 'there is no log flag "nope"'),
    (["-c", "x", "--wait-for-rpc"], "give either -c or --wait-for-rpc"),
    (["--poll", "--interrupt-mode"], "give either --poll or --interrupt-mode"),
])
def test_refused_options(program, options, words):
    done = run(program, *options)
    assert done.returncode == 2 and words in done.stderr


@pytest.mark.parametrize("options, words", [
    (["-m", "0x%x" % (1 << 1000)], "not one of those this process may use"),
    (["--rpcs-allowed", "nope"], '--rpcs-allowed: "nope" is no method'),
    (["-r", "/nonexistent/sock"], "/nonexistent/sock"),
    (["-f", "/nonexistent/pid"], "/nonexistent/pid"),
])
def test_refused_starts(program, tmp_path, options, words):
    done = run(program, "-r", tmp_path / "sock", *options)
    assert done.returncode == 1 and words in done.stderr
    assert os.listdir(tmp_path) == []


# What spdk_tgt takes and we have no use for is noted in one line.
@pytest.mark.target_options(
    "-s", "512", "--no-huge", "-i", "1", "-n", "4", "-u", "-R", "-g", "-e", "0xffff", "-A",
    "0000:00:01.0", "--iova-mode", "va", "--huge-dir", "/dev/hugepages", "--base-virtaddr",
    "0x200000000000", "--num-trace-entries", "1024", "--env-context", "x", "-d", "-p", "0",
    "--msg-mempool-size", "1024", "--disable-cpumask-locks", "-S", "/tmp", "--enforce-numa")
def test_options_of_spdk_tgt(target):
    assert target.call("bdev_get_bdevs") == []
    notes = [line for line in target.log.splitlines() if "options without a meaning" in line]
    assert len(notes) == 1
    for option in ("-s", "--no-huge", "--iova-mode", "-A", "-S"):
        assert option in notes[0]


@pytest.mark.target_options("--silence-noticelog", "-L", "rpc", "--spin-time", "1ms",
                            "--drain-timeout", "3s", "--max-connections", "7")
def test_own_options(target):
    assert target.call("log_get_flags")["rpc"] is True
    assert target.call("log_get_print_level") == "DEBUG"


@pytest.mark.parametrize("backend", ["uring", "epoll"])
def test_backends(program, backend):
    target = Target(program("cyborg-spdk-tgt"), ["--backend", backend],
                    {"CYBORG_SPDK_BACKEND": ""})
    try:
        wait_until(lambda: not target.alive() or target.sock.exists(), "a start or an end")
        if not target.alive() and "io_uring" in target.log:
            pytest.skip("io_uring is forbidden here")
        target.wait_ready()
        assert ("using io_uring" in target.log) == (backend == "uring")
        target.check()
    finally:
        target.remove()


def test_no_rpc_server(program, tmp_path):
    pid_file = tmp_path / "pid"
    process = subprocess.Popen([program("cyborg-spdk-tgt"), "--no-rpc-server", "-f", pid_file],
                               stderr=subprocess.DEVNULL)
    wait_until(lambda: pid_file.exists() and pid_file.read_text(), "the pid file")
    assert int(pid_file.read_text()) == process.pid
    process.terminate()
    assert process.wait(30) == 0
    assert not pid_file.exists()


# --- one socket, one target -------------------------------------------------------------------

def test_second_instance_is_refused(program, target):
    done = run(program, "-r", target.sock)
    assert done.returncode == 1
    assert f"pid {target.pid} serves it" in done.stderr and str(target.sock) in done.stderr
    assert target.call("log_get_level") == "NOTICE"


def answers(path):
    try:
        with RpcClient(path) as client:
            return client.call("log_get_level") == "NOTICE"
    except OSError:
        return False


def test_socket_of_a_killed_target(target_factory, program):
    target = target_factory()
    target.process.kill()
    target.process.wait()
    assert target.sock.exists()
    second = subprocess.Popen([program("cyborg-spdk-tgt"), "-r", target.sock],
                              stderr=subprocess.DEVNULL)
    wait_until(lambda: answers(target.sock), "the second target")
    second.terminate()
    assert second.wait(30) == 0
    target.remove()


def test_socket_that_a_killed_target_still_holds(program, tmp_path):
    """However long the kernel takes to let go of it: here longer than of a server that lives."""
    path = tmp_path / "rpc.sock"
    listener = stale_listener(path)
    with subprocess.Popen([program("cyborg-spdk-tgt"), "-r", path], stderr=subprocess.PIPE,
                          text=True) as second:
        time.sleep(1.5)
        listener.close()
        try:
            wait_until(lambda: second.poll() is not None or answers(path),
                       "the second target")
        finally:
            second.terminate()
        said = second.stderr.read()
    assert second.returncode == 0, said


# --- readiness and leaving --------------------------------------------------------------------

def test_readiness(program, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(30)
        target = Target(program("cyborg-spdk-tgt"), env={"NOTIFY_SOCKET": str(path)})
        try:
            assert notify.recv(100) == b"READY=1"
            assert target.call("log_get_level") == "NOTICE"
            target.process.send_signal(signal.SIGTERM)
            assert notify.recv(100) == b"STOPPING=1"
            target.check()
        finally:
            target.remove()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals(target_factory, sig):
    target = target_factory()
    target.call("bdev_malloc_create", num_blocks=8, block_size=512)
    assert target.stop(sig) == 0
    assert os.listdir(target.dir) == ["log"]
    target.remove()


def test_signals_that_come_together(target_factory):
    """From a group and its supervisor, say: that is one wish."""
    target = target_factory("--drain-timeout", "600s")
    target.call("bdev_malloc_create", name="m", num_blocks=8, block_size=512)
    target.process.send_signal(signal.SIGSTOP)
    target.process.send_signal(signal.SIGTERM)
    target.process.send_signal(signal.SIGINT)
    target.process.send_signal(signal.SIGCONT)
    assert target.process.wait(30) == 0
    target.remove()


# --- limits -----------------------------------------------------------------------------------

def test_descriptors_are_raised(target):
    with open(f"/proc/{target.pid}/limits", encoding="ascii") as f:
        line = next(line for line in f if line.startswith("Max open files"))
    soft, hard = line.split()[3:5]
    assert soft == hard


def test_no_descriptor_left(program, tmp_path):
    """A client is told why it is turned away."""
    limited = tmp_path / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -n 40\nexec {program("cyborg-spdk-tgt")} "$@"\n')
    limited.chmod(0o755)
    target = Target(limited)
    try:
        target.wait_ready()
        clients = [target.client() for _ in range(50)]
        refusal = clients[-1].receive()
        assert refusal["id"] is None and refusal["error"]["code"] == -24
        assert "no file descriptor left" in refusal["error"]["message"]
        assert clients[0].call("log_get_level") == "NOTICE"
        for client in clients:
            client.close()

        def served():
            try:
                return target.call("log_get_level") == "NOTICE"
            except (RpcError, AssertionError, OSError):
                return False
        wait_until(served, "a client that is served again")
        target.check()
    finally:
        target.remove()


def test_sleeps_when_idle(target):
    def sleeps():
        with open(f"/proc/{target.pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] == "S"
    target.call("log_get_level")
    wait_until(sleeps, "a target that sleeps")

# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk-supervise with targets that live, die, hang and say nothing."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import stale_listener, wait_until


class Supervised:
    def __init__(self, program, tmp_path):
        self.program, self.dir = program, tmp_path
        self.pidfile, self.log = tmp_path / "pid", tmp_path / "log"

    def run(self, *words, daemon=True):
        return subprocess.run(
            [self.program, "--pidfile", self.pidfile, "--log", self.log,
             *(["--daemon"] if daemon else []), *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)

    def pids(self):
        return tuple(map(int, self.pidfile.read_text().split()))

    def stop(self):
        if self.pidfile.exists():
            try:
                os.kill(self.pids()[0], signal.SIGTERM)
            except ProcessLookupError:
                return
            wait_until(lambda: not self.pidfile.exists(), "the supervisor to leave")


@pytest.fixture
def supervised(program, tmp_path):
    s = Supervised(program("cyborg-spdk-supervise"), tmp_path)
    yield s
    s.stop()


def read_if_there(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0] != "Z"


def test_restarts_a_target_that_died(supervised):
    assert supervised.run("--backoff-min", "10ms", "--", "sleep", "1000").returncode == 0
    supervisor, first = supervised.pids()
    for _ in range(3):
        os.kill(supervised.pids()[1], signal.SIGKILL)
        died = supervised.pids()[1]
        wait_until(lambda: supervised.pids()[1] not in (0, died), "the next start")
    assert supervised.pids()[0] == supervisor and supervised.pids()[1] != first
    assert "was killed by signal 9" in supervised.log.read_text()


def test_sigterm_is_forwarded_and_ends_both(supervised):
    script = "trap 'echo drained; exit 0' TERM; while :; do sleep 0.01; done"
    assert supervised.run("--", "sh", "-c", script).returncode == 0
    _, target = supervised.pids()
    supervised.stop()
    assert not alive(target)
    assert "drained" in supervised.log.read_text()


def test_target_that_does_not_drain_is_killed(supervised):
    script = "trap '' TERM; while :; do sleep 0.01; done"
    assert supervised.run("--drain", "50ms", "--", "sh", "-c", script).returncode == 0
    _, target = supervised.pids()
    time.sleep(0.05)
    supervised.stop()
    assert not alive(target)
    assert "did not drain in time: killed" in supervised.log.read_text()


def test_what_a_script_started_ends_with_it(supervised):
    """A script that does not become the target: by SIGTERM, by its own death, by SIGKILL."""
    script = f"sh -c 'trap \"echo drained; exit 0\" TERM; echo $$ > {supervised.dir}/child; " \
             "while :; do sleep 0.01; done'; true"
    def child():
        return int((supervised.dir / "child").read_text())
    assert supervised.run("--backoff-min", "10ms", "--", "sh", "-c", script).returncode == 0
    wait_until(lambda: (supervised.dir / "child").exists() and read_if_there(
        supervised.dir / "child").strip(), "the child")
    first = child()
    os.kill(supervised.pids()[1], signal.SIGKILL)
    wait_until(lambda: child() != first, "the next start")
    assert not alive(first) and "left others of its process group" in supervised.log.read_text()
    second = child()
    supervised.stop()
    assert not alive(second)
    assert supervised.log.read_text().count("drained") == 2


def test_reader_of_the_pid_file_is_no_supervisor(supervised):
    supervised.pidfile.touch()
    with open(supervised.pidfile, "rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        timer = threading.Timer(0.1, lambda: fcntl.flock(reader, fcntl.LOCK_UN))
        timer.start()
        assert supervised.run("--", "sleep", "1000").returncode == 0
        timer.join()


def test_target_follows_its_supervisor_into_death(supervised):
    assert supervised.run("--", "sleep", "1000").returncode == 0
    supervisor, target = supervised.pids()
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not alive(target), "the target to leave")
    # The lock went with its holder.
    assert supervised.run("--", "sleep", "1000").returncode == 0


def test_second_supervisor_is_refused_by_name_of_the_first(supervised):
    assert supervised.run("--", "sleep", "1000").returncode == 0
    second = supervised.run("--", "sleep", "1000")
    assert second.returncode == 1
    assert str(supervised.pids()[0]) in second.stderr


def test_early_end_is_told_with_the_last_words(supervised):
    failed = supervised.run("--ready", supervised.dir / "s", "--",
                            "sh", "-c", "echo no such core; exit 3")
    assert failed.returncode == 1
    assert "exit code 3" in failed.stderr and "no such core" in failed.stderr
    assert not supervised.pidfile.exists()


@pytest.mark.parametrize("said, told", [
    ("echo tgt: unrecognized option \"'--bogus'\"; seq 1000", "unrecognized option '--bogus'"),
    ("echo '[1] *ERROR*: the cause'; echo '[2] *ERROR*: what follows'; seq 200",
     "words: the cause"),
])
def test_early_end_is_told_with_what_tells_most(supervised, said, told):
    failed = supervised.run("--ready", supervised.dir / "s", "--log", supervised.dir / "log", "--",
                            "sh", "-c", said + "; exit 3")
    assert failed.returncode == 1 and told in failed.stderr and "150" not in failed.stderr


def test_missing_program_is_told(supervised):
    failed = supervised.run("--ready", supervised.dir / "s", "--", "/nonexistent/tgt")
    assert failed.returncode == 1
    assert "/nonexistent/tgt cannot be started: No such file" in failed.stderr


def test_target_that_never_answers_is_stopped(supervised):
    failed = supervised.run("--ready", supervised.dir / "s", "--ready-timeout", "100ms", "--",
                            "sh", "-c", f"echo $$ > {supervised.dir}/child; exec sleep 1000")
    assert failed.returncode == 1
    assert "did not answer on its socket in time" in failed.stderr
    child = int((supervised.dir / "child").read_text())
    wait_until(lambda: not alive(child), "the target to be stopped")


ANSWERS_ONCE = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
held, asked = [], b""
while not asked:
    held.append(s.accept()[0])
    asked = held[-1].recv(4096)
held[-1].send(b"{}")
while True:
    held.append(s.accept()[0])
"""


def test_target_that_answers_no_more_is_started_again(supervised):
    history, sock = supervised.dir / "history", supervised.dir / "s"
    assert supervised.run("--ready", sock, "--alive", "200ms", "--history", history,
                          "--backoff-min", "10ms", "--", "sh", "-c",
                          'rm -f "$1"; exec python3 -c "$0" "$1"', ANSWERS_ONCE, sock).returncode == 0
    _, first = supervised.pids()
    wait_until(lambda: supervised.pids()[1] not in (0, first), "the next start")
    assert json.loads(history.read_text())["last_end"] == "did not answer for 0.2 s and was killed"


def test_saved_configuration_is_replayed(supervised):
    config = supervised.dir / "config.json"
    words = ["--config", config, "--backoff-min", "10ms", "--",
             "sh", "-c", 'echo "args: $*"; exec sleep 1000', "tgt", "-x"]
    assert supervised.run(*words).returncode == 0
    wait_until(lambda: "args: -x\n" in supervised.log.read_text(), "a start without")
    config.write_text("{}")
    os.kill(supervised.pids()[1], signal.SIGKILL)
    wait_until(lambda: f"args: -x -c {config}\n" in supervised.log.read_text(), "a start with")


def test_log_is_bounded(supervised):
    script = "i=0; while [ $i -lt 5000 ]; do echo 0123456789012345678901234567890; i=$((i+1)); " \
             "done; echo finished; exec sleep 1000"
    assert supervised.run("--log-size", "8K", "--log-keep", "2", "--",
                          "sh", "-c", script).returncode == 0
    # Between two files there is none for a moment.
    wait_until(lambda: "finished" in read_if_there(supervised.log), "the end of the output")
    logs = sorted(p.name for p in supervised.dir.glob("log*"))
    assert logs == ["log", "log.1", "log.2"]
    assert all((supervised.dir / name).stat().st_size <= 8192 for name in logs)


def test_socket_that_a_target_before_left_is_no_readiness(supervised):
    path = supervised.dir / "s"
    with stale_listener(path):
        failed = supervised.run("--ready", path, "--", "sh", "-c", "sleep 0.3; echo no; exit 1")
    assert failed.returncode == 1 and "before it was ready" in failed.stderr


def test_ready_when_the_socket_answers(supervised):
    path = supervised.dir / "s"
    script = ("import socket, time\n"
              f"s = socket.socket(socket.AF_UNIX); time.sleep(0.1); s.bind('{path}')\n"
              "s.listen(); time.sleep(1000)")
    assert supervised.run("--ready", path, "--", "/usr/bin/python3", "-c", script).returncode == 0
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))


@pytest.mark.parametrize("words, text", [
    ([], "no target was given"),
    (["--backoff-min", "2s", "--backoff-max", "1s", "--", "true"], "--backoff-min"),
    (["--log-size", "1", "--", "true"], "log-size"),
    (["--alive", "1s", "--", "true"], "--ready"),
    (["--nonsense", "--", "true"], "--nonsense"),
])
def test_usage_errors(supervised, words, text):
    failed = supervised.run(*words)
    assert failed.returncode == 2
    assert text in failed.stderr


def test_leaves_nothing_of_a_target_that_was_killed(supervised):
    """What an SPDK names by its pid, where DPDK makes its folder."""
    script = ('touch /dev/shm/made_up_trace.pid$$; mkdir -p "$RUNTIME_DIRECTORY/dpdk/spdk_pid$$"; '
              'touch "$RUNTIME_DIRECTORY/dpdk/spdk_pid$$/config"; exec sleep 1000')
    assert supervised.run("--backoff-min", "10ms", "--", "sh", "-c", script).returncode == 0
    _, first = supervised.pids()
    trace, folder = f"/dev/shm/made_up_trace.pid{first}", supervised.dir / "dpdk"
    wait_until(lambda: (folder / f"spdk_pid{first}" / "config").exists(), "the target's files")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervised.pids()[1] not in (0, first), "the next start")
    assert not os.path.exists(trace) and not (folder / f"spdk_pid{first}").exists()
    _, second = supervised.pids()
    wait_until((folder / f"spdk_pid{second}" / "config").exists, "the target's files")
    supervised.stop()
    assert not folder.exists() and not os.path.exists(f"/dev/shm/made_up_trace.pid{second}")


def test_tells_systemd(supervised, tmp_path):
    """Up, alive, leaving: sd_notify(3). The target is not to talk there."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(30)
    env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
    process = subprocess.Popen(
        [supervised.program, "--pidfile", supervised.pidfile, "--log", supervised.log, "--", "sh",
         "-c", "echo \"socket ${NOTIFY_SOCKET-none}\"; exec sleep 1000"], env=env)
    said = []
    while said.count("WATCHDOG=1") < 3 or "READY=1" not in said:
        said.append(listener.recv(100).decode())
    process.send_signal(signal.SIGTERM)
    while "STOPPING=1" not in said:
        said.append(listener.recv(100).decode())
    assert process.wait(30) == 0 and set(said) == {"READY=1", "WATCHDOG=1", "STOPPING=1"}
    assert "socket none" in supervised.log.read_text()


def test_daemon_tells_the_systemd_unit_of_its_caller_nothing(supervised, tmp_path, monkeypatch):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    listener.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    assert supervised.run("--", "sleep", "1000").returncode == 0
    supervised.stop()
    with pytest.raises(BlockingIOError):
        listener.recv(100)


def test_history(supervised, tmp_path):
    """Ends that nobody asked for are counted, over the supervisor's own death, and boots are told."""
    path = tmp_path / "history"
    words = ["--history", path, "--backoff-min", "10ms", "--", "sleep", "1000"]

    def history():
        return json.loads(path.read_text())
    assert supervised.run(*words).returncode == 0
    assert history()["restarts"] == 0 and not history()["after_boot"]
    supervisor, target = supervised.pids()
    os.kill(target, signal.SIGKILL)
    wait_until(lambda: supervised.pids()[1] not in (0, target), "the next start")
    assert history()["restarts"] == 1 and "signal 9" in history()["last_end"]
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not alive(supervised.pids()[1]), "the target to follow")
    assert supervised.run(*words).returncode == 0
    assert history()["restarts"] == 2 and history()["last_end"] == "lost its supervisor"
    supervised.stop()
    assert history()["state"] == "stopped"
    assert supervised.run(*words).returncode == 0
    assert history()["restarts"] == 0
    supervised.stop()
    path.write_text(json.dumps({**history(), "boot": "another"}))
    assert supervised.run(*words).returncode == 0
    assert history()["after_boot"]

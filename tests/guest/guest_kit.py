# SPDX-License-Identifier: Apache-2.0
"""What the guest tests share: booting a script, its steps, and a line to the guest while it runs.

CYBORG_SPDK_GUEST_LOGS  folder of SCRIPT.log, the guest's output as it comes, each line with the seconds
                        since the start, and SCRIPT.console (default: build/check/guest)
"""

import os
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

from conftest import REPOSITORY

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "scripts"
LOGS = Path(os.environ.get("CYBORG_SPDK_GUEST_LOGS", REPOSITORY / "build" / "check" / "guest"))
NQN = "nqn.2025-01.io.cyborg-spdk:guest"
HOSTNQN = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555"
SERIAL = "GUEST0001"
MODEL = "Guest test"

VERDICT = re.compile(r"^@(pass|fail|skip) (\w+)(.*)$")


def steps_of(script):
    """The names of a script's steps, in order, so that each becomes a test."""
    return re.findall(r"^\s*step (\w+)", (SCRIPTS / script).read_text(), re.MULTILINE)


class Boot:
    """One finished run of a script in a guest."""

    def __init__(self, code, output):
        self.code = code
        self.output = output
        self.verdicts = {}
        self.texts = {}
        lines = []
        for line in output.splitlines():
            match = VERDICT.match(line)
            if line.startswith("@step "):
                continue
            if not match:
                lines.append(line)
                continue
            self.verdicts[match[2]] = match[1]
            self.texts[match[2]] = "\n".join([*lines, line])
            lines = []
        self.rest = "\n".join(lines)

    def check(self, step, may_skip=False):
        """The step passed; what the guest printed about it is told otherwise."""
        verdict = self.verdicts.get(step, "absent")
        if verdict != "pass" and not (may_skip and verdict == "skip"):
            text = self.texts.get(step, f"the guest never came to it:\n{self.output[-4000:]}")
            raise AssertionError(f"{step}: {verdict}\n{text}\nkernel:\n{self.rest}")


class Control:
    """Answers the guest's `ask PORT WORD...`: handlers[WORD](*rest), then "ok" or the failure."""

    def __init__(self, **handlers):
        self.handlers = handlers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rw") as stream:
                word, *rest = stream.readline().split()
                try:
                    self.handlers[word](*rest)
                    stream.write("ok\n")
                except Exception as error:  # the guest's step fails and shows it
                    stream.write(f"{type(error).__name__}: {error}\n")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def boot(script, *args, files=(), programs=(), forwards=(), cpus=2, memory="512M", seconds=120,
         qemu=(), kernel="", systemd=False, again=False):
    """Run a script of SCRIPTS in a guest; programs are put in /job with their libraries.

    again: a guest that comes to no step within its time is started once more: for scripts whose
    first steps only set it up, in which an emulated machine stands still now and then
    """
    log = LOGS / Path(script).stem
    LOGS.mkdir(parents=True, exist_ok=True)
    command = [HERE / "guest.sh", "-c", cpus, "-m", memory, "-t", seconds,
               "-l", f"{log}.console", "-f", SCRIPTS / "lib.sh"]
    if systemd:
        command.append("-s")
    for file in files:
        command += ["-f", file]
    for program in programs:
        command += ["-F", program]
    for host, guest in forwards:
        command += ["-p", f"{host}:{guest}"]
    for words in qemu:
        command += ["-q", words]
    if kernel:
        command += ["-k", kernel]
    command += [SCRIPTS / script, *args]
    run = run_once(command, f"{log}.log")
    return run_once(command, f"{log}.log") if again and not run.verdicts else run


def run_once(command, log):
    output = []
    start = time.monotonic()
    with open(log, "w", encoding="utf-8", buffering=1) as file, \
            subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                             encoding="utf-8") as run:
        for line in run.stdout:
            output.append(line)
            file.write(f"{time.monotonic() - start:7.1f} {line}")
    return Boot(run.returncode, "".join(output))

# SPDX-License-Identifier: Apache-2.0
"""A real SPDK, for those who have one.

CYBORG_SPDK_REAL_TGT  its target: a program with SPDK's own options (spdk_tgt, or a script that sets
                      LD_LIBRARY_PATH and hands them on), or a command that starts a target without
                      hugepages when it is followed by the path of a socket and further options
CYBORG_SPDK_REAL_RPC  command of its rpc.py
"""

import functools
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

NO_TARGET = "no real SPDK: set CYBORG_SPDK_REAL_TGT to its target, see tests/real_spdk.py"
NO_CLIENT = "no client of a real SPDK: set CYBORG_SPDK_REAL_RPC to the command of its rpc.py"
# For a target beside others on a small machine.
ALONE = ["--no-huge", "-s", "1024", "--no-pci", "-m", "0x1"]


def words(variable, without):
    """Of the command that is named there; the test is skipped where there is none."""
    command = shlex.split(os.environ.get(variable, ""))
    if not command:
        import pytest
        pytest.skip(without)
    return command


def libraries(program):
    """Of a build that was not installed: beside its folder of programs."""
    folder = Path(program).resolve().parent.parent / "lib"
    return folder if any(folder.glob("libspdk_*.so*")) else None


def run_briefly(command, until):
    """What it prints, until that or its end."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, cwd=folder, env=environment(command),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        printed = b""
        try:
            while until not in printed:
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                printed += piece
            return printed.decode(errors="replace")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


@functools.cache
def has_options(*command):
    """A bare -r is refused by SPDK's own options, and taken for a socket by a command."""
    return "requires an argument" in run_briefly([*command, "-r"], b"EAL parameters")


@functools.cache
def usage(*command):
    before = [] if has_options(*command) else ["/none"]
    return run_briefly([*command, *before, "--help"], b"EAL parameters")


def environment(command):
    folder = libraries(command[0])
    path = os.environ.get("LD_LIBRARY_PATH")
    if not folder:
        return dict(os.environ)
    return {**os.environ, "LD_LIBRARY_PATH": f"{folder}:{path}" if path else str(folder)}


def start(sock, **kwargs):
    """A target that listens on @sock, as a subprocess.Popen."""
    command = words("CYBORG_SPDK_REAL_TGT", NO_TARGET)
    has = has_options(*command)
    line = [*command, "-r", str(sock), *ALONE] if has else [*command, str(sock)]
    if "--disable-cpumask-locks" in usage(*command):
        line.append("--disable-cpumask-locks")
    return subprocess.Popen(line, env=environment(command), **kwargs)


def kit(path):
    """A script at @path that takes SPDK's own options, as the verbs take a target to."""
    command = words("CYBORG_SPDK_REAL_TGT", NO_TARGET)
    line = shlex.join(command)
    if has_options(*command):
        folder = libraries(command[0])
        body = f"export LD_LIBRARY_PATH={shlex.quote(str(folder))}\n" if folder else ""
        body += f'exec {line} "$@"\n'
    else:
        body = f'sock=/dev/null\nif [ "$1" = -r ]; then sock=$2; shift 2; fi\n' \
               f'exec {line} "$sock" "$@"\n'
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
    return path


def client():
    """The command of rpc.py."""
    command = words("CYBORG_SPDK_REAL_RPC", NO_CLIENT)
    if command[0].endswith(".py") and not os.access(command[0], os.X_OK):
        command.insert(0, sys.executable)
    return command

# SPDX-License-Identifier: Apache-2.0
"""A verb in a process of its own, with a time limit.

A library call cannot be taken back, and in a process made of green threads (a cyborg-agent with
eventlet) it would hold up all of them; a process can be waited for, and be left. It also ends by
itself, because behind sudo it is not ours to kill.

Threading: pure functions.
"""

import errno
import json
import os
import pwd
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from cyborg_spdk.library import Spdk, SpdkError, default_state_dir

LEAVE_SECONDS = 1.0


def _owner(state_dir):
    """Root in the place of the user to whom a state directory belongs, as arguments of Popen."""
    try:
        found = os.stat(state_dir)
    except OSError:
        return {}
    if os.geteuid() != 0 or found.st_uid == 0:
        return {}
    return {"user": found.st_uid, "group": found.st_gid, "extra_groups": _groups(found)}


def _groups(found):
    """That user's groups, one of which may be that of the devices."""
    try:
        return os.getgrouplist(pwd.getpwuid(found.st_uid).pw_name, found.st_gid)
    except KeyError:
        return []


def call(verb, request=None, state_dir=None, library=None, timeout=20.0, helper=None):
    """The answer to a verb; SpdkError when it is refused, or not there after @timeout seconds.

    helper: a command in front of the process, as text for a shell's rules
    """
    where = state_dir or default_state_dir()
    owner = _owner(where)
    order = json.dumps({"verb": verb, "request": request, "library": library, "timeout": timeout,
                        "state_dir": where if owner else state_dir})
    package = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    try:
        process = subprocess.Popen(
            [*shlex.split(helper or ""), sys.executable or "python3", "-m", "cyborg_spdk.child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path}, **owner)
    except (OSError, ValueError, subprocess.SubprocessError) as e:
        code = getattr(e, "errno", None) or errno.EIO
        raise SpdkError(code, f"{verb}: no process for it: {e}") from None
    return _answer(verb, process, order.encode(), timeout)


def _is_timeout(e):
    """By name, since eventlet raises a class that is none of the patched module's own."""
    return type(e).__name__ == "TimeoutExpired"


def _answer(verb, process, order, timeout):
    try:
        out, said = process.communicate(order, timeout=timeout)
    except Exception as e:
        _kill(process)
        _leave(process)
        if not _is_timeout(e):
            raise
        raise SpdkError(errno.ETIMEDOUT, f"{verb} gave no answer for {timeout:g} s") from None
    try:
        reply = dict(json.loads(out))
    except (ValueError, TypeError):
        text = said.decode(errors="replace").strip()[-500:]
        raise SpdkError(errno.EIO, f"{verb}: its process left with {process.returncode} and no "
                        f"answer: {text}") from None
    if "error" in reply:
        raise SpdkError(reply["error"]["errno"], reply["error"]["message"])
    return reply["answer"]


def _kill(process):
    try:
        process.kill()
    except PermissionError:
        # Of another user, by sudo: it ends by its own alarm.
        pass


def _leave(process):
    """What hangs in the kernel does not end by SIGKILL: it is not waited for."""
    try:
        process.communicate(timeout=LEAVE_SECONDS)
    except Exception as e:
        if not _is_timeout(e):
            raise


def main():
    order = json.load(sys.stdin)
    # One that is ignored is inherited, and the library could not wait for its programs.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, order["timeout"] + LEAVE_SECONDS)
    try:
        with Spdk(order["state_dir"], order["library"]) as spdk:
            reply = {"answer": spdk.call(order["verb"], order["request"])}
    except SpdkError as e:
        reply = {"error": {"errno": e.errno, "message": e.message}}
    json.dump(reply, sys.stdout)


if __name__ == "__main__":
    main()

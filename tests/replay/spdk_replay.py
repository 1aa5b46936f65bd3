#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for an older SPDK target: that release's names, parameters and answers in front, held
strictly, and the embedded engine behind, which does the work. It says so in its version and log.

usage: spdk_replay.py --release YY.MM --engine PROGRAM [--schema FILE] [--functions FILE]
                      -r SOCKET [-c CONFIG] [more]

What it does not know goes to the engine's command line. Requests that are there together are
carried out in order and answered in the opposite order, as any target may.

Threading: a thread a connection; each has its own connection to the engine.
"""

import argparse
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import functions
from releases import Refusal, Release

PATIENCE = 30.0
PR_SET_PDEATHSIG = 1


class Connection:
    """JSON texts one after another over a UNIX socket."""

    def __init__(self, sock):
        self.sock = sock
        self.text = ""

    def send(self, value):
        self.sock.sendall(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def texts(self):
        """All whole texts that are there, at least one; none when the peer closed."""
        while True:
            found = []
            while self.text:
                try:
                    value, end = json.JSONDecoder().raw_decode(self.text)
                except ValueError:
                    break
                found.append(value)
                self.text = self.text[end:].lstrip()
            if found:
                return found
            data = self.sock.recv(1 << 20)
            if not data:
                return []
            self.text = (self.text + data.decode()).lstrip()


class Engine:
    """One connection to the engine."""

    def __init__(self, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        self.connection = Connection(sock)

    def call(self, method, params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method}
        if params is not None:
            request["params"] = params
        self.connection.send(request)
        answers = self.connection.texts()
        if not answers:
            raise Refusal(-32603, "the engine behind died")
        if "error" in answers[0]:
            raise Refusal(answers[0]["error"]["code"], answers[0]["error"]["message"])
        return answers[0]["result"]


class Session:
    """What one client asks."""

    def __init__(self, release, engine, pci=None):
        self.release, self.engine, self.pci = release, engine, pci

    def carry_out(self, method, params):
        todays = self.release.check(method, params)
        if todays[0] == "rpc_get_methods":
            return sorted(self.release.methods)
        if todays[0] == "spdk_get_version":
            year, month = map(int, self.release.name.split("."))
            return {"version": version(self.release, self.pci), "fields": {
                "major": year, "minor": month, "patch": 0, "suffix": ""}}
        for today in todays[:-1]:
            try:
                return self.ask(today, params)
            except Refusal:
                pass
        return self.ask(todays[-1], params)

    def ask(self, today, params):
        if today == "nvmf_subsystem_add_host" and "/" in params.get("psk", ""):
            self.name_key(params["psk"])
        if self.pci and today in functions.METHODS:
            return self.pci.call(self.engine, today, params)
        result = self.engine.call(today, self.release.to_today(today, params))
        if self.pci and today == "bdev_get_bdevs":
            self.pci.tell_bdevs(result, self.release.says(21, 4))
        if self.pci and today == "framework_get_config":
            result = self.pci.tell_config(result)
        return self.release.answer(today, result)

    def name_key(self, path):
        """Before 24.05 a PSK is its file's path, which the engine's keyring takes as a name."""
        if path not in [key["name"] for key in self.engine.call("keyring_get_keys", None)]:
            self.engine.call("keyring_file_add_key", {"name": path, "path": path})

    def answer(self, request):
        try:
            result = self.carry_out(request["method"], request.get("params"))
            return {"jsonrpc": "2.0", "id": request["id"], "result": result}
        except Refusal as refusal:
            print(f"refused {json.dumps(request)}: {refusal.message}", flush=True)
            return {"jsonrpc": "2.0", "id": request["id"],
                    "error": {"code": refusal.code, "message": refusal.message}}


def version(release, pci):
    files = "; its PCI functions are files" if pci else ""
    return (f"SPDK v{release.name} (a replay: its names and rules, the embedded engine behind"
            f"{files})")


def serve(sock, release, engine_path, pci):
    connection = Connection(sock)
    session = Session(release, Engine(engine_path), pci)
    try:
        while requests := connection.texts():
            for answer in reversed([session.answer(request) for request in requests]):
                connection.send(answer)
    except OSError:
        pass
    sock.close()


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start_engine(program, path, words):
    # Older releases lock no core.
    process = subprocess.Popen([program, "-r", path, "--disable-cpumask-locks", *words],
                               preexec_fn=die_with_parent)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            return process, Engine(path)
        except OSError:
            time.sleep(0.005)
    sys.exit(f"{program} did not come up")


def strings(value):
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else \
            value if isinstance(value, list) else ():
        yield from strings(inner)


def volumes(engine):
    """The names of all that stand on stores."""
    return {name for bdev in engine.call("bdev_get_bdevs", None)
            if "lvol" in bdev["driver_specific"] for name in [bdev["name"], *bdev["aliases"]]}


def replay_config(session, path):
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    for subsystem in config["subsystems"]:
        for call in subsystem["config"] or []:
            # Before 21.01 nothing waits for stores, whose volumes are not there yet.
            if not session.release.says(21, 1) and \
                    volumes(session.engine) & set(strings(call.get("params"))):
                sys.exit(f"{call['method']}: no such bdev: its store is not loaded yet")
            session.carry_out(call["method"], call.get("params"))


def listen(path):
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    return listener


def functions_option():
    """How that release is told of the functions that it may drive."""
    release = sys.argv[sys.argv.index("--release") + 1] if "--release" in sys.argv else "26.05"
    return "--pci-allowed" if release >= "20.10" else "--pci-whitelist"


def arguments():
    p = argparse.ArgumentParser(
        description="Stand in for an older SPDK target.", allow_abbrev=False,
        epilog=f"Handed on to the engine: --no-huge, --no-pci, {functions_option()} and any other.")
    p.add_argument("--release", required=True)
    p.add_argument("--engine", required=True)
    p.add_argument("--schema", help="SPDK's own schema, which the newest release needs")
    p.add_argument("--functions", help="NVMe functions and the files in their place")
    p.add_argument(functions_option(), dest="allowed", action="append", default=[])
    p.add_argument("--version", action="store_true")
    p.add_argument("-r", dest="sock")
    p.add_argument("-c", dest="config")
    return p.parse_known_args()


def main():
    args, words = arguments()
    schema = None
    if args.schema:
        with open(args.schema, encoding="utf-8") as file:
            schema = file.read()
    release = Release(args.release, schema)
    pci = functions.Functions(args.functions, args.allowed) if args.functions else None
    print(version(release, pci), flush=True)
    if args.version:
        return
    engine_path = args.sock + ".e"
    engine, connection = start_engine(args.engine, engine_path, words)

    def leave(*_):
        engine.terminate()
        engine.wait(PATIENCE)
        os.unlink(args.sock)
        os._exit(0)

    own = functions.METHODS if pci else ()
    release.keep([*connection.call("rpc_get_methods", None), *own])
    if args.config:
        replay_config(Session(release, connection, pci), args.config)
    listener = listen(args.sock)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, release, engine_path, pci), daemon=True).start()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a target that was built with librbd: the embedded engine, with bdev_rbd_* in front
as SPDK 26.05 takes them. An image is memory, whatever its name. It says so in its version.

usage: ceph_target.py --engine PROGRAM -r SOCKET [what the engine takes]

Threading: a thread a connection; each has its own connection to the engine.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading

from releases import Refusal
from spdk_replay import PATIENCE, Connection, Engine, listen, start_engine

IMAGE_BYTES = 4 << 20
TAKES = {
    "bdev_rbd_register_cluster": ({"name"}, {"user_id", "config_param", "config_file", "key_file",
                                             "core_mask"}),
    "bdev_rbd_get_clusters_info": (set(), {"name"}),
    "bdev_rbd_create": ({"pool_name", "rbd_name", "block_size"},
                        {"name", "user_id", "config", "cluster_name", "uuid", "read_only"}),
    "bdev_rbd_delete": ({"name"}, set()),
}


class Ceph:
    """The clusters that were registered, shared by all connections."""

    def __init__(self):
        self.clusters = {}

    def call(self, engine, method, params):
        required, optional = TAKES[method]
        if not required <= set(params) <= required | optional:
            raise Refusal(-32602, f"{method} takes {sorted(required | optional)}")
        return getattr(self, method)(engine, **params)

    def bdev_rbd_register_cluster(self, _engine, name, **params):
        if name in self.clusters:
            raise Refusal(-32603, f"cluster {name} is registered")
        if not os.access(params["config_file"], os.R_OK):
            raise Refusal(-32603, f"cluster {name}: no such configuration")
        self.clusters[name] = params
        return name

    def bdev_rbd_get_clusters_info(self, _engine):
        if not self.clusters:
            raise Refusal(-32603, "no cluster is registered")
        return [{"cluster_name": name, **params} for name, params in self.clusters.items()]

    def bdev_rbd_create(self, engine, name, block_size, cluster_name, rbd_name, **_):
        if cluster_name not in self.clusters:
            raise Refusal(-32603, f"cluster {cluster_name} is not registered")
        if rbd_name == "absent":
            raise Refusal(-2, "No such file or directory")
        return engine.call("bdev_malloc_create", {
            "name": name, "block_size": block_size, "num_blocks": IMAGE_BYTES // block_size})

    def bdev_rbd_delete(self, engine, name):
        return engine.call("bdev_malloc_delete", {"name": name})


def answer(ceph, engine, request):
    method, params = request["method"], request.get("params")
    try:
        if method in TAKES:
            result = ceph.call(engine, method, params or {})
        else:
            result = engine.call(method, params)
        if method == "rpc_get_methods":
            result += list(TAKES)
        return {"jsonrpc": "2.0", "id": request["id"], "result": result}
    except Refusal as refusal:
        return {"jsonrpc": "2.0", "id": request["id"],
                "error": {"code": refusal.code, "message": refusal.message}}


def serve(sock, ceph, engine_path):
    connection, engine = Connection(sock), Engine(engine_path)
    try:
        while requests := connection.texts():
            for request in requests:
                connection.send(answer(ceph, engine, request))
    except OSError:
        pass
    sock.close()


def main():
    p = argparse.ArgumentParser(description="Stand in for a target with librbd.",
                                allow_abbrev=False)
    p.add_argument("--engine", required=True)
    p.add_argument("-r", dest="sock")
    args, words = p.parse_known_args()
    if "--version" in words:
        told = subprocess.run([args.engine, "--version"], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()
        print(f"{told} (a stand-in for images of a Ceph cluster)")
        return
    process, _ = start_engine(args.engine, args.sock + ".e", words)

    def leave(*_):
        process.terminate()
        process.wait(PATIENCE)
        os.unlink(args.sock)
        os._exit(0)

    ceph, listener = Ceph(), listen(args.sock)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, ceph, args.sock + ".e"), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""A target with NVMe-oF over TCP set up by RPC, for the test_nvmf_* files."""

import json
import os

import nvme_tcp
from conftest import free_port, wait_until

NQN = "nqn.2016-06.io.spdk:cnode1"


class Nvmf:
    """What tests need of the target; everything is on 127.0.0.1."""

    def __init__(self, target, **transport):
        self.target = target
        self.rpc = target.client()
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.rpc.call("nvmf_create_transport", trtype="TCP", **transport)

    def listen_address(self, port=None):
        return {"trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1",
                "trsvcid": str(port or self.port)}

    def begin(self, method, **params):
        """Send a call, so that the hosts can do their part meanwhile; the result is what follows."""
        self.rpc.send(json.dumps(self.rpc.request(method, params)))

        def result():
            answer = self.rpc.receive()
            assert "error" not in answer, answer
            return answer["result"]
        return result

    def malloc(self, name="m0", blocks=8192, block_size=512, **options):
        return self.rpc.call("bdev_malloc_create", name=name, num_blocks=blocks,
                             block_size=block_size, **options)

    def subsystem(self, nqn=NQN, bdevs=("m0",), listen=True, allow_any_host=True, **options):
        self.rpc.call("nvmf_create_subsystem", nqn=nqn, allow_any_host=allow_any_host, **options)
        for bdev in bdevs:
            self.rpc.call("nvmf_subsystem_add_ns", nqn=nqn, namespace={"bdev_name": bdev})
        if listen:
            self.listen(nqn)

    def listen(self, nqn=NQN, port=None):
        self.rpc.call("nvmf_subsystem_add_listener", nqn=nqn,
                      listen_address=self.listen_address(port))

    def simple(self, **options):
        """One subsystem with one namespace of 8192 blocks."""
        self.malloc()
        self.subsystem(**options)
        return self

    def connection(self, **options):
        return nvme_tcp.Connection(self.address, **options)

    def queue(self, **options):
        return nvme_tcp.Queue(self.address, **options)

    def controller(self, nqn=NQN, **options):
        return nvme_tcp.Controller(self.address, nqn, **options)

    def groups(self):
        return self.rpc.call("nvmf_get_stats")["poll_groups"]

    def connections(self):
        return sum(g["current_admin_qpairs"] + g["current_io_qpairs"] +
                   g["current_unassociated_qpairs"] for g in self.groups())

    def waiting(self):
        return sum(g["pending_bdev_io"] for g in self.groups())

    def fds(self):
        return len(os.listdir(f"/proc/{self.target.pid}/fd"))

    def wait_no_connections(self):
        wait_until(lambda: self.connections() == 0, "all connections to end")

    def works(self, nqn=NQN):
        """The target serves a host as if nothing had happened."""
        with self.controller(nqn) as ctrlr:
            queue = ctrlr.io_queue()
            data = os.urandom(4096)
            assert queue.write(16, data).status == nvme_tcp.SUCCESS
            assert queue.read(16, 8).data == data

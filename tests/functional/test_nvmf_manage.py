# SPDX-License-Identifier: Apache-2.0
"""Changes while hosts are connected; storms; limits; nothing leaks."""

import os
import random
import resource
import socket
import struct
import threading

import nvme_tcp as nvme
import pytest
from nvmf_target import NQN, Nvmf, wait_until

OTHER_HOST = "nqn.2016-06.io.spdk:other"
BOTH = pytest.mark.parametrize("cores", ["0x1", "0x3"])


@pytest.fixture
def start(target_factory):
    def start(cores="0x1", options=(), **transport):
        return Nvmf(target_factory("-m", cores, "--disable-cpumask-locks", *options), **transport)
    return start


def running_reads(q, count=32):
    return [q.submit(nvme.READ, read=4096, **q.lba_fields(0, 8)) for _ in range(count)]


@BOTH
def test_namespace_removed_under_io(start, cores):
    nvmf = start(cores).simple()
    with nvmf.controller() as ctrlr:
        queues = [ctrlr.io_queue(qid) for qid in range(1, 5)]
        for _ in range(20):
            cids = [(q, running_reads(q)) for q in queues]
            nvmf.rpc.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=1)
            for q, some in cids:
                assert {q.wait(cid).status for cid in some} <= {0, nvme.INVALID_NAMESPACE}
                assert q.read(0, 1).status == nvme.INVALID_NAMESPACE
            nvmf.rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "m0"})
            assert all(q.read(0, 1).status == nvme.SUCCESS for q in queues)


@BOTH
def test_namespace_removed_while_a_write_waits_for_data(start, cores):
    nvmf = start(cores).simple()
    nvmf.malloc("m1", block_size=4096)
    with nvmf.controller() as ctrlr:
        q = ctrlr.io_queue()
        q.answer_r2t = False
        cids = [q.submit(nvme.WRITE, bytes(8192), in_capsule=False, **q.lba_fields(0, 16))
                for _ in range(3)]
        asked = [q.wait_r2t() for _ in cids]
        nvmf.rpc.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=1)
        q.send_data(*asked[0])
        assert q.wait(asked[0][0]).status == nvme.INVALID_NAMESPACE
        # Another takes its place: with other blocks the same numbers mean another length.
        nvmf.rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "m1", "nsid": 1})
        q.send_data(*asked[1])
        assert q.wait(asked[1][0]).status != nvme.SUCCESS
        nvmf.rpc.call("bdev_malloc_delete", name="m1")
        q.send_data(*asked[2])
        assert q.wait(asked[2][0]).status == nvme.INVALID_NAMESPACE


@BOTH
def test_subsystem_deleted_under_io(start, cores):
    nvmf = start(cores)
    nvmf.malloc()
    for _ in range(10):
        nvmf.subsystem()
        with nvmf.controller() as ctrlr:
            queues = [ctrlr.io_queue(qid) for qid in (1, 2, 3)]
            for q in queues:
                running_reads(q)
            deleted = nvmf.begin("nvmf_delete_subsystem", nqn=NQN)
            assert all(q.is_closed() for q in [*queues, ctrlr.admin])
            assert deleted()
    nvmf.rpc.call("bdev_malloc_delete", name="m0")


@BOTH
def test_host_removed(start, cores):
    nvmf = start(cores).simple(allow_any_host=False)
    for host in (nvme.HOST_NQN, OTHER_HOST):
        nvmf.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=host)
    with nvmf.controller() as ctrlr, nvmf.controller(hostnqn=OTHER_HOST) as other:
        q, stays = ctrlr.io_queue(), other.io_queue()
        running_reads(q)
        removed = nvmf.begin("nvmf_subsystem_remove_host", nqn=NQN, host=nvme.HOST_NQN)
        assert q.is_closed() and ctrlr.admin.is_closed() and removed()
        assert stays.read(0, 1).status == nvme.SUCCESS
        with nvmf.queue() as again:
            assert again.connect(NQN).status == nvme.CONNECT_HOST


def test_any_host_no_more(start):
    nvmf = start().simple()
    nvmf.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=OTHER_HOST)
    with nvmf.controller() as ctrlr, nvmf.controller(hostnqn=OTHER_HOST) as other:
        nvmf.rpc.call("nvmf_subsystem_allow_any_host", nqn=NQN, allow_any_host=False)
        assert ctrlr.admin.is_closed()
        assert other.admin.identify(1).status == nvme.SUCCESS


@BOTH
def test_listener_removed(start, cores):
    nvmf = start(cores).simple()
    second = socket.socket()
    second.bind(("127.0.0.1", 0))
    port = second.getsockname()[1]
    second.close()
    nvmf.listen(NQN, port)
    with nvmf.controller() as ctrlr, nvme.Controller(("127.0.0.1", port), NQN) as stays:
        q = ctrlr.io_queue()
        running_reads(q)
        removed = nvmf.begin("nvmf_subsystem_remove_listener", nqn=NQN,
                             listen_address=nvmf.listen_address())
        assert q.is_closed() and ctrlr.admin.is_closed() and removed()
        assert stays.io_queue().read(0, 1).status == nvme.SUCCESS
        with pytest.raises(OSError):
            nvmf.queue()
    nvmf.listen()
    nvmf.works()


def test_visibility(start):
    nvmf = start()
    nvmf.malloc()
    nvmf.subsystem(bdevs=())
    nvmf.rpc.call("nvmf_subsystem_add_ns", nqn=NQN,
                  namespace={"bdev_name": "m0", "no_auto_visible": True})

    def sees(ctrlr, q):
        listed = ctrlr.admin.identify(2).data[:4] == b"\1\0\0\0"
        assert (ctrlr.admin.identify(0, 1).data != bytes(4096)) == listed
        assert (ctrlr.admin.identify(3, 1).status == nvme.SUCCESS) == listed
        assert (q.read(0, 1).status == nvme.SUCCESS) == listed
        return listed

    with nvmf.controller() as ctrlr, nvmf.controller(hostnqn=OTHER_HOST) as other:
        q, other_q = ctrlr.io_queue(), other.io_queue()
        assert not sees(ctrlr, q) and not sees(other, other_q)
        ctrlr.admin.set_feature(0xb, 0x100)
        cid = ctrlr.admin.submit(nvme.ASYNC_EVENT)
        nvmf.rpc.call("nvmf_ns_add_host", nqn=NQN, nsid=1, host=nvme.HOST_NQN)
        assert ctrlr.admin.wait(cid).dw0 == 0x00040002
        assert sees(ctrlr, q) and not sees(other, other_q)
        nvmf.rpc.call("nvmf_ns_remove_host", nqn=NQN, nsid=1, host=nvme.HOST_NQN)
        assert not sees(ctrlr, q)


def test_too_many_connections(start):
    limit = 8
    nvmf = start().simple()
    # So many descriptors are kept for everything else.
    files = 64 + limit
    resource.prlimit(nvmf.target.pid, resource.RLIMIT_NOFILE, (files, files))
    open_ones = []
    try:
        for _ in range(limit):
            open_ones.append(nvmf.connection())
        with nvmf.connection(ic=False) as one_more:
            one_more.send(one_more.ic_req())
            assert one_more.is_closed()
        assert "refused: too many" in nvmf.target.log
        open_ones.pop().close()
        wait_until(lambda: nvmf.connections() < limit, "room")
        nvmf.connection().close()
    finally:
        for c in open_ones:
            c.close()
    nvmf.wait_no_connections()


def test_drain_lets_commands_end(start):
    nvmf = start().simple()
    with nvmf.controller() as ctrlr:
        q = ctrlr.io_queue()
        q.answer_r2t = False
        event = ctrlr.admin.submit(nvme.ASYNC_EVENT)
        cid = q.submit(nvme.WRITE, b"d" * 8192, in_capsule=False, **q.lba_fields(0, 16))
        _, ttag, offset, length = q.wait_r2t()
        nvmf.target.process.terminate()
        assert ctrlr.admin.wait(event).status == nvme.ABORTED_SQ_DELETION
        assert ctrlr.admin.is_closed()
        # A new command is refused so that the host tries it elsewhere; the running one ends well.
        cpl = q.read(0, 1)
        assert cpl.status == nvme.ABORTED_SQ_DELETION and not cpl.dnr
        q.send_data(cid, ttag, offset, length)
        assert q.wait(cid).status == nvme.SUCCESS
        assert q.is_closed()


def test_security_hosts_that_stop_halfway(start):
    """Before Connect, in the middle of a capsule, with data owed: nothing is held for ever."""
    nvmf = start().simple()
    with nvmf.connection(ic=False) as silent, nvmf.connection() as half, \
            nvmf.controller() as ctrlr:
        half.send(b"\4\0\x48\0")
        owing, cut, waiting = (ctrlr.io_queue(qid) for qid in (1, 2, 3))
        owing.answer_r2t = False
        for _ in range(100):
            owing.submit(nvme.WRITE, bytes(131072), in_capsule=False, **owing.lba_fields(0, 256))
        owing.wait_r2t()
        entry = nvme.sqe(nvme.WRITE, 1, dptr=nvme.sgl(nvme.SGL_CAPSULE, 4096),
                         **cut.lba_fields(0, 8))
        cut.send(cut.capsule(entry, bytes(4096))[:1000])
        assert silent.is_closed() and half.is_closed()
        assert owing.is_closed() and cut.is_closed()
        # One that has only nothing to say stays.
        assert waiting.write(0, bytes(65536)).status == nvme.SUCCESS
        assert "sent nothing of the data it owes" in nvmf.target.log
    nvmf.wait_no_connections()
    assert nvmf.waiting() == 0


# --- storms --------------------------------------------------------------------------------------


def broken_connect(nvmf, rng):
    """Connect and break off at a random point."""
    try:
        point = rng.randrange(9)
        q = nvmf.queue(ic=point > 1, timeout=30)
        try:
            if point == 1:
                q.send(q.ic_req()[:rng.randrange(128)])
            elif point == 3:
                whole = q.capsule(nvme.sqe(nvme.FABRICS), bytes(1024))
                q.send(whole[:rng.randrange(1, len(whole))])
            elif point == 4:
                cid = q.take_cid()
                q.submit_raw(struct.pack("<BBHB19x16sHHHBxI12x", nvme.FABRICS, 0x40, cid,
                                         nvme.CONNECT, nvme.sgl(nvme.SGL_CAPSULE, 1024), 0, 0, 31,
                                         0, 0), nvme.connect_data(NQN))
            elif point >= 5 and q.connect(NQN).status == 0:
                q.property_set(nvme.CC, nvme.CC_ENABLED)
                with nvmf.queue(timeout=30) as io:
                    if io.connect(NQN, qid=1, cntlid=q.cntlid).status == 0:
                        if point == 6:
                            running_reads(io, 16)
                        elif point == 7:
                            io.answer_r2t = False
                            for _ in range(8):
                                io.submit(nvme.WRITE, bytes(65536), in_capsule=False,
                                          **io.lba_fields(0, 128))
                            _, ttag, _, _ = io.wait_r2t()
                            io.send(io.h2c(io.next_cid, ttag, 0, bytes(65536))[:5000])
                        elif point == 8:
                            io.submit(nvme.COMPARE, bytes(512), flags=0x41, **io.lba_fields(0, 1))
                    if rng.random() < 0.5:
                        io.abort()
        finally:
            if rng.random() < 0.5:
                q.abort()
            else:
                q.close()
    except (OSError, nvme.Closed, nvme.Terminated, AssertionError):
        pass


@BOTH
def test_security_a_thousand_connects_half_of_them_broken(start, cores):
    nvmf = start(cores).simple()
    rng = random.Random(1)
    nvmf.works()
    nvmf.wait_no_connections()
    before = nvmf.fds()
    memory = resident(nvmf)
    for i in range(1000):
        if i % 2:
            broken_connect(nvmf, rng)
        else:
            with nvmf.queue() as q:
                assert q.connect(NQN).status == nvme.SUCCESS
    nvmf.wait_no_connections()
    wait_until(lambda: nvmf.fds() == before, "descriptors to be given back")
    assert nvmf.waiting() == 0
    # The broken ones got as far as they should: many had I/O queues.
    assert sum(group["io_qpairs"] for group in nvmf.groups()) > 100
    assert nvmf.rpc.call("nvmf_subsystem_get_controllers", nqn=NQN) == []
    nvmf.works()
    # A sanitizer keeps what was freed; without one memory stays where it was.
    if "asan" not in open(f"/proc/{nvmf.target.pid}/maps").read():
        assert resident(nvmf) - memory < 8 << 20


def resident(nvmf):
    with open(f"/proc/{nvmf.target.pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@BOTH
def test_security_storm_of_connects_while_everything_changes(start, cores):
    nvmf = start(cores).simple()
    stop = threading.Event()
    failures = []

    def storm(seed):
        rng = random.Random(seed)
        try:
            while not stop.is_set():
                broken_connect(nvmf, rng)
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=storm, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        rpc = nvmf.target.client()
        for i in range(25):
            rpc.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=1)
            rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "m0"})
            rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=nvme.HOST_NQN)
            rpc.call("nvmf_subsystem_allow_any_host", nqn=NQN, allow_any_host=False)
            rpc.call("nvmf_subsystem_remove_host", nqn=NQN, host=nvme.HOST_NQN)
            rpc.call("nvmf_subsystem_allow_any_host", nqn=NQN, allow_any_host=True)
            rpc.call("nvmf_subsystem_get_qpairs", nqn=NQN)
            rpc.call("nvmf_subsystem_remove_listener", nqn=NQN,
                     listen_address=nvmf.listen_address())
            nvmf.listen()
            if i % 5 == 4:
                rpc.call("nvmf_delete_subsystem", nqn=NQN)
                nvmf.subsystem()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    nvmf.wait_no_connections()
    nvmf.works()


@BOTH
def test_leave_while_hosts_work(start, cores):
    """The fixture checks that the target leaves cleanly, with everything still there."""
    nvmf = start(cores).simple()
    ctrlrs = [nvmf.controller() for _ in range(3)]
    for ctrlr in ctrlrs:
        for qid in (1, 2):
            running_reads(ctrlr.io_queue(qid))
    nvmf.target.process.terminate()
    assert all(q.is_closed() for ctrlr in ctrlrs for q in ctrlr.queues)

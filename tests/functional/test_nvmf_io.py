# SPDX-License-Identifier: Apache-2.0
"""I/O commands: data of every kind of transfer, ranges, SGLs, fused pairs."""

import itertools
import os
import struct

import nvme_tcp as nvme
import pytest
from nvmf_target import NQN, Nvmf

BLOCKS = 8192
MAX_IO = 131072


@pytest.fixture
def nvmf(target):
    return Nvmf(target).simple()


@pytest.fixture
def ctrlr(nvmf):
    with nvmf.controller() as ctrlr:
        yield ctrlr


@pytest.fixture
def q(ctrlr):
    return ctrlr.io_queue()


@pytest.mark.parametrize("flow_off", [False, True])
@pytest.mark.parametrize("hdgst,ddgst", [(False, False), (True, True)])
def test_read_and_write_of_every_size(nvmf, hdgst, ddgst, flow_off):
    with nvmf.controller(hdgst=hdgst, ddgst=ddgst) as ctrlr:
        q = ctrlr.io_queue(cattr=4 if flow_off else 0)
        for blocks in (1, 2, 7, 8, 9, 16, 17, 63, 128, 255, 256):
            data = os.urandom(blocks * 512)
            for in_capsule in (True, False) if blocks <= 8 else (False,):
                cpl = q.write(blocks, data, in_capsule=in_capsule)
                assert cpl.status == nvme.SUCCESS
                assert (cpl.sqhd == 0xffff) == flow_off
                assert q.read(blocks, blocks).data == data


@pytest.mark.parametrize("success", [False, True])
def test_c2h_success_only_without_flow_control(target, success):
    nvmf = Nvmf(target, c2h_success=success).simple()
    with nvmf.controller() as ctrlr:
        for qid, cattr in ((1, 0), (2, 4)):
            q = ctrlr.io_queue(qid, cattr=cattr)
            q.submit(nvme.READ, read=512, **q.lba_fields(0, 1))
            ch, _, _ = q.receive_pdu()
            assert ch[0] == nvme.C2H_DATA
            assert bool(ch[1] & nvme.F_SUCCESS) == (success and cattr == 4)
            assert ch[1] & nvme.F_LAST


def test_large_io(target):
    nvmf = Nvmf(target, max_io_size=1048576)
    nvmf.malloc(block_size=4096)
    nvmf.subsystem()
    with nvmf.controller() as ctrlr:
        assert ctrlr.admin.identify(1).data[77] == 8
        q = ctrlr.io_queue()
        for size in (131072 + 4096, 262144, 1048576 - 4096, 1048576):
            data = os.urandom(size)
            assert q.write(3, data, block=4096).status == nvme.SUCCESS
            assert q.read(3, size // 4096, block=4096).data == data
        assert q.write(0, bytes(1048576 + 4096), block=4096).status == nvme.INVALID_FIELD
        # Many at once share the pool's buffers in order.
        data = os.urandom(1048576)
        cids = [q.submit(nvme.WRITE, data, in_capsule=False, **q.lba_fields(256 * (i % 8), 256))
                for i in range(40)]
        assert all(q.wait(cid).status == nvme.SUCCESS for cid in cids)
        cids = [q.submit(nvme.READ, read=1048576, **q.lba_fields(256 * (i % 8), 256))
                for i in range(40)]
        assert all(q.wait(cid).data == data for cid in cids)


def test_ranges(q):
    for slba, nlb in ((BLOCKS, 1), (BLOCKS - 1, 2), (1 << 32, 1), ((1 << 64) - 1, 1),
                      ((1 << 64) - 1, 2), ((1 << 64) - 8, 16), (1 << 63, 8), (0, 65536)):
        for opc in (nvme.READ, nvme.WRITE, nvme.COMPARE):
            cpl = q.run(opc, **q.lba_fields(slba, nlb), kind=nvme.SGL_TRANSPORT, length=nlb * 512)
            assert cpl.status == nvme.LBA_OUT_OF_RANGE and cpl.dnr, (opc, slba, nlb)
        assert q.run(nvme.WRITE_ZEROES, **q.lba_fields(slba, nlb)).status == nvme.LBA_OUT_OF_RANGE
    assert q.read(BLOCKS - 1, 1).status == nvme.SUCCESS
    assert q.read(0, 257).status == nvme.INVALID_FIELD
    assert q.write(0, bytes(257 * 512)).status == nvme.INVALID_FIELD


@pytest.mark.parametrize("nsid", [0, 2, 31, 32, 33, 0xfffffffe, 0xffffffff])
def test_namespaces_that_are_not_there(q, nsid):
    for opc in (nvme.READ, nvme.WRITE, nvme.COMPARE):
        cpl = q.run(opc, **q.lba_fields(0, 1, nsid), kind=nvme.SGL_TRANSPORT, length=512)
        assert cpl.status == nvme.INVALID_NAMESPACE and cpl.dnr
    for opc in (nvme.FLUSH, nvme.WRITE_ZEROES):
        assert q.run(opc, nsid=nsid).status == nvme.INVALID_NAMESPACE
    assert q.run(nvme.DSM, bytes(16), nsid=nsid).status == nvme.INVALID_NAMESPACE


@pytest.mark.parametrize("opc", [3, 4, 6, 7, 0x0a, 0x0c, 0x0d, 0x0e, 0x11, 0x15, 0x19, 0x80, 0xff])
def test_unknown_commands(q, opc):
    assert q.run(opc, nsid=1).status == nvme.INVALID_OPCODE
    assert q.read(0, 1).status == nvme.SUCCESS


# --- SGLs ----------------------------------------------------------------------------------------


def raw_write(q, capsule, length, kind=nvme.SGL_CAPSULE, address=0, blocks=8, opc=nvme.WRITE,
              flags=0x40):
    cid = q.take_cid()
    entry = nvme.sqe(opc, cid, dptr=nvme.sgl(kind, length, address), flags=flags,
                     **q.lba_fields(0, blocks))
    q.send(q.capsule(entry, capsule))
    return q.wait(cid)


LENGTHS = (0, 1, 4, 511, 512, 1024, 4092, 4096)


@pytest.mark.parametrize("ddgst", [False, True])
def test_security_all_sgl_lengths_against_all_capsule_lengths(nvmf, ddgst):
    marks = os.urandom(4096)
    with nvmf.controller(ddgst=ddgst) as ctrlr:
        q = ctrlr.io_queue()
        for capsule, length, blocks in itertools.product(
                LENGTHS, (*LENGTHS, 4097, 8192, 1 << 31, 0xffffffff), (1, 2, 8)):
            cpl = raw_write(q, marks[:capsule], length, blocks=blocks)
            if length == blocks * 512 and capsule >= length:
                assert cpl.status == nvme.SUCCESS
                assert q.read(0, blocks).data == marks[:length]
            else:
                assert cpl.status == nvme.SGL_LENGTH_INVALID, (capsule, length, blocks)
    nvmf.works()


def test_security_all_capsule_offsets(q):
    marks = os.urandom(4096)
    for address in (0, 4, 511, 512, 3584, 3585, 4095, 4096, 4097, 1 << 31, 1 << 32,
                    (1 << 64) - 512, (1 << 64) - 1):
        cpl = raw_write(q, marks, 512, address=address, blocks=1)
        if address <= 3584:
            assert cpl.status == nvme.SUCCESS
            assert q.read(0, 1).data == marks[address:address + 512]
        elif address <= 4096:
            assert cpl.status == nvme.SGL_LENGTH_INVALID
        else:
            assert cpl.status == nvme.SGL_OFFSET_INVALID


def test_security_all_sgl_types(q):
    good = {nvme.SGL_CAPSULE}
    for kind in set(range(256)) - good - {nvme.SGL_TRANSPORT}:
        cpl = raw_write(q, bytes(4096), 4096, kind=kind)
        assert cpl.status == nvme.SGL_TYPE_INVALID, kind
        cpl = q.run(nvme.READ, kind=kind, length=4096, **q.lba_fields(0, 8))
        assert cpl.status == nvme.SGL_TYPE_INVALID, kind
    # Data in the capsule, and an SGL that asks for an R2T.
    assert raw_write(q, bytes(4096), 4096, kind=nvme.SGL_TRANSPORT).status == nvme.INVALID_FIELD
    cpl = raw_write(q, bytes(4096), 4096, opc=nvme.READ)
    assert cpl.status == nvme.SGL_TYPE_INVALID
    for flags in (0x00, 0x80, 0xc0):
        assert raw_write(q, bytes(4096), 4096, flags=flags).status == nvme.INVALID_FIELD


def test_data_of_commands_that_have_none(q):
    for opc in (nvme.FLUSH, nvme.WRITE_ZEROES, 0xff):
        cid = q.take_cid()
        q.send(q.capsule(nvme.sqe(opc, cid, nsid=1), bytes(2048)))
        assert q.wait(cid).status in (nvme.INVALID_FIELD, nvme.INVALID_OPCODE)
    assert q.read(0, 1).status == nvme.SUCCESS


def test_length_must_be_that_of_the_command(q):
    for length in (0, 511, 513, 1024, 4096):
        cpl = q.run(nvme.READ, kind=nvme.SGL_TRANSPORT, length=length, **q.lba_fields(0, 1))
        assert cpl.status == nvme.SGL_LENGTH_INVALID
        cpl = q.run(nvme.WRITE, kind=nvme.SGL_TRANSPORT, length=length, **q.lba_fields(0, 1))
        assert cpl.status == nvme.SGL_LENGTH_INVALID


# --- queues --------------------------------------------------------------------------------------


def test_cid_in_use(q):
    q.answer_r2t = False
    cid = q.submit(nvme.WRITE, bytes(4096), in_capsule=False, cid=7, **q.lba_fields(0, 8))
    _, ttag, offset, length = q.wait_r2t()
    q.writes[8] = q.writes[7]
    assert q.wait(q.submit(nvme.READ, read=512, cid=7, **q.lba_fields(0, 1))).status == \
        nvme.CID_CONFLICT
    q.writes[7] = q.writes[8]
    q.send_data(cid, ttag, offset, length)
    assert q.wait(7).status == nvme.SUCCESS
    assert q.wait(q.submit(nvme.READ, read=512, cid=7, **q.lba_fields(0, 1))).status == nvme.SUCCESS


@pytest.mark.parametrize("step", [1, 128, 256, 1024, 4096, 513])
def test_full_queue_with_odd_cids(ctrlr, step):
    q = ctrlr.io_queue(sqsize=127)
    for _ in range(4):
        cids = [(i * step) & 0xffff for i in range(127)]
        if len(set(cids)) < 127:
            cids = [i * 17 & 0xffff for i in range(127)]
        q.send(b"".join(q.capsule(nvme.sqe(nvme.READ, cid, dptr=nvme.sgl(nvme.SGL_TRANSPORT, 512),
                                           **q.lba_fields(i, 1))) for i, cid in enumerate(cids)))
        assert all(q.wait(cid).status == nvme.SUCCESS for cid in cids)


def test_sqhd_goes_round(ctrlr):
    q = ctrlr.io_queue(sqsize=3)
    assert [q.read(0, 1).sqhd for _ in range(9)] == [2, 3, 0, 1, 2, 3, 0, 1, 2]


def test_a_host_that_does_not_read_is_slowed_down(nvmf, ctrlr):
    q = ctrlr.io_queue(sqsize=127)
    # Far more responses than the sockets hold; the target must neither grow nor stall for others.
    entry = [q.capsule(nvme.sqe(nvme.READ, i, dptr=nvme.sgl(nvme.SGL_TRANSPORT, MAX_IO),
                                **q.lba_fields(0, 256))) for i in range(100)]
    q.send(b"".join(entry))
    other = ctrlr.io_queue(2)
    for _ in range(20):
        assert other.read(0, 8).status == nvme.SUCCESS
    for i in range(100):
        assert len(q.wait(i).data) == MAX_IO


# --- flush, write zeroes, dataset management, compare ---------------------------------------------


def test_flush_and_fua(q):
    data = os.urandom(4096)
    assert q.write(0, data, dw12=1 << 30).status == nvme.SUCCESS
    assert q.run(nvme.FLUSH, nsid=1).status == nvme.SUCCESS
    assert q.read(0, 8).data == data


@pytest.mark.parametrize("bits", [0, 1 << 25, 1 << 30, 1 << 25 | 1 << 30])
def test_write_zeroes(q, bits):
    q.write(0, b"x" * 8192)
    assert q.run(nvme.WRITE_ZEROES, **q.lba_fields(2, 10, dw12=bits)).status == nvme.SUCCESS
    assert q.read(0, 16).data == b"x" * 1024 + bytes(5120) + b"x" * 2048


def test_write_zeroes_limit(target):
    nvmf = Nvmf(target)
    nvmf.malloc()
    nvmf.subsystem(max_write_zeroes_size_kib=64, max_discard_size_kib=64)
    with nvmf.controller() as ctrlr:
        q = ctrlr.io_queue()
        page = ctrlr.admin.identify(6).data
        assert page[1] == 4 and struct.unpack_from("<I", page, 4)[0] == 128
        assert q.run(nvme.WRITE_ZEROES, **q.lba_fields(0, 128)).status == nvme.SUCCESS
        assert q.run(nvme.WRITE_ZEROES, **q.lba_fields(0, 129)).status == nvme.INVALID_FIELD
        assert deallocate(q, [(0, 128)]).status == nvme.SUCCESS
        assert deallocate(q, [(0, 128), (0, 129)]).status == nvme.SIZE_LIMIT


def deallocate(q, ranges, dw11=4, in_capsule=True):
    data = b"".join(struct.pack("<IIQ", 0, blocks, lba) for lba, blocks in ranges)
    return q.run(nvme.DSM, data, in_capsule=in_capsule, nsid=1, cdw10=len(ranges) - 1, cdw11=dw11)


def test_dataset_management(q):
    q.write(0, b"x" * 65536)
    assert deallocate(q, [(2, 2), (10, 1), (20, 0)]).status == nvme.SUCCESS
    zeroes = {2, 3, 10}
    assert q.read(0, 16).data == b"".join(bytes(512) if i in zeroes else b"x" * 512
                                          for i in range(16))
    for in_capsule in (True, False):
        assert deallocate(q, [(i, 1) for i in range(256)][:256],
                          in_capsule=in_capsule).status == nvme.SUCCESS
    assert q.read(0, 128).data == bytes(65536)
    q.write(0, b"y" * 512)
    for dw11 in (0, 1, 2, 3):
        assert deallocate(q, [(0, 1)], dw11).status == nvme.SUCCESS
    assert q.read(0, 1).data == b"y" * 512


def test_security_dataset_management_ranges(q):
    q.write(0, b"x" * 4096)
    for lba, blocks in ((BLOCKS, 1), (BLOCKS - 1, 2), ((1 << 64) - 1, 2), (0, 0xffffffff),
                        ((1 << 64) - 0xffffffff, 0xffffffff), (1 << 63, 1 << 31)):
        assert deallocate(q, [(0, 1), (lba, blocks)]).status == nvme.LBA_OUT_OF_RANGE
    assert q.read(0, 8).data == b"x" * 4096
    # As Linux does: room for all ranges, in the capsule or not, and one of them used.
    for in_capsule in (True, False):
        cpl = q.run(nvme.DSM, struct.pack("<IIQ", 0, 1, 1).ljust(4096, b"\0"),
                    in_capsule=in_capsule, nsid=1, cdw10=0, cdw11=4)
        assert cpl.status == nvme.SUCCESS
    assert q.read(0, 3).data == b"x" * 512 + bytes(512) + b"x" * 512
    for count, length in ((0, 0), (0, 15), (1, 16), (255, 4080)):
        cpl = q.run(nvme.DSM, bytes(length or 4), length=length, nsid=1, cdw10=count, cdw11=4)
        assert cpl.status == nvme.SGL_LENGTH_INVALID


def test_compare(q):
    data = os.urandom(8192)
    q.write(0, data)
    for in_capsule, part in ((True, data[:4096]), (False, data)):
        fields = q.lba_fields(0, len(part) // 512)
        assert q.run(nvme.COMPARE, part, in_capsule=in_capsule, **fields).status == nvme.SUCCESS
        wrong = part[:-1] + bytes([part[-1] ^ 1])
        assert q.run(nvme.COMPARE, wrong, in_capsule=in_capsule,
                     **fields).status == nvme.COMPARE_FAILURE


# --- fused ---------------------------------------------------------------------------------------


def fused(q, part, data, slba=0, in_capsule=True, opc=None, **fields):
    if opc is None:
        opc = nvme.COMPARE if part == nvme.FUSE_FIRST else nvme.WRITE
    return q.submit(opc, data, in_capsule=in_capsule, flags=0x40 | part,
                    **{**q.lba_fields(slba, max(1, len(data) // 512)), **fields})


FIRST, SECOND = nvme.FUSE_FIRST, nvme.FUSE_SECOND


@pytest.mark.parametrize("first_in,second_in", itertools.product((True, False), repeat=2))
def test_compare_and_write(q, first_in, second_in):
    old, new = os.urandom(1024), os.urandom(1024)
    q.write(4, old)
    a, b = fused(q, FIRST, old, 4, first_in), fused(q, SECOND, new, 4, second_in)
    assert (q.wait(a).status, q.wait(b).status) == (0, 0)
    assert q.read(4, 2).data == new
    a, b = fused(q, FIRST, old, 4, first_in), fused(q, SECOND, old, 4, second_in)
    assert q.wait(a).status == nvme.COMPARE_FAILURE
    assert q.wait(b).status == nvme.FAILED_FUSED
    assert q.read(4, 2).data == new


def test_security_fused_orders(q):
    """All orders of first, second and another command, up to five."""
    block = bytes(512)
    q.write(0, block)
    for length in range(1, 6):
        for order in itertools.product("12n", repeat=length):
            cids, want, waiting = [], [], None
            for i, part in enumerate(order):
                if part == "n":
                    cids.append(q.submit(nvme.READ, read=512, **q.lba_fields(0, 1)))
                else:
                    cids.append(fused(q, int(part), block))
                if waiting is not None:
                    want[waiting] = nvme.SUCCESS if part == "2" else nvme.MISSING_FUSED
                want.append(nvme.SUCCESS if part == "n" else None if part == "1" else
                            nvme.SUCCESS if waiting is not None else nvme.MISSING_FUSED)
                waiting = i if part == "1" else None
            if waiting is not None:
                cids.append(q.submit(nvme.FLUSH, nsid=1))
                want[waiting] = nvme.MISSING_FUSED
                want.append(nvme.SUCCESS)
            assert [q.wait(cid).status for cid in cids] == want, order


def test_security_fused_orders_with_late_data(q):
    """The order of the capsules counts, whatever comes of their data when."""
    data = bytes(8192)
    q.write(0, data)
    q.r2ts.clear()
    q.answer_r2t = False
    first = fused(q, FIRST, data, in_capsule=False)
    second = fused(q, SECOND, data, in_capsule=False)
    third = fused(q, SECOND, data, in_capsule=False)
    assert q.wait(third).status == nvme.MISSING_FUSED
    tags = {cid: (ttag, offset, length) for cid, ttag, offset, length in
            (q.wait_r2t(), q.wait_r2t())}
    q.send_data(second, *tags[second])
    assert q.read(0, 1).status == nvme.SUCCESS
    q.send_data(first, *tags[first])
    assert (q.wait(first).status, q.wait(second).status) == (0, 0)
    # A first whose data is under way when the pair is broken.
    first = fused(q, FIRST, data, in_capsule=False)
    _, ttag, offset, length = q.wait_r2t()
    assert q.read(0, 1).status == nvme.SUCCESS
    q.send_data(first, ttag, offset, length)
    assert q.wait(first).status == nvme.MISSING_FUSED


def test_fused_commands_that_do_not_fit(q):
    block = bytes(512)
    q.write(0, block)
    a, b = fused(q, FIRST, block, 0), fused(q, SECOND, block, 1)
    assert (q.wait(a).status, q.wait(b).status) == (nvme.INVALID_FIELD, nvme.INVALID_FIELD)
    a, b = fused(q, FIRST, block, 0), fused(q, SECOND, bytes(1024), 0)
    assert (q.wait(a).status, q.wait(b).status) == (nvme.INVALID_FIELD, nvme.INVALID_FIELD)
    a, b = fused(q, FIRST, block, opc=nvme.WRITE), fused(q, SECOND, block)
    assert (q.wait(a).status, q.wait(b).status) == (nvme.INVALID_FIELD, nvme.FAILED_FUSED)
    a, b = fused(q, FIRST, block, opc=nvme.COMPARE), fused(q, SECOND, block, opc=nvme.COMPARE)
    assert (q.wait(a).status, q.wait(b).status) == (nvme.INVALID_FIELD, nvme.INVALID_FIELD)
    a, b = fused(q, FIRST, block, BLOCKS), fused(q, SECOND, block, BLOCKS)
    assert (q.wait(a).status, q.wait(b).status) == (nvme.LBA_OUT_OF_RANGE, nvme.FAILED_FUSED)
    a, b = fused(q, FIRST, block, length=4), fused(q, SECOND, block)
    assert (q.wait(a).status, q.wait(b).status) == (nvme.SGL_LENGTH_INVALID, nvme.FAILED_FUSED)
    a, b = fused(q, FIRST, block), fused(q, SECOND, block, length=4)
    assert (q.wait(a).status, q.wait(b).status) == (nvme.FAILED_FUSED, nvme.SGL_LENGTH_INVALID)
    assert q.wait(fused(q, 3, block)).status == nvme.INVALID_FIELD
    assert q.read(0, 1).data == block


def test_fused_flags_on_other_queues(ctrlr):
    for flags in (0x41, 0x42, 0x43):
        assert ctrlr.admin.run(nvme.IDENTIFY, read=4096, cdw10=1,
                               flags=flags).status == nvme.INVALID_FIELD
        assert ctrlr.admin.connect(NQN, flags=flags).status in (nvme.INVALID_FIELD,
                                                                nvme.SEQUENCE_ERROR)


def test_fused_pair_broken_by_the_end_of_the_connection(nvmf):
    for _ in range(10):
        with nvmf.controller() as ctrlr:
            q = ctrlr.io_queue()
            fused(q, FIRST, bytes(512))
            fused(q, SECOND, bytes(8192), in_capsule=False)
            q.abort()
    nvmf.wait_no_connections()
    nvmf.works()

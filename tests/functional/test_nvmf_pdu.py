# SPDX-License-Identifier: Apache-2.0
"""Malformed PDUs: each is answered by the right termination request and costs only its own
connection."""

import struct

import nvme_tcp as nvme
import pytest
from nvmf_target import NQN, Nvmf

DIGESTS = [(False, False), (True, False), (False, True), (True, True)]
digests = pytest.mark.parametrize("hdgst,ddgst", DIGESTS, ids=["none", "header", "data", "both"])
TO_HOST = [nvme.IC_RESP, nvme.C2H_TERM, nvme.RESP, nvme.C2H_DATA, nvme.R2T]


@pytest.fixture
def nvmf(target):
    return Nvmf(target).simple()


def ended(connection, fes=nvme.FES_HEADER, fei=None):
    term = connection.expect_term(fes, fei)
    connection.close()
    return term


@digests
def test_security_every_wrong_hlen(nvmf, hdgst, ddgst):
    for kind in (nvme.CMD, nvme.H2C_DATA, nvme.H2C_TERM):
        for hlen in sorted({0, 1, 7, 8, 23, 24, 25, 71, 72, 73, 76, 127, 128, 129, 255} -
                           {nvme.HLEN[kind]}):
            c = nvmf.connection(hdgst=hdgst, ddgst=ddgst)
            c.send(c.pdu(kind, bytes(nvme.HLEN[kind] - 8), hlen=hlen))
            ended(c, fei=2)
    nvmf.works()


def test_security_every_hlen_of_ic_req(nvmf):
    for hlen in set(range(0, 256, 5)) - {128}:
        c = nvmf.connection(ic=False)
        c.send(struct.pack("<BBBBI", nvme.IC_REQ, 0, hlen, 0, 128) + bytes(120))
        ended(c, fei=2)
    nvmf.works()


@digests
def test_security_every_wrong_pdo(nvmf, hdgst, ddgst):
    good = 72 + 4 * hdgst
    for pdo in range(0, 256):
        if good <= pdo <= 128 and pdo % 4 == 0:
            continue
        c = nvmf.connection(hdgst=hdgst, ddgst=ddgst)
        c.send(c.capsule(nvme.sqe(nvme.FABRICS), bytes(64), pdo=pdo))
        ended(c, fei=3)
    nvmf.works()


@digests
def test_security_every_pdo_that_is_right(nvmf, hdgst, ddgst):
    for pad in range(0, 128 - 72 - 4 * hdgst + 1, 4):
        with nvmf.queue(hdgst=hdgst, ddgst=ddgst) as q:
            data = nvme.connect_data(NQN)
            entry = struct.pack("<BBHB19x16sHHHBxI12x", nvme.FABRICS, 0x40, 7, nvme.CONNECT,
                                nvme.sgl(nvme.SGL_CAPSULE, 1024), 0, 0, 31, 0, 0)
            q.send(q.capsule(entry, data, pad=pad))
            assert q.wait(7).status == nvme.SUCCESS


@digests
def test_security_every_wrong_plen(nvmf, hdgst, ddgst):
    header = 72 + 4 * hdgst
    short = [0, 1, 7, 8, header - 1] + ([header + 1] if not ddgst else [header + 1, header + 4])
    for plen in short + [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 20]:
        c = nvmf.connection(hdgst=hdgst, ddgst=ddgst)
        c.send(c.capsule(nvme.sqe(nvme.FABRICS), plen=plen))
        ended(c)
    for plen in [0, 8, 24, (1 << 32) - 1]:
        c = nvmf.connection(hdgst=hdgst, ddgst=ddgst)
        c.send(c.h2c(0, 0, 0, bytes(16), plen=plen))
        ended(c)
    nvmf.works()


def test_security_plen_of_ic_req(nvmf):
    for plen in [0, 8, 127, 129, 1 << 16, (1 << 32) - 1]:
        c = nvmf.connection(ic=False)
        c.send(struct.pack("<BBBBI", nvme.IC_REQ, 0, 128, 0, plen) + bytes(120))
        ended(c, fei=4)


@digests
def test_digest_flags_must_be_as_negotiated(nvmf, hdgst, ddgst):
    c = nvmf.connection(hdgst=hdgst, ddgst=ddgst)
    whole = bytearray(c.capsule(nvme.sqe(nvme.FABRICS), bytes(64)))
    whole[1] ^= nvme.F_HDGST
    c.send(whole)
    ended(c, fei=1)
    c = nvmf.connection(hdgst=hdgst, ddgst=ddgst)
    whole = bytearray(c.capsule(nvme.sqe(nvme.FABRICS), bytes(64)))
    whole[1] ^= nvme.F_DDGST
    c.send(whole)
    ended(c, fei=1)


@pytest.mark.parametrize("kind", TO_HOST + [8, 10, 11, 0x10, 0x7f, 0x80, 0xff])
def test_security_types_no_host_sends(nvmf, kind):
    for ic in (False, True):
        c = nvmf.connection(ic=ic)
        c.send(struct.pack("<BBBBI", kind, 0, nvme.HLEN.get(kind, 8), 0,
                           nvme.HLEN.get(kind, 8)) + bytes(120))
        ended(c, fei=0)
    nvmf.works()


def test_security_first_pdu_is_no_ic_req(nvmf):
    for kind in (nvme.CMD, nvme.H2C_DATA):
        c = nvmf.connection(ic=False)
        data = bytes(16) if kind == nvme.H2C_DATA else b""
        c.send(c.pdu(kind, bytes(nvme.HLEN[kind] - 8), data))
        ended(c, nvme.FES_SEQUENCE)


@digests
def test_security_second_ic_req(nvmf, hdgst, ddgst):
    c = nvmf.connection(hdgst=hdgst, ddgst=ddgst)
    c.send(c.ic_req())
    ended(c, nvme.FES_SEQUENCE)
    c = nvmf.connection(ic=False)
    c.send(c.ic_req() + c.ic_req())
    c.finish_ic()
    ended(c, nvme.FES_SEQUENCE)
    with nvmf.controller(hdgst=hdgst, ddgst=ddgst) as ctrlr:
        ctrlr.admin.send(ctrlr.admin.ic_req())
        ctrlr.admin.expect_term(nvme.FES_SEQUENCE)
    nvmf.works()


def test_security_hpda_all_values(nvmf):
    for hpda in range(256):
        c = nvmf.connection(ic=False)
        c.hpda = hpda
        c.send(c.ic_req(hpda=hpda))
        if hpda > 31:
            ended(c, fei=10)
            continue
        c.finish_ic()
        c.close()


@pytest.mark.parametrize("hpda", [0, 1, 7, 8, 15, 31])
@digests
def test_data_to_the_host_is_aligned_as_it_wants(nvmf, hpda, hdgst, ddgst):
    with nvmf.controller(hpda=hpda, hdgst=hdgst, ddgst=ddgst) as ctrlr:
        assert ctrlr.admin.identify(1).status == nvme.SUCCESS
        queue = ctrlr.io_queue()
        data = bytes(range(256)) * 4
        assert queue.write(0, data).status == nvme.SUCCESS
        assert queue.read(0, 2).data == data


def test_security_maxr2t_and_digest_abuse(nvmf):
    for maxr2t in (0, 1, 0x7fffffff, 0xffffffff):
        with nvmf.connection(maxr2t=maxr2t):
            pass
    for dgst in (4, 8, 0x80, 0xfc, 0xff):
        c = nvmf.connection(ic=False)
        c.send(c.ic_req(dgst=dgst))
        ended(c, fei=11)
    for pfv in (1, 2, 0x8000, 0xffff):
        c = nvmf.connection(ic=False)
        c.send(c.ic_req(pfv=pfv))
        ended(c, nvme.FES_UNSUPPORTED, 8)


def test_termination_carries_the_header_in_error(nvmf):
    c = nvmf.connection()
    whole = c.h2c(5, 6, 7, bytes(8))
    c.send(whole)
    term = ended(c, fei=10)
    assert term.data == whole[:24]


@pytest.mark.parametrize("ddgst", [False, True])
def test_header_digest_error_ends_the_connection(nvmf, ddgst):
    c = nvmf.connection(hdgst=True, ddgst=ddgst)
    c.send(c.capsule(nvme.sqe(nvme.FABRICS), hdgst=0x12345678))
    ended(c, nvme.FES_HDGST, 0x12345678)
    nvmf.works()


@pytest.mark.parametrize("hdgst", [False, True])
def test_data_digest_error_fails_the_command_only(nvmf, hdgst):
    with nvmf.controller(hdgst=hdgst, ddgst=True) as ctrlr:
        q = ctrlr.io_queue()
        old = q.read(0, 1).data
        cid = q.take_cid()
        entry = nvme.sqe(nvme.WRITE, cid, dptr=nvme.sgl(nvme.SGL_CAPSULE, 512),
                         **q.lba_fields(0, 1))
        q.send(q.capsule(entry, b"x" * 512, ddgst=1))
        assert q.wait(cid).status == nvme.TRANSIENT_TRANSPORT
        q.answer_r2t = False
        cid = q.submit(nvme.WRITE, b"y" * 8192, in_capsule=False, **q.lba_fields(0, 16))
        _, ttag, _, _ = q.wait_r2t()
        q.send(q.h2c(cid, ttag, 0, b"y" * 4096, last=False, ddgst=1))
        q.send(q.h2c(cid, ttag, 4096, b"y" * 4096))
        assert q.wait(cid).status == nvme.TRANSIENT_TRANSPORT
        assert q.read(0, 1).data == old
        q.answer_r2t = True
        assert q.write(0, b"z" * 512).status == nvme.SUCCESS


def test_host_termination_request_ends_the_connection(nvmf):
    for extra in (0, 8, 152):
        c = nvmf.connection()
        c.send(struct.pack("<BBBBIHI10x", nvme.H2C_TERM, 0, 24, 0, 24 + extra, 1, 2) +
               bytes(extra))
        assert c.is_closed()
    c = nvmf.connection()
    c.send(struct.pack("<BBBBIHI10x", nvme.H2C_TERM, 0, 24, 0, 24 + 153, 1, 2))
    ended(c, fei=4)


# --- H2CData -------------------------------------------------------------------------------------


class Writing:
    """A queue with a write of 16 blocks that waits for its data."""

    def __init__(self, nvmf, **options):
        self.ctrlr = nvmf.controller(**options)
        self.q = self.ctrlr.io_queue()
        self.q.answer_r2t = False
        self.cid = self.q.submit(nvme.WRITE, bytes(8192), in_capsule=False,
                                 **self.q.lba_fields(0, 16))
        _, self.ttag, self.offset, self.length = self.q.wait_r2t()

    def refused(self, pdu, fes=nvme.FES_HEADER, fei=None):
        self.q.send(pdu)
        self.q.expect_term(fes, fei)
        # The controller and its other queues go on.
        assert self.ctrlr.admin.property_get(nvme.CSTS).dw0 & 1
        self.ctrlr.close()


@digests
def test_security_h2c_data_tags(nvmf, hdgst, ddgst):
    def writing():
        return Writing(nvmf, hdgst=hdgst, ddgst=ddgst)

    for wrong in (1, 2, 3, 100, 0x7fff, 0xffff):
        w = writing()
        w.refused(w.q.h2c(w.cid, w.ttag ^ wrong, 0, bytes(8192)), fei=10)
        w = writing()
        w.refused(w.q.h2c(w.cid ^ wrong, w.ttag, 0, bytes(8192)), fei=8)
    nvmf.works()


def test_security_h2c_data_without_a_command(nvmf):
    # Before Connect, before the command, after its completion, for a command without R2T.
    for ttag in (0, 1, 0xffff):
        c = nvmf.connection()
        c.send(c.h2c(0, ttag, 0, bytes(512)))
        ended(c, fei=10)
    with nvmf.controller() as ctrlr:
        q = ctrlr.io_queue()
        q.send(q.h2c(0, 0, 0, bytes(512)))
        q.expect_term(nvme.FES_HEADER, 10)
    w = Writing(nvmf)
    w.q.send(w.q.h2c(w.cid, w.ttag, 0, bytes(8192)))
    assert w.q.wait(w.cid).status == nvme.SUCCESS
    w.refused(w.q.h2c(w.cid, w.ttag, 0, bytes(8192)), fei=10)
    with nvmf.controller() as ctrlr:
        cid = ctrlr.admin.submit(nvme.ASYNC_EVENT)
        ctrlr.admin.send(b"".join(ctrlr.admin.h2c(cid, ttag, 0, bytes(16)) for ttag in range(1)))
        ctrlr.admin.expect_term(nvme.FES_HEADER, 10)
    nvmf.works()


def test_security_h2c_data_offsets(nvmf):
    for offset in (1, 4, 511, 8191, 8192, 0x7fffffff, 0x80000000, 0xffffffff, 0xffffe000):
        w = Writing(nvmf)
        w.refused(w.q.h2c(w.cid, w.ttag, offset, bytes(8192)), nvme.FES_RANGE)
    w = Writing(nvmf)
    w.q.send(w.q.h2c(w.cid, w.ttag, 0, bytes(4096), last=False))
    w.refused(w.q.h2c(w.cid, w.ttag, 0, bytes(4096)), nvme.FES_RANGE)
    nvmf.works()


def test_security_h2c_data_lengths(nvmf):
    for length in (8196, 8192 + 512, 65536, 131072):
        w = Writing(nvmf)
        w.refused(w.q.h2c(w.cid, w.ttag, 0, bytes(length)), nvme.FES_RANGE)
    for datal in (0, 1, 8191, 8193, 0x7fffffff, 0xffffffff):
        w = Writing(nvmf)
        w.refused(w.q.h2c(w.cid, w.ttag, 0, bytes(8192), datal=datal), fei=16)
    w = Writing(nvmf)
    pdu = w.q.h2c(w.cid, w.ttag, 0, bytes(w.q.maxh2cdata + 4))
    w.refused(pdu[:4096], nvme.FES_LIMIT)
    nvmf.works()


def test_h2c_data_last_flag(nvmf):
    w = Writing(nvmf)
    w.refused(w.q.h2c(w.cid, w.ttag, 0, bytes(8192), last=False), fei=1)
    w = Writing(nvmf)
    w.refused(w.q.h2c(w.cid, w.ttag, 0, bytes(4096), last=True), fei=1)


@digests
def test_h2c_data_in_pieces_of_any_size(nvmf, hdgst, ddgst):
    data = bytes(range(256)) * 32
    with nvmf.controller(hdgst=hdgst, ddgst=ddgst) as ctrlr:
        q = ctrlr.io_queue()
        for piece in (4, 100, 1000, 4096, 8192):
            q.answer_r2t = False
            cid = q.submit(nvme.WRITE, data, in_capsule=False, **q.lba_fields(64, 16))
            _, ttag, offset, length = q.wait_r2t()
            q.send_data(cid, ttag, offset, length, piece)
            assert q.wait(cid).status == nvme.SUCCESS
            assert q.read(64, 16).data == data


@digests
def test_any_split_of_bytes(nvmf, hdgst, ddgst):
    data = bytes(range(256)) * 4
    with nvmf.controller(hdgst=hdgst, ddgst=ddgst) as ctrlr:
        q = ctrlr.io_queue()
        cid = q.take_cid()
        entry = nvme.sqe(nvme.WRITE, cid, dptr=nvme.sgl(nvme.SGL_CAPSULE, 1024),
                         **q.lba_fields(8, 2))
        whole = q.capsule(entry, data, pad=12)
        for at in range(len(whole)):
            q.send(whole[at:at + 1])
        assert q.wait(cid).status == nvme.SUCCESS
        assert q.read(8, 2).data == data
        for step in (3, 71, 72, 73, 77, 500):
            cid = q.take_cid()
            entry = nvme.sqe(nvme.WRITE, cid, dptr=nvme.sgl(nvme.SGL_CAPSULE, 1024),
                             **q.lba_fields(8, 2))
            whole = q.capsule(entry, data)
            for at in range(0, len(whole), step):
                q.send(whole[at:at + step])
            assert q.wait(cid).status == nvme.SUCCESS


def test_capsule_with_more_data_than_is_offered(nvmf):
    with nvmf.controller() as ctrlr:
        q = ctrlr.io_queue()
        q.send(q.capsule(nvme.sqe(nvme.WRITE, 1, dptr=nvme.sgl(nvme.SGL_CAPSULE, 8192),
                                  **q.lba_fields(0, 16)), bytes(8192)))
        q.expect_term(nvme.FES_LIMIT)
    nvmf.works()


def test_more_commands_than_the_queue_has_entries(nvmf):
    with nvmf.controller() as ctrlr:
        q = ctrlr.io_queue(sqsize=3)
        q.answer_r2t = False
        for _ in range(5):
            q.submit(nvme.WRITE, bytes(512), in_capsule=False, **q.lba_fields(0, 1))
        q.expect_term(nvme.FES_SEQUENCE)
        assert ctrlr.admin.property_get(nvme.CSTS).dw0 & 1
    nvmf.works()


def test_security_other_connections_go_on(nvmf):
    with nvmf.controller() as ctrlr:
        q = ctrlr.io_queue()
        for _ in range(50):
            c = nvmf.connection(ic=False)
            c.send(b"\xff" * 256)
            ended(c)
            assert q.read(0, 1).status == nvme.SUCCESS
    nvmf.wait_no_connections()

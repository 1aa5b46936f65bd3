# SPDX-License-Identifier: Apache-2.0
"""A raw NVMe/TCP initiator: queues, commands and PDUs as plain as can be, right or wrong ones.

Everything a test may want to spoil is an argument; nothing is checked on the way out.
"""

import socket
import struct
import uuid as uuidlib

DISCOVERY_NQN = "nqn.2014-08.org.nvmexpress.discovery"
HOST_NQN = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-4333-8444-000000000001"
HOST_ID = uuidlib.UUID("11111111-2222-4333-8444-000000000001").bytes

IC_REQ, IC_RESP, H2C_TERM, C2H_TERM, CMD, RESP, H2C_DATA, C2H_DATA, R2T = 0, 1, 2, 3, 4, 5, 6, 7, 9
HLEN = {IC_REQ: 128, IC_RESP: 128, H2C_TERM: 24, C2H_TERM: 24, CMD: 72, RESP: 24, H2C_DATA: 24,
        C2H_DATA: 24, R2T: 24}
F_HDGST, F_DDGST, F_LAST, F_SUCCESS = 1, 2, 4, 8

# Fatal error status of termination requests.
FES_HEADER, FES_SEQUENCE, FES_HDGST, FES_RANGE, FES_LIMIT, FES_UNSUPPORTED = 1, 2, 3, 4, 5, 6

SGL_CAPSULE = 0x01       # data block, offset
SGL_TRANSPORT = 0x5a     # transport data block

FUSE_FIRST, FUSE_SECOND = 1, 2

FLUSH, WRITE, READ, COMPARE, WRITE_ZEROES, DSM = 0, 1, 2, 5, 8, 9
GET_LOG, IDENTIFY, ABORT, SET_FEATURES, GET_FEATURES, ASYNC_EVENT, KEEP_ALIVE = \
    2, 6, 8, 9, 0xa, 0xc, 0x18
FABRICS = 0x7f
PROPERTY_SET, CONNECT, PROPERTY_GET = 0, 1, 4
CAP, VS, CC, CSTS = 0, 8, 0x14, 0x1c
CC_ENABLED = 0x00460001

DNR = 0x4000             # in status as Completion has it, phase bit shifted out


def status(sct, sc):
    """A status without do-not-retry."""
    return sct << 8 | sc


SUCCESS = 0
INVALID_OPCODE = status(0, 0x01)
INVALID_FIELD = status(0, 0x02)
CID_CONFLICT = status(0, 0x03)
ABORTED = status(0, 0x07)
ABORTED_SQ_DELETION = status(0, 0x08)
FAILED_FUSED = status(0, 0x09)
MISSING_FUSED = status(0, 0x0a)
INVALID_NAMESPACE = status(0, 0x0b)
SEQUENCE_ERROR = status(0, 0x0c)
SGL_LENGTH_INVALID = status(0, 0x0f)
SGL_TYPE_INVALID = status(0, 0x11)
SGL_OFFSET_INVALID = status(0, 0x16)
TRANSIENT_TRANSPORT = status(0, 0x22)
LBA_OUT_OF_RANGE = status(0, 0x80)
ABORT_LIMIT = status(1, 0x03)
AER_LIMIT = status(1, 0x05)
INVALID_LOG_PAGE = status(1, 0x09)
NOT_SAVEABLE = status(1, 0x0d)
NOT_CHANGEABLE = status(1, 0x0e)
NOT_NAMESPACE = status(1, 0x0f)
CONNECT_FORMAT = status(1, 0x80)
CONNECT_BUSY = status(1, 0x81)
CONNECT_INVALID = status(1, 0x82)
CONNECT_HOST = status(1, 0x84)
SIZE_LIMIT = status(1, 0x83)
COMPARE_FAILURE = status(2, 0x85)


def _crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    return table


_CRC_TABLE = _crc_table()


def crc32c(data):
    """CRC-32C of bytes, as digests have it."""
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


class Closed(Exception):
    """The target closed the connection."""


class Terminated(Exception):
    """The target sent a termination request."""

    def __init__(self, fes, fei, data):
        super().__init__(f"C2HTermReq FES {fes} FEI {fei:#x}")
        self.fes, self.fei, self.data = fes, fei, data


class Completion:
    """A completion queue entry, with the data that came before it."""

    def __init__(self, cqe, data=b""):
        self.dw0, self.dw1, self.sqhd, self.sqid, self.cid, raw = struct.unpack("<IIHHHH", cqe)
        self.raw = raw >> 1
        self.status = self.raw & 0x7ff
        self.dnr = bool(self.raw & DNR)
        self.data = data

    def __repr__(self):
        return f"<cid {self.cid} status {self.status:#x} dw0 {self.dw0:#x}>"


def sgl(kind, length, address=0):
    return struct.pack("<QI3xB", address, length, kind)


def sqe(opc, cid=0, nsid=0, cdw10=0, cdw11=0, cdw12=0, cdw13=0, dptr=bytes(16), flags=0x40,
        cdw14=0, cdw15=0):
    """A submission queue entry."""
    return struct.pack("<BBHIQQ16sIIIIII", opc, flags, cid, nsid, 0, 0, dptr, cdw10, cdw11, cdw12,
                       cdw13, cdw14, cdw15)


class Connection:
    """A TCP connection that speaks PDUs."""

    def __init__(self, address, hdgst=False, ddgst=False, hpda=0, maxr2t=0, ic=True, timeout=30,
                 source=None):
        self.sock = socket.create_connection(address, timeout, source_address=source)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.hdgst = self.ddgst = False
        self.buffer = b""
        self.hpda = hpda
        if ic:
            self.send(self.ic_req(hdgst, ddgst, hpda, maxr2t))
            self.finish_ic(hdgst, ddgst)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def abort(self):
        """End by a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    # --- PDUs out

    @staticmethod
    def ic_req(hdgst=False, ddgst=False, hpda=0, maxr2t=0, pfv=0, dgst=None):
        if dgst is None:
            dgst = hdgst | ddgst << 1
        return struct.pack("<BBBBIHBBI", IC_REQ, 0, 128, 0, 128, pfv, hpda, dgst,
                           maxr2t) + bytes(112)

    def finish_ic(self, hdgst=False, ddgst=False):
        ch, header, _ = self.receive_pdu()
        assert ch[0] == IC_RESP, ch
        self.hdgst, self.ddgst = hdgst, ddgst
        self.cpda = header[10]
        self.maxh2cdata = struct.unpack_from("<I", header, 12)[0]
        assert header[11] == (hdgst | ddgst << 1)
        return header

    def pdu(self, kind, header, data=b"", flags=0, hlen=None, pdo=None, plen=None, pad=0,
            hdgst=None, ddgst=None):
        """A PDU of a type, with digests as negotiated; each field of it can be given."""
        size = HLEN.get(kind, 8 + len(header))
        use_hdgst = self.hdgst if kind not in (IC_REQ, H2C_TERM) else False
        use_ddgst = self.ddgst and bool(data) and kind != H2C_TERM
        flags |= (F_HDGST if use_hdgst else 0) | (F_DDGST if use_ddgst else 0)
        start = size + (4 if use_hdgst else 0) + pad
        total = start + len(data) + (4 if use_ddgst else 0) if data else size + 4 * use_hdgst
        if pdo is None:
            pdo = start if data and kind != H2C_TERM else 0
        head = struct.pack("<BBBBI", kind, flags, size if hlen is None else hlen, pdo,
                           total if plen is None else plen) + header
        out = head
        if use_hdgst:
            out += struct.pack("<I", crc32c(head) if hdgst is None else hdgst)
        if data:
            out += bytes(pad) + data
            if use_ddgst:
                out += struct.pack("<I", crc32c(data) if ddgst is None else ddgst)
        return out

    def capsule(self, entry, data=b"", **spoil):
        return self.pdu(CMD, entry, data, **spoil)

    def h2c(self, cccid, ttag, offset, data, last=True, datal=None, **spoil):
        header = struct.pack("<HHII4x", cccid, ttag, offset, len(data) if datal is None else datal)
        return self.pdu(H2C_DATA, header, data, flags=F_LAST if last else 0, **spoil)

    # --- PDUs in

    def receive_bytes(self, count):
        while len(self.buffer) < count:
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionError:
                raise Closed from None
            if not data:
                raise Closed
            self.buffer += data
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def receive_pdu(self):
        """(common header, header, data) of the next PDU, with digests checked."""
        head = self.receive_bytes(8)
        kind, flags, hlen, pdo, plen = ch = struct.unpack("<BBBBI", head)
        assert HLEN[kind] == hlen, ch
        rest = self.receive_bytes(plen - 8)
        whole = head + rest
        header = whole[:hlen]
        if kind == C2H_TERM:
            fes, fei = struct.unpack_from("<HI", header, 8)
            raise Terminated(fes, fei, whole[hlen:])
        at = hlen
        digests = kind not in (IC_RESP,)
        assert bool(flags & F_HDGST) == (self.hdgst and digests), ch
        if flags & F_HDGST:
            assert struct.unpack_from("<I", whole, at)[0] == crc32c(header), "header digest"
            at += 4
        data = b""
        if plen > at:
            assert pdo >= at and pdo % (4 * (self.hpda + 1)) == 0, ch
            data = whole[pdo:]
            assert bool(flags & F_DDGST) == self.ddgst
            if flags & F_DDGST:
                data, digest = data[:-4], struct.unpack("<I", data[-4:])[0]
                assert digest == crc32c(data), "data digest"
        return ch, header, data

    def is_closed(self):
        """Read on until the target's end, then end too; everything in between is dropped."""
        try:
            while True:
                self.buffer = b""
                self.receive_bytes(1)
        except Closed:
            self.sock.close()
            return True
        except TimeoutError:
            return False

    def expect_term(self, fes=None, fei=None):
        """The next PDU is a termination request, and then the connection ends."""
        try:
            while True:
                self.receive_pdu()
        except Terminated as term:
            if fes is not None:
                assert term.fes == fes, term
            if fei is not None:
                assert term.fei == fei, term
            assert self.is_closed()
            return term


class Queue(Connection):
    """A queue pair."""

    def __init__(self, address, **options):
        super().__init__(address, **options)
        self.next_cid = 0
        self.pending = {}      # data that came for a CID
        self.completed = {}    # completions nobody waited for yet
        self.writes = {}       # data to send when asked
        self.r2ts = []         # (cid, ttag, offset, length) of all R2Ts
        self.answer_r2t = True

    def take_cid(self):
        self.next_cid = (self.next_cid + 1) & 0xfff
        return self.next_cid

    # --- commands

    def submit(self, opc, data=b"", read=0, in_capsule=True, cid=None, flags=0x40, kind=None,
               length=None, address=0, **fields):
        """Send a command; data is written in the capsule or by R2T, or so much is read."""
        cid = self.take_cid() if cid is None else cid
        if kind is None:
            kind = SGL_CAPSULE if data and in_capsule else SGL_TRANSPORT if data or read else 0
        if length is None:
            length = len(data) or read
        entry = sqe(opc, cid, dptr=sgl(kind, length, address), flags=flags, **fields)
        self.submit_raw(entry, data, in_capsule)
        return cid

    def submit_raw(self, entry, data=b"", in_capsule=True):
        cid = struct.unpack_from("<H", entry, 2)[0]
        if data and not in_capsule:
            self.writes[cid] = data
            data = b""
        self.send(self.capsule(entry, data))

    def step(self):
        """Take the next PDU and do what it asks for."""
        ch, header, data = self.receive_pdu()
        kind, flags = ch[0], ch[1]
        if kind == RESP:
            cpl = Completion(header[8:])
            cpl.data = self.pending.pop(cpl.cid, b"")
            self.writes.pop(cpl.cid, None)
            self.completed.setdefault(cpl.cid, []).append(cpl)
        elif kind == C2H_DATA:
            cid, _, offset, length = struct.unpack_from("<HHII", header, 8)
            assert length == len(data) and offset == len(self.pending.get(cid, b""))
            self.pending[cid] = self.pending.get(cid, b"") + data
            if flags & F_SUCCESS:
                cpl = Completion(struct.pack("<IIHHHH", 0, 0, 0xffff, 0, cid, 0),
                                 self.pending.pop(cid))
                self.completed.setdefault(cid, []).append(cpl)
        elif kind == R2T:
            cid, ttag, offset, length = struct.unpack_from("<HHII", header, 8)
            self.r2ts.append((cid, ttag, offset, length))
            if self.answer_r2t:
                self.send_data(cid, ttag, offset, length)
        else:
            raise AssertionError(f"PDU {kind:#x} from a target")

    def send_data(self, cid, ttag, offset, length, piece=None):
        """Answer an R2T, in pieces of what the target takes."""
        data = self.writes[cid]
        assert offset + length <= len(data)
        data = data[offset:offset + length]
        piece = piece or self.maxh2cdata
        for at in range(0, length, piece):
            self.send(self.h2c(cid, ttag, offset + at, data[at:at + piece],
                               last=at + piece >= length))

    def wait(self, cid):
        while not self.completed.get(cid):
            self.step()
        cpl = self.completed[cid].pop(0)
        if not self.completed[cid]:
            del self.completed[cid]
        return cpl

    def wait_r2t(self):
        while not self.r2ts:
            self.step()
        return self.r2ts.pop(0)

    def run(self, opc, data=b"", **options):
        return self.wait(self.submit(opc, data, **options))

    # --- connect

    def connect(self, subnqn, qid=0, cntlid=0xffff, sqsize=31, hostnqn=HOST_NQN, hostid=HOST_ID,
                recfmt=0, cattr=0, kato=0, data=None, in_capsule=True, length=None, flags=0x40,
                fctype=CONNECT):
        if data is None:
            data = connect_data(subnqn, hostnqn, hostid, cntlid)
        cid = self.take_cid()
        kind = SGL_CAPSULE if in_capsule else SGL_TRANSPORT
        entry = struct.pack("<BBHB19x16sHHHBxI12x", FABRICS, flags, cid, fctype,
                            sgl(kind, len(data) if length is None else length), recfmt, qid,
                            sqsize, cattr, kato)
        self.submit_raw(entry, data, in_capsule)
        cpl = self.wait(cid)
        if cpl.status == SUCCESS:
            self.qid, self.cntlid = qid, cpl.dw0 & 0xffff
        return cpl

    # --- properties

    def property_get(self, offset, size=4):
        cid = self.take_cid()
        self.submit_raw(struct.pack("<BBHB35xB3xI16x", FABRICS, 0x40, cid, PROPERTY_GET,
                                    1 if size == 8 else 0, offset))
        return self.wait(cid)

    def property_set(self, offset, value, size=4):
        cid = self.take_cid()
        self.submit_raw(struct.pack("<BBHB35xB3xIQ8x", FABRICS, 0x40, cid, PROPERTY_SET,
                                    1 if size == 8 else 0, offset, value))
        return self.wait(cid)

    # --- admin

    def identify(self, cns, nsid=0, cntid=0, csi=0, length=4096):
        return self.run(IDENTIFY, read=length, nsid=nsid, cdw10=cns | cntid << 16, cdw11=csi << 24)

    def log_page(self, page, length, offset=0, rae=False, nsid=0xffffffff, sgl_length=None):
        numd = length // 4 - 1
        return self.run(GET_LOG, length=length if sgl_length is None else sgl_length,
                        kind=SGL_TRANSPORT, nsid=nsid,
                        cdw10=page | bool(rae) << 15 | (numd & 0xffff) << 16, cdw11=numd >> 16,
                        cdw12=offset & 0xffffffff, cdw13=offset >> 32)

    def get_feature(self, fid, dw11=0, select=0, read=0):
        return self.run(GET_FEATURES, read=read, cdw10=fid | select << 8, cdw11=dw11)

    def set_feature(self, fid, dw11=0, data=b"", save=False, nsid=0):
        return self.run(SET_FEATURES, data, nsid=nsid, cdw10=fid | bool(save) << 31, cdw11=dw11)

    # --- I/O

    @staticmethod
    def lba_fields(slba, nlb, nsid=1, dw12=0):
        return {"nsid": nsid, "cdw10": slba & 0xffffffff, "cdw11": slba >> 32,
                "cdw12": (nlb - 1) | dw12}

    def read(self, slba, nlb, block=512, nsid=1, **options):
        return self.run(READ, read=options.pop("read", nlb * block),
                        **self.lba_fields(slba, nlb, nsid), **options)

    def write(self, slba, data, block=512, nsid=1, dw12=0, **options):
        in_capsule = options.pop("in_capsule", len(data) <= 4096)
        return self.run(WRITE, data, in_capsule=in_capsule,
                        **self.lba_fields(slba, len(data) // block, nsid, dw12), **options)


def connect_data(subnqn, hostnqn=HOST_NQN, hostid=HOST_ID, cntlid=0xffff):
    def field(text):
        raw = text if isinstance(text, bytes) else text.encode()
        return raw.ljust(256, b"\0")[:256]
    return struct.pack("<16sH238x256s256s256x", hostid, cntlid, field(subnqn), field(hostnqn))


class Controller:
    """An enabled controller and its queues."""

    def __init__(self, address, subnqn, enable=True, hostnqn=HOST_NQN, hostid=HOST_ID, kato=0,
                 sqsize=31, **options):
        self.address, self.subnqn, self.options = address, subnqn, options
        self.hostnqn, self.hostid = hostnqn, hostid
        self.queues = []
        self.admin = self.open()
        cpl = self.admin.connect(subnqn, hostnqn=hostnqn, hostid=hostid, kato=kato, sqsize=sqsize)
        assert cpl.status == SUCCESS, cpl
        self.cntlid = self.admin.cntlid
        if enable:
            self.enable()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def open(self):
        queue = Queue(self.address, **self.options)
        self.queues.append(queue)
        return queue

    def enable(self):
        assert self.admin.property_set(CC, CC_ENABLED).status == SUCCESS
        while not self.admin.property_get(CSTS).dw0 & 1:
            pass

    def io_queue(self, qid=1, sqsize=127, **options):
        queue = self.open()
        cpl = queue.connect(self.subnqn, qid=qid, cntlid=self.cntlid, sqsize=sqsize,
                            hostnqn=self.hostnqn, hostid=self.hostid, **options)
        assert cpl.status == SUCCESS, cpl
        return queue

    def close(self):
        for queue in self.queues:
            queue.close()

# SPDX-License-Identifier: Apache-2.0
"""The host's side of DH-HMAC-CHAP on a raw queue (nvme_tcp.py), step by step, right or wrong.

Computed from the text of Base 2.0, 8.13.5, and of RFC 7919, with nothing of the target's.
"""

import base64
import functools
import hashlib
import hmac
import os
import struct
import zlib
from fractions import Fraction

import nvme_tcp as nvme

AUTH_SEND, AUTH_RECV = 5, 6
AUTH_REQUIRED = nvme.status(1, 0x91)
ATR = 1 << 17

COMMON, DHCHAP = 0, 1
NEGOTIATE, CHALLENGE, REPLY, SUCCESS1, SUCCESS2, FAILURE2, FAILURE1 = 0, 1, 2, 3, 4, 0xf0, 0xf1
FAILED, PROTOCOL, SECURE_CHANNEL, NO_HASH, NO_GROUP, PAYLOAD, MESSAGE = range(1, 8)

HASHES = {"sha256": 1, "sha384": 2, "sha512": 3}
# Identifier, bits, and the constant of RFC 7919, Appendix A.
GROUPS = {"null": (0, 0, 0), "ffdhe2048": (1, 2048, 560316), "ffdhe3072": (2, 3072, 2625351),
          "ffdhe4096": (3, 4096, 5736041), "ffdhe6144": (4, 6144, 15705020),
          "ffdhe8192": (5, 8192, 10965728)}


@functools.cache
def prime(group):
    """p = 2^b - 2^(b-64) + ([2^(b-130) e] + x) 2^64 - 1"""
    _, bits, constant = GROUPS[group]
    e, term = Fraction(0), Fraction(1)
    for n in range(1, 1200):
        e += term
        term /= n
    return 2 ** bits - 2 ** (bits - 64) + (int(2 ** (bits - 130) * e) + constant) * 2 ** 64 - 1


def key_text(secret, kind=0):
    crc = zlib.crc32(secret).to_bytes(4, "little")
    return f"DHHC-1:{kind:02}:{base64.b64encode(secret + crc).decode()}:"


def bound(secret, kind, nqn):
    """What of a key is used for an NQN (8.13.5.7)."""
    if kind == 0:
        return secret
    return hmac.new(secret, nqn.encode() + b"NVMe-over-Fabrics",
                    {1: "sha256", 2: "sha384", 3: "sha512"}[kind]).digest()


def respond(name, key, challenge, seq, tid, role, owner, other, shared=b""):
    if shared:
        challenge = hmac.new(hashlib.new(name, shared).digest(), challenge, name).digest()
    text = challenge + struct.pack("<IHB", seq, tid, 0) + role + owner.encode() + b"\0" + \
        other.encode()
    return hmac.new(key, text, name).digest()


def head(kind, ident, tid):
    return struct.pack("<BBHH", kind, ident, 0, tid)


class Auth:
    """One authentication on a queue of a host with a key."""

    def __init__(self, queue, nqn, host, secret, kind=0, ctrlr=None, ctrlr_kind=0, tid=0x1234):
        self.queue, self.nqn, self.host, self.tid = queue, nqn, host, tid
        self.key = bound(secret, kind, host)
        self.ctrlr_key = bound(ctrlr, ctrlr_kind, nqn) if ctrlr else None

    # --- commands

    def command(self, fctype, data=b"", length=None, secp=0xe9, spsp0=1, spsp1=1, tl=None,
                in_capsule=True):
        q = self.queue
        cid = q.take_cid()
        size = len(data) if length is None else length
        kind = nvme.SGL_CAPSULE if data and in_capsule else nvme.SGL_TRANSPORT
        entry = struct.pack("<BBHB19x16sBBBBI16x", nvme.FABRICS, 0x40, cid, fctype,
                            nvme.sgl(kind, size), 0, spsp0, spsp1, secp,
                            size if tl is None else tl)
        q.submit_raw(entry, data, in_capsule)
        return cid

    def send(self, data, **options):
        return self.queue.wait(self.command(AUTH_SEND, data, **options))

    def receive(self, length=4096, **options):
        return self.queue.wait(self.command(AUTH_RECV, length=length, **options))

    def failure(self, length=4096):
        """The explanation that Failure1 gives, behind which the connection ends."""
        cpl = self.receive(length)
        assert cpl.status == nvme.SUCCESS
        kind, ident, _, tid, reason, explanation = struct.unpack_from("<BBHHBB", cpl.data)
        assert (kind, ident, reason) == (COMMON, FAILURE1, 1)
        self.failed_tid = tid
        assert self.queue.is_closed()
        return explanation

    # --- messages

    def negotiate_text(self, hashes=("sha256", "sha384", "sha512"), groups=("null",), channel=0,
                       protocols=1, protocol=DHCHAP, halen=None, dhlen=None):
        descriptor = struct.pack("<BBBB", protocol, 0,
                                 len(hashes) if halen is None else halen,
                                 len(groups) if dhlen is None else dhlen)
        descriptor += bytes(HASHES[h] for h in hashes).ljust(30, b"\0")
        descriptor += bytes(GROUPS[g][0] for g in groups).ljust(30, b"\0")
        return head(COMMON, NEGOTIATE, self.tid) + bytes([channel, protocols]) + descriptor

    def negotiate(self, **options):
        assert self.send(self.negotiate_text(**options)).status == nvme.SUCCESS

    def take_challenge(self, length=4096):
        cpl = self.receive(length)
        assert cpl.status == nvme.SUCCESS and len(cpl.data) == length
        kind, ident, _, tid, hl, _, hash_id, group_id, dhlen, self.seq = struct.unpack_from(
            "<BBHHBBBBHI", cpl.data)
        assert (kind, ident, tid) == (DHCHAP, CHALLENGE, self.tid), cpl.data[:16]
        self.hash = {v: k for k, v in HASHES.items()}[hash_id]
        self.group = {v[0]: k for k, v in GROUPS.items()}[group_id]
        assert hl == hashlib.new(self.hash).digest_size and self.seq != 0
        assert dhlen == GROUPS[self.group][1] // 8
        self.challenge = cpl.data[16:16 + hl]
        self.peer = int.from_bytes(cpl.data[16 + hl:16 + hl + dhlen], "big")
        assert not any(cpl.data[16 + hl + dhlen:])
        self.hl, self.dhlen = hl, dhlen

    def reply_text(self, key=None, hl=None, tid=None, valid=None, dhlen=None, seq=None, value=None,
                   challenge=None, response=None):
        """A reply; whatever is given stands in place of what is right."""
        self.shared = public = b""
        if self.dhlen:
            p, x = prime(self.group), int.from_bytes(os.urandom(64), "big")
            public = pow(2, x, p).to_bytes(self.dhlen, "big")
            self.shared = pow(self.peer, x, p).to_bytes(self.dhlen, "big")
        public = public if value is None else value
        self.own = os.urandom(self.hl) if challenge is None else challenge
        self.own_seq = 7 if seq is None else seq
        valid = int(bool(self.ctrlr_key)) if valid is None else valid
        if response is None:
            response = respond(self.hash, key or self.key, self.challenge, self.seq, self.tid,
                               b"HostHost", self.host, self.nqn, self.shared)
        text = head(DHCHAP, REPLY, self.tid if tid is None else tid)
        text += struct.pack("<BBBBHI", self.hl if hl is None else hl, 0, valid, 0,
                            len(public) if dhlen is None else dhlen,
                            self.own_seq if valid or seq else 0)
        return text + response + (self.own if valid else bytes(self.hl)) + public

    def reply(self, **options):
        assert self.send(self.reply_text(**options)).status == nvme.SUCCESS

    def take_success(self, length=4096):
        cpl = self.receive(length)
        assert cpl.status == nvme.SUCCESS
        kind, ident, _, tid, hl, _, valid = struct.unpack_from("<BBHHBBB", cpl.data)
        assert (kind, ident, tid) == (DHCHAP, SUCCESS1, self.tid), cpl.data[:16]
        assert hl == self.hl and valid == int(bool(self.ctrlr_key))
        if valid:
            assert cpl.data[16:16 + hl] == respond(
                self.hash, self.ctrlr_key, self.own, self.own_seq, self.tid, b"Controller",
                self.nqn, self.host, self.shared)

    def success2_text(self, tid=None):
        return head(DHCHAP, SUCCESS2, self.tid if tid is None else tid) + bytes(10)

    def failure2_text(self, tid=None):
        return head(COMMON, FAILURE2, self.tid if tid is None else tid) + bytes([1, FAILED])

    def until_reply(self, **options):
        self.negotiate(**options)
        self.take_challenge()

    def whole(self, **options):
        self.until_reply(**options)
        self.reply()
        self.take_success()
        if self.ctrlr_key:
            assert self.send(self.success2_text()).status == nvme.SUCCESS

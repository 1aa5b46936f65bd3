# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk-blob as a test runs it, and images as a test damages them."""

import json
import os
import struct
import subprocess

from conftest import SANITIZER_WORDS

MIB = 1024 * 1024
PAGE = 4096
OK, FAILURE, USAGE, REFUSED, NOT_FOUND, DAMAGED = 0, 1, 2, 3, 4, 8
ROOT_ID = 1 << 32

RUNS, XATTR, FLAGS, INTERNAL, TABLE, EXTENTS = range(1, 7)


def make_crc_table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
        table.append(crc)
    return table


CRC_TABLE = make_crc_table()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >> 8)
    return crc ^ 0xffffffff


class Tool:
    """The program, in a folder of its own."""

    def __init__(self, path, folder):
        self.path, self.folder = path, folder

    def run(self, *words, code=OK, **options):
        """The finished process; standard output as bytes for `text=False`."""
        options.setdefault("text", True)
        done = subprocess.run([str(self.path), *map(str, words)], cwd=self.folder,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120, check=False, **options)
        err = done.stderr if options["text"] else done.stderr.decode(errors="replace")
        assert not SANITIZER_WORDS.search(err), err
        assert done.returncode >= 0, f"{words}: ended by signal {-done.returncode}"
        if code is not None:
            assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{err}"
        return done

    def refused(self, *words, code=REFUSED):
        """What it says when it refuses."""
        done = self.run(*words, code=code)
        assert done.stderr.startswith("cyborg-spdk-blob: "), done
        return done.stderr

    def inspect(self, image, code=OK):
        return json.loads(self.run("inspect", "--json", image, code=code).stdout)

    def lvols(self, image):
        """Volumes by name, of the only store."""
        store, = self.inspect(image)["stores"]
        return {lvol["name"]: lvol for lvol in store["lvols"]}

    def check(self, image, code=OK):
        """Findings by rule."""
        findings = json.loads(self.run("check", "--json", image, code=code).stdout)["findings"]
        rules = {}
        for finding in findings:
            rules.setdefault(finding["rule"], []).append(finding)
        return rules

    def export(self, image, name, *options):
        return self.run("export", *options, image, name, "-", text=False).stdout

    def create(self, image, *words, size="64M", cluster="1M"):
        return self.run("create", image, "lvs0", "--size", size, "--cluster-size", cluster, *words)


class Disk:
    """The bytes of an image: where things are, and how to spoil them."""

    def __init__(self, path):
        self.path = path
        with self.open() as f:
            page = f.read(PAGE)
        self.cluster = struct.unpack_from("<I", page, 28)[0]
        self.md_start = struct.unpack_from("<I", page, 48)[0]
        self.masks = struct.unpack_from("<4I", page, 32)
        self.page_size = struct.unpack_from("<I", page, 92)[0]

    def open(self):
        return open(self.path, "r+b")

    def at(self, index):
        """Byte where a metadata page begins; None is the super block."""
        return 0 if index is None else (self.md_start + index) * self.page_size

    def read(self, index):
        with self.open() as f:
            f.seek(self.at(index))
            return bytearray(f.read(PAGE))

    def write(self, index, page, seal=True):
        """With the right checksum, as if it were meant like that."""
        if seal:
            struct.pack_into("<I", page, PAGE - 4, crc32c(page[:PAGE - 4]))
        with self.open() as f:
            f.seek(self.at(index))
            f.write(page)

    def poke(self, index, offset, value, seal=True):
        page = self.read(index)
        page[offset:offset + len(value)] = value
        self.write(index, page, seal)

    def flip(self, index, *offsets):
        """Bytes that are wrong, and a checksum that tells."""
        page = self.read(index)
        for offset in offsets:
            page[offset] ^= 0x5a
        self.write(index, page, seal=False)

    def descriptors(self, index):
        """(type, offset of the payload, length) of each."""
        page, at = self.read(index), 16
        while at + 5 <= 4088:
            kind, length = struct.unpack_from("<BI", page, at)
            if kind == 0 and length == 0:
                break
            yield kind, at + 5, length
            at += 5 + length

    def find(self, index, kind, name=None):
        """The payload of the first descriptor of a type, or of the xattr with that name."""
        page = self.read(index)
        for found, at, length in self.descriptors(index):
            if found != kind:
                continue
            if name is None:
                return at, length
            size = struct.unpack_from("<H", page, at)[0]
            if page[at + 4:at + 4 + size] == name.encode():
                return at, length
        raise KeyError((index, kind, name))

    def chain(self, root):
        pages = [root]
        while (page := struct.unpack_from("<I", self.read(pages[-1]), 4088)[0]) != 0xffffffff:
            pages.append(page)
        return pages

    def table(self, index):
        """Extent pages of the table on a page."""
        at, length = self.find(index, TABLE)
        page = self.read(index)
        return [struct.unpack_from("<I", page, at + i)[0] for i in range(8, length, 8)]

    def extents(self, index):
        at, length = self.find(index, EXTENTS)
        return list(struct.unpack_from(f"<{(length - 4) // 4}I", self.read(index), at + 4))

    def set_extent(self, index, entry, cluster):
        at, _ = self.find(index, EXTENTS)
        self.poke(index, at + 4 + 4 * entry, struct.pack("<I", cluster))

    def pages(self):
        """Metadata pages that are not zeroes, of a small image."""
        count = struct.unpack_from("<I", self.read(None), 52)[0]
        return [i for i in range(count) if any(self.read(i))]


def content(tag, size):
    """Bytes that tell where they are from: each 4096 begin with the tag and their number."""
    return b"".join((tag.encode().ljust(8, b".")[:8] + b"%08x" % i) * 256
                    for i in range(size // PAGE))


def copy(source, target):
    """A copy that takes no more disk than what is not zero: images here are mostly holes."""
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True)


def same_bytes(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        while True:
            left, right = x.read(MIB), y.read(MIB)
            if left != right:
                return False
            if not left:
                return True


def allocated(path):
    return os.stat(path).st_blocks * 512

# SPDX-License-Identifier: Apache-2.0
"""repair of pages that a power cut tore: sectors of before and of after an operation of the engine.

An operation writes fresh pages, then rewrites one page in place, then zeroes what it replaced
(docs/blobstore.md). Each mixture of old and new sectors of that page, among what was durable by
then, must become the volumes of before or of after.
"""

import hashlib
import itertools
import os
import struct

import pytest

from blobtool import EXTENTS, PAGE, ROOT_ID, Disk, Tool, copy, crc32c
from lvol_target import MIB, Lvols, pattern

SECTOR = 512
EMPTY = bytes(PAGE)
CLUSTER = 16384


@pytest.fixture
def tool(program, tmp_path):
    return Tool(program("cyborg-spdk-blob"), tmp_path)


@pytest.fixture
def lvols(target, tmp_path):
    """A snapshot, its clone with content of its own, a thick volume, and one of three tables."""
    lvols = Lvols(target, tmp_path)
    lvols.image = lvols.file(48 * MIB)
    lvols.store(cluster=CLUSTER)
    lvols.create("base", 1, thin_provision=True)
    lvols.write("lvs0/base", 0, pattern("base", 4 * CLUSTER))
    lvols.snapshot("lvs0/base", "snap")
    lvols.write("lvs0/base", 2 * CLUSTER, pattern("clone", 4 * CLUSTER))
    lvols.create("thick", 1)
    lvols.write("lvs0/thick", 0, pattern("thick", 8192))
    lvols.create("wide", 20, thin_provision=True)
    lvols.write("lvs0/wide", 600 * CLUSTER, pattern("wide", 2 * CLUSTER))
    return lvols


# --- states --------------------------------------------------------------------------------------

def digest(path):
    """Of what is not zero, and where."""
    found = hashlib.sha256()
    with open(path, "rb") as f:
        end = 0
        while True:
            try:
                at = os.lseek(f.fileno(), end, os.SEEK_DATA)
            except OSError:
                return found.hexdigest()
            end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            f.seek(at)
            for offset in range(at, end, PAGE):
                data = f.read(PAGE)
                if data.strip(b"\0"):
                    found.update(b"%d" % offset + data)


def read(tool, image, uuid):
    out = image.with_name("exported")
    out.unlink(missing_ok=True)
    tool.run("export", image, uuid, out)
    return digest(out)


def facts(tool, image):
    """What the volumes are, and what they read."""
    store, = tool.inspect(image)["stores"]
    return store["name"], {
        lvol["name"]: (lvol["uuid"], lvol["num_clusters"], lvol["is_thin_provisioned"],
                       lvol["read_only"], lvol["base_snapshot"],
                       read(tool, image, lvol["uuid"]))
        for lvol in store["lvols"]}


class Cut:
    """Page @index torn between two images, other pages as they were when it was written."""

    def __init__(self, tool, tmp_path, before, after, index, allowed):
        self.tool, self.index, self.allowed = tool, index, allowed
        self.before, self.after = Disk(before), Disk(after)
        self.image = tmp_path / "torn"
        copy(after, self.image)
        self.disk = Disk(self.image)
        self.old, self.new = self.before.read(index), self.after.read(index)
        for i in set(self.before.pages()) | set(self.after.pages()):
            if i != index and self.is_later(i):
                self.disk.write(i, self.before.read(i), seal=False)

    def is_later(self, i):
        """Zeroed behind the root; a root behind extent pages."""
        old, new = self.before.read(i), self.after.read(i)
        return new == EMPTY or (old not in (new, EMPTY) and self.new[16] == EXTENTS)

    def sectors(self):
        return [i for i in range(0, PAGE, SECTOR)
                if self.old[i:i + SECTOR] != self.new[i:i + SECTOR]]

    def mixtures(self):
        """Bytes of each that needs a repair."""
        sectors = self.sectors()
        for kept in itertools.product((False, True), repeat=len(sectors)):
            page = bytearray(self.new)
            for at, old in zip(sectors, kept):
                if old:
                    page[at:at + SECTOR] = self.old[at:at + SECTOR]
            crc, = struct.unpack_from("<I", page, PAGE - 4)
            if page != EMPTY and crc != crc32c(page[:PAGE - 4]):
                yield page

    def run(self, *options):
        """How many there were."""
        torn = 0
        for torn, page in enumerate(self.mixtures(), 1):
            self.disk.write(self.index, page, seal=False)
            undo = self.image.with_name("undo")
            undo.unlink(missing_ok=True)
            mixed = self.image.with_name("mixed")
            copy(self.image, mixed)
            text = self.tool.run("repair", "--yes", "--save", undo, *options, mixed).stdout
            assert facts(self.tool, mixed) in self.allowed, text
            bad = {rule for rule, found in self.tool.check(mixed).items()
                   for f in found if f["severity"] != "info"}
            assert not bad, (bad, text)
        return torn


def cuts(tool, tmp_path, lvols, operation):
    """One for each page that an operation rewrote."""
    before, after = tmp_path / "before", tmp_path / "after"
    copy(lvols.image, before)
    operation(lvols)
    copy(lvols.image, after)
    a, b = Disk(before), Disk(after)
    allowed = [facts(tool, before), facts(tool, after)]
    for index in sorted(set(a.pages()) | set(b.pages())):
        old, new = a.read(index), b.read(index)
        root = struct.pack("<Q", ROOT_ID + index)
        if old != new and ((old != EMPTY and new != EMPTY) or root in (old[:8], new[:8])):
            yield Cut(tool, tmp_path, before, after, index, allowed)


# --- operations -----------------------------------------------------------------------------------

OPERATIONS = {
    "create": lambda l: l.create("new", 1, thin_provision=True),
    "create-thick": lambda l: l.create("new", 1),
    "write": lambda l: l.write("lvs0/wide", 603 * CLUSTER, pattern("one", CLUSTER)),
    "write-many": lambda l: l.write("lvs0/wide", 700 * CLUSTER, pattern("many", 128 * 1024)),
    "write-new-table": lambda l: l.write("lvs0/wide", 100 * CLUSTER, pattern("table", 4096)),
    "write-clone": lambda l: l.write("lvs0/base", 0, pattern("cow", 4096)),
    "rename": lambda l: l.rpc.call("bdev_lvol_rename", old_name="lvs0/base", new_name="renamed"),
    "rename-store": lambda l: l.rpc.call("bdev_lvol_rename_lvstore", old_name="lvs0",
                                         new_name="store"),
    "grow": lambda l: l.rpc.call("bdev_lvol_resize", name="lvs0/base", size_in_mib=12),
    "shrink": lambda l: l.rpc.call("bdev_lvol_resize", name="lvs0/wide", size_in_mib=10),
    "read-only": lambda l: l.rpc.call("bdev_lvol_set_read_only", name="lvs0/thick"),
    "decouple": lambda l: l.rpc.call("bdev_lvol_decouple_parent", name="lvs0/base"),
    "delete": lambda l: l.delete("lvs0/thick"),
    "clone": lambda l: l.clone("lvs0/snap", "other"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(tool, lvols, tmp_path, name):
    torn = 0
    for cut in cuts(tool, tmp_path, lvols, OPERATIONS[name]):
        torn += cut.run()
    assert torn > 0


# --- tables over several sectors -----------------------------------------------------------------

TABLES = 88


@pytest.fixture
def large(lvols):
    """A volume of so many tables, every second of which lists something: 700 bytes of a root."""
    lvols.create("large", TABLES * 512 * CLUSTER // MIB, thin_provision=True)
    with lvols.host("lvs0/large") as volume:
        for i in range(0, TABLES, 2):
            volume.fill(i * 512 * CLUSTER, pattern(str(i), 4096))
    return lvols


LARGE = {
    "write-new-table": lambda l: l.write("lvs0/large", 61 * 512 * CLUSTER, b"x" * 4096),
    "rename": lambda l: l.rpc.call("bdev_lvol_rename", old_name="lvs0/large", new_name="renamed"),
    "shrink": lambda l: l.rpc.call("bdev_lvol_resize", name="lvs0/large", size_in_mib=300),
    "delete": lambda l: l.delete("lvs0/large"),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_table(tool, large, tmp_path, name):
    torn = 0
    for cut in cuts(tool, tmp_path, large, LARGE[name]):
        torn += cut.run()
    assert torn > 1

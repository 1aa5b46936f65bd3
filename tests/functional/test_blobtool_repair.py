# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk-blob check and repair, one kind of damage after the other, and undo."""

import struct

import pytest

from blobtool import (DAMAGED, EXTENTS, FLAGS, INTERNAL, MIB, REFUSED, ROOT_ID, RUNS, TABLE, USAGE,
                      XATTR, Disk, Tool, content, copy, same_bytes)

EMPTY = bytes(4096)


@pytest.fixture
def tool(program, tmp_path):
    return Tool(program("cyborg-spdk-blob"), tmp_path)


@pytest.fixture
def image(tool, tmp_path):
    """Root pages 1 (a, extents on page 2), 3 (b, extents on 4) and 5 (c, none)."""
    (tmp_path / "a").write_bytes(content("a", 4 * MIB))
    (tmp_path / "b").write_bytes(content("b", 2 * MIB))
    tool.create("image", "a=a", "b=b", "c=3M")
    return tmp_path / "image"


def bad(findings):
    return {rule for rule, found in findings.items() for f in found if f["severity"] != "info"}


class Repair:
    """A repair that is held to: tell, not touch; do; undo gives every byte back."""

    def __init__(self, tool, image):
        self.tool, self.image = tool, image
        self.before = image.with_name("before")
        copy(image, self.before)

    def run(self, *options, left=()):
        self.tool.run("repair", *options, self.image, code=REFUSED)
        assert same_bytes(self.image, self.before)
        done = self.tool.run("repair", "--yes", *options, "--save", "undo", self.image,
                             code=DAMAGED if left else 0)
        assert bad(self.tool.check(self.image, code=DAMAGED if left else 0)) == set(left)
        repaired = self.image.with_name("repaired")
        copy(self.image, repaired)
        self.tool.run("repair", "--undo", "undo", self.image)
        assert same_bytes(self.image, self.before)
        copy(repaired, self.image)
        return done.stdout

    def stuck(self, word, *options):
        """Without consent it is told, and nothing happens."""
        text = self.tool.run("repair", "--yes", *options, self.image, code=DAMAGED).stdout
        assert f"--allow {word}" in text and text.endswith("Nothing was changed.\n"), text
        assert same_bytes(self.image, self.before)


def check(tool, image, rule, **where):
    found = tool.check(image, code=DAMAGED)[rule][0]
    assert {key: found[key] for key in where} == where
    return Repair(tool, image)


def whole(tool, image, names="ab"):
    """What the volumes read is what was put in."""
    for name in names:
        data = content(name, {"a": 4, "b": 2}[name] * MIB)
        assert tool.export(image, f"lvs0/{name}") == data, name


# --- one wrong byte -----------------------------------------------------------------------------

@pytest.mark.parametrize("index", [None, 0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("offset", [0, 9, 18, 60, 2000, 4087, 4090, 4093])
def test_one_byte(tool, image, index, offset):
    if index is not None and offset == 4090:
        pytest.skip("the same as 4087")
    Disk(image).flip(index, offset)
    if index is not None and offset in (0, 9):
        # The page does not even look like one.
        assert tool.check(image, code=DAMAGED)
        repair = Repair(tool, image)
    else:
        repair = check(tool, image, {None: "super.crc" if offset != 0 else "super.signature",
                                     2: "extents", 4: "extents"}.get(index, "root.crc"))
    assert "as its checksum says" in repair.run()
    whole(tool, image)


# --- super block --------------------------------------------------------------------------------

def test_super_block_with_a_wrong_checksum(tool, image):
    Disk(image).flip(None, 3000, 3100, 3200)
    assert "made anew" in check(tool, image, "super.crc").run()
    whole(tool, image)


def test_super_block_that_is_not_plausible(tool, image):
    Disk(image).flip(None, 28, 29, 30)
    repair = check(tool, image, "super.crc")
    assert tool.run("repair", "--yes", image, code=DAMAGED).stdout.endswith("was changed.\n")
    assert same_bytes(image, repair.before)


def test_device_that_is_shorter(tool, image):
    with open(image, "r+b") as f:
        f.truncate(32 * MIB)
    assert "as small as the device" in check(tool, image, "super.size").run()
    whole(tool, image)


def test_device_that_is_too_short(tool, image):
    """Clusters that are gone are no reason to forget them, while they may come back."""
    with open(image, "r+b") as f:
        f.truncate(4 * MIB)
    repair = check(tool, image, "super.size")
    repair.stuck("holes")
    repair.run("--allow", "holes")
    data = content("a", 4 * MIB)
    assert tool.export(image, "lvs0/a") == data[:3 * MIB] + bytes(MIB)


def test_unknown_version(tool, image):
    Disk(image).poke(None, 8, struct.pack("<I", 7))
    repair = check(tool, image, "super.version")
    repair.stuck("version")
    repair.run("--allow", "version")
    whole(tool, image)


# --- masks --------------------------------------------------------------------------------------

@pytest.mark.parametrize("which,rule", [(0, "mask.pages"), (2, "mask.clusters")])
def test_mask_that_misses_something(tool, image, which, rule):
    disk = Disk(image)
    with disk.open() as f:
        f.seek(disk.masks[which] * 4096 + 5)
        f.write(b"\0")
    check(tool, image, rule, severity="error").run()
    whole(tool, image)


def test_mask_with_too_much(tool, image):
    disk = Disk(image)
    with disk.open() as f:
        f.seek(disk.masks[2] * 4096 + 5 + 4)
        f.write(b"\x3c")
    check(tool, image, "mask.clusters", severity="warning", cluster=34).run()
    assert tool.inspect(image)["stores"][0]["free_clusters"] == 57


def test_blob_that_the_mask_does_not_have(tool, image):
    disk = Disk(image)
    with disk.open() as f:
        f.seek((disk.md_start - 1) * 4096 + 5)
        f.write(bytes([0b101011 & ~0b1000]))
    assert check(tool, image, "root.unlisted", page=3)
    assert list(tool.lvols(image)) == ["a", "c"]


# --- chains -------------------------------------------------------------------------------------

@pytest.fixture
def chain(tool, image):
    """Blob a over three pages: root 1, page 10 with an xattr, page 11 with the table."""
    disk = Disk(image)
    root = disk.read(1)
    table, length = disk.find(1, TABLE)
    page = bytearray(4096)
    struct.pack_into("<QI", page, 0, ROOT_ID + 1, 2)
    page[16:16 + 5 + length] = root[table - 5:table + length]
    struct.pack_into("<I", page, 4088, 0xffffffff)
    disk.write(11, page)
    page = bytearray(4096)
    xattr = struct.pack("<HH", 1, 3000) + b"x" + bytes(range(250)) * 12
    struct.pack_into("<QI", page, 0, ROOT_ID + 1, 1)
    page[16:16 + 5 + len(xattr)] = struct.pack("<BI", XATTR, len(xattr)) + xattr
    struct.pack_into("<I", page, 4088, 11)
    disk.write(10, page)
    root[table - 5:table + length] = bytes(5 + length)
    struct.pack_into("<I", root, 4088, 10)
    disk.write(1, root)
    tool.run("repair", "--yes", image)
    assert tool.check(image) == {}
    return disk


def test_chain_is_read(tool, image, chain):
    assert chain.chain(1) == [1, 10, 11]
    whole(tool, image)


def test_chain_over_a_lost_page(tool, image, chain):
    chain.flip(10, 500, 600, 700)
    assert "xattrs on it" in check(tool, image, "chain.page", page=10).run()
    whole(tool, image)


def test_root_and_chain_page_at_once(tool, image, chain):
    """One byte of the root is certain, whatever else is missing behind it."""
    chain.flip(1, 100)
    chain.write(10, bytearray(4096), seal=False)
    check(tool, image, "root.crc", page=1).run()
    whole(tool, image)


def test_root_of_a_clone_without_its_snapshot(tool, image):
    add_internal(Disk(image), 1, "SNAP", ROOT_ID + 50, 7)
    Disk(image).flip(1, 60)
    check(tool, image, "root.crc", page=1).run("--allow", "detach")
    whole(tool, image)


def test_chain_that_goes_on_nowhere(tool, image, chain):
    chain.poke(11, 4088, struct.pack("<I", 5000))
    check(tool, image, "chain.page", page=5000).run()
    whole(tool, image)


def test_chain_in_a_circle(tool, image, chain):
    chain.poke(11, 4088, struct.pack("<I", 10))
    check(tool, image, "chain.loop", page=10).run()
    whole(tool, image)


def test_chain_into_another_blob(tool, image, chain):
    chain.poke(11, 4088, struct.pack("<I", 3))
    check(tool, image, "page.shared", page=3).run()
    whole(tool, image)


def test_chain_into_the_chain_of_another(tool, image, chain):
    """b claims the page of a's table; the page tells whose it is."""
    chain.poke(3, 4088, struct.pack("<I", 11))
    check(tool, image, "page.shared", page=11).run()
    whole(tool, image)


@pytest.mark.parametrize("lost", [b"", bytes(4096)])
def test_chain_that_lost_its_table(tool, image, chain, lost):
    """Its extent pages tell the table, also when nothing is left of the page."""
    chain.write(11, bytearray(lost or bytes([0x5a]) * 4096), seal=False)
    assert "tell its extent table" in check(tool, image, "chain.page", page=11).run()
    whole(tool, image)
    assert chain.chain(1) == [1, 10, 11] or lost


def test_chain_that_lost_all(tool, image, chain):
    chain.write(11, bytearray(4096), seal=False)
    chain.write(2, bytearray(4096), seal=False)
    repair = check(tool, image, "chain.page", page=11)
    repair.stuck("drop")
    repair.run("--allow", "drop")
    assert list(tool.lvols(image)) == ["b", "c"]
    whole(tool, image, "b")


def test_damaged_blob_keeps_its_clusters(tool, image, chain):
    """Another repair must not give away what a damaged blob may get back one day."""
    chain.write(11, bytearray(4096), seal=False)
    chain.write(2, bytearray(4096), seal=False)
    at, _ = chain.find(3, XATTR, "name")
    chain.poke(3, at + 8, b"c\0")
    free = tool.inspect(image)["stores"][0]["free_clusters"]
    tool.run("repair", "--yes", image, code=DAMAGED)
    assert tool.inspect(image)["stores"][0]["free_clusters"] == free == 57


@pytest.mark.parametrize("length", [0, 3, 46, 3000, 0xffffffff])
def test_xattr_with_a_wrong_length(tool, image, length):
    disk = Disk(image)
    at, _ = disk.find(1, XATTR, "uuid")
    disk.poke(1, at - 4, struct.pack("<I", length))
    check(tool, image, "descriptor", page=1).run()
    whole(tool, image)


def test_table_that_is_too_short(tool, image):
    disk = Disk(image)
    at, _ = disk.find(1, TABLE)
    disk.poke(1, at, struct.pack("<Q", 2000))
    repair = check(tool, image, "descriptor", page=1)
    assert "covers 512 of 2000" in tool.run("check", image, code=DAMAGED).stdout
    repair.run("--allow", "truncate")
    assert tool.export(image, "lvs0/a") == content("a", 4 * MIB)


def test_bytes_behind_the_descriptors(tool, image):
    """Nothing belongs there, and without them the checksum is right."""
    Disk(image).flip(3, 500, 600, 700)
    Disk(image).flip(2, 500, 600, 700)
    assert bad(tool.check(image, code=DAMAGED)) >= {"root.crc", "extents"}
    assert "as its checksum says" in Repair(tool, image).run()
    whole(tool, image)


def test_root_page_that_is_lost(tool, image):
    Disk(image).flip(3, 20, 30, 60)
    repair = check(tool, image, "root.crc", page=3)
    repair.stuck("drop")
    repair.run("--allow", "drop")
    assert list(tool.lvols(image)) == ["a", "c"]
    assert tool.inspect(image)["stores"][0]["free_clusters"] == 59


# --- pages that are believed ----------------------------------------------------------------------

def test_page_of_a_clean_store(tool, image):
    """No write was under way: it takes consent to believe a page whose checksum is wrong."""
    disk = Disk(image)
    page = disk.read(3)
    page[4092:] = b"torn"
    disk.write(3, page, seal=False)
    repair = check(tool, image, "root.crc", page=3)
    repair.stuck("page")
    repair.run("--allow", "page")
    whole(tool, image)


def test_entry_that_its_checksum_tells(tool, image):
    """Four wrong bytes of one entry: only one cluster makes the checksum right."""
    Disk(image).poke(2, 16 + 9 + 4, struct.pack("<I", 0xdeadbeef), seal=False)
    assert "should be 2, as its checksum says" in check(tool, image, "extents", page=2).run()
    whole(tool, image)


# --- extents ------------------------------------------------------------------------------------

def test_extent_page_that_is_lost(tool, image):
    Disk(image).flip(2, 12, 18, 45)
    repair = check(tool, image, "extents", page=2)
    repair.stuck("holes")
    repair.run("--allow", "holes")
    assert tool.export(image, "lvs0/a") == bytes(4 * MIB)
    whole(tool, image, "b")


def test_extent_page_that_moved(tool, image):
    """The table names another page; the one that the blob wrote is still there."""
    disk = Disk(image)
    at, _ = disk.find(1, TABLE)
    disk.poke(1, at + 8, struct.pack("<I", 40))
    assert "takes over" in check(tool, image, "extents", page=40).run()
    whole(tool, image)


@pytest.mark.parametrize("cluster", [1 << 31, 64])
def test_cluster_that_there_is_not(tool, image, cluster):
    Disk(image).set_extent(2, 1, cluster)
    repair = check(tool, image, "extents", page=2)
    repair.stuck("holes")
    repair.run("--allow", "holes")
    data = content("a", 4 * MIB)
    assert tool.export(image, "lvs0/a") == data[:MIB] + bytes(MIB) + data[2 * MIB:]


def test_hole_in_a_thick_volume(tool, tmp_path):
    (tmp_path / "a").write_bytes(content("a", 4 * MIB))
    tool.create("image", "a=a", "--thick")
    Disk(tmp_path / "image").set_extent(2, 1, 0)
    repair = check(tool, tmp_path / "image", "extents", page=2)
    repair.stuck("holes")
    repair.run("--allow", "holes")
    assert tool.lvols("image")["a"]["is_thin_provisioned"]


def test_shrink_that_was_cut(tool, tmp_path):
    """The first of three extent pages is short already, the table is not."""
    (tmp_path / "a").write_bytes(content("a", 1200 * 16384))
    tool.create("image", "a=a", size="64M", cluster="16K")
    disk = Disk(tmp_path / "image")
    index = disk.table(1)[0]
    at, length = disk.find(index, EXTENTS)
    page = disk.read(index)
    page[at + 4 + 4 * 300:at + length] = bytes(length - 4 - 4 * 300)
    struct.pack_into("<I", page, at - 4, 4 + 4 * 300)
    disk.write(index, page)
    check(tool, tmp_path / "image", "extents.cut", page=index).run()
    assert tool.export("image", "lvs0/a") == content("a", 300 * 16384)
    assert Disk(tmp_path / "image").table(1) == [index]


# --- two owners ---------------------------------------------------------------------------------

def test_shared_cluster(tool, image):
    disk = Disk(image)
    disk.set_extent(4, 0, disk.extents(2)[1])
    repair = check(tool, image, "cluster.shared", cluster=2)
    assert "gets a copy in cluster" in repair.run()
    whole(tool, image, "a")
    assert tool.export(image, "lvs0/b") == content("a", 2 * MIB)[MIB:] + content("b", 2 * MIB)[MIB:]
    assert not set(disk.extents(4)) & set(disk.extents(2))


def test_cluster_twice_in_a_blob(tool, image):
    disk = Disk(image)
    disk.set_extent(2, 0, disk.extents(2)[1])
    check(tool, image, "cluster.shared", cluster=2).run()
    data = content("a", 4 * MIB)
    assert tool.export(image, "lvs0/a") == data[MIB:2 * MIB] + data[MIB:]


def use_runs(disk, root):
    """The extent table of a small volume becomes a run-length descriptor."""
    page, (at, length) = disk.read(root), disk.find(root, TABLE)
    clusters = disk.extents(disk.table(root)[0])
    disk.write(disk.table(root)[0], bytearray(4096), seal=False)
    page[at - 5:at + length] = bytes(5 + length)
    struct.pack_into("<BIII", page, at - 5, RUNS, 8, clusters[0], len(clusters))
    flags, _ = disk.find(root, FLAGS)
    page[flags] &= ~4
    disk.write(root, page)


@pytest.mark.parametrize("entry", [0, 1, 3])
def test_shared_clusters_of_runs(tool, image, entry):
    """Two blobs with runs, a with clusters 1 to 4: b takes one of a's for the first of its own."""
    disk = Disk(image)
    use_runs(disk, 1)
    use_runs(disk, 3)
    at, _ = disk.find(3, RUNS)
    disk.poke(3, at, struct.pack("<I", 1 + entry))
    data = tool.export(image, "lvs0/b")
    assert "gets a copy" in check(tool, image, "cluster.shared", cluster=1 + entry).run()
    whole(tool, image, "a")
    assert tool.export(image, "lvs0/b") == data


def test_shared_cluster_without_room(tool, tmp_path):
    for name, size in (("a", 4), ("b", 3)):
        (tmp_path / name).write_bytes(content(name, size * MIB))
    tool.create("image", "a=a", "b=b", size="8M")
    disk = Disk(tmp_path / "image")
    disk.set_extent(4, 0, 1)
    with disk.open() as f:
        f.seek(disk.masks[2] * 4096 + 5)
        f.write(b"\xff")
    assert "no cluster is free" in tool.run("repair", "--yes", "image", code=DAMAGED).stdout


def test_shared_extent_page(tool, image):
    disk = Disk(image)
    at, _ = disk.find(3, TABLE)
    disk.poke(3, at + 8, struct.pack("<I", 2))
    assert "gets a copy" in check(tool, image, "page.shared", page=2).run()
    whole(tool, image, "a")
    assert tool.export(image, "lvs0/b") == content("a", 4 * MIB)


# --- snapshots ----------------------------------------------------------------------------------

def add_internal(disk, index, name, value, invalid):
    page = disk.read(index)
    payload = struct.pack("<HH", len(name), 8) + name.encode() + struct.pack("<Q", value)
    end = max(at + length for _, at, length in disk.descriptors(index))
    page[end:end + 5 + len(payload)] = struct.pack("<BI", INTERNAL, len(payload)) + payload
    struct.pack_into("<Q", page, disk.find(index, FLAGS)[0], invalid)
    disk.write(index, page)


def test_snapshot_whose_making_was_cut(tool, image):
    """b is a snapshot of c that c does not know: it goes."""
    add_internal(Disk(image), 3, "SNAPTMP", ROOT_ID + 5, 7)
    assert list(tool.lvols(image)) == ["a", "c"]
    Repair(tool, image).run()
    assert list(tool.lvols(image)) == ["a", "c"]
    assert tool.inspect(image)["stores"][0]["free_clusters"] == 59


@pytest.mark.parametrize("mark", ["SNAPTMP", "SNAPRM"])
def test_snapshot_that_stays(tool, image, mark):
    """b is a snapshot of c, and c knows it."""
    disk = Disk(image)
    add_internal(disk, 3, mark, ROOT_ID + 5, 7)
    add_internal(disk, 5, "SNAP", ROOT_ID + 3, 7)
    Repair(tool, image).run()
    lvols = tool.lvols(image)
    assert lvols["b"]["is_snapshot"] and lvols["b"]["read_only"] and lvols["b"]["clones"] == ["c"]
    at, _ = disk.find(3, FLAGS)
    assert struct.unpack_from("<QQ", disk.read(3), at) == (5, 1)
    assert tool.export(image, "lvs0/c") == content("b", 2 * MIB) + bytes(MIB)


@pytest.mark.parametrize("mark", ["SNAPTMP", "SNAPRM"])
def test_snapshot_whose_clone_is_gone(tool, image, mark):
    """It has what is left of it."""
    add_internal(Disk(image), 3, mark, ROOT_ID + 60, 7)
    assert bad(tool.check(image, code=DAMAGED)) == {
        "snapshot.making" if mark == "SNAPTMP" else "snapshot.removal"}
    Repair(tool, image).run()
    assert tool.lvols(image)["b"]["read_only"]
    whole(tool, image)


def test_clone_with_clusters_of_its_snapshot(tool, image):
    disk = Disk(image)
    add_internal(disk, 1, "SNAP", ROOT_ID + 3, 7)
    disk.set_extent(2, 1, disk.extents(4)[1])
    before = tool.export(image, "lvs0/a")
    assert "go back to its snapshot" in check(tool, image, "cluster.parent", cluster=6).run()
    assert tool.export(image, "lvs0/a") == before and disk.extents(2)[1] == 0


def test_snapshot_that_is_lost(tool, image):
    add_internal(Disk(image), 1, "SNAP", ROOT_ID + 50, 7)
    repair = check(tool, image, "parent", page=1)
    repair.stuck("detach")
    repair.run("--allow", "detach")
    whole(tool, image)


# --- names --------------------------------------------------------------------------------------

def test_two_volumes_of_one_name(tool, image):
    disk = Disk(image)
    at, _ = disk.find(3, XATTR, "name")
    disk.poke(3, at + 8, b"a\0")
    check(tool, image, "volume.name-twice", page=3).run()
    assert list(tool.lvols(image)) == ["a", "a~2", "c"]
    assert tool.export(image, "lvs0/a~2") == content("b", 2 * MIB)


def test_two_volumes_of_one_uuid(tool, image):
    disk = Disk(image)
    page = disk.read(1)
    uuid = bytes(page[disk.find(1, XATTR, "uuid")[0] + 8:][:37])
    disk.poke(3, disk.find(3, XATTR, "uuid")[0] + 8, uuid)
    check(tool, image, "volume.uuid-twice", page=3).run()
    lvols = tool.lvols(image)
    assert lvols["a"]["uuid"].encode() == uuid[:36] != lvols["b"]["uuid"].encode()


def test_volume_without_a_name(tool, image):
    disk = Disk(image)
    at, _ = disk.find(3, XATTR, "name")
    disk.poke(3, at + 4, b"NAME")
    check(tool, image, "volume.name", page=3).run()
    assert tool.export(image, "lvs0/recovered-3") == content("b", 2 * MIB)


def test_store_without_its_blob(tool, image):
    Disk(image).flip(0, 20, 30, 60)
    repair = check(tool, image, "store.super")
    assert tool.inspect(image)["stores"] == []
    repair.stuck("super")
    repair.run("--allow", "super")
    assert tool.inspect(image)["stores"][0]["name"] == "recovered"
    assert tool.export(image, "recovered/a") == content("a", 4 * MIB)


def test_super_block_that_names_no_blob(tool, image):
    Disk(image).poke(None, 20, struct.pack("<Q", ROOT_ID + 60))
    check(tool, image, "store.super").run()
    whole(tool, image)


# --- undo ---------------------------------------------------------------------------------------

def test_undo_file_has_a_name_of_its_own(tool, image, tmp_path):
    (tmp_path / "image.undo").write_bytes(b"mine")
    Disk(image).flip(1, 100)
    assert "image.undo2" in tool.run("repair", "--yes", image).stdout
    assert (tmp_path / "image.undo").read_bytes() == b"mine"
    tool.refused("repair", "--undo", "image.undo", code=USAGE)


def test_undo_file_is_not_overwritten(tool, image, tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    Disk(image).flip(1, 100)
    before = image.read_bytes()
    assert "--save" in tool.refused("repair", "--yes", "--save", "mine", image)
    assert image.read_bytes() == before and (tmp_path / "mine").read_bytes() == b"mine"


def test_undo_of_an_image_that_was_used(tool, image):
    disk = Disk(image)
    disk.flip(1, 100)
    tool.run("repair", "--yes", "--save", "undo", image)
    disk.poke(1, disk.find(1, XATTR, "name")[0] + 8, b"n\0")
    assert "changed after the repair" in tool.refused("repair", "--undo", "undo", image)
    assert "n" in tool.lvols(image)


def test_undo_of_a_repair_that_was_interrupted(tool, image):
    """Any part of it may have been written."""
    disk = Disk(image)
    disk.flip(1, 100)
    disk.flip(3, 100)
    damaged = image.with_name("damaged")
    copy(image, damaged)
    tool.run("repair", "--yes", "--save", "undo", image)
    first, clean = disk.read(1), bytearray(Disk(damaged).read(None))
    copy(damaged, image)
    disk.write(1, first)
    struct.pack_into("<I", clean, 16, 0)
    disk.write(None, clean)
    tool.run("repair", "--undo", "undo")
    assert same_bytes(image, damaged)


def test_undo_of_another_image(tool, image, tmp_path):
    Disk(image).flip(1, 100)
    tool.run("repair", "--yes", "--save", "undo", image)
    tool.create("other", "x=1M", size="32M")
    assert "bytes" in tool.refused("repair", "--undo", "undo", tmp_path / "other")

# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk-blob and a running target: each reads what the other wrote, ours and a real SPDK's.

See tests/real_spdk.py.
"""

import json
import signal

import pytest

from blobtool import Tool, content
from lvol_target import MIB, Lvols, pattern, sha256, unpack
from test_blobtool_images import DAMAGES
from test_lvol_spdk import Spdk, build, spdk  # noqa: F401 (a fixture)

# Every damaged image, and one at which SPDK itself dies.
REPAIRED = [*DAMAGES, "x13_snap_of_clone_cut2"]


@pytest.fixture
def tool(program, tmp_path):
    return Tool(program("cyborg-spdk-blob"), tmp_path)


def shown(lvols):
    """What RPC says, in the keys of both methods."""
    store, = lvols.rpc.call("bdev_lvol_get_lvstores")
    store.pop("base_bdev")
    return store, lvols.rpc.call("bdev_lvol_get_lvols")


def same_facts(tool, path, store, lvols):
    ours, = tool.inspect(path)["stores"]
    for key, value in store.items():
        assert ours[key] == value, key
    found = {lvol["alias"]: lvol for lvol in ours["lvols"]}
    assert set(found) == {lvol["alias"] for lvol in lvols}
    for lvol in lvols:
        for key, value in lvol.items():
            assert found[lvol["alias"]][key] == value, (lvol["alias"], key)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_what_the_engine_wrote(target, tool, tmp_path, sig):
    lvols = Lvols(target, tmp_path)
    path = lvols.file(128 * MIB)
    lvols.store()
    build(lvols)
    facts = shown(lvols)
    hashes = {alias: sha256(lvols.content(alias)) for alias in lvols.lvols()}
    target.stop(sig)
    if sig == signal.SIGKILL:
        target.remove()
    same_facts(tool, path, *facts)
    assert {alias: sha256(tool.export(path, alias)) for alias in hashes} == hashes
    assert not any(f["severity"] != "info" for fs in tool.check(path).values() for f in fs)


def make(tool, tmp_path, *options):
    """With "added" all but the first volume come to a store that is there."""
    (tmp_path / "a").write_bytes(content("a", 5 * MIB)[:-777])
    image = tmp_path / "image"
    if options == ("added",):
        tool.create(image, "a=a")
        tool.run("create", image, "lvs0", "b=9M", "c=0")
        return image
    tool.create(image, "a=a", "b=9M", "c=0", *options)
    return image


def use(lvols, image, block_size=512):
    """Attach, compare, write, snapshot."""
    lvols.attach(image, block_size=block_size)
    data = content("a", 5 * MIB)[:-777] + bytes(777)
    assert lvols.content("lvs0/a") == data
    assert lvols.content("lvs0/b") == bytes(9 * MIB)
    lvols.write("lvs0/b", 2 * MIB, pattern("b", 65536))
    lvols.snapshot("lvs0/a", "s")
    lvols.write("lvs0/a", 0, pattern("new", 4096))
    assert lvols.content("lvs0/a") == pattern("new", 4096) + data[4096:]
    return data


@pytest.mark.parametrize("options", [(), ("added",), ("--thick",), ("--block-size", "4096"),
                                     ("--md-page-size", "8192")])
def test_what_we_made(target, tool, tmp_path, options):
    image = make(tool, tmp_path, *options)
    store, = tool.inspect(image)["stores"]
    lvols = Lvols(target, tmp_path)
    data = use(lvols, image, store["block_size"])
    facts = shown(lvols)
    target.stop()
    same_facts(tool, image, *facts)
    assert tool.check(image) == {}
    assert tool.export(image, "lvs0/s") == data
    assert tool.export(image, "lvs0/b")[2 * MIB:][:65536] == pattern("b", 65536)


def repaired(tool, reference, tmp_path, name):
    path = tmp_path / f"{name}.img"
    unpack(reference / "images" / f"{name}.img.xz", path)
    tool.run("repair", "--yes", "--allow", "version", path)
    store, = tool.inspect(path)["stores"]
    return path, {lvol["alias"]: sha256(tool.export(path, lvol["alias"]))
                  for lvol in store["lvols"]}


@pytest.mark.parametrize("name", REPAIRED)
def test_repaired_images_load(target, tool, reference, tmp_path, name):
    path, hashes = repaired(tool, reference, tmp_path, name)
    lvols = Lvols(target, tmp_path)
    lvols.attach(path)
    assert {alias: sha256(lvols.content(alias)) for alias in lvols.lvols()} == hashes
    facts = shown(lvols)
    target.stop()
    same_facts(tool, path, *facts)


@pytest.mark.parametrize("name", REPAIRED)
def test_repaired_images_load_in_spdk(spdk, tool, reference, tmp_path, name):  # noqa: F811
    path, hashes = repaired(tool, reference, tmp_path, name)
    lvols = Lvols(spdk(), tmp_path)
    lvols.attach(path)
    assert {alias: sha256(lvols.content(alias)) for alias in lvols.lvols()} == hashes


@pytest.mark.parametrize("options", [(), ("added",), ("--thick",), ("--md-page-size", "8192")])
def test_what_we_made_in_spdk(spdk, tool, tmp_path, options):  # noqa: F811
    image = make(tool, tmp_path, *options)
    target = spdk()
    lvols = Lvols(target, tmp_path)
    use(lvols, image)
    facts = json.loads(json.dumps(shown(lvols)))
    hashes = {alias: sha256(lvols.content(alias)) for alias in lvols.lvols()}
    target.stop()
    same_facts(tool, image, *facts)
    assert {alias: sha256(tool.export(image, alias)) for alias in hashes} == hashes

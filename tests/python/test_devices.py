# SPDX-License-Identifier: Apache-2.0
"""What is told to Cyborg, from the answer of status: names, limits, the same bytes again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit import library, node  # noqa: F401 - fixtures

NOBODY = 65534
ACCELERATOR = {"id": "a", "kind": "file", "size": 1 << 24, "block_size": 4096, "uuid": "u-1",
               "target": "/usr/bin/cyborg-spdk-tgt", "version": "26.05", "scenario": "whole",
               "store": "", "health": "ok", "attachments": []}
ATTACHMENT = {"instance": "vm-1", "host": "nqn.h", "nqn": "nqn.s", "nsid": 1, "address": "::1",
              "port": 4420, "size": 1 << 24}


@pytest.fixture
def devices():
    from cyborg_spdk import devices
    return devices


@pytest.fixture
def seen(devices, tmp_path):
    """seen(accelerator...): what is reported by a node with these."""
    (tmp_path / "state.db").write_text("")

    def report(*accelerators, host="h", slots=1, traits=(), memory=None):
        status = {"state_dir": str(tmp_path), "accelerators": list(accelerators)}
        kept = memory or devices.Memory(tmp_path / devices.CACHE_NAME)
        return devices.from_status(status, kept, host, slots, "CUSTOM_SSD", traits)
    return report


def accelerator(**members):
    return {**ACCELERATOR, **members}


def test_every_text_fits_with_the_longest_names(seen):
    device, = seen(accelerator(id="a" * 48), host="h" * 255, slots=64)
    assert len(device["cpid_info"]) <= 255
    deployable, = device["deployables"]
    assert len(deployable["name"]) <= 200 and len(deployable["attach_info"]) <= 255
    last = seen(accelerator(id="a" * 48, scenario="blobstore"), host="h" * 255,
                slots=64)[0]["deployables"][-1]
    assert len(last["name"]) <= 200 and len(last["attach_info"]) <= 255


def test_what_does_not_fit_is_left_out_and_the_rest_is_told(seen):
    assert [d["accelerator"] for d in seen(accelerator(id="a" * 300), accelerator(id="b"))] == ["b"]


@pytest.mark.parametrize("name", ["b\0", "b\u00e9", "b\U0001f600", "b\ud800", "b\n"])
def test_names_that_a_database_cannot_hold_are_left_out(seen, name):
    assert [d["accelerator"] for d in seen(accelerator(id=name), accelerator(id="a"))] == ["a"]


@pytest.mark.parametrize("text", ["\0", "\u00e9", "\U0001f600", "\ud800", "x" * 100000])
def test_hostile_texts_become_what_every_database_holds(seen, text):
    """MariaDB's utf8 has three bytes, PostgreSQL has no NUL, and a column of 64 KiB is full."""
    attachment = dict(ATTACHMENT, instance=text, host=text, nqn=text)
    device, = seen(accelerator(kind="file" + text, target=text, version=text, store=text,
                               uuid="u-1", attachments=[attachment]), host="h" + text[:1])
    slot, = device["deployables"]
    texts = [device["model"], device["std_board_info"], device["vendor_board_info"],
             device["cpid_info"], slot["name"], slot["attach_info"],
             *(value for pair in slot["attributes"] for value in pair)]
    assert all(one.isascii() and one.isprintable() and len(one) < 65536 for one in texts)
    assert json.loads(device["std_board_info"])["device_id"] == "a"
    assert len(device["model"]) <= 255


def test_function_is_told_where_it_is(seen):
    function = accelerator(kind="nvme", backing="0000:01:00.0", nsid=1, serial="S1",
                           identity="uuid.x")
    device, = seen(function)
    board = json.loads(device["std_board_info"])
    assert (board["pci_address"], board["nsid"], board["serial"]) == ("0000:01:00.0", 1, "S1")
    traits = {value for key, value in device["deployables"][0]["attributes"] if key != "rc"}
    assert {"CUSTOM_SPDK_NVME", "CUSTOM_SPDK_NVME_TCP"} <= traits
    # An instance reaches the target, never the function.
    assert "0000:01:00.0" not in device["deployables"][0]["attach_info"] + device["cpid_info"]


def test_attach_info_is_flat_and_sorted(seen):
    info = json.loads(seen(ACCELERATOR)[0]["deployables"][0]["attach_info"])
    assert list(info) == sorted(info)
    assert all(isinstance(value, str) for value in info.values())


def test_same_bytes_whatever_the_order(seen):
    one = accelerator(attachments=[dict(ATTACHMENT, instance=name) for name in ("b", "a")])
    other = dict(reversed(one.items()))
    other["attachments"] = [dict(reversed(a.items())) for a in reversed(one["attachments"])]
    assert seen(one) == seen(other)
    b = accelerator(id="b")
    assert seen(one, b) == seen(b, one)
    device, = seen(one)
    for text in (device["std_board_info"], device["vendor_board_info"], device["cpid_info"]):
        assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_names_are_unique_over_hosts_slots_and_odd_host_names(devices):
    names = [devices.deployable_name(host, name, slot)
             for host in ("h", "h_spdk1_x", "h.example", "h-example", "h example", "h" * 65,
                          "h" * 66)
             for name in ("a", "x_spdk_a", "spdk1_a") for slot in (0, 1, 11)]
    assert len(set(names)) == len(names)
    assert not set(names) & {"h", "h_spdk1_x"}


def test_slots_are_for_volumes_only(seen):
    assert len(seen(ACCELERATOR, slots=4)[0]["deployables"]) == 1
    store = seen(accelerator(scenario="blobstore"), slots=4)[0]["deployables"]
    assert [d["name"] for d in store] == ["h_spdk_a", "h_spdk1_a", "h_spdk2_a", "h_spdk3_a"]


def test_more_slots_leave_the_first_as_it_is(seen):
    few = seen(accelerator(scenario="blobstore"), slots=1)[0]["deployables"]
    many = seen(accelerator(scenario="blobstore"), slots=2)[0]["deployables"]
    assert many[0] == few[0]


def test_one_resource_class_and_traits(seen):
    device, = seen(accelerator(kind="nvme ns"), traits=["CUSTOM_FAST", "CUSTOM_SPDK"])
    assert device["deployables"][0]["attributes"] == [
        ["rc", "CUSTOM_SSD"], ["trait_CUSTOM_FAST", "CUSTOM_FAST"],
        ["trait_CUSTOM_SPDK", "CUSTOM_SPDK"],
        ["trait_CUSTOM_SPDK_NVME_NS", "CUSTOM_SPDK_NVME_NS"],
        ["trait_CUSTOM_SPDK_NVME_TCP", "CUSTOM_SPDK_NVME_TCP"]]


def test_many_attachments_stay_within_the_column(seen):
    many = [dict(ATTACHMENT, instance=f"vm-{i}" + "x" * 100) for i in range(1000)]
    text = seen(accelerator(attachments=many))[0]["vendor_board_info"]
    assert json.loads(text) == {"attachments": 1000, "health": "ok"}


def test_one_that_is_down_is_told_as_last_seen(seen, devices, tmp_path):
    before, = seen(accelerator(attachments=[ATTACHMENT]))
    stub, = seen(accelerator(health="down"), memory=devices.Memory(tmp_path / devices.CACHE_NAME))
    assert stub == dict(before, stub=True)
    assert seen(accelerator(health="degraded"))[0]["stub"] is False


def test_memory_of_another_process_is_only_read(seen, devices, tmp_path):
    path = tmp_path / devices.CACHE_NAME
    memory = devices.Memory(path, is_mine=False)
    reported = seen(ACCELERATOR, memory=memory)
    assert devices.stubs(memory.devices) == [dict(d, stub=True) for d in reported]
    assert not path.exists()


def test_memory_survives_and_odd_files_are_not_used(seen, devices, tmp_path):
    reported = seen(ACCELERATOR)
    path = tmp_path / devices.CACHE_NAME
    assert devices.stubs(devices.Memory(path).devices) == [dict(d, stub=True) for d in reported]
    whole, = json.loads(path.read_text())
    odd = [dict(whole, **{name: value}) for name in whole for value in (None, 5, [], {}, [{}])]
    odd += [dict(whole, deployables=[dict(whole["deployables"][0], **{name: value})])
            for name in whole["deployables"][0] for value in (None, 5, [1], [["rc"]], [["rc", 1]])]
    texts = ["", "{", "[1]", '[{"accelerator": "a"}]', '{"a": 1}', "3", "[" * 100000, "\xff",
             *(json.dumps([one]) for one in odd)]
    for text in texts:
        path.write_bytes(text.encode("latin-1"))
        assert devices.Memory(path).devices == [], text[:200]
    path.unlink()
    path.mkdir()
    assert devices.Memory(path).devices == []
    assert seen(ACCELERATOR) == reported


def test_state_that_may_not_be_looked_at_is_taken_for_true(devices, tmp_path):
    """An agent of another user asks by a helper."""
    if os.geteuid() == 0:
        look = ("import sys; from cyborg_spdk import devices; "
                "print(devices.is_state_there({'state_dir': sys.argv[1]}))")
        tmp_path.chmod(0o700)
        said = subprocess.run([sys.executable, "-c", look, tmp_path / "state"], user=NOBODY,
                              env={**os.environ,
                                   "PYTHONPATH": str(Path(devices.__file__).parents[1])},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if "No module" in said.stderr:
            pytest.skip("the package is in a folder that other users may not read")
        assert said.stdout.strip() == "True", said.stderr
    assert not devices.is_state_there({"state_dir": str(tmp_path)})


def need_package(user):
    """Skip where another user, whose place root takes, may not read the package."""
    from cyborg_spdk import child
    reads = subprocess.run([sys.executable, "-c", "import cyborg_spdk.child"], user=user,
                           env={**os.environ, "PYTHONPATH": str(Path(child.__file__).parents[1])})
    if reads.returncode != 0:
        pytest.skip("the package is in a folder that other users may not read")


def test_default_state_directory_is_the_library_s(node, monkeypatch):
    from cyborg_spdk import child
    from cyborg_spdk.library import default_state_dir
    for name in ("CYBORG_SPDK_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if os.geteuid() == 0 and os.path.exists(default_state_dir()):
        need_package(os.stat(default_state_dir()).st_uid)
    assert child.call("status")["state_dir"] == default_state_dir()
    if os.geteuid() != 0:
        monkeypatch.setenv("XDG_STATE_HOME", str(node.dir))
        assert child.call("status")["state_dir"] == default_state_dir()


def test_root_takes_that_user_s_groups_too(tmp_path):
    """One of them may be that of the devices."""
    import pwd
    from cyborg_spdk import child
    if os.geteuid() != 0:
        pytest.skip("only root can take another user's place")
    user = next((u for u in pwd.getpwall()
                 if u.pw_uid and len(os.getgrouplist(u.pw_name, u.pw_gid)) > 1), None)
    if user is None:
        pytest.skip("no user here has two groups")
    os.chown(tmp_path, user.pw_uid, user.pw_gid)
    owner = child._owner(tmp_path)
    assert set(owner["extra_groups"]) == set(os.getgrouplist(user.pw_name, user.pw_gid))
    os.chown(tmp_path, 54321, 54321)
    assert child._owner(tmp_path)["extra_groups"] == []


def test_root_takes_the_place_of_the_state_directory_s_user(node):
    """The library lets nobody use another user's directory, not even root."""
    from cyborg_spdk import Spdk, SpdkError, child
    if os.geteuid() != 0:
        pytest.skip("only root can take another user's place")
    need_package(NOBODY)
    node.dir.chmod(0o755)
    node.state.mkdir(mode=0o700)
    os.chown(node.state, NOBODY, NOBODY)
    with pytest.raises(SpdkError, match="belongs to the user 65534"):
        Spdk(str(node.state)).status()
    assert child.call("status", {}, str(node.state))["accelerators"] == []

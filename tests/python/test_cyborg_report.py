# SPDX-License-Identifier: Apache-2.0
"""Our driver in Cyborg's resource tracker, its report through the conductor into Cyborg's database
and placement. See cloud.py for what is real."""

import json
import os
import signal

import pytest

from kit import cloud, install, library, node, package, whole_cloud  # noqa: F401 - fixtures


def provider(cloud, name):
    found = cloud.placement("GET", f"/resource_providers?name={name}")["resource_providers"]
    return found[0] if found else None


def test_two_accelerators_reach_database_and_placement(cloud, node):
    install(node, "a")
    install(node, "b", "32M")
    cloud.report()
    devices = cloud.devices(cloud.host)
    assert sorted(devices) == ["a", "b"]
    root = provider(cloud, cloud.host)
    for name, size in (("a", 16), ("b", 32)):
        assert devices[name]["type"] == "SSD"
        assert json.loads(devices[name]["std_board_info"])["size"] == size << 20
        deployable, = devices[name]["deployables"]
        assert deployable["name"] == f"{cloud.host}_spdk_{name}"
        assert deployable["num_accelerators"] == 1
        found = provider(cloud, deployable["name"])
        assert found["uuid"] == deployable["rp_uuid"]
        assert found["parent_provider_uuid"] == root["uuid"]
        path = f"/resource_providers/{found['uuid']}"
        inventories = cloud.placement("GET", path + "/inventories")["inventories"]
        assert {name: inventory["total"] for name, inventory in inventories.items()} == {
            "CUSTOM_SSD": 1}
        assert sorted(cloud.placement("GET", path + "/traits")["traits"]) == [
            "CUSTOM_SPDK", "CUSTOM_SPDK_FILE", "CUSTOM_SPDK_NVME_TCP"]


def test_repeated_reports_change_nothing(cloud, node):
    install(node, "a")
    cloud.report()
    before = cloud.everything()
    for _ in range(3):
        cloud.report()
    assert cloud.everything() == before


def test_attach_and_detach_are_seen(cloud, node):
    install(node, "a")
    cloud.report()
    first = cloud.devices(cloud.host)["a"]
    node("attach", "vm-1", "--host", "nqn.2014-08.org.nvmexpress:uuid:"
         "11111111-2222-3333-4444-555555555555")
    cloud.report()
    second = cloud.devices(cloud.host)["a"]
    attached, = json.loads(second["vendor_board_info"])["attachments"]
    assert attached["instance"] == "vm-1"
    assert attached["nqn"].startswith("nqn.2014-08.org.nvmexpress:uuid:")
    assert {k: v for k, v in first.items() if k != "vendor_board_info"} == \
        {k: v for k, v in second.items() if k != "vendor_board_info"}
    node("detach", "vm-1")
    cloud.report()
    assert cloud.devices(cloud.host)["a"] == first


def test_target_that_is_down_leaves_all_as_it_is(cloud, node):
    install(node, "a")
    install(node, "b")
    cloud.report()
    before = cloud.everything()
    for pid in node.pids("a"):
        os.kill(pid, signal.SIGKILL)
    cloud.report()
    assert cloud.everything() == before
    from cyborg_spdk.driver import SPDKDriver
    assert sorted((json.loads(d.controlpath_id.cpid_info)["accelerator"], d.stub)
                  for d in SPDKDriver().discover()) == [("a", True), ("b", False)]


def test_library_that_is_missing_leaves_all_as_it_is(cloud, node, monkeypatch):
    install(node, "a")
    cloud.report()
    before = cloud.everything()
    monkeypatch.setenv("CYBORG_SPDK_LIBRARY", "/nonexistent/libcyborg-spdk.so")
    cloud.report()
    assert cloud.everything() == before


def test_state_directory_that_vanished_leaves_all_as_it_is(cloud, node):
    from cyborg_spdk.driver import SPDKDriver
    install(node, "a")
    driver = SPDKDriver()
    assert [d.stub for d in driver.discover()] == [False]
    away = node.state.with_name("away")
    node.state.rename(away)
    assert [d.stub for d in driver.discover()] == [True]
    away.rename(node.state)
    assert [d.stub for d in driver.discover()] == [False]


def test_uninstalled_accelerator_goes(cloud, node):
    install(node, "a")
    install(node, "b")
    cloud.report()
    node("uninstall", "a")
    cloud.report()
    assert sorted(cloud.devices(cloud.host)) == ["b"]
    assert provider(cloud, f"{cloud.host}_spdk_a") is None
    assert provider(cloud, f"{cloud.host}_spdk_b") is not None


def test_traits_come_and_go(cloud, node):
    def traits():
        name = f"{cloud.host}_spdk_a"
        path = f"/resource_providers/{provider(cloud, name)['uuid']}/traits"
        return set(cloud.placement("GET", path)["traits"])

    install(node, "a")
    cloud.report()
    own = traits()
    for more in (["CUSTOM_M"], ["CUSTOM_A", "CUSTOM_M"], ["CUSTOM_A", "CUSTOM_B", "CUSTOM_M"],
                 ["CUSTOM_B"], []):
        cloud.conf.set_override("traits", more, group="spdk")
        cloud.report()
        assert traits() == own | set(more)


def test_nothing_installed_is_an_empty_report(cloud):
    cloud.report()
    assert cloud.devices(cloud.host) == {}


@pytest.mark.parametrize("helper", ["false", "echo", "echo []", "echo 3", "echo {}",
                                    "sh -c 'echo \"{\\\"answer\\\": {}}\"'",
                                    "sh -c 'echo \"{\\\"error\\\": 5}\"'",
                                    "/nonexistent", "echo '"])
def test_discover_never_raises(cloud, node, helper):
    from cyborg_spdk.driver import SPDKDriver
    install(node, "a")
    driver = SPDKDriver()
    assert [d.stub for d in driver.discover()] == [False]
    cloud.conf.set_override("helper", helper, group="spdk")
    assert [d.stub for d in driver.discover()] == [True]
    assert [d.stub for d in SPDKDriver().discover()] == [True]


def test_update_and_statistics(cloud, node, program):
    from cyborg_spdk.driver import SPDKDriver
    install(node, "a")
    driver = SPDKDriver()
    device, = driver.discover()
    assert driver.get_stats() == {"a": {"health": "ok", "size": 16 << 20, "attachments": []}}
    pids = node.pids("a")
    assert driver.update(device.controlpath_id, str(program("cyborg-spdk-tgt")))
    assert node.pids("a") != pids
    assert not driver.update(device.controlpath_id, "/nonexistent/spdk_tgt")
    assert not driver.update("not JSON", "/nonexistent/spdk_tgt")

# SPDX-License-Identifier: Apache-2.0
"""What is asked of attach for a request that Cyborg bound."""

import types

import pytest
from conftest import REPOSITORY
from kit import library  # noqa: F401 - puts the package on the path

BOUND = types.SimpleNamespace(arq="r", instance="i", host="compute-1", profile="p")
WHOLE = {"id": "w", "size": 1 << 30, "scenario": "whole"}
STORE = {"id": "s", "size": 1 << 30, "scenario": "blobstore"}


def request(accelerator=STORE, group=None, **options):
    assert REPOSITORY
    from cyborg_spdk import wish
    given = {"attach": {}, "host_nqns": {}, "host_nqn": "nqn:{instance}:{arq}:{host}",
             "listen": None, **options}
    found = wish.attach_request("name", BOUND, accelerator, types.SimpleNamespace(**given),
                                group or {})
    return {key: value for key, value in found.items() if value is not None}


def refused(*arguments, **options):
    from cyborg_spdk import SpdkError
    with pytest.raises(SpdkError) as caught:
        request(*arguments, **options)
    assert caught.value.name == "EINVAL"
    return str(caught.value)


def test_name_accelerator_and_who_may_connect():
    assert request() == {"instance": "name", "accelerator": "s", "host": "nqn:i:r:compute-1"}
    assert request(host_nqns={"compute-1": "nqn.a"})["host"] == "nqn.a"
    assert request(host_nqns={"compute-2": "nqn.a"})["host"] == "nqn:i:r:compute-1"
    assert request(listen="192.0.2.1")["listen"] == "192.0.2.1"


@pytest.mark.parametrize("text,size", [("5", 5), ("4K", 4 << 10), ("3m", 3 << 20), ("2G", 2 << 30),
                                       (" 1T ", 1 << 40)])
def test_sizes(text, size):
    assert request(attach={"size": text})["size"] == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "1GB", "0x10", "\u0665", "9" * 20,
                                  "9" * 5000])
def test_wrong_sizes(text):
    assert "size" in refused(attach={"size": text})
    assert "qos_rw_mb" in refused(attach={"qos_rw_mb": text})


def test_flags():
    assert request(attach={"thick": "True", "read_only": "false"})["thick"] is True
    assert "give true or false" in refused(attach={"thick": "yes"})


def test_device_profile_goes_before_the_option():
    found = request(group={"resources:CUSTOM_SSD": "1", "accel:spdk_size": "8M",
                           "accel:spdk_qos_rw_mb": "20", "accel:other": "x"},
                    attach={"size": "4M", "thick": "true", "qos_rw_ios": "1000"})
    assert (found["size"], found["thick"]) == (8 << 20, True)
    assert found["qos"] == {"rw_mb": 20, "rw_ios": 1000}


@pytest.mark.parametrize("name", ["instance", "host", "accelerator", "dry_run", "listen", "force",
                                  "psk", "dhchap_key", "qos", "qos_x_mb", ""])
def test_device_profile_may_not_ask_for_everything(name):
    text = refused(group={"accel:spdk_" + name: "x"})
    assert f"device profile p asks for {name}: allowed are" in text


def test_option_may_name_keys_but_not_everything():
    assert request(attach={"psk": "/etc/key"})["psk"] == "/etc/key"
    assert "[spdk] attach asks for host" in refused(attach={"host": "nqn.a"})


def test_whole_backing_is_given_as_it_is_if_large_enough():
    assert request(WHOLE, attach={"size": "1G", "thick": "true", "qos_w_mb": "5"}) == {
        "instance": "name", "accelerator": "w", "host": "nqn:i:r:compute-1", "qos": {"w_mb": 5}}
    assert "has 1073741824 bytes, and asked for are 2147483648" in refused(
        WHOLE, {"accel:spdk_size": "2G"})


def test_vhost_user_has_no_host():
    found = request(group={"accel:spdk_transport": "vhost-user-blk"}, listen="192.0.2.1",
                    attach={"psk": "/etc/key"})
    assert found == {"instance": "name", "accelerator": "s", "transport": "vhost-user-blk"}

# SPDX-License-Identifier: Apache-2.0
"""The discovery service."""

import struct

import nvme_tcp as nvme
import pytest
from nvmf_target import NQN, Nvmf, free_port

OTHER = "nqn.2016-06.io.spdk:cnode2"
OTHER_HOST = "nqn.2016-06.io.spdk:other"


@pytest.fixture
def nvmf(target):
    return Nvmf(target).simple()


def discover(queue, size=65536):
    page = queue.log_page(0x70, size).data
    genctr, numrec, recfmt = struct.unpack_from("<QQH", page)
    assert recfmt == 0
    entries = []
    for i in range(numrec):
        e = page[1024 * (i + 1):1024 * (i + 2)]
        entries.append({
            "trtype": e[0], "adrfam": e[1], "subtype": e[2], "treq": e[3],
            "portid": struct.unpack_from("<H", e, 4)[0],
            "cntlid": struct.unpack_from("<H", e, 6)[0],
            "trsvcid": e[32:64].decode().strip(), "subnqn": e[256:512].split(b"\0")[0].decode(),
            "traddr": e[512:768].decode().strip()})
    return genctr, entries


def test_log(nvmf):
    with nvmf.controller(nvme.DISCOVERY_NQN) as ctrlr:
        genctr, entries = discover(ctrlr.admin)
        assert entries == [{"trtype": 3, "adrfam": 1, "subtype": 2, "treq": 6, "portid": 0,
                            "cntlid": 0xffff, "trsvcid": str(nvmf.port), "subnqn": NQN,
                            "traddr": "127.0.0.1"}]
        nvmf.subsystem(OTHER, bdevs=())
        again, entries = discover(ctrlr.admin)
        assert again > genctr and [e["subnqn"] for e in entries] == [NQN, OTHER]


def test_the_service_itself_where_it_was_given_an_address(nvmf):
    nvmf.listen(nvme.DISCOVERY_NQN)
    with nvmf.controller(nvme.DISCOVERY_NQN) as ctrlr:
        _, entries = discover(ctrlr.admin)
        assert [(e["subtype"], e["subnqn"]) for e in entries] == [(3, nvme.DISCOVERY_NQN), (2, NQN)]


def test_hosts_see_what_they_may_connect_to(nvmf):
    nvmf.subsystem(OTHER, bdevs=(), allow_any_host=False)
    with nvmf.controller(nvme.DISCOVERY_NQN) as ctrlr:
        assert [e["subnqn"] for e in discover(ctrlr.admin)[1]] == [NQN]
        nvmf.rpc.call("nvmf_subsystem_add_host", nqn=OTHER, host=nvme.HOST_NQN)
        assert [e["subnqn"] for e in discover(ctrlr.admin)[1]] == [NQN, OTHER]
    with nvmf.controller(nvme.DISCOVERY_NQN, hostnqn=OTHER_HOST) as ctrlr:
        assert [e["subnqn"] for e in discover(ctrlr.admin)[1]] == [NQN]


def test_referrals(nvmf):
    with nvmf.controller(nvme.DISCOVERY_NQN) as ctrlr:
        where = {"trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.2", "trsvcid": "8009"}
        nvmf.rpc.call("nvmf_discovery_add_referral", address=where)
        _, entries = discover(ctrlr.admin)
        assert entries[1]["subtype"] == 1 and entries[1]["traddr"] == "127.0.0.2"
        assert entries[1]["subnqn"] == nvme.DISCOVERY_NQN and entries[1]["trsvcid"] == "8009"
        nvmf.rpc.call("nvmf_discovery_remove_referral", address=where)
        assert len(discover(ctrlr.admin)[1]) == 1


@pytest.mark.parametrize("traddr, family", [("127.0.0.2", "IPv4"), ("::2", "IPv6"),
                                            ("name", "unknown")])
def test_family_of_a_referral(nvmf, traddr, family):
    where = {"trtype": "TCP", "traddr": traddr, "trsvcid": "8009"}
    nvmf.rpc.call("nvmf_discovery_add_referral", address=where)
    (referral,) = nvmf.rpc.call("nvmf_discovery_get_referrals")
    assert referral["address"]["adrfam"] == family
    nvmf.rpc.call("nvmf_discovery_remove_referral", address=where)
    assert nvmf.rpc.call("nvmf_discovery_get_referrals") == []


def test_event_for_every_change(nvmf):
    with nvmf.controller(nvme.DISCOVERY_NQN, kato=30000) as ctrlr:
        a = ctrlr.admin
        assert a.set_feature(0xb, 1 << 31).status == nvme.SUCCESS
        changes = [
            lambda: nvmf.rpc.call("nvmf_create_subsystem", nqn=OTHER, allow_any_host=False) and
            nvmf.listen(OTHER),
            lambda: nvmf.rpc.call("nvmf_subsystem_add_host", nqn=OTHER, host=nvme.HOST_NQN),
            lambda: nvmf.rpc.call("nvmf_subsystem_remove_host", nqn=OTHER, host=nvme.HOST_NQN),
            lambda: nvmf.rpc.call("nvmf_subsystem_allow_any_host", nqn=OTHER, allow_any_host=True),
            lambda: nvmf.listen(OTHER, free_port()),
            lambda: nvmf.rpc.call("nvmf_discovery_add_referral",
                                  address=nvmf.listen_address(8009)),
            lambda: nvmf.rpc.call("nvmf_delete_subsystem", nqn=OTHER),
        ]
        for change in changes:
            genctr, _ = discover(a)
            cid = a.submit(nvme.ASYNC_EVENT)
            change()
            assert a.wait(cid).dw0 == 0x0070f002
            assert discover(a)[0] > genctr


def test_security_discovery_log_in_every_window(nvmf):
    for i in range(5):
        nvmf.subsystem(f"{OTHER}.{i}", bdevs=())
    with nvmf.controller(nvme.DISCOVERY_NQN) as ctrlr:
        a = ctrlr.admin
        whole = a.log_page(0x70, 1024 * 7).data
        for length in (4, 8, 12, 1020, 1024, 1028, 4096, 131072):
            for offset in (0, 4, 1020, 1024, 1028, 3000, 7164, 7168):
                want = whole[offset:offset + length]
                assert a.log_page(0x70, length, offset).data == want + bytes(length - len(want))
        for offset in (7172, 1 << 20, 1 << 32, (1 << 64) - 4):
            assert a.log_page(0x70, 64, offset).status == nvme.INVALID_FIELD


def test_two_addresses(nvmf):
    port = free_port()
    nvmf.listen(NQN, port)
    with nvmf.controller(nvme.DISCOVERY_NQN) as ctrlr:
        entries = discover(ctrlr.admin)[1]
        assert {e["trsvcid"] for e in entries} == {str(port), str(nvmf.port)}
        assert len({e["portid"] for e in entries}) == 2


@pytest.mark.target_options("--wait-for-rpc")
def test_filter_by_address(target):
    rpc = target.client()
    rpc.call("nvmf_set_config", discovery_filter="transport,address,svcid")
    rpc.call("framework_start_init")
    nvmf = Nvmf(target).simple()
    nvmf.listen(NQN, free_port())
    with nvmf.controller(nvme.DISCOVERY_NQN) as ctrlr:
        assert [e["trsvcid"] for e in discover(ctrlr.admin)[1]] == [str(nvmf.port)]

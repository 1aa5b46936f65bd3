# SPDX-License-Identifier: Apache-2.0
"""Connect with all its checks, properties, the states of a controller."""

import socket
import uuid

import nvme_tcp as nvme
import pytest
from nvmf_target import NQN, Nvmf, free_port, wait_until

OTHER_HOST = "nqn.2016-06.io.spdk:other"
IN_DATA = 1 << 16
CNTLID, SUBNQN, HOSTNQN = IN_DATA | 16, IN_DATA | 256, IN_DATA | 512
QID, SQSIZE, CATTR = 42, 44, 46


@pytest.fixture
def nvmf(target):
    return Nvmf(target).simple()


def refused(cpl, status, where=None):
    assert cpl.status == status, cpl
    if where is not None:
        assert cpl.dw0 == where, cpl


def test_connect_by_r2t_and_in_capsule(nvmf):
    for in_capsule in (True, False):
        with nvmf.queue() as q:
            cpl = q.connect(NQN, in_capsule=in_capsule)
            assert cpl.status == nvme.SUCCESS and cpl.dw0 > 0


def test_format(nvmf):
    with nvmf.queue() as q:
        refused(q.connect(NQN, recfmt=1), nvme.CONNECT_FORMAT)
        # A refused Connect may be tried again on the same connection.
        assert q.connect(NQN).status == nvme.SUCCESS


@pytest.mark.parametrize("length", [0, 4, 512, 1020, 1023])
def test_security_short_connect_data(nvmf, length):
    with nvmf.queue() as q:
        refused(q.connect(NQN, length=length), nvme.SGL_LENGTH_INVALID)
    with nvmf.queue() as q:
        data = nvme.connect_data(NQN)[:max(length, 4)]
        refused(q.connect(NQN, data=data, length=1024), nvme.SGL_LENGTH_INVALID)


def test_queue_sizes(nvmf):
    with nvmf.queue() as q:
        for sqsize in (0, 128, 1000, 0xffff):
            refused(q.connect(NQN, sqsize=sqsize), nvme.CONNECT_INVALID, SQSIZE)
        assert q.connect(NQN, sqsize=127).status == nvme.SUCCESS


def test_attributes(nvmf):
    with nvmf.queue() as q:
        for cattr in (0x10, 0x80, 0xff):
            refused(q.connect(NQN, cattr=cattr), nvme.CONNECT_INVALID, CATTR)
        assert q.connect(NQN, cattr=0x0c).status == nvme.SUCCESS


def test_controller_ids(nvmf):
    with nvmf.queue() as q:
        for cntlid in (0, 1, 0xfffe):
            refused(q.connect(NQN, cntlid=cntlid), nvme.CONNECT_INVALID, CNTLID)
        assert q.connect(NQN).status == nvme.SUCCESS
    with nvmf.controller() as ctrlr, nvmf.queue() as q:
        for cntlid in (0, ctrlr.cntlid + 1, 0xfffe, 0xffff):
            refused(q.connect(NQN, qid=1, cntlid=cntlid), nvme.CONNECT_INVALID, CNTLID)


def test_controller_ids_run_out(target):
    nvmf = Nvmf(target).simple(min_cntlid=5, max_cntlid=6)
    with nvmf.controller() as a, nvmf.controller() as b, nvmf.queue() as q:
        assert {a.cntlid, b.cntlid} == {5, 6}
        refused(q.connect(NQN), nvme.CONNECT_BUSY)
    nvmf.wait_no_connections()
    nvmf.works()


@pytest.mark.parametrize("subnqn", ["nqn.2016-06.io.spdk:none", "", "x", b"n" * 256,
                                    "nqn.2016-06.io.spdk:cnode", NQN + "1"])
def test_security_unknown_subsystem(nvmf, subnqn):
    with nvmf.queue() as q:
        refused(q.connect(subnqn), nvme.CONNECT_INVALID, SUBNQN)


@pytest.mark.parametrize("hostnqn", [b"h" * 256, b"\xff" * 256])
def test_security_host_nqn_without_an_end(nvmf, hostnqn):
    with nvmf.queue() as q:
        refused(q.connect(NQN, hostnqn=hostnqn), nvme.CONNECT_INVALID, HOSTNQN)


@pytest.mark.parametrize("hostnqn", ["", "host", b"\x01\n%s%n", "nqn.2016-06.io.spdk"])
def test_security_odd_host_nqn_is_nobody_on_a_list(target, hostnqn):
    nvmf = Nvmf(target).simple(allow_any_host=False)
    with nvmf.queue() as q:
        refused(q.connect(NQN, hostnqn=hostnqn), nvme.CONNECT_HOST)


@pytest.mark.parametrize("hostnqn, shown", [
    ("", ""), ("host", "host"), ("nqn.2016-06.io.spdk", "nqn.2016-06.io.spdk"),
    (b"a\"b\n\x01%s%n", "a\"b\n\x01%s%n"), (b"\xff\xfeabc", "??abc"), (b"\xc3\xa9", "\u00e9"),
    (b"h" * 255, "h" * 255)])
def test_security_odd_host_nqn_is_a_host_where_any_may_come(nvmf, hostnqn, shown):
    with nvmf.controller(hostnqn=hostnqn) as ctrlr:
        ctrlr.io_queue()
        for method in ("nvmf_subsystem_get_controllers", "nvmf_subsystem_get_qpairs"):
            rows = nvmf.rpc.call(method, nqn=NQN)
            assert {row["hostnqn"] for row in rows} == {shown}
    assert "\n\x01" not in nvmf.target.log
    nvmf.works()


@pytest.mark.parametrize("options, why", [
    ({"recfmt": 1}, "record format"), ({"sqsize": 0}, "submission queue's size"),
    ({"qid": 4000}, "no such queue"), ({"cattr": 0xf0}, "unknown attribute"),
    ({"cntlid": 7}, "no controller of that id"), ({"hostnqn": b"h" * 256}, "has no end"),
    ({"hostnqn": OTHER_HOST}, "not allowed there")])
def test_a_refused_connect_is_told(target, options, why):
    nvmf = Nvmf(target).simple(allow_any_host=False)
    nvmf.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=nvme.HOST_NQN)
    with nvmf.queue() as q:
        assert q.connect(NQN, **options).status != nvme.SUCCESS
    line = next(line for line in target.log.splitlines() if "Connect of host" in line)
    host = options.get("hostnqn", nvme.HOST_NQN)
    host = host if isinstance(host, str) else host.decode()
    assert f"'{host}'" in line and f"'{NQN}'" in line and why in line, line


def test_a_refused_connect_to_nothing_is_told(nvmf):
    with nvmf.queue() as q:
        q.connect("nqn.2016-06.io.spdk:none")
        assert "to 'nqn.2016-06.io.spdk:none'" in nvmf.target.log
        assert "no such subsystem listens" in nvmf.target.log
        q.connect(NQN, length=12)
        assert "bytes of its data" in nvmf.target.log


def test_a_refused_listener_is_told(nvmf):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        for address, why in (({"trsvcid": "x"}, "no TCP port"), ({"traddr": "192.0.2.1"}, "192.0.2.1"),
                             ({"trsvcid": taken}, f":{taken}")):
            nvmf.rpc.error("nvmf_subsystem_add_listener", nqn=NQN,
                           listen_address={**nvmf.listen_address(free_port()), **address})
            refusals = [line for line in nvmf.target.log.splitlines()
                        if f"listener of {NQN} refused" in line]
            assert why in refusals[-1]
        assert len(refusals) == 3


def test_hosts(target):
    nvmf = Nvmf(target).simple(allow_any_host=False)
    with nvmf.queue() as q:
        refused(q.connect(NQN), nvme.CONNECT_HOST)
        nvmf.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=nvme.HOST_NQN)
        assert q.connect(NQN).status == nvme.SUCCESS
    with nvmf.queue() as q:
        refused(q.connect(NQN, hostnqn=OTHER_HOST), nvme.CONNECT_HOST)


def test_listener_of_another_subsystem(nvmf):
    other = "nqn.2016-06.io.spdk:cnode2"
    port = free_port()
    nvmf.subsystem(other, bdevs=(), listen=False)
    nvmf.listen(other, port)
    with nvme.Queue(("127.0.0.1", port)) as q:
        refused(q.connect(NQN), nvme.CONNECT_INVALID, SUBNQN)
        assert q.connect(other).status == nvme.SUCCESS
    with nvmf.controller() as ctrlr, nvme.Queue(("127.0.0.1", port)) as q:
        refused(q.connect(NQN, qid=1, cntlid=ctrlr.cntlid), nvme.CONNECT_INVALID, SUBNQN)


def test_io_queue_must_match_its_controller(nvmf):
    with nvmf.controller() as ctrlr, nvmf.queue() as q:
        refused(q.connect(NQN, qid=1, cntlid=ctrlr.cntlid, hostnqn=OTHER_HOST),
                nvme.CONNECT_INVALID, HOSTNQN)
        refused(q.connect(NQN, qid=1, cntlid=ctrlr.cntlid, hostid=uuid.uuid4().bytes),
                nvme.CONNECT_INVALID, IN_DATA)
        for qid in (128, 1000, 0xffff):
            refused(q.connect(NQN, qid=qid, cntlid=ctrlr.cntlid), nvme.CONNECT_INVALID, QID)
        assert q.connect(NQN, qid=127, cntlid=ctrlr.cntlid).status == nvme.SUCCESS


def test_duplicate_queue(nvmf):
    with nvmf.controller() as ctrlr, nvmf.queue() as q:
        first = ctrlr.io_queue(3)
        refused(q.connect(NQN, qid=3, cntlid=ctrlr.cntlid), nvme.SEQUENCE_ERROR)
        assert first.read(0, 1).status == nvme.SUCCESS
        first.close()

        def again():
            return q.connect(NQN, qid=3, cntlid=ctrlr.cntlid).status == nvme.SUCCESS
        wait_until(again, "the queue to be free")


def test_io_queue_before_enable(nvmf):
    with nvmf.controller(enable=False) as ctrlr, nvmf.queue() as q:
        refused(q.connect(NQN, qid=1, cntlid=ctrlr.cntlid), nvme.SEQUENCE_ERROR)
        ctrlr.enable()
        assert q.connect(NQN, qid=1, cntlid=ctrlr.cntlid).status == nvme.SUCCESS


def test_security_second_connect_on_a_queue_pair(nvmf):
    with nvmf.controller() as ctrlr:
        q = ctrlr.io_queue()
        for queue in (ctrlr.admin, q):
            refused(queue.connect(NQN), nvme.SEQUENCE_ERROR)
            refused(queue.connect(NQN, qid=2, cntlid=ctrlr.cntlid), nvme.SEQUENCE_ERROR)
        assert q.read(0, 1).status == nvme.SUCCESS
    nvmf.wait_no_connections()


def test_security_two_connects_at_once(nvmf):
    with nvmf.queue() as q:
        one = nvme.struct.pack("<BBHB19x16sHHHBxI12x", nvme.FABRICS, 0x40, 1, nvme.CONNECT,
                               nvme.sgl(nvme.SGL_CAPSULE, 1024), 0, 0, 31, 0, 0)
        two = one[:2] + b"\2\0" + one[4:]
        data = nvme.connect_data(NQN)
        q.send(q.capsule(one, data) + q.capsule(two, data))
        assert q.wait(1).status == nvme.SUCCESS
        refused(q.wait(2), nvme.SEQUENCE_ERROR)
    nvmf.wait_no_connections()
    nvmf.works()


@pytest.mark.parametrize("second_waits", [False, True])
def test_security_two_connects_whose_data_comes_later(nvmf, second_waits):
    """Both were let pass while the queue had none; one becomes it."""
    with nvmf.queue() as q:
        q.answer_r2t = False
        for cid in (1, 2):
            entry = nvme.struct.pack("<BBHB19x16sHHHBxI12x", nvme.FABRICS, 0x40, cid, nvme.CONNECT,
                                     nvme.sgl(nvme.SGL_TRANSPORT, 1024), 0, 0, 31, 0, 0)
            q.submit_raw(entry, nvme.connect_data(NQN), in_capsule=False)
        asked = sorted(q.wait_r2t() for _ in range(2))
        q.send_data(*asked[0])
        if second_waits:
            assert q.wait(1).status == nvme.SUCCESS
        q.send_data(*asked[1])
        refused(q.wait(2), nvme.SEQUENCE_ERROR)
        if not second_waits:
            assert q.wait(1).status == nvme.SUCCESS
        assert q.property_get(nvme.VS).status == nvme.SUCCESS
    nvmf.wait_no_connections()
    nvmf.works()


@pytest.mark.parametrize("opc", [nvme.READ, nvme.IDENTIFY, nvme.KEEP_ALIVE, nvme.FABRICS, 0xff])
def test_security_commands_before_connect(nvmf, opc):
    with nvmf.queue() as q:
        refused(q.run(opc), nvme.SEQUENCE_ERROR)
        refused(q.property_get(nvme.CAP, 8), nvme.SEQUENCE_ERROR)
        assert q.connect(NQN).status == nvme.SUCCESS


def test_connect_to_discovery(nvmf):
    with nvmf.controller(nvme.DISCOVERY_NQN) as ctrlr, nvmf.queue() as q:
        refused(q.connect(nvme.DISCOVERY_NQN, qid=1, cntlid=ctrlr.cntlid), nvme.CONNECT_INVALID,
                QID)


def test_wrong_fabrics_commands(nvmf):
    with nvmf.controller() as ctrlr:
        q = ctrlr.io_queue()
        for fctype in (2, 3, 8, 0x7f, 0xff):
            entry = nvme.sqe(nvme.FABRICS, 9, nsid=fctype)
            ctrlr.admin.submit_raw(entry)
            refused(ctrlr.admin.wait(9), nvme.INVALID_OPCODE)
        refused(q.property_get(nvme.CAP, 8), nvme.INVALID_OPCODE)
        refused(q.property_set(nvme.CC, 0), nvme.INVALID_OPCODE)


# --- properties ----------------------------------------------------------------------------------


def test_properties(nvmf):
    with nvmf.controller(enable=False) as ctrlr:
        a = ctrlr.admin
        cap = a.property_get(nvme.CAP, 8)
        assert cap.dw0 & 0xffff == 127 and cap.dw0 & 1 << 16 and cap.dw1 & 1 << 5
        assert a.property_get(nvme.VS).dw0 == 0x20000
        assert a.property_get(nvme.CSTS).dw0 == 0
        for offset, size in ((nvme.CAP, 4), (nvme.VS, 8), (nvme.CC, 8), (0x20, 4), (0x24, 4),
                             (4, 4), (0x1000, 4), (0xffffffff, 4), (0xfffffffc, 8)):
            refused(a.property_get(offset, size), nvme.INVALID_FIELD)
            refused(a.property_set(offset, 1, size), nvme.INVALID_FIELD)
        for offset in (nvme.VS, nvme.CSTS):
            refused(a.property_set(offset, 1), nvme.INVALID_FIELD)
        refused(a.property_set(nvme.CAP, 1, 8), nvme.INVALID_FIELD)


@pytest.mark.parametrize("cc", [0x460011, 0x460081, 0x460801, 0x450001, 0x470001, 0x360001, 1])
def test_enable_with_wrong_settings(nvmf, cc):
    with nvmf.controller(enable=False) as ctrlr:
        refused(ctrlr.admin.property_set(nvme.CC, cc), nvme.INVALID_FIELD)
        assert ctrlr.admin.property_get(nvme.CSTS).dw0 == 0
        ctrlr.enable()


def test_admin_commands_need_an_enabled_controller(nvmf):
    with nvmf.controller(enable=False) as ctrlr:
        refused(ctrlr.admin.identify(1), nvme.SEQUENCE_ERROR)
        ctrlr.enable()
        assert ctrlr.admin.identify(1).status == nvme.SUCCESS


def ready(ctrlr):
    return ctrlr.admin.property_get(nvme.CSTS).dw0 & 1


@pytest.mark.target_options("-m", "0x3", "--disable-cpumask-locks")
def test_reset_takes_all_io_queues(target):
    nvmf = Nvmf(target).simple()
    with nvmf.controller() as ctrlr:
        queues = [ctrlr.io_queue(qid) for qid in range(1, 5)]
        assert ctrlr.admin.property_set(nvme.CC, 0x460000).status == nvme.SUCCESS
        assert all(q.is_closed() for q in queues)
        wait_until(lambda: not ready(ctrlr), "the reset")
        with nvmf.queue() as q:
            refused(q.connect(NQN, qid=1, cntlid=ctrlr.cntlid), nvme.SEQUENCE_ERROR)
        ctrlr.enable()
        assert ctrlr.io_queue(1).read(0, 1).status == nvme.SUCCESS


def test_shutdown(nvmf):
    for shn in (1, 2):
        with nvmf.controller() as ctrlr:
            q = ctrlr.io_queue()
            ctrlr.admin.property_set(nvme.CC, nvme.CC_ENABLED | shn << 14)
            assert q.is_closed()
            wait_until(lambda c=ctrlr: c.admin.property_get(nvme.CSTS).dw0 & 0xc == 8, "shutdown")
            ctrlr.admin.property_set(nvme.CC, 0x460000)
            wait_until(lambda c=ctrlr: c.admin.property_get(nvme.CSTS).dw0 == 0, "the reset")
            ctrlr.enable()
            assert ctrlr.io_queue().read(0, 1).status == nvme.SUCCESS


def test_disable_and_enable_at_once(nvmf):
    with nvmf.controller() as ctrlr:
        for _ in range(20):
            q = ctrlr.io_queue()
            ctrlr.admin.property_set(nvme.CC, 0x460000)
            ctrlr.admin.property_set(nvme.CC, nvme.CC_ENABLED)
            assert q.is_closed()
            wait_until(lambda: nvmf.connections() == 1, "I/O queues to end")
            wait_until(lambda: ready(ctrlr), "ready")


def test_io_queues_end_with_the_admin_queue(nvmf):
    with nvmf.controller() as ctrlr:
        queues = [ctrlr.io_queue(qid) for qid in (1, 2, 3)]
        ctrlr.admin.close()
        assert all(q.is_closed() for q in queues)
    nvmf.wait_no_connections()


def test_keep_alive_expires(target):
    nvmf = Nvmf(target, kas=1, min_kato=100).simple()
    with nvmf.controller(kato=200) as ctrlr, nvmf.controller() as other:
        q = ctrlr.io_queue()
        assert ctrlr.admin.get_feature(0x0f).dw0 == 200
        assert ctrlr.admin.run(nvme.KEEP_ALIVE).status == nvme.SUCCESS
        assert ctrlr.admin.is_closed() and q.is_closed()
        assert other.admin.run(nvme.KEEP_ALIVE).status == nvme.SUCCESS
        assert "no Keep Alive within 200 ms" in nvmf.target.log


def test_keep_alive_holds_the_controller(target):
    nvmf = Nvmf(target, kas=1, min_kato=100).simple()
    with nvmf.controller(kato=1000) as ctrlr, nvmf.controller(kato=100) as dies:
        def both():
            assert ctrlr.admin.run(nvme.KEEP_ALIVE).status == nvme.SUCCESS
            return nvmf.connections() == 1
        wait_until(both, "the silent one to end")
        assert dies.admin.is_closed()


def test_keep_alive_timeouts_are_rounded_up(nvmf):
    for asked, got in ((0, 0), (1, 10000), (10000, 10000), (10001, 20000), (120000, 120000)):
        with nvmf.controller(kato=asked) as ctrlr:
            assert ctrlr.admin.get_feature(0x0f).dw0 == got
    with nvmf.controller() as ctrlr:
        assert ctrlr.admin.set_feature(0x0f, 15000).status == nvme.SUCCESS
        assert ctrlr.admin.get_feature(0x0f).dw0 == 20000

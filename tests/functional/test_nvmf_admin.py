# SPDX-License-Identifier: Apache-2.0
"""Identify, log pages, features, events, abort."""

import struct
import uuid

import nvme_tcp as nvme
import pytest
from nvmf_target import NQN, Nvmf, wait_until

UUID = "11111111-aaaa-4333-8444-555555555555"
ALL = 0xffffffff


@pytest.fixture
def nvmf(target):
    nvmf = Nvmf(target)
    nvmf.malloc("m0", uuid=UUID)
    nvmf.malloc("m1", block_size=4096)
    nvmf.subsystem(bdevs=("m0",), serial_number="SERIAL1", model_number="Model one")
    nvmf.rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={
        "bdev_name": "m1", "nsid": 5, "nguid": "ABCDEF0123456789ABCDEF0123456789",
        "eui64": "ABCDEF0123456789"})
    return nvmf


@pytest.fixture
def ctrlr(nvmf):
    with nvmf.controller() as ctrlr:
        yield ctrlr


@pytest.fixture
def admin(ctrlr):
    return ctrlr.admin


@pytest.fixture
def discovery(nvmf):
    with nvmf.controller(nvme.DISCOVERY_NQN) as ctrlr:
        yield ctrlr.admin


# --- identify ------------------------------------------------------------------------------------


def test_identify_controller(admin, ctrlr):
    page = admin.identify(1).data
    assert len(page) == 4096
    assert page[4:24] == b"SERIAL1".ljust(20) and page[24:64] == b"Model one".ljust(40)
    assert page[77] == 5 and struct.unpack_from("<H", page, 78)[0] == ctrlr.cntlid
    assert struct.unpack_from("<I", page, 80)[0] == 0x20000
    assert page[111] == 1
    assert page[512:514] == b"\x66\x44"
    assert struct.unpack_from("<I", page, 516)[0] == 32
    assert page[768:1024].rstrip(b"\0") == NQN.encode()
    assert struct.unpack_from("<II", page, 1792) == ((64 + 4096) // 16, 1)


def test_identify_namespace(admin):
    page = admin.identify(0, 1).data
    assert struct.unpack_from("<QQQ", page) == (8192, 8192, 8192)
    assert page[25] == 0 and page[128:132] == bytes([0, 0, 9, 0])
    assert page[104:120] == uuid.UUID(UUID).bytes
    page = admin.identify(0, 5).data
    assert page[128:132] == bytes([0, 0, 12, 0])
    assert page[120:128].hex() == "abcdef0123456789"
    # An NSID without a namespace has zeroes; one that cannot be is refused.
    assert admin.identify(0, 2).data == bytes(4096)
    assert admin.identify(0, 32).data == bytes(4096)
    assert admin.identify(0, ALL).status == nvme.SUCCESS
    for nsid in (0, 33, 0xfffffffe):
        assert admin.identify(0, nsid).status == nvme.INVALID_NAMESPACE


def test_identify_lists(admin, nvmf):
    assert struct.unpack_from("<4I", admin.identify(2, 0).data) == (1, 5, 0, 0)
    assert struct.unpack_from("<4I", admin.identify(2, 1).data) == (5, 0, 0, 0)
    assert struct.unpack_from("<4I", admin.identify(7, 0).data) == (1, 5, 0, 0)
    assert admin.identify(2, 5).data == bytes(4096)
    for nsid in (0xfffffffe, ALL):
        assert admin.identify(2, nsid).status == nvme.INVALID_NAMESPACE


def test_identify_descriptors(admin):
    page = admin.identify(3, 1).data
    raw = uuid.UUID(UUID).bytes
    assert page[:20] == b"\2\x10\0\0" + raw
    assert page[20:40] == b"\3\x10\0\0" + raw
    assert page[40:45] == b"\4\1\0\0\0" and page[45:] == bytes(4096 - 45)
    assert admin.identify(3, 5).data[:12] == b"\1\x08\0\0" + bytes.fromhex("abcdef0123456789")
    for nsid in (0, 2, ALL):
        assert admin.identify(3, nsid).status == nvme.INVALID_NAMESPACE


def test_identify_of_command_sets(admin):
    assert struct.unpack_from("<Q", admin.identify(0x1c).data)[0] == 1
    page = admin.identify(6).data
    assert page[1] == 12 and struct.unpack_from("<I", page, 4)[0] == 2097152
    assert admin.identify(5, 1).status == nvme.SUCCESS
    assert admin.identify(8, 1).data[14] == 1
    for cns in (5, 6, 7):
        assert admin.identify(cns, 1, csi=2).status == nvme.INVALID_FIELD


def test_identify_controller_list(admin, ctrlr, nvmf):
    with nvmf.controller() as other:
        ids = sorted((ctrlr.cntlid, other.cntlid))
        assert struct.unpack_from("<4H", admin.identify(0x13).data) == (2, *ids, 0)
        assert struct.unpack_from("<3H", admin.identify(0x13, cntid=ids[1]).data) == (1, ids[1], 0)
        assert struct.unpack_from("<3H", admin.identify(0x12, 1).data) == (2, *ids)
    assert admin.identify(0x13, cntid=0xffff).data == bytes(4096)
    assert admin.identify(0x12, 2).status == nvme.INVALID_NAMESPACE


@pytest.mark.parametrize("cns", [4, 9, 0x0a, 0x10, 0x11, 0x14, 0x18, 0x20, 0x80, 0xff])
def test_identify_unknown_forms(admin, cns):
    assert admin.identify(cns, 1).status == nvme.INVALID_FIELD


def test_security_identify_lengths(admin):
    for length in (0, 4, 8, 12, 4092):
        cpl = admin.run(nvme.IDENTIFY, read=length or 1, length=length, cdw10=1)
        assert cpl.status == nvme.SGL_LENGTH_INVALID
    for length in (4096, 4100, 8192, 1 << 31, 0xffffffff):
        assert len(admin.identify(1, length=length).data) == 4096


def test_identify_of_discovery(discovery):
    page = discovery.identify(1).data
    assert page[111] == 2 and page[768:1024].rstrip(b"\0") == nvme.DISCOVERY_NQN.encode()
    assert discovery.identify(0, 1).status == nvme.INVALID_FIELD
    assert discovery.identify(2).status == nvme.INVALID_FIELD


# --- log pages -----------------------------------------------------------------------------------

PAGES = {0: 1024, 1: 64, 2: 512, 3: 512, 4: 4096, 5: 4096}


def test_supported_pages(admin, discovery):
    def supported(queue):
        page = queue.log_page(0, 1024).data
        return [i for i in range(256) if page[4 * i] & 1]
    assert supported(admin) == sorted(PAGES)
    assert supported(discovery) == [0, 1, 0x70]


@pytest.mark.parametrize("page", sorted(PAGES))
def test_security_log_pages_in_every_window(admin, page):
    size = PAGES[page]
    whole = admin.log_page(page, size, rae=True).data
    assert len(whole) == size
    for length in (4, 8, 12, 60, 500, 1000, 4096, 8192, 131072):
        for offset in (0, 4, 8, 12, 36, 500, size - 8, size - 4, size):
            if offset < 0 or offset > size:
                continue
            data = admin.log_page(page, length, offset, rae=True).data
            want = whole[offset:offset + length]
            if page != 2:
                assert data == want + bytes(length - len(want)), (length, offset)
    for offset in (size + 4, 1 << 20, 1 << 32, (1 << 64) - 4, 2, 1, 3, 5):
        cpl = admin.log_page(page, 16, offset)
        assert cpl.status == nvme.INVALID_FIELD, offset


def test_security_log_page_sgl_shorter_than_asked(admin):
    for sgl_length in (0, 4, 8, 12):
        cpl = admin.log_page(0, 1024, sgl_length=sgl_length or 0)
        assert cpl.status == nvme.SGL_LENGTH_INVALID
    assert admin.log_page(0, 131072 + 4).status == nvme.INVALID_FIELD
    cpl = admin.run(nvme.GET_LOG, read=4096, cdw10=0xffff0000, cdw11=0xffff)
    assert cpl.status == nvme.INVALID_FIELD


@pytest.mark.parametrize("page", [6, 7, 0x0c, 0x12, 0x70, 0x80, 0xc0, 0xff])
def test_unknown_log_pages(admin, page):
    assert admin.log_page(page, 512).status == nvme.INVALID_LOG_PAGE


def test_health_counts_io_of_all_queues(ctrlr):
    for qid in (1, 2):
        q = ctrlr.io_queue(qid)
        q.write(0, bytes(4096))
        q.read(0, 8)
        q.read(0, 8)
    q.close()

    def counts():
        page = ctrlr.admin.log_page(2, 512).data
        return [int.from_bytes(page[at:at + 16], "little") for at in (32, 48, 64, 80)]
    assert counts() == [1, 1, 4, 2]


def test_effects(admin):
    page = admin.log_page(5, 4096).data
    words = struct.unpack("<1024I", page)
    assert words[nvme.IDENTIFY] == 1 and words[0x0d] == 0
    assert words[256 + nvme.READ] == 1 and words[256 + nvme.WRITE] == 3 and words[256 + 4] == 0


# --- features ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fid,value,default", [(1, 0x07060503, 0), (2, 0, 0), (5, 0xff, 0),
                                               (0xa, 1, 0), (0xb, 0x100, 0), (0x0f, 30000, 0),
                                               (4, 0x0123, 0xffff)])
def test_features(admin, fid, value, default):
    assert admin.get_feature(fid, select=1).dw0 == default
    assert admin.get_feature(fid).dw0 == default
    assert admin.set_feature(fid, value).status == nvme.SUCCESS
    assert admin.get_feature(fid).dw0 == value
    assert admin.get_feature(fid, select=1).dw0 == default
    assert admin.get_feature(fid, select=2).dw0 == default
    assert admin.get_feature(fid, select=3).dw0 == 4
    assert admin.get_feature(fid, select=4).status == nvme.INVALID_FIELD
    assert admin.set_feature(fid, value, save=True).status == nvme.NOT_SAVEABLE
    assert admin.set_feature(fid, value, nsid=1).status == nvme.NOT_NAMESPACE


def test_feature_values_that_are_refused(admin):
    for fid, value in ((2, 1), (4, 0x00010000), (4, 0x00200000), (5, 1 << 16), (7, 0xffff),
                       (7, 0xffff0000)):
        assert admin.set_feature(fid, value).status == nvme.INVALID_FIELD, fid
    assert admin.set_feature(6, 0).status == nvme.NOT_CHANGEABLE
    assert admin.set_feature(6, 1).status == nvme.SUCCESS
    assert admin.get_feature(6).dw0 == 1 and admin.get_feature(6, select=3).dw0 == 0


@pytest.mark.parametrize("fid", [0, 3, 8, 9, 0x0d, 0x10, 0x80, 0x82, 0x83, 0xc0, 0xff])
def test_unknown_features(admin, fid):
    assert admin.get_feature(fid).status == nvme.INVALID_FIELD
    assert admin.set_feature(fid, 0).status == nvme.INVALID_FIELD


def test_number_of_queues(admin):
    assert admin.set_feature(7, 0x00030003).dw0 == 0x007e007e
    assert admin.get_feature(7).dw0 == 0x007e007e


def test_host_identifier(admin):
    assert admin.get_feature(0x81, 1, read=16).data == nvme.HOST_ID
    assert admin.get_feature(0x81, 0, read=16).status == nvme.INVALID_FIELD
    assert admin.get_feature(0x81, 1, read=12).status == nvme.SGL_LENGTH_INVALID
    assert admin.set_feature(0x81, 1, nvme.HOST_ID).status == nvme.SEQUENCE_ERROR


def test_host_behavior(admin):
    data = b"\1".ljust(512, b"\0")
    assert admin.set_feature(0x16, 0, data).status == nvme.SUCCESS
    assert admin.get_feature(0x16, read=512).data == data
    assert admin.set_feature(0x16, 0, b"\2".ljust(512, b"\0")).status == nvme.INVALID_FIELD
    assert admin.set_feature(0x16, 0, data[:256]).status == nvme.SGL_LENGTH_INVALID


@pytest.mark.parametrize("opc", [0, 1, 4, 5, 0x0d, 0x10, 0x15, 0x19, 0x1c, 0x80, 0x81, 0x84, 0xc0,
                                 0xff])
def test_unknown_admin_commands(admin, opc):
    assert admin.run(opc).status == nvme.INVALID_OPCODE


def test_discovery_has_few_commands(discovery):
    assert discovery.run(nvme.ABORT).status == nvme.INVALID_OPCODE
    assert discovery.get_feature(7).status == nvme.INVALID_FIELD
    assert discovery.set_feature(0xb, 1 << 31).status == nvme.SUCCESS
    assert discovery.run(nvme.KEEP_ALIVE).status == nvme.SUCCESS
    assert discovery.log_page(2, 512).status == nvme.INVALID_LOG_PAGE


# --- events --------------------------------------------------------------------------------------


def test_event_request_limit(admin):
    cids = [admin.submit(nvme.ASYNC_EVENT) for _ in range(4)]
    assert admin.run(nvme.ASYNC_EVENT).status == nvme.AER_LIMIT
    assert admin.identify(1).status == nvme.SUCCESS
    assert not any(cid in admin.completed for cid in cids)


def test_event_request_whose_cid_comes_again(nvmf, admin):
    """SPDK's host forgets its requests when it leaves, and uses their CIDs for other commands."""
    assert admin.set_feature(0xb, 0x100).status == nvme.SUCCESS
    cids = [admin.submit(nvme.ASYNC_EVENT) for _ in range(4)]
    for cid in cids[:3]:
        cpl = admin.run(nvme.IDENTIFY, read=4096, cdw10=1, cid=cid)
        assert cpl.status == nvme.SUCCESS and len(cpl.data) == 4096
    # The three are gone and owe nothing; there is room for as many again, behind the fourth.
    more = [admin.submit(nvme.ASYNC_EVENT) for _ in range(3)]
    assert admin.run(nvme.ASYNC_EVENT).status == nvme.AER_LIMIT
    nvmf.rpc.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=5)
    assert admin.wait(cids[3]).dw0 == 0x00040002
    assert admin.identify(1).status == nvme.SUCCESS
    assert not any(cid in admin.completed for cid in cids + more)


@pytest.mark.parametrize("cc, after", [(nvme.CC_ENABLED | 1 << 14, 9), (0x460000, 0)])
def test_event_requests_end_without_an_answer(admin, cc, after):
    """A host that resets or shuts down has ended them itself: SPDK's takes an answer for a fault."""
    cids = [admin.submit(nvme.ASYNC_EVENT) for _ in range(4)]
    assert admin.property_set(nvme.CC, cc).status == nvme.SUCCESS
    wait_until(lambda: admin.property_get(nvme.CSTS).dw0 == after, "the change")
    assert not any(cid in admin.completed for cid in cids)


def test_event_request_with_the_cid_of_another(admin):
    cid = admin.submit(nvme.ASYNC_EVENT)
    admin.submit(nvme.ASYNC_EVENT, cid=cid)
    assert admin.identify(1).status == nvme.SUCCESS
    assert cid not in admin.completed


def test_namespace_event(nvmf, admin):
    assert admin.set_feature(0xb, 0x100).status == nvme.SUCCESS
    first = admin.submit(nvme.ASYNC_EVENT)
    second = admin.submit(nvme.ASYNC_EVENT)
    nvmf.malloc("m2")
    nvmf.rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "m2", "nsid": 9})
    assert admin.wait(first).dw0 == 0x00040002
    nvmf.rpc.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=5)
    # Masked until the log was read; RAE keeps the mask and the list.
    page = admin.log_page(4, 4096, rae=True).data
    assert struct.unpack_from("<3I", page) == (9, 5, 0)
    assert second not in admin.completed
    assert admin.log_page(4, 4096).data == page
    nvmf.rpc.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=9)
    assert admin.wait(second).dw0 == 0x00040002
    assert struct.unpack_from("<2I", admin.log_page(4, 4096).data) == (9, 0)


def test_namespace_event_only_if_wanted(nvmf, admin):
    cid = admin.submit(nvme.ASYNC_EVENT)
    nvmf.rpc.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=5)
    assert admin.identify(1).status == nvme.SUCCESS
    assert cid not in admin.completed
    assert struct.unpack_from("<2I", admin.log_page(4, 4096).data) == (5, 0)


def test_bdev_below_goes_and_grows(nvmf, admin):
    admin.set_feature(0xb, 0x100)
    cid = admin.submit(nvme.ASYNC_EVENT)
    nvmf.rpc.call("bdev_malloc_delete", name="m0")
    assert admin.wait(cid).dw0 == 0x00040002
    assert admin.identify(0, 1).data == bytes(4096)
    admin.log_page(4, 4096)
    nvmf.rpc.call("bdev_null_create", name="n0", num_blocks=1024, block_size=512)
    nvmf.rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "n0", "nsid": 1})
    admin.log_page(4, 4096)
    cid = admin.submit(nvme.ASYNC_EVENT)
    nvmf.rpc.call("bdev_null_resize", name="n0", new_size=1)
    assert admin.wait(cid).dw0 == 0x00040002
    assert struct.unpack_from("<Q", admin.identify(0, 1).data)[0] == 2048


# --- abort ---------------------------------------------------------------------------------------


@pytest.fixture(params=["0x1", "0x3"])
def spread(request, target_factory):
    """A controller whose queues are on the same or on another reactor."""
    nvmf = Nvmf(target_factory("-m", request.param, "--disable-cpumask-locks")).simple()
    with nvmf.controller() as ctrlr:
        yield ctrlr


def abort(ctrlr, sqid, cid):
    return ctrlr.admin.run(nvme.ABORT, cdw10=sqid | cid << 16)


def test_abort_of_what_is_not_there(spread):
    spread.io_queue(1)
    for sqid, cid in ((0, 77), (1, 77), (5, 1)):
        cpl = abort(spread, sqid, cid)
        assert cpl.status == nvme.SUCCESS and cpl.dw0 & 1
    assert abort(spread, 128, 1).status == nvme.INVALID_FIELD


def test_abort_of_an_event_request(spread):
    cid = spread.admin.submit(nvme.ASYNC_EVENT)
    assert abort(spread, 0, cid).dw0 == 0
    assert spread.admin.wait(cid).status == nvme.ABORTED


def test_abort_of_a_write_that_waits_for_data(spread):
    q = spread.io_queue(1)
    q.answer_r2t = False
    old = q.read(0, 16).data
    cid = q.submit(nvme.WRITE, b"a" * 8192, in_capsule=False, **q.lba_fields(0, 16))
    _, ttag, offset, length = q.wait_r2t()
    assert abort(spread, 1, cid).dw0 == 0
    q.send_data(cid, ttag, offset, length)
    assert q.wait(cid).status == nvme.ABORTED
    assert q.read(0, 16).data == old


def test_abort_of_a_fused_first(spread):
    q = spread.io_queue(1)
    cid = q.submit(nvme.COMPARE, bytes(512), flags=0x41, **q.lba_fields(0, 1))
    assert q.read(5, 1).status == nvme.SUCCESS
    assert q.wait(cid).status == nvme.MISSING_FUSED
    cid = q.submit(nvme.COMPARE, bytes(512), flags=0x41, **q.lba_fields(0, 1))
    wait_until(lambda: abort(spread, 1, cid).dw0 == 0, "the abort")
    assert q.wait(cid).status == nvme.ABORTED
    assert q.write(0, bytes(512), flags=0x42).status == nvme.FAILED_FUSED

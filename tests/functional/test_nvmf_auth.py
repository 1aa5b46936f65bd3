# SPDX-License-Identifier: Apache-2.0
"""DH-HMAC-CHAP: who gets in, with what key, what hostile messages do, and what an operator sees.
Hosts are our own, a raw one (nvme_auth.py) and a real SPDK's.

See tests/real_spdk.py.
"""

import json
import random
import subprocess

import pytest

import nvme_auth
import nvme_tcp as nvme
from conftest import RpcError, wait_until
from nvme_auth import Auth, key_text
from nvmf_target import NQN, Nvmf

HOST = "nqn.2016-06.io.spdk:host1"
OTHER_HOST = "nqn.2016-06.io.spdk:host2"
SECRET = bytes(range(32))
OTHER = SECRET[::-1]
CTRLR = bytes(range(100, 148))
PAIRS = [("sha256", "null"), ("sha384", "ffdhe2048"), ("sha512", "ffdhe3072"),
         ("sha256", "ffdhe4096"), ("sha384", "ffdhe6144"), ("sha512", "ffdhe8192")]


class Site:
    """A target with one subsystem, whose host has a key, and perhaps the controller too."""

    def __init__(self, target, program, folder, ctrlr=False, config=None, cores=None, **transport):
        if config:
            target.call("nvmf_set_config", **config)
            target.call("framework_start_init")
        self.nvmf = Nvmf(target, **transport).simple(allow_any_host=False)
        self.rpc, self.target = self.nvmf.rpc, target
        self.perf = str(program("cyborg-spdk-perf"))
        self.folder = folder
        self.add_key("key0", SECRET)
        self.add_key("ckey0", CTRLR, 2)
        self.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=HOST, dhchap_key="key0",
                      **({"dhchap_ctrlr_key": "ckey0"} if ctrlr else {}))

    def key_file(self, name, secret, kind=0):
        path = self.folder / name
        path.write_text(key_text(secret, kind))
        path.chmod(0o600)
        return str(path)

    def add_key(self, name, secret, kind=0):
        path = self.key_file(name, secret, kind)
        assert self.rpc.call("keyring_file_add_key", name=name, path=path) is True
        return path

    def set_keys(self, *names, host=HOST):
        words = dict(zip(("dhchap_key", "dhchap_ctrlr_key"), names))
        assert self.rpc.call("nvmf_subsystem_set_keys", nqn=NQN, host=host, **words) is True

    # --- our host

    def host(self, *words, key="key0", ctrlr=None, host=HOST):
        secrets = ["--dhchap-key", str(self.folder / key)] if key else []
        secrets += ["--dhchap-ctrlr-key", str(self.folder / ctrlr)] if ctrlr else []
        return subprocess.run([self.perf, *words, "--addr", f"127.0.0.1:{self.nvmf.port}",
                               "--nqn", NQN, "--hostnqn", host, *secrets],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def gets_in(self, *words, **options):
        words = words or ("--dhchap-group", "ffdhe2048")
        return self.host("--identify", "--prove", *words, **options).returncode == 0

    # --- the raw host

    def connect(self, qid=0, cntlid=0xffff, **options):
        queue = self.nvmf.queue()
        cpl = queue.connect(NQN, qid=qid, cntlid=cntlid, hostnqn=HOST, **options)
        assert cpl.status == nvme.SUCCESS
        assert cpl.dw0 >> 16 == nvme_auth.ATR >> 16
        return queue

    def begin(self, queue=None, secret=SECRET, **options):
        return Auth(queue or self.connect(), NQN, HOST, secret, **options)

    def qpairs(self):
        return self.rpc.call("nvmf_subsystem_get_qpairs", nqn=NQN)

    def works(self):
        """The host gets in by its key, as if nothing had happened."""
        with self.connect() as queue:
            self.begin(queue).whole()
            assert queue.property_get(nvme.VS).status == nvme.SUCCESS


def enable(admin):
    assert admin.property_set(nvme.CC, nvme.CC_ENABLED).status == nvme.SUCCESS
    wait_until(lambda: admin.property_get(nvme.CSTS).dw0 & 1, "the controller to be ready")


@pytest.fixture
def site(target, program, tmp_path):
    return Site(target, program, tmp_path)


@pytest.fixture
def both(target, program, tmp_path):
    return Site(target, program, tmp_path, ctrlr=True)


# --- who gets in ----------------------------------------------------------------------------------

def test_host_with_its_key(site):
    assert site.host("--identify", "--prove").returncode == 0
    result = site.host("-w", "verify", "-o", "64K", "-P", "2", "--quiet", "--dhchap-group",
                       "ffdhe2048")
    assert result.returncode == 0 and "0 wrong blocks" in result.stdout
    site.nvmf.wait_no_connections()
    assert "authentication" not in site.target.log


@pytest.mark.parametrize("digest, group", [PAIRS[0], PAIRS[1], PAIRS[-1]])
def test_both_directions(both, digest, group):
    words = ["--dhchap-hash", digest, "--dhchap-group", group]
    assert both.gets_in(*words)
    assert both.gets_in(*words, ctrlr="ckey0")
    wrong = both.host("--identify", *words, ctrlr="key0")
    assert wrong.returncode == 3 and "did not prove its own key" in wrong.stderr
    wait_until(lambda: "does not take this controller's part" in both.target.log, "the log")


@pytest.mark.parametrize("digest, group", PAIRS)
def test_raw_host_step_by_step(both, digest, group):
    with both.connect() as queue:
        auth = both.begin(queue, ctrlr=CTRLR, ctrlr_kind=2)
        (shown,) = both.qpairs()
        assert shown["state"] == "authenticating" and shown["auth"]["state"] == "negotiate"
        auth.until_reply(hashes=[digest], groups=[group])
        assert (auth.hash, auth.group) == (digest, group)
        auth.reply()
        auth.take_success()
        assert auth.send(auth.success2_text()).status == nvme.SUCCESS
        (shown,) = both.qpairs()
        assert shown["state"] == "enabled"
        assert shown["auth"] == {"state": "completed", "digest": digest, "dhgroup": group}
        enable(queue)


@pytest.mark.parametrize("kind, size", [(0, 48), (0, 64), (1, 32), (2, 48), (3, 64)])
def test_kinds_of_keys(site, kind, size):
    secret = bytes(range(7, 7 + size))
    site.add_key("key1", secret, kind)
    site.set_keys("key1")
    with site.connect() as queue:
        site.begin(queue, secret, kind=kind).whole(groups=["ffdhe2048"])
        enable(queue)
    assert site.gets_in(key="key1")


def test_strongest_of_both_is_chosen(site):
    with site.connect() as queue:
        auth = site.begin(queue)
        auth.until_reply(hashes=["sha512", "sha256"], groups=["null", "ffdhe3072", "ffdhe2048"])
        assert (auth.hash, auth.group) == ("sha512", "ffdhe3072")


@pytest.mark.parametrize("words", [["--dhchap-hash", "md5"], ["--dhchap-group", "ffdhe1024"]])
def test_host_offers_what_is_known(site, words):
    refused = site.host("--identify", *words)
    assert refused.returncode == 2
    assert "is unknown" in refused.stderr and words[1] in refused.stderr


def test_every_queue_authenticates(site):
    with site.connect() as admin:
        site.begin(admin).whole()
        enable(admin)
        with site.connect(qid=1, cntlid=admin.cntlid) as queue:
            assert queue.read(0, 1).status == nvme_auth.AUTH_REQUIRED
            auth = site.begin(queue)
            auth.negotiate(groups=["ffdhe2048"])
            auth.take_challenge(2048)
            assert auth.send(auth.reply_text(), in_capsule=False).status == nvme.SUCCESS
            auth.take_success(16)
            assert queue.read(0, 8).status == nvme.SUCCESS
            assert [q["auth"]["dhgroup"] for q in site.qpairs()] == ["null", "ffdhe2048"]


def test_host_without_a_key_beside(site):
    site.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=OTHER_HOST)
    with site.nvmf.controller(hostnqn=OTHER_HOST) as ctrlr:
        assert ctrlr.io_queue().read(0, 8).status == nvme.SUCCESS
        assert all("auth" not in shown for shown in site.qpairs())
    assert site.gets_in()


def test_discovery_needs_the_key_that_it_was_given(site):
    rpc = site.rpc
    rpc.call("nvmf_subsystem_add_host", nqn=nvme.DISCOVERY_NQN, host=HOST, dhchap_key="key0")
    with site.nvmf.queue() as queue:
        cpl = queue.connect(nvme.DISCOVERY_NQN, hostnqn=HOST)
        assert cpl.dw0 & nvme_auth.ATR
        Auth(queue, nvme.DISCOVERY_NQN, HOST, SECRET).whole()
        enable(queue)


# --- who does not ---------------------------------------------------------------------------------

def test_security_auth_wrong_key_or_none(site):
    site.key_file("wrong", OTHER)
    wrong = site.host("--identify", key="wrong")
    assert wrong.returncode == 3 and "authentication of host" in wrong.stderr
    assert "the key is another one" in wrong.stderr
    without = site.host("--identify", key=None)
    assert without.returncode == 3 and "to authenticate" in without.stderr
    for options in ({"secret": OTHER}, {"kind": 1}):
        auth = site.begin(**options)
        auth.until_reply(groups=["null", "ffdhe2048"])
        auth.reply()
        assert auth.failure() == nvme_auth.FAILED
    assert "its key is another one" in site.target.log
    site.nvmf.wait_no_connections()
    site.works()


def test_security_auth_commands_before_it(site):
    with site.connect() as queue:
        for cpl in (queue.property_get(nvme.CAP, 8), queue.property_set(nvme.CC, nvme.CC_ENABLED),
                    queue.identify(1), queue.run(nvme.KEEP_ALIVE), queue.get_feature(7),
                    queue.log_page(2, 512), queue.run(nvme.ASYNC_EVENT), queue.connect(NQN),
                    queue.run(0xff)):
            assert cpl.status == nvme_auth.AUTH_REQUIRED and cpl.dnr
        other = site.nvmf.queue()
        cpl = other.connect(NQN, qid=1, cntlid=queue.cntlid, hostnqn=HOST)
        assert cpl.status == nvme.SEQUENCE_ERROR
        other.close()
        site.begin(queue).whole()
        enable(queue)


def test_security_auth_key_of_another_host(site):
    site.add_key("key1", OTHER, 1)
    site.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=OTHER_HOST, dhchap_key="key1")
    assert site.gets_in(host=OTHER_HOST, key="key1")
    assert not site.gets_in(key="key1")
    assert not site.gets_in(host=OTHER_HOST)


def test_security_auth_reply_of_another_connection(site):
    with site.connect() as first, site.connect() as second:
        one, two = site.begin(first), site.begin(second)
        one.until_reply()
        two.until_reply()
        assert one.challenge != two.challenge and one.seq != two.seq
        text = one.reply_text()
        assert two.send(text).status == nvme.SUCCESS
        assert two.failure() == nvme_auth.FAILED
        assert one.send(text).status == nvme.SUCCESS
        one.take_success()


def test_security_auth_controller_s_response_is_no_host_s(both):
    """What the controller proves itself with cannot be sent back to it."""
    with both.connect() as queue, both.connect() as oracle:
        both.set_keys("key0", "key0")
        victim, auth = both.begin(queue), both.begin(oracle, ctrlr=SECRET)
        victim.until_reply(hashes=["sha256"])
        auth.until_reply(hashes=["sha256"])
        auth.reply(challenge=victim.challenge, seq=victim.seq)
        data = auth.receive().data
        victim.reply(response=data[16:48])
        assert victim.failure() == nvme_auth.FAILED


@pytest.mark.parametrize("digest, group, value", [
    ("sha256", "ffdhe2048", 0), ("sha256", "ffdhe2048", 1), ("sha384", "ffdhe3072", -1),
    ("sha512", "ffdhe4096", "p"), ("sha256", "ffdhe8192", -1)])
def test_security_auth_values_of_a_known_secret(site, digest, group, value):
    auth = site.begin()
    auth.until_reply(hashes=[digest], groups=[group])
    number = nvme_auth.prime(group) + (0 if value == "p" else -1) if value in ("p", -1) else value
    shared = bytes([1]) if value in (1, -1) else bytes([0])
    text = auth.reply_text(value=number.to_bytes(auth.dhlen, "big"))
    auth.shared = shared
    assert auth.send(text).status == nvme.SUCCESS
    assert auth.failure() == nvme_auth.PAYLOAD
    assert "none of the group" in site.target.log
    site.works()


def test_controller_s_proof_without_its_key(site):
    auth = site.begin(ctrlr=CTRLR)
    auth.until_reply()
    auth.reply()
    assert auth.failure() == nvme_auth.FAILED
    assert "dhchap_ctrlr_key" in site.target.log


# --- messages -------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [
    {"secp": 0}, {"secp": 0xea}, {"spsp0": 0}, {"spsp0": 2}, {"spsp1": 0}, {"tl": 0},
    {"tl": 73}, {"tl": 71}, {"tl": 0xffffffff}, {"tl": 0x10000}])
def test_security_auth_fields_of_commands(site, options):
    with site.connect() as queue:
        auth = site.begin(queue)
        wrong = auth.send(auth.negotiate_text(), **options)
        assert wrong.status in (nvme.INVALID_FIELD, nvme.SGL_LENGTH_INVALID) and wrong.dnr
        if options.get("tl", 73) in (73, 71):
            wrong = auth.receive(72, **options)
            assert wrong.status in (nvme.INVALID_FIELD, nvme.SGL_LENGTH_INVALID)
        auth.whole()


@pytest.mark.parametrize("options, reason", [
    ({"channel": 1}, nvme_auth.SECURE_CHANNEL), ({"channel": 0xff}, nvme_auth.SECURE_CHANNEL),
    ({"protocol": 2}, nvme_auth.PROTOCOL), ({"protocols": 0}, nvme_auth.PAYLOAD),
    ({"protocols": 2}, nvme_auth.PAYLOAD), ({"protocols": 255}, nvme_auth.PAYLOAD),
    ({"halen": 31}, nvme_auth.PAYLOAD), ({"dhlen": 255}, nvme_auth.PAYLOAD),
    ({"halen": 0}, nvme_auth.NO_HASH), ({"dhlen": 0}, nvme_auth.NO_GROUP)])
def test_security_auth_negotiate(site, options, reason):
    auth = site.begin()
    auth.negotiate(**options)
    assert auth.failure() == reason and auth.failed_tid == auth.tid
    if reason == nvme_auth.SECURE_CHANNEL:
        assert "secure channel concatenation" in site.target.log
    site.works()


def test_negotiate_of_many_protocols(site):
    with site.connect() as queue:
        auth = site.begin(queue)
        text = auth.negotiate_text(protocols=255)
        ours = text[8:]
        others = b"".join(bytes([2 + n % 200]) + ours[1:] for n in range(254))
        assert auth.send(text[:8] + others + ours, in_capsule=False).status == nvme.SUCCESS
        auth.take_challenge()
        auth.reply()
        auth.take_success()


@pytest.mark.parametrize("group", ["null", "ffdhe2048"])
def test_security_auth_reply(site, group):
    for options in ({"hl": 0}, {"hl": 31}, {"hl": 33}, {"hl": 48}, {"hl": 64}, {"hl": 255},
                    {"tid": 0}, {"tid": 0x1235}, {"valid": 2}, {"valid": 255},
                    {"valid": 1, "seq": 0}, {"dhlen": 4}, {"dhlen": 0xffff}, {"dhlen": 0xfffc},
                    {"dhlen": 255}, {"dhlen": 260}):
        auth = site.begin()
        auth.until_reply(hashes=["sha256"], groups=[group])
        auth.reply(**options)
        assert auth.failure() == nvme_auth.PAYLOAD, options


def test_security_auth_every_length(both):
    """Each message in every length from nothing to more than it has."""
    for size in list(range(1, 80)) + [128, 4096]:
        auth = both.begin()
        text = auth.negotiate_text().ljust(size, b"\0")[:size]
        if size == 72:
            continue
        assert auth.send(text).status == nvme.SUCCESS
        assert auth.failure() == nvme_auth.PAYLOAD
    for size in list(range(1, 100)) + [4096]:
        auth = both.begin()
        auth.until_reply(hashes=["sha256"])
        text = auth.reply_text().ljust(size, b"\0")[:size]
        if size == 80:
            continue
        assert auth.send(text).status == nvme.SUCCESS
        assert auth.failure() == nvme_auth.PAYLOAD
    for size in list(range(1, 24)) + [4096]:
        auth = both.begin(ctrlr=CTRLR, ctrlr_kind=2)
        auth.until_reply(hashes=["sha256"])
        auth.reply()
        auth.take_success()
        if size == 16:
            continue
        assert auth.send(auth.success2_text().ljust(size, b"\0")[:size]).status == nvme.SUCCESS
        assert auth.failure() == nvme_auth.PAYLOAD
    both.nvmf.wait_no_connections()
    both.works()


def test_security_auth_room_for_answers(both):
    """What does not fit in what the host allocated is never sent in part."""
    for length, room in ((4, False), (7, False), (8, True), (16, True), (47, True)):
        auth = both.begin()
        auth.negotiate(hashes=["sha256"])
        if room:
            assert auth.failure(length) == nvme_auth.PAYLOAD
        else:
            assert auth.receive(length).status == nvme.INVALID_FIELD
            assert auth.queue.is_closed()
    auth = both.begin(ctrlr=CTRLR, ctrlr_kind=2)
    auth.until_reply(hashes=["sha256"])
    auth.reply()
    assert auth.failure(47) == nvme_auth.PAYLOAD
    with both.connect() as queue:
        auth = both.begin(queue)
        auth.negotiate(hashes=["sha256"])
        auth.take_challenge(48)


def test_security_auth_messages_out_of_turn(both):
    texts = {
        "negotiate": lambda a: a.negotiate_text(),
        "reply": lambda a: a.reply_text(),
        "success2": lambda a: a.success2_text(),
        "failure2": lambda a: a.failure2_text(),
        "success1": lambda a: nvme_auth.head(1, nvme_auth.SUCCESS1, a.tid) + bytes(10),
        "failure1": lambda a: nvme_auth.head(0, nvme_auth.FAILURE1, a.tid) + bytes(2),
        "odd": lambda a: b"\xff" * 72,
    }
    states = {
        "negotiate": lambda a: None,
        "challenge": lambda a: a.negotiate(hashes=["sha256"]),
        "reply": lambda a: a.until_reply(hashes=["sha256"]),
        "success1": lambda a: (a.until_reply(hashes=["sha256"]), a.reply()),
        "success2": lambda a: (a.until_reply(hashes=["sha256"]), a.reply(), a.take_success()),
    }
    right = {("negotiate", "negotiate"), ("reply", "reply"), ("reply", "failure2"),
             ("success2", "success2"), ("success2", "failure2")}
    for state, go in states.items():
        for name, text in texts.items():
            if (state, name) in right:
                continue
            auth = both.begin(ctrlr=CTRLR, ctrlr_kind=2)
            auth.hash, auth.hl, auth.dhlen, auth.challenge, auth.seq = "sha256", 32, 0, b"", 1
            go(auth)
            assert auth.send(text(auth)).status == nvme.SUCCESS
            assert auth.failure() == nvme_auth.MESSAGE, (state, name)
    for go in (states["negotiate"], states["reply"], states["success2"]):
        auth = both.begin(ctrlr=CTRLR, ctrlr_kind=2)
        go(auth)
        assert auth.failure() == nvme_auth.MESSAGE
    for go in (states["reply"], states["success2"]):
        auth = both.begin(ctrlr=CTRLR, ctrlr_kind=2)
        go(auth)
        assert auth.send(auth.failure2_text()).status == nvme.SUCCESS
        assert auth.queue.is_closed()
    both.nvmf.wait_no_connections()
    both.works()


def test_security_auth_random_bytes(both):
    rng = random.Random(20)
    for _ in range(150):
        auth = both.begin(ctrlr=CTRLR, ctrlr_kind=2)
        steps = rng.randrange(3)
        if steps:
            auth.until_reply(hashes=["sha256"])
            text = bytearray(auth.reply_text())
        else:
            text = bytearray(auth.negotiate_text())
        if steps == 2:
            auth.reply()
            auth.take_success()
            text = bytearray(auth.success2_text())
        for _ in range(rng.randrange(1, 6)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        auth.send(bytes(text))
        auth.receive()
        auth.queue.close()
    both.nvmf.wait_no_connections()
    both.works()


def test_security_auth_commands_at_once(site):
    """While one is being worked on others are refused, and nothing is mixed up."""
    with site.connect() as queue:
        auth = site.begin(queue)
        auth.until_reply(groups=["ffdhe8192"])
        text = auth.reply_text()
        cids = [auth.command(nvme_auth.AUTH_SEND, text) for _ in range(4)]
        cids += [auth.command(nvme_auth.AUTH_RECV, length=4096) for _ in range(4)]
        assert queue.wait(cids[0]).status == nvme.SUCCESS
        answers = [queue.wait(cid) for cid in cids[1:]]
        assert {a.status for a in answers} == {nvme.SEQUENCE_ERROR}
        auth.take_success()
        enable(queue)


def test_security_auth_connections_that_end_in_the_middle(site):
    for _ in range(20):
        auth = site.begin()
        auth.negotiate(groups=["ffdhe8192"])
        auth.command(nvme_auth.AUTH_RECV, length=4096)
        auth.queue.abort()
    auth = site.begin()
    auth.until_reply(groups=["ffdhe8192"])
    auth.command(nvme_auth.AUTH_SEND, auth.reply_text())
    auth.queue.close()
    site.nvmf.wait_no_connections()
    site.works()


def test_security_auth_host_goes_while_it_proves_itself(site):
    auth = site.begin()
    auth.until_reply()
    removed = site.nvmf.begin("nvmf_subsystem_remove_host", nqn=NQN, host=HOST)
    assert auth.queue.is_closed() and removed() is True
    site.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=HOST, dhchap_key="key0")
    auth = site.begin()
    auth.until_reply()
    deleted = site.nvmf.begin("nvmf_delete_subsystem", nqn=NQN)
    assert auth.queue.is_closed() and deleted() is True


@pytest.mark.target_options("-m", "0x3", "--disable-cpumask-locks")
def test_security_auth_storm_while_keys_change(target, program, tmp_path):
    """Queues on two reactors, keys that come and go: in with the key of the moment, or not."""
    site = Site(target, program, tmp_path, ctrlr=True)
    site.add_key("key1", OTHER)
    rng = random.Random(7)
    for round_ in range(12):
        queues = [site.connect() for _ in range(6)]
        auths = [site.begin(queue, rng.choice((SECRET, OTHER))) for queue in queues]
        for auth in auths:
            auth.until_reply(groups=[rng.choice(("null", "ffdhe2048"))])
        site.set_keys(*(("key1",) if round_ % 2 else ("key0", "ckey0")))
        now = OTHER if round_ % 2 else SECRET
        for auth in auths:
            auth.reply()
            if auth.key == now:
                auth.take_success()
                assert auth.queue.property_get(nvme.VS).status == nvme.SUCCESS
            else:
                assert auth.failure() == nvme_auth.FAILED
            auth.queue.close()
    site.nvmf.wait_no_connections()


# --- hosts that stop ------------------------------------------------------------------------------

@pytest.fixture
def quick(target, program, tmp_path):
    """A transport that takes timeouts of tenths of seconds."""
    return Site(target, program, tmp_path, kas=1, min_kato=100)


@pytest.mark.parametrize("go", [
    lambda a: None, lambda a: a.negotiate(), lambda a: a.until_reply(),
    lambda a: (a.until_reply(), a.reply()),
    lambda a: a.send(b"\xff" * 20)])
def test_security_auth_hosts_that_stop_halfway(quick, go):
    fds = quick.nvmf.fds()
    with quick.connect(kato=300) as queue:
        go(quick.begin(queue))
        assert queue.is_closed()
    quick.nvmf.wait_no_connections()
    wait_until(lambda: quick.nvmf.fds() == fds, "its descriptors")
    assert "within 300 ms" in quick.target.log


def test_security_auth_io_queue_that_stops_halfway(quick):
    with quick.connect(kato=400) as admin:
        quick.begin(admin).whole()
        enable(admin)
        queue = quick.connect(qid=1, cntlid=admin.cntlid)
        quick.begin(queue).until_reply()

        def gone():
            assert admin.run(nvme.KEEP_ALIVE).status == nvme.SUCCESS
            return [shown["qid"] for shown in quick.qpairs()] == [0]
        wait_until(gone, "the queue to be closed")
        assert queue.is_closed()
        assert "queue 1" in quick.target.log and "connection closed" in quick.target.log


def test_authentication_anew_that_stops_halfway_harms_nothing(quick):
    with quick.connect(kato=400) as admin:
        quick.begin(admin).whole()
        enable(admin)
        quick.begin(admin).until_reply()
        assert quick.qpairs()[0]["auth"]["state"] == "reply"

        def given_up():
            assert admin.run(nvme.KEEP_ALIVE).status == nvme.SUCCESS
            return quick.qpairs()[0]["auth"]["state"] == "completed"
        wait_until(given_up, "the authentication to be given up")
        quick.begin(admin).whole()
        assert admin.identify(1).status == nvme.SUCCESS


# --- again, and other keys ------------------------------------------------------------------------

def test_host_authenticates_again(both):
    with both.connect() as admin:
        both.begin(admin).whole()
        enable(admin)
        with both.connect(qid=1, cntlid=admin.cntlid) as queue:
            both.begin(queue).whole()
            for tid in range(1, 4):
                auth = both.begin(admin, tid=tid, ctrlr=CTRLR, ctrlr_kind=2)
                auth.until_reply(groups=["ffdhe2048"])
                assert both.qpairs()[0]["state"] == "enabled"
                assert admin.identify(1).status == nvme.SUCCESS
                auth.reply()
                auth.take_success()
                assert auth.send(auth.success2_text()).status == nvme.SUCCESS
                both.begin(queue, tid=tid).whole()
                assert queue.read(0, 8).status == nvme.SUCCESS
        auth = both.begin(admin, OTHER)
        auth.until_reply()
        auth.reply()
        assert auth.failure() == nvme_auth.FAILED
    both.nvmf.wait_no_connections()


def test_keys_rotate(both):
    both.add_key("key1", OTHER)
    with both.connect() as admin:
        both.begin(admin).whole()
        enable(admin)
        both.set_keys("key1")
        assert both.rpc.call("nvmf_get_subsystems", nqn=NQN)[0]["hosts"] == \
            [{"nqn": HOST, "dhchap_key": "key1"}]
        assert admin.identify(1).status == nvme.SUCCESS
        assert not both.gets_in() and both.gets_in(key="key1")
        assert not both.gets_in(key="key1", ctrlr="ckey0")
        both.begin(admin, OTHER).whole()
        both.set_keys("key1", "ckey0")
        assert both.gets_in(key="key1", ctrlr="ckey0")
        both.set_keys()
        assert both.rpc.call("nvmf_get_subsystems", nqn=NQN)[0]["hosts"] == [{"nqn": HOST}]
        assert both.gets_in(key=None)
        assert admin.identify(1).status == nvme.SUCCESS
        auth = both.begin(admin, OTHER)
        auth.until_reply()
        auth.reply()
        assert auth.failure() == nvme_auth.FAILED
        assert "nvmf_subsystem_set_keys" in both.target.log


def test_key_that_was_rewritten_is_taken_by_set_keys(site):
    site.key_file("key0", OTHER)
    with site.connect() as queue:
        site.begin(queue).whole()
    site.set_keys("key0")
    with site.connect() as queue:
        site.begin(queue, OTHER).whole()


def test_refused_keys(site):
    rpc = site.rpc
    site.key_file("bad", SECRET)
    (site.folder / "bad").write_text("DHHC-1:00:AAAA:")
    rpc.call("keyring_file_add_key", name="bad", path=str(site.folder / "bad"))
    for method, codes in (("nvmf_subsystem_add_host", (-32602, -32603)),
                          ("nvmf_subsystem_set_keys", (-32602, -22))):
        host = OTHER_HOST if "add" in method else HOST
        error = rpc.error(method, nqn=NQN, host=host, dhchap_key="nope")
        assert error.code == codes[0] and "no key 'nope'" in error.message
        error = rpc.error(method, nqn=NQN, host=host, dhchap_key="key0", dhchap_ctrlr_key="nope")
        assert error.code == codes[0] and '"dhchap_ctrlr_key"' in error.message
        error = rpc.error(method, nqn=NQN, host=host, dhchap_key="bad")
        assert error.code == codes[0] and "DHHC-1:" in error.message
        error = rpc.error(method, nqn=NQN, host=host, dhchap_ctrlr_key="key0")
        assert error.code == codes[1] and "give dhchap_key" in error.message
    error = rpc.error("nvmf_subsystem_set_keys", nqn=NQN, host=OTHER_HOST, dhchap_key="key0")
    assert error.code == -22 and "nvmf_subsystem_add_host" in error.message
    assert rpc.error("nvmf_subsystem_set_keys", nqn=NQN + "x", host=HOST).code == -32602
    assert len(rpc.call("nvmf_get_subsystems", nqn=NQN)[0]["hosts"]) == 1
    site.works()


# --- what is allowed ------------------------------------------------------------------------------

@pytest.mark.target_options("--wait-for-rpc")
def test_digests_and_groups_that_are_allowed(target, program, tmp_path):
    site = Site(target, program, tmp_path, config={"dhchap_digests": ["sha256", "sha384"],
                                                   "dhchap_dhgroups": ["ffdhe2048", "ffdhe3072"]})
    with site.connect() as queue:
        auth = site.begin(queue)
        auth.until_reply(groups=["null", "ffdhe2048", "ffdhe3072", "ffdhe8192"])
        assert (auth.hash, auth.group) == ("sha384", "ffdhe3072")
    auth = site.begin()
    auth.negotiate(hashes=["sha512"], groups=["ffdhe2048"])
    assert auth.failure() == nvme_auth.NO_HASH
    auth = site.begin()
    auth.negotiate(groups=["null", "ffdhe4096"])
    assert auth.failure() == nvme_auth.NO_GROUP
    refused = site.host("--identify", "--dhchap-group", "null")
    assert refused.returncode == 3 and "no Diffie-Hellman group of both" in refused.stderr
    saved = site.rpc.call("framework_get_config", name="nvmf")
    params = [m["params"] for m in saved if m["method"] == "nvmf_set_config"][0]
    assert params["dhchap_digests"] == ["sha256", "sha384"]
    assert params["dhchap_dhgroups"] == ["ffdhe2048", "ffdhe3072"]


def test_all_are_allowed_by_default(site):
    saved = site.rpc.call("framework_get_config", name="nvmf")
    params = [m["params"] for m in saved if m["method"] == "nvmf_set_config"][0]
    assert params["dhchap_digests"] == list(nvme_auth.HASHES)
    assert params["dhchap_dhgroups"] == list(nvme_auth.GROUPS)


def test_security_auth_secrets_are_in_no_log_or_configuration(both, target_factory, program,
                                                              tmp_path):
    rpc = both.rpc
    assert rpc.call("nvmf_get_subsystems", nqn=NQN)[0]["hosts"] == \
        [{"nqn": HOST, "dhchap_key": "key0", "dhchap_ctrlr_key": "ckey0"}]
    auth = both.begin(secret=OTHER)
    auth.until_reply()
    auth.reply()
    assert auth.failure() == nvme_auth.FAILED
    config = tmp_path / "config.json"
    subsystems = [{"subsystem": s["subsystem"],
                   "config": rpc.call("framework_get_config", name=s["subsystem"])}
                  for s in rpc.call("framework_get_subsystems")]
    text = json.dumps({"subsystems": subsystems})
    for secret in (SECRET, CTRLR):
        for told in (text, both.target.log):
            assert key_text(secret).split(":")[2] not in told and secret.hex() not in told
    hosts = [m["params"] for s in subsystems for m in s["config"]
             if m["method"] == "nvmf_subsystem_add_host"]
    assert hosts == [{"nqn": NQN, "host": HOST, "dhchap_key": "key0",
                      "dhchap_ctrlr_key": "ckey0"}]
    config.write_text(text)
    both.target.stop()
    again = target_factory("-c", str(config))
    both.rpc = again.client()
    both.rpc.call("framework_wait_init")
    assert both.gets_in(ctrlr="ckey0") and not both.gets_in(key=None)


# --- a real SPDK ----------------------------------------------------------------------------------

def test_real_spdk_as_host(both, spdk):
    where = {**both.nvmf.listen_address(), "subnqn": NQN, "hostnqn": HOST}
    for name, secret, kind in (("key0", SECRET, 0), ("ckey0", CTRLR, 2), ("wrong", OTHER, 0)):
        spdk.call("keyring_file_add_key", name=name, path=both.key_file(name, secret, kind))

    def attach(**keys):
        return spdk.call("bdev_nvme_attach_controller", name="n", **keys, **where)

    for keys in ({}, {"dhchap_key": "wrong"}, {"dhchap_key": "key0", "dhchap_ctrlr_key": "wrong"}):
        with pytest.raises(RpcError):
            attach(**keys)
    assert attach(dhchap_key="key0", dhchap_ctrlr_key="ckey0") == ["nn1"]
    spdk.call("bdev_lvol_create_lvstore", bdev_name="nn1", lvs_name="s", cluster_sz=65536)
    shown = both.qpairs()
    assert len(shown) > 1
    assert all(q["auth"] == {"state": "completed", "digest": "sha512", "dhgroup": "ffdhe8192"}
               for q in shown)
    # Rotation as SPDK does it: the target first, then its host authenticates its queues anew.
    both.set_keys("key0")
    spdk.call("bdev_nvme_set_keys", name="n", dhchap_key="key0")
    spdk.call("bdev_lvol_create", lvs_name="s", lvol_name="v", size_in_mib=1)
    both.add_key("key1", OTHER)
    both.set_keys("key1")
    with pytest.raises(RpcError):
        spdk.call("bdev_nvme_set_keys", name="n", dhchap_key="key0")
    wait_until(lambda: "its key is another one" in both.target.log, "the log")
    spdk.call("bdev_nvme_detach_controller", name="n")


@pytest.mark.parametrize("digest, group", PAIRS)
def test_real_spdk_with_each_group(both, spdk, digest, group):
    for name in ("key0", "ckey0"):
        spdk.call("keyring_file_add_key", name=name, path=str(both.folder / name))
    spdk.call("bdev_nvme_set_options", dhchap_digests=[digest], dhchap_dhgroups=[group])
    assert spdk.call("bdev_nvme_attach_controller", name="n", dhchap_key="key0",
                     dhchap_ctrlr_key="ckey0", subnqn=NQN, hostnqn=HOST,
                     **both.nvmf.listen_address()) == ["nn1"]
    assert {(q["auth"]["digest"], q["auth"]["dhgroup"]) for q in both.qpairs()} == \
        {(digest, group)}
    spdk.call("bdev_nvme_detach_controller", name="n")

# SPDX-License-Identifier: Apache-2.0
"""The target over TLS: who gets in, with what key, and what an operator sees. Hosts are our own, an
OpenSSL client that says what it likes, and a real SPDK's.

See tests/real_spdk.py.
"""

import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import subprocess
import zlib

import pytest

import nvme_tcp
from conftest import RpcError, free_port, wait_until
from nvmf_target import NQN, Nvmf

HOST = "nqn.2016-06.io.spdk:host1"
OTHER_HOST = "nqn.2016-06.io.spdk:host2"
OTHER_NQN = "nqn.2016-06.io.spdk:cnode2"
SECRET = bytes(range(32))
LONG = bytes(range(48))


def interchange(secret, kind):
    crc = zlib.crc32(secret).to_bytes(4, "little")
    return f"NVMeTLSkey-1:{kind:02}:{base64.b64encode(secret + crc).decode()}:"


def expand(hash_name, secret, label, context):
    """HKDF-Extract without salt, then HKDF-Expand-Label (RFC 8446, 7.1), one block."""
    size = hashlib.new(hash_name).digest_size
    prk = hmac.new(bytes(size), secret, hash_name).digest()
    info = struct.pack(">HB", size, len(label)) + label + bytes([len(context)]) + context
    return hmac.new(prk, info + b"\1", hash_name).digest()


def tls_psk(secret, host, nqn, version=0):
    """What a host makes of a key with a hash: its identity and TLS PSK."""
    name, kind = {32: ("sha256", "01"), 48: ("sha384", "02")}[len(secret)]
    retained = expand(name, secret, b"tls13 HostNQN", host.encode())
    identity = f"NVMe{version}R{kind} {host} {nqn}"
    context = identity
    if version == 1:
        text = f"{host} {nqn} NVMe-over-Fabrics".encode()
        digest = base64.b64encode(hmac.new(retained, text, name).digest()).decode()
        identity, context = f"{identity} {digest}", f"{kind} {digest}"
    return identity, expand(name, retained, b"tls13 nvme-tls-psk", context.encode())


class Tls:
    """A target with one subsystem, whose host has a key."""

    def __init__(self, target, program, folder):
        self.nvmf = Nvmf(target).simple(listen=False, allow_any_host=False)
        self.rpc = self.nvmf.rpc
        self.perf = str(program("cyborg-spdk-perf"))
        self.folder = folder
        self.add_key("key0", SECRET)
        self.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=HOST, psk="key0")
        self.listen()

    def key_file(self, name, secret, kind=None):
        path = self.folder / name
        path.write_text(interchange(secret, len(secret) // 16 - 1 if kind is None else kind))
        path.chmod(0o600)
        return str(path)

    def add_key(self, name, secret, kind=None):
        path = self.key_file(name, secret, kind)
        assert self.rpc.call("keyring_file_add_key", name=name, path=path) is True
        return path

    def listen(self, nqn=NQN, **options):
        return self.rpc.call("nvmf_subsystem_add_listener", nqn=nqn,
                             listen_address=self.nvmf.listen_address(),
                             **(options or {"secure_channel": True}))

    def host(self, *words, nqn=NQN, host=HOST, key="key0"):
        secret = ["--psk", str(self.folder / key)] if key else []
        return subprocess.run([self.perf, *words, "--addr", f"127.0.0.1:{self.nvmf.port}",
                               "--nqn", nqn, "--hostnqn", host, *secret],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def gets_in(self, **options):
        return self.host("--identify", "--prove", **options).returncode == 0


@pytest.fixture
def tls(target, program, tmp_path):
    return Tls(target, program, tmp_path)


class Openssl:
    """A TLS client of its own mind, as a socket that sends and receives what is inside."""

    def __init__(self, port, identity, psk, *words):
        self.sock, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-psk_identity",
             identity, "-psk", psk.hex(), *words],
            stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
        theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        self.process.kill()
        self.process.communicate()

    def connect(self, nqn, hostnqn):
        """The status of a Connect to the admin queue."""
        queue = nvme_tcp.Queue.__new__(nvme_tcp.Queue)
        queue.__dict__.update(sock=self.sock, hdgst=False, ddgst=False, buffer=b"", hpda=0,
                              next_cid=0, pending={}, completed={}, writes={}, r2ts=[],
                              answer_r2t=True)
        self.sock.settimeout(10)
        queue.send(queue.ic_req())
        queue.finish_ic()
        return queue.connect(nqn, hostnqn=hostnqn).status

    def ends(self):
        """The server hung up; what its client says of it."""
        self.sock.settimeout(10)
        assert self.sock.recv(1) == b""
        return self.process.communicate(timeout=10)[1].decode()


# --- who gets in ----------------------------------------------------------------------------------

def test_host_with_the_key(tls):
    assert tls.gets_in()
    result = tls.host("-w", "verify", "-o", "64K", "-P", "2", "--quiet")
    assert result.returncode == 0 and "0 wrong blocks" in result.stdout
    result = tls.host("-w", "verify", "-o", "3K", "-q", "64", "--quiet", "--hdgst", "--ddgst",
                      "--length", "1500K")
    assert result.returncode == 0 and "0 wrong blocks" in result.stdout


@pytest.mark.parametrize("secret, kind", [(SECRET, 0), (LONG, 0), (LONG, 2)],
                         ids=["none", "none-long", "SHA-384"])
def test_other_keys(tls, secret, kind):
    tls.add_key("key1", secret, kind)
    tls.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=OTHER_HOST, psk="key1")
    assert tls.gets_in(host=OTHER_HOST, key="key1")
    assert not tls.gets_in(host=OTHER_HOST, key="key0")


@pytest.mark.parametrize("version", [0, 1])
def test_identities_of_both_versions(tls, version):
    with Openssl(tls.nvmf.port, *tls_psk(SECRET, HOST, NQN, version), "-ciphersuites",
                 "TLS_AES_128_GCM_SHA256") as client:
        assert client.connect(NQN, HOST) == nvme_tcp.SUCCESS


def test_suite_follows_the_key(tls):
    with Openssl(tls.nvmf.port, *tls_psk(SECRET, HOST, NQN), "-ciphersuites",
                 "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256") as client:
        assert client.connect(NQN, HOST) == nvme_tcp.SUCCESS


def test_security_tls_wrong_key_host_or_subsystem(tls):
    tls.key_file("wrong", SECRET[::-1])
    for options in ({"key": "wrong"}, {"host": OTHER_HOST}, {"nqn": OTHER_NQN}, {"key": None}):
        result = tls.host("--identify", **options)
        assert result.returncode == 3, options
    assert tls.gets_in()


def test_security_tls_key_of_another(tls):
    """A host has the key of its own, and says in Connect that it is another, or wants another's."""
    tls.add_key("key1", LONG)
    tls.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=OTHER_HOST, psk="key1")
    tls.rpc.call("nvmf_create_subsystem", nqn=OTHER_NQN)
    tls.rpc.call("nvmf_subsystem_add_host", nqn=OTHER_NQN, host=HOST)
    tls.listen(OTHER_NQN)
    invalid_host = nvme_tcp.status(1, 0x84)
    for nqn, host in ((NQN, OTHER_HOST), (OTHER_NQN, HOST), (NQN, HOST + "\0")):
        with Openssl(tls.nvmf.port, *tls_psk(SECRET, HOST, NQN)) as client:
            expected = nvme_tcp.SUCCESS if host == HOST + "\0" else invalid_host
            assert client.connect(nqn, host) == expected, (nqn, host)


def test_security_tls_host_that_is_removed(tls):
    process = subprocess.Popen([tls.perf, "--addr", f"127.0.0.1:{tls.nvmf.port}", "--nqn", NQN,
                                "--hostnqn", HOST, "--psk", str(tls.folder / "key0"), "-t", "60",
                                "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: tls.nvmf.connections() > 1, "the host to come")
    tls.rpc.call("nvmf_subsystem_remove_host", nqn=NQN, host=HOST)
    assert process.wait(30) != 0
    assert not tls.gets_in()
    tls.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=HOST)
    assert not tls.gets_in()
    tls.rpc.call("nvmf_subsystem_remove_host", nqn=NQN, host=HOST)
    tls.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=HOST, psk="key0")
    assert tls.gets_in()


# --- what comes from the network ------------------------------------------------------------------

def test_security_tls_no_older_version(tls):
    for words in (["-tls1_2"], ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]):
        with Openssl(tls.nvmf.port, *tls_psk(SECRET, HOST, NQN), *words) as client:
            assert "alert" in client.ends()
    assert tls.gets_in()


def test_security_tls_plain_host_is_not_answered(tls):
    with pytest.raises((nvme_tcp.Closed, ConnectionError, AssertionError)):
        nvme_tcp.Queue(tls.nvmf.address)
    assert tls.nvmf.connections() == 0 and tls.gets_in()


def test_security_tls_host_takes_no_certificate(program, tmp_path):
    """A server that cannot prove the key, but shows a certificate: nothing is said to it."""
    key, port = tmp_path / "server.key", free_port()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", key,
                    "-out", tmp_path / "server.pem"], check=True, stderr=subprocess.DEVNULL)
    psk = tmp_path / "psk"
    psk.write_text(interchange(SECRET, 1))
    psk.chmod(0o600)
    with subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert",
                           tmp_path / "server.pem", "-key", key, "-tls1_3", "-quiet"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as server:
        wait_until(lambda: accepts(port), "openssl to listen")
        result = subprocess.run([str(program("cyborg-spdk-perf")), "--identify", "--addr",
                                 f"127.0.0.1:{port}", "--nqn", NQN, "--hostnqn", HOST, "--psk",
                                 str(psk)], stderr=subprocess.PIPE, text=True)
        server.terminate()
        assert server.communicate()[0] == b""
    assert result.returncode == 3 and "no pre-shared key that both sides know" in result.stderr


def accepts(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def pieces():
    """Bytes that no handshake begins with, or breaks in."""
    yield os.urandom(4096)
    yield b"GET / HTTP/1.1\r\n\r\n"
    yield b"\x16\x03\x01\xff\xff" + bytes(70000)
    yield b"\x16\x03\x01\x00\x00" * 2000
    yield b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16384 * 4)
    yield b"\x17\x03\x03\x00\x20" + os.urandom(32)
    yield b"\x15\x03\x03\x00\x02\x02\x28"
    yield b"\x14\x03\x03\x00\x01\x01" * 1000


def test_security_tls_hostile_bytes(tls):
    for data in pieces():
        with socket.create_connection(tls.nvmf.address, 10) as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except ConnectionError:
                pass
    tls.nvmf.wait_no_connections()
    assert tls.gets_in()


def test_security_tls_slow_handshake_is_ended(tls):
    """As any connection without a Connect; those that wait hold nobody up."""
    waiting = [socket.create_connection(tls.nvmf.address, 30) for _ in range(20)]
    for i, s in enumerate(waiting):
        s.sendall(b"\x16\x03\x01\x02\x00\x01"[:1 + i % 6])
    assert tls.gets_in()
    for s in waiting:
        assert s.recv(1) == b""
        s.close()
    tls.nvmf.wait_no_connections()


# --- what an operator does and sees ---------------------------------------------------------------

def test_security_tls_port_is_secure_or_not(tls):
    tls.rpc.call("nvmf_create_subsystem", nqn=OTHER_NQN)
    with pytest.raises(RpcError, match="with TLS"):
        tls.listen(OTHER_NQN, secure_channel=False)
    plain = {"nqn": OTHER_NQN, "listen_address": tls.nvmf.listen_address(free_port())}
    tls.rpc.call("nvmf_subsystem_add_listener", **plain)
    with pytest.raises(RpcError, match="without TLS"):
        tls.rpc.call("nvmf_subsystem_add_listener",
                     **{**plain, "nqn": NQN, "secure_channel": True})


def test_tls_is_not_for_any_host(tls):
    tls.rpc.call("nvmf_create_subsystem", nqn=OTHER_NQN, allow_any_host=True)
    with pytest.raises(RpcError, match="any host"):
        tls.listen(OTHER_NQN)
    tls.rpc.call("nvmf_subsystem_allow_any_host", nqn=NQN, allow_any_host=True)
    assert tls.gets_in() and not tls.gets_in(host=OTHER_HOST)


def test_sock_impl_ssl_is_the_same(tls):
    tls.rpc.call("nvmf_subsystem_remove_listener", nqn=NQN,
                 listen_address=tls.nvmf.listen_address())
    with pytest.raises(RpcError, match="sock_impl"):
        tls.listen(secure_channel=True, sock_impl="posix")
    tls.listen(sock_impl="ssl")
    assert tls.gets_in() and not tls.gets_in(key=None)


def test_keyring(tls):
    rpc, path = tls.rpc, str(tls.folder / "key0")
    (shown,) = rpc.call("keyring_get_keys")
    assert shown["name"] == "key0" and shown["path"] == path and not shown["removed"]
    assert rpc.error("keyring_file_add_key", name="key0", path=path).code == -17
    assert rpc.error("keyring_file_add_key", name="a", path="key0").code == -1
    assert rpc.error("keyring_file_add_key", name="a", path="/nonexistent").code == -2
    os.chmod(path, 0o640)
    assert rpc.error("keyring_file_add_key", name="a", path=path).code == -1
    assert "chmod 600" in rpc.error("nvmf_subsystem_add_host", nqn=NQN, host=OTHER_HOST,
                                    psk="key0").message
    assert rpc.error("keyring_file_remove_key", name="a").code == -2
    assert rpc.error("nvmf_subsystem_add_host", nqn=NQN, host=OTHER_HOST, psk="a").code == -32603
    assert rpc.call("keyring_file_remove_key", name="key0") is True
    os.chmod(path, 0o600)
    assert rpc.call("keyring_get_keys") == [] and tls.gets_in()


def test_discovery_says_secure(tls):
    tls.rpc.call("nvmf_subsystem_add_listener", nqn="nqn.2014-08.org.nvmexpress.discovery",
                 listen_address=tls.nvmf.listen_address(free_port()))
    with nvme_tcp.Controller(("127.0.0.1", int(tls.rpc.call(
            "nvmf_get_subsystems")[0]["listen_addresses"][0]["trsvcid"])),
            "nqn.2014-08.org.nvmexpress.discovery", hostnqn=HOST) as ctrlr:
        log = ctrlr.admin.log_page(0x70, 4096).data
    entries = [log[1024 + 1024 * i:][:1024] for i in range(struct.unpack("<Q", log[8:16])[0])]
    secure = {e[256:512].rstrip(b"\0").decode(): (e[3] & 3, e[768]) for e in entries}
    assert secure[NQN] == (1, 2)


def test_configuration_is_saved(tls, target_factory, program):
    config = {}
    for name in ("keyring", "bdev", "nvmf"):
        config[name] = tls.rpc.call("framework_get_config", name=name)
    text = json.dumps(config)
    assert base64.b64encode(SECRET)[:20].decode() not in text
    assert {"method": "nvmf_subsystem_add_host",
            "params": {"nqn": NQN, "host": HOST, "psk": "key0"}} in config["nvmf"]
    path = tls.folder / "config.json"
    path.write_text(json.dumps({"subsystems": [{"subsystem": k, "config": v}
                                               for k, v in config.items()]}))
    tls.nvmf.rpc.call("nvmf_subsystem_remove_listener", nqn=NQN,
                      listen_address=tls.nvmf.listen_address())
    assert target_factory("-c", str(path)).call("keyring_get_keys")
    assert tls.gets_in() and not tls.gets_in(key=None)


def test_security_tls_secret_is_in_no_log(tls):
    tls.key_file("wrong", SECRET[::-1])
    tls.host("--identify", key="wrong")
    assert tls.gets_in()
    said = tls.nvmf.target.log
    assert "TLS: the other side has another pre-shared key" in said
    for secret in (SECRET, tls_psk(SECRET, HOST, NQN)[1]):
        assert secret.hex() not in said and base64.b64encode(secret)[:20].decode() not in said


# --- a real SPDK as the host ----------------------------------------------------------------------

@pytest.mark.parametrize("secret, kind", [(SECRET, 1), (LONG, 2), (SECRET, 0)],
                         ids=["SHA-256", "SHA-384", "none"])
def test_real_spdk_as_host(tls, spdk, secret, kind):
    path = tls.add_key("key1", secret, kind)
    tls.rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=OTHER_HOST, psk="key1")
    spdk.call("keyring_file_add_key", name="key1", path=path)
    spdk.call("keyring_file_add_key", name="wrong", path=tls.key_file("wrong", secret[::-1]))
    where = {**tls.nvmf.listen_address(), "subnqn": NQN, "hostnqn": OTHER_HOST}
    with pytest.raises(RpcError):
        spdk.call("bdev_nvme_attach_controller", name="w", psk="wrong", **where)
    with pytest.raises(RpcError):
        spdk.call("bdev_nvme_attach_controller", name="p", **where)
    assert spdk.call("bdev_nvme_attach_controller", name="n", psk="key1", **where) == ["nn1"]
    spdk.call("bdev_lvol_create_lvstore", bdev_name="nn1", lvs_name="s", cluster_sz=65536)
    spdk.call("bdev_nvme_detach_controller", name="n")
    spdk.call("bdev_nvme_attach_controller", name="n", psk="key1", **where)
    wait_until(lambda: spdk.call("bdev_lvol_get_lvstores"), "the store to be found again")
    spdk.call("bdev_nvme_detach_controller", name="n")

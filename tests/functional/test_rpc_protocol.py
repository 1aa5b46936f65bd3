# SPDX-License-Identifier: Apache-2.0
"""JSON-RPC 2.0 as SPDK speaks it, on a running target."""

import json
import socket
import stat

import pytest

LEVEL = '{"jsonrpc":"2.0","method":"log_get_level","id":%s}'
NOTICE = '{"jsonrpc":"2.0","id":%s,"result":"NOTICE"}\n'


def exchange(target, data, shut=True):
    """Send raw bytes on a connection of their own; everything that comes back."""
    client = target.client()
    try:
        client.send(data)
        if shut:
            client.sock.shutdown(socket.SHUT_WR)
    except BrokenPipeError:
        pass
    received = b""
    try:
        while chunk := client.sock.recv(1 << 20):
            received += chunk
    except ConnectionResetError:
        pass
    return received.decode()


def test_mode_of_the_socket(target):
    mode = target.sock.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize("spelled", ["0", "-5", "-0", "1.5", "1e3", "18446744073709551616",
                                     '""', '"\\u00E9\\n\\"q\\""'])
def test_ids_come_back_as_spelled(target, spelled):
    assert exchange(target, LEVEL % spelled) == NOTICE % spelled


def test_order_of_completion(target):
    slow = '{"method":"bdev_get_bdevs","params":{"name":"nope","timeout":50},"id":1}'
    lines = exchange(target, slow + LEVEL % 2).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [2, 1]
    assert json.loads(lines[1])["error"]["code"] == -110


def test_bdev_that_appears_while_one_waits(rpc):
    rpc.send('{"method":"bdev_get_bdevs","params":{"name":"x0","timeout":30000},"id":1}')
    rpc.send('{"method":"bdev_null_create","id":2,'
             '"params":{"name":"x0","num_blocks":10,"block_size":512}}')
    assert rpc.receive() == {"jsonrpc": "2.0", "id": 2, "result": "x0"}
    answer = rpc.receive()
    assert answer["id"] == 1 and answer["result"][0]["name"] == "x0"


def test_batches(rpc):
    answers = rpc.batch([("bdev_malloc_create", {"name": "m", "num_blocks": 8, "block_size": 512}),
                         ("bdev_get_bdevs", {"name": "m"}),
                         ("bdev_malloc_delete", {"name": "m"}),
                         ("no_such_method", None)])
    assert answers[0]["result"] == "m"
    assert answers[1]["result"][0]["num_blocks"] == 8
    assert answers[2]["result"] is True
    assert answers[3]["error"]["code"] == -32601


def test_errors_come_after_what_is_owed(target):
    slow = '{"method":"bdev_get_bdevs","params":{"name":"nope","timeout":20},"id":1}'
    lines = [json.loads(line) for line in exchange(target, slow + "}" + LEVEL % 3).splitlines()]
    assert [(a["id"], a["error"]["code"]) for a in lines] == [(1, -110), (None, -32700)]


# The first breaks the text here, which ends the connection; of the others only a part was recorded.
DIFFERENT = {"escaped NUL in a string parameter",
             "async bdev_get_bdevs with timeout, then a quick request on the same connection",
             "slow request, then close by the client"}


def test_transcript_of_the_protocol(target, reference):
    """Every exchange that a real SPDK closed or answered: ours answers all of them."""
    with open(reference / "transcripts" / "08_protocol.jsonl", encoding="utf-8") as f:
        steps = [json.loads(line) for line in f]
    held = 0
    for step in steps:
        parts = [p["text"] for p in step.get("in", []) if "text" in p]
        expected = step.get("out", {}).get("text")
        if len(parts) != len(step.get("in", [])) or expected is None or DIFFERENT & {step["note"]}:
            continue
        text = exchange(target, "".join(parts))
        answers = [json.loads(line) for line in text.splitlines()]
        if step["closed_by_server"] and "then" not in step:
            assert answers[-1]["id"] is None, step["note"]
            assert answers[-1]["error"]["code"] == -32700, step["note"]
        else:
            wanted = [json.loads(line) for line in expected.splitlines()]
            assert without_words(answers) == without_words(wanted), step["note"]
        held += 1
    assert held > 90


def without_words(answers):
    """Messages of errors are better here: the rest of an answer must be the same."""
    if isinstance(answers, list):
        return [without_words(answer) for answer in answers]
    if "error" in answers:
        return {**answers, "error": answers["error"]["code"]}
    return answers


# --- what systems of this kind fell over ------------------------------------------------------

def test_security_rpc_deep_nesting(target, rpc):
    answer = json.loads(exchange(target, '{"method":"log_get_level","id":1,"params":' + "[" * 100000))
    assert answer["error"]["code"] == -32600
    assert "over the limit of 128 arrays and objects in each other" in answer["error"]["message"]
    assert rpc.call("log_get_level") == "NOTICE"


def test_security_rpc_huge_numbers(rpc):
    for number in ("9" * 5000, "1e999999999999999999", "-" + "9" * 400, "1." + "0" * 4000 + "1"):
        rpc.send('{"method":"bdev_null_create","id":1,"params":{"name":"n","block_size":512,'
                 '"num_blocks":%s}}' % number)
        answer = rpc.receive()
        assert answer["error"]["code"] == -32603
        assert '"num_blocks" is ' in answer["error"]["message"]
        assert len(answer["error"]["message"]) < 600


def test_security_rpc_unpaired_surrogates(target, rpc):
    for text in ("\\ud800", "\\udc00", "\\ud800\\ud800", "\\udbff\\u0041", "\\ud83d"):
        answer = json.loads(exchange(
            target, '{"method":"bdev_get_bdevs","params":{"name":"%s"},"id":1}' % text))
        assert answer["id"] is None and answer["error"]["code"] == -32700
        assert "surrogate" in answer["error"]["message"]
    assert rpc.call("log_get_level") == "NOTICE"


def test_security_rpc_request_without_end(target, rpc):
    client = target.client()
    chunk = b'{"method":"' + b"x" * 65536
    with pytest.raises(OSError):
        for _ in range(1000):
            client.sock.sendall(chunk)
            chunk = b"x" * 65536
    assert "over the limit of 1048576 bytes" in client.sock.recv(4096).decode()
    assert rpc.call("log_get_level") == "NOTICE"


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_security_rpc_client_without_reading(target, rpc):
    """Clients that ask for a lot and read nothing cost a bounded amount, others are served."""
    for i in range(100):
        rpc.call("bdev_null_create", name=f"null{i}", num_blocks=100, block_size=512)
    rpc.call("bdev_get_bdevs")
    before = resident_kib(target.pid)
    request = b'{"jsonrpc":"2.0","method":"bdev_get_bdevs","id":1}' * 1000
    for _ in range(8):
        client = target.client()
        client.sock.setblocking(False)
        try:
            while True:
                client.sock.send(request)
        except BlockingIOError:
            pass
    for _ in range(100):
        assert rpc.call("log_get_level") == "NOTICE"
    with open(f"/proc/{target.pid}/maps", encoding="utf-8") as f:
        if "libasan" in f.read():
            pytest.skip("AddressSanitizer keeps what was freed")
    # 8 clients with 1 MiB of answers each, buffers doubling as they grow.
    assert resident_kib(target.pid) - before < 64 * 1024


def test_security_rpc_too_many_clients(target, rpc):
    clients = [target.client() for _ in range(140)]
    extra = clients[-1]
    answer = extra.receive()
    assert answer["id"] is None and answer["error"]["code"] == -16
    assert "128 clients are connected, which is the limit" in answer["error"]["message"]
    assert extra.is_closed()
    assert rpc.call("log_get_level") == clients[0].call("log_get_level") == "NOTICE"


def test_security_rpc_clients_that_go(target, rpc):
    """A client that leaves requests behind leaves nothing else."""
    slow = '{"method":"bdev_get_bdevs","params":{"name":"nope","timeout":3600000},"id":%d}'
    for i in range(300):
        client = target.client()
        client.send("".join(slow % n for n in range(20)))
        if i % 2:
            client.send('{"half')
        client.close()
        if i % 20 == 0:
            assert rpc.call("log_get_level") == "NOTICE"
    assert rpc.call("log_get_level") == "NOTICE"

# SPDX-License-Identifier: Apache-2.0
"""A virtual machine's side of vhost-user, as far as tests need one: it has a disk open and reads
its rights and capacity."""

import socket
import struct

GET_FEATURES, SET_FEATURES, SET_OWNER = 1, 2, 3
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_CONFIG = 15, 16, 24
F_READ_ONLY, F_PROTOCOL, PROTOCOL_F_CONFIG = 1 << 5, 1 << 30, 1 << 9
CONFIG_SIZE = 60


class Machine:
    """Has the disk of an attach's answer open until close()."""

    def __init__(self, answer):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(answer["data"]["device_path"])
        self.features = self.ask_u64(GET_FEATURES)
        assert self.features & F_PROTOCOL
        assert self.ask_u64(GET_PROTOCOL_FEATURES) & PROTOCOL_F_CONFIG
        self.tell(SET_PROTOCOL_FEATURES, struct.pack("<Q", PROTOCOL_F_CONFIG))
        self.tell(SET_OWNER)
        config = self.ask(GET_CONFIG, struct.pack("<III", 0, CONFIG_SIZE, 0) + bytes(CONFIG_SIZE))
        self.size = struct.unpack_from("<Q", config, 12)[0] * 512
        self.read_only = bool(self.features & F_READ_ONLY)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def tell(self, request, payload=b""):
        self.socket.sendall(struct.pack("<III", request, 1, len(payload)) + payload)

    def take(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            assert more, "the target closed the connection"
            data += more
        return data

    def ask(self, request, payload=b""):
        self.tell(request, payload)
        answered, _, size = struct.unpack("<III", self.take(12))
        assert answered == request
        return self.take(size)

    def ask_u64(self, request):
        return struct.unpack("<Q", self.ask(request))[0]

    def is_cut_off(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def is_cut_off_now(self):
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(10)

# SPDX-License-Identifier: Apache-2.0
"""A target with logical volumes: stores on files, content read and written as a host does it."""

import hashlib
import lzma
import os

import nvme_tcp as nvme
from nvmf_target import Nvmf

MIB = 1024 * 1024
NQN = "nqn.2016-06.io.spdk:lvols"
PIECE = 128 * 1024
DEPTH = 16


def pattern(tag, size):
    """The same 16 bytes in each unit of 4096, and so different from unit to unit."""
    name = tag[:8].ljust(8, ".").encode()
    return b"".join((name + b"%08x" % i) * 256 for i in range(size // 4096))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def unpack(image, path):
    """A sparse copy of a packed image."""
    with lzma.open(image) as packed, open(path, "wb") as out:
        size = 0
        while piece := packed.read(MIB):
            size += len(piece)
            if piece.strip(b"\0"):
                out.write(piece)
            else:
                out.seek(len(piece), os.SEEK_CUR)
        out.truncate(size)


class Volume:
    """A volume with a host on it; blocks are counted in bytes."""

    def __init__(self, lvols, name):
        self.lvols, self.name = lvols, name
        info = lvols.bdev(name)
        self.block, self.size = info["block_size"], info["block_size"] * info["num_blocks"]
        self.nsid = lvols.rpc.call("nvmf_subsystem_add_ns", nqn=NQN,
                                   namespace={"bdev_name": name})
        self.controller = lvols.nvmf.controller(NQN)
        self.queue = self.controller.io_queue()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self, remove=True):
        self.controller.close()
        if remove:
            self.lvols.rpc.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=self.nsid)

    def begin_read(self, offset, size):
        return self.queue.submit(nvme.READ, read=size, nsid=self.nsid, **self.fields(offset, size))

    def fields(self, offset, size):
        assert offset % self.block == 0 and size % self.block == 0
        lba, blocks = offset // self.block, size // self.block
        return {"cdw10": lba & 0xffffffff, "cdw11": lba >> 32, "cdw12": blocks - 1}

    def read(self, offset=0, size=None):
        size = self.size - offset if size is None else size
        pieces = [(at, min(PIECE, offset + size - at)) for at in range(offset, offset + size, PIECE)]
        data = []
        for first in range(0, len(pieces), DEPTH):
            for cid in [self.begin_read(at, n) for at, n in pieces[first:first + DEPTH]]:
                cpl = self.queue.wait(cid)
                assert cpl.status == nvme.SUCCESS, cpl
                data.append(cpl.data)
        return b"".join(data)

    def run(self, opcode, offset, size, data=b"", dw12=0):
        fields = self.fields(offset, size)
        fields["cdw12"] |= dw12
        return self.queue.run(opcode, data, in_capsule=False, nsid=self.nsid, **fields)

    def write(self, offset, data, dw12=0):
        """Write; the status of the last piece, or of that which failed."""
        for at in range(0, len(data), PIECE):
            piece = data[at:at + PIECE]
            cpl = self.run(nvme.WRITE, offset + at, len(piece), piece, dw12)
            if cpl.status != nvme.SUCCESS:
                break
        return cpl.status

    def fill(self, offset, data):
        assert self.write(offset, data) == nvme.SUCCESS

    def flush(self):
        assert self.queue.run(nvme.FLUSH, nsid=self.nsid).status == nvme.SUCCESS


class Lvols:
    """What tests need of the target."""

    def __init__(self, target, folder):
        self.target, self.folder = target, folder
        self.rpc = target.client()
        self.nvmf = Nvmf(target)
        self.nvmf.subsystem(NQN, bdevs=())

    # --- stores

    def attach(self, path, name="aio0", block_size=512, kind="aio", **options):
        self.rpc.call(f"bdev_{kind}_create", name=name, filename=str(path), block_size=block_size,
                      **options)
        self.rpc.call("bdev_wait_for_examine")

    def file(self, size=64 * MIB, name="aio0", block_size=512, **options):
        path = self.folder / f"{name}.img"
        with open(path, "wb") as f:
            f.truncate(size)
        self.attach(path, name, block_size, **options)
        return path

    def store(self, name="lvs0", base="aio0", cluster=MIB, **options):
        return self.rpc.call("bdev_lvol_create_lvstore", bdev_name=base, lvs_name=name,
                             cluster_sz=cluster, **options)

    def simple(self, **options):
        """A store of 64 MiB with clusters of 1 MiB, on a file."""
        self.file(**options)
        self.store()
        return self

    def stores(self):
        return {s["name"]: s for s in self.rpc.call("bdev_lvol_get_lvstores")}

    def free(self, store="lvs0"):
        return self.stores()[store]["free_clusters"]

    # --- volumes

    def create(self, name, mib, store="lvs0", **options):
        return self.rpc.call("bdev_lvol_create", lvol_name=name, size_in_mib=mib, lvs_name=store,
                             **options)

    def snapshot(self, name, snapshot):
        return self.rpc.call("bdev_lvol_snapshot", lvol_name=name, snapshot_name=snapshot)

    def clone(self, snapshot, name):
        return self.rpc.call("bdev_lvol_clone", snapshot_name=snapshot, clone_name=name)

    def delete(self, name):
        assert self.rpc.call("bdev_lvol_delete", name=name) is True

    def bdev(self, name):
        return self.rpc.call("bdev_get_bdevs", name=name)[0]

    def specific(self, name):
        return self.bdev(name)["driver_specific"]["lvol"]

    def lvols(self):
        return {v["alias"]: v for v in self.rpc.call("bdev_lvol_get_lvols")}

    # --- content

    def host(self, name):
        return Volume(self, name)

    def content(self, name):
        if self.bdev(name)["num_blocks"] == 0:
            return b""
        with self.host(name) as volume:
            return volume.read()

    def hash(self, name):
        return sha256(self.content(name))

    def write(self, name, offset, data):
        with self.host(name) as volume:
            volume.fill(offset, data)
            volume.flush()

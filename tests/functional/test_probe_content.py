# SPDX-License-Identifier: Apache-2.0
"""What counts as data: each format by its own name, and bytes of no format wherever they stand.

Formats whose tools Debian's main archive has not (ZFS, VMFS, APFS) are made of the bytes by which
libblkid knows them; tests/guest/test_in_use.py has those whose tools are there.
"""

import os
import struct

import pytest

SIZE = 64 << 20


def zfs(image):
    """Uberblocks in each of the four labels."""
    for label in 0, 256 << 10, SIZE - (512 << 10), SIZE - (256 << 10):
        for block in range(8):
            at = label + (128 << 10) + (block << 10)
            image[at:at + 8] = struct.pack("<Q", 0x00bab10c)


def bluestore(image):
    image[0:23] = b"bluestore block device\n"


def vmfs(image):
    image[1 << 20:(1 << 20) + 4] = b"\x0d\xd0\x01\xc0"


def apfs(image):
    image[0:40] = struct.pack("<QQQHHHH4sI", 1, 1, 1, 1, 0, 0, 0, b"NXSB", 4096)


def fat(image):
    image[0:22] = struct.pack("<3s8sHBHBHHB", b"\xeb\x3c\x90", b"mkfs.fat", 512, 4, 1, 2, 512,
                              32768, 0xf8)
    image[22:24] = struct.pack("<H", 32)
    image[54:62] = b"FAT16   "
    image[510:512] = b"\x55\xaa"


def ntfs(image):
    image[0:11] = b"\xeb\x52\x90NTFS    "
    image[11:14] = struct.pack("<HB", 512, 8)
    image[21] = 0xf8
    image[40:72] = struct.pack("<QQQbxxxbxxx", SIZE // 512 - 1, 4, 8, -10, 1)
    image[510:512] = b"\x55\xaa"
    for record in 4 * 4096, 8 * 4096, 4 * 4096 + 3 * 1024:
        image[record:record + 4] = b"FILE"


def hybrid_iso(image):
    image[510:512] = b"\x55\xaa"
    image[446:462] = struct.pack("<B3xB3xII", 0x80, 0x17, 0, SIZE // 512)
    image[32768:32775] = b"\x01CD001\x01"


def md_at_the_end(image):
    """Version 0.90, in the last but one 64 KiB."""
    at = (SIZE & ~0xffff) - 0x10000
    image[at:at + 12] = struct.pack("<III", 0xa92b4efc, 0, 90)


FORMATS = {zfs: "zfs_member", bluestore: "ceph_bluestore", vmfs: "VMFS_volume_member",
           apfs: "apfs", fat: "vfat", ntfs: "ntfs", hybrid_iso: "iso9660",
           md_at_the_end: "super block of an MD array"}


class Image:
    """A sparse file of SIZE, written to as if it were bytes."""

    def __init__(self, path):
        self.path = path
        path.touch()
        os.truncate(path, SIZE)

    def __setitem__(self, where, data):
        with open(self.path, "r+b") as file:
            file.seek(where.start if isinstance(where, slice) else where)
            file.write(data if isinstance(data, bytes) else bytes([data]))


def refused_and_forced(cli, path, words):
    """Not without its serial, which the refusal tells; with it, yes."""
    failure = cli.refused("install", "a", "--backing", path)
    assert failure.code == 3 and words in failure.message
    serial = failure.message.rpartition("--force ")[2].split()[0]
    assert cli("install", "a", "--backing", path, "--force", serial, "--dry-run")["dry_run"]


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
def test_security_format_is_data(cli, tmp_path, write):
    image = Image(tmp_path / "image")
    write(image)
    refused_and_forced(cli, image.path, FORMATS[write])


def test_security_backup_of_a_partition_table_is_data(cli, tmp_path):
    """The table at the front was wiped; the copy in the last block brings it back."""
    image = Image(tmp_path / "image")
    image[SIZE - 512:] = b"EFI PART" + bytes(84)
    refused_and_forced(cli, image.path, "not empty")


@pytest.mark.parametrize("at", [4096, SIZE // 2 + 777, SIZE - (1 << 20) - 1])
def test_security_a_byte_anywhere_is_data(cli, tmp_path, at):
    image = Image(tmp_path / "image")
    image[at] = 1
    refused_and_forced(cli, image.path, "not empty")


def test_written_zeroes_are_no_data(cli, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(8 << 20))
    assert cli("install", "a", "--backing", path, "--dry-run")["dry_run"]

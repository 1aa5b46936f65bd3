#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hold the layers: a room includes headers of the rooms below it, never above.

usage: check-layers.py [SOURCE-FOLDER]

The table is docs/architecture.md's. Exit code 1 when an include breaks it.
"""

import re
import sys
from pathlib import Path

# A room, and the rooms or single headers that it may include, with what those may include.
MAY_USE = {
    "base": [],
    "reactor": ["base"],
    "net": ["reactor"],
    "bdev": ["reactor"],
    "nvme": ["net", "reactor"],
    "bdev_modules": ["bdev", "nvme", "net"],
    "nvmf": ["bdev", "net", "nvme/auth_message.h", "nvme/dhchap.h", "nvme/psk.h", "nvme/spec.h",
             "nvme/tcp_pdu.h"],
    "blob": ["bdev"],
    "lvol": ["blob"],
    "rpc": ["nvmf", "lvol", "bdev_modules", "nvme"],
    "tgt": ["rpc"],
    "perf": ["nvme"],
    "probe": ["base"],
    "supervise": ["base"],
    "blobtool": ["lvol", "probe"],
    "driver": ["probe", "base"],
    "agent": ["driver"],
    "cli": ["driver"],
}
# Only the driver and what stands on it know the public API.
PUBLIC = {"driver", "agent", "cli"}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<(cyborg-spdk/[^>]+)>)', re.MULTILINE)


def allowed(room):
    """All that a room may include, through the rooms below."""
    found, todo = set(), list(MAY_USE[room])
    while todo:
        item = todo.pop()
        if item not in found:
            found.add(item)
            todo += MAY_USE.get(item, [])
    return found


def complaints(source):
    """(file, text) for each include that breaks a rule."""
    for room in sorted(path for path in source.iterdir() if path.is_dir()):
        if room.name not in MAY_USE:
            yield room, "a room that tools/check-layers.py does not know: give it its place there"
            continue
        below = allowed(room.name)
        for file in sorted([*room.rglob("*.c"), *room.rglob("*.h")]):
            for quoted, public in INCLUDE.findall(file.read_text()):
                if public:
                    if room.name not in PUBLIC:
                        yield file, f"includes {public}: the public API is the driver's"
                    continue
                other = quoted.split("/")[0] if "/" in quoted else room.name
                if other not in MAY_USE or other == room.name:
                    continue
                if other not in below and quoted not in below:
                    yield file, (f'includes "{quoted}": {room.name} may use '
                                 f"{', '.join(sorted(below)) or 'no room'}")


def main():
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "src"
    broken = list(complaints(source))
    for file, text in broken:
        print(f"{file}: {text}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

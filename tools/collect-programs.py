#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Put the programs that a Meson build folder would install side by side into one folder.

usage: collect-programs.py BUILD-FOLDER BIN-FOLDER

Copies, not links: a program finds its neighbours beside its own real path.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path


def is_current(source, copy):
    """Made of this very build: a relinked program has a newer time."""
    return copy.exists() and copy.stat().st_mtime_ns == source.stat().st_mtime_ns


def main():
    build, target = Path(sys.argv[1]), Path(sys.argv[2])
    answer = subprocess.run(["meson", "introspect", "--targets", str(build)], check=True,
                            stdout=subprocess.PIPE).stdout
    target.mkdir(parents=True, exist_ok=True)
    programs = [Path(item["filename"][0]) for item in json.loads(answer)
                if item["type"] == "executable" and item["installed"]]
    for source in programs:
        copy = target / source.name
        if not is_current(source, copy):
            # A new file under the old name: a program that is running keeps its own.
            new = copy.with_suffix(".new")
            shutil.copy2(source, new)
            os.replace(new, copy)
    for stale in set(target.iterdir()) - {target / source.name for source in programs}:
        stale.unlink()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""A node with systemd, from the package's installation to its removal, booted again in between: the
agent and its user, arqd without its cloud, root's units, whatever is killed or hangs, and what the units
may not do. Two nodes run side by side.

CYBORG_SPDK_BUILD  build folder whose installation is tried (default: build/meson)
"""

import compileall
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import REPOSITORY
from guest_kit import SCRIPTS, boot, steps_of

NODES = ("systemd.sh", "systemd-root.sh")
ARQD = """\
#!/usr/bin/python3
import sys

from cyborg_spdk.arqd import main

sys.exit(main())
"""


def install_arqd(folder):
    """As pip does it for Debian 12's Python."""
    package = folder / "usr/local/lib/python3.11/dist-packages/cyborg_spdk"
    shutil.copytree(REPOSITORY / "python" / "cyborg_spdk", package,
                    ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(package, stripdir=folder, quiet=1)
    program = folder / "usr/local/bin/cyborg-spdk-arqd"
    program.write_text(ARQD)
    program.chmod(0o755)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    build = Path(os.environ.get("CYBORG_SPDK_BUILD", REPOSITORY / "build" / "meson"))
    if not (build / "build.ninja").exists():
        pytest.fail(f"{build} is no build folder: run tools/build.sh, or set CYBORG_SPDK_BUILD")
    folder = tmp_path_factory.mktemp("systemd") / "stage"
    subprocess.run(["meson", "install", "-C", str(build), "--no-rebuild", "--quiet", "--strip",
                    "--destdir", str(folder)], check=True)
    install_arqd(folder)
    return folder


def boot_node(script, stage, folder):
    disk = folder / "disk"
    disk.touch()
    os.truncate(disk, 64 << 20)
    return boot(script, systemd=True, memory="1G", seconds=1800,
                files=[f"{stage}:/job/stage", SCRIPTS / "systemd-lib.sh"],
                qemu=[f"-drive file={disk},format=raw,if=none,id=disk "
                      "-device virtio-blk-pci,drive=disk,serial=DATA0"])


@pytest.fixture(scope="module")
def runs(stage, tmp_path_factory):
    folders = [tmp_path_factory.mktemp("node") for _ in NODES]
    with ThreadPoolExecutor() as pool:
        return dict(zip(NODES, pool.map(boot_node, NODES, [stage] * len(NODES), folders)))


@pytest.mark.parametrize("node,step", [(node, step) for node in NODES for step in steps_of(node)])
def test_systemd(runs, node, step):
    runs[node].check(step)

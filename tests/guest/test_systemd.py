# SPDX-License-Identifier: Apache-2.0
"""A node with systemd, from the package's installation to its removal, booted again in between: the
agent and its user, root's units, whatever is killed or hangs, and what the units may not do.

CYBORG_SPDK_BUILD  build folder whose installation is tried (default: build/meson)
"""

import os
import subprocess
from pathlib import Path

import pytest

from conftest import REPOSITORY
from guest_kit import SCRIPTS, boot, steps_of


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    build = Path(os.environ.get("CYBORG_SPDK_BUILD", REPOSITORY / "build" / "meson"))
    if not (build / "build.ninja").exists():
        pytest.fail(f"{build} is no build folder: run tools/build.sh, or set CYBORG_SPDK_BUILD")
    folder = tmp_path_factory.mktemp("systemd") / "stage"
    subprocess.run(["meson", "install", "-C", str(build), "--no-rebuild", "--quiet", "--strip",
                    "--destdir", str(folder)], check=True)
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
def run(stage, tmp_path_factory):
    return boot_node("systemd.sh", stage, tmp_path_factory.mktemp("systemd"))


@pytest.mark.parametrize("step", steps_of("systemd.sh"))
def test_systemd(run, step):
    run.check(step)


@pytest.fixture(scope="module")
def root_run(stage, tmp_path_factory):
    return boot_node("systemd-root.sh", stage, tmp_path_factory.mktemp("systemd"))


@pytest.mark.parametrize("step", steps_of("systemd-root.sh"))
def test_root(root_run, step):
    root_run.check(step)

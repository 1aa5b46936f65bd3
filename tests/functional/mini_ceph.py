# SPDX-License-Identifier: Apache-2.0
"""A real Ceph cluster of one node for tests (tests/mini-ceph.sh), with authentication, as they are
in the field."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import REPOSITORY, free_port, wait_until

SCRIPT = REPOSITORY / "tests" / "mini-ceph.sh"
NEEDED = ("ceph-mon", "ceph-osd", "ceph", "rbd", "ceph-authtool", "monmaptool")
POOL = "volumes"
USER = "cinder"


class MiniCeph:
    """The running cluster; `conf` is what an operator's client is given: the user is cinder."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="cs-ceph-"))
        self.conf = self.dir / "cinder.conf"
        self.made = 0

    def script(self, verb):
        env = {**os.environ, "CEPH_AUTH": "1", "CEPH_POOL": POOL, "CEPH_PORT": str(free_port())}
        subprocess.run([str(SCRIPT), verb, str(self.dir)], check=True, env=env,
                       stdout=subprocess.DEVNULL)

    def start(self):
        self.script("start")
        text = (self.dir / "ceph.conf").read_text()
        self.conf.write_text(text.replace("ceph.client.admin.keyring",
                                          f"ceph.client.{USER}.keyring"))

    def rbd(self, *words, **run):
        """What the administrator's rbd prints."""
        command = ["rbd", "--conf", str(self.dir / "ceph.conf"), "--pool", POOL, *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=60, **run).stdout

    def image(self, mib=16, name=None, data=None, features="layering"):
        """The name of a new image in the pool, with these bytes or none."""
        self.made += 1
        name = f"{name or 'image'}-{self.made}"
        if data is None:
            self.rbd("create", "--size", f"{mib}M", "--image-feature", features, "--image", name)
        else:
            self.rbd("import", "--no-progress", "--image-feature", features, "-", name,
                     input=data)
        return name

    def fsid(self):
        return re.search(r"^fsid = (.*)$", self.conf.read_text(), re.MULTILINE)[1]

    def with_wrong_key(self, folder):
        """A configuration whose keyring is not the cluster's."""
        keyring, conf = folder / "wrong.keyring", folder / "wrong.conf"
        subprocess.run(["ceph-authtool", "--create-keyring", str(keyring), "--gen-key", "-n",
                        f"client.{USER}"], check=True, stdout=subprocess.DEVNULL)
        conf.write_text(self.conf.read_text().replace(
            str(self.dir / f"ceph.client.{USER}.keyring"), str(keyring)))
        return conf

    def content(self, name):
        return self.rbd("export", "--no-progress", name, "-")

    def watchers(self, name):
        """Who has the image open for writing."""
        return json.loads(self.rbd("status", "--format", "json", name))["watchers"]

    def no_watcher(self, name):
        wait_until(lambda: not self.watchers(name), f"nobody to have {name} open")

    def remove(self):
        self.script("stop")
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture(scope="session")
def running_ceph():
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in NEEDED if not shutil.which(name, path=path)]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: tools/install-deps.sh ceph installs them")
    cluster = MiniCeph()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def ceph(running_ceph):
    """The cluster; it answers again when the test is over."""
    yield running_ceph
    running_ceph.script("up")

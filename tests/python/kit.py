# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the shared library, the installed package, a node with accelerators, a cloud.

CYBORG_SPDK_LIBRARY  libcyborg-spdk.so (default: that of this repository's build)
"""

import atexit
import functools
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import cloud as cloud_module
import pytest
from conftest import REPOSITORY, Cli

sys.path.insert(0, str(REPOSITORY / "python"))
BUILT_LIBRARY = REPOSITORY / "build" / "meson" / "src" / "driver" / "libcyborg-spdk.so.0"


@pytest.fixture(scope="session")
def library():
    """The file of the shared library, copied to where every user may read it: the repository may
    be below /root, and root takes the place of a state directory's user."""
    path = Path(os.environ.get("CYBORG_SPDK_LIBRARY", BUILT_LIBRARY))
    if not path.exists():
        pytest.skip(f"no {path}: run `make build`, or set CYBORG_SPDK_LIBRARY")
    with tempfile.TemporaryDirectory(prefix="cs-library-") as folder:
        os.chmod(folder, 0o755)
        yield shutil.copy(path, folder)


@functools.lru_cache(maxsize=None)
def installed_package():
    """pip's folder with the package and its entry points; imported from there from now on."""
    source = Path(tempfile.mkdtemp(prefix="cs-"))
    source.chmod(0o755)
    shutil.copy(REPOSITORY / "pyproject.toml", source)
    shutil.copytree(REPOSITORY / "python", source / "python", symlinks=True,
                    ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    target = source / "installed"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps",
                    "--no-build-isolation", "--target", target, source], check=True,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    sys.path.insert(0, str(target))
    for name in [name for name in sys.modules if name.split(".")[0] == "cyborg_spdk"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    atexit.register(shutil.rmtree, source, True)
    return target


@pytest.fixture(scope="session")
def package():
    """The folder of the installed package."""
    for name in ("pip", "setuptools", "wheel"):
        cloud_module.need(name)
    return installed_package()


@pytest.fixture
def node(program, bin_dir, library, monkeypatch):
    """The command with a state directory of its own, which the library uses too."""
    for name in ("cyborg-spdk-supervise", "cyborg-spdk-tgt", "cyborg-spdk-perf"):
        program(name)
    cli = Cli(program("cyborg-spdk"))
    monkeypatch.setenv("CYBORG_SPDK_STATE_DIR", str(cli.state))
    monkeypatch.setenv("CYBORG_SPDK_BIN", str(bin_dir))
    monkeypatch.setenv("CYBORG_SPDK_LIBRARY", library)
    yield cli
    cli.remove()


def install(node, name, size="16M"):
    """An accelerator on a sparse file."""
    return node("install", name, "--backing", node.dir / name, "--size", size)


_running = []


@pytest.fixture(scope="session")
def whole_cloud(package, tmp_path_factory):
    """Cyborg, once for the process; each module that imports this has a fixture of its own."""
    if not _running:
        folder = tmp_path_factory.mktemp("cloud")
        cloud_module.find_cyborg(folder)
        _running.append(cloud_module.Cloud(folder))
    yield _running[0]
    _running[0].stop()


@pytest.fixture
def cloud(whole_cloud, node):
    """The cloud, and this node as a new host of it."""
    from cyborg_spdk import config
    host = f"host-{uuid.uuid4().hex[:8]}"
    conf = whole_cloud.conf
    config.register_service(conf)
    conf.set_override("host", host)
    if "resource_provider_name" in conf.agent:
        conf.set_override("resource_provider_name", host, group="agent")
    whole_cloud.host = host
    whole_cloud.placement("POST", "/resource_providers", {"name": host})
    yield whole_cloud
    for name in list(conf.spdk):
        conf.clear_override(name, group="spdk")

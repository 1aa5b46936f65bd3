# SPDX-License-Identifier: Apache-2.0
"""Accelerators on an NVMe function that the target drives itself: a real SPDK on a node with an IOMMU.

See tests/real_spdk.py.
"""

import pytest

from guest_kit import steps_of
from test_environment import PROGRAMS, boot_node, spdk  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def run(program, spdk, tmp_path_factory):  # noqa: F811
    path, libraries = spdk
    if path.name != "spdk_tgt":
        pytest.skip(f"{path} is no spdk_tgt")
    with pytest.MonkeyPatch.context() as patch:
        for folder in libraries:
            patch.setenv("LD_LIBRARY_PATH", folder)
        return boot_node("function-spdk.sh", tmp_path_factory.mktemp("function"),
                         [*(program(name) for name in (*PROGRAMS, "cyborg-spdk-blob")), path],
                         "3G")


@pytest.mark.parametrize("step", steps_of("function-spdk.sh"))
def test_function(run, step):
    run.check(step)

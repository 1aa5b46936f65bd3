# SPDX-License-Identifier: Apache-2.0
"""Accelerators on an NVMe function that the target drives: a real SPDK on a node with an IOMMU.

See tests/real_spdk.py.
"""

import pytest

from guest_kit import steps_of
from test_environment import PROGRAMS, boot_node, spdk  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def run(program, spdk, tmp_path_factory):  # noqa: F811
    """run(SCRIPT): the script's one boot."""
    path, libraries = spdk
    if path.name != "spdk_tgt":
        pytest.skip(f"{path} is no spdk_tgt")
    programs = [*(program(name) for name in (*PROGRAMS, "cyborg-spdk-blob")), path]
    boots = {}

    def once(script):
        if script not in boots:
            with pytest.MonkeyPatch.context() as patch:
                for folder in libraries:
                    patch.setenv("LD_LIBRARY_PATH", folder)
                # The old target's hugepages, and as much for the new one's pre-flight.
                boots[script] = boot_node(script, tmp_path_factory.mktemp("function"), programs,
                                          "3G")
        return boots[script]
    return once


@pytest.mark.parametrize("step", steps_of("function-spdk.sh"))
def test_function(run, step):
    run("function-spdk.sh").check(step)


@pytest.mark.parametrize("step", steps_of("function-bound.sh"))
def test_function_that_is_bound(run, step):
    run("function-bound.sh").check(step)

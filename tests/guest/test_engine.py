# SPDX-License-Identifier: Apache-2.0
"""Our target and host on Debian 12's kernel, whatever kernel this machine has."""

import json

import pytest

from guest_kit import HOSTNQN, MODEL, NQN, SERIAL, boot, steps_of

CONFIG = {
    "bdev": [
        ("bdev_malloc_create", {"name": "Memory", "num_blocks": 64 * 2048, "block_size": 512}),
        ("bdev_uring_create", {"name": "Block", "filename": "/dev/nullb0"}),
    ],
    "nvmf": [
        ("nvmf_create_transport", {"trtype": "TCP"}),
        ("nvmf_create_subsystem", {"nqn": NQN, "serial_number": SERIAL, "model_number": MODEL}),
        ("nvmf_subsystem_add_host", {"nqn": NQN, "host": HOSTNQN}),
        ("nvmf_subsystem_add_ns",
         {"nqn": NQN, "namespace": {"bdev_name": "Memory", "nsid": 1}}),
        ("nvmf_subsystem_add_ns", {"nqn": NQN, "namespace": {"bdev_name": "Block", "nsid": 2}}),
        ("nvmf_subsystem_add_listener",
         {"nqn": NQN, "listen_address": {"trtype": "TCP", "adrfam": "IPv4",
                                         "traddr": "127.0.0.1", "trsvcid": "4420"}}),
    ],
}


def config_text():
    return json.dumps({"subsystems": [
        {"subsystem": name, "config": [{"method": m, "params": p} for m, p in calls]}
        for name, calls in CONFIG.items()]})


@pytest.fixture(scope="module", params=["uring", "epoll"])
def run(request, program, tmp_path_factory):
    config = tmp_path_factory.mktemp("engine") / "config.json"
    config.write_text(config_text())
    return boot("engine.sh", request.param, files=[config],
                programs=[program("cyborg-spdk-tgt"), program("cyborg-spdk-perf")])


@pytest.mark.parametrize("step", steps_of("engine.sh"))
def test_engine(run, step):
    run.check(step)

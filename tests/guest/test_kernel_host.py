# SPDX-License-Identifier: Apache-2.0
"""The Linux kernel's NVMe/TCP host and nvme-cli against our target, and against the kernel's own
target to prove that the steps ask for nothing but the standard."""

import pytest

from conftest import SANITIZER_WORDS, Target, free_port
from guest_kit import HOSTNQN, MODEL, NQN, SERIAL, Control, boot, steps_of

BLOCKS = 64 * 2048


def make_disk(rpc, kind, name, path):
    if kind == "file":
        with open(path, "wb") as file:
            file.truncate(BLOCKS * 512)
        rpc.call("bdev_uring_create", name=name, filename=str(path), block_size=512)
    else:
        rpc.call("bdev_malloc_create", name=name, num_blocks=BLOCKS, block_size=512)


def export(rpc, kind, folder, port):
    for name in ("Disk1", "Disk2"):
        make_disk(rpc, kind, name, folder / name)
    rpc.call("nvmf_create_transport", trtype="TCP")
    rpc.call("nvmf_create_subsystem", nqn=NQN, serial_number=SERIAL, model_number=MODEL)
    rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=HOSTNQN)
    rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "Disk1", "nsid": 1})
    rpc.call("nvmf_subsystem_add_listener", nqn=NQN,
             listen_address={"trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1",
                             "trsvcid": str(port)})


def set_key(rpc, folder, secret):
    """The host must authenticate with it; None: it need not."""
    if secret is None:
        rpc.call("nvmf_subsystem_set_keys", nqn=NQN, host=HOSTNQN)
        rpc.call("keyring_file_remove_key", name="key0")
        return
    path = folder / "key"
    path.write_text(secret)
    path.chmod(0o600)
    rpc.call("keyring_file_add_key", name="key0", path=str(path))
    rpc.call("nvmf_subsystem_set_keys", nqn=NQN, host=HOSTNQN, dhchap_key="key0")


def boot_against(program, backend, kind, folder):
    """Our target with the given backend and kind of disk, and the kernel's host in a guest."""
    port = free_port()
    target = Target(program("cyborg-spdk-tgt"), env={"CYBORG_SPDK_BACKEND": backend})
    control = None
    try:
        rpc = target.wait_ready().client()
        export(rpc, kind, folder, port)
        control = Control(
            add=lambda nsid: rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={
                "bdev_name": f"Disk{nsid}", "nsid": int(nsid)}),
            key=lambda secret: set_key(rpc, folder, secret),
            no_key=lambda: set_key(rpc, folder, None),
            remove=lambda nsid: rpc.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=int(nsid)))
        result = boot("kernel-host.sh", "10.0.2.2", port, control.port)
        return result, target.stop(), target.log
    finally:
        if control:
            control.close()
        target.remove()


@pytest.fixture(scope="module", params=["uring-file", "epoll-malloc"])
def run(request, program, tmp_path_factory):
    """(the finished boot, our target's exit code, its log)"""
    backend, kind = request.param.split("-")
    return boot_against(program, backend, kind, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("step", steps_of("kernel-host.sh"))
def test_kernel_host(run, step):
    # Debian 12's kernel has no CONFIG_NVME_AUTH.
    run[0].check(step, may_skip=step == "connect_with_the_key")


def test_target_left_cleanly(run):
    _, code, log = run
    assert code == 0, log
    assert not SANITIZER_WORDS.search(log), log


@pytest.fixture(scope="module")
def run_of_kernels():
    return boot("kernel-host.sh", "nvmet")


@pytest.mark.parametrize("step", steps_of("kernel-host.sh"))
def test_steps_hold_for_the_kernels_target(run_of_kernels, step):
    run_of_kernels.check(step, may_skip=True)

# SPDX-License-Identifier: Apache-2.0
"""The verbs from Python: nothing but the standard library, a typed refusal, progress, threads."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import REPOSITORY
from kit import install, library, node  # noqa: F401 - fixtures

HOST = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555"


@pytest.fixture
def spdk(node):
    from cyborg_spdk import Spdk
    with Spdk(str(node.state)) as spdk:
        yield spdk


def test_whole_life(node, spdk):
    assert "candidates" in spdk.list()
    assert "devices" in spdk.discover()
    spdk.install(id="a", backing=str(node.dir / "a"), size=16 << 20)
    answer = spdk.attach(instance="vm-1", host=HOST, listen=None)
    assert answer["driver_volume_type"] == "nvmeof"
    assert spdk.status()["accelerators"][0]["attachments"][0]["instance"] == "vm-1"
    assert spdk.recover()["health"] == "ok"
    spdk.update(id="a")
    assert spdk.detach(instance="vm-1")["detached"]
    assert spdk.uninstall(id="a")["uninstalled"]
    assert spdk.status()["accelerators"] == []


def test_refusal_is_typed(spdk):
    from cyborg_spdk import SpdkError
    with pytest.raises(SpdkError) as caught:
        spdk.attach(instance="vm-1", host=HOST)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.name == "ENOENT"
    assert "no accelerator is installed" in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.errno, copy.message) == (caught.value.errno, caught.value.message)


def test_progress_tells_each_step(node):
    from cyborg_spdk import Spdk
    told = []
    with Spdk(str(node.state), progress=told.append) as spdk:
        spdk.install(id="a", backing=str(node.dir / "a"), size=16 << 20)
    assert {p.verb for p in told} == {"install"}
    assert {p.at for p in told} == set(range(1, told[-1].of + 1))
    assert all(p.step and p.elapsed_ns > 0 for p in told)


def test_each_thread_has_a_handle_of_its_own(node, spdk):
    install(node, "a")
    answers, barrier = [], threading.Barrier(4)

    def ask(i):
        barrier.wait()
        from cyborg_spdk import SpdkError
        try:
            answers.append(spdk.attach(instance=f"vm-{i}", host=HOST)["attachment"]["instance"])
        except SpdkError as e:
            answers.append(e.name)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    attached, = spdk.status()["accelerators"][0]["attachments"]
    assert sorted(answers) == ["EBUSY"] * 3 + [attached["instance"]]
    # Of this thread; the others' are closed.
    assert len(spdk._handles) == 1


def test_unknown_verb_and_old_library(spdk):
    from cyborg_spdk import SpdkError
    from cyborg_spdk import library as binding
    with pytest.raises(SpdkError, match="no verb 'destroy'"):
        spdk.call("destroy")
    with pytest.raises(SpdkError, match="has no verb none: install a newer one") as caught:
        binding._verb_of(binding.load(), "none")
    assert caught.value.errno == errno.ENOSYS


def test_missing_library_is_told_at_the_first_verb(tmp_path):
    from cyborg_spdk import Spdk, SpdkError
    spdk = Spdk(library=str(tmp_path / "libcyborg-spdk.so"))
    with pytest.raises(SpdkError, match="cannot be loaded.*install it, or name its file"):
        spdk.status()


def test_bad_state_directory_is_told(tmp_path, node):
    from cyborg_spdk import Spdk, SpdkError
    (tmp_path / "file").write_text("")
    with pytest.raises(SpdkError, match="is no directory"):
        Spdk(str(tmp_path / "file")).status()
    with pytest.raises(SpdkError, match="path is empty"):
        Spdk("").status()


def test_import_needs_the_standard_library_only():
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import cyborg_spdk, cyborg_spdk.devices; "
            "print(sorted(m for m in sys.modules if m.split('.')[0] not in "
            "sys.stdlib_module_names | {'cyborg_spdk', '__main__'}))")
    out = subprocess.run([sys.executable, "-I", "-S", "-c", code, REPOSITORY / "python"],
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_verb_in_a_process_of_its_own(node):
    from cyborg_spdk import SpdkError, child
    assert child.call("status", {}, str(node.state))["accelerators"] == []
    with pytest.raises(SpdkError) as caught:
        child.call("status", {"id": "b"}, str(node.state))
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(SpdkError, match="no process for it"):
        child.call("status", {}, str(node.state), helper="/nonexistent/helper")
    with pytest.raises(SpdkError, match="left with 1 and no answer"):
        child.call("status", {}, str(node.state), helper="false")


def test_process_that_ignores_the_ends_of_its_children(node, spdk):
    from cyborg_spdk import SpdkError, child
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(SpdkError) as refused:
            spdk.install(id="a", memory=8 << 20)
        child.call("install", {"id": "a", "memory": 8 << 20}, str(node.state))
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert "ignores SIGCHLD" in refused.value.message
    assert child.call("status", {}, str(node.state))["health"] == "ok"


def test_verb_that_hangs_is_left(node):
    from cyborg_spdk import SpdkError, child
    with pytest.raises(SpdkError, match="gave no answer for 0.2 s") as caught:
        child.call("status", {}, str(node.state), timeout=0.2, helper="sh -c 'exec sleep 60'")
    assert caught.value.errno == errno.ETIMEDOUT


def test_verb_that_hangs_behind_sudo_ends_by_itself(node):
    """What sudo started is root's, and not an agent's to kill; a FIFO as library never opens."""
    from cyborg_spdk import SpdkError, child
    fifo = node.dir / "library"
    os.mkfifo(fifo)
    process = subprocess.Popen([sys.executable, "-m", "cyborg_spdk.child"], stdin=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": str(REPOSITORY / "python")})
    process.communicate(json.dumps({"verb": "status", "request": {}, "library": str(fifo),
                                    "state_dir": str(node.state), "timeout": 0.1}).encode())
    assert process.returncode == -signal.SIGALRM

    class Roots:
        def kill(self):
            raise PermissionError(1, "Operation not permitted")

        def communicate(self, *_, **words):
            raise subprocess.TimeoutExpired("sudo", words["timeout"])

    with pytest.raises(SpdkError, match="gave no answer"):
        child._answer("status", Roots(), b"", 0.1)


def test_forked_child_opens_a_handle_of_its_own(spdk):
    assert spdk.status()["accelerators"] == []
    inherited = spdk._local.handle
    child = os.fork()
    if child == 0:
        fine = spdk.status()["accelerators"] == [] and spdk._local.handle is not inherited
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert spdk.status()["accelerators"] == [] and spdk._local.handle is inherited


def test_verbs_leave_no_memory_and_no_files_behind(spdk):
    def held():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    for _ in range(20):
        spdk.status()
    before, files = held(), len(os.listdir("/proc/self/fd"))
    for _ in range(200):
        spdk.status()
    assert len(os.listdir("/proc/self/fd")) == files
    assert held() - before < 1 << 20


@pytest.mark.parametrize("locale", ["C", "de_DE.ISO-8859-1", "ja_JP.eucJP"])
def test_verb_in_another_locale(node, locale):
    """With a folder whose name no such locale can spell."""
    from cyborg_spdk import child
    where = node.dir / "b\u00fccher-\U0001f600"
    code = ("import sys; from cyborg_spdk import child; "
            "print(len(child.call('status', {}, sys.argv[1])['accelerators']))")
    out = subprocess.run([sys.executable, "-X", "utf8=0", "-c", code, where],
                         env={**os.environ, "LC_ALL": locale, "PYTHONCOERCECLOCALE": "0",
                              "PYTHONPATH": str(Path(child.__file__).parents[1])},
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    assert out.strip() == "0"


def test_verb_in_a_process_of_green_threads(node):
    """As in the older agents, whose only real thread a library call would hold up."""
    pytest.importorskip("eventlet", reason="no eventlet here, which the older agents run on")
    code = """if True:
        import eventlet
        eventlet.monkey_patch()
        import sys
        sys.path.insert(0, sys.argv[1])
        from cyborg_spdk import child, SpdkError
        turns = []
        def turn():
            while True:
                turns.append(1)
                eventlet.sleep(0)
        eventlet.spawn(turn)
        assert child.call("status", {}, sys.argv[2])["accelerators"] == []
        assert len(turns) > 2
        try:
            child.call("status", {}, sys.argv[2], timeout=0.5, helper="sh -c 'exec sleep 60'")
        except SpdkError as e:
            print(e.name)
        """
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", code, REPOSITORY / "python",
                          node.state], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert out.strip() == "ETIMEDOUT"


def test_version_is_that_of_the_library(spdk):
    import cyborg_spdk
    assert spdk.version().startswith(cyborg_spdk.__version__ + ",")
    text = (REPOSITORY / "pyproject.toml").read_text()
    assert f'version = "{cyborg_spdk.__version__}"' in text


def test_service_without_what_it_needs_says_so():
    program = "import sys; sys.modules['oslo_config'] = None; import cyborg_spdk.arqd"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], text=True,
                          env={**os.environ, "PYTHONPATH": str(REPOSITORY / "python")},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert "has no module oslo_config" in done.stdout

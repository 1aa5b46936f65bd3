# SPDX-License-Identifier: Apache-2.0
"""The verbs of libcyborg-spdk: JSON objects in and out, by ctypes.

Threading: an `Spdk` may be used by many threads; each gets a handle of its own, which is closed
when the thread ends or by close(). So does a forked child. Green threads (eventlet) wait for each
other during a verb: see child.py for them.
"""

import collections
import ctypes
import errno
import json
import os
import threading
import weakref

VERBS = ("discover", "list", "install", "attach", "detach", "update", "uninstall", "status",
         "recover")
SONAME = "libcyborg-spdk.so.0"
SYSTEM_DIR = "/var/lib/cyborg-spdk"

#: Where a verb is: its name, what is being done, the step's number and how many there are, and
#: the nanoseconds since the verb began.
Progress = collections.namedtuple("Progress", "verb step at of elapsed_ns")


class SpdkError(Exception):
    """A refusal: `errno` (positive), its `name`, and the `message`, a sentence for a person."""

    def __init__(self, code, message):
        super().__init__(message)
        self.errno = abs(code)
        self.name = errno.errorcode.get(self.errno, str(self.errno))
        self.message = message

    def __reduce__(self):
        return type(self), (self.errno, self.message)


class _Progress(ctypes.Structure):
    _fields_ = [("verb", ctypes.c_char_p), ("step", ctypes.c_char_p), ("at", ctypes.c_uint),
                ("of", ctypes.c_uint), ("elapsed_ns", ctypes.c_ulonglong)]


_PROGRESS_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_Progress))
_lock = threading.Lock()
_loaded = {}


def _is_mine(path):
    try:
        return os.stat(path).st_uid == os.geteuid()
    except OSError:
        return False


def default_state_dir():
    """The library's own rule, for when the library is not asked."""
    if os.environ.get("CYBORG_SPDK_STATE_DIR"):
        return os.environ["CYBORG_SPDK_STATE_DIR"]
    if os.geteuid() == 0 or _is_mine(SYSTEM_DIR):
        return SYSTEM_DIR
    return os.path.join(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"),
                        "cyborg-spdk")


def load(path=None):
    """The shared library with its functions declared: @path, else the environment's
    CYBORG_SPDK_LIBRARY, else the one that the dynamic linker finds."""
    path = path or os.environ.get("CYBORG_SPDK_LIBRARY") or SONAME
    with _lock:
        if path not in _loaded:
            _loaded[path] = _declare(path)
        return _loaded[path]


def _declare(path):
    try:
        lib = ctypes.CDLL(path)
        lib.cyborg_spdk_version.restype = ctypes.c_char_p
        lib.cyborg_spdk_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
        lib.cyborg_spdk_close.argtypes = [ctypes.c_void_p]
        lib.cyborg_spdk_close.restype = None
        lib.cyborg_spdk_error.argtypes = [ctypes.c_void_p]
        lib.cyborg_spdk_error.restype = ctypes.c_char_p
        lib.cyborg_spdk_free.argtypes = [ctypes.c_void_p]
        lib.cyborg_spdk_free.restype = None
        lib.cyborg_spdk_set_progress.argtypes = [ctypes.c_void_p, _PROGRESS_FN, ctypes.c_void_p]
        lib.cyborg_spdk_set_progress.restype = None
    except (OSError, AttributeError) as e:
        raise SpdkError(errno.ENOENT,
                        f"libcyborg-spdk cannot be loaded ({e}): install it, or name its file in "
                        "CYBORG_SPDK_LIBRARY or by the option library") from None
    return lib


def _verb_of(lib, name):
    try:
        function = getattr(lib, "cyborg_spdk_" + name)
    except AttributeError:
        raise SpdkError(errno.ENOSYS,
                        f"this libcyborg-spdk ({lib.cyborg_spdk_version().decode()}) has no verb "
                        f"{name}: install a newer one") from None
    function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
    return function


class _Handle:
    """One thread's handle; closed with the last reference to it. It belongs to the process that
    opened it: SQLite's locks are not inherited by a fork, so a child leaves it alone."""

    def __init__(self, lib, state_dir, callback):
        self.lib = lib
        self.pid = os.getpid()
        self.pointer = ctypes.c_void_p()
        self.callback = callback
        rc = lib.cyborg_spdk_open(None if state_dir is None else os.fsencode(state_dir),
                                  ctypes.byref(self.pointer))
        if rc < 0:
            message = lib.cyborg_spdk_error(self.pointer).decode(errors="replace")
            self.close()
            raise SpdkError(rc, message)
        if callback:
            lib.cyborg_spdk_set_progress(self.pointer, callback, None)

    def call(self, function, request):
        answer = ctypes.c_void_p()
        rc = function(self.pointer, request, ctypes.byref(answer))
        try:
            if rc < 0:
                raise SpdkError(rc, self.lib.cyborg_spdk_error(self.pointer)
                                .decode(errors="replace"))
            return json.loads(ctypes.string_at(answer.value))
        finally:
            self.lib.cyborg_spdk_free(answer)

    def is_own(self):
        """Whether this process opened it."""
        return self.pid == os.getpid()

    def close(self):
        pointer, self.pointer = self.pointer, None
        if pointer and self.is_own():
            self.lib.cyborg_spdk_close(pointer)

    __del__ = close


class Spdk:
    """The verbs on one state directory.

    state_dir: None for the library's default
    library:   path of the shared library; None to look for it
    progress:  called with a Progress at each step and about every 100 ms while it lasts, in the
               thread that called the verb; it must not call a verb of this thread
    """

    def __init__(self, state_dir=None, library=None, progress=None):
        self._state_dir = state_dir
        self._library = library
        self._callback = _PROGRESS_FN(_teller(progress)) if progress else None
        self._local = threading.local()
        self._handles = weakref.WeakSet()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close the handles of all threads; none of them may be in a verb."""
        for handle in list(self._handles):
            handle.close()
        self._local = threading.local()

    def version(self):
        """Release and commit of the library."""
        return load(self._library).cyborg_spdk_version().decode()

    def call(self, verb, request=None):
        """The answer to a verb; SpdkError when it is refused. Members that are None are none."""
        if verb not in VERBS:
            raise SpdkError(errno.EINVAL, f"no verb {verb!r}: there are {', '.join(VERBS)}")
        lib = load(self._library)
        function = _verb_of(lib, verb)
        given = {name: value for name, value in (request or {}).items() if value is not None}
        handle = getattr(self._local, "handle", None)
        if handle is None or not handle.is_own():
            handle = self._local.handle = _Handle(lib, self._state_dir, self._callback)
            self._handles.add(handle)
        return handle.call(function, json.dumps(given).encode())

    def discover(self, **request):
        """The node, its devices, SPDK kits, running targets."""
        return self.call("discover", request)

    def list(self, **request):
        """Candidates for a scenario, and what is installed."""
        return self.call("list", request)

    def install(self, **request):
        """Start a supervised target on a backing."""
        return self.call("install", request)

    def attach(self, **request):
        """Export to an instance and prove the data path."""
        return self.call("attach", request)

    def detach(self, **request):
        """Take an export back."""
        return self.call("detach", request)

    def update(self, **request):
        """Replace a running target by another build."""
        return self.call("update", request)

    def uninstall(self, **request):
        """Stop the target and remove what install made."""
        return self.call("uninstall", request)

    def status(self, **request):
        """Health of each piece, and what is not as recorded."""
        return self.call("status", request)

    def recover(self, **request):
        """Bring back what should be there."""
        return self.call("recover", request)


def _teller(progress):
    def tell(_, at):
        p = at.contents
        progress(Progress(p.verb.decode(), p.step.decode(errors="replace"), p.at, p.of,
                          p.elapsed_ns))
    return tell

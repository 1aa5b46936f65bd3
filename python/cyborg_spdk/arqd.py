# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk-arqd: attaches what Cyborg bound to this host's accelerators, and detaches what it
does not bind any more. Runs beside cyborg-agent, and reads its cyborg.conf.

Threading: the main thread does all but the reports (see report.py); signals only set an event.
"""

import signal
import sys
import threading

try:
    from oslo_config import cfg
    from oslo_log import log

    from cyborg_spdk import __version__, config, report
    from cyborg_spdk.arqs import Cyborg, CyborgError
except ModuleNotFoundError as e:
    sys.exit(f"cyborg-spdk-arqd: this Python ({sys.executable}) has no module {e.name}: install "
             "cyborg-spdk into the one that runs cyborg-agent, or as cyborg-spdk[arqd]")
from cyborg_spdk.library import Spdk, SpdkError
from cyborg_spdk.notify import notify
from cyborg_spdk.reconcile import Reconciler

LOG = log.getLogger(__name__)

LONGEST_WAIT = 60.0
CLI = [cfg.BoolOpt("once", default=False, help="Look once, do what is to be done, and leave.")]


def prepare(arguments, conf=cfg.CONF):
    """Options and logs as Cyborg's own services have them."""
    try:
        import cyborg.conf  # noqa: F401 - registers the host's name and [agent]
    except ImportError:
        import socket
        conf.register_opts([cfg.HostAddressOpt("host", default=socket.gethostname())])
    log.register_options(conf)
    config.register_service(conf)
    conf.register_cli_opts(CLI)
    conf(arguments, project="cyborg", prog="cyborg-spdk-arqd", version=__version__)
    log.setup(conf, "cyborg-spdk-arqd")
    return conf


def check(conf):
    """Read every option once, since oslo.config judges each when it is read."""
    for name in conf.spdk:
        getattr(conf.spdk, name)


class Service:
    """The loop around a Reconciler."""

    def __init__(self, conf):
        self.conf = conf
        self.stopping = threading.Event()
        self.failures = 0
        self.state = None
        self.spdk = Spdk(conf.spdk.state_dir, conf.spdk.library, lambda _: notify("WATCHDOG=1"))
        changed, self.end_reports = report.make(conf)
        self.reconciler = Reconciler(self.spdk, Cyborg(conf), conf.spdk, conf.host, changed)

    def stop(self, *_):
        """End after the verb that runs now."""
        self.stopping.set()

    def look(self):
        """One look; True unless one of the sides could not be seen."""
        try:
            self.reconciler.once(self._is_stopping)
            self._tell("STATUS=follows Cyborg's accelerator requests")
            self.failures = 0
        except (CyborgError, SpdkError) as e:
            self.failures += 1
            self._tell(f"STATUS={e}")
            LOG.error("%s; next try in %g s", e, self.wait_seconds())
        return self.failures == 0

    def _is_stopping(self):
        """Asked before each verb."""
        notify("WATCHDOG=1")
        return self.stopping.is_set()

    def _tell(self, state):
        if state != self.state:
            notify(state.replace("\n", " "))
        self.state = state

    def wait_seconds(self):
        """Until the next look: longer with each failure in a row."""
        interval = float(self.conf.spdk.poll_interval)
        return min(interval * 2 ** min(self.failures, 10), max(interval, LONGEST_WAIT))

    def run(self):
        """Until stop(); a wait is cut into seconds for systemd's watchdog."""
        notify("READY=1")
        while not self.stopping.is_set():
            self.look()
            left = self.wait_seconds()
            while left > 0 and not self.stopping.wait(min(left, 1.0)):
                notify("WATCHDOG=1")
                left -= 1.0

    def close(self):
        notify("STOPPING=1")
        self.end_reports()
        self.spdk.close()


def main(arguments=None):
    try:
        conf = prepare(sys.argv[1:] if arguments is None else arguments)
        check(conf)
        service = Service(conf)
    except (CyborgError, cfg.Error, ValueError) as e:
        print(f"cyborg-spdk-arqd: {e}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, service.stop)
    signal.signal(signal.SIGINT, service.stop)
    try:
        if conf.once:
            return 0 if service.look() else 1
        service.run()
        return 0
    finally:
        service.close()


if __name__ == "__main__":
    sys.exit(main())

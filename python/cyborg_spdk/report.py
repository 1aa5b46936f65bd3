# SPDX-License-Identifier: Apache-2.0
"""Tells the conductor at once what a verb changed, by the RPC of the agent's own report.

A report is of the whole host: what it does not name is deleted. So it names all, but as stubs,
which are neither added nor changed nor deleted, except for the accelerators that a verb changed.

Threading: a Reporter has a thread of its own; changed() and stop() are for the others.
"""

import logging
import queue
import threading

LOG = logging.getLogger(__name__)

TIMEOUT = 20
LEAVE_SECONDS = 5.0


def host_names(conf):
    """The names under which an agent of any release would report from here."""
    names = [conf.host]
    if "resource_provider_name" in conf.agent:
        names.insert(0, conf.agent.resource_provider_name)
    return names


class Reporter:
    """Reports by Cyborg's own client; made where Cyborg's code is at hand."""

    def __init__(self, conf, host=None):
        from cyborg import context, objects
        from cyborg.common import rpc
        from cyborg.conductor import rpcapi

        objects.register_all()
        if rpc.TRANSPORT is None:
            rpc.set_defaults(control_exchange="cyborg")
            rpc.init(conf)
        self._conf = conf
        self._host = host
        self._context = context.get_admin_context
        self._conductor = rpcapi.ConductorAPI()
        self._drivers = self._load_drivers()
        self._queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def _load_drivers(self):
        from stevedore import driver

        from cyborg_spdk.driver import SPDKDriver
        others = [name for name in self._conf.agent.enabled_drivers if name != "spdk_driver"]
        self._own = SPDKDriver(in_agent=False)
        return [driver.DriverManager("cyborg.accelerator.driver", name, invoke_on_load=True).driver
                for name in others]

    def changed(self, bound, accelerator):
        """An accelerator changed; @bound, where there is one, tells under which name Nova knows
        this host."""
        self._queue.put((bound.host if bound else None, accelerator))

    def stop(self):
        """Report what is left, for a while."""
        self._queue.put(None)
        self._thread.join(LEAVE_SECONDS)

    def _run(self):
        while True:
            items = [self._queue.get()]
            while not self._queue.empty():
                items.append(self._queue.get())
            changed = [item for item in items if item]
            if changed:
                self._report(changed)
            if None in items:
                return

    def _report(self, changed):
        try:
            host = self._host_name([host for host, _ in changed if host])
            if host is None:
                return
            found = self.devices({accelerator for _, accelerator in changed})
            client = self._conductor.client.prepare(topic=self._conductor.topic, timeout=TIMEOUT)
            client.call(self._context(), "report_data", hostname=host, driver_device_list=found)
            LOG.info("the conductor knows of %s", ", ".join(sorted({a for _, a in changed})))
        except Exception as e:
            LOG.warning("no report to the conductor, the agent's next one will tell it: %s", e)

    def devices(self, changed):
        """All devices of the host: the changed accelerators as they are, the others as stubs."""
        from cyborg_spdk.driver import to_objects

        seen = self._own.describe()
        if changed.isdisjoint(one["accelerator"] for one in seen if not one["stub"]):
            # And perhaps none at all, which would delete what Cyborg knows.
            raise LookupError(f"{', '.join(sorted(changed))} cannot be seen")
        own = [one if one["accelerator"] in changed else dict(one, stub=True) for one in seen]
        others = [device for driver in self._drivers for device in driver.discover()]
        for device in others:
            device.stub = True
        return to_objects(own) + others

    def _host_name(self, told):
        """The agent's name for this host: of those that it may use, the one that a bound request
        has, since that is a resource provider's; kept for reports after a detach."""
        allowed = host_names(self._conf)
        known = [name for name in told if name in allowed]
        if known:
            self._host = known[-1]
        elif told:
            LOG.warning("requests are bound to host %s, and the agent reports as %s: no report "
                        "from here", told[-1], " or ".join(allowed))
            return None
        return self._host or allowed[0]


def wants_report(conf):
    """Whether the group [spdk] and the agent's drivers ask for reports from here."""
    if conf.spdk.report == "auto":
        return list(conf.agent.enabled_drivers) == ["spdk_driver"]
    return conf.spdk.report == "always"


def make(conf):
    """What is called after each verb, and what ends it."""
    try:
        import cyborg.conf  # noqa: F401 - registers [agent] and the host's name
        if wants_report(conf):
            reporter = Reporter(conf)
            return reporter.changed, reporter.stop
        LOG.info("verbs are told to the conductor by the agent's own report (report = %s)",
                 conf.spdk.report)
    except ImportError as e:
        LOG.info("no Cyborg here (%s): the agent's own report tells the conductor", e)
    except Exception as e:
        # Such as a driver or a transport_url that is not: what is bound is attached all the same.
        LOG.warning("no reports from here, the agent's own tells the conductor: %s", e)
    return lambda bound, accelerator: None, lambda: None

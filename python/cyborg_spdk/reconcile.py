# SPDX-License-Identifier: Apache-2.0
"""What is bound in Cyborg, made true on this node.

An attachment made here is called arq:ARQ:INSTANCE after the two UUIDs. So status tells what is
attached for whom, over restarts; a request that was bound anew to another instance is another one;
and what an operator attached is never taken for one of these.

Threading: one thread.
"""

import logging
import re
import time

from cyborg_spdk import devices, wish
from cyborg_spdk.library import SpdkError

LOG = logging.getLogger(__name__)

NAME = re.compile(r"arq:([0-9a-f-]{36}):([0-9a-f-]{36})")
FIRST_DELAY, LAST_DELAY = 5.0, 300.0
MADE_HERE = ("new", "clone")


def attachment_name(bound):
    return f"arq:{bound.arq}:{bound.instance}"


class Retry:
    """When something that failed is tried again: later and later."""

    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._at = {}

    def is_due(self, key):
        return self._at.get(key, (0, 0))[0] <= self._clock()

    def failed(self, key):
        delay = min(max(self._at.get(key, (0, 0))[1] * 2, FIRST_DELAY), LAST_DELAY)
        self._at[key] = self._clock() + delay, delay
        return delay

    def done(self, key):
        self._at.pop(key, None)

    def forget_but(self, keys):
        self._at = {key: at for key, at in self._at.items() if key in keys}


class Reconciler:
    """spdk: an Spdk; cyborg: a Cyborg; options: the group [spdk]; host: Cyborg's name of this host;
    report: called with the Bound or None, and the accelerator, after each verb"""

    def __init__(self, spdk, cyborg, options, host, report, retry=None):
        self.spdk, self.cyborg, self.options = spdk, cyborg, options
        self.host, self.report = host, report
        self.retry = retry or Retry()
        self._told = set()

    def once(self, is_stopping=lambda: False):
        """One look at both sides. What fails is tried again later; CyborgError or SpdkError when a
        side cannot be seen at all."""
        status = self._status()
        attached = {a["instance"]: a for accelerator in status["accelerators"]
                    for a in accelerator["attachments"]}
        bound = {attachment_name(b): b for b in self.cyborg.bound()}
        wanted = self._wanted(status, bound)
        gone = [name for name in attached if NAME.fullmatch(name) and name not in bound]
        new = [name for name in wanted if name not in attached]
        self.retry.forget_but(gone + new)
        for name in gone:
            if not is_stopping() and self.retry.is_due(name):
                self._attempt(name, self._detach, attached[name])
        for name in new:
            if not is_stopping() and self.retry.is_due(name):
                self._attempt(name, self._attach, *wanted[name])

    def _status(self):
        """What is true, with no verb half done: what is recorded then may be undone yet."""
        status = self.spdk.status()
        if status.get("interrupted"):
            LOG.warning("%s was interrupted: recovering", status["interrupted"]["verb"])
            self.spdk.recover()
            status = self.spdk.status()
        return status

    def _wanted(self, status, bound):
        """What is bound to slots of this host: Bound and accelerator, by the attachment's name."""
        here = {devices.deployable_name(self.host, a["id"], slot): a
                for a in status["accelerators"]
                for slot in range(devices.slots_of(a, self.options.slots))}
        self._tell_strays(bound.values(), here)
        return {name: (b, here[b.deployable]) for name, b in bound.items() if b.deployable in here}

    def _tell_strays(self, bound, here):
        """Requests for slots of this host that are no more: once each."""
        prefix = devices.host_part(self.host) + "_spdk"
        strays = {b.arq for b in bound
                  if b.deployable.startswith(prefix) and b.deployable not in here}
        for arq in sorted(strays - self._told):
            LOG.error("ARQ %s is bound to an accelerator that is not installed here any more", arq)
        self._told = strays

    def _attempt(self, name, action, *subject):
        try:
            action(name, *subject)
            self.retry.done(name)
        except SpdkError as e:
            LOG.error("%s: %s; next try in %g s", name, e, self.retry.failed(name))

    def _attach(self, name, bound, accelerator):
        group = self.cyborg.profile_group(bound) if bound.profile else {}
        request = wish.attach_request(name, bound, accelerator, self.options, group)
        LOG.info("attaching %s to %s", accelerator["id"], name)
        answer = self.spdk.attach(**request)
        LOG.info("%s reaches it by: %s", name, answer.get("command", answer["data"]))
        self.report(bound, accelerator["id"])

    def _detach(self, name, attachment):
        arq, instance = NAME.fullmatch(name).groups()
        if self.cyborg.is_bound(arq, instance):
            LOG.warning("%s was missing from Cyborg's list, and is bound: left as it is", name)
            return
        LOG.info("detaching %s", name)
        self.spdk.detach(instance=name, force=self.options.detach_force or None,
                         wait_ns=self.options.detach_wait * 10**9, **self._fate(attachment))
        self.report(None, attachment["accelerator"])

    def _fate(self, attachment):
        """What becomes of the data; detach refuses to delete what it cannot."""
        if self.options.detach_data == "wipe" and not attachment.get("read_only"):
            return {"wipe": True}
        if self.options.detach_data != "keep" and attachment.get("source") in MADE_HERE:
            return {"delete": True}
        return {}

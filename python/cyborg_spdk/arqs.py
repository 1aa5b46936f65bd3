# SPDX-License-Identifier: Apache-2.0
"""Cyborg's accelerator requests (ARQs), read through its REST API with keystoneauth.

Threading: one thread.
"""

import collections
import logging
import re
import urllib.parse

from keystoneauth1 import exceptions, loading

from cyborg_spdk.config import GROUP
from cyborg_spdk.devices import DRIVER_NAME, VENDOR

LOG = logging.getLogger(__name__)

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: A bound ARQ: its UUID, the instance's, the compute host, the deployable's name and the
#: accelerator out of the attach handle, and the device profile with the group's number.
Bound = collections.namedtuple("Bound", "arq instance host deployable accelerator profile group")


class CyborgError(Exception):
    """Cyborg did not answer, or not as it should; to be asked again later."""


def bound_of(arq):
    """The Bound of one ARQ as the API shows it; None for one that is not bound, or is not ours."""
    if not isinstance(arq, dict) or arq.get("state") != "Bound":
        return None
    handle = arq.get("attach_handle_info")
    texts = (arq.get("uuid"), arq.get("instance_uuid"))
    if not isinstance(handle, dict) or not all(
            isinstance(text, str) and UUID.fullmatch(text) for text in texts):
        return None
    names = (handle.get("deployable"), handle.get("accelerator"))
    told = (arq.get("hostname") or "", arq.get("device_profile_name") or "")
    if handle.get("driver") != DRIVER_NAME or not all(isinstance(n, str) for n in names + told):
        return None
    return Bound(*texts, told[0], *names, told[1], arq.get("device_profile_group_id") or 0)


class Cyborg:
    """The API of version 2, with the credentials of the group [spdk]."""

    def __init__(self, conf):
        try:
            # Once more, now that auth_section may name another group.
            loading.register_auth_conf_options(conf, GROUP.name)
            self.auth = loading.load_auth_from_conf_options(conf, GROUP.name)
        except exceptions.ClientException as e:
            raise CyborgError(f"the credentials of cyborg.conf's group [spdk]: {e}") from None
        if self.auth is None:
            raise CyborgError("no credentials: set auth_type and what belongs to it in "
                              "cyborg.conf's group [spdk], or auth_section = keystone_authtoken")
        self.session = loading.load_session_from_conf_options(conf, GROUP.name, auth=self.auth)
        self.adapter = loading.load_adapter_from_conf_options(conf, GROUP.name,
                                                              session=self.session, auth=self.auth)
        self._prefix = None

    def _check_role(self):
        """Cyborg shows the ARQs of other projects to the role admin only: to others, what is bound
        looks deleted."""
        if not hasattr(self.auth, "get_access"):
            return
        access = self.auth.get_access(self.session)
        if "admin" not in access.role_names:
            raise CyborgError(f"the user {access.username} has not the role admin, without which "
                              "Cyborg does not show the accelerator requests of all projects")

    def _get(self, path):
        """The JSON of a page; None where there is none."""
        try:
            self._check_role()
            if self._prefix is None:
                endpoint = self.adapter.get_endpoint() or ""
                self._prefix = "" if re.search(r"/v2/?$", endpoint) else "/v2"
            return self.adapter.get(self._prefix + path).json()
        except exceptions.NotFound:
            return None
        except exceptions.ClientException as e:
            self.session.invalidate()
            raise CyborgError(f"GET {path}: {e}") from None
        except ValueError as e:
            raise CyborgError(f"GET {path}: the answer is no JSON: {e}") from None

    def _list(self, path, name):
        page = self._get(path)
        found = page.get(name) if isinstance(page, dict) else None
        if not isinstance(found, list):
            raise CyborgError(f"GET {path}: the answer has no list {name}")
        return found

    def bound(self):
        """All ARQs that are bound to deployables of this kind, on any host."""
        return [b for b in map(bound_of, self._list("/accelerator_requests", "arqs")) if b]

    def is_bound(self, arq, instance):
        """Whether this ARQ is still bound to this instance, asked anew. CyborgError where it cannot
        be told, since one that may not be seen looks as one that is gone."""
        bound = bound_of(self._get(f"/accelerator_requests/{arq}"))
        if bound is None and VENDOR not in {
                device.get("vendor") for device in self._list("/devices", "devices")
                if isinstance(device, dict)}:
            raise CyborgError(f"Cyborg shows neither ARQ {arq} nor any device of this kind: "
                              "whether it was deleted cannot be told")
        return bound is not None and bound.instance == instance

    def profile_group(self, bound):
        """The group of the device profile that the ARQ came from; {} when it is gone."""
        path = "/device_profiles?name=" + urllib.parse.quote(bound.profile)
        found = self._list(path, "device_profiles")
        try:
            return dict(found[0]["groups"][int(bound.group)])
        except (IndexError, KeyError, TypeError, ValueError):
            return {}

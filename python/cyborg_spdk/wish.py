# SPDX-License-Identifier: Apache-2.0
"""The attach request for a bound ARQ: the options of [spdk], and what its device profile asks for.

Threading: pure functions.
"""

import errno

from cyborg_spdk.devices import is_whole
from cyborg_spdk.library import SpdkError

PROFILE_PREFIX = "accel:spdk_"
QOS_PREFIX = "qos_"
QOS = {QOS_PREFIX + name for name in ("rw_ios", "rw_mb", "r_mb", "w_mb")}
# What stands for a volume of a store, or an image; a whole backing has none.
VOLUME = {"size", "thick", "volume", "clone", "rbd"}
IN_PROFILES = VOLUME | QOS | {"read_only", "transport"}
IN_OPTIONS = IN_PROFILES | {"dhchap_key", "dhchap_ctrlr_key", "psk"}
# What vhost-user has not: its socket is this node's own.
NETWORK = {"host", "listen", "dhchap_key", "dhchap_ctrlr_key", "psk"}
SIZE_UNITS = {"K": 10, "M": 20, "G": 30, "T": 40}
# Any number of 64 bits has fewer.
DIGITS = 20


def _refuse(text):
    raise SpdkError(errno.EINVAL, text)


def _number(name, text):
    unit = SIZE_UNITS.get(text[-1:].upper(), 0)
    digits = text[:-1] if unit else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < DIGITS):
        _refuse(f"{name} \"{text[:2 * DIGITS]}\": give a number of less than {DIGITS} digits, or "
                "one with K, M, G or T behind it")
    return int(digits) << unit


def _flag(name, text):
    if text.lower() not in ("true", "false"):
        _refuse(f"{name} \"{text}\": give true or false")
    return text.lower() == "true"


def _value(name, text):
    """A member's value, from the text of an option or a device profile."""
    text = str(text).strip()
    if name == "size" or name in QOS:
        return _number(name, text)
    return _flag(name, text) if name in ("thick", "read_only") else text


def _take(given, allowed, where):
    for name in sorted(set(given) - allowed):
        _refuse(f"{where} asks for {name}: allowed are {', '.join(sorted(allowed))}")
    return {name: _value(name, text) for name, text in given.items()}


def _chosen(options, group, profile):
    """Members by name, those of the device profile first."""
    asked = {key[len(PROFILE_PREFIX):]: text for key, text in group.items()
             if key.startswith(PROFILE_PREFIX)}
    return {**_take(options.attach, IN_OPTIONS, "[spdk] attach"),
            **_take(asked, IN_PROFILES, f"device profile {profile}")}


def _for_whole(chosen, accelerator):
    """A whole backing is given as it is, if it is large enough."""
    if chosen.get("size", 0) > accelerator["size"]:
        _refuse(f"accelerator {accelerator['id']} has {accelerator['size']} bytes, and asked for "
                f"are {chosen['size']}: tell such devices apart by a trait")
    return {name: value for name, value in chosen.items() if name not in VOLUME}


def host_nqn(bound, options):
    """Who may connect."""
    text = options.host_nqns.get(bound.host, options.host_nqn)
    for word in ("instance", "arq", "host"):
        text = text.replace("{%s}" % word, getattr(bound, word))
    return text


def attach_request(name, bound, accelerator, options, group):
    """The request; SpdkError for what the device profile's @group or the options may not ask."""
    chosen = _chosen(options, group, bound.profile)
    if is_whole(accelerator):
        chosen = _for_whole(chosen, accelerator)
    limits = {key[len(QOS_PREFIX):]: chosen.pop(key) for key in list(chosen) if key in QOS}
    request = {**chosen, "qos": limits or None, "instance": name, "accelerator": accelerator["id"],
               "host": host_nqn(bound, options), "listen": options.listen}
    if chosen.get("transport") == "vhost-user-blk":
        request = {key: value for key, value in request.items() if key not in NETWORK}
    return request

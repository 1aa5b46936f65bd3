# SPDX-License-Identifier: Apache-2.0
"""Storage acceleration for a node's instances: libcyborg-spdk from Python, and its Cyborg driver.

`Spdk` has the verbs. What speaks to Cyborg is in modules of its own, so that this one needs nothing
but the standard library, and not even libcyborg-spdk before the first verb is called.
"""

from cyborg_spdk.library import VERBS, Progress, Spdk, SpdkError

__all__ = ["VERBS", "Progress", "Spdk", "SpdkError", "__version__"]

__version__ = "0.1.0"

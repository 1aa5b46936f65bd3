# SPDX-License-Identifier: Apache-2.0
"""What a service tells systemd (sd_notify(3)); nothing where there is none.

Threading: any thread.
"""

import os
import socket


def notify(text):
    """Send assignments such as READY=1 to the service manager."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
        try:
            # A manager that does not read must not hold the service up.
            s.sendto(text.encode(), socket.MSG_DONTWAIT, address)
        except OSError:
            pass

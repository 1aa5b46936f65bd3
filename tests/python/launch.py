#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A program of Cyborg from its source folder, on Debian's libraries.

launch.py conductor|api|agent|tables|arqd --config-file FILE...

77 is left with where this Cyborg's programs cannot run here.
"""

import importlib
import os
import signal
import sys


def green_first():
    """What Cyborg's older programs do first, before the libraries make their locks."""
    try:
        importlib.import_module("cyborg.cmd")
    except ModuleNotFoundError as e:
        if not (e.name or "").startswith("oslo_service"):
            raise
        print(f"this Cyborg's programs need a newer oslo.service ({e}): name a Python that has one "
              "in CYBORG_SPDK_CYBORG_PYTHON")
        sys.exit(77)


def has_threads():
    """Whether this Cyborg runs on oslo.service's threads, as from release 16 on."""
    backend = sys.modules.get("oslo_service.backend")
    return backend is not None and backend.get_backend_type() == backend.BackendType.THREADING


def serve_api():
    """What a web server does with cyborg.wsgi.api: on threads oslo.service refuses cyborg-api."""
    from cloud import Http
    from cyborg.conf import CONF
    from cyborg.wsgi.api import application
    Http(application, CONF.api.port)
    signal.pause()


def make_tables():
    from cyborg.common import service
    service.prepare_service(sys.argv)
    from cyborg.conf import CONF
    from cyborg.db.sqlalchemy import models
    from databases import create_tables
    create_tables(CONF.database.connection, models.Base.metadata)


def main():
    name = sys.argv.pop(1)
    if name == "arqd":
        from cloud import mend_libraries
        mend_libraries()
        from cyborg_spdk.arqd import main as arqd
        return arqd()
    green_first()
    from cloud import mend_libraries
    mend_libraries()
    if name == "tables":
        return make_tables()
    if name == "api" and has_threads():
        return serve_api()
    return importlib.import_module(f"cyborg.cmd.{name}").main()


if __name__ == "__main__":
    os.chdir("/")
    sys.exit(main())

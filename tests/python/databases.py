# SPDX-License-Identifier: Apache-2.0
"""Databases for Cyborg: SQLite, or Debian's MariaDB or PostgreSQL, started for the tests alone.

CYBORG_SPDK_CYBORG_DB  sqlite (default), mariadb, postgresql, or SQLAlchemy's URL of an empty one

The servers have no TCP port, keep their files in a temporary folder, and end with the tests.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

START_SECONDS = 60
HOW = "tools/install-deps.sh services installs it"


def _program(name, *folders):
    """The file of a program, or a plain skip; PostgreSQL's are in a folder of their release."""
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *folders]))
    return found or pytest.skip(f"no {name} here: {HOW}")


class _Server:
    """A database server on a UNIX socket in a folder of its own."""

    end_signal = signal.SIGTERM

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cs-db-"))
        self.log = self.folder / "log"
        self.process = None
        try:
            self.prepare()
            self.wait()
        except BaseException:
            self.stop()
            raise

    def start(self, *command, **rights):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.folder, **rights)

    def run(self, *command, **rights):
        with open(self.log, "ab") as log:
            subprocess.run(list(map(str, command)), check=True, stdin=subprocess.DEVNULL,
                           stdout=log, stderr=log, cwd=self.folder, **rights)

    def wait(self):
        """Until it takes connections, which creating the database tells."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                return self.create()
            except self.not_yet as e:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{e}\n{self.log.read_text()}") from None
                time.sleep(0.05)

    def stop(self):
        if self.process:
            self.process.send_signal(self.end_signal)
            self.process.wait()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)


class MariaDb(_Server):
    def prepare(self):
        pymysql = pytest.importorskip("pymysql", reason=f"no pymysql here: {HOW}")
        self.not_yet = pymysql.err.OperationalError
        install, server = _program("mariadb-install-db"), _program("mariadbd")
        user = pwd.getpwuid(os.geteuid()).pw_name
        data = f"--datadir={self.folder / 'data'}"
        self.run(install, "--no-defaults", f"--user={user}", data, "--skip-test-db",
                 "--auth-root-authentication-method=normal")
        self.start(server, "--no-defaults", f"--user={user}", data, "--skip-networking",
                   f"--socket={self.folder / 's'}", "--innodb-flush-log-at-trx-commit=0")

    def create(self):
        import pymysql
        with pymysql.connect(unix_socket=str(self.folder / "s"), user="root") as db:
            db.cursor().execute("CREATE DATABASE cyborg CHARACTER SET utf8")

    @property
    def url(self):
        return f"mysql+pymysql://root@localhost/cyborg?unix_socket={self.folder / 's'}&charset=utf8"


class PostgreSql(_Server):
    # With SIGTERM it waits for its clients to leave.
    end_signal = signal.SIGINT

    def prepare(self):
        psycopg2 = pytest.importorskip("psycopg2", reason=f"no psycopg2 here: {HOW}")
        self.not_yet = psycopg2.OperationalError
        folders = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
        initdb, server = _program("initdb", *folders), _program("postgres", *folders)
        rights = {}
        if os.geteuid() == 0:
            # It refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            rights = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        data = self.folder / "data"
        self.run(initdb, "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync",
                 **rights)
        self.start(server, "-D", data, "-k", self.folder, "-c", "listen_addresses=", "-F", **rights)

    def create(self):
        import psycopg2
        db = psycopg2.connect(host=str(self.folder), user="postgres")
        db.autocommit = True
        db.cursor().execute("CREATE DATABASE cyborg")
        db.close()

    @property
    def url(self):
        return f"postgresql+psycopg2://postgres@/cyborg?host={self.folder}"


SERVERS = {"mariadb": MariaDb, "postgresql": PostgreSql}


def open_database(folder):
    """URL of an empty database, and what ends its server."""
    chosen = os.environ.get("CYBORG_SPDK_CYBORG_DB") or "sqlite"
    if chosen in SERVERS:
        server = SERVERS[chosen]()
        return server.url, server.stop
    url = f"sqlite:///{folder}/cyborg.sqlite" if chosen == "sqlite" else chosen
    return url, lambda: None


def create_tables(url, metadata):
    """Cyborg's tables, from its models: its migrations know neither SQLite, which has no ALTER
    COLUMN, nor PostgreSQL, which wants a name for each enumeration."""
    import sqlalchemy
    for table in metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, sqlalchemy.Enum) and not column.type.name:
                column.type.name = f"{table.name}_{column.name}"
    engine = sqlalchemy.create_engine(url)
    metadata.create_all(engine)
    if engine.dialect.name == "sqlite":
        # Cyborg before 15 leaves reading transactions open, which hold up its own writers.
        with engine.connect() as db:
            db.exec_driver_sql("PRAGMA journal_mode=WAL")
    engine.dispose()

"""A PostgreSQL for tests, with the stack's settings, on a free port."""

import contextlib
import glob
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

from orders_svc.migrations import GRANTS, apply_migrations
from stores import files
from tests.support.processes import free_port, own_host

HOST = own_host(10)
# A database that accepts no connection in plain text.
ONLY_TLS = "only_tls"


def as_postgres(*command):
    """Return the prefix to run as another user, since PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else list(command)


class PostgresServer:
    """One server on its own address; `kill` sends SIGKILL to all of it."""

    def __init__(self, folder):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        assert found, "PostgreSQL is not installed: `make test` installs it"
        self._bin = Path(found[-1])
        self.folder = folder
        self._data = folder / "data"
        self.port = free_port(HOST)
        self.address = f"{HOST}:{self.port}"
        initdb = [str(self._bin / "initdb"), "-D", str(self._data), "-U", "orders", "--auth=trust", "-N"]
        subprocess.run(as_postgres(*initdb), check=True, capture_output=True)
        certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        certificate += ["-days", "1", "-subj", "/CN=postgres", "-addext", f"subjectAltName=IP:{HOST}"]
        certificate += ["-keyout", str(self._data / "server.key"), "-out", str(self._data / "server.crt")]
        subprocess.run(as_postgres(*certificate), check=True, capture_output=True)
        access = self._data / "pg_hba.conf"
        access.write_text(f"hostnossl {ONLY_TLS} all all reject\n{access.read_text()}")

    @property
    def authority(self):
        """Return the certificate of the server's authority: its own."""
        return self._data / "server.crt"

    def _log(self):
        return self._data.with_suffix(".log")

    def start(self):
        # Like the stack's settings, except for addresses and durability that a temporary server does not need.
        own = {"listen_addresses": HOST, "port": self.port, "ssl": "on", "fsync": "off"}
        options = " ".join(f"-c {name}={value}" for name, value in (files.postgresql() | own).items())
        command = [
            str(self._bin / "pg_ctl"),
            "-D",
            str(self._data),
            "-w",
            "-l",
            str(self._log()),
            "-o",
            options,
            "start",
        ]
        started = subprocess.run(as_postgres(*command), check=False, capture_output=True, text=True)
        assert started.returncode == 0, self._log().read_text(errors="replace")[-3000:]

    def stop(self, mode="immediate"):
        command = [str(self._bin / "pg_ctl"), "-D", str(self._data), "-m", mode, "-w", "stop"]
        subprocess.run(as_postgres(*command), check=False, capture_output=True)

    def url(self, name):
        """Return the address of a database."""
        return f"postgresql://orders:secret@{self.address}/{name}"


@contextlib.contextmanager
def running_postgres():
    """Start a server with the tables of orders in its database template_orders; remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    server = PostgresServer(folder)
    try:
        server.start()
        apply_migrations(server.url("template_orders"))
        with psycopg.connect(server.url("template_orders")) as connection:
            connection.execute((files.FOLDER / "serving.sql").read_text())
            connection.execute(GRANTS.format(role=files.SERVING))
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

"""A Kafka broker for tests, on a free port."""

import contextlib
import os
import socket
import subprocess
import tempfile
from pathlib import Path

from stack import settings as stack_settings
from stack.install import packages
from stores import files
from tests.support.processes import CHECKOUT, Process, free_port, own_host, wait_for

HOST = own_host(13)


class KafkaServer(Process):
    """
    One broker; the jars are those that the stack has installed.

    *more* returns further settings for the addresses of the broker and of its controller; *options* are Java's.
    """

    def __init__(self, folder, libs, *, more=lambda listen, controller: "", options=()):
        port, controller = free_port(HOST), free_port(HOST)
        self.brokers = f"{HOST}:{port}"
        folder = Path(folder)
        configuration = folder / "kafka.properties"
        settings = files.kafka(listen=self.brokers, controllers=[f"{HOST}:{controller}"], data=str(folder / "data"))
        configuration.write_text(settings + more(self.brokers, f"{HOST}:{controller}"))
        # Copied by value here, since `java -cp` expands its own star.
        java = [packages.java(), "-Xms96m", "-Xmx192m", "-XX:+UseSerialGC", *options, "-cp", f"{libs}/*"]
        subprocess.run(
            [*map(str, java), "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", configuration],
            check=True,
            capture_output=True,
            timeout=60,
        )
        super().__init__([*java, "kafka.Kafka", configuration], folder / "kafka.log")
        self._address = (HOST, port)

    def start(self):
        super().start()
        wait_for(self._answers, 120, "Kafka")
        return self

    def _answers(self):
        assert self.alive, self.log()[-3000:]
        with socket.socket() as connection:
            return connection.connect_ex(self._address) == 0


@contextlib.contextmanager
def running_kafka():
    """Return the brokers' address; TEST_KAFKA names brokers that run already."""
    if given := os.environ.get("TEST_KAFKA"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="kafka-") as folder:
        server = KafkaServer(folder, installed_libs())
        try:
            yield server.start().brokers
        finally:
            server.kill()


def installed_libs():
    """Return the folder of Kafka's jars."""
    libs = stack_settings.read(os.environ, checkout=CHECKOUT).kafka_libs
    assert list(Path(libs).glob("kafka_2.13-*.jar")), f"no Kafka in {libs}: `make test` installs it"
    return libs

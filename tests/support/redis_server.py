"""A Redis for tests on a unix socket."""

import socket
from pathlib import Path

from stores import files
from tests.support.processes import Process, wait_for


class RedisServer(Process):
    """A Redis with the stack's settings."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.url = f"unix://{self.folder}/redis.sock"
        configuration = self.folder / "redis.conf"
        own = f"port 0\nunixsocket {self.folder}/redis.sock\ndir {self.folder}\n"
        configuration.write_text(files.redis() + own)
        super().__init__(["redis-server", configuration], self.folder / "redis.log")

    def start(self):
        super().start()
        wait_for(lambda: (self.folder / "redis.sock").exists() and self._answers(), 10, "Redis")
        return self

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.folder / "redis.sock"))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False

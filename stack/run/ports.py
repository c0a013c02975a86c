"""
Checks for ports that are already in use, and by which process.
"""

import errno
import socket
from collections.abc import Iterable

import psutil

from stack.errors import StackError
from stack.topology.addresses import Endpoint

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound


class BusyPort(StackError):
    """Ports are in use; the message names each one and its owner."""


def require_free(endpoints: Iterable[Endpoint]) -> None:
    """Raise `BusyPort` unless all *endpoints* are free."""
    busy = [endpoint for endpoint in sorted(endpoints) if is_busy(endpoint)]
    if busy:
        lines = [f"{endpoint} is in use by {holder(endpoint)}" for endpoint in busy]
        raise BusyPort("\n".join([*lines, "Stop it, or choose other addresses with PORT and NETWORK."]))


def is_busy(endpoint: Endpoint) -> bool:
    """Return whether another process listens on the endpoint; closing connections do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((endpoint.address, endpoint.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise BusyPort(f"{endpoint} cannot be listened on: {error.strerror}") from error
    return False


def holder(endpoint: Endpoint) -> str:
    """Return the process that listens there, as `pid 123 (command line)`."""
    for connection in psutil.net_connections("tcp"):
        local = connection.laddr
        if connection.status != psutil.CONN_LISTEN or not local or local.port != endpoint.port:
            continue
        # gRPC and Java listen at addresses of IPv4 through sockets of IPv6.
        if local.ip in (endpoint.address, f"::ffff:{endpoint.address}", *EVERY_ADDRESS) and connection.pid:
            return f"pid {connection.pid} ({_command(connection.pid)})"
    return "a process of another user"


def _command(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return " ".join(process.cmdline())[:120] or process.name()
    except psutil.Error:
        return "a process that has just exited"

import os
import socket

import pytest

from stack.run import ports
from stack.run.ports import BusyPort
from stack.topology.addresses import Endpoint


@pytest.fixture(
    params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1")], ids=["IPv4", "IPv4 through IPv6"]
)
def listening(request):
    family, address = request.param
    with socket.socket(family) as server:
        server.bind((address, 0))
        server.listen()
        yield Endpoint("127.0.0.1", server.getsockname()[1])


def test_a_busy_port_is_named_with_its_process(listening):
    with pytest.raises(BusyPort, match=rf"{listening} is in use by pid {os.getpid()} \(.*python.*\)"):
        ports.require_free([listening])


def test_all_busy_ports_are_named_at_once(listening):
    with socket.socket() as other:
        other.bind(("127.0.0.2", 0))
        other.listen()
        second = Endpoint("127.0.0.2", other.getsockname()[1])
        with pytest.raises(BusyPort) as refused:
            ports.require_free([second, listening])
    assert str(listening) in str(refused.value)
    assert str(second) in str(refused.value)


def test_a_wildcard_listener_makes_the_port_busy():
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        with pytest.raises(BusyPort, match=f"pid {os.getpid()}"):
            ports.require_free([Endpoint("127.9.9.9", server.getsockname()[1])])


def test_a_free_port_is_free_again_right_after_its_last_connection():
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        place = server.getsockname()
        with socket.create_connection(place):
            accepted, _ = server.accept()
            accepted.close()
    ports.require_free([Endpoint(*place)])

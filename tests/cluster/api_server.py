"""An unresponsive Kubernetes API server: frozen by SIGSTOP, as during an upgrade or an overload."""

from __future__ import annotations

import json
import signal
import time
from urllib.parse import urlsplit

import psutil

from k8s.kubectl import kubectl


def process() -> psutil.Process | None:
    """Return the API server that kubectl uses, if it is a process of this machine that may be frozen."""
    described = json.loads(kubectl("config", "view", "--minify", "-o", "json"))
    port = urlsplit(described["clusters"][0]["cluster"]["server"]).port
    try:
        listening = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    for each in listening:
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
            return psutil.Process(each.pid)
    return None


def silence(server: psutil.Process, seconds: float) -> None:
    """Freeze *server* for so long."""
    server.send_signal(signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        server.send_signal(signal.SIGCONT)

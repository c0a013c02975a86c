"""Kubernetes' API server, silent for a while: frozen, as one that is being upgraded or overloaded is to its callers."""

from __future__ import annotations

import json
import signal
import time
from urllib.parse import urlsplit

import psutil

from k8s.kubectl import kubectl


def process() -> psutil.Process | None:
    """The API server that kubectl talks to, if it is a process of this machine and may be frozen."""
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

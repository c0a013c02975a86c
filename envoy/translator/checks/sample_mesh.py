"""
A minimal mesh in which a single resource can be translated for a check.
"""

from pathlib import Path

from translator.config.route.context import Listening
from translator.config.secrets import Layout
from translator.model.registry import Registry, SocketAddress, Workload
from translator.model.virtual_service import MESH

ANYBODY = Workload("check", "check", "check", "127.0.0.1", SocketAddress("127.0.0.1", 1))
NOWHERE = Registry(workloads=(ANYBODY,))
ANYWHERE = Listening(frozenset({MESH}), 80)

LAYOUT = Layout(Path("/check"), Path("/check"), Path("/check"))

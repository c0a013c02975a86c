"""
The controller is gone: Envoys go on with what they have, and start with it too.
"""

import urllib.error

import pytest

from tests.mesh.local import APPLICATIONS, CONTROLLER, Processes, envoy_of
from tests.mesh.rig import SETTLE_S, TAKES_EFFECT_S, Mesh, codes, virtual_service
from tests.support.waiting import wait_until

ENVOYS = (*(envoy_of(name) for name, *_ in APPLICATIONS), envoy_of("edge-0"))
ABORT = virtual_service(
    "  - {fault: {abort: {grpcStatus: RESOURCE_EXHAUSTED, percentage: {value: 100}}}, "
    "route: [{destination: {host: back}}]}"
)


@pytest.fixture
def processes(mesh: Mesh) -> Processes:
    """Return the processes of the mesh if it is the one of this machine."""
    if mesh.processes is None:
        pytest.skip("on a cluster Kubernetes restarts istiod")
    return mesh.processes


def aborted(mesh: Mesh) -> bool:
    """Whether the fault is in force."""
    return codes(mesh.call(times=5)) == {"RESOURCE_EXHAUSTED": 5}


def served(mesh: Mesh) -> bool:
    """Whether the edge, which may start later than the sidecars, listens and passes calls on."""
    try:
        return mesh.get("/open") == 200
    except urllib.error.URLError:
        return False


def test_rules_stay_in_force_while_everything_but_the_controller_starts_again(mesh: Mesh, processes: Processes) -> None:
    with mesh.rules(ABORT):
        wait_until(lambda: aborted(mesh), within_s=TAKES_EFFECT_S)
        processes.kill(CONTROLLER)
        try:
            assert aborted(mesh)
            for name in ENVOYS:
                processes.kill(name)
            assert not aborted(mesh)
            for name in ENVOYS:
                processes.start_again(name)
            wait_until(lambda: aborted(mesh), within_s=SETTLE_S)
            wait_until(lambda: served(mesh), within_s=SETTLE_S)
        finally:
            processes.start_again(CONTROLLER)
    # The controller takes over the Envoys that started without it.
    mesh.settle()
    assert codes(mesh.call(times=5)) == {"OK": 5}

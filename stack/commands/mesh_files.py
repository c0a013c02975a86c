"""
Validates the Istio files before anything starts.
"""

import subprocess

from stack.errors import StackError
from stack.settings import Settings
from stack.topology.workloads import translator

CHECK_S = 60


class WrongIstioFile(StackError):
    """The translator rejected the files; the message names file, resource and field."""


def check(settings: Settings) -> None:
    """Raise `WrongIstioFile` unless the translator accepts every file in istio/."""
    checked = subprocess.run(
        translator(settings, "check"),
        cwd=settings.checkout,
        capture_output=True,
        text=True,
        timeout=CHECK_S,
        check=False,
    )
    if checked.returncode != 0:
        output = (checked.stdout + checked.stderr).strip()
        raise WrongIstioFile(f"the files in istio/ are refused:\n{output}")
    # Its last line counts the files; what goes before is what `istioctl analyze` would warn of.
    for finding in checked.stdout.splitlines()[:-1]:
        print(finding)

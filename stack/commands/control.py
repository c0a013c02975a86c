"""
Stops and starts processes of a stack: `make down`, `stop`, `start`, `restart`, `kill`.
"""

import argparse

from stack.describe import describe
from stack.progress import Progress
from stack.run import end, state
from stack.run.lock import exclusive
from stack.run.running import require_running
from stack.run.start import Starter
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology import system


def down(chosen: Settings, _options: argparse.Namespace) -> int:
    """Stop everything."""
    if not state.exists(chosen):
        print(f"Nothing ran: there is no stack in STATE={chosen.state}.")
        return 0
    steps = system.steps(describe(chosen))
    with exclusive(chosen):
        ran = end.down(chosen, steps, Progress())
    stays = f"Stopped. The state is kept in {chosen.state}; `{chosen.command('clean')}` removes it."
    print(stays if ran else "Nothing ran.")
    return 0


def stop(chosen: Settings, options: argparse.Namespace) -> int:
    """Stop the processes that SVC names, and keep them down."""
    names = _running(chosen, options.service)
    end.hand_over_leader(describe(chosen), names)
    end.stop(chosen, names)
    print(f"Stopped until `{chosen.command('start')}`: {' '.join(names)}")
    return 0


def kill(chosen: Settings, options: argparse.Namespace) -> int:
    """Send SIGKILL to the processes that SVC names, and keep them down."""
    names = _running(chosen, options.service)
    pids = " ".join(map(str, end.kill(chosen, names))) or "none"
    print(f"Killed with SIGKILL until `{chosen.command('start')}`: {' '.join(names)} (pid {pids})")
    return 0


def start(chosen: Settings, options: argparse.Namespace) -> int:
    """Start the processes that SVC names, and wait until they are healthy."""
    names = set(_running(chosen, options.service))
    steps = {name: step for name, step in system.steps(describe(chosen)).items() if name in names}
    Starter(settings=chosen, supervisor=Supervisor(chosen), progress=Progress()).run(steps)
    return 0


def restart(chosen: Settings, options: argparse.Namespace) -> int:
    """Stop and start the processes that SVC names."""
    return stop(chosen, options) or start(chosen, options)


def _running(chosen: Settings, name: str) -> list[str]:
    """Return the names of the processes that SVC selects in a running stack."""
    names = [process.name for process in system.named(system.processes(system.steps(describe(chosen))), name)]
    require_running(chosen)
    return names

"""
The stack's commands, as the Makefile calls them: `python -m stack COMMAND`.
"""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType

from stack import clean, end, install, lint, logs, mesh_commands, settings, state, status, test_run, topology
from stack.bootstrap import CHECKOUT
from stack.describe import describe
from stack.errors import StackError
from stack.processes import Process
from stack.progress import Progress
from stack.settings import Settings
from stack.start import Starter
from stack.supervisor import Supervisor
from stack.up import exclusive, up
from stack.workloads import issuer_environment, service_environment

Command = Callable[[Settings, argparse.Namespace], int]


def main() -> int:
    """Run one command and return its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    options = _parser().parse_args()
    try:
        return COMMANDS[options.command](settings.read(os.environ, checkout=CHECKOUT), options)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or 'a system call'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stack", description="The whole system on one machine.")
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument(
        "name",
        nargs="?",
        default="",
        help="SVC: inventory, inventory-0, kafka; for token a customer; for soak and hostile their options",
    )
    parser.add_argument("--operator", action="store_true", help="token: may do what operators may")
    parser.add_argument("--no-follow", action="store_true", help="logs: only what is there")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a command as Ctrl-C does, so that it puts right what it began."""
    raise KeyboardInterrupt


def _up(chosen: Settings, options: argparse.Namespace) -> int:
    up(chosen, Progress())
    return 0


def _down(chosen: Settings, options: argparse.Namespace) -> int:
    if not state.exists(chosen):
        print(f"Nothing ran: there is no stack in STATE={chosen.state}.")
        return 0
    steps = topology.steps(describe(chosen))
    with exclusive(chosen):
        ran = end.down(chosen, steps, Progress())
    print(
        f"Down. Its state stays in {chosen.state}; `{chosen.command('clean')}` removes it." if ran else "Nothing ran."
    )
    return 0


def _status(chosen: Settings, options: argparse.Namespace) -> int:
    steps = topology.steps(describe(chosen))
    return 0 if status.show(chosen, topology.processes(steps)) else 1


def _logs(chosen: Settings, options: argparse.Namespace) -> int:
    logs.follow(chosen, _chosen(chosen, options.name), forever=not options.no_follow)
    return 0


def _stop(chosen: Settings, options: argparse.Namespace) -> int:
    names = _running(chosen, options.name)
    end.stop(chosen, names)
    print(f"Stopped until `make start`: {' '.join(names)}")
    return 0


def _kill(chosen: Settings, options: argparse.Namespace) -> int:
    names = _running(chosen, options.name)
    killed = end.kill(chosen, names)
    print(f"Killed with SIGKILL until `make start`: {' '.join(names)} (pid {' '.join(map(str, killed)) or 'none'})")
    return 0


def _start(chosen: Settings, options: argparse.Namespace) -> int:
    names = set(_running(chosen, options.name))
    steps = {name: step for name, step in topology.steps(describe(chosen)).items() if name in names}
    Starter(settings=chosen, supervisor=Supervisor(chosen), progress=Progress()).run(steps)
    return 0


def _restart(chosen: Settings, options: argparse.Namespace) -> int:
    return _stop(chosen, options) or _start(chosen, options)


def _demo(chosen: Settings, options: argparse.Namespace) -> int:
    # Reads the stubs, which the first command of all has yet to build.
    from stack.demo import demo

    plan = describe(chosen)
    status.require_running(chosen)
    demo(plan)
    return 0


def _clean(chosen: Settings, options: argparse.Namespace) -> int:
    clean.clean(chosen)
    return 0


def _token(chosen: Settings, options: argparse.Namespace) -> int:
    if not options.name:
        raise StackError("say whose: CUSTOMER=ana")
    status.require_running(chosen)
    python = str(chosen.venv / "bin" / "python")
    role = ["--operator"] if options.operator else []
    os.execve(python, [python, "-m", "gateway.token", options.name, *role], os.environ | issuer_environment(chosen))


def _operate(chosen: Settings, options: argparse.Namespace) -> int:
    """What an operator has the orders service do, with the environment of its first replica."""
    plan = describe(chosen)
    status.require_running(chosen)
    environment = service_environment(plan, "orders", 0) | {"POD_NAME": "operator"}
    python = plan.tool("python")
    os.execve(python, [python, "-m", "orders_svc", options.command], os.environ | environment)


def _soak(chosen: Settings, options: argparse.Namespace) -> int:
    status.require_running(chosen)
    python = str(chosen.venv / "bin" / "python")
    arguments = shlex.split(options.name)
    os.execve(python, [python, "-m", "chaos.soak", *arguments], os.environ | chosen.environment())


def _hostile(chosen: Settings, options: argparse.Namespace) -> int:
    python = str(chosen.venv / "bin" / "python")
    arguments = shlex.split(options.name)
    os.execve(python, [python, "-m", "chaos.hostile", *arguments], os.environ | chosen.environment())


def _protos(chosen: Settings, options: argparse.Namespace) -> int:
    install.contract(chosen, say=Progress().say, force=True)
    return 0


def _mesh(chosen: Settings, options: argparse.Namespace) -> int:
    status.require_running(chosen)
    return mesh_commands.run(chosen, options.command, options.name)


def _lint(chosen: Settings, options: argparse.Namespace) -> int:
    install.contract(chosen, say=Progress().say)
    return lint.lint(chosen)


def _test(chosen: Settings, options: argparse.Namespace) -> int:
    return test_run.test(chosen)


def _unit(chosen: Settings, options: argparse.Namespace) -> int:
    install.contract(chosen, say=Progress().say)
    return test_run.unit(chosen, Progress())


def _integration(chosen: Settings, options: argparse.Namespace) -> int:
    state.claim(chosen)
    with exclusive(chosen, "tests"):
        return test_run.integration(test_run.of_tests(chosen), Progress())


COMMANDS: Mapping[str, Command] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "logs": _logs,
    "stop": _stop,
    "start": _start,
    "restart": _restart,
    "kill": _kill,
    "demo": _demo,
    "clean": _clean,
    "token": _token,
    "reconcile": _operate,
    "redrive": _operate,
    "soak": _soak,
    "hostile": _hostile,
    "protos": _protos,
    **dict.fromkeys(mesh_commands.ACTIONS, _mesh),
    "lint": _lint,
    "test": _test,
    "unit": _unit,
    "integration": _integration,
}


def _chosen(chosen: Settings, name: str) -> list[Process]:
    """The processes that SVC names; all of them when it is not given."""
    everything = topology.processes(topology.steps(describe(chosen)))
    return topology.named(everything, name) if name else everything


def _running(chosen: Settings, name: str) -> list[str]:
    """The names that SVC means, in a stack that runs."""
    if not name:
        raise StackError("say which: SVC=inventory, SVC=inventory-0, SVC=kafka, …")
    names = [process.name for process in _chosen(chosen, name)]
    status.require_running(chosen)
    return names


if __name__ == "__main__":
    sys.exit(main())

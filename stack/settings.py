"""
The settings of a stack, read from the environment.

Standard library only: the bootstrap reads them before anything is installed.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stack.errors import StackError

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_PORT = 8080
DEFAULT_NETWORK = 16
DEFAULT_LOG_LEVEL = "INFO"
TRACED = "traced"
NOTIFIED = "notified"
PROBED = "probed"
NOBODY = "off"
PROFILE = "profile"
# Nothing that would need quoting in a configuration file.
WEBHOOK = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~:/?#@!$&()*+,;=%-]*)?")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
TLS_DISTANCE = 8443 - DEFAULT_PORT
HIGHEST_PORT = 65535
# A UNIX socket's path has at most 107 bytes on Linux; ours add up to this many to the state folder.
STATE_LENGTH_LIMIT = 107 - len("/run/supervisor.sock")
# How the folders of installed tools begin. Stacks share them, and they may lie in a stack's state folder.
TOOLS = (
    "bench-",
    "checkout-",
    "cosmic-ray",
    "env-",
    "helm-",
    "kafka-libs",
    "kafka-metrics-libs",
    "kube-score-",
    "syft-",
    "venv",  # of earlier versions
    "zipkin-libs",
)
# The characters that PostgreSQL, Kafka and supervisord all accept in a path without quoting.
STATE_PATTERN = re.compile(r"/[A-Za-z0-9._/+@-]*[A-Za-z0-9._+@-]")


class SettingsError(StackError):
    """A variable has an invalid value; the message names it."""


@dataclass(frozen=True)
class Profile:
    """How many members the stores of a stack have."""

    name: str
    members: int  # of PostgreSQL
    brokers: int  # of Kafka


SMALL = Profile("small", members=2, brokers=1)
HA = Profile("ha", members=3, brokers=3)
PROFILES = {each.name: each for each in (SMALL, HA)}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    The settings of one stack: where it keeps its state and which addresses it uses.
    """

    checkout: Path  # this repository
    state: Path  # everything the stack writes
    tools: Path  # the virtual environment and Kafka's jars; stacks may share them
    port: int = DEFAULT_PORT  # the edge's, on 127.0.0.1
    network: int = DEFAULT_NETWORK  # N of 127.N.S.R, 1 to 254
    profile: Profile = SMALL  # decided when the stack is created
    log_level: str = DEFAULT_LOG_LEVEL  # log level of the services and the pages
    traces: bool = False  # whether calls are traced and the viewer runs
    traces_kept: int = 100  # percent of the traces without errors, slow calls and pending orders
    probe: bool = False  # whether the prober runs
    alert_webhook: str = ""  # the URL to which alerts are posted; without one there is no Alertmanager
    differing: tuple[str, ...] = ()  # NAME=VALUE of every setting that is not the default

    def tool(self, name: str) -> Path:
        """
        Return the folder of the installed tool *name*.

        Raises `ValueError` for a name that is not in `TOOLS`: a state folder that holds it would be taken for
        a person's own.
        """
        if not name.startswith(TOOLS):
            raise ValueError(f"{name} is not in stack.settings.TOOLS")
        return self.tools / name

    @property
    def venv(self) -> Path:
        """
        Return this checkout's virtual environment; its packages are shared with checkouts of the same lock file.
        """
        digest = hashlib.sha256(str(self.checkout).encode()).hexdigest()[:8]
        return self.tool(f"checkout-{digest}")

    @property
    def traced(self) -> Path:
        """Return the file whose presence marks this stack as traced."""
        return self.conf / TRACED

    @property
    def probed(self) -> Path:
        """Return the file whose presence marks this stack as one with a prober."""
        return self.conf / PROBED

    @property
    def notified(self) -> Path:
        """Return the file with the URL that this stack's alerts are sent to."""
        return self.conf / NOTIFIED

    @property
    def profiled(self) -> Path:
        """Return the file with the name of this stack's profile."""
        return self.conf / PROFILE

    @property
    def kafka_metrics_libs(self) -> Path:
        """Return the jar of the agent that exports Kafka's metrics."""
        return self.tool("kafka-metrics-libs")

    @property
    def zipkin_libs(self) -> Path:
        """Return the jar of the trace viewer."""
        return self.tool("zipkin-libs")

    @property
    def kafka_libs(self) -> Path:
        """Kafka's jars and their dependencies."""
        return self.tool("kafka-libs")

    @property
    def joined(self) -> Path:
        """Return what services of one's own add to the mesh's registry, a file each."""
        return self.conf / "joined"

    @property
    def data(self) -> Path:
        """Return the data folders of the stores."""
        return self.state / "data"

    @property
    def conf(self) -> Path:
        """Generated configuration; rewritten at every start."""
        return self.state / "conf"

    @property
    def log(self) -> Path:
        """Return the logs, rotated, one for each process."""
        return self.state / "log"

    @property
    def run(self) -> Path:
        """Sockets, process ids and counters of the running stack."""
        return self.state / "run"

    @property
    def secrets(self) -> Path:
        """Generated passwords and keys, readable by their owner only."""
        return self.state / "secrets"

    @property
    def secret_files(self) -> Path:
        """Return the secrets that the services read again when they change."""
        return self.secrets / "services"

    @property
    def mesh(self) -> Path:
        """Return the configuration that the mesh controller writes for the sidecars."""
        return self.state / "mesh"

    @property
    def backups(self) -> Path:
        """PostgreSQL's backups and its archived WAL."""
        return self.state / "backups"

    @property
    def restoring(self) -> Path:
        """Return the file whose presence says that a restore of PostgreSQL was begun and not finished."""
        return self.data / "restoring.json"

    @property
    def reports(self) -> Path:
        """Return the reports: a folder for each run of an experiment, and their index."""
        return self.state / "chaos"

    @property
    def state_of_tests(self) -> Path:
        """Return the state folder of the stack that `make test` starts."""
        return self.state / "test"

    def of_drill(self) -> "Settings":
        """Return the settings of the stack of `make drill`: small, a folder in the state, and the next port."""
        port, state = self.port + 1 if self.port < HIGHEST_PORT else self.port - 1, self.state / "drill"
        network = network_of(port)
        differing = (f"STATE={state}", f"PORT={port}", f"NETWORK={network}", f"TOOLS={self.tools}")
        return replace(self, state=state, port=port, network=network, profile=SMALL, differing=differing)

    @property
    def edge_url(self) -> str:
        """Return the URL at which web clients reach the system."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def authority(self) -> Path:
        """Return the certificate of the local authority, with which clients verify the edge."""
        return self.secrets / "certificates" / "root" / "ca.pem"

    @property
    def tls_port(self) -> int:
        """Return the edge's HTTPS port: 8443 for 8080, and at the same distance from any other."""
        above = self.port + TLS_DISTANCE
        return above if above <= HIGHEST_PORT else self.port - TLS_DISTANCE

    def command(self, target: str) -> str:
        """Return a command on this stack as a person types it: `make status PORT=9080`."""
        return " ".join(("make", target, *self.differing))

    def environment(self) -> dict[str, str]:
        """Return the variables that give a child process the same settings."""
        return {
            "STATE": str(self.state),
            "TOOLS": str(self.tools),
            "PORT": str(self.port),
            "NETWORK": str(self.network),
            "PROFILE": self.profile.name,
            "LOG_LEVEL": self.log_level,
            "TRACES": str(int(self.traces)),
            "TRACES_KEPT": str(self.traces_kept),
            "PROBE": str(int(self.probe)),
            "ALERT_WEBHOOK": self.alert_webhook or NOBODY,
        }


def read(environ: Mapping[str, str], *, checkout: Path) -> Settings:
    """
    Read PORT, NETWORK, STATE, TOOLS, PROFILE, LOG_LEVEL, TRACES, PROBE and ALERT_WEBHOOK; an empty variable counts as
    unset.

    A stack that was started with TRACES=1 stays traced until it is started with TRACES=0, and so with PROBE; one with
    ALERT_WEBHOOK=<URL> sends its alerts there until it is started with ALERT_WEBHOOK=off. A stack keeps the PROFILE
    that it was created with.

    Raises `SettingsError` that names the variable.
    """
    port = integer(environ, "PORT", DEFAULT_PORT, 1, HIGHEST_PORT)
    network = integer(environ, "NETWORK", network_of(port), 1, 254)
    usual_tools, usual_state = default_state(environ), _beside(default_state(environ), port)
    tools = _folder(environ, "TOOLS", usual_tools)
    state = _folder(environ, "STATE", usual_state)
    if state == checkout or checkout in state.parents:
        raise SettingsError(f"STATE={state} is inside the repository; choose a folder outside it")
    log_level = (environ.get("LOG_LEVEL") or DEFAULT_LOG_LEVEL).upper()
    if log_level not in LOG_LEVELS:
        raise SettingsError(f"LOG_LEVEL={log_level!r} is not one of {', '.join(LOG_LEVELS)}")
    chosen = (
        ("PORT", port, DEFAULT_PORT),
        ("NETWORK", network, network_of(port)),
        ("STATE", state, usual_state),
        ("TOOLS", tools, usual_tools),
    )
    differing = tuple(f"{name}={value}" for name, value, usual in chosen if value != usual)
    traced = state / "conf" / TRACED
    kept = traced.read_text(encoding="utf-8") if traced.exists() else ""
    return Settings(
        checkout=checkout,
        state=state,
        tools=tools,
        port=port,
        network=network,
        profile=_profile(environ, state),
        log_level=log_level,
        traces=bool(integer(environ, "TRACES", int(traced.exists()), 0, 1)),
        traces_kept=integer(environ, "TRACES_KEPT", int(kept) if kept.isdecimal() else 100, 0, 100),
        probe=bool(integer(environ, "PROBE", int((state / "conf" / PROBED).exists()), 0, 1)),
        alert_webhook=_webhook(environ, state / "conf" / NOTIFIED),
        differing=differing,
    )


def _webhook(environ: Mapping[str, str], notified: Path) -> str:
    """Return the URL that alerts are sent to: that of ALERT_WEBHOOK, else of the file *notified*; empty for none."""
    chosen = environ.get("ALERT_WEBHOOK") or (notified.read_text(encoding="utf-8") if notified.exists() else NOBODY)
    if chosen == NOBODY:
        return ""
    if not WEBHOOK.fullmatch(chosen):
        raise SettingsError(f"ALERT_WEBHOOK={chosen!r} is not an http(s) URL, nor `{NOBODY}`")
    return chosen


def _profile(environ: Mapping[str, str], state: Path) -> Profile:
    """
    Return the profile that PROFILE names, or that of the stack in *state*.

    Another one than the stack has is refused: brokers that are added to a quorum with an empty log of the cluster could
    outvote the one that has it, and a member that is left out may be the one that has every commit.
    """
    chosen = environ.get("PROFILE")
    if chosen and chosen not in PROFILES:
        raise SettingsError(f"PROFILE={chosen!r} is not one of {', '.join(PROFILES)}")
    created = _created_with(state)
    if created is None:
        return PROFILES[chosen or SMALL.name]
    if chosen and chosen != created:
        raise SettingsError(
            f"the stack in {state} was created with PROFILE={created} and keeps it: for PROFILE={chosen} name another "
            "folder (STATE) and port (PORT), or remove this stack with `make down` and `make clean` first"
        )
    return PROFILES[created]


def _created_with(state: Path) -> str | None:
    """Return the profile of the stack in *state*, None without a stack; earlier versions knew only the small one."""
    kept = state / "conf" / PROFILE
    if kept.exists():
        name = kept.read_text(encoding="utf-8").strip()
        if name not in PROFILES:
            raise SettingsError(f"{kept} names the profile {name!r}, which is not one of {', '.join(PROFILES)}")
        return name
    return SMALL.name if (state / "data" / "kafka-0").exists() else None


def default_state(environ: Mapping[str, str]) -> Path:
    """
    Return the default state folder.

    Root's is outside its home, which the user postgres cannot enter.
    """
    if os.geteuid() == 0:
        return Path("/var/tmp/order-system")  # noqa: S108 - created by us, mode 0755, kept over reboots
    base = environ.get("XDG_STATE_HOME") or f"{environ.get('HOME', '/nonexistent')}/.local/state"
    return Path(base) / "order-system"


def _beside(base: Path, port: int) -> Path:
    """
    Return *base*, or for another port a folder beside it.
    """
    return base if port == DEFAULT_PORT else base.with_name(f"{base.name}-{port}")


def network_of(port: int) -> int:
    """
    Return N for an edge on *port*: 16 for the default port, else one of 17 to 254.
    """
    return DEFAULT_NETWORK if port == DEFAULT_PORT else 17 + port % 238


def integer(environ: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    """
    Read a whole number; raises `SettingsError` that names the variable.
    """
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,5}", text) or not lowest <= int(text) <= highest:
        raise SettingsError(f"{name}={text!r} is not a whole number from {lowest} to {highest}")
    return int(text)


def _folder(environ: Mapping[str, str], name: str, default: Path) -> Path:
    text = os.path.normpath(environ.get(name) or str(default))
    if not STATE_PATTERN.fullmatch(text):
        allowed = "an absolute path of letters, digits and . _ / + @ -"
        raise SettingsError(f"{name}={text!r} must be {allowed}; set {name} to one")
    if len(text) > STATE_LENGTH_LIMIT:
        raise SettingsError(f"{name}={text!r} is longer than {STATE_LENGTH_LIMIT} characters")
    return Path(text)

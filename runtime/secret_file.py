"""Secrets in files that change while the service runs, as those of a mounted Kubernetes secret do."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import structlog
from prometheus_client import Gauge

IN_USE = Gauge("secret_in_use", "1 for the secret that was last used with success.", ["secret", "fingerprint"])
MAX_BYTES = 4096
MAX_VALUES = 4
LOOK_S = 1.0
log = structlog.get_logger()


class SecretFile:
    """
    A secret in a file, one value a line: the first is the one to use, the others are accepted as well.

    A file that becomes unreadable leaves the values as they were; raises `ValueError` if it never was readable.
    """

    def __init__(self, path: Path, *, name: str) -> None:
        self.name = name
        self._path = path
        self._values = _values(path)
        self.accepted = self._values[0]

    def values(self) -> tuple[str, ...]:
        """
        Return the current values of the file.
        """
        try:
            self._values = _values(self._path)
        except ValueError as error:
            log.error("secret_unreadable", secret=self.name, error=str(error))
        return self._values

    def last_read(self) -> tuple[str, ...]:
        """
        Return the values of the last read by `watch`, which reads every second; it costs no I/O.
        """
        return self._values

    def used(self, value: str) -> None:
        """
        Record in the metrics, by its fingerprint, that *value* was used successfully.
        """
        # A service uses one at a time; the previous one must not be exported beside it.
        self.accepted = value
        IN_USE.remove_by_labels({"secret": self.name})
        IN_USE.labels(self.name, fingerprint(value)).set(1)


def fingerprint(value: str) -> str:
    """
    Return a fingerprint that identifies a secret and does not help to guess it, since ours are random.
    """
    return hashlib.sha256(value.encode()).hexdigest()[:8]


async def watch(
    reactions: Mapping[SecretFile, Callable[[], Awaitable[None]] | None], *, every_s: float = LOOK_S
) -> None:
    """
    Run each file's action whenever its values have changed, until cancelled.

    A file without an action is used as soon as it is read.
    """
    known: dict[SecretFile, tuple[str, ...]] = {}
    while True:
        for secret, react in reactions.items():
            values = secret.values()
            if values == known.get(secret):
                continue
            if secret in known:
                log.info("secret_changed", secret=secret.name, fingerprints=[fingerprint(each) for each in values])
            if react is None:
                secret.used("\n".join(values))
            elif secret in known:
                await react()
            known[secret] = values
        await asyncio.sleep(every_s)


def _values(path: Path) -> tuple[str, ...]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        lines = content.decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {getattr(error, 'strerror', None) or 'is not text'}") from error
    values = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(content) > MAX_BYTES or not 1 <= len(values) <= MAX_VALUES:
        raise ValueError(f"{path}: must have 1 to {MAX_VALUES} lines, {MAX_BYTES} bytes at most")
    return values

"""
Errors in the user's files, reported so that they can be found.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, order=True)
class Problem:
    """
    One error: the file, the resource (`Kind namespace/name`), the path in it, and the message.
    """

    file: str
    resource: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.resource, self.path, self.message) if part)


class InvalidMesh(Exception):
    """
    The files as a whole are rejected; `problems` lists every reason.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class BlockError(Exception):
    """
    A block cannot be translated: its path, and the reason.
    """

    def __init__(self, path: str, message: str) -> None:
        self.path, self.message = path, message
        super().__init__(f"{path}: {message}")


def join(outer: str, inner: str) -> str:
    """
    Join two paths: `spec.http[0]` and `match` give `spec.http[0].match`.
    """
    return outer + inner if not outer or not inner or inner.startswith("[") else f"{outer}.{inner}"


@contextmanager
def within(path: str) -> Iterator[None]:
    """
    Prefix *path* to the path of a `BlockError` raised inside.
    """
    try:
        yield
    except BlockError as error:
        raise BlockError(join(path, error.path), error.message) from None


class Named(Protocol):
    """
    Something that problems are reported for: a resource.
    """

    def problem(self, path: str, message: str) -> Problem:
        """
        Return a problem of it.
        """
        ...


@contextmanager
def attributed(resource: Named) -> Iterator[None]:
    """
    Convert a `BlockError` raised inside into a problem of *resource*.
    """
    try:
        yield
    except BlockError as error:
        raise InvalidMesh([resource.problem(error.path, error.message)]) from None

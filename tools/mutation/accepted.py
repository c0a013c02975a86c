"""
Mutants that no test needs to notice: `accepted.yaml`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from tools.mutation.mutants import Mutant


@dataclass(frozen=True)
class Accepted:
    """
    Single ones by module, line and what it becomes; and kinds, by a pattern of what is changed where.
    """

    single: frozenset[tuple[str, str, str]]
    kinds: tuple[re.Pattern[str], ...]

    @classmethod
    def read(cls, path: Path) -> "Accepted":
        """Return what is in a file; each entry must have its reason."""
        entries: list[dict[str, Any]] = [each for each in yaml.safe_load(path.read_text()) or [] if each["reason"]]
        return cls(
            frozenset((each["module"], each["line"], each["becomes"]) for each in entries if "module" in each),
            tuple(re.compile(each["change"]) for each in entries if "change" in each),
        )

    def __contains__(self, mutant: Mutant) -> bool:
        if (mutant.module, mutant.line, mutant.becomes) in self.single:
            return True
        return self.is_of_a_kind(mutant.line, mutant.becomes)

    def is_of_a_kind(self, line: str, becomes: str) -> bool:
        """Return whether the change is one of those that are accepted wherever they are."""
        return any(kind.search(changed(line, becomes)) for kind in self.kinds)


def changed(line: str, becomes: str) -> str:
    """
    Return *line* with the words that differ marked: `a «+ 1» b` and what they become, `a «+ 1 → - 1» b`.
    """
    old, new = _words(line), _words(becomes)
    before = _in_common(old, new)
    after = _in_common(old[before:][::-1], new[before:][::-1])
    first, last = "".join(old[:before]), "".join(old[len(old) - after :])
    return f"{first}«{_middle(old, before, after)} → {_middle(new, before, after)}»{last}"


def _words(line: str) -> list[str]:
    return re.findall(r"\w+(?:\.\d+)?|[<>=!]=|\S", line)


def _in_common(left: Sequence[str], right: Sequence[str]) -> int:
    """Return how many words both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


def _middle(words: list[str], before: int, after: int) -> str:
    return " ".join(words[before : len(words) - after])

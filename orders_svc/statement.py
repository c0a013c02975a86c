"""SQL with named parameters: asyncpg has numbered ones, which are unreadable once there are twenty."""

from __future__ import annotations

import re

PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


class Statement:
    """A statement with parameters written as `:name`; *text* is the server's form."""

    def __init__(self, text: str) -> None:
        self._names = [*dict.fromkeys(PARAMETER.findall(text))]
        self.text = PARAMETER.sub(lambda found: f"${self._names.index(found[1]) + 1}", text)

    def arguments(self, **values: object) -> list[object]:
        """
        Return *values* in the order of the numbered parameters; each must have exactly one value.
        """
        if values.keys() != set(self._names):
            raise TypeError(f"the statement takes {sorted(self._names)}, not {sorted(values)}")
        return [values[name] for name in self._names]

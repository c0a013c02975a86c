"""
Strict reading of plain YAML data: every field is asked for by name and type.
"""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class FieldError(Exception):
    """
    A field is wrong: where it is and why.
    """

    def __init__(self, path: str, message: str) -> None:
        self.path, self.message = path.lstrip("."), message
        super().__init__(f"{self.path}: {message}")


class Reader:
    """
    Reads one mapping and says which field is wrong.
    """

    def __init__(self, content: Any, path: str) -> None:
        if not isinstance(content, dict):
            raise FieldError(path, "must be a mapping")
        self.content, self.path, self.seen = content, path, set[str]()

    def get(self, name: str, kind: type, default: Any = None) -> Any:
        """
        The value of a field of type *kind*; without a default it must be there.
        """
        self.seen.add(name)
        value = self.content.get(name, default)
        if value is None:
            raise FieldError(f"{self.path}.{name}", "is missing")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise FieldError(f"{self.path}.{name}", f"must be a {kind.__name__}, not {value!r}")
        return value

    def port(self, name: str, default: int | None = None) -> int:
        """
        A port number.
        """
        number: int = self.get(name, int, default)
        if not 0 < number < 65536:
            raise FieldError(f"{self.path}.{name}", f"must be a port from 1 to 65535, not {number}")
        return number

    def socket(self, name: str) -> tuple[str, int]:
        """
        A `host:port`.
        """
        host, _, port = str(self.get(name, str)).rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise FieldError(f"{self.path}.{name}", f"must be host:port, not {self.content[name]!r}")
        return host.strip("[]"), int(port)

    def words(self, name: str) -> dict[str, str]:
        """
        A mapping of text to text; absent means empty.
        """
        value = self.get(name, dict, {})
        for key, word in value.items():
            if not isinstance(key, str) or not isinstance(word, str):
                raise FieldError(f"{self.path}.{name}.{key}", "must be text")
        return dict(value)

    def each(self, name: str, read: "Callable[[Reader], T]") -> tuple[T, ...]:
        """
        The items of a list, each read by *read*; absent means empty.
        """
        items = self.get(name, list, [])
        return tuple(Reader(item, f"{self.path}.{name}[{n}]").whole(read) for n, item in enumerate(items))

    def whole(self, read: "Callable[[Reader], T]") -> T:
        """
        Read this mapping with *read* and refuse fields that it does not know.
        """
        result = read(self)
        unknown = sorted(map(str, set(self.content) - self.seen))
        if unknown:
            raise FieldError(f"{self.path}.{unknown[0]}", "is not a known field")
        return result

"""
YAML as kubectl reads it, but for a key that is there twice, which is refused.
"""

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from translator.model.problems import InvalidMesh, Problem

MAX_FILE_BYTES = 16 * 1024 * 1024
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# Numbers as kubectl reads them: like Go, with underscores, without base 60 (go.yaml.in/yaml/v2: resolve.go).
_INTEGER = re.compile(r"[-+]?(?:0_*[xX][0-9a-fA-F_]+|0_*[bB][01_]+|0_*[oO]?[0-7_]+|0|[1-9][0-9_]*)")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_LEAST, _LARGEST = -(2**63), 2**64 - 1
# From here on Go writes a number with an exponent, which is no integer to Kubernetes.
_EXPONENT_FROM = 1e21
_KEPT = frozenset({"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"})
_BOOL, _INT, _REAL = (f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float"))


class _Loader(_BASE):  # type: ignore[misc]  # the C loader, where PyYAML has it
    """
    The safe loader with kubectl's readings of plain scalars, and with an error for a key given twice.
    """

    bool_values: ClassVar[dict[str, bool]] = {**yaml.SafeLoader.bool_values, "y": True, "n": False}
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_yaml_int(self, node: Any) -> int | float:
        """
        Return an integer in any of Go's notations; one that is too long for it is a float.
        """
        text = self.construct_scalar(node).replace("_", "")
        sign, digits = (-1 if text.startswith("-") else 1), text.lstrip("-+").lower()
        octal = digits.startswith("0") and digits[1:].isdecimal()
        value = sign * (int(digits, 8) if octal else int(digits, 0))
        return value if _LEAST <= value <= _LARGEST else float(value)

    def construct_yaml_float(self, node: Any) -> int | float:
        """
        Return a float; one without a fraction is an integer, as JSON has it.
        """
        text = self.construct_scalar(node).replace("_", "").lower()
        value = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        return int(value) if value.is_integer() and abs(value) < _EXPONENT_FROM else value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """
        Build a mapping, rejecting duplicate keys.
        """
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is duplicated", key.start_mark
                )
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep=deep))


_Loader.add_implicit_resolver(
    _BOOL,
    re.compile("(?:y|Y|n|N|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$"),
    list("yYnNtTfFoO"),
)
_Loader.add_implicit_resolver(_INT, re.compile(f"(?:{_INTEGER.pattern})$"), list("-+0123456789"))
_Loader.add_implicit_resolver(_REAL, re.compile(f"(?:{_FLOAT.pattern})$"), list("-+.0123456789"))
_Loader.add_constructor(_INT, _Loader.construct_yaml_int)
_Loader.add_constructor(_REAL, _Loader.construct_yaml_float)


def load_documents(path: Path, name: str) -> list[Any]:
    """
    Return every document of a file; *name* is the file's name in errors.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidMesh([Problem(name, "", "", f"is larger than {MAX_FILE_BYTES} bytes")])
        return read_documents(path.read_text(encoding="utf-8"), name)
    except OSError as error:
        raise InvalidMesh([Problem(name, "", "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise _no_yaml(name, error) from None


def read_documents(text: str, name: str) -> list[Any]:
    """
    Return every document of a text; *name* is what an error calls it.
    """
    try:
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _no_yaml(name, error) from None


def _no_yaml(name: str, error: Exception) -> InvalidMesh:
    return InvalidMesh([Problem(name, "", "", "is not valid YAML: " + " ".join(str(error).split()))])

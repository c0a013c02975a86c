"""
YAML as Kubernetes reads it: without dates, and without duplicate keys.
"""

from pathlib import Path
from typing import Any, ClassVar

import yaml

from translator.model.problems import InvalidMesh, Problem

MAX_FILE_BYTES = 16 * 1024 * 1024
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[misc]  # the C loader, where PyYAML has it
    """
    The safe loader without dates, which JSON does not have, and with an error for duplicate keys.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

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


def load_documents(path: Path, name: str) -> list[Any]:
    """
    Return every document of a file; *name* is the file's name in errors.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidMesh([Problem(name, "", "", f"is larger than {MAX_FILE_BYTES} bytes")])
        text = path.read_text(encoding="utf-8")
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except OSError as error:
        raise InvalidMesh([Problem(name, "", "", f"cannot be read: {error.strerror}")]) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidMesh([Problem(name, "", "", "is not valid YAML: " + " ".join(str(error).split()))]) from None

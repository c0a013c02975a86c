"""Which resource a file is about; the mesh has one of a name, so a second file replaces the first."""

from __future__ import annotations

from pathlib import Path

import yaml

from stack.errors import StackError
from stack.settings import CHECKOUT


def resource(file: Path | str) -> str:
    """
    Return the kind and the name of the first resource in *file*, which may be relative to the checkout.

    Raises `StackError` if the file cannot be read or has none.
    """
    try:
        document = next(yaml.safe_load_all((CHECKOUT / file).read_text(encoding="utf-8")))
        return f"{document['kind']} {document['metadata']['name']}"
    except OSError as error:
        raise StackError(f"{file}: {error.strerror}") from error
    except (yaml.YAMLError, StopIteration, KeyError, TypeError, UnicodeDecodeError) as error:
        raise StackError(f"{file}: not a resource with kind and metadata.name") from error

"""
Objects as the text of a Helm template.

A place that values fill has a mark, a word that YAML writes as it is; the marks are replaced once the text is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

MARK = "xMARK{}x"
MARKS = re.compile(r"xMARK\d+x")
# A line that is nothing but a mark for whole lines: `KEY: ''`, where the key is the mark.
LINES = re.compile(r"^( *)(xMARK\d+x): ''$", re.MULTILINE)


class Text:
    """Makes marks, and puts templates in their places."""

    def __init__(self) -> None:
        self._templates: dict[str, str] = {}

    def mark(self, template: str) -> str:
        """Return the mark of a template, which may also be a part of a string."""
        mark = MARK.format(len(self._templates))
        self._templates[mark] = template
        return mark

    def value(self, path: str) -> str:
        """Return the mark of a whole value, of any type."""
        return self.mark(f"{{{{ toJson $.Values.{path} }}}}")

    def lines(self, template: str) -> str:
        """Return the mark of whole lines, to be used as a key with an empty value."""
        return self.mark(template)

    def of(self, document: Mapping[str, Any]) -> str:
        """Return an object's text."""
        text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)
        text = text.replace("{{", '{{ "{{" }}')
        text = LINES.sub(lambda found: self._indented(found[1], self._templates[found[2]]), text)
        return MARKS.sub(lambda found: self._templates[found[0]], text)

    @staticmethod
    def _indented(indent: str, template: str) -> str:
        return "\n".join(line if line.startswith("{{-") else indent + line for line in template.splitlines())


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and no anchors."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _string)

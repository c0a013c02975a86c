"""ghz and vegeta, load generators in Go, built on first use."""

from __future__ import annotations

from pathlib import Path

from stack.settings import Settings
from tools import go_programs
from tools.go_programs import NotThere as NotThere

TOOLS = {"ghz": "github.com/bojand/ghz/cmd/ghz@v0.93.0", "vegeta": "github.com/tsenart/vegeta/v12@v12.13.0"}


def find(settings: Settings, name: str) -> Path:
    """
    Return the path of *name*, built if necessary; raise `NotThere`.
    """
    return go_programs.program(settings.tool("bench-go"), name, TOOLS[name])

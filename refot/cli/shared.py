"""What the commands share: the two consoles, and the door to the verifier."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from rich.console import Console

console = Console(width=None if sys.stdout.isatty() else 160)  # a pipe has no width of its own
complaints = Console(stderr=True)


def verification(module: str) -> Any:
    """A module of refot.verification, loaded when a command needs it: `import refot` stays light,
    and `refot` knows its verifier by name only."""
    return importlib.import_module(f"refot.verification.{module}")

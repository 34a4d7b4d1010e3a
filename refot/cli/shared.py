"""What the commands share: the consoles for stdout and stderr, and access to the verifier."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from rich.console import Console

console = Console(width=None if sys.stdout.isatty() else 160)  # a pipe has no width
complaints = Console(stderr=True)


def verification(module: str) -> Any:
    """The module `refot.verification.{module}`, loaded when a command needs it.

    It is imported by name, because `refot` must not depend on its verifier; and only when it is
    needed, because the verifier takes time to load.
    """
    return importlib.import_module(f"refot.verification.{module}")

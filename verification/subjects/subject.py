"""A subject is what is verified. It has named parts, and each part offers some capabilities.

A part is one function of a library, with one convention. So a report can say which function is
wrong, and not only that POT is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Part:
    """One named function (or a few that belong together) with the capabilities it offers.

    Each capability takes and returns NumPy arrays and floats, with the signature of its record in
    CAPABILITIES. `convention` is that of its answers, a name in CONVENTIONS. `tolerance` is the
    relative error that it states, or None. An adapter converts the answers of a library to refot's
    convention itself; then `calls` names the convention of the library. `allows` maps faults of the
    input (`verification/cases/faults.py`) to what the documentation of the subject says of them: a
    number is then no failure.
    """

    name: str
    capabilities: Mapping[str, Callable[..., Any]]
    convention: str = "refot"
    tolerance: float | None = None
    calls: str = ""
    allows: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What `refot verify TARGET` verifies: a name, a version, and its parts."""

    name: str
    version: str
    parts: tuple[Part, ...] = field(default_factory=tuple)

    @property
    def offered(self) -> set[str]:
        """The names of the capabilities that at least one part offers."""
        return set().union(*(part.capabilities for part in self.parts))

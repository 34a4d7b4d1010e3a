"""Subjects: what is verified. A subject has named parts; a part offers some of the capabilities.

A part is one function of one library with one convention, so that a report says which function is
wrong and not only that "POT" is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Part:
    """One named function (or a few that belong together) with the capabilities it offers.

    Each capability takes and returns NumPy arrays and floats, with the signature of its record.
    What it returns is in the named convention of `refot.conventions.convert` ("refot" unless
    declared). `calls` names the convention of the library call behind an adapter that has converted
    already. `allows` names faults of the input (`checks.faults`) to which its documentation gives a
    meaning, each with what it says: there a number is no failure. """

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

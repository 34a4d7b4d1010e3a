"""A subject is the implementation that is verified. It has named parts, which offer capabilities.

A part is one function of a library, such as `ot.sinkhorn` of POT, so that a report can say which
function is wrong. A capability is a task that it can be given, such as `plan` (`capabilities.py`).
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
    relative error that the part promises, or None. An adapter converts the answers of a library to
    refot's convention; then `calls` names the convention of the library function that it calls.
    `allows` names faults of the input (`verification/cases/faults.py`) to which the documentation
    of the subject gives a meaning, and quotes it: a number in answer to these is no failure.
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

"""The end of the time that a check of a GPU may take: what would begin after it is left out, and
named."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


class TimeIsUpError(Exception):
    """Raised in place of work for which there is no time any more."""


@dataclass(frozen=True)
class Deadline:
    """A number of minutes from now."""

    minutes: float
    start: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until the end; below 0 after it."""
        return self.start + 60 * self.minutes - time.monotonic()

    def check(self, needed: float = 0.0) -> None:
        """Raises TimeIsUpError if fewer than `needed` seconds are left."""
        if self.left < needed:
            raise TimeIsUpError(f"left out: no time left of {self.minutes:g} minutes")

"""What ends a solve before its marginal error does: a time limit, or a certified gap.

`Control` holds what was asked for, `Watch` what has happened so far.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from refot.arrays import Array, TypeInputError, as_positive
from refot.problem import Problem
from refot.solvers.gap import CertifiedGap, gap_of
from refot.solvers.progress import Bar, Progress

GAP_SHARE = 0.08
"""The part of the time of a solve that may go into checks of its gap."""


@dataclass(frozen=True)
class Control:
    """time_limit in seconds; gap: the relative gap at which to stop; certified: prove the gap at
    the end; progress: a function of (iteration, error, elapsed), or True for a bar."""

    time_limit: float | None = None
    gap: float | None = None
    certified: bool = False
    progress: Progress | bool = False

    def __post_init__(self) -> None:
        for name in ("time_limit", "gap"):
            if getattr(self, name) is not None:
                as_positive(getattr(self, name), name)
        if not isinstance(self.certified, bool):
            raise TypeInputError("certified", repr(self.certified), "True or False")
        if not isinstance(self.progress, bool) and not callable(self.progress):
            raise TypeInputError("progress", repr(self.progress), "a function, True or False")


class Watch:
    """The clock, the bar and the checks of the gap of one solve. A context manager."""

    def __init__(self, control: Control, p: Problem, tol: float) -> None:
        self.control, self.p = control, p
        self.bar = Bar(tol) if control.progress is True else None
        self.gap: CertifiedGap | None = None
        self.proved_at: Array | None = None
        self.begin = time.perf_counter()
        self.last_check, self.check_took = -float("inf"), 0.0

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.begin

    def tell(self, iteration: int, error: float) -> None:
        """Tell the bar, or the function that was given."""
        if self.bar is not None:
            self.bar(iteration, error, self.elapsed)
        elif callable(self.control.progress):
            self.control.progress(iteration, error, self.elapsed)

    def reason(self, error: float, g: Array) -> str:
        """Why to stop here: "gap", "time limit", or "" to go on."""
        if self._gap_reached(error, g):
            return "gap"
        limit = self.control.time_limit
        return "time limit" if limit is not None and self.elapsed >= limit else ""

    def _gap_reached(self, error: float, g: Array) -> bool:
        """Checked once the marginal error is as small, and so seldom that it costs little."""
        allowed, now = self.control.gap, self.elapsed
        if allowed is None or error > allowed:
            return False
        if GAP_SHARE * (now - self.last_check) < self.check_took:
            return False
        self.certificate(g)
        self.last_check, self.check_took = self.elapsed, self.elapsed - now
        return self.proved

    def certificate(self, g: Array) -> CertifiedGap | None:
        """The gap at g, where one was asked for."""
        wanted = self.control.certified or self.control.gap is not None
        if wanted and self.proved_at is not g:
            self.gap, self.proved_at = gap_of(self.p, g), g
        return self.gap if wanted else None

    @property
    def proved(self) -> bool:
        """Whether the last gap that was looked at is the one asked for."""
        return (self.gap is not None and self.control.gap is not None
                and self.gap.relative <= self.control.gap)

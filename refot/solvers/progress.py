"""A progress bar for long solves: how many digits of the marginal error are gained already.

It is drawn on standard error, and only for a solve that takes longer than a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

Progress: TypeAlias = Callable[[int, float, float], object]
"""Called after each iteration with its number, the L1 marginal error (inf while it is not known),
and the seconds since the start."""

DELAY = 1.0
"""Seconds before the bar appears."""


class Bar:
    """A Progress that draws a bar of the package Rich, until `close`."""

    def __init__(self, tol: float) -> None:
        self.tol, self.first = tol, math.inf
        self.bar: Any = None
        self.task: Any = None

    def __call__(self, iteration: int, error: float, elapsed: float) -> None:
        if math.isinf(self.first) and math.isfinite(error):
            self.first = error
        if elapsed < DELAY:
            return
        if self.bar is None:
            self._open()
        text = f"iteration {iteration}  marginal error {error:.2e}"
        self.bar.update(self.task, completed=self.part(error), description=text)

    def part(self, error: float) -> float:
        """The part of the way from the first error to tol that is done, in [0, 1], on a logarithmic
        scale."""
        if not self.tol < error < self.first < math.inf:
            return float(error <= self.tol)
        return math.log(self.first / error) / math.log(self.first / self.tol)

    def _open(self) -> None:
        from rich.console import Console  # 0.1 s to import: only where a bar is drawn
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task("", total=1.0)
        self.bar.start()

    def close(self) -> None:
        """Remove the bar from the screen."""
        if self.bar is not None:
            self.bar.stop()

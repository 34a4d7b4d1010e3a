"""Who is told how a run goes: the terminal, a notebook, nobody."""

from __future__ import annotations

from collections.abc import Mapping


class Watcher:
    """Is told how a run goes; this one keeps quiet."""

    def begins(self, iteration: int, iterations: int) -> None:
        """At `iteration` of `iterations`: 0, or where the checkpoint was."""

    def stepped(self, iteration: int, losses: Mapping[str, float]) -> None:
        """A step was taken."""

    def measured(self, iteration: int, measures: Mapping[str, float | None]) -> None:
        """Measures of success were taken; None for one that is not finite."""

"""The interface by which a training reports its progress, for example to the terminal."""

from __future__ import annotations

from collections.abc import Mapping


class Watcher:
    """Receives the progress of a run. This class ignores it; subclasses show it."""

    def begins(self, iteration: int, iterations: int) -> None:
        """The run begins at `iteration` of `iterations`: at 0, or at its checkpoint."""

    def stepped(self, iteration: int, losses: Mapping[str, float]) -> None:
        """A step was taken; it was step number `iteration`."""

    def measured(self, iteration: int, measures: Mapping[str, float | None]) -> None:
        """Measures were taken after step `iteration`; None for one that is not finite."""

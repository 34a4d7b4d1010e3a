"""Each peer beside refot: the two run in turn on one problem, each at the accuracy that it needs.

In turn, so that a change of the machine's load meets both. A ratio is the peer's seconds over
refot's seconds of the same pair; above 1, refot is faster. Reported seconds are medians over the
pairs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from .child import Child, PeerFailed, RunLimits
from .criterion import CRITERIA, Criterion
from .peers.table import find_peer
from .problems import Cell, Instance
from .search import Attempted, search

Found = TypeVar("Found")

REFERENCE = "refot"
"""The peer with which every other is compared."""

COPIES = 3
"""Matrices that a peer on matrices holds at least: the cost, a kernel and a temporary."""


@dataclass(frozen=True)
class Range:
    """The smallest, the median and the largest of several numbers."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """The range of `values`, of which there is at least one."""
        return cls(min(values), statistics.median(values), max(values))


@dataclass(frozen=True)
class Timing:
    """Seconds to meet a criterion, by the clock and of all processors together, and their ratios to
    refot's seconds; None if refot itself does not meet it."""

    seconds: float
    processor: float
    ratio: Range | None
    processor_ratio: Range | None
    pairs: int
    accuracy: float
    iterations: int | None
    marginal_error: float
    gap: float


@dataclass
class Entry:
    """A peer on a cell: a Timing for each criterion it met, by name, or why there is none."""

    peer: str
    version: str = ""
    warm_up: float = 0.0
    peak: int = 0
    timings: dict[str, Timing] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


class Runner:
    """A peer's process, started when it is first needed and again after it was killed, with the
    runs that it has done. A context manager; starting or asking the process may raise
    PeerFailed."""

    def __init__(
        self, name: str, instance: Instance, limits: RunLimits, solving: bool = True
    ) -> None:
        self.name, self.instance, self.limits, self.solving = name, instance, limits, solving
        self._child: Child | None = None
        self.history: list[Attempted] = []
        self.failed: dict[str, str] = {}
        self.peak = 0

    @property
    def child(self) -> Child:
        """The child, alive."""
        if self._child is None or not self._child.alive:
            self._child = Child(self.name, self.instance, self.limits, self.solving)
        return self._child

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.close()

    def attempt(self, accuracy: float) -> Attempted:
        """One run, judged."""
        run = self.child.run(accuracy)
        self.peak = self.peak or run.peak  # before our judging can have raised it
        return Attempted(run, self.child.judge())

    def search(self, criterion: Criterion) -> Attempted:
        """The run that meets the criterion. Raises PeerFailed, which says how far it came."""
        if criterion.name in self.failed:
            raise PeerFailed(self.failed[criterion.name])
        reason, found = "does not get there", None
        try:
            found = search(self.attempt, criterion, self.history)
        except PeerFailed as failed:
            reason = str(failed)
        if found is not None:
            return found
        least = min((criterion.measure(trial.judged) for trial in self.history), default=None)
        self.failed[criterion.name] = reason + ("" if least is None else f"; reached {least:.1e}")
        raise PeerFailed(self.failed[criterion.name])


def compare(
    cell: Cell, names: Sequence[str], limits: RunLimits, repeats: int, tell: Callable[[str], object]
) -> list[Entry]:
    """An entry for refot and one for each peer, on one cell. `tell` gets each name before."""
    entries = []
    with Runner(REFERENCE, cell.instance(), limits) as reference:
        for name in (REFERENCE, *names):
            tell(name)
            entries.append(entry_of(name, reference, repeats))
    return entries


def entry_of(name: str, reference: Runner, repeats: int) -> Entry:
    """One peer beside the reference; for the reference beside itself, it shows the noise."""
    entry, reason = Entry(name), refused(name, reference.instance.n, reference.limits)
    with Runner(name, reference.instance, reference.limits) as runner:
        try:
            if reason:
                raise PeerFailed(reason)
            entry.version, entry.warm_up = runner.child.ready.version, runner.child.ready.warm_up
        except PeerFailed as failed:
            entry.failures = {criterion.name: str(failed) for criterion in CRITERIA}
            return entry
        for criterion in CRITERIA:
            try:
                entry.timings[criterion.name] = paired(runner, reference, criterion, repeats)
            except PeerFailed as failed:
                entry.failures[criterion.name] = str(failed)
        entry.peak = runner.peak
    return entry


def refused(name: str, n: int, limits: RunLimits) -> str:
    """Why a peer is not even started: it is not installed, or its matrices do not fit; else ""."""
    peer = find_peer(name)
    if not peer.installed:
        return f"{peer.package[0]} is not installed"
    needed = COPIES * 8 * n**2
    if peer.matrix and needed > limits.memory:
        return f"needs matrices of {needed / 2**30:.0f} GiB"
    return ""


def paired(runner: Runner, reference: Runner, criterion: Criterion, repeats: int) -> Timing:
    """Both at the accuracies they need, in turn, `repeats` times or until the limit is spent."""
    trial = runner.search(criterion)
    with suppress(PeerFailed):
        reference.search(criterion)  # before the clock starts; if it fails, `ours` fails below
    theirs, ours = in_turn(
        lambda: runner.child.run(trial.run.accuracy),
        lambda: reference.child.run(reference.search(criterion).run.accuracy),
        repeats, reference.limits.seconds)
    return Timing(
        seconds=statistics.median(run.seconds for run in theirs),
        processor=statistics.median(run.processor for run in theirs),
        ratio=ratios([run.seconds for run in theirs], [run.seconds for run in ours]),
        processor_ratio=ratios([run.processor for run in theirs],
                               [run.processor for run in ours]),
        pairs=len(theirs), accuracy=trial.run.accuracy, iterations=trial.run.iterations,
        marginal_error=trial.judged.marginal_error, gap=trial.judged.gap)


def in_turn(theirs: Callable[[], Found], ours: Callable[[], Found], repeats: int, seconds: float
            ) -> tuple[list[Found], list[Found]]:
    """The results of both, called in turn, `repeats` times or until `seconds` have passed. Once
    `ours` fails, `theirs` is called alone and the second list is empty."""
    found: list[Found] = []
    beside: list[Found] | None = []
    begun = time.perf_counter()
    while len(found) < repeats and time.perf_counter() - begun < seconds:
        try:
            if beside is not None:
                beside.append(ours())
        except PeerFailed:
            beside = None
        found.append(theirs())
    return found, beside or []


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> Range | None:
    """theirs / ours, pair by pair; None without ours."""
    return Range.of([t / o for t, o in zip(theirs, ours, strict=True)]) if ours else None

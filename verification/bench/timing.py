"""Each peer beside refot: the two run in turn on one problem, each at the loosest accuracy that
meets the criterion.

They run in turn so that a change of the machine's load affects both. Two neighbouring runs are a
*pair*. A ratio is the peer's seconds over refot's seconds of the same pair; above 1, refot is
faster. Reported seconds are medians over the pairs.
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
"""How many (n, n) matrices a peer that needs one holds at least: the cost, a kernel, a temporary.
"""


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
    """The time in which a peer meets a criterion.

    `seconds` by the clock, and `processor` seconds of all processors together; their ratios to
    refot's, None if refot itself does not meet the criterion. The rest describes the run:
    `accuracy` is the peer's, `marginal_error` and `gap` are our measures."""

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
    """The results of a peer on a cell: for each criterion, by its name, a Timing or why there is
    none. `warm_up` in seconds, `peak` memory in bytes."""

    peer: str
    version: str = ""
    warm_up: float = 0.0
    peak: int = 0
    timings: dict[str, Timing] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


class Runner:
    """A peer's process, which is started when it is first needed and again after it was killed. A
    context manager. All methods that use the process may raise PeerFailed.

    `history` has its runs so far; `failed` says, by the name of a criterion, why no run met it;
    `peak` is the memory of its first run, in bytes."""

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
        """The peer's process, started if it does not run."""
        if self._child is None or not self._child.alive:
            self._child = Child(self.name, self.instance, self.limits, self.solving)
        return self._child

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.close()

    def attempt(self, accuracy: float) -> Attempted:
        """One run, with our measures of its answer."""
        run = self.child.run(accuracy)
        # The peak of the first run is kept. Later ones include `judge`, which runs in that process.
        self.peak = self.peak or run.peak
        return Attempted(run, self.child.judge())

    def search(self, criterion: Criterion) -> Attempted:
        """The run at the loosest accuracy that meets the criterion. Raises PeerFailed with the best
        measure that was reached."""
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
    """An entry for refot and one for each peer, on one cell. `tell(name)` is called before each."""
    entries = []
    with Runner(REFERENCE, cell.instance(), limits) as reference:
        for name in (REFERENCE, *names):
            tell(name)
            entries.append(entry_of(name, reference, repeats))
    return entries


def entry_of(name: str, reference: Runner, repeats: int) -> Entry:
    """The entry of one peer, timed in turn with the reference. That of the reference itself shows
    by how much ratios vary from noise alone."""
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
    """Why a peer cannot be started: it is not installed, or its matrices do not fit; else ""."""
    peer = find_peer(name)
    if not peer.installed:
        return f"{peer.package[0]} is not installed"
    needed = COPIES * 8 * n**2
    if peer.matrix and needed > limits.memory:
        return f"needs matrices of {needed / 2**30:.0f} GiB"
    return ""


def paired(runner: Runner, reference: Runner, criterion: Criterion, repeats: int) -> Timing:
    """The Timing of a peer: it and the reference run in turn, each at the accuracy that it needs,
    `repeats` times or until the limit of seconds is spent."""
    trial = runner.search(criterion)
    with suppress(PeerFailed):
        # Searched here so that it is not timed. If it fails, the reference fails again below.
        reference.search(criterion)
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
    """The range of the ratios theirs / ours of each pair; None if `ours` is empty."""
    return Range.of([t / o for t, o in zip(theirs, ours, strict=True)]) if ours else None

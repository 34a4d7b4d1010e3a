"""`refot bench --quick`: a fixed selection of problems that says where refot stands, in minutes.

It has one part for each kind of work: balanced and unbalanced problems, many small ones at once, a
loss with its gradient, exact transport, and a large cloud beside GeomLoss's multiscale method. In
each part refot and a peer are brought to the same accuracy, which is computed here, and then run
in turn, on one thread. The result is a `QuickReport`, which is kept as JSON
(docs/benchmarks/) and read by the tables and the figure of docs/benchmarks.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import refot
from refot.verification.bench.run import machine
from refot.verification.bench.timing import Range, ratios

SCHEMA = "refot-bench-quick/1"
"""What the JSON file of a report is: it changes when a reader of the old form would fail."""

REPEATS = 3
"""Pairs of runs of each comparison."""


class Timed(Protocol):
    """One run: seconds by the clock, and seconds of all processors together."""

    @property
    def seconds(self) -> float: ...

    @property
    def processor(self) -> float: ...


@dataclass(frozen=True)
class Stopwatch:
    """The times of one call in this process."""

    seconds: float
    processor: float

    @classmethod
    def of(cls, call: Callable[[], object]) -> Stopwatch:
        """The times that a call takes."""
        begun, processor = time.perf_counter(), time.process_time()
        call()
        return cls(time.perf_counter() - begun, time.process_time() - processor)


@dataclass(frozen=True)
class Compared:
    """Seconds of refot and of the peer, and the peer's over refot's of each pair: above 1, refot is
    faster."""

    refot: Range
    peer: Range
    ratio: Range

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Compared:
        """From the seconds of both in each pair, of which there is at least one."""
        found = ratios(theirs, ours)
        assert found is not None
        return cls(Range.of(ours), Range.of(theirs), found)


@dataclass(frozen=True)
class Row:
    """One peer on one problem. `criterion` is what both had to reach, `reached` the measures (of
    refot, of the peer) that they did reach. Without times, `failure` says why there are none."""

    kind: str
    problem: str
    criterion: str
    peer: str
    version: str = ""
    reached: tuple[float, float] | None = None
    clock: Compared | None = None
    processor: Compared | None = None
    failure: str = ""


def timed(row: Row, ours: Sequence[Timed], theirs: Sequence[Timed]) -> Row:
    """The row with the times of pairs of runs."""
    return replace(
        row, clock=Compared.of([run.seconds for run in ours], [run.seconds for run in theirs]),
        processor=Compared.of([run.processor for run in ours], [run.processor for run in theirs]))


@dataclass
class QuickReport:
    """All rows so far, and the machine, the date and the versions with which they were measured.

    `loads` are load averages of the machine, at the start and after each row; `seconds` is how long
    the run has taken."""

    machine: dict[str, Any] = field(default_factory=machine)
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    rows: list[Row] = field(default_factory=list)
    loads: list[float] = field(default_factory=lambda: [os.getloadavg()[0]])
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"schema": SCHEMA, "refot": refot.__version__, "date": self.date,
                "machine": self.machine, "loads": self.loads, "seconds": round(self.seconds, 1),
                "rows": [asdict(row) for row in self.rows]}


def bench_quick(
    parts: Mapping[str, Callable[[], Iterator[Row]]],
    tell: Callable[[str], object] = lambda part: None,
    keep: Callable[[QuickReport], object] = lambda report: None,
) -> QuickReport:
    """Run some of the parts (`parts.PARTS`). `tell(name)` is called before each, and
    `keep(report)` with the results so far after each row."""
    report, begun = QuickReport(), time.perf_counter()
    for name, part in parts.items():
        tell(name)
        for row in part():
            report.rows.append(row)
            report.loads.append(os.getloadavg()[0])
            report.seconds = time.perf_counter() - begun
            keep(report)
    return report

"""Time and peak memory of a subject's answers against n: reported, and not judged.

Two Gaussian clouds of n points at eps = max C / 10, which a few dozen iterations solve. Time is the
least of four calls; memory the most that the process held above what it held before, which only
Linux tells, and only of a subject in this process. The arguments are there before either begins;
of a program the time is that from the request to its answer, without refot's JSON. An exponent is
the slope of the three largest sizes on logarithmic axes.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refot.conventions.convert import ConversionError, convention
from refot.verification.cases.case import clouds
from refot.verification.checks.translation import to_subject
from refot.verification.subjects.capabilities import CAPABILITIES
from refot.verification.subjects.isolation import undisturbed
from refot.verification.subjects.probe import Probe, SubjectError
from refot.verification.subjects.subject import Part, Subject

SIZES = (64, 128, 256, 512, 1024)

PATIENCE = 0.5
"""Seconds of a call after which no larger size is tried: it would take four times as long or more.
"""

CALLS = 4

LEAST_MEMORY = 1 << 20
"""Bytes that a size must take to be told from the noise of an interpreter."""


@dataclass(frozen=True)
class Scaling:
    """Seconds and bytes of one capability at each size; bytes None where they are not known."""

    part: str
    capability: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    bytes: tuple[int | None, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of docs/report-format.md."""
        return asdict(self) | {"time_exponent": self.time_exponent,
                               "memory_exponent": self.memory_exponent}

    @property
    def time_exponent(self) -> float | None:
        """k in n^k of the time, None of fewer than three sizes."""
        return exponent(list(zip(self.sizes, self.seconds, strict=True)))

    @property
    def memory_exponent(self) -> float | None:
        """k in n^k of the memory, None of fewer than three sizes that take some."""
        return exponent([(n, taken) for n, taken in zip(self.sizes, self.bytes, strict=True)
                         if taken is not None and taken >= LEAST_MEMORY])


def exponent(points: list[tuple[int, float]]) -> float | None:
    """The slope of the last three points on logarithmic axes, None where there are fewer."""
    if len(points) < 3:
        return None
    n, taken = np.log(np.array(points[-3:])).T
    return float(np.polyfit(n, taken, 1)[0])


def measured(subject: Subject, memory: bool = True) -> tuple[Scaling, ...]:
    """Every measured capability of every part, as far as it answers; `memory` is not to be asked
    for where the subject is a process of its own."""
    found = (of_capability(part, name, memory) for part, name in to_measure(subject))
    with undisturbed():
        return tuple(scaling for scaling in found if scaling.sizes)


def to_measure(subject: Subject) -> list[tuple[Part, str]]:
    """The capabilities whose cost is of interest, the whole of a solve, of each part."""
    return [(part, capability.name) for part in subject.parts
            for capability in CAPABILITIES.values()
            if capability.measured and capability.name in part.capabilities]


def of_capability(part: Part, capability: str, memory: bool) -> Scaling:
    """One capability of one part, up to the size at which it raises or takes long."""
    rows: list[tuple[int, float, int | None]] = []
    _least_time(part, capability, _calls(part, capability, SIZES[0]))  # it loads and compiles
    for n in SIZES:
        calls = _calls(part, capability, n)
        watch = Watch() if memory else None
        seconds = _least_time(part, capability, calls)
        if seconds is None:
            break
        rows.append((n, seconds, watch.peak() if watch is not None else None))
        if seconds > PATIENCE:
            break
    sizes, times, taken = zip(*rows, strict=True) if rows else ((), (), ())
    return Scaling(part.name, capability, sizes, times, taken)


def _calls(part: Part, capability: str, n: int) -> list[tuple[Any, ...]]:
    """The arguments of each call, which may write into its own; none where the convention of the
    part does not say what they are."""
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + 1
    case = clouds(f"n = {n}", "", x, y, 0.1)
    asked = tuple(getattr(case, name) for name in CAPABILITIES[capability].takes)
    try:
        theirs = to_subject(convention(part.convention), capability, asked)
    except (SubjectError, ConversionError):
        return []
    return [tuple(value.copy() if isinstance(value, np.ndarray) else value for value in theirs)
            for _ in range(CALLS)]


def _least_time(part: Part, capability: str, calls: list[tuple[Any, ...]]) -> float | None:
    """The least of the calls, the first of which may compile; None where one raises."""
    probe, least = Probe(part), math.inf
    for arguments in calls:
        try:
            seconds = probe.seconds(capability, *arguments)
        except SubjectError:
            return None
        least = min(least, seconds)
        if seconds > PATIENCE:
            break
    return least if calls else None


# ------------------------------------------------------------------ memory
class Watch:
    """The most memory that this process held since it was made, above what it held then."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # not the C library of GNU
            ctypes.CDLL(None).malloc_trim(0)  # what is free but kept would hide what is taken
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        self._start = _status("VmRSS")

    def peak(self) -> int | None:
        """Bytes, None where the system does not tell."""
        most = _status("VmHWM")
        return None if most is None or self._start is None else max(0, most - self._start)


def _status(name: str) -> int | None:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
    return None


# ------------------------------------------------------------------ in words
def rows(scalings: Iterable[Scaling]) -> Iterator[tuple[str, ...]]:
    """(part, capability, largest n, its time, its exponent, its memory, its exponent) of each."""
    for each in scalings:
        yield (each.part, each.capability, str(each.sizes[-1]), duration(each.seconds[-1]),
               power(each.time_exponent), size(each.bytes[-1]), power(each.memory_exponent))


HEADINGS = ("part", "capability", "up to n", "time", "grows as", "memory", "grows as")


def duration(seconds: float) -> str:
    """0.0123 as "12 ms"."""
    return f"{1e3 * seconds:.2g} ms" if seconds < 0.0995 else f"{seconds:.2g} s"


def size(taken: int | None) -> str:
    """Bytes in MiB."""
    if taken is None:
        return "-"
    return "< 1 MiB" if taken < LEAST_MEMORY else f"{taken / 2**20:.3g} MiB"


def power(k: float | None) -> str:
    """n^k."""
    return "-" if k is None else f"n^{k:.1f}"

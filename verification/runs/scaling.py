"""Time and peak memory of a subject's answers against n. They are reported, and no check.

The problem is two Gaussian clouds of n points at eps = max C / 10, which a few dozen iterations
solve. Its arguments are made before anything is measured. The time is that of the fastest of four
calls; for a program it runs from the request to the answer, without refot's work on the JSON. The
memory is the peak of this process above what it held before. It is known on Linux only, and only
for a subject in this process. An exponent is the slope through the three largest sizes on
logarithmic axes.
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

from refot.conventions.convert import ConversionError
from refot.verification.cases.case import clouds
from refot.verification.cases.unbalanced import unbalanced
from refot.verification.checks.translation import to_subject
from refot.verification.subjects.capabilities import CAPABILITIES
from refot.verification.subjects.isolation import undisturbed
from refot.verification.subjects.probe import Probe, SubjectError
from refot.verification.subjects.subject import Part, Subject

SIZES = (64, 128, 256, 512, 1024)
"""The numbers n of points in each cloud."""

LONGEST_CALL = 0.5
"""Seconds: if a call takes longer, no larger size is tried. The next one has four times as many
entries."""

CALLS = 4
"""Calls at each size, of which the fastest is reported."""

LEAST_MEMORY = 1 << 20
"""Bytes: less cannot be told from what the interpreter itself takes and frees."""


@dataclass(frozen=True)
class Scaling:
    """Seconds and bytes of one capability at each size; bytes are None where they are not known."""

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
        """k, if the time grows as n^k; None where fewer than three sizes were measured."""
        return exponent(list(zip(self.sizes, self.seconds, strict=True)))

    @property
    def memory_exponent(self) -> float | None:
        """k, if the memory grows as n^k. Only sizes that took at least LEAST_MEMORY bytes count;
        None where there are fewer than three of them."""
        return exponent([(n, taken) for n, taken in zip(self.sizes, self.bytes, strict=True)
                         if taken is not None and taken >= LEAST_MEMORY])


def exponent(points: list[tuple[int, float]]) -> float | None:
    """The slope of the last three points on logarithmic axes, None with fewer than three."""
    if len(points) < 3:
        return None
    n, taken = np.log(np.array(points[-3:])).T
    return float(np.polyfit(n, taken, 1)[0])


def measured(subject: Subject, memory: bool = True) -> tuple[Scaling, ...]:
    """Time and memory of each part in each of its capabilities that `to_measure` names.

    Each is measured at growing sizes, until it raises or takes longer than LONGEST_CALL. One that
    raises at the first size is left out. `memory` must be False if the subject runs in another
    process, because only the memory of this process can be read.
    """
    found = (of_capability(part, name, memory) for part, name in to_measure(subject))
    with undisturbed():
        return tuple(scaling for scaling in found if scaling.sizes)


def to_measure(subject: Subject) -> list[tuple[Part, str]]:
    """Each part with each of its capabilities that is measured."""
    return [(part, capability.name) for part in subject.parts
            for capability in CAPABILITIES.values()
            if capability.measured and capability.name in part.capabilities]


def of_capability(part: Part, capability: str, memory: bool) -> Scaling:
    """Time and memory of one capability at growing sizes. A size at which it raises is not among
    them, and the first at which it takes longer than LONGEST_CALL is the last."""
    rows: list[tuple[int, float, int | None]] = []
    # calls whose time is not kept, since the first of them may have to compile code
    _least_time(part, capability, _calls(part, capability, SIZES[0]))
    for n in SIZES:
        calls = _calls(part, capability, n)
        peak = PeakMemory() if memory else None
        seconds = _least_time(part, capability, calls)
        if seconds is None:
            break
        rows.append((n, seconds, peak.bytes() if peak is not None else None))
        if seconds > LONGEST_CALL:
            break
    sizes, times, taken = zip(*rows, strict=True) if rows else ((), (), ())
    return Scaling(part.name, capability, sizes, times, taken)


def _calls(part: Part, capability: str, n: int) -> list[tuple[Any, ...]]:
    """The arguments of each call, copied, since the subject may write into them.

    Empty if the declared convention cannot express the problem.
    """
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + 1
    case = clouds(f"n = {n}", "", x, y, 0.1)
    record = CAPABILITIES[capability]
    asked = unbalanced(case) if record.is_unbalanced else tuple(
        getattr(case, name) for name in record.takes)
    try:
        translated = to_subject(part.convention, capability, asked)
    except (SubjectError, ConversionError):
        return []
    return [tuple(value.copy() if isinstance(value, np.ndarray) else value for value in translated)
            for _ in range(CALLS)]


def _least_time(part: Part, capability: str, calls: list[tuple[Any, ...]]) -> float | None:
    """Seconds of the fastest of these calls; None if one raises, or if there are none. After a call
    that took longer than LONGEST_CALL no other is made."""
    probe, least = Probe(part), math.inf
    for arguments in calls:
        try:
            seconds = probe.seconds(capability, *arguments)
        except SubjectError:
            return None
        least = min(least, seconds)
        if seconds > LONGEST_CALL:
            break
    return least if calls else None


# ------------------------------------------------------------------ memory
class PeakMemory:
    """The most memory that this process has held since the object was made, above what it held
    then."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # only GNU's C library has malloc_trim
            # freed memory is given back to the system: a call could use it again, and the peak of
            # this process would not show that
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # sets the peak to the present memory
        self._start = _status("VmRSS")

    def bytes(self) -> int | None:
        """The peak in bytes; None where the system does not tell."""
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
"""The headings of the columns that `rows` fills."""


def duration(seconds: float) -> str:
    """0.0123 as "12 ms"."""
    return f"{1e3 * seconds:.2g} ms" if seconds < 0.0995 else f"{seconds:.2g} s"


def size(taken: int | None) -> str:
    """Bytes in MiB."""
    if taken is None:
        return "-"
    return "< 1 MiB" if taken < LEAST_MEMORY else f"{taken / 2**20:.3g} MiB"


def power(k: float | None) -> str:
    """The power as text: "n^2.0", or "-" where k is not known."""
    return "-" if k is None else f"n^{k:.1f}"

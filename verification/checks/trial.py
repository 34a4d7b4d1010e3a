"""What a check is: one invariant, or one certified comparison, of one capability on one case."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refot.arrays import Array, InputError
from refot.verification.cases.case import Case
from refot.verification.certificates.intervals import Interval
from refot.verification.subjects.probe import Probe, SubjectError
from refot.verification.truth.solution import Truth

from .translation import from_subject, to_subject

SINGLE = "computed in float32: the answers are float32 numbers, the arguments float64"
"""The mistake that is seen in the digits of the answer."""


@dataclass(frozen=True)
class Finding:
    """What was measured, where it should lie, by how much it misses, and how much it may miss.

    `expected` is None where nothing can be expected, because an answer it rests on is not a number.
    `cause` is the diagnosis, where the check knows it without the catalogue of mistakes.
    """

    measured: float
    expected: Interval | None
    error: float
    tolerance: float
    message: str = ""
    cause: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; NaN never is."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Call:
    """One call that a check made: its arguments in refot's terms, its answer in refot's."""

    capability: str
    arguments: tuple[Any, ...]
    answer: Any
    single: bool


@dataclass(frozen=True)
class Trial:
    """A check's surroundings: the probe of the subject, the case, its certified truth.

    What a check asks of the subject it asks here: the declared convention is translated on the way
    there and back, and each call is kept for the diagnosis.
    """

    probe: Probe
    case: Case
    truth: Truth
    calls: list[Call] = field(default_factory=list)

    # -------------------------------------------------------------- answers, in refot's convention
    @property
    def declared(self) -> str:
        """The name of the convention in which the subject says it answers."""
        return self.probe.part.convention

    def theirs(self, capability: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """refot's arguments as the declared convention has them."""
        return to_subject(self.declared, capability, arguments)

    def number(self, capability: str, *arguments: Any) -> float:
        """A scalar answer."""
        given = self.probe.number(capability, *self.theirs(capability, arguments))
        answer: float = from_subject(self.declared, capability, given, arguments)
        self._keep(capability, arguments, answer)
        return answer

    def array(self, capability: str, shape: tuple[int, ...], *arguments: Any) -> Array:
        """An array answer of the shape that is due."""
        given = self.probe.array(capability, shape, *self.theirs(capability, arguments))
        answer: Array = from_subject(self.declared, capability, given, arguments)
        self._keep(capability, arguments, answer)
        return answer

    def pair(self, capability: str, *arguments: Any) -> tuple[Array, Array]:
        """The answer to `potentials`, in density form."""
        given = self.probe.pair(capability, *self.theirs(capability, arguments))
        answer: tuple[Array, Array] = from_subject(self.declared, capability, given, arguments)
        self._keep(capability, arguments, answer)
        return answer

    def offers(self, capability: str) -> bool:
        """Whether the part under test offers it."""
        return capability in self.probe.part.capabilities

    def flag(self, capability: str, *arguments: Any) -> bool:
        """An answer that is yes or no."""
        return self.probe.flag(capability, *self.theirs(capability, arguments))

    def again(self, capability: str, *arguments: Any) -> tuple[Array, Array]:
        """The answers to the same call made twice, flat and as the subject gives them."""
        return self.probe.again(capability, *self.theirs(capability, arguments))

    def raw(self, capability: str, *arguments: Any) -> Array:
        """The answer as the subject gives it, flat, whatever its shape, of at least one number; not
        kept."""
        answer = self.probe.flat(capability, *self.theirs(capability, arguments))
        if not answer.size:
            raise SubjectError("returned no numbers at all")
        return answer

    def written(self, capability: str, *arguments: Any) -> tuple[str, ...]:
        """The names of the arguments into which the subject writes when it is given these."""
        return self.probe.written(capability, *self.theirs(capability, arguments))

    def warnings(self, capability: str, *arguments: Any) -> list[str]:
        """What the subject warned of when it was given these arguments."""
        return self.probe.warnings(*self.theirs(capability, arguments))

    def plan(self) -> Array:
        """The answer to `plan` on the case."""
        return self.array("plan", self.case.C.shape, *self.case.matrix)

    def plan_of_potentials(self) -> Array:
        """a_i b_j exp((f_i + g_j - C_ij) / eps) of the answer to `potentials` on the case."""
        f, g = self.pair("potentials", *self.case.matrix)
        mass = np.outer(self.truth.a, self.truth.b)
        with np.errstate(all="ignore"):  # what overflows is infinite, and fails
            density = np.exp((f[:, None] + g - self.truth.C) / self.case.eps)
            return np.where(mass > 0, mass * density, 0)

    def _keep(self, capability: str, arguments: tuple[Any, ...], answer: Any) -> None:
        single = self.probe.single(capability, *self.theirs(capability, arguments))
        self.calls.append(Call(capability, arguments, answer, single))

    # -------------------------------------------------------------- tolerances
    @property
    def rate(self) -> float:
        """The relative tolerance: the subject's own, else 1e-6 (float64) or 1e-4 (float32).

        1e-6 is what a solve that stopped at a marginal error of 1e-9 still attains where one step
        of Sinkhorn's algorithm removes a thousandth of the error; 1e-4 the same for 1e-7.
        """
        stated = self.probe.part.tolerance
        usual = 1e-4 if self.case.single else 1e-6
        return usual if stated is None else max(stated, usual if self.case.single else 0.0)

    @property
    def rounding(self) -> float:
        """64 units of rounding of the largest quantity that a value is a sum of."""
        unit = float(np.finfo(self.case.C.dtype).eps) / 2
        return 64 * unit * (float(abs(self.case.C).max()) + self.case.eps)

    def value_within(self, measured: float, expected: Interval, message: str = "") -> Finding:
        """A value in cost units against its interval: rate * (max C - min C) + rounding.

        Of a constant cost, max |C| is the unit."""
        tolerance = self.rate * self.case.unit + self.rounding
        return Finding(measured, expected, expected.distance(measured), tolerance, message)

    def value_equals(self, measured: float, expected: float, message: str = "") -> Finding:
        """Two values in cost units that should agree."""
        if not math.isfinite(expected):
            return Finding(measured, None, math.nan, 0.0, f"{message} ({expected})".strip())
        return self.value_within(measured, Interval(expected, expected), message)

    def array_equals(self, measured: Array, expected: Array, message: str = "") -> Finding:
        """The largest difference of two arrays in cost units, at the entry where it is found."""
        tolerance = self.rate * self.case.unit + self.rounding
        return self.worst(measured, expected, tolerance, message)

    def mass_error(self, error: float, message: str = "", factor: float = 1.0) -> Finding:
        """An L1 error of mass, which should be 0: tolerance factor * rate."""
        return Finding(error, Interval(0.0, 0.0), error, factor * self.rate, message)

    def marginals_right(self, P: Array) -> Finding:
        """The L1 errors of both marginals of a plan, which should be 0."""
        rows = float(abs(P.sum(axis=1) - self.truth.a).sum())
        columns = float(abs(P.sum(axis=0) - self.truth.b).sum())
        return self.mass_error(rows + columns,
                               f"L1 errors: rows {rows:.2g}, columns {columns:.2g}")

    def weights_equal(self, measured: Array, expected: Array, message: str = "") -> Finding:
        """The largest difference of two vectors of mass."""
        return self.worst(measured, expected, self.rate, message)

    def slopes_equal(self, measured: Array, expected: Array, condition: float) -> Finding:
        """Gradients: the largest difference, in units of rate times the largest entry.

        `condition` >= 1 says by how much a small error of the potentials grows in the gradient.
        """
        scale = float(abs(expected).max()) * max(1.0, condition)
        return self.worst(measured, expected, self.rate * scale + self.rounding, "")

    def worst(self, measured: Array, expected: Array, tolerance: float, message: str) -> Finding:
        """The largest difference of two arrays, at the entry where it is found."""
        difference = abs(measured - expected)
        broken = ~(np.isfinite(measured) & np.isfinite(expected))
        k = np.unravel_index(int(np.argmax(np.where(broken, math.inf, difference))), measured.shape)
        at = ", ".join(str(int(i)) for i in k)
        right, text = float(expected[k]), f"{message} (largest at [{at}])".strip()
        interval = Interval(right, right) if math.isfinite(right) else None
        return Finding(float(measured[k]), interval, float(difference[k]), tolerance, text)


@dataclass(frozen=True)
class Check:
    """A named check; `id` is "capability.what", and the sentence says what it means."""

    id: str
    sentence: str
    run: Callable[[Trial], Finding]
    applies: Callable[[Case], bool]

    @property
    def capability(self) -> str:
        """The capability that it checks."""
        return self.id.partition(".")[0]


CHECKS: dict[str, Check] = {}
"""Every check by id, in the order of definition."""


def anywhere(case: Case) -> bool:
    """For checks that make sense on every case."""
    return True


def check(
    id: str, sentence: str, applies: Callable[[Case], bool] = anywhere
) -> Callable[[Callable[[Trial], Finding]], Callable[[Trial], Finding]]:
    """Register the decorated function as the check `id`. Raises InputError for an id in use."""

    def register(run: Callable[[Trial], Finding]) -> Callable[[Trial], Finding]:
        if id in CHECKS:
            raise InputError("id", f"{id!r}, which another check has", "an id of its own")
        CHECKS[id] = Check(id, sentence, run, applies)
        return run

    return register
